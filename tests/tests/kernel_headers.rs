//! Packets with headers that are seldom seen, sent by hand to either side: both answer alike.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, SocketAddrAny};
use tapsock::SockAddr;
use tapsock::bsd::{
    self, AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_RAW, SO_RCVTIMEO, SOCK_RAW, SOL_SOCKET,
};
use tapsock_tests::bench::{Bench, Family, Setup, address};
use tapsock_tests::sides::{PATIENCE, Side};

/// Raw sockets of one side: one to send by, with a header, and one that hears ICMP.
enum Sockets<'a> {
    Ours { bench: &'a Bench, send: i32, hear: i32 },
    Kernel { send: OwnedFd, hear: OwnedFd },
}

impl<'a> Sockets<'a> {
    fn open(bench: &'a Bench, side: Side, family: Family) -> Self {
        let (domain, icmp) = match family {
            Family::V4 => (AF_INET, IPPROTO_ICMP),
            Family::V6 => (AF_INET6, IPPROTO_ICMPV6),
        };
        let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
        match side {
            Side::Ours => {
                let open = |protocol| bsd::socket(&bench.host, domain, SOCK_RAW, protocol).unwrap();
                let (send, hear) = (open(IPPROTO_RAW), open(icmp));
                bsd::setsockopt(&bench.host, hear, SOL_SOCKET, SO_RCVTIMEO, &patience).unwrap();
                Sockets::Ours { bench, send, hear }
            }
            Side::Kernel => {
                let open = |protocol| bench.namespace.socket(domain, SOCK_RAW, protocol).unwrap();
                let (send, hear) = (open(IPPROTO_RAW), open(icmp));
                let timeout = rustix::net::sockopt::Timeout::Recv;
                rustix::net::sockopt::set_socket_timeout(&hear, timeout, Some(PATIENCE)).unwrap();
                Sockets::Kernel { send, hear }
            }
        }
    }

    fn send(&self, packet: &[u8], to: IpAddr) {
        let to = std::net::SocketAddr::new(to, 0);
        match self {
            Sockets::Ours { bench, send, .. } => {
                let to = SockAddr::from(to);
                assert_eq!(bsd::sendto(&bench.host, *send, packet, 0, Some(&to)).unwrap(), packet.len());
            }
            Sockets::Kernel { send, .. } => {
                let to = SocketAddrAny::from(to);
                assert_eq!(rustix::net::sendto(send, packet, SendFlags::empty(), &to).unwrap(), packet.len());
            }
        }
    }

    fn hear(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2000];
        let len = match self {
            Sockets::Ours { bench, hear, .. } => bsd::recvfrom(&bench.host, *hear, &mut buffer, 0).unwrap().0,
            Sockets::Kernel { hear, .. } => {
                rustix::net::recv(hear, &mut buffer, RecvFlags::empty()).unwrap().0
            }
        };
        buffer.truncate(len);
        buffer
    }

    /// What comes back of `packet`: all ICMP messages up to the answer to an echo that is sent after it, each from
    /// its IP header on where it is IPv4's.
    fn answers(&self, packet: &[u8], fence: &[u8], to: IpAddr) -> Vec<Vec<u8>> {
        self.answers_to_all(&[packet.to_vec()], fence, to)
    }

    /// The same of several packets.
    fn answers_to_all(&self, packets: &[Vec<u8>], fence: &[u8], to: IpAddr) -> Vec<Vec<u8>> {
        packets.iter().for_each(|packet| self.send(packet, to));
        self.send(fence, to);
        let mut heard = Vec::new();
        loop {
            let message = self.hear();
            let at = if to.is_ipv4() { usize::from(message[0] & 0xf) * 4 } else { 0 };
            match message[at] {
                // Neighbour discovery, and requests of the other side.
                8 | 128 | 130..=137 | 143 => {}
                0 | 129 if message[at + 4..at + 6] == FENCE.to_be_bytes() => return heard,
                _ => heard.push(message),
            }
        }
    }
}

/// Identifiers of the echo that is asked about, and of the one behind it.
const PROBE: u16 = 0x7071;
const FENCE: u16 = 0x7072;

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let words = bytes.chunks(2).map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
    let sum = words.map(u32::from).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An IPv6 packet from `from`, with `extensions` before an echo request.
fn packet_v6(from: Side, ident: u16, first: u8, extensions: &[u8]) -> Vec<u8> {
    let [source, to] = [from, from.other()].map(|side| octets(address(side, Family::V6)));
    let [high, low] = ident.to_be_bytes();
    let mut echo = vec![128, 0, 0, 0, high, low, 0, 1, b'd', b'a', b't', b'a'];
    let check = sum(&[&source, &to, &[0, 0, 0, 12, 0, 0, 0, 58], &echo]);
    echo[2..4].copy_from_slice(&check.to_be_bytes());
    let len = (extensions.len() + echo.len()) as u16;
    let head = [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[first, 64]].concat();
    [&head, &source, &to, extensions, &echo].concat()
}

/// What either side says of such packets: the type, code and pointer of each message.
fn compare_v6(bench: &Bench, table: &[(&str, u8, Vec<u8>)]) {
    let said = |side: Side| -> Vec<Vec<(u8, u8, u32)>> {
        let sockets = Sockets::open(bench, side, Family::V6);
        let fence = packet_v6(side, FENCE, 58, &[]);
        let to = address(side.other(), Family::V6);
        let ask = |(_, first, extensions): &(&str, u8, Vec<u8>)| {
            let answers = sockets.answers(&packet_v6(side, PROBE, *first, extensions), &fence, to);
            let read = |message: Vec<u8>| match message[0] {
                4 => (4, message[1], u32::from_be_bytes(message[4..8].try_into().unwrap())),
                kind => (kind, message[1], 0),
            };
            answers.into_iter().map(read).collect()
        };
        table.iter().map(ask).collect()
    };
    // Who is asked answers: the kernel our packets, and we the kernel's.
    let (kernels, ours) = (said(Side::Ours), said(Side::Kernel));
    assert_eq!(kernels[0], [(129, 0, 0)], "the first is taken");
    for ((what, ..), (kernel, our)) in table.iter().zip(kernels.iter().zip(&ours)) {
        assert_eq!(kernel, our, "{what}: the kernel's answer, ours");
    }
}

/// Extension headers that each name the next, ICMPv6 at the end; what a body lacks is padded.
fn chain(headers: &[(u8, &[u8])]) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    for (index, (_, body)) in headers.iter().enumerate() {
        let next = headers.get(index + 1).map_or(58, |(next, _)| *next);
        let mut header = [&[next, 0], *body].concat();
        header.resize(header.len().next_multiple_of(8), 0);
        header[1] = (header.len() / 8 - 1) as u8;
        bytes.extend(header);
    }
    (headers[0].0, bytes)
}

//= RFC 8200 §4.2, type=test
//= RFC 8200 §4.4, type=test
//= RFC 8200 §4 MUST-1, type=test
//= RFC 8200 §4 MUST-2, type=test
//= RFC 8200 §4 MUST-3, type=test
//= RFC 8200 §4.1 MUST-1, type=test
//= RFC 8200 §4.2 MUST-1, type=test
//= RFC 8200 §4.2 MUST-2, type=test
//= RFC 8200 §4.2 MUST-3, type=test
//= RFC 8200 §4.2 MUST-6, type=test
//= RFC 8200 §4.4 MUST-1, type=test
//= RFC 8200 §4.4 MUST-2, type=test
#[test]
fn extension_headers_are_answered_as_by_the_kernel() {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const DESTINATION: u8 = 60;
    const PAD: &[u8] = &[1, 4, 0, 0, 0, 0];
    // Neither side counts its errors.
    let setup = Setup::new().privileged().sysctl("net.ipv6.icmp.ratelimit", "0");
    let setup = setup.setting("net.ipv6.icmp.ratelimit", "0").setting("net.ipv4.icmp_msgs_burst", "10000");
    let Some(bench) = setup.sysctl("net.ipv4.icmp_msgs_burst", "10000").open() else { return };
    let mut table = Vec::new();
    let mut add = |what, headers: &[(u8, &[u8])]| {
        let (first, bytes) = chain(headers);
        table.push((what, first, bytes));
    };
    add("padding", &[(HOP_BY_HOP, PAD), (DESTINATION, PAD)]);
    add("padding that is not zero", &[(DESTINATION, &[1, 4, 0, 1, 0, 0])]);
    add("too much padding", &[(HOP_BY_HOP, &[0; 14])]);
    add("eight options", &[(HOP_BY_HOP, &[0x1e, 0].repeat(8))]);
    for kind in [0x1e, 0x5e, 0x9e, 0xde] {
        add("an unknown option, hop by hop", &[(HOP_BY_HOP, &[kind, 4, 0, 0, 0, 0])]);
        add("an unknown option", &[(HOP_BY_HOP, PAD), (DESTINATION, &[0, kind, 3, 0, 0, 0])]);
    }
    add("an option to tell of behind one to drop by", &[(DESTINATION, &[0x5e, 0, 0x9e, 0, 0, 0])]);
    add("an option to drop by behind one to tell of", &[(DESTINATION, &[0x9e, 0, 0x5e, 0, 0, 0])]);
    let dropped: &[u8] = &[0x5e, 4, 0, 0, 0, 0];
    add("a header to tell of behind one to drop by", &[(DESTINATION, dropped), (HOP_BY_HOP, PAD)]);
    add("a router alert", &[(HOP_BY_HOP, &[5, 2, 0, 0, 1, 0])]);
    add("a router alert of three bytes", &[(HOP_BY_HOP, &[5, 3, 0, 0, 0, 0])]);
    add("a jumbo payload that is small", &[(HOP_BY_HOP, &[0xc2, 4, 0, 0, 0, 32])]);
    add("a jumbo payload beside a length", &[(HOP_BY_HOP, &[0xc2, 4, 0, 1, 0, 32])]);
    add("a jumbo payload elsewhere", &[(HOP_BY_HOP, &[0, 0, 0xc2, 4, 0, 1, 0, 32, 0, 0, 0, 0, 0, 0])]);
    add("a jumbo payload among destination options", &[(DESTINATION, &[0xc2, 4, 0, 1, 0, 32])]);
    add("hop-by-hop options behind others", &[(DESTINATION, PAD), (HOP_BY_HOP, PAD)]);
    // 3 and 4 are known to the kernel, and off: it drops them without a word.
    for kind in [0, 1, 2, 100] {
        add("a routing header at its end", &[(ROUTING, &[kind, 0, 0, 0, 0, 0])]);
        add("a routing header", &[(ROUTING, &[&[kind, 1][..], &[0; 20]].concat())]);
    }
    add("many headers", &[(DESTINATION, PAD); 60]);
    compare_v6(&bench, &table);
}

/// An IPv4 packet from `from`, with `options` in its header, that carries an echo request.
fn packet_v4(from: Side, ident: u16, options: &[u8]) -> Vec<u8> {
    let [source, to] = [from, from.other()].map(|side| octets(address(side, Family::V4)));
    let [high, low] = ident.to_be_bytes();
    let mut echo = vec![8, 0, 0, 0, high, low, 0, 1, b'd', b'a', b't', b'a'];
    let check = sum(&[&echo]);
    echo[2..4].copy_from_slice(&check.to_be_bytes());
    let words = 5 + options.len() as u8 / 4;
    let total = words * 4 + echo.len() as u8;
    let head = [0x40 | words, 0, 0, total, 0, 1, 0, 0, 64, 1, 0, 0];
    let mut packet = [&head[..], &source, &to, options, &echo].concat();
    let check = sum(&[&packet[..usize::from(words) * 4]]);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet
}

/// What either side says of such packets: type, code and pointer of each message, its TOS, and its options but for
/// times. Addresses are told by the roles of who has them, so that they compare.
fn compare_v4(bench: &Bench, table: &[(&str, Vec<u8>)]) {
    type Message = (u8, u8, u8, u8, Vec<u8>);
    let said = |side: Side| -> Vec<Vec<Message>> {
        let sockets = Sockets::open(bench, side, Family::V4);
        let fence = packet_v4(side, FENCE, &[]);
        let to = address(side.other(), Family::V4);
        let roles = [(to, [1; 4]), (address(side, Family::V4), [2; 4])];
        let read = |message: Vec<u8>| {
            let len = usize::from(message[0] & 0xf) * 4;
            let mut options = message[20..len].to_vec();
            for at in 0..options.len().saturating_sub(3) {
                for (address, role) in roles {
                    if options[at..at + 4] == octets(address) {
                        options[at..at + 4].copy_from_slice(&role);
                    }
                }
            }
            blank_times(&mut options);
            let mut pointer = 0;
            if message[len] == 12 {
                pointer = message[len + 4];
                // The kernel's complaint has what it had read until then.
                options.clear();
            }
            (message[len], message[len + 1], pointer, message[1], options)
        };
        let ask = |(_, options): &(&str, Vec<u8>)| {
            let own = octets(to);
            // "Us" in a prespecified address is whoever is asked.
            let options = match options.windows(4).position(|bytes| bytes == WHOEVER) {
                Some(at) => [&options[..at], &own, &options[at + 4..]].concat(),
                None => options.clone(),
            };
            let answers = sockets.answers(&packet_v4(side, PROBE, &options), &fence, to);
            answers.into_iter().map(read).collect()
        };
        table.iter().map(ask).collect()
    };
    let (kernels, ours) = (said(Side::Ours), said(Side::Kernel));
    assert_eq!(kernels[0], [(0, 0, 0, 0, Vec::new())], "the first is taken");
    for ((what, _), (kernel, our)) in table.iter().zip(kernels.iter().zip(&ours)) {
        assert_eq!(kernel, our, "{what}: the kernel's answer, ours");
    }
}

const WHOEVER: [u8; 4] = [1, 9, 8, 7];

/// What each host stamps is its own time: only that it did is compared.
fn blank_times(options: &mut [u8]) {
    let Some(at) = options.iter().position(|byte| *byte == 68) else { return };
    let (with_address, len) = (options[at + 3] & 15 != 0, usize::from(options[at + 1]));
    let entries = options[at + 4..at + len].chunks_mut(if with_address { 8 } else { 4 });
    for entry in entries {
        let time = entry.len() - 4;
        if entry[time..] != [0; 4] {
            entry[time..].fill(0xff);
        }
    }
}

//= RFC 1122 §3.2.1.8, type=test
//= RFC 1122 §3.2.2.6, type=test
//= RFC 1122 §3.2.1.8 MUST-3, type=test
//= RFC 1122 §3.2.1.8c MUST-4, type=test
//= RFC 1122 §3.2.2.6 SHLD-2, type=test
//= RFC 1122 §3.2.1.8d MAY-1, type=test
//= RFC 1122 §3.2.1.8e MAY-1, type=test
#[test]
fn ipv4_options_are_answered_as_by_the_kernel() {
    // Neither side counts its errors.
    let setup = Setup::new().privileged();
    let setup = ["net.ipv4.icmp_ratelimit", "net.ipv4.icmp_ratemask"]
        .into_iter()
        .fold(setup, |setup, name| setup.sysctl(name, "0").setting(name, "0"));
    let Some(bench) = setup.open() else { return };
    let record = |pointer: u8, room: u8| [vec![7, room, pointer], vec![0; usize::from(room) - 3]].concat();
    let stamps = |pointer: u8, flags: u8| [vec![68, 12, pointer, flags], vec![0; 8]].concat();
    let table = [
        ("none", vec![]),
        ("a record of the route", record(4, 15)),
        ("one that is full", record(16, 15)),
        ("one whose pointer is odd", record(5, 15)),
        ("one whose pointer is in its head", record(3, 15)),
        ("one without a pointer", vec![7, 2]),
        ("one with room for half an address", record(12, 14)),
        ("two records", [record(4, 7), record(4, 7)].concat()),
        ("timestamps", stamps(5, 0)),
        ("timestamps that are full", stamps(13, 0)),
        ("timestamps that too many had no room in", stamps(13, 0xf0)),
        ("timestamps with addresses", stamps(5, 1)),
        ("our timestamp", [vec![68, 12, 5, 3], WHOEVER.to_vec(), vec![0; 4]].concat()),
        ("another's timestamp", [vec![68, 12, 5, 3, 192, 0, 2, 9], vec![0; 4]].concat()),
        ("timestamps of no known kind", stamps(5, 2)),
        ("timestamps whose pointer is in their head", stamps(4, 0)),
        ("a source route", vec![131, 7, 4, 192, 0, 2, 9]),
        ("a source route at its end", vec![131, 7, 8, 192, 0, 2, 9]),
        ("a strict source route at its end", vec![137, 7, 8, 192, 0, 2, 9]),
        ("two source routes of both kinds", vec![131, 3, 4, 137, 3, 4]),
        ("an unknown option", vec![0x9e, 4, 1, 2]),
        ("an unknown option of one byte", vec![0x1e, 1, 1, 2]),
        ("an unknown option of none", vec![0x1e, 0, 1, 2]),
        ("an unknown option that is too long", vec![0x1e, 8, 1, 2]),
        ("a router alert", vec![148, 4, 0, 0]),
        ("a router alert of three bytes", vec![148, 3, 0]),
        ("options behind the end", vec![0, 0x1e, 1, 2]),
        ("a record and timestamps", [record(4, 7), stamps(5, 1)].concat()),
    ];
    let padded = table.map(|(what, mut options)| {
        options.resize(options.len().next_multiple_of(4), 0);
        (what, options)
    });
    compare_v4(&bench, &padded);
}

/// A piece of an echo request: where it is said to stand, whether more follow, and which of the request's bytes it has.
type Piece = (u16, bool, std::ops::Range<usize>);

/// Pieces of an echo request of 48 bytes, and what is said of them: nothing, an answer, or a complaint.
fn fragments() -> Vec<(&'static str, Vec<Piece>)> {
    let whole: Vec<Piece> = vec![(0, true, 0..16), (16, true, 16..32), (32, false, 32..48)];
    let in_order = |order: &[usize]| order.iter().map(|at| whole[*at].clone()).collect::<Vec<_>>();
    vec![
        ("in order", whole.clone()),
        ("backwards", in_order(&[2, 1, 0])),
        ("the middle last", in_order(&[0, 2, 1])),
        ("pieces that come twice", in_order(&[0, 0, 1, 1, 2])),
        ("a hole", in_order(&[0, 2])),
        ("no beginning", in_order(&[1, 2])),
        (
            "pieces as small as can be",
            (0..6).map(|n| (n * 8, n < 5, n as usize * 8..n as usize * 8 + 8)).collect(),
        ),
        ("one piece, which is all", vec![(0, false, 0..48)]),
        ("a piece that lies in another", vec![(0, true, 0..32), (8, true, 8..16), (32, false, 32..48)]),
        ("an overlap", vec![(0, true, 0..24), (16, true, 16..32), (32, false, 32..48)]),
        ("an overlap with what follows", vec![(16, true, 16..32), (32, false, 32..48), (0, true, 0..24)]),
        (
            "no piece of before an overlap",
            vec![(0, true, 0..16), (8, true, 8..24), (16, true, 16..32), (32, false, 32..48)],
        ),
        ("a piece around another", vec![(16, true, 16..24), (0, true, 0..32), (32, false, 32..48)]),
        ("an end before the end", vec![(0, true, 0..16), (32, false, 32..48), (16, false, 16..32)]),
        ("something behind the end", vec![(16, false, 16..32), (0, true, 0..16), (32, false, 32..48)]),
        (
            "bytes behind the end",
            vec![(0, true, 0..16), (32, false, 32..48), (48, true, 0..8), (16, true, 16..32)],
        ),
        ("nothing in a piece", vec![(0, true, 0..0), (0, true, 0..16), (16, false, 16..48)]),
        ("past the longest packet", vec![(65_528, false, 0..16)]),
    ]
}

/// What either side says of such pieces: type, code and pointer of each message.
fn compare_fragments(bench: &Bench, family: Family, table: &[(&str, Vec<Piece>)]) {
    let said = |side: Side| -> Vec<Vec<(u8, u8, u32)>> {
        let sockets = Sockets::open(bench, side, family);
        let to = address(side.other(), family);
        let (fence, probe) = match family {
            Family::V4 => (packet_v4(side, FENCE, &[]), packet_v4(side, PROBE, &[])),
            Family::V6 => (packet_v6(side, FENCE, 58, &[]), packet_v6(side, PROBE, 58, &[])),
        };
        let ask = |(number, (_, pieces)): (usize, &(&str, Vec<Piece>))| {
            let packets: Vec<Vec<u8>> =
                pieces.iter().map(|piece| fragment(&probe, number as u16 + 1, piece)).collect();
            let answers = sockets.answers_to_all(&packets, &fence, to);
            let read = |message: Vec<u8>| {
                let at = if to.is_ipv4() { usize::from(message[0] & 0xf) * 4 } else { 0 };
                match message[at] {
                    0 | 129 => (message[at], 0, message.len() as u32 - at as u32),
                    kind => (
                        kind,
                        message[at + 1],
                        u32::from_be_bytes(message[at + 4..at + 8].try_into().unwrap()),
                    ),
                }
            };
            answers.into_iter().map(read).collect()
        };
        table.iter().enumerate().map(ask).collect()
    };
    let (kernels, ours) = (said(Side::Ours), said(Side::Kernel));
    assert_eq!(kernels[0].len(), 1, "the first is answered");
    for ((what, _), (kernel, our)) in table.iter().zip(kernels.iter().zip(&ours)) {
        assert_eq!(kernel, our, "{family:?}: {what}: the kernel's answer, ours");
    }
}

/// A piece of `packet`, which carries an echo request that is made 48 bytes long.
fn fragment(packet: &[u8], name: u16, (offset, more, range): &Piece) -> Vec<u8> {
    let v4 = packet[0] >> 4 == 4;
    let (head, echo) = packet.split_at(if v4 { 20 } else { 40 });
    let mut echo = echo.to_vec();
    echo.resize(48, 7);
    echo[2..4].fill(0);
    let pseudo = [&head[8..40.min(head.len())], &[0, 0, 0, 48, 0, 0, 0, 58]].concat();
    let check = if v4 { sum(&[&echo]) } else { sum(&[&pseudo, &echo]) };
    echo[2..4].copy_from_slice(&check.to_be_bytes());
    let (piece, mut head) = (&echo[range.clone()], head.to_vec());
    if v4 {
        head[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        head[4..6].copy_from_slice(&name.to_be_bytes());
        head[6..8].copy_from_slice(&((offset / 8) | (u16::from(*more) << 13)).to_be_bytes());
        head[10..12].fill(0);
        let check = sum(&[&head]);
        head[10..12].copy_from_slice(&check.to_be_bytes());
        return [&head[..], piece].concat();
    }
    head[4..6].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
    head[6] = 44;
    let field = (offset | u16::from(*more)).to_be_bytes();
    let [high, low] = name.to_be_bytes();
    [&head[..], &[58, 0, field[0], field[1], 0, 0, high, low], piece].concat()
}

//= RFC 1122 §3.2.1.4 MUST-1, type=test
//= RFC 5722 §4, type=test
//= RFC 6946 §4, type=test
//= RFC 8200 §4.5 MUST-8, type=test
//= RFC 8200 §4.5 MUST-9, type=test
//= RFC 8200 §4.5 MUST-10, type=test
//= RFC 8200 §4.5 MUST-11, type=test
#[test]
fn fragments_are_answered_as_by_the_kernel() {
    let settings = ["net.ipv4.icmp_ratelimit", "net.ipv4.icmp_ratemask", "net.ipv6.icmp.ratelimit"];
    let setup = settings
        .into_iter()
        .fold(Setup::new().privileged(), |setup, name| setup.sysctl(name, "0").setting(name, "0"));
    let Some(bench) = setup.open() else { return };
    for family in Family::ALL {
        let mut table = fragments();
        // IPv4's is cut to a multiple of eight, so that the rest is missing; IPv6's is complained of.
        table.push(("a ragged piece", vec![(0, true, 0..12), (16, false, 16..48)]));
        compare_fragments(&bench, family, &table);
    }
}

/// Who sent the first piece is told that the rest did not come; who sent another is not.
//= RFC 1122 §3.3.2 MUST-4, type=test
//= RFC 8200 §4.5 MUST-6, type=test
#[test]
fn pieces_without_the_rest_are_told_of_as_by_the_kernel() {
    let times = ["net.ipv4.ipfrag_time", "net.ipv6.ip6frag_time"];
    let setup = times
        .into_iter()
        .fold(Setup::new().privileged(), |setup, name| setup.sysctl(name, "1").setting(name, "1"));
    let Some(bench) = setup.open() else { return };
    for family in Family::ALL {
        for side in [Side::Ours, Side::Kernel] {
            let sockets = Sockets::open(&bench, side, family);
            let to = address(side.other(), family);
            let (fence, probe) = match family {
                Family::V4 => (packet_v4(side, FENCE, &[]), packet_v4(side, PROBE, &[])),
                Family::V6 => (packet_v6(side, FENCE, 58, &[]), packet_v6(side, PROBE, 58, &[])),
            };
            // That the other is not told is seen by what is told of this one, whose time is over later.
            sockets.send(&fragment(&probe, 1, &(16, true, 16..32)), to);
            sockets.send(&fragment(&probe, 2, &(0, true, 0..16)), to);
            let (kind, head) = match family {
                Family::V4 => (11, 20),
                Family::V6 => (3, 0),
            };
            let told = loop {
                let message = sockets.hear();
                if message[head] == kind {
                    break message[head..].to_vec();
                }
            };
            assert_eq!(told[1], 1, "{family:?}, {side:?}: of reassembly");
            let name = if family == Family::V4 { 8 + 5 } else { 8 + 40 + 7 };
            assert_eq!(told[name], 2, "{family:?}, {side:?}: it quotes the first piece");
            assert_eq!(sockets.answers_to_all(&[], &fence, to), Vec::<Vec<u8>>::new());
        }
    }
}
