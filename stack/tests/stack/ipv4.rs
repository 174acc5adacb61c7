//! IPv4 as a host has it: options, and frames that are for several stations.

use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::ipv4_options::AnswerOptions;
use tapsock_stack::wire::{EthernetAddress, IpProtocol, Ipv4Header, TcpFlags, TcpHeader};

use crate::packets::{Path, bytes_of, packet_of, transport_of};
use crate::wire::{Fate, LINKS, Wire};

/// A frame of IPv4 with these options.
pub fn with_options(frame: &Frame, options: &[u8]) -> Frame {
    let bytes = bytes_of(frame);
    let mut headers = tapsock_stack::buf::HeaderBlock::new();
    headers.prepend(20).copy_from_slice(&bytes[14..34]);
    AnswerOptions::new(options).unwrap().insert_into(&mut headers);
    Frame::from([&bytes[..14], &headers[..], &bytes[34..]].concat())
}

fn ping(len: usize) -> Frame {
    let echo = Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 1 });
    Path::v4(0, 1).icmpv4(echo, &vec![7; len])
}

/// The packets that host 1 sends.
pub fn answers(wire: &Wire) -> Vec<Vec<u8>> {
    wire.seen.iter().filter(|(from, _)| *from == 1).map(|(_, frame)| packet_of(frame).to_vec()).collect()
}

pub fn deaf() -> Wire {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.neighbors();
    wire.sniffing = true;
    wire.filter(|_, _| Fate::Lose);
    wire
}

//= RFC 1122 §3.2.2.6, type=test
//= RFC 1122 §3.2.2.6 SHLD-2, type=test
#[test]
fn errors_and_echoes_record_the_route() {
    let mut wire = deaf();
    let record = [&[7, 11, 4][..], &[0; 8]].concat();
    wire.inject(1, with_options(&ping(4), &record));
    wire.inject(1, with_options(&Path::v4(0, 1).udp((9, 9), b"x"), &record));
    let answers = answers(&wire);
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        let header = Ipv4Header::parse(answer).unwrap();
        assert_eq!(answer[20..header.header_len.into()], [7, 11, 12, 10, 0, 0, 2, 10, 0, 0, 2, 0]);
    }
    //= RFC 1812 §4.3.2.5, type=test
    assert_eq!(
        (answers[0][1], answers[1][1]),
        (0, 0xc0),
        "errors have the precedence of the network's control"
    );
}

//= RFC 791 §3.1, type=test
#[test]
fn an_answer_in_parts_has_its_record_in_the_first() {
    let mut wire = deaf();
    wire.inject(1, with_options(&ping(1460), &[7, 7, 4, 0, 0, 0, 0]));
    assert_eq!(answers(&wire).len(), 1, "1,496 bytes");
    wire.seen.clear();
    let two = with_options(&ping(1000), &[7, 7, 4, 0, 0, 0, 0]);
    wire[1]
        .set_link_caps(
            crate::wire::ETH,
            tapsock_stack::wire::offload::LinkCaps::plain(
                tapsock_stack::wire::offload::Medium::Ethernet,
                576,
            ),
        )
        .unwrap();
    wire.inject(1, two);
    let lens: Vec<u8> =
        answers(&wire).iter().map(|part| Ipv4Header::parse(part).unwrap().header_len).collect();
    assert_eq!(lens, [28, 20]);
}

//= RFC 1122 §3.2.2.5, type=test
//= RFC 9293 MUST-50, type=test
//= RFC 1122 §3.2.2.5 SHLD-1, type=test
#[test]
fn options_that_are_refused() {
    for (options, told) in
        [(&[0x1e, 1][..], true), (&[131, 7, 8, 1, 2, 3, 4], false), (&[7, 7, 3, 0, 0, 0, 0], true)]
    {
        let mut wire = deaf();
        wire.inject(1, with_options(&ping(4), options));
        assert_eq!(wire.counter(1, Counter::IpInHdrErrors), 1);
        assert_eq!(wire.counter(1, Counter::IcmpOutParmProbs), u64::from(told), "{options:?}");
        let sent = answers(&wire);
        assert_eq!(sent.len(), usize::from(told));
        let icmp = wire.seen.iter().find_map(|(_, frame)| transport_of(frame, IpProtocol::ICMP));
        assert_eq!(icmp.map(|icmp| icmp[0]), told.then_some(12));
    }
}

/// A frame for everybody.
fn to_all(frame: Frame) -> Frame {
    let mut bytes = bytes_of(&frame);
    bytes[..6].copy_from_slice(&EthernetAddress::BROADCAST.0);
    Frame::from(bytes)
}

//= RFC 1122 §3.2.2, type=test
//= RFC 1122 §3.3.6, type=test
//= RFC 4443 §2.4, type=test
//= RFC 9293 MUST-57, type=test
//= RFC 1122 §3.2.2 MUST-6, type=test
//= RFC 1122 §3.3.6 SHLD-3, type=test
#[test]
fn one_hosts_packets_in_frames_for_all() {
    let syn = TcpHeader { flags: TcpFlags::SYN, destination_port: 2000, ..TcpHeader::default() };
    let udp = |path: Path| to_all(path.udp((9, 9), b"x"));
    let mut wire = deaf();
    let before = wire.counter(1, Counter::UdpNoPorts);
    wire.listen(1, "0.0.0.0", 2000, 4);
    wire.inject(1, udp(Path::v4(0, 1)));
    wire.inject(1, udp(Path::v6(0, 1)));
    wire.inject(1, to_all(Path::v4(0, 1).tcp(&syn, &[])));
    assert_eq!(answers(&wire).len(), 0, "no error, no connection");
    assert_eq!(wire.counter(1, Counter::UdpNoPorts), before + 2);
    assert_eq!(wire.counter(1, Counter::TcpInErrs), 1);
    wire.inject(1, to_all(ping(4)));
    assert_eq!(answers(&wire).len(), 1, "Linux answers an echo all the same");

    // For all, for one, for all that come later; and what one has of its own goes before.
    for (names, dropped) in [
        (&["all"][..], 1),
        (&["eth0"], 1),
        (&["default"], 1),
        (&["eth1"], 0),
        (&["all", "!eth0"], 0),
        (&["default", "!eth0"], 0),
    ] {
        let mut config = Config::default();
        for name in names {
            let (name, value) = name.strip_prefix('!').map_or((*name, "1"), |name| (name, "0"));
            for family in ["ipv4", "ipv6"] {
                config.set(&format!("net.{family}.conf.{name}.drop_unicast_in_l2_multicast"), value).unwrap();
            }
        }
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        wire.sniffing = true;
        let [v4, v6] =
            [Counter::IpInDelivers, Counter::Ip6InDelivers].map(|counter| wire.counter(1, counter));
        wire.inject(1, to_all(ping(4)));
        wire.inject(1, udp(Path::v6(0, 1)));
        let discards = (wire.counter(1, Counter::IpInDiscards), wire.counter(1, Counter::Ip6InDiscards));
        assert_eq!(discards, (dropped, dropped), "{names:?}");
        let delivered =
            (wire.counter(1, Counter::IpInDelivers) - v4, wire.counter(1, Counter::Ip6InDelivers) - v6);
        assert_eq!(delivered, (1 - dropped, 1 - dropped), "{names:?}");
        // What is for everybody is taken still.
        wire.inject(1, to_all(Path::v4(0, 1).to("10.0.0.255").udp((9, 9), b"x")));
        assert_eq!(wire.counter(1, Counter::IpInDelivers) - v4, 2 - dropped, "{names:?}");
    }
}

//= RFC 1122 §3.2.1.3, type=test
//= RFC 1122 §3.2.2.6, type=test
//= RFC 1122 §3.2.1.3 MUST-5, type=test
//= RFC 4443 §2.2 MUST-2, type=test
#[test]
fn an_echo_to_everybody_is_answered_by_setting_only() {
    for (ignore, answered) in [("1", 0), ("0", 3)] {
        let mut config = Config::default();
        config.set("net.ipv4.icmp_echo_ignore_broadcasts", ignore).unwrap();
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        wire.neighbors();
        wire.sniffing = true;
        for to in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
            let echo = Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 1 });
            wire.inject(1, to_all(Path::v4(0, 1).to(to).icmpv4(echo, b"x")));
        }
        let answers = answers(&wire);
        assert_eq!(answers.len(), answered);
        assert!(answers.iter().all(|answer| answer[12..16] == [10, 0, 0, 2]), "from the address of one host");
        assert_eq!(wire.counter(1, Counter::IcmpInErrors), 3 - answered as u64);
    }
}
