//! ICMP errors that a UDP socket hears of, as Linux 6.18 tells them.

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
use tapsock_stack::error::SocketError;
use tapsock_stack::error_queue::{ErrorDeliveries, ErrorDelivery};
use tapsock_stack::stack::SocketId;
use tapsock_stack::wire::icmp::TimeExceededCode;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};

use crate::packets::{Path, packet_of};
use crate::wire::{LINKS, Wire, at, family_of};

/// Which errors the socket asked for, its mode, and whether it is connected.
pub type Setting = (ErrorDelivery, PathMtuDiscovery, bool);

pub const CONNECTED: Setting = (ErrorDelivery::HardWhenConnected, PathMtuDiscovery::Want, true);
const LOOSE: Setting = (ErrorDelivery::HardWhenConnected, PathMtuDiscovery::Want, false);
pub const ASKED: Setting = (ErrorDelivery::All, PathMtuDiscovery::Want, true);

/// What a socket of host 0 is told when host 2 complains about its datagram to host 1.
fn told(address: &str, setting: Setting, complaint: impl Fn(&[u8]) -> Frame) -> Option<SocketError> {
    let mut wire = Wire::new(3, LINKS[0]);
    let (delivery, mode, connected) = setting;
    let id = wire[0].udp_open(family_of(address));
    let socket = wire[0].udp_mut(id).unwrap();
    (socket.error_delivery, socket.discovery) =
        (ErrorDeliveries { v4: delivery, v6: delivery }, Discovery { v4: mode, v6: mode });
    if connected {
        wire[0].udp_connect(id, Some(at(address, 5000))).unwrap();
    }
    wire.neighbors();
    wire.sniffing = true;
    let now = wire.now;
    wire[0].udp_send(now, id, Rope::from(vec![1; 99]), Some(at(address, 5000)), Default::default()).unwrap();
    wire.flush();
    wire.events(0);
    let complaint = complaint(packet_of(&wire.seen[0].1));
    wire.inject(0, complaint);
    let error = wire[0].udp_take_error(id);
    assert_eq!(wire.events(0).contains(&SocketId::Udp(id)), error.is_some(), "told where there is something");
    error
}

fn about_v4(setting: Setting, message: Icmpv4Message) -> Option<SocketError> {
    told("10.0.0.2", setting, |quote| Path::v4(2, 0).icmpv4(message, &quote[..28]))
}

pub fn about_v6(setting: Setting, message: Icmpv6Message) -> Option<SocketError> {
    told("fd00::2", setting, |quote| Path::v6(2, 0).icmpv6(message, quote, 64))
}

//= RFC 1122 §4.1.3.3, type=test
//= RFC 1122 §3.2.2.4 MUST-1, type=test
//= RFC 4443 §3.3 MUST-2, type=test
#[test]
fn time_exceeded_is_told_to_who_asked_for_it() {
    let code = TimeExceededCode(0);
    let expected = Some(SocketError::HostUnreachable);
    assert_eq!(about_v4(ASKED, Icmpv4Message::TimeExceeded { code }), expected);
    assert_eq!(about_v4(CONNECTED, Icmpv4Message::TimeExceeded { code }), None);
    assert_eq!(about_v6(ASKED, Icmpv6Message::TimeExceeded { code }), expected);
    assert_eq!(about_v6(CONNECTED, Icmpv6Message::TimeExceeded { code }), None);
}

//= RFC 4443 §3.2 MUST-2, type=test
#[test]
fn a_connected_socket_is_told_that_its_datagram_was_too_large() {
    let code = icmpv4::UnreachableCode::FRAGMENTATION_NEEDED;
    let (v4, v6) = (
        Icmpv4Message::DestinationUnreachable { code, mtu: 1300 },
        Icmpv6Message::PacketTooBig { mtu: 1300 },
    );
    let modes = [
        (PathMtuDiscovery::Dont, false, false),
        (PathMtuDiscovery::Want, true, true),
        (PathMtuDiscovery::Do, true, true),
        (PathMtuDiscovery::Probe, true, true),
        (PathMtuDiscovery::Interface, true, false),
        (PathMtuDiscovery::Omit, true, false),
    ];
    for (mode, by_v4, by_v6) in modes {
        let setting = (ErrorDelivery::HardWhenConnected, mode, true);
        let too_long = |heard: bool| heard.then_some(SocketError::MessageTooLong);
        assert_eq!(about_v4(setting, v4), too_long(by_v4), "{mode:?}");
        assert_eq!(about_v6(setting, v6), too_long(by_v6), "{mode:?}");
    }
    assert_eq!((about_v4(LOOSE, v4), about_v6(LOOSE, v6)), (None, None));
}

//= RFC 1122 §3.2.2.1, type=test
//= RFC 1122 §3.2.2.1 MUST-1, type=test
//= RFC 1122 §3.4 MUST-5, type=test
//= RFC 4443 §3.1 MUST-3, type=test
#[test]
fn each_code_of_unreachable_means_an_error() {
    use SocketError::*;
    let v4 = [
        (0, None),
        (1, None),
        (2, Some(ProtocolUnreachable)),
        (3, Some(ConnectionRefused)),
        (5, None),
        (6, Some(NetworkUnreachable)),
        (7, Some(HostDown)),
        (8, Some(HostIsolated)),
        (9, Some(NetworkUnreachable)),
        (10, Some(HostUnreachable)),
        (11, None),
        (12, None),
        (13, Some(HostUnreachable)),
        (14, Some(HostUnreachable)),
        (15, Some(HostUnreachable)),
    ];
    for (code, expected) in v4 {
        let code = icmpv4::UnreachableCode(code);
        let message = Icmpv4Message::DestinationUnreachable { code, mtu: 0 };
        assert_eq!(about_v4(CONNECTED, message), expected, "{code:?}");
    }
    let v6 = [
        (0, None),
        (1, Some(PermissionDenied)),
        (2, None),
        (3, None),
        (4, Some(ConnectionRefused)),
        (5, Some(PermissionDenied)),
        (6, Some(PermissionDenied)),
        (7, Some(Protocol)),
    ];
    for (code, expected) in v6 {
        let message = Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode(code) };
        assert_eq!(about_v6(CONNECTED, message), expected, "{code}");
    }
}
