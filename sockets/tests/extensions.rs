//! What ICMP errors tell behind the packet that they quote (RFC 4884). What is expected was seen on Linux 6.18.

mod common;

use core::net::IpAddr;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::Control;
use tapsock_sockets::{Fd, Stop};
use tapsock_stack::buf::{Checksum, Chunk, Frame, HeaderBlock};
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::wire::checksum::{Sum, pseudo_header};
use tapsock_stack::wire::{IpProtocol, Ipv4Header, Ipv6Header};

/// An object of eight bytes.
const OBJECT: [u8; 8] = [0, 8, 1, 1, 0x12, 0x34, 0x56, 0x78];

/// A structure of that version with these objects, and its checksum.
fn structure(version: u8, objects: &[u8]) -> Vec<u8> {
    let mut bytes = [&[version << 4, 0, 0, 0][..], objects].concat();
    let mut sum = Sum::new();
    sum.add_bytes(&bytes);
    bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    bytes
}

/// The same with another checksum.
fn spoiled(version: u8) -> Vec<u8> {
    let mut bytes = structure(version, &OBJECT);
    bytes[2] ^= 1;
    bytes
}

/// A complaint of `kind` and `code` about what `a` sent last, of which it says that it quotes `words`; `extensions` follow
/// after `quoted` bytes.
fn complain(net: &mut Net, (kind, code): (u8, u8), words: u8, quoted: usize, extensions: &[u8]) {
    let mut quote = net.sent.last().unwrap().clone();
    let v4 = quote[0] >> 4 == 4;
    quote.resize(quoted, 0);
    let mut message = [&[kind, code, 0, 0, 0, 0, 0, 0], &quote[..], extensions].concat();
    message[if v4 { 5 } else { 4 }] = words;
    let [from, to] = if v4 { ["10.0.0.9", "10.0.0.1"] } else { ["fd00::9", "fd00::1"] };
    let mut headers = HeaderBlock::new();
    let mut sum = Sum::new();
    match [from, to].map(|address| address.parse().unwrap()) {
        [IpAddr::V4(source), IpAddr::V4(destination)] => {
            let header =
                Ipv4Header { source, destination, protocol: IpProtocol::ICMP, ..Ipv4Header::default() };
            header.prepend_to(message.len(), &mut headers);
        }
        [source @ IpAddr::V6(s6), destination @ IpAddr::V6(d6)] => {
            sum = pseudo_header(source, destination, IpProtocol::ICMPV6, message.len() as u32);
            let next_header = IpProtocol::ICMPV6;
            let header = Ipv6Header { source: s6, destination: d6, next_header, ..Ipv6Header::default() };
            header.prepend_to(message.len(), &mut headers);
        }
        _ => unreachable!("both are of one family"),
    }
    sum.add_bytes(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let bytes = Chunk::copy_from(&[&headers[..], &message].concat());
    let frame = Frame { bytes, checksum: Checksum::Unverified, gso_size: None };
    net.a.stack_mut().receive(net.now, InterfaceId(1), frame);
}

/// A socket of `a` that asks for reports, and for where extensions begin.
fn asker(net: &mut Net, domain: i32) -> Fd {
    let fd = datagram(&mut net.a, domain);
    let (level, errors, extensions) = match domain {
        AF_INET => (SOL_IP, IP_RECVERR, IP_RECVERR_RFC4884),
        _ => (SOL_IPV6, IPV6_RECVERR, IPV6_RECVERR_RFC4884),
    };
    assert_eq!(set(&mut net.a, net.now, fd, level, errors, 1), "OK");
    for (value, outcome) in [(2, "EINVAL"), (-1, "EINVAL"), (0, "OK"), (1, "OK")] {
        assert_eq!(set(&mut net.a, net.now, fd, level, extensions, value), outcome);
    }
    assert_eq!(int(&mut net.a, net.now, fd, level, extensions), 1);
    fd
}

/// The length of a report, where its extensions begin, and its flags.
fn report(net: &mut Net, fd: Fd) -> Result<(usize, u16, u8), Stop> {
    let received = net.a.try_recv(net.now, fd, 2000, MSG_ERRQUEUE)?;
    let data = match received.control.last() {
        Some(Control::ExtendedError4(error, _)) | Some(Control::ExtendedError6(error, _)) => error.data,
        other => panic!("{other:?}"),
    };
    let [a, b, flags, reserved] = data.to_ne_bytes();
    assert_eq!(reserved, 0);
    Ok((received.data.len(), u16::from_ne_bytes([a, b]), flags))
}

//= RFC 4884 §4, type=test
//= RFC 4884 §7, type=test
#[test]
fn where_extensions_begin() {
    const TIME: (u8, u8) = (11, 0);
    let good = structure(2, &OBJECT);
    let long = |len: u16| structure(2, &[&len.to_be_bytes()[..], &vec![0; usize::from(len) - 2]].concat());
    for (what, words, quoted, extensions, expected) in [
        (TIME, 32, 128, good.clone(), (112, 100, 0)),
        ((3, 1), 32, 128, good.clone(), (112, 100, 0)),
        ((3, 3), 32, 128, good.clone(), (112, 100, 0)),
        ((12, 0), 32, 128, good.clone(), (112, 100, 0)),
        (TIME, 33, 132, good.clone(), (116, 104, 0)),
        (TIME, 100, 400, good.clone(), (384, 372, 0)),
        // Without a length, or one that is too short, nobody knows.
        (TIME, 0, 128, good.clone(), (112, 0, 0)),
        (TIME, 31, 124, good.clone(), (108, 0, 0)),
        (TIME, 32, 128, good[..3].to_vec(), (103, 0, 0)),
        (TIME, 32, 128, Vec::new(), (100, 0, 0)),
        (TIME, 32, 128, [&[0x20, 0, 0, 0], &OBJECT[..]].concat(), (112, 100, 0)),
        (TIME, 32, 128, spoiled(2), (112, 100, 1)),
        // Of another version nothing is known.
        (TIME, 32, 128, spoiled(1), (112, 100, 0)),
        (TIME, 32, 128, structure(2, &[]), (104, 100, 0)),
        (TIME, 32, 128, structure(2, &[0, 4, 1, 1]), (108, 100, 0)),
        (TIME, 32, 128, structure(2, &[0, 6, 1, 1, 0, 0]), (110, 100, 0)),
        (TIME, 32, 128, structure(2, &[0, 9, 1, 1, 0, 0, 0, 5]), (112, 100, 1)),
        (TIME, 32, 128, structure(2, &[0, 3, 1, 1, 0, 0, 0, 5]), (112, 100, 1)),
        (TIME, 32, 128, structure(2, &[&OBJECT[..], &[0, 0]].concat()), (114, 100, 1)),
        (TIME, 32, 128, long(1240), (1344, 100, 0)),
    ] {
        let mut net = Net::new();
        let fd = asker(&mut net, AF_INET);
        send_to(&mut net.a, net.now, fd, &[b'x'; 200], &b(AF_INET, 9));
        net.settle();
        let _ = report(&mut net, fd);
        complain(&mut net, what, words, quoted, &extensions);
        assert_eq!(report(&mut net, fd).unwrap(), expected, "{what:?} {words} {extensions:?}");
        // Who does not ask is told nothing of it.
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_RECVERR_RFC4884, 0), "OK");
        complain(&mut net, what, words, quoted, &extensions);
        assert_eq!(report(&mut net, fd).unwrap(), (expected.0, 0, 0));
    }
}

#[test]
fn where_those_of_icmpv6_begin() {
    let good = structure(2, &OBJECT);
    for (what, words, quoted, extensions, expected) in [
        ((3, 0), 16, 128, good.clone(), (92, 80, 0)),
        ((1, 0), 16, 128, good.clone(), (92, 80, 0)),
        ((1, 4), 16, 128, good.clone(), (92, 80, 0)),
        ((4, 0), 16, 128, good.clone(), (92, 0, 0)),
        ((3, 0), 15, 120, good.clone(), (84, 0, 0)),
        ((3, 0), 16, 128, spoiled(2), (92, 80, 1)),
    ] {
        let mut net = Net::new();
        let fd = asker(&mut net, AF_INET6);
        send_to(&mut net.a, net.now, fd, &[b'x'; 200], &b(AF_INET6, 9));
        net.settle();
        let _ = report(&mut net, fd);
        complain(&mut net, what, words, quoted, &extensions);
        assert_eq!(report(&mut net, fd).unwrap(), expected, "{what:?} {words} {extensions:?}");
    }
}
