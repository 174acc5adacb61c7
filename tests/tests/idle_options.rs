//! Options that a kind of socket takes and that change nothing there, neither on Linux nor here: `docs/sockets/idle.tsv`.
//! A program of what the option could change gives the same with it and without it, on both stacks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Prepare, Script, Sock, without_effect};
use tapsock_tests::differential::{Both, Name};
use tapsock_tests::socket_options::idle;

/// A protocol that nobody has.
const NOBODYS: i32 = 200;

/// One kind of internet sockets, and what it sends.
struct Kind {
    name: &'static str,
    make: fn(&mut Script) -> Sock,
    data: fn(&Script) -> Vec<u8>,
}

fn ping(t: &mut Script) -> Sock {
    let protocol = if t.family == Family::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    t.socket(Host::Near, t.domain(), SOCK_DGRAM, protocol)
}

fn raw(t: &mut Script) -> Sock {
    t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS)
}

/// An echo request; any bytes for others.
fn request(t: &Script) -> Vec<u8> {
    [&[if t.family == Family::V4 { 8 } else { 128 }][..], b"\0\0\0\0\0\0\x01abcd"].concat()
}

const UDP: Kind = Kind { name: "udp", make: Script::udp, data: request };
const PING: Kind = Kind { name: "ping", make: ping, data: request };
const RAW: Kind = Kind { name: "raw", make: raw, data: request };

/// Addresses that are shared, what comes and what is left unread, broadcasts, and closes of sockets that hold something.
fn datagrams(t: &mut Script, kind: &Kind, prepare: Prepare) {
    let [a, b, c] = [(); 3].map(|()| (kind.make)(t));
    for socket in [a, b, c] {
        prepare(t, socket);
        t.set_receive_timeout(socket, 30);
    }
    t.bind(a, t.loopback(5000));
    t.bind(b, t.loopback(5000));
    t.bind(c, t.loopback(5001));
    t.connect(c, t.loopback(5000));
    let data = (kind.data)(t);
    for _ in 0..3 {
        t.send(c, &data, 0);
    }
    for socket in [a, b, c] {
        // What is behind is chosen by chance: the identification of a packet, and its checksum.
        t.recv(socket, 4, MSG_PEEK | MSG_TRUNC);
        t.recv(socket, 4, 0);
        t.unread(socket);
        t.ready(socket);
    }
    t.send(a, &data, MSG_DONTROUTE);
    // Of IPv4 some of these may send to all where they are allowed to; the others have nothing to be allowed.
    if t.family == Family::V6 {
        t.send_to(a, &data, "[::ffff:255.255.255.255]:5002".parse().unwrap());
    }
    t.shutdown(c, SHUT_RDWR);
    for socket in [c, b, a] {
        t.close(socket);
    }
    let again = (kind.make)(t);
    t.bind(again, t.loopback(5000));
    t.close(again);
}

fn streams(t: &mut Script, prepare: Prepare) {
    let (listener, at) = t.listener(Host::Near, t.loopback(0));
    prepare(t, listener);
    let client = t.tcp();
    prepare(t, client);
    if t.family == Family::V4 {
        t.connect(client, "255.255.255.255:5002".parse::<SocketAddr>().unwrap());
    }
    let client = t.tcp();
    prepare(t, client);
    t.connect(client, at);
    let server = t.accept(listener, 0);
    t.send(client, b"hello", 0);
    t.recv(server, 9, 0);
    t.close(client);
    t.recv(server, 9, 0);
}

macro_rules! on {
    ($option:ident) => {
        |t, socket| t.set_option(socket, SOL_SOCKET, $option, 1)
    };
}

/// Longer than any test may take.
const LINGER_SECS: u16 = 600;

#[test]
fn what_internet_sockets_take_without_effect_changes_nothing() {
    without_effect(&[
        (
            "SO_REUSEADDR of raw",
            |t, prepare| datagrams(t, &RAW, prepare),
            |t, socket| {
                t.set_option(socket, SOL_SOCKET, SO_REUSEADDR, 0);
            },
        ),
        ("SO_REUSEPORT of ping", |t, prepare| datagrams(t, &PING, prepare), on!(SO_REUSEPORT)),
        ("SO_REUSEPORT of raw", |t, prepare| datagrams(t, &RAW, prepare), on!(SO_REUSEPORT)),
        ("SO_KEEPALIVE of udp", |t, prepare| datagrams(t, &UDP, prepare), on!(SO_KEEPALIVE)),
        ("SO_KEEPALIVE of ping", |t, prepare| datagrams(t, &PING, prepare), on!(SO_KEEPALIVE)),
        ("SO_KEEPALIVE of raw", |t, prepare| datagrams(t, &RAW, prepare), on!(SO_KEEPALIVE)),
        ("SO_LINGER of udp", |t, prepare| datagrams(t, &UDP, prepare), |t, s| t.set_linger(s, LINGER_SECS)),
        ("SO_LINGER of ping", |t, prepare| datagrams(t, &PING, prepare), |t, s| t.set_linger(s, LINGER_SECS)),
        ("SO_LINGER of raw", |t, prepare| datagrams(t, &RAW, prepare), |t, s| t.set_linger(s, LINGER_SECS)),
        ("SO_BROADCAST of tcp", streams, on!(SO_BROADCAST)),
        ("SO_BROADCAST of ping", |t, prepare| datagrams(t, &PING, prepare), on!(SO_BROADCAST)),
        ("SO_BROADCAST of raw", |t, prepare| datagrams(t, &RAW, prepare), on!(SO_BROADCAST)),
    ]);
}

/// What the programs above and below are about, as the table has it.
#[test]
fn the_table_has_what_was_tried() {
    let internet = [
        ("SO_REUSEADDR", vec![(&RAW, 46)]),
        // Of several ping sockets of IPv6 with one identifier, those with it are asked last.
        ("SO_REUSEPORT", vec![(&PING, 4), (&RAW, 46)]),
        ("SO_KEEPALIVE", vec![(&UDP, 46), (&PING, 46), (&RAW, 46)]),
        ("SO_LINGER", vec![(&UDP, 46), (&PING, 46), (&RAW, 46)]),
        // Over IPv4 they may send to all.
        ("SO_BROADCAST", vec![(&PING, 6), (&RAW, 6)]),
    ];
    let mut tried = BTreeSet::new();
    for (option, kinds) in internet {
        for (kind, families) in kinds {
            if [4, 46].contains(&families) {
                tried.insert((option.to_owned(), kind.name.to_owned()));
            }
            if [6, 46].contains(&families) {
                tried.insert((option.to_owned(), format!("{}6", kind.name)));
            }
        }
    }
    tried.extend(["tcp", "tcp6"].map(|kind| ("SO_BROADCAST".to_owned(), kind.to_owned())));
    for (option, _, kinds) in LOCAL {
        tried.extend(kinds.iter().map(|kind| (option.to_owned(), local(*kind).to_owned())));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert_eq!(idle(root).unwrap(), tried);
}

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const DGRAM: i32 = SOCK_DGRAM | SOCK_NONBLOCK;
const SEQPACKET: i32 = SOCK_SEQPACKET | SOCK_NONBLOCK;
const ALL: &[i32] = &[STREAM, DGRAM, SEQPACKET];

/// Options, what they are set to, and on which sockets.
const LOCAL: [(&str, (i32, i32), &[i32]); 8] = [
    ("SO_REUSEADDR", (SO_REUSEADDR, 1), ALL),
    ("SO_KEEPALIVE", (SO_KEEPALIVE, 1), ALL),
    ("SO_BROADCAST", (SO_BROADCAST, 1), ALL),
    ("SO_DONTROUTE", (SO_DONTROUTE, 1), ALL),
    ("SO_RCVBUF", (SO_RCVBUF, 1), ALL),
    ("SO_RCVLOWAT", (SO_RCVLOWAT, 1000), &[DGRAM, SEQPACKET]),
    ("SO_OOBINLINE", (SO_OOBINLINE, 1), &[DGRAM, SEQPACKET]),
    ("SO_LINGER", (SO_LINGER, LINGER_SECS as i32), ALL),
];

fn local(kind: i32) -> &'static str {
    match kind {
        STREAM => "unix",
        DGRAM => "unixgram",
        _ => "unixpacket",
    }
}

/// Names that are shared, queues that fill up, messages that are shorter than asked for, urgent bytes, and closes.
fn locals(t: &mut Both, kind: i32, option: Option<(i32, i32)>) {
    let prepare = |t: &mut Both, socket| match option {
        Some((SO_LINGER, seconds)) => t.set_linger(socket, seconds as u16),
        Some((name, value)) => t.set_option(socket, SOL_SOCKET, name, value),
        None => {}
    };
    let [near, far] = t.pair(kind);
    let [first, second] = [t.socket(kind), t.socket(kind)];
    for socket in [near, far, first, second] {
        prepare(t, socket);
    }
    for name in [Name::Abstract("a"), Name::Path("a")] {
        t.bind(first, name);
        t.bind(second, name);
    }
    t.send(near, b"five!", 0);
    t.send(near, b"urgent", MSG_OOB);
    t.recv(far, 9, MSG_OOB);
    t.recv(far, 9, MSG_PEEK);
    t.recv(far, 3, 0);
    t.recv(far, 9, 0);
    t.send(near, b"direct", MSG_DONTROUTE);
    for _ in 0..300 {
        t.send(near, &[7; 2000], 0);
    }
    t.recv(far, 2000, 0);
    t.recv(far, 2000, 0);
    t.close(near);
    t.send(far, b"x", 0);
    t.close(far);
    t.close(first);
    let again = t.socket(kind);
    prepare(t, again);
    t.bind(again, Name::Path("a"));
}

#[test]
fn what_local_sockets_take_without_effect_changes_nothing() {
    let log = |kind, option| {
        let mut both = Both::new();
        locals(&mut both, kind, option);
        assert_eq!(both.difference(), None, "{kind} {option:?}");
        let told = both.log().iter().filter(|line| !line.contains("etsockopt("));
        told.cloned().collect::<Vec<_>>()
    };
    for kind in ALL {
        let without = log(*kind, None);
        assert!(
            without.iter().any(|line| line.contains("temporarily unavailable")),
            "it gets full: {without:#?}"
        );
        for (name, option, kinds) in LOCAL {
            if kinds.contains(kind) {
                assert_eq!(log(*kind, Some(option)), without, "{name} of {}", local(*kind));
            }
        }
    }
}
