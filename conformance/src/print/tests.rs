//! What is printed parses to the same again.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::ast::{ControlMessage, EpollEvent, Linger, Name, PollFd, Position};
use crate::parse;

const AT: Position = Position { line: 1, column: 1 };

/// The tree without its places.
fn shape(event: &Event) -> String {
    let debug = format!("{event:?}");
    let mut pieces = debug.split("Position {");
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |shape, piece| shape + piece.split_once('}').map_or("", |(_, rest)| rest))
}

fn same_again(event: &Event) {
    let printed = event.to_string();
    match parse("s.pkt", &printed) {
        Ok(script) => assert_eq!(shape(&script.events[0]), shape(event), "{printed}"),
        Err(errors) => panic!("{printed}: {}", errors[0]),
    }
}

fn name(text: &str) -> Name {
    Name { at: AT, text: text.to_owned() }
}

fn any_sequence() -> impl Strategy<Value = SequenceRange> {
    any::<(u32, u16)>().prop_map(|(start, length)| SequenceRange {
        start,
        end: start.wrapping_add(length.into()),
        length,
    })
}

fn any_ports() -> impl Strategy<Value = Option<Ports>> {
    of(any::<(u16, u16)>().prop_map(|(source, destination)| Ports { source, destination }))
}

fn any_ip_fields() -> impl Strategy<Value = IpFields> {
    let ecn = prop_oneof![Just(IpEcn::NoEcn), Just(IpEcn::Ect0), Just(IpEcn::Ect1), Just(IpEcn::Ce)];
    let first = prop_oneof![
        Just((None, None)),
        ecn.prop_map(|ecn| (Some(ecn), None)),
        any::<u8>().prop_map(|tos| (None, Some(tos)))
    ];
    (first, of(0u32..1 << 20), of(any::<u8>())).prop_map(|((ecn, tos), flow_label, ttl)| IpFields {
        ecn,
        tos,
        flow_label,
        ttl,
        ..IpFields::default()
    })
}

/// With what is said only of packets that the stack gets.
fn any_arriving_fields() -> impl Strategy<Value = IpFields> {
    let part = (0..0x1fffu16, any::<u16>()).prop_map(|(start, len)| {
        let start = start * 8;
        Part { start, end: start.saturating_add(len) }
    });
    let fields = (of(any::<IpAddr>()), of(any::<IpAddr>()), of(any::<u32>()), any::<bool>());
    let parts = (of(any::<u64>()), of(part), of(any::<u32>()));
    (any_ip_fields(), fields, parts).prop_map(
        |(ip, (source, destination, option_word, wrong_sum), (extension, part, identification))| IpFields {
            source,
            destination,
            option_word,
            wrong_sum,
            extension,
            part,
            identification,
            ..ip
        },
    )
}

fn any_option() -> impl Strategy<Value = TcpOption> {
    let block = any::<(u32, u32)>().prop_map(|(left, right)| SackBlock { left, right });
    let counter = || 0u32..1 << 24;
    prop_oneof![
        Just(TcpOption::EndOfList),
        any::<u16>().prop_map(TcpOption::Mss),
        any::<u8>().prop_map(TcpOption::WindowScale),
        Just(TcpOption::SackPermitted),
        vec(block, 1..=4).prop_map(TcpOption::Sack),
        any::<(u32, u32)>().prop_map(|(value, echo)| TcpOption::Timestamp { value, echo }),
        vec(any::<u8>(), 0..=16).prop_map(TcpOption::FastOpen),
        vec(any::<u8>(), 0..=16).prop_map(TcpOption::FastOpenExperimental),
        any::<[u8; 16]>().prop_map(TcpOption::Md5),
        vec(any::<u8>(), 1..=16).prop_map(TcpOption::Bytes),
        (any::<bool>(), 1..=3usize, counter(), counter(), counter()).prop_map(|(order, count, a, b, c)| {
            let (e0, e1) = (AccEcnField::Ect0(a), AccEcnField::Ect1(b));
            let (first, last) = if order { (e0, e1) } else { (e1, e0) };
            TcpOption::AccEcn([first, AccEcnField::Ce(c), last][..count].to_vec())
        }),
    ]
}

/// As many as fit, filled up with nops.
fn any_options() -> impl Strategy<Value = TcpOptions> {
    let listed = vec(any_option(), 0..4).prop_map(|mut options| {
        let length = |options: &[TcpOption]| options.iter().map(TcpOption::length).sum::<usize>();
        while length(&options) > 40 {
            options.pop();
        }
        while !length(&options).is_multiple_of(4) {
            options.push(TcpOption::Nop);
        }
        TcpOptions::Listed(options)
    });
    prop_oneof![1 => Just(TcpOptions::Any), 9 => listed]
}

fn any_tcp() -> impl Strategy<Value = Body> {
    let numbers = (of(any::<u32>()), any::<u16>(), of(any::<u16>()));
    (any_ports(), 0u16..512, any_sequence(), numbers, any_options()).prop_map(
        |(ports, flags, sequence, (ack, window, urgent), options)| {
            let flags = TcpFlags::from_bits(flags);
            Body::Tcp(Tcp { ports, flags, sequence, ack, window: Some(window), urgent, options })
        },
    )
}

fn any_icmp() -> impl Strategy<Value = Body> {
    let quoted = prop_oneof![
        any_sequence().prop_map(Quoted::Tcp),
        any::<u16>().prop_map(Quoted::Udp),
        any::<u16>().prop_map(Quoted::Raw),
    ];
    let kind = prop_oneof![
        Just(("unreachable", Some("frag_needed"), true)),
        Just(("packet_too_big", None, true)),
        Just(("unreachable", Some("port_unreachable"), false)),
        Just(("type_3", Some("code_7"), false)),
        Just(("echo_request", None, false)),
    ];
    (kind, any::<u32>(), of(any::<u16>()), of(quoted)).prop_map(|((kind, code, has_mtu), mtu, id, quoted)| {
        let mtu = has_mtu.then_some(mtu);
        Body::Icmp(Icmp { kind: name(kind), code: code.map(name), mtu, id, quoted })
    })
}

fn any_packet() -> impl Strategy<Value = Action> {
    let udp = (any_ports(), any::<u16>()).prop_map(|(ports, length)| Body::Udp(Udp { ports, length }));
    let body = prop_oneof![4 => any_tcp(), 1 => udp, 1 => any_icmp()];
    let header = prop_oneof![
        any_arriving_fields().prop_map(|ip| (Direction::Inbound, ip)),
        any_ip_fields().prop_map(|ip| (Direction::Outbound, ip)),
    ];
    (header, body).prop_map(|((direction, ip), body)| Action::Packet(Packet { at: AT, direction, ip, body }))
}

fn expr(kind: ExprKind) -> Expr {
    Expr { at: AT, kind }
}

fn any_leaf() -> impl Strategy<Value = ExprKind> {
    prop_oneof![
        Just(ExprKind::Ellipsis),
        any::<i32>().prop_map(|value| ExprKind::Integer(value.into())),
        any::<u64>().prop_map(ExprKind::Hexadecimal),
        Just(ExprKind::Name("SOCK_STREAM".to_owned())),
        (vec(any::<u8>(), 0..9), any::<bool>()).prop_map(|(bytes, more)| ExprKind::Text { bytes, more }),
        any::<std::net::IpAddr>().prop_map(ExprKind::Address),
        any::<u16>().prop_map(ExprKind::NetworkOrder),
        any::<(std::net::IpAddr, u16)>()
            .prop_map(|(address, port)| ExprKind::SocketAddress(SocketAddr::new(address, port))),
        any::<(i16, i16)>()
            .prop_map(|(on, seconds)| ExprKind::Linger(Linger { on: on.into(), seconds: seconds.into() })),
        (0i64..1 << 40, 0i64..1_000_000_000)
            .prop_map(|(seconds, nanoseconds)| ExprKind::ScmTimestamping { seconds, nanoseconds }),
    ]
}

fn any_expression() -> impl Strategy<Value = ExprKind> {
    any_leaf().prop_recursive(3, 24, 4, |inner| {
        let inner = inner.prop_map(expr);
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            vec(any_leaf().prop_map(expr), 2..4).prop_map(ExprKind::Or),
            vec(inner.clone(), 0..4).prop_map(ExprKind::Array),
            vec(inner.clone(), 3..5).prop_map(ExprKind::Group),
            boxed().prop_map(|value| ExprKind::Group(vec![expr(ExprKind::Assign {
                name: name("tv_sec"),
                value
            })])),
            boxed().prop_map(|length| ExprKind::Iovec { base: Box::new(expr(ExprKind::Ellipsis)), length }),
            (inner.clone(), of(inner.clone())).prop_map(|(fd, revents)| {
                ExprKind::PollFd(Box::new(PollFd { fd: fd.clone(), events: fd, revents }))
            }),
            (inner.clone(), 0..4).prop_map(|(value, which)| {
                let data = [EpollData::Fd, EpollData::Pointer, EpollData::U32, EpollData::U64];
                let data = data[which as usize](value.clone());
                ExprKind::EpollEvent(Box::new(EpollEvent { events: value, data }))
            }),
            (inner.clone(), vec(inner.clone(), 0..3), of(vec(inner.clone(), 0..2))).prop_map(
                |(name, iov, control)| ExprKind::Message(Box::new(MessageHeader {
                    flags: control.is_some().then(|| name.clone()),
                    name,
                    iov,
                    control
                }))
            ),
            inner.clone().prop_map(|part| ExprKind::Control(Box::new(ControlMessage {
                level: part.clone(),
                kind: part.clone(),
                data: part
            }))),
        ]
    })
}

fn any_call() -> impl Strategy<Value = Action> {
    let errno = prop_oneof![Just(None), Just(Some("EAGAIN"))];
    let end = of(Just(Duration::from_secs(1_000_000_000)));
    (vec(any_expression().prop_map(expr), 0..5), errno, of("[a-z][a-z' ,]*[a-z]"), end).prop_map(
        |(arguments, errno, note, end)| {
            let result = expr(ExprKind::Integer(if errno.is_some() { -1 } else { 7 }));
            let (at, name) = (AT, "read".to_owned());
            let errno = errno.map(|text| Name { at, text: text.to_owned() });
            Action::Syscall(Syscall { at, end, name, arguments, result, errno, note })
        },
    )
}

fn any_time() -> impl Strategy<Value = Time> {
    let time = (0u64..1_000_000_000, 0u32..1_000_000_000).prop_map(|(s, ns)| Duration::new(s, ns));
    prop_oneof![time.clone().prop_map(Time::Absolute), time.prop_map(Time::Relative)]
}

proptest! {
    #[test]
    fn packets(time in any_time(), action in any_packet()) {
        same_again(&Event { at: AT, time, action });
    }

    #[test]
    fn calls(time in any_time(), action in any_call()) {
        same_again(&Event { at: AT, time, action });
    }
}

#[test]
fn ranges_of_times_commands_and_code() {
    for text in [
        "* > . 1:1(0) ack 1",
        "1~1.5 > [ect01] . 1:1(0) ack 1",
        "+0.000001~+2 > . 1:1(0)",
        "+0 `sysctl -q a=b`",
        "+0 %{ assert a == b, a }%",
        "+0...0.2 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)",
    ] {
        let event = parse("s.pkt", text).unwrap().events.remove(0);
        assert_eq!(event.to_string(), text);
        same_again(&event);
    }
}
