//! Frames that make no sense: each is dropped, under a counter that says why.

use tapsock_stack::buf::Frame;
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::{Family, ListenerId, TcpId};
use tapsock_stack::udp::UdpId;
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::checksum::Sum;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::ndp::{NdpMessage, NeighborSolicit};
use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader, IpProtocol, TcpFlags, TcpHeader};

use crate::packets::{Path, bytes_of, tcp_of};
use crate::udp::bound;
use crate::wire::{ETH, Fate, LINKS, PAIRS, Wire, station};

mod control;
mod transport;

/// Host 1 with a listener and an open connection at port 2000 and a UDP socket at port 5000, all of one family.
struct Target {
    wire: Wire,
    /// From host 0 to host 1.
    path: Path,
    listener: ListenerId,
    open: TcpId,
    /// A segment of the open connection that would be taken.
    segment: TcpHeader,
    udp: UdpId,
}

impl Target {
    fn new() -> Self {
        Target::at("10.0.0.2")
    }

    /// The same, where host 1 has that address.
    fn at(address: &str) -> Self {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.sniffing = true;
        let listener = wire.listen(1, address, 2000, 8);
        wire.connect(0, crate::wire::at(address, 2000));
        wire.settle();
        let open = wire[1].tcp_accept(listener).unwrap();
        let last = wire.seen.iter().rfind(|(from, frame)| *from == 0 && tcp_of(frame).is_some());
        let segment = tcp_of(&last.unwrap().1).unwrap().0;
        let udp = bound(&mut wire, 1, address, 5000);
        wire.seen.clear();
        wire.filter(|_, _| Fate::Lose);
        let path = Path::of_family(address, 0, 1);
        Target { wire, path, listener, open, segment, udp }
    }

    /// What host 1 counts of `frame`, in order.
    fn counted(&mut self, frame: Frame) -> Vec<(Counter, u64)> {
        let before = self.wire[1].counters().clone();
        self.wire.inject(1, frame);
        let after = self.wire[1].counters();
        after
            .iter()
            .map(|(counter, value)| (counter, value - before[counter]))
            .filter(|(_, n)| *n > 0)
            .collect()
    }

    /// Whether anything got through to a socket.
    fn heard(&mut self) -> bool {
        self.wire[1].udp(self.udp).unwrap().mail.is_readable()
            || self.wire[1].tcp(self.open).unwrap().readable() > 0
            || self.wire[1].listener_ready(self.listener) > 0
    }
}

/// Makes the IPv4 header's checksum right again.
pub fn mend_v4(bytes: &mut [u8]) {
    let len = 14 + usize::from(bytes[14] & 0x0f) * 4;
    bytes[24..26].fill(0);
    let mut sum = Sum::new();
    sum.add_bytes(&bytes[14..len]);
    bytes[24..26].copy_from_slice(&sum.finish().to_be_bytes());
}

/// What is done to a frame that was right, or to a part of it.
type Harm = fn(&mut Vec<u8>);

/// Where what an IP packet carries begins in its frame: behind the header, and behind hop-by-hop options.
fn upper_at(bytes: &[u8]) -> usize {
    match (bytes[14] >> 4, bytes[20]) {
        (4, _) => 34,
        (_, 0) => 54 + 8 * (1 + usize::from(bytes[55])),
        _ => 54,
    }
}

/// Does `harm` to what stands behind a frame's IP header and hop-by-hop options, whose length and checksum are made right again.
fn behind_ip(bytes: &mut Vec<u8>, harm: Harm) {
    let v4 = bytes[14] >> 4 == 4;
    let mut payload = bytes.split_off(upper_at(bytes));
    harm(&mut payload);
    bytes.extend(&payload);
    if v4 {
        bytes[16..18].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        mend_v4(bytes);
    } else {
        let len = bytes.len() - 54;
        bytes[18..20].copy_from_slice(&(len as u16).to_be_bytes());
    }
}

/// Applies each harm to `frame` and looks for its counter, and that nobody hears of it.
fn check(frame: impl Fn(&Target) -> Frame, table: &[(&str, Harm, Counter)]) {
    for (what, harm, counter) in table {
        let mut target = Target::new();
        let mut bytes = bytes_of(&frame(&target));
        harm(&mut bytes);
        unheard(&mut target, what, bytes, &[*counter]);
    }
    let mut target = Target::new();
    let whole = frame(&target);
    target.counted(whole);
    assert!(target.heard() || !target.wire.seen.is_empty(), "the frame was right before it was harmed");
}

/// That a frame counts once under each counter, that no socket hears of it, and that nobody answers it.
fn unheard(target: &mut Target, what: &str, bytes: Vec<u8>, counters: &[Counter]) {
    let counted = target.counted(Frame::from(bytes));
    for counter in counters {
        assert!(counted.contains(&(*counter, 1)), "{what}: {counted:?}");
    }
    assert!(!target.heard(), "{what}");
    assert!(target.wire.seen.iter().all(|(from, _)| *from != 1), "{what} is not answered");
}

#[test]
fn link_headers() {
    check(
        |_| Path::v4(0, 1).udp((6000, 5000), b"data"),
        &[
            ("nothing at all", |b| b.clear(), Counter::TapsockLinkInHdrErrors),
            ("half a header", |b| b.truncate(13), Counter::TapsockLinkInHdrErrors),
            ("to another station", |b| b[5] = 9, Counter::TapsockLinkInAddrErrors),
            (
                "to a group",
                |b| b[0..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 9]),
                Counter::TapsockLinkInAddrErrors,
            ),
            ("from a group", |b| b[6] |= 1, Counter::TapsockLinkInAddrErrors),
            ("another protocol", |b| b[12] = 0x99, Counter::TapsockLinkInUnknownProtos),
            ("IPv6 in a frame of IPv4", |b| b[14] = 0x60, Counter::IpInHdrErrors),
        ],
    );
}

//= RFC 1122 §3.1 SHLD-2, type=test
//= RFC 1122 §3.2.1.1 MUST-1, type=test
//= RFC 1122 §3.2.1.2 MUST-1, type=test
//= RFC 1122 §3.2.1.3 MUST-3, type=test
//= RFC 1122 §3.2.1.3 MUST-4, type=test
#[test]
fn ipv4_headers() {
    check(
        |_| Path::v4(0, 1).udp((6000, 5000), b"data"),
        &[
            ("no header", |b| b.truncate(14), Counter::IpExtInTruncatedPkts),
            ("half a header", |b| b.truncate(33), Counter::IpExtInTruncatedPkts),
            ("shorter than it says", |b| b.truncate(b.len() - 1), Counter::IpExtInTruncatedPkts),
            ("a header of 16 bytes", |b| b[14] = 0x44, Counter::IpInHdrErrors),
            ("a header of 60 bytes", |b| b[14] = 0x4f, Counter::IpExtInTruncatedPkts),
            ("a wrong checksum", |b| b[24] ^= 1, Counter::IpInHdrErrors),
            ("a length below the header's", |b| (b[17] = 19, mend_v4(b)).1, Counter::IpInHdrErrors),
            ("to another host", |b| (b[33] = 9, mend_v4(b)).1, Counter::IpInAddrErrors),
            ("to a group that we are not in", |b| (b[30] = 225, mend_v4(b)).1, Counter::IpInAddrErrors),
            (
                "to 127.0.0.1",
                |b| (b[30..34].copy_from_slice(&[127, 0, 0, 1]), mend_v4(b)).1,
                Counter::IpInAddrErrors,
            ),
            (
                "from 127.0.0.1",
                |b| (b[26..30].copy_from_slice(&[127, 0, 0, 1]), mend_v4(b)).1,
                Counter::TapsockIpInMartians,
            ),
            ("from a group", |b| (b[26] = 230, mend_v4(b)).1, Counter::TapsockIpInMartians),
            ("from the broadcast address", |b| (b[29] = 255, mend_v4(b)).1, Counter::TapsockIpInMartians),
            ("from ourselves", |b| (b[29] = 2, mend_v4(b)).1, Counter::TapsockIpInMartians),
            ("from nobody", |b| (b[26..30].fill(0), mend_v4(b)).1, Counter::TapsockIpInMartians),
            (
                "a fragment past the longest packet",
                |b| (b[20..22].copy_from_slice(&[0x1f, 0xff]), mend_v4(b)).1,
                Counter::IpReasmFails,
            ),
        ],
    );
}

#[test]
fn ipv6_headers() {
    let udp = |_: &Target| Path::v6(0, 1).udp((6000, 9), b"data");
    check(
        udp,
        &[
            ("no header", |b| b.truncate(14), Counter::Ip6InTruncatedPkts),
            ("half a header", |b| b.truncate(53), Counter::Ip6InTruncatedPkts),
            ("shorter than it says", |b| b.truncate(b.len() - 1), Counter::Ip6InTruncatedPkts),
            ("another version", |b| b[14] = 0x50, Counter::Ip6InHdrErrors),
            ("to another host", |b| b[53] = 9, Counter::Ip6InAddrErrors),
            ("to ::1", |b| (b[38] = 0, b[53] = 1).1, Counter::Ip6InAddrErrors),
            ("to a group that we are not in", |b| b[38] = 0xff, Counter::Ip6InAddrErrors),
            ("from a group", |b| b[22] = 0xff, Counter::TapsockIpInMartians),
            ("from ::1", |b| (b[22] = 0, b[23] = 0).1, Counter::TapsockIpInMartians),
            ("from nobody", |b| b[22..38].fill(0), Counter::TapsockIpInMartians),
            ("from ourselves", |b| b[37] = 2, Counter::TapsockIpInMartians),
            ("options that pass the end", |b| (b[20] = 0, b[55] = 200).1, Counter::Ip6InHdrErrors),
        ],
    );
}

//= RFC 4443 §3.4 MUST-1, type=test
//= RFC 8200 §4.2 MUST-3, type=test
//= RFC 8200 §4.4 MUST-2, type=test
//= RFC 8200 §4 MUST-1, type=test
#[test]
fn ipv6_extension_headers() {
    // Extension header, its bytes, the counter, and whether the sender is told.
    let table: [(&str, u8, Vec<u8>, Counter, bool); 14] = [
        (
            "a fragment past the longest packet",
            44,
            vec![17, 0, 0xff, 0xf8, 0, 0, 0, 1],
            Counter::Ip6ReasmFails,
            true,
        ),
        ("an option that drops", 0, vec![17, 0, 0x40, 4, 0, 0, 0, 0], Counter::Ip6InHdrErrors, false),
        ("an option that reports", 0, vec![17, 0, 0x80, 4, 0, 0, 0, 0], Counter::Ip6InHdrErrors, true),
        (
            "the same among destination options",
            60,
            vec![17, 0, 0xc0, 4, 0, 0, 0, 0],
            Counter::Ip6InHdrErrors,
            true,
        ),
        (
            "an option that passes its header",
            60,
            vec![17, 0, 1, 9, 0, 0, 0, 0],
            Counter::Ip6InHdrErrors,
            false,
        ),
        ("a source route", 43, vec![17, 0, 0, 3, 0, 0, 0, 0], Counter::Ip6InHdrErrors, true),
        (
            "hop-by-hop options behind others",
            60,
            vec![0, 0, 1, 4, 0, 0, 0, 0],
            Counter::Ip6InUnknownProtos,
            true,
        ),
        ("a jumbo payload", 0, vec![17, 0, 0xc2, 4, 0, 1, 0, 0], Counter::Ip6InHdrErrors, true),
        (
            "a jumbo option of another length",
            0,
            vec![17, 0, 0xc2, 3, 0, 1, 0, 0],
            Counter::Ip6InHdrErrors,
            false,
        ),
        ("something hidden in padding", 60, vec![17, 0, 1, 4, 0, 7, 0, 0], Counter::Ip6InHdrErrors, false),
        (
            "a router alert of another length",
            0,
            vec![17, 0, 5, 3, 0, 0, 0, 0],
            Counter::Ip6InHdrErrors,
            false,
        ),
        (
            "nine options",
            60,
            [vec![17, 2], [0x1e, 0].repeat(9), vec![0; 4]].concat(),
            Counter::Ip6InHdrErrors,
            true,
        ),
        (
            "a protocol that nobody speaks",
            60,
            vec![200, 0, 1, 4, 0, 0, 0, 0],
            Counter::Ip6InUnknownProtos,
            true,
        ),
        ("a hundred headers", 60, [60, 0, 1, 4, 0, 0, 0, 0].repeat(100), Counter::Ip6InHdrErrors, true),
    ];
    for (what, first, mut bytes, counter, told) in table {
        let mut target = Target::new();
        bytes.extend([0; 8]);
        let counted = target.counted(Path::v6(0, 1).raw(IpProtocol(first), &bytes));
        assert!(counted.contains(&(counter, 1)), "{what}: {counted:?}");
        let problems = target.wire.counter(1, Counter::Icmp6OutParmProblems);
        assert_eq!(problems, u64::from(told), "{what}");
    }
}

#[test]
fn arp_packets() {
    let request = |_: &Target| {
        let packet = ArpPacket {
            operation: ArpOperation::Request,
            sender_hardware: station(0),
            sender_ip: "10.0.0.1".parse().unwrap(),
            target_hardware: EthernetAddress::default(),
            target_ip: "10.0.0.2".parse().unwrap(),
        };
        let mut headers = tapsock_stack::buf::HeaderBlock::new();
        packet.prepend_to(&mut headers);
        EthernetHeader { destination: station(1), source: station(0), ether_type: EtherType::Arp }
            .prepend_to(&mut headers);
        Frame::from(headers.to_vec())
    };
    check(
        request,
        &[
            ("cut short", |b| b.truncate(b.len() - 1), Counter::TapsockArpInErrors),
            ("other hardware", |b| b[15] = 6, Counter::TapsockArpInErrors),
            ("another protocol", |b| b[16] = 9, Counter::TapsockArpInErrors),
            ("addresses of another length", |b| b[18] = 8, Counter::TapsockArpInErrors),
            ("another operation", |b| b[21] = 9, Counter::TapsockArpInErrors),
            ("from a group's station", |b| b[22] |= 1, Counter::TapsockArpInErrors),
            ("from a group", |b| b[28] = 230, Counter::TapsockArpInErrors),
            ("from 127.0.0.1", |b| b[28] = 127, Counter::TapsockArpInErrors),
            ("from the broadcast address", |b| b[31] = 255, Counter::TapsockArpInErrors),
            ("from our own address", |b| b[31] = 2, Counter::TapsockAddressConflicts),
        ],
    );
}

#[test]
fn frames_of_a_link_that_is_down() {
    let mut target = Target::new();
    let now = target.wire.now;
    target.wire[1].set_link_down(now, crate::wire::ETH);
    let counted = target.counted(Path::v4(0, 1).udp((6000, 5000), b"data"));
    assert_eq!(counted, [(Counter::TapsockLinkInDown, 1)]);
}

//= RFC 4443 §2.4, type=test
#[test]
fn nobody_is_told_of_options_who_can_not_have_sent_them() {
    let mut target = Target::new();
    let harms: [fn(&mut Vec<u8>); 2] = [|b| b[37] = 2, |b| (b[22..37].fill(0), b[37] = 1).1];
    for harm in harms {
        let mut bytes = bytes_of(&Path::v6(0, 1).raw(IpProtocol(60), &[17, 0, 0x80, 4, 0, 0, 0, 0]));
        harm(&mut bytes);
        let counted = target.counted(Frame::from(bytes));
        assert!(counted.contains(&(Counter::TapsockIpInMartians, 1)), "{counted:?}");
        assert!(!counted.contains(&(Counter::Icmp6OutParmProblems, 1)), "{counted:?}");
    }
}

#[test]
fn an_interface_of_bare_ip_tells_versions_apart() {
    use tapsock_stack::wire::offload::{LinkCaps, Medium};
    let mut target = Target::new();
    let tun = station(7);
    let id = target.wire[1].add_interface("tun0", tun, LinkCaps::plain(Medium::Ip, 1500)).unwrap();
    let now = target.wire.now;
    for bytes in [vec![], vec![0x50; 40], vec![0xff; 1500]] {
        let before = target.wire.counter(1, Counter::TapsockLinkInHdrErrors);
        target.wire[1].receive(now, id, Frame::from(bytes));
        assert_eq!(target.wire.counter(1, Counter::TapsockLinkInHdrErrors), before + 1);
    }
    let udp = target.wire[1].udp_open(Family::V4);
    assert!(!target.wire[1].udp(udp).unwrap().mail.is_readable());
}
