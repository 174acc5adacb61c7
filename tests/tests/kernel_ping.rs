//! Echo requests both ways, over ping sockets: SOCK_DGRAM with IPPROTO_ICMP and IPPROTO_ICMPV6.

use std::net::{SocketAddr, UdpSocket};

use tapsock::bsd::{
    self, AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SO_RCVTIMEO, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET,
};
use tapsock::{Counter, SockAddr};
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::bulk::bytes;
use tapsock_tests::programs;
use tapsock_tests::sides::{PATIENCE, Side};

/// The last ones go in fragments.
const SIZES: [usize; 8] = [0, 1, 56, 999, 1400, 1440, 5000, 65_507];

fn protocol(family: Family) -> (i32, i32) {
    match family {
        Family::V4 => (AF_INET, IPPROTO_ICMP),
        Family::V6 => (AF_INET6, IPPROTO_ICMPV6),
    }
}

/// Type of the request, and of the reply.
fn kinds(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (8, 0),
        Family::V6 => (128, 129),
    }
}

/// A request, whose checksum and identifier are the socket's to fill in.
fn request(family: Family, sequence: u16, data: &[u8]) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[kinds(family).0, 0, 0, 0, 0, 0, high, low], data].concat()
}

/// Asks with data of each size, by these two calls, and compares the answers.
fn ask(family: Family, mut send: impl FnMut(&[u8]), mut receive: impl FnMut(&mut [u8]) -> usize) {
    let mut buffer = vec![0; 70_000];
    for (sequence, size) in (1..).zip(SIZES) {
        let data = bytes(size as u64, size);
        send(&request(family, sequence, &data));
        let len = receive(&mut buffer);
        let (head, rest) = buffer[..len].split_at(8);
        assert_eq!((head[0], head[1]), (kinds(family).1, 0), "{family:?}, {size} bytes");
        assert_eq!(head[6..8], sequence.to_be_bytes());
        assert_eq!(rest, data);
    }
}

fn from_the_kernel(bench: &Bench, family: Family) {
    let (domain, protocol) = protocol(family);
    let socket = bench.namespace.socket(domain, SOCK_DGRAM, protocol).unwrap();
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = bench.at(Side::Ours, family, 0);
    let send = |message: &[u8]| assert_eq!(socket.send_to(message, to).unwrap(), message.len());
    ask(family, send, |buffer| {
        let (len, from) = socket.recv_from(buffer).unwrap();
        assert_eq!(from.ip(), to.ip());
        len
    });
}

fn from_us(bench: &Bench, family: Family) {
    let (domain, protocol) = protocol(family);
    let socket = bsd::socket(&bench.host, domain, SOCK_DGRAM, protocol).unwrap();
    let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
    bsd::setsockopt(&bench.host, socket, SOL_SOCKET, SO_RCVTIMEO, &patience).unwrap();
    let to = SockAddr::from(bench.at(Side::Kernel, family, 0));
    let send = |message: &[u8]| {
        assert_eq!(bsd::sendto(&bench.host, socket, message, 0, Some(&to)).unwrap(), message.len());
    };
    ask(family, send, |buffer| {
        let (len, from) = bsd::recvfrom(&bench.host, socket, buffer, 0).unwrap();
        let from = from.and_then(|from| from.to_inet()).map(|from: SocketAddr| from.ip());
        assert_eq!(from, Some(bench.address(Side::Kernel, family)));
        len
    });
    bsd::close(&bench.host, socket).unwrap();
}

fn both_ways(setup: &Setup) {
    // The kernel gives such a socket to the groups of this range, counted as the writer of the setting counts.
    let group = rustix::process::getegid().as_raw();
    let setup = setup.clone().sysctl("net.ipv4.ping_group_range", &format!("{group} {group}"));
    let Some(bench) = setup.open() else { return };
    for family in Family::ALL {
        from_the_kernel(&bench, family);
        from_us(&bench, family);
    }
    let asked = SIZES.len() as u64;
    assert_eq!(bench.count(Counter::IcmpInEchos), asked);
    assert_eq!(bench.count(Counter::IcmpOutEchoReps), asked);
    assert_eq!(bench.count(Counter::IcmpInEchoReps), asked);
    assert_eq!(bench.count(Counter::Icmp6InEchos), asked);
    assert_eq!(bench.count(Counter::Icmp6OutEchoReplies), asked);
    assert_eq!(bench.count(Counter::Icmp6InEchoReplies), asked);
}

//= RFC 1122 §3.1 MUST-1, type=test
//= RFC 1122 §3.2.2.6 MUST-2, type=test
//= RFC 1122 §3.2.2.6 MUST-3, type=test
//= RFC 1122 §3.2.2.6 MUST-4, type=test
//= RFC 1122 §3.3.2 MUST-1, type=test
//= RFC 1122 §3.3.2 MUST-2, type=test
//= RFC 4443 §2 MUST-1, type=test
//= RFC 4443 §4.2 MUST-2, type=test
//= RFC 4443 §4.2 MUST-4, type=test
//= RFC 4443 §4.2 MUST-5, type=test
//= RFC 8200 §5 MUST-4, type=test
#[test]
fn echoes_both_ways() {
    both_ways(&Setup::new());
}

/// The machine's own program, up to the largest packet that there is.
#[test]
fn the_ping_program_reaches_us() {
    if programs::find("ping").is_none() {
        return;
    }
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        let target = bench.address(Side::Ours, family).to_string();
        for size in SIZES {
            let (size, patience) = (size.to_string(), PATIENCE.as_secs().to_string());
            // It compares what comes back with what it sent.
            let heard =
                bench.run("ping", &["-n", "-c", "2", "-i", "0.2", "-W", &patience, "-s", &size, &target]);
            assert!(heard.contains(" 0% packet loss") && !heard.contains("wrong data"), "{heard}");
        }
    }
}

#[test]
fn echoes_both_ways_without_offloads() {
    both_ways(&Setup::new().without_offloads());
}

/// A program as `ping` is: a raw socket, its own identifier and checksum, and only the replies to it counted.
#[test]
fn a_ping_program_of_raw_icmp() {
    const IDENT: u16 = 0x1234;
    let Some(bench) = Setup::new().privileged().open() else { return };
    for family in Family::ALL {
        let (domain, protocol) = protocol(family);
        let socket = bsd::socket(&bench.host, domain, SOCK_RAW, protocol).unwrap();
        let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
        bsd::setsockopt(&bench.host, socket, SOL_SOCKET, SO_RCVTIMEO, &patience).unwrap();
        let to = SockAddr::from(bench.at(Side::Kernel, family, 0));
        let send = |message: &[u8]| {
            let mut message = message.to_vec();
            message[4..6].copy_from_slice(&IDENT.to_be_bytes());
            if family == Family::V4 {
                let sum = checksum(&message);
                message[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            assert_eq!(bsd::sendto(&bench.host, socket, &message, 0, Some(&to)).unwrap(), message.len());
        };
        ask(family, send, |buffer| {
            loop {
                let (len, _) = bsd::recvfrom(&bench.host, socket, buffer, 0).unwrap();
                let header = if family == Family::V4 { usize::from(buffer[0] & 0xf) * 4 } else { 0 };
                buffer.copy_within(header..len, 0);
                if buffer[0] == kinds(family).1 && buffer[4..6] == IDENT.to_be_bytes() {
                    return len - header;
                }
            }
        });
        bsd::close(&bench.host, socket).unwrap();
    }
}

fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
    let sum = words.map(u32::from).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
