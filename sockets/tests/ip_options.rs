//! Options of IPv4's header, as sockets send and hear them. What is expected was measured on Linux 6.18.

mod common;

use common::*;
use tapsock_sockets::Fd;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ControlMessages};
use tapsock_stack::buf::Rope;

/// Room for a record of two addresses.
const RECORD: [u8; 11] = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same where it was sent by `a` and came to `b`, and filled up.
const RECORDED: [u8; 12] = [7, 11, 12, 10, 0, 0, 1, 10, 0, 0, 2, 0];
const ALERT: [u8; 4] = [148, 4, 0, 0];
/// Loosely by 10.0.0.9.
const ROUTE: [u8; 7] = [131, 7, 4, 10, 0, 0, 9];
/// Of a type that nobody knows.
const UNKNOWN: [u8; 4] = [30, 4, 0, 1];

/// A sender on `a`, and a receiver on `b` at port 9000 that asks for all options.
fn pair(net: &mut Net, domain: i32) -> (Fd, Fd) {
    let (sender, receiver) = (datagram(&mut net.a, domain), datagram(&mut net.b, domain));
    net.b.bind(net.now, receiver, &any(domain, 9000)).unwrap();
    for option in [IP_RECVOPTS, IP_RETOPTS] {
        assert_eq!(int(&mut net.b, net.now, receiver, SOL_IP, option), 0);
        assert_eq!(set(&mut net.b, net.now, receiver, SOL_IP, option, 1), "OK");
        assert_eq!(int(&mut net.b, net.now, receiver, SOL_IP, option), 1);
    }
    (sender, receiver)
}

fn set_options(net: &mut Net, socket: Fd, options: &[u8]) -> String {
    errno(net.a.set_option(net.now, socket, SOL_IP, IP_OPTIONS, options))
}

fn options_of(net: &mut Net, socket: Fd) -> Vec<u8> {
    net.a.option(net.now, socket, SOL_IP, IP_OPTIONS).unwrap().as_bytes().to_vec()
}

/// What the receiver is told of a datagram that is sent with these control messages.
fn told(net: &mut Net, (sender, receiver): (Fd, Fd), len: usize, control: &[u8]) -> Vec<Control> {
    let mut data = Rope::from(vec![7; len]);
    let to = b(AF_INET, 9000);
    assert_eq!(said(net.a.try_sendmsg(net.now, sender, &mut data, control, 0, Some(&to))), "OK");
    net.settle();
    let received = net.b.try_recv(net.now, receiver, 100_000, MSG_DONTWAIT).unwrap();
    assert!(received.data.to_vec().ends_with(&vec![7; len]));
    received.control
}

/// All options, and those for an answer.
fn both(all: &[u8], returned: &[u8]) -> Vec<Control> {
    vec![Control::IpOptions(all.to_vec()), Control::ReturnOptions(returned.to_vec())]
}

//= RFC 1122 §3.2.1.8 MUST-1, type=test
//= RFC 1122 §3.2.1.8 MUST-2, type=test
//= RFC 1122 §3.4 MUST-3, type=test
#[test]
fn what_one_sends_the_other_hears() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    assert_eq!(told(&mut net, (sender, receiver), 1, &[]), [], "there are none");
    assert_eq!(options_of(&mut net, sender), []);
    for (options, kept, heard, returned) in [
        (&RECORD[..], &[&RECORD[..], &[0]].concat()[..], &RECORDED[..], &RECORDED[..]),
        (
            &[&RECORD[..], &[1]].concat(),
            &[&RECORD[..], &[1]].concat(),
            &{
                let mut heard = RECORDED;
                heard[11] = 1;
                heard
            },
            &RECORDED,
        ),
        (&ALERT, &ALERT, &ALERT, &[]),
        (&[1, 1, 1], &[1, 1, 1, 0], &[1, 1, 1, 0], &[]),
        // A full record is as it was.
        (&[7, 3, 4], &[7, 3, 4, 0], &[7, 3, 4, 0], &[7, 3, 4, 0]),
        (&[0; 40], &[0; 40], &[0; 40], &[]),
    ] {
        assert_eq!(set_options(&mut net, sender, options), "OK", "{options:?}");
        assert_eq!(options_of(&mut net, sender), kept);
        assert_eq!(told(&mut net, (sender, receiver), 1, &[]), both(heard, returned), "{options:?}");
    }
    // None any more.
    assert_eq!(set_options(&mut net, sender, &[]), "OK");
    assert_eq!(told(&mut net, (sender, receiver), 1, &[]), []);
}

#[test]
fn each_host_on_the_way_leaves_its_time() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    let mut options = [0; 20];
    options[..4].copy_from_slice(&[68, 20, 5, 1]);
    assert_eq!(set_options(&mut net, sender, &options), "OK");
    let heard = told(&mut net, (sender, receiver), 1, &[]);
    let [Control::IpOptions(all), Control::ReturnOptions(returned)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(all, returned);
    assert_eq!((all[2], &all[4..8], &all[12..16]), (21, &[10, 0, 0, 1][..], &[10, 0, 0, 2][..]));
}

#[test]
fn what_may_not_be_sent() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    let broken = [7, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    for options in [&broken[..], &[0; 41], &ROUTE, &UNKNOWN] {
        assert_eq!(set_options(&mut net, sender, options), "EINVAL", "{options:?}");
    }
    assert_eq!(told(&mut net, (sender, receiver), 1, &[]), []);
    // Who may do all may send what nobody knows.
    let mut net = Net::with(tapsock_sockets::Permission::Privileged);
    let (sender, receiver) = pair(&mut net, AF_INET);
    assert_eq!(set_options(&mut net, sender, &ROUTE), "EINVAL");
    assert_eq!(set_options(&mut net, sender, &UNKNOWN), "OK");
    assert_eq!(told(&mut net, (sender, receiver), 1, &[]), both(&UNKNOWN, &[]));
}

#[test]
fn a_message_says_it_for_one_datagram() {
    let mut net = Net::new();
    let ends = pair(&mut net, AF_INET);
    let message = |options: &[u8]| {
        let mut control = ControlMessages::with_room(100);
        control.push(&Control::ReturnOptions(options.to_vec()));
        control.into_bytes()
    };
    assert_eq!(told(&mut net, ends, 1, &message(&RECORD)), both(&RECORDED, &RECORDED));
    assert_eq!(told(&mut net, ends, 1, &[]), []);
    // As on Linux, an empty one is none, and what is behind the room for options is cut off.
    assert_eq!(set_options(&mut net, ends.0, &ALERT), "OK");
    assert_eq!(told(&mut net, ends, 1, &message(&[])), []);
    assert_eq!(told(&mut net, ends, 1, &message(&[0; 41])), both(&[0; 40], &[]));
    let mut data = Rope::from(&b"x"[..]);
    let unknown = message(&UNKNOWN);
    let sent = net.a.try_sendmsg(net.now, ends.0, &mut data, &unknown, 0, Some(&b(AF_INET, 9000)));
    assert_eq!(said(sent), "EINVAL");
}

/// The options take of what the path takes: a datagram that just fits without them is cut, and is whole again.
#[test]
fn a_datagram_with_options_may_have_to_be_cut() {
    let mut net = Net::new();
    let ends = pair(&mut net, AF_INET);
    assert_eq!(set_options(&mut net, ends.0, &RECORD), "OK");
    for (len, packets) in [(1460, 1), (1461, 2), (1472, 2), (60_000, 41)] {
        net.sent.clear();
        assert_eq!(told(&mut net, ends, len, &[]), both(&RECORDED, &RECORDED), "{len} bytes");
        assert_eq!(net.sent.len(), packets, "{len} bytes");
    }
}

#[test]
fn sockets_of_ipv6_send_them_to_ipv4() {
    let mut net = Net::new();
    let (sender, _) = pair(&mut net, AF_INET6);
    let receiver = datagram(&mut net.b, AF_INET);
    net.b.bind(net.now, receiver, &any(AF_INET, 9001)).unwrap();
    set(&mut net.b, net.now, receiver, SOL_IP, IP_RECVOPTS, 1);
    assert_eq!(set_options(&mut net, sender, &RECORD), "OK");
    let mut data = Rope::from(&b"x"[..]);
    let to = addr("::ffff:10.0.0.2", 9001);
    net.a.try_send(net.now, sender, &mut data, 0, Some(&to)).unwrap();
    net.settle();
    let received = net.b.try_recv(net.now, receiver, 100, MSG_DONTWAIT).unwrap();
    assert_eq!(received.control, [Control::IpOptions(RECORDED.to_vec())]);
}

/// A stream says the same in each of its segments, which are as much shorter; what the SYN announces stays.
//= RFC 9293 MAY-10, type=test
//= RFC 9293 MAY-11, type=test
#[test]
fn each_segment_of_a_stream_has_them() {
    let mut net = Net::new();
    let listener = net.b.socket(AF_INET, SOCK_STREAM, 0).unwrap();
    net.b.bind(net.now, listener, &b(AF_INET, 8000)).unwrap();
    net.b.set_option(net.now, listener, SOL_IP, IP_OPTIONS, &ALERT).unwrap();
    net.b.listen(net.now, listener, 5).unwrap();
    let client = stream(&mut net.a, AF_INET);
    assert_eq!(set_options(&mut net, client, &ROUTE), "EINVAL");
    assert_eq!(set_options(&mut net, client, &RECORD), "OK");
    assert_eq!(options_of(&mut net, client), [&RECORD[..], &[0]].concat());
    let _ = net.a.try_connect(net.now, client, &b(AF_INET, 8000));
    net.settle();
    let (server, _) = net.b.try_accept(net.now, listener, 0).unwrap();
    let most = |net: &mut Net| int(&mut net.a, net.now, client, SOL_TCP, TCP_MAXSEG);
    assert_eq!(most(&mut net), 1460 - 12 - 12);
    let mut data = Rope::from(vec![7; 5000]);
    net.a.try_send(net.now, client, &mut data, 0, None).unwrap();
    net.settle();
    assert_eq!(net.b.try_recv(net.now, server, 9000, 0).unwrap().data.len(), 5000);
    for packet in &net.sent {
        assert_eq!((packet[0], &packet[20..28]), (0x48, &[7, 11, 8, 10, 0, 0, 1, 0][..]));
        assert!(packet.len() <= 1500);
    }
    // As on Linux, those of a listener are not those of its connections.
    assert_eq!(net.b.option(net.now, server, SOL_IP, IP_OPTIONS).unwrap().as_bytes(), []);
    assert_eq!(net.sent[0][32 + 20..][..4], [2, 4, 5, 0xb4], "1460 bytes");
    net.sent.clear();
    assert_eq!(set_options(&mut net, client, &[]), "OK");
    assert_eq!(most(&mut net), 1460 - 12);
    net.a.try_send(net.now, client, &mut Rope::from(vec![7; 1448]), 0, None).unwrap();
    net.settle();
    assert_eq!((net.sent[0][0], net.sent[0].len()), (0x45, 1500));
    // The time as well.
    net.sent.clear();
    assert_eq!(set_options(&mut net, client, &[68, 8, 5, 0, 0, 0, 0, 0]), "OK");
    net.a.try_send(net.now, client, &mut Rope::from(vec![7; 10]), 0, None).unwrap();
    net.settle();
    assert_eq!((net.sent[0][0], &net.sent[0][20..24]), (0x47, &[68, 8, 9, 0][..]));
    assert_ne!(net.sent[0][24..28], [0; 4]);
}

#[test]
fn requests_of_ping_sockets_have_them() {
    let mut net = Net::new();
    let fd = net.a.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
    assert_eq!(set_options(&mut net, fd, &RECORD), "OK");
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_RECVERR, 1), "OK");
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_MTU_DISCOVER, 2), "OK");
    let ping = |net: &mut Net, len: usize| {
        let mut message = vec![0; len];
        message[0] = 8;
        said(net.a.try_send(net.now, fd, &mut Rope::from(message), 0, Some(&b(AF_INET, 0))))
    };
    assert_eq!(ping(&mut net, 1468), "OK");
    net.settle();
    assert_eq!((net.sent[0].len(), &net.sent[0][20..31]), (1500, &[7, 11, 8, 10, 0, 0, 1, 0, 0, 0, 0][..]));
    assert_eq!(net.a.try_recv(net.now, fd, 2000, MSG_DONTWAIT).unwrap().data.len(), 1468);
    // What is told of one that is too long is the room for all but options.
    assert_eq!(ping(&mut net, 1469), "EMSGSIZE");
    let report = net.a.try_recv(net.now, fd, 9, MSG_ERRQUEUE).unwrap();
    let Some(Control::ExtendedError4(error, _)) = report.control.last() else { panic!("{report:?}") };
    assert_eq!(error.info, 1500 - 12);
}

#[test]
fn raw_sockets_send_and_hear_them() {
    let mut net = Net::with(tapsock_sockets::Permission::Privileged);
    let [sender, receiver] =
        [&mut net.a, &mut net.b].map(|host| host.socket(AF_INET, SOCK_RAW, 253).unwrap());
    set(&mut net.b, net.now, receiver, SOL_IP, IP_RECVOPTS, 1);
    assert_eq!(set_options(&mut net, sender, &RECORD), "OK");
    let heard = told(&mut net, (sender, receiver), 30, &[]);
    assert_eq!(heard, [Control::IpOptions(RECORDED.to_vec())]);
    for (option, value) in [(IP_RECVERR, 1), (IP_MTU_DISCOVER, 2)] {
        assert_eq!(set(&mut net.a, net.now, sender, SOL_IP, option, value), "OK");
    }
    let to = b(AF_INET, 0);
    let mut send = |len| said(net.a.try_send(net.now, sender, &mut Rope::from(vec![0; len]), 0, Some(&to)));
    assert_eq!((send(1468), send(1469)), ("OK".into(), "EMSGSIZE".into()));
    let report = net.a.try_recv(net.now, sender, 9, MSG_ERRQUEUE).unwrap();
    let Some(Control::ExtendedError4(error, _)) = report.control.last() else { panic!("{report:?}") };
    assert_eq!(error.info, 1500 - 12);
}
