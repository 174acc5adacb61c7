//! Each form of the language, and what isn't of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::ast::*;

fn ok(text: &str) -> Script {
    match parse("s.pkt", text) {
        Ok(script) => script,
        Err(errors) => panic!("{text}: {}", errors[0]),
    }
}

/// The first error's place and message.
fn error(text: &str) -> String {
    match parse("s.pkt", text) {
        Ok(script) => panic!("{text} is {:?}", script.events),
        Err(errors) => errors[0].to_string().trim_start_matches("s.pkt:").to_owned(),
    }
}

fn action(text: &str) -> Action {
    ok(text).events.remove(0).action
}

fn tcp(text: &str) -> Tcp {
    match action(&format!("0 {text}")) {
        Action::Packet(Packet { body: Body::Tcp(segment), .. }) => segment,
        other => panic!("{text} is {other:?}"),
    }
}

fn ip(text: &str) -> IpFields {
    match action(&format!("0 {text}")) {
        Action::Packet(packet) => packet.ip,
        other => panic!("{text} is {other:?}"),
    }
}

fn icmp(text: &str) -> Icmp {
    match action(&format!("0 {text}")) {
        Action::Packet(Packet { body: Body::Icmp(message), .. }) => message,
        other => panic!("{text} is {other:?}"),
    }
}

fn call(text: &str) -> Syscall {
    match action(text) {
        Action::Syscall(call) => call,
        other => panic!("{text} is {other:?}"),
    }
}

/// The expression as an argument of a call.
fn argument(text: &str) -> ExprKind {
    call(&format!("0 write(3, {text}) = 0")).arguments.remove(1).kind
}

fn argument_error(text: &str) -> String {
    error(&format!("0 f({text}) = 0"))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

mod times {
    use super::*;

    fn time(text: &str) -> Time {
        ok(&format!("{text} > . 1:1(0) ack 1")).events[0].time
    }

    #[test]
    fn are_absolute_relative_any_or_a_range() {
        assert_eq!(time("1"), Time::Absolute(ms(1000)));
        assert_eq!(time("0.05"), Time::Absolute(ms(50)));
        assert_eq!(time("+.05"), Time::Relative(ms(50)));
        assert_eq!(time("+ 1.5"), Time::Relative(ms(1500)));
        assert_eq!(time("*"), Time::Any);
        assert_eq!(time("1~1.25"), Time::AbsoluteRange { from: ms(1000), to: ms(1250) });
        assert_eq!(time("+1 ~ +1.25"), Time::RelativeRange { from: ms(1000), to: ms(1250) });
        assert_eq!(time("0.000001"), Time::Absolute(Duration::from_micros(1)));
        assert_eq!(time("0.0000000019"), Time::Absolute(Duration::from_nanos(1)));
    }

    #[test]
    fn are_refused_where_they_mean_nothing() {
        assert_eq!(error("1~.5 > . 1:1(0)"), "1:1: this range of times runs backwards");
        assert_eq!(error("+1~2 > . 1:1(0)"), "1:4: expected '+', found '2'");
        assert_eq!(
            error("+-1 > . 1:1(0)"),
            "1:2: expected a time in seconds, '+' and a time, or '*', found '-'"
        );
        assert_eq!(error("1e3 > . 1:1(0)"), "1:1: expected a time in seconds, found '1e3'");
        assert_eq!(
            error("1000000001 > . 1:1(0)"),
            "1:1: this time is out of range: it is at most 1000000000 seconds"
        );
        let only_outbound =
            "1:1: only packets that the stack sends may come at any time or in a range of times";
        assert_eq!(error("* < . 1:1(0) win 1"), only_outbound);
        assert_eq!(error("1~2 close(3) = 0"), only_outbound);
        assert_eq!(error("* `ls`"), only_outbound);
    }

    #[test]
    fn of_calls_that_block_have_an_end() {
        assert_eq!(call("+0...0.2 close(3) = 0").end, Some(ms(200)));
        assert_eq!(call("+.1....2 close(3) = 0").end, Some(ms(200)));
        assert_eq!(call("+0 ... .2 close(3) = 0").end, Some(ms(200)));
        assert_eq!(call("+0 close(3) = 0").end, None);
        assert_eq!(error("+.2...0.1 close(3) = 0"), "1:1: this call ends before it begins");
        assert_eq!(
            error("0...1 > . 1:1(0)"),
            "1:7: expected a system call after a start and an end time, found '>'"
        );
    }
}

mod packets {
    use super::*;

    #[test]
    fn of_tcp_have_flags_sequence_acknowledgement_window_and_urgent_pointer() {
        let segment = tcp("< UP. 1:1001(1000) ack 5 win 257 urg 9");
        assert_eq!(segment.flags, TcpFlags::URG | TcpFlags::PSH | TcpFlags::ACK);
        assert_eq!(segment.sequence, SequenceRange { start: 1, end: 1001, length: 1000 });
        assert_eq!((segment.ack, segment.window, segment.urgent), (Some(5), Some(257), Some(9)));
        assert_eq!(segment.options, TcpOptions::Listed(vec![]));
        assert_eq!(segment.ports, None);
        let bare = tcp("> - 1:1(0)");
        assert_eq!((bare.flags, bare.ack, bare.window), (TcpFlags::NONE, None, None));
        assert_eq!(tcp("> SEWA 0:0(0)").flags, TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR | TcpFlags::AE);
        assert_eq!(tcp("> . 4294967295:1(2)").sequence.end, 1);
    }

    #[test]
    fn of_tcp_say_the_field_of_accurate_ecn_with_a_digit() {
        let flags = |text: &str| tcp(&format!("> {text} 1:1(0)")).flags;
        assert_eq!(flags(".5"), TcpFlags::ACK | TcpFlags::AE | TcpFlags::ECE);
        assert_eq!(flags("P.6"), TcpFlags::PSH | TcpFlags::ACK | TcpFlags::AE | TcpFlags::CWR);
        assert_eq!(flags("5P."), flags("P.5"));
        assert_eq!(flags("P5."), flags("P.5"));
        assert_eq!(flags("S0"), TcpFlags::SYN);
        assert_eq!(error("0 > E5. 1:1(0)"), "1:6: '5' says a field that is said already");
        assert_eq!(error("0 > 5E. 1:1(0)"), "1:6: 'E' and a digit say the same field");
        assert_eq!(error("0 > .55 1:1(0)"), "1:7: '5' says a field that is said already");
        assert_eq!(
            error("0 > .8 1:1(0)"),
            "1:6: '8' is no TCP flag: they are F, S, R, P, U, E, W, A and '.'"
        );
        assert_eq!(error("0 > P.E 1:1(0)"), "1:7: expected a sequence number, found 'E'");
    }

    #[test]
    fn of_tcp_have_ports_where_written() {
        let ports = Some(Ports { source: 1234, destination: 8080 });
        assert_eq!(tcp("> 1234>8080 . 1:1(0)").ports, ports);
        assert_eq!(tcp("> 1234 > 8080 . 1:1(0)").ports, ports);
    }

    #[test]
    fn of_tcp_are_refused_where_wrong() {
        assert_eq!(
            error("0 < . 1:1(0) ack 1"),
            "1:19: expected 'win': a segment to the stack needs its window"
        );
        assert_eq!(error("0 > . 1:2(5) ack 1"), "1:7: 1:2 is 1 bytes long, and not 5");
        assert_eq!(error("0 > . 1:1(0) win 65536"), "1:18: a window is out of range: it is at most 65535");
        assert_eq!(error("0 > . -1:0(1)"), "1:7: expected a sequence number, found '-'");
        assert_eq!(
            error("0 > SxF 0:0(0)"),
            "1:6: 'x' is no TCP flag: they are F, S, R, P, U, E, W, A and '.'"
        );
        assert_eq!(error("0 > .P 0:0(0)"), "1:6: expected a sequence number, found 'P'");
        assert_eq!(error("0 > 0:0(0)"), "1:6: expected '>', found ':'");
        assert_eq!(
            error("0 > . 1:1(0) urg 5 win 1"),
            "1:20: expected a time in seconds, '+' and a time, or '*', found 'win'"
        );
    }

    #[test]
    fn say_what_the_ip_header_has_in_brackets_or_parentheses() {
        assert_eq!(ip("> . 1:1(0)"), IpFields::default());
        assert_eq!(ip("> [ect0] . 1:1(0)").ecn, Some(IpEcn::Ect0));
        assert_eq!(ip("> (noecn) . 1:1(0)").ecn, Some(IpEcn::NoEcn));
        assert_eq!(ip("> [ect1] . 1:1(0)").ecn, Some(IpEcn::Ect1));
        assert_eq!(ip("> [ect01] . 1:1(0)").ecn, Some(IpEcn::Ect01));
        assert_eq!(ip("> [ce] . 1:1(0)").ecn, Some(IpEcn::Ce));
        assert_eq!(ip("> [tos 0x10] . 1:1(0)").tos, Some(16));
        assert_eq!(ip("> [ttl 3] . 1:1(0)").ttl, Some(3));
        let both = IpFields { ecn: Some(IpEcn::Ce), flow_label: Some(0xfffff), ..IpFields::default() };
        assert_eq!(ip("> [ce, flowlabel 0xfffff] . 1:1(0)"), both);
        let odd = ip("< [src \"224.0.0.1\", dst \"ff02::1\", ipopt 0x1e040000, badsum] . 1:1(0) win 1");
        assert_eq!(odd.source, Some("224.0.0.1".parse().unwrap()));
        assert_eq!(odd.destination, Some("ff02::1".parse().unwrap()));
        assert_eq!((odd.option_word, odd.wrong_sum), (Some(0x1e04_0000), true));
        assert_eq!(error("0 > [badsum] . 1:1(0)"), "1:6: badsum is of packets that the stack gets");
        assert_eq!(error("0 < [src \"1.2.3\"] . 1:1(0) win 1"), "1:10: '1.2.3' is no IP address");
        assert_eq!(error("0 > [ce) . 1:1(0)"), "1:8: expected ']', found ')'");
        assert_eq!(error("0 > [ce,ce] . 1:1(0)"), "1:9: this stands there already");
        assert_eq!(error("0 > [tos 1,ce] . 1:1(0)"), "1:12: the type of service holds the ECN bits already");
        assert_eq!(
            error("0 > [flowlabel 0x100000] . 1:1(0)"),
            "1:16: a flow label is out of range: it is at most 1048575"
        );
        assert_eq!(
            error("0 < [ect01] . 1:1(0) win 1"),
            "1:6: ect01 is of packets that the stack sends: one that it gets has ect0 or ect1"
        );
    }

    #[test]
    fn of_udp_have_a_length() {
        let udp = |text: &str| match action(text) {
            Action::Packet(Packet { body: Body::Udp(datagram), .. }) => datagram,
            other => panic!("{other:?}"),
        };
        assert_eq!(udp("0 < udp (100)"), Udp { ports: None, length: 100 });
        let ports = Some(Ports { source: 1, destination: 2 });
        assert_eq!(udp("0 > udp 1>2(0)"), Udp { ports, length: 0 });
        assert_eq!(error("0 < udp"), "1:8: expected '(', found the end of the script");
    }

    #[test]
    fn of_icmp_have_type_code_mtu_identifier_and_a_quoted_packet() {
        let message = icmp("< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]");
        assert_eq!(message.kind.text, "unreachable");
        assert_eq!(message.code.unwrap().text, "frag_needed");
        assert_eq!(message.mtu, Some(1200));
        assert_eq!(message.quoted, Some(Quoted::Tcp(SequenceRange { start: 1, end: 1461, length: 1460 })));
        assert_eq!(icmp("< icmp packet_too_big mtu 1280").mtu, Some(1280));
        assert_eq!(icmp("< icmp unreachable [udp (5)]").quoted, Some(Quoted::Udp(5)));
        let echo = icmp("> icmp echo_reply id 7 [raw (56)]");
        assert_eq!((echo.code, echo.id, echo.quoted), (None, Some(7), Some(Quoted::Raw(56))));
        assert_eq!(icmp("< icmp type_3 code_4 mtu 1200").mtu, Some(1200));
        assert_eq!(error("0 < icmp nonsense"), "1:10: 'nonsense' is no ICMP type");
        assert_eq!(
            error("0 < icmp unreachable nonsense"),
            "1:22: 'nonsense' is no code of the ICMP type 'unreachable'"
        );
        assert_eq!(
            error("0 < icmp unreachable mtu 1200"),
            "1:22: an MTU is of 'unreachable frag_needed' and of 'packet_too_big' only"
        );
        assert_eq!(
            error("0 < icmp unreachable [tcp]"),
            "1:23: expected sequence numbers, 'udp' or 'raw', found 'tcp'"
        );
    }

    #[test]
    fn within_other_headers_are_not_supported() {
        let inner = ". 1:1(0) win 1";
        for (header, what) in [
            ("ipv4 192.0.2.1 > 192.0.2.2:", "an IPv4 header around the packet"),
            ("ipv6 fd00::1 > fd00::2:", "an IPv6 header around the packet"),
            ("gre:", "a GRE header around the packet"),
            ("mpls (label 5, tc 1, ttl 5):", "MPLS labels before the packet"),
            ("encap psp spi 5", "PSP encapsulation"),
        ] {
            assert_eq!(error(&format!("0 < {header} {inner}")), format!("1:5: not supported: {what}"));
        }
    }
}

mod tcp_options {
    use super::*;

    fn options(text: &str) -> Vec<TcpOption> {
        match tcp(&format!("> . 1:1(0) <{text}>")).options {
            TcpOptions::Listed(options) => options,
            TcpOptions::Any => panic!("{text} is any"),
        }
    }

    fn options_error(text: &str) -> String {
        error(&format!("0 > . 1:1(0) <{text}>"))
    }

    #[test]
    fn are_known_by_name() {
        use TcpOption::*;
        assert_eq!(
            options("mss 1460,nop,nop,sackOK,nop,wscale 7"),
            [Mss(1460), Nop, Nop, SackPermitted, Nop, WindowScale(7)]
        );
        assert_eq!(
            options("nop, nop, TS val 100 ecr 4294967295")[2],
            Timestamp { value: 100, echo: u32::MAX }
        );
        assert_eq!(options("eol,eol,nop,nop")[0], EndOfList);
        let blocks = vec![SackBlock { left: 1, right: 11 }, SackBlock { left: 21, right: 31 }];
        assert_eq!(options("nop,nop,sack 1:11 21:31")[2], Sack(blocks));
        assert_eq!(options("FO,nop,nop")[0], FastOpen(vec![]));
        assert_eq!(options("FO 3021b9d8,nop,nop")[0], FastOpen(vec![0x30, 0x21, 0xb9, 0xd8]));
        assert_eq!(options("FO abcd")[0], FastOpen(vec![0xab, 0xcd]));
        assert_eq!(options("FOEXP")[0], FastOpenExperimental(vec![]));
        assert_eq!(options("FOEXP 00ffABcd")[0], FastOpenExperimental(vec![0, 0xff, 0xab, 0xcd]));
        assert_eq!(
            options("nop,nop,md5 000102030405060708090a0b0c0d0e0f")[2],
            Md5(std::array::from_fn(|i| i as u8))
        );
        assert_eq!(options("hex 05000102")[0], Bytes(vec![5, 0, 1, 2]));
        assert_eq!(options_error("hex 050,nop"), "1:19: '050' has an odd number of digits");
        assert_eq!(tcp("> . 1:1(0) <...>").options, TcpOptions::Any);
    }

    #[test]
    fn of_accurate_ecn_come_in_two_orders_and_may_be_cut_short() {
        use AccEcnField::*;
        let counters = |text: &str| match options(text).remove(0) {
            TcpOption::AccEcn(counters) => counters,
            other => panic!("{other:?}"),
        };
        assert_eq!(counters("ECN e0b 1 ceb 2 e1b 3,nop"), [Ect0(1), Ce(2), Ect1(3)]);
        assert_eq!(counters("ECN e1b 1 ceb 2"), [Ect1(1), Ce(2)]);
        assert_eq!(counters("ECN e1b 1,nop,nop,nop"), [Ect1(1)]);
        assert_eq!(options_error("ECN ceb 1,nop,nop,nop"), "1:19: expected 'e0b' or 'e1b', found 'ceb'");
        assert_eq!(options_error("ECN e1b 1 e0b 5"), "1:25: expected ',' or '>', found 'e0b'");
        assert_eq!(
            options_error("ECN e0b 16777216,nop,nop,nop"),
            "1:23: a counter of bytes is out of range: it is at most 16777215"
        );
    }

    #[test]
    fn fill_words_of_four_bytes_and_no_more_than_forty() {
        assert_eq!(
            options_error("nop"),
            "1:14: these options have 1 bytes: fill them up to words of 4 with nop or eol"
        );
        assert_eq!(
            options_error("nop,nop,sack 1:2 3:4 5:6 7:8 9:10"),
            "1:14: these options have 44 bytes: a header has room for 40"
        );
    }

    #[test]
    fn are_refused_where_wrong() {
        let names = "a TCP option (nop, eol, mss, wscale, sackOK, sack, TS, FO, FOEXP, md5, ECN, hex)";
        assert_eq!(options_error(""), format!("1:15: expected {names}, found '>'"));
        assert_eq!(options_error("MSS 5"), format!("1:15: expected {names}, found 'MSS'"));
        assert_eq!(options_error("mss 65536"), "1:19: an MSS is out of range: it is at most 65535");
        assert_eq!(
            options_error("mss MSS"),
            "1:19: expected an MSS, found 'MSS', which nothing defines (-D MSS=…)"
        );
        assert_eq!(options_error("sack"), "1:19: expected a sequence number, found '>'");
        assert_eq!(options_error("TS val 1 ecr"), "1:27: expected a time stamp, found '>'");
        assert_eq!(options_error("FO abc"), "1:18: 'abc' has an odd number of digits");
        assert_eq!(options_error("FO zz"), "1:18: 'zz' isn't hexadecimal");
        assert_eq!(options_error("md5"), "1:18: expected the 32 hexadecimal digits of a digest, found '>'");
        assert_eq!(options_error("md5 ab"), "1:19: a digest has 32 hexadecimal digits, and not 2");
    }
}

mod calls {
    use super::*;

    #[test]
    fn have_arguments_a_result_an_errno_and_a_note() {
        let refused = call("0 read(4, ..., 1000) = -1 EAGAIN (Resource's busy, come again)");
        assert_eq!(refused.name, "read");
        assert_eq!(refused.arguments.len(), 3);
        assert_eq!(refused.result.kind, ExprKind::Integer(-1));
        assert_eq!(refused.errno.unwrap().text, "EAGAIN");
        assert_eq!(refused.note.as_deref(), Some("Resource's busy, come again"));
        let flags = call("0 fcntl(4, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)");
        assert_eq!(flags.result.kind, ExprKind::Hexadecimal(0x802));
        assert_eq!((flags.errno, flags.note.as_deref()), (None, Some("flags O_RDWR|O_NONBLOCK")));
        assert_eq!(call("0 close(4) = ...").result.kind, ExprKind::Ellipsis);
        assert_eq!(call("0 f() = 0").arguments, []);
    }

    #[test]
    fn are_refused_where_wrong() {
        assert_eq!(error("0 close(3) = 0 EBADF"), "1:16: an errno stands behind the result -1");
        assert_eq!(error("0 close(3) = -1 EBAD (x)"), "1:17: unknown name 'EBAD'");
        assert_eq!(error("0 close(3,) = 0"), "1:11: expected an expression, found ')'");
        assert_eq!(error("0 close(3 = 0"), "1:11: expected ',' or ')', found '='");
        assert_eq!(error("0 close(3)"), "1:11: expected '=', found the end of the script");
        assert_eq!(error("0 close(3) = 0 (note\n"), "1:17: this note has no ')'");
        assert_eq!(error("0 socket(..., SOCK_STREEM, 0) = 3"), "1:15: unknown name 'SOCK_STREEM'");
    }

    #[test]
    fn take_numbers_names_strings_and_combinations() {
        use ExprKind::*;
        assert_eq!(argument("..."), Ellipsis);
        assert_eq!(argument("-5"), Integer(-5));
        assert_eq!(argument("0x10"), Hexadecimal(16));
        assert_eq!(argument("18446744073709551615"), Hexadecimal(u64::MAX));
        assert_eq!(argument("SOL_TCP"), Name("SOL_TCP".to_owned()));
        assert_eq!(argument("\"a\\x41\""), Text { bytes: b"aA".to_vec(), more: false });
        assert_eq!(argument("\"a\"..."), Text { bytes: b"a".to_vec(), more: true });
        assert!(matches!(argument("O_RDWR | 0x5|3"), Or(parts) if parts.len() == 3));
        assert!(matches!(argument("[1, [2], {3}]"), Array(parts) if parts.len() == 3));
        assert_eq!(argument("[]"), Array(vec![]));
        assert_eq!(argument("htons(80)"), NetworkOrder(80));
        assert_eq!(argument("inet_addr(\"192.0.2.1\")"), Address("192.0.2.1".parse().unwrap()));
        assert_eq!(argument("inet6_addr(\"fd00::1\")"), Address("fd00::1".parse().unwrap()));
        assert_eq!(argument_error("1 + 1"), "1:7: expected ',' or ')', found '+'");
        assert_eq!(argument_error("(1)"), "1:5: expected an expression, found '('");
        assert_eq!(argument_error("12ab"), "1:5: '12ab' is no number that fits in 64 bits");
        assert_eq!(argument_error("inet_addr(\"1.2.3\")"), "1:15: '1.2.3' is no IP address");
        assert_eq!(argument_error("inet6_addr(\"1.2.3.4\")"), "1:16: expected an address of IPv6");
    }

    #[test]
    fn take_socket_addresses() {
        let v4: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        assert_eq!(
            argument("{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr(\"192.0.2.1\")}"),
            ExprKind::SocketAddress(v4)
        );
        let v6: SocketAddr = "[fd00::1]:8080".parse().unwrap();
        assert_eq!(
            argument("{sa_family=AF_INET6, sin6_port=htons(8080), sin6_addr=inet6_addr(\"fd00::1\")}"),
            ExprKind::SocketAddress(v6)
        );
        assert_eq!(
            argument_error("{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"fd00::1\")}"),
            "1:65: this is no address of AF_INET"
        );
        assert_eq!(
            argument_error("{sa_family=AF_UNIX, sin_port=htons(8080), sin_addr=inet_addr(\"fd00::1\")}"),
            "1:16: expected AF_INET or AF_INET6, found 'AF_UNIX'"
        );
    }

    #[test]
    fn take_messages_with_pieces_and_control_messages() {
        let text =
            "{msg_name(...)=..., msg_iov(2)=[{..., 10},{\"abc\", 3}], msg_flags=MSG_TRUNC, msg_control=[
            {cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=5},
            {cmsg_level=SOL_SOCKET, cmsg_type=SCM_TIMESTAMPING, cmsg_data={scm_sec=1,scm_nsec=2}},
            {cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, cmsg_data={ee_errno=ENOMSG, ee_origin=4, ee_type=0,
             ee_code=0, ee_info=SCM_TSTAMP_ACK, ee_data=9}}]}";
        let ExprKind::Message(header) = argument(text) else { panic!() };
        assert_eq!(header.name.kind, ExprKind::Ellipsis);
        assert!(
            matches!(&header.iov[1].kind, ExprKind::Iovec { length, .. } if length.kind == ExprKind::Integer(3))
        );
        let data: Vec<_> = header.control.unwrap().into_iter().map(|message| message.kind).collect();
        let [ExprKind::Control(inq), ExprKind::Control(stamp), ExprKind::Control(error)] = &data[..] else {
            panic!()
        };
        assert_eq!(inq.data.kind, ExprKind::Integer(5));
        assert_eq!(stamp.data.kind, ExprKind::ScmTimestamping { seconds: 1, nanoseconds: 2 });
        assert!(matches!(&error.data.kind, ExprKind::ExtendedError(error)
            if error.info.kind == ExprKind::Name("SCM_TSTAMP_ACK".to_owned()) && error.data.kind == ExprKind::Integer(9)));
        assert_eq!(
            argument_error("{msg_name(...)=..., msg_iov(2)=[{..., 10}]}"),
            "1:33: msg_iov says 2 pieces and has 1"
        );
        assert_eq!(argument_error("{ee_errno=1, ee_origin=0}"), "1:29: expected 'ee_type'");
        assert_eq!(
            argument_error("{msg_name(...)=..., msg_iov(0)=[], msg_colour=1}"),
            "1:40: expected 'msg_flags' or 'msg_control', found 'msg_colour'"
        );
    }

    #[test]
    fn take_polls_events_lingers_and_other_structures() {
        let ExprKind::Array(polls) = argument("[{fd=3, events=POLLIN, revents=0}, {fd=4, events=POLLOUT}]")
        else {
            panic!()
        };
        assert!(matches!(&polls[0].kind, ExprKind::PollFd(poll) if poll.revents.is_some()));
        assert!(matches!(&polls[1].kind, ExprKind::PollFd(poll) if poll.revents.is_none()));
        let data = |text: &str| match argument(text) {
            ExprKind::EpollEvent(event) => event.data,
            other => panic!("{other:?}"),
        };
        assert!(matches!(data("{events=EPOLLIN|EPOLLET, fd=3}"), EpollData::Fd(_)));
        assert!(matches!(data("{events=EPOLLIN, ptr=3}"), EpollData::Pointer(_)));
        assert!(matches!(data("{events=EPOLLIN, u32=3}"), EpollData::U32(_)));
        assert!(matches!(data("{events=EPOLLIN, u64=3}"), EpollData::U64(_)));
        assert_eq!(argument("{onoff=1, linger=5}"), ExprKind::Linger(Linger { on: 1, seconds: 5 }));
        assert_eq!(argument("{onoff=1, linger=-1}"), ExprKind::Linger(Linger { on: 1, seconds: -1 }));
        let ExprKind::Group(fields) = argument("{tv_sec=1, tv_usec=0}") else { panic!() };
        assert!(matches!(&fields[0].kind, ExprKind::Assign { name, .. } if name.text == "tv_sec"));
        assert_eq!(argument_error("{}"), "1:5: this structure has no fields");
        assert_eq!(argument_error("{fd=3}"), "1:10: expected ',', found '}'");
        assert_eq!(argument_error("{flags [none]}"), "1:6: not supported: headers of GRE and MPLS");
    }

    #[test]
    fn stand_in_each_other_only_so_deep() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        argument(&nested(10));
        assert_eq!(
            argument_error(&nested(100_000)),
            "1:21: structures stand more than 16 deep in each other"
        );
    }
}

mod scripts {
    use super::*;

    #[test]
    fn are_options_a_command_events_and_a_command() {
        let script =
            ok("// first\n--mtu=1500\n--tcp_ts_ecr_scaled // second\n`a\nb`\n0 `c`\n0 %{ d }%\n`e`\n");
        let settings: Vec<_> = script.options.iter().map(|option| option.setting.clone()).collect();
        assert_eq!(settings, [Setting::Mtu(1500), Setting::TcpTsEcrScaled]);
        assert_eq!(script.init.unwrap().text, "a\nb");
        assert!(matches!(&script.events[0].action, Action::Command(command) if command.text == "c"));
        assert!(matches!(&script.events[1].action, Action::Code(code) if code.text == " d "));
        assert_eq!(script.cleanup.unwrap().at, Position { line: 8, column: 1 });
    }

    #[test]
    fn are_refused_where_their_parts_are_in_disorder() {
        assert_eq!(error(""), "1:1: this script has no event");
        assert_eq!(
            error("`a`\n--mtu=1500\n0 close(3) = 0"),
            "2:1: options stand before the first command and the first event"
        );
        assert_eq!(
            error("`a`\n`b`\n0 close(3) = 0"),
            "2:1: expected a time before this command: only one may stand without"
        );
        assert_eq!(
            error("0 close(3) = 0\n`b`\n0 close(3) = 0"),
            "2:1: a command between events needs a time before it"
        );
    }

    #[test]
    fn tell_many_errors_and_go_on_at_the_next_event() {
        let text = "0 close(3 = 0\n+0 close(\n+0 close(4) = 0\n+1 > Q 1:1(0)\n0 nope\n";
        let errors = parse("s.pkt", text).unwrap_err();
        let lines: Vec<_> = errors.iter().map(|error| error.at.line).collect();
        assert_eq!(lines, [1, 3, 4, 6]);
        let many = "0 > Q 1:1(0)\n".repeat(1000);
        assert_eq!(parse("s.pkt", &many).unwrap_err().len(), ERRORS_MAX);
    }

    #[test]
    fn define_words_and_the_command_line_wins() {
        let script = ok("--define=FD=3\n0 close(FD) = 0");
        assert!(
            matches!(&script.events[0].action, Action::Syscall(call) if call.arguments[0].kind == ExprKind::Integer(3))
        );
        let definitions = Definitions::new().with("FD", "4");
        let script = parse_with("s.pkt", "--define=FD=3\n0 close(FD) = 0", &definitions).unwrap();
        assert!(
            matches!(&script.events[0].action, Action::Syscall(call) if call.arguments[0].kind == ExprKind::Integer(4))
        );
        let definitions = Definitions::new().with("CODE", "host_unreachable");
        parse_with("s.pkt", "0 < icmp unreachable CODE", &definitions).unwrap();
    }

    #[test]
    fn take_the_options_that_packetdrill_documents() {
        let setting = |line: &str| ok(&format!("--{line}\n0 close(3) = 0")).options.remove(0).setting;
        assert_eq!(setting("ip_version=ipv4-mapped-ipv6"), Setting::IpVersion(IpVersion::V4MappedV6));
        assert_eq!(setting("local_ip=fd00::1"), Setting::LocalIp("fd00::1".parse().unwrap()));
        let address = "192.0.2.0".parse().unwrap();
        assert_eq!(setting("remote_ip=\"192.0.2.0/24\""), Setting::RemoteIp { address, prefix: Some(24) });
        assert_eq!(setting("tcp_ts_tick_usecs=1000"), Setting::TcpTsTick(ms(1)));
        assert_eq!(setting("tolerance_percent=1.5"), Setting::TolerancePercent(1.5));
        let both = NonFatal { packet: true, syscall: true };
        assert_eq!(setting("non_fatal=packet,syscall"), Setting::NonFatal(both));
        assert_eq!(
            setting("init_scripts=a.sh,b.sh"),
            Setting::InitScripts(vec!["a.sh".into(), "b.sh".into()])
        );
        assert_eq!(setting("so_flags=\"ip addr\""), Setting::SoFlags("ip addr".to_owned()));
        assert_eq!(setting("strict_segments"), Setting::StrictSegments);
        assert_eq!(setting("wire_client"), Setting::Wire { option: "wire_client".to_owned(), value: None });
        let message = |line: &str| error(&format!("--{line}\n0 close(3) = 0"));
        assert_eq!(message("nosuch=1"), "1:1: --nosuch: there is no such option");
        assert_eq!(message("nosuch"), "1:1: --nosuch: there is no such option");
        assert_eq!(message("mtu"), "1:1: --mtu: this option needs a value");
        assert_eq!(message("is_anyip=1"), "1:1: --is_anyip: this option takes no value");
        assert_eq!(
            message("ip_version=5"),
            "1:1: --ip_version: expected ipv4, ipv4-mapped-ipv6 or ipv6, found '5'"
        );
        assert_eq!(message("bind_port=65536"), "1:1: --bind_port: '65536' is no number from 0 to 65535");
        assert_eq!(message("local_ip=1.2.3"), "1:1: --local_ip: '1.2.3' is no IP address");
        assert_eq!(message("non_fatal=all"), "1:1: --non_fatal: expected packet or syscall, found 'all'");
        assert_eq!(message("define=3=4"), "1:1: --define: '3=4' is no definition: expected NAME=value");
    }
}
