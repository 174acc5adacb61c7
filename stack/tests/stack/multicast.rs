//! Groups: who hears what, and what routers are told.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::{Config, SettingError};
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::Way;
use tapsock_stack::iface::multicast::{
    Filter, FilterMode, MAX_GROUPS, MAX_MERGED, MAX_SOURCES, MembershipError,
};
use tapsock_stack::ports::Transport;
use tapsock_stack::stack::{GroupChange, RawSendOptions, SocketId, UdpSendOptions};
use tapsock_stack::udp::UdpId;
use tapsock_stack::wire::group::{Record, RecordKind, igmp_member, igmp_report, mld_report};
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::{EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header};

use crate::packets::{Path, packet_of};
use crate::wire::{ETH, Fate, LINKS, Wire, at, family_of, station};

mod questions;
mod reports;

const GROUPS: [&str; 2] = ["239.1.1.1", "ff05::1:3"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A socket at port 5000, of any address.
fn listener(wire: &mut Wire, host: usize, group: &str) -> UdpId {
    let id = wire[host].udp_open(family_of(group));
    let any = if group.contains(':') { "::" } else { "0.0.0.0" };
    let mut request = tapsock_stack::ports::BindRequest::new(
        Transport::Udp,
        tapsock_stack::ports::LocalAddr::new(any.parse().unwrap(), 0),
    );
    request.port = 5000;
    request.reuse_address = true;
    let bind = wire[host].bind(request).unwrap();
    wire[host].udp_bind(id, bind);
    id
}

fn change(wire: &mut Wire, host: usize, id: UdpId, group: &str, change: GroupChange) {
    wire[host].udp_change_group(id, ETH, ip(group), change).unwrap();
}

/// Host 0 sends to the group.
fn send(wire: &mut Wire, group: &str, options: UdpSendOptions) {
    let id = wire[0].udp_open(family_of(group));
    let now = wire.now;
    let options = UdpSendOptions { interface: Some(ETH), ..options };
    wire[0].udp_send(now, id, Rope::from(vec![7]), Some(at(group, 5000)), options).unwrap();
    wire[0].udp_close(id);
    wire.settle();
}

/// How many datagrams wait there, which are taken.
fn heard(wire: &mut Wire, host: usize, id: UdpId) -> usize {
    core::iter::from_fn(|| wire[host].udp_recv(id).ok()).count()
}

//= RFC 1112 §6.1, type=test
//= RFC 1112 §7.2, type=test
//= RFC 1122 §3.3.7 SHLD-1, type=test
//= RFC 4861 §4.3 MUST-3, type=test
#[test]
fn each_member_gets_a_copy() {
    for group in GROUPS {
        let mut wire = Wire::new(3, LINKS[0]);
        let [near, first, second, other] = [0, 1, 2, 1].map(|host| listener(&mut wire, host, group));
        for (host, id) in [(0, near), (1, first), (2, second)] {
            change(&mut wire, host, id, group, GroupChange::Join);
        }
        wire.sniffing = true;
        send(&mut wire, group, UdpSendOptions::default());
        let asks =
            |frame: &Frame| frame.bytes[12..14] == [8, 6] || frame.bytes[20] == 58 && frame.bytes[54] == 135;
        assert!(
            !wire.seen.is_empty() && !wire.seen.iter().any(|(_, frame)| asks(frame)),
            "nobody is a group"
        );
        wire.sniffing = false;
        assert_eq!([(0, near), (1, first), (2, second)].map(|(host, id)| heard(&mut wire, host, id)), [1; 3]);
        // Who did not join hears it all the same, unless it says otherwise.
        assert_eq!(heard(&mut wire, 1, other), 1);
        wire[1].udp_mut(other).unwrap().own_groups_only = (true, true);
        send(&mut wire, group, UdpSendOptions { no_loop: true, ..Default::default() });
        assert_eq!(
            (heard(&mut wire, 0, near), heard(&mut wire, 1, first), heard(&mut wire, 1, other)),
            (0, 1, 0)
        );
        // No further than this host.
        send(&mut wire, group, UdpSendOptions { hop_limit: Some(0), ..Default::default() });
        assert_eq!((heard(&mut wire, 0, near), heard(&mut wire, 1, first)), (1, 0));
        change(&mut wire, 1, first, group, GroupChange::Leave);
        wire[2].udp_close(second);
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!(
            (heard(&mut wire, 1, first), heard(&mut wire, 1, other)),
            (0, 0),
            "the host is out of the group"
        );
        assert!(wire.counter(2, Counter::TapsockLinkInAddrErrors) > 0, "its frames do not even pass");
    }
}

//= RFC 3678 §4.1.2, type=test
//= RFC 9776 §3.2, type=test
#[test]
fn sources_are_filtered_for_each_socket() {
    for (group, source, stranger) in [(GROUPS[0], "10.0.0.1", "10.0.0.9"), (GROUPS[1], "fd00::1", "fd00::9")]
    {
        let mut wire = Wire::new(2, LINKS[0]);
        let [only, but] = [listener(&mut wire, 1, group), listener(&mut wire, 1, group)];
        change(&mut wire, 1, only, group, GroupChange::JoinSource(ip(stranger)));
        change(&mut wire, 1, but, group, GroupChange::Join);
        change(&mut wire, 1, but, group, GroupChange::Block(ip(stranger)));
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!((heard(&mut wire, 1, only), heard(&mut wire, 1, but)), (0, 1));
        change(&mut wire, 1, only, group, GroupChange::JoinSource(ip(source)));
        change(&mut wire, 1, but, group, GroupChange::Unblock(ip(stranger)));
        change(&mut wire, 1, but, group, GroupChange::Block(ip(source)));
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!((heard(&mut wire, 1, only), heard(&mut wire, 1, but)), (1, 0));
        let again = wire[1].udp_change_group(but, ETH, ip(group), GroupChange::Join);
        assert_eq!(again, Err(MembershipError::Joined));
        let nowhere = tapsock_stack::iface::InterfaceId(9);
        let missing = wire[1].udp_change_group(but, nowhere, ip(group), GroupChange::Join);
        assert_eq!(missing, Err(MembershipError::NoInterface));
    }
}

/// A host whose reports are seen.
fn reporting() -> Wire {
    reporting_by(&Config::default())
}

fn reporting_by(config: &Config) -> Wire {
    let mut wire = Wire::with_config(1, LINKS[0], config);
    wire.sniffing = true;
    wire.filter(|_, _| Fate::Lose);
    wire
}

/// What the host sent about groups: the packets.
fn reports(wire: &Wire) -> Vec<Vec<u8>> {
    let frames = wire.seen.iter().map(|(_, frame)| packet_of(frame).to_vec());
    // Neighbour discovery goes further than MLD.
    frames.filter(|packet| if packet[0] >> 4 == 4 { packet[9] == 2 } else { packet[7] == 1 }).collect()
}

/// The group in which host 0 is asked for its addresses of IPv6.
const SOLICITED: &str = "ff02::1:ff00:1";

fn octets(address: &str) -> Vec<u8> {
    match ip(address) {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ours(group: &str) -> (IpAddr, EthernetAddress) {
    match group.contains(':') {
        true => (ip("fe80::ff:fe00:1"), EthernetAddress::multicast_for(ip("ff02::16"))),
        false => (ip("10.0.0.1"), EthernetAddress::multicast_for(ip("224.0.0.22"))),
    }
}

/// The report that has this record.
fn report(group: &str, kind: RecordKind, sources: &[&str]) -> Vec<u8> {
    let record =
        Record { kind, group: ip(group), sources: sources.iter().map(|source| ip(source)).collect() };
    let packet = match ours(group).0 {
        IpAddr::V4(source) => igmp_report(source, &[record]),
        IpAddr::V6(source) => mld_report(source, &[record]),
    };
    packet.to_frame().bytes.to_vec()
}

#[test]
fn what_raw_and_ping_sockets_send_to_a_group_is_heard_here_too() {
    for group in GROUPS {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        let [near, far] = [0, 1].map(|host| listener(&mut wire, host, group));
        change(&mut wire, 0, near, group, GroupChange::Join);
        change(&mut wire, 1, far, group, GroupChange::Join);
        let raw = |wire: &mut Wire, host: usize| {
            wire[host].raw_open(family_of(group), if group.contains(':') { 58 } else { 1 }).unwrap()
        };
        let [ours, theirs] = [0, 1].map(|host| raw(&mut wire, host));
        let (now, to) = (wire.now, Some(at(group, 0)));
        let message = |kind: u8| vec![kind, 0, 0, 0, 0, 1, 0, 1];
        let options = |hop_limit| RawSendOptions { interface: Some(ETH), hop_limit, ..Default::default() };
        let counts = |wire: &mut Wire| {
            [(0, ours), (1, theirs)]
                .map(|(host, id)| core::iter::from_fn(|| wire[host].raw_recv(id).ok()).count())
        };
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, options(None)).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [1, 1], "{group}");
        let unheard = RawSendOptions { no_loop: true, ..options(None) };
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, unheard).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [0, 1], "{group}");
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, options(Some(0))).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [1, 0], "no further than this host");
        let v6 = group.contains(':');
        let ping = wire[0].ping_open(family_of(group)).unwrap();
        wire[0].ping_set_way(ping, Way { device: Some(ETH), ..Way::default() });
        wire[0].ping_send(now, ping, &Rope::from(message(if v6 { 128 } else { 8 })), to).unwrap();
        wire.settle();
        // Echoes to groups are answered over IPv6 only: by ourselves, and by the other.
        assert_eq!(counts(&mut wire), if v6 { [3, 1] } else { [1, 1] }, "{group}");
    }
}

//= RFC 3678 §4.1.3, type=test
#[test]
fn all_sources_are_named_at_once() {
    for (group, a, b) in [(GROUPS[0], "10.0.0.1", "10.0.0.9"), (GROUPS[1], "fd00::1", "fd00::9")] {
        let mut wire = Wire::new(2, LINKS[0]);
        let id = listener(&mut wire, 1, group);
        wire[1].udp_mut(id).unwrap().own_groups_only = (true, true);
        let socket = SocketId::Udp(id);
        let filter =
            |mode, sources: &[&str]| Filter { mode, sources: sources.iter().map(|a| ip(a)).collect() };
        let set = |wire: &mut Wire, filter| wire[1].set_group_filter(socket, ETH, ip(group), filter);
        let not_there = set(&mut wire, filter(FilterMode::Include, &[a]));
        assert_eq!(not_there, Err(MembershipError::OtherMode));
        change(&mut wire, 1, id, group, GroupChange::Join);
        for (wanted, hears) in [
            (filter(FilterMode::Exclude, &[b, a, b]), 0),
            (filter(FilterMode::Include, &[b, a]), 1),
            (filter(FilterMode::Include, &[b]), 0),
            (filter(FilterMode::Exclude, &[b]), 1),
        ] {
            set(&mut wire, wanted.clone()).unwrap();
            let known = wire[1].group_filter(socket, ETH, ip(group)).unwrap().clone();
            assert_eq!(known.mode, wanted.mode);
            assert!(known.sources.is_sorted() && known.sources.len() <= 2, "{known:?}");
            send(&mut wire, group, UdpSendOptions::default());
            assert_eq!(heard(&mut wire, 1, id), hears, "{wanted:?}");
        }
        let too_many = Filter {
            mode: FilterMode::Include,
            sources: (0..65).map(|n| IpAddr::from([10, 0, 1, n])).collect(),
        };
        assert_eq!(set(&mut wire, too_many), Err(MembershipError::Full));
        set(&mut wire, Filter::NONE).unwrap();
        assert_eq!(wire[1].group_filter(socket, ETH, ip(group)), None, "it has left");
    }
}

#[test]
fn raw_sockets_join_groups() {
    let group = GROUPS[0];
    let mut wire = Wire::new(2, LINKS[0]);
    let raw = wire[1].raw_open(family_of(group), 17).unwrap();
    let socket = SocketId::Raw(raw);
    let count = |wire: &mut Wire| {
        send(wire, group, UdpSendOptions::default());
        core::iter::from_fn(|| wire[1].raw_recv(raw).ok()).count()
    };
    assert_eq!(count(&mut wire), 0, "the interface does not hear it");
    wire[1].change_group(socket, ETH, ip(group), GroupChange::Join).unwrap();
    assert_eq!(count(&mut wire), 1);
    wire[1].change_group(socket, ETH, ip(group), GroupChange::Block(ip("10.0.0.1"))).unwrap();
    assert_eq!(count(&mut wire), 0);
    wire[1].raw_close(raw);
    assert!(!wire[1].interfaces().accepts(ETH, ip(group)), "who closes leaves");
}
