//! What ends a connection, and what is dropped, is counted as Linux counts.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::{Linger, UdpSendOptions};
use tapsock_stack::tcp::Shutdown;
use tapsock_stack::wire::icmp::TimeExceededCode;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::ndp::{NdpMessage, NeighborAdvert, NeighborSolicit};

use crate::packets::{Path, packet_of};
use crate::udp::bound;
use crate::wire::{ETH, LINKS, PAIRS, Wire, at};

fn counts<const N: usize>(wire: &Wire, host: usize, counters: [Counter; N]) -> [u64; N] {
    counters.map(|counter| wire.counter(host, counter))
}

const ENDS: [Counter; 4] = [
    Counter::TcpEstabResets,
    Counter::TcpExtTCPAbortOnData,
    Counter::TcpExtTCPAbortOnClose,
    Counter::TcpOutRsts,
];

#[test]
fn a_connection_that_is_reset_while_open_counts_at_both_ends() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, _there) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_close(now, here, Linger::Abort);
    wire.settle();
    assert_eq!(counts(&wire, 0, ENDS), [1, 1, 0, 1], "SO_LINGER of 0");
    assert_eq!(counts(&wire, 1, ENDS), [1, 0, 0, 0]);
}

#[test]
fn data_that_nobody_has_read_counts_apart() {
    for linger in [Linger::Background, Linger::Abort] {
        let mut wire = Wire::new(2, LINKS[0]);
        let (here, there) = wire.pair(1, "10.0.0.2");
        let now = wire.now;
        wire[1].tcp_write(now, there, Rope::from(&b"unread"[..])).unwrap();
        wire.settle();
        let now = wire.now;
        wire[0].tcp_close(now, here, linger);
        wire.settle();
        assert_eq!(counts(&wire, 0, ENDS), [1, 0, 1, 1], "{linger:?}");
    }
}

#[test]
fn an_orderly_end_is_no_reset() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    for (host, id) in [(0, here), (1, there)] {
        let now = wire.now;
        wire[host].tcp_shutdown(now, id, Shutdown::Write).unwrap();
        wire.settle();
        wire[host].tcp_close(now, id, Linger::Background);
    }
    wire.run_for(Duration::from_millis(100));
    assert_eq!(counts(&wire, 0, ENDS), [0; 4]);
    assert_eq!(counts(&wire, 1, ENDS), [0; 4]);
    // As on Linux 6.18: the SYN of who connected, and both FINs.
    let delivered = [0, 1].map(|host| wire.counter(host, Counter::TcpExtTCPDelivered));
    assert_eq!(delivered, [2, 1]);
}

#[test]
fn a_window_that_closes_and_opens_again_is_counted() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    let (mut written, mut read) = (0, 0);
    // Until it fits no more, and nobody reads.
    for _ in 0..100 {
        let now = wire.now;
        let room = wire[0].tcp_free_space(here);
        written += wire[0].tcp_write(now, here, Rope::from(vec![7; room.min(1 << 16)])).unwrap();
        wire.run_for(Duration::from_millis(50));
    }
    let zero = [Counter::TcpExtTCPToZeroWindowAdv, Counter::TcpExtTCPFromZeroWindowAdv];
    assert_eq!(counts(&wire, 1, zero), [1, 0]);
    while read < written {
        let now = wire.now;
        read += wire[1].tcp_read(now, there, 1 << 16).map_or(0, |data| data.len());
        wire.run_for(Duration::from_millis(50));
    }
    let [to, from] = counts(&wire, 1, zero);
    assert!(to == from && to > 0, "{to}, {from}");
    assert!(wire.counter(0, Counter::TcpExtTCPPureAcks) > 0);
}

/// What crosses between two hosts, as the senders count it and as the receiver does.
#[test]
fn packets_and_their_bytes_are_counted_on_both_sides() {
    const V4: ([Counter; 2], [Counter; 3]) = (
        [Counter::IpOutRequests, Counter::IpExtOutOctets],
        [Counter::IpInReceives, Counter::IpExtInOctets, Counter::IpInDelivers],
    );
    const V6: ([Counter; 2], [Counter; 3]) = (
        [Counter::Ip6OutRequests, Counter::Ip6OutOctets],
        [Counter::Ip6InReceives, Counter::Ip6InOctets, Counter::Ip6InDelivers],
    );
    for ((_, there), (sent, received), header) in [(PAIRS[0], V4, 20), (PAIRS[1], V6, 40)] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        let socket = bound(&mut wire, 1, there, 5000);
        let before = (counts(&wire, 0, sent), counts(&wire, 1, received));
        let id = wire[0].udp_open(crate::wire::family_of(there));
        let send = |wire: &mut Wire| {
            let now = wire.now;
            let payload = Rope::from(vec![7; 100]);
            wire[0].udp_send(now, id, payload, Some(at(there, 5000)), UdpSendOptions::default()).unwrap();
            wire.settle();
        };
        (0..3).for_each(|_| send(&mut wire));
        assert!((0..3).all(|_| wire[1].udp_recv(socket).is_ok()));
        let (out, arrived) = (counts(&wire, 0, sent), counts(&wire, 1, received));
        let bytes = 3 * (header + 8 + 100);
        assert_eq!([0, 1].map(|n| out[n] - before.0[n]), [3, bytes], "{there}");
        assert_eq!([0, 1, 2].map(|n| arrived[n] - before.1[n]), [3, bytes, 3], "{there}");
    }
}

#[test]
fn fragments_are_counted_where_they_are_made_and_where_they_are_put_together() {
    const V4: [Counter; 4] =
        [Counter::IpFragOKs, Counter::IpFragCreates, Counter::IpReasmReqds, Counter::IpReasmOKs];
    const V6: [Counter; 4] =
        [Counter::Ip6FragOKs, Counter::Ip6FragCreates, Counter::Ip6ReasmReqds, Counter::Ip6ReasmOKs];
    for ((_, there), counters) in [(PAIRS[0], V4), (PAIRS[1], V6)] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        let socket = bound(&mut wire, 1, there, 5000);
        let id = wire[0].udp_open(crate::wire::family_of(there));
        let (now, payload) = (wire.now, Rope::from(vec![7; 4000]));
        wire[0].udp_send(now, id, payload, Some(at(there, 5000)), UdpSendOptions::default()).unwrap();
        wire.settle();
        assert_eq!(wire[1].udp_recv(socket).unwrap().payload.len(), 4000);
        assert_eq!(counts(&wire, 0, counters), [1, 3, 0, 0], "{there}");
        assert_eq!(counts(&wire, 1, counters), [0, 0, 3, 1], "{there}");
    }
}

/// Each message counts under its kind, whatever becomes of it.
#[test]
fn messages_are_counted_by_their_kind() {
    let quoted = |path: Path| {
        let (source, destination) = (path.destination, path.source);
        let ours = Path { source, destination, ..path }.udp((5000, 6000), b"data");
        packet_of(&ours).to_vec()
    };
    let v4 = |message| Path::v4(0, 1).icmpv4(message, &quoted(Path::v4(0, 1)));
    let v6 = |message| Path::v6(0, 1).icmpv6(message, &quoted(Path::v6(0, 1)), 64);
    let ndp = |message: NdpMessage| Path::v6(0, 1).icmpv6(Icmpv6Message::Ndp(message), &[], 255);
    let code = TimeExceededCode::IN_TRANSIT;
    let solicit = NeighborSolicit { target: "fd00::2".parse().unwrap(), source_link: None };
    let (target, target_link) = ("fd00::1".parse().unwrap(), None);
    let advert = NeighborAdvert { target, router: false, solicited: true, override_: false, target_link };
    let redirect = Icmpv6Message::Other { kind: 137, code: 0, rest: [0; 4] };
    let table = [
        (
            v4(Icmpv4Message::DestinationUnreachable { code: icmpv4::UnreachableCode::PORT, mtu: 0 }),
            Counter::IcmpInDestUnreachs,
        ),
        (v4(Icmpv4Message::TimeExceeded { code }), Counter::IcmpInTimeExcds),
        (v4(Icmpv4Message::ParameterProblem { code: 0, pointer: 20 }), Counter::IcmpInParmProbs),
        (
            v6(Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode::PORT }),
            Counter::Icmp6InDestUnreachs,
        ),
        (v6(Icmpv6Message::PacketTooBig { mtu: 1400 }), Counter::Icmp6InPktTooBigs),
        (v6(Icmpv6Message::TimeExceeded { code }), Counter::Icmp6InTimeExcds),
        (
            v6(Icmpv6Message::ParameterProblem {
                code: icmpv6::ParameterProblemCode::ERRONEOUS_FIELD,
                pointer: 40,
            }),
            Counter::Icmp6InParmProblems,
        ),
        (ndp(solicit.into()), Counter::Icmp6InNeighborSolicits),
        (ndp(advert.into()), Counter::Icmp6InNeighborAdvertisements),
        (Path::v6(0, 1).icmpv6(redirect, &[0; 32], 255), Counter::Icmp6InRedirects),
    ];
    for (frame, counter) in table {
        let mut wire = Wire::new(2, LINKS[0]);
        let now = wire.now;
        wire[1].receive(now, ETH, frame);
        let v4 = counter.name().starts_with("IcmpIn");
        let all = if v4 { Counter::IcmpInMsgs } else { Counter::Icmp6InMsgs };
        assert_eq!(counts(&wire, 1, [all, counter]), [1, 1], "{counter:?}");
    }
}
