//! Options that a kind of socket takes and that change nothing there, neither on Linux nor here: `docs/sockets/idle.tsv`.
//! A program of what the option could change gives the same with it and without it, on both stacks. Those of local sockets
//! that are not in the list give something else, on both likewise; of the internet's, a test of `sockets` sees to that.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Prepare, Script, Setting, Sock, without_effect};
use tapsock_tests::socket_options::{constants, idle};

#[path = "idle_options/local.rs"]
mod local;

/// Who makes a namespace forks, and the child holds a copy of what the kernel's sockets of other tests are for a moment: one
/// runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A protocol that nobody has.
const NOBODYS: i32 = 200;

/// One kind of internet sockets, and what it sends.
struct Kind {
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

const UDP: Kind = Kind { make: Script::udp, data: request };
const PING: Kind = Kind { make: ping, data: request };
const RAW: Kind = Kind { make: raw, data: request };

/// Addresses that are shared, what comes and what is left unread, broadcasts, and closes of sockets that hold something.
fn datagrams(t: &mut Script, kind: &Kind, prepare: Prepare<'_>) {
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
        t.recv_told(socket, 4, 0);
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
    // Any ports, of which there is one only for two who ask for one.
    for socket in [(); 2].map(|()| (kind.make)(t)) {
        prepare(t, socket);
        t.bind(socket, t.loopback(0));
        t.has_port(socket);
    }
}

fn streams(t: &mut Script, prepare: Prepare<'_>) {
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
    t.recv_told(server, 9, 0);
    t.send(client, &[7; 5000], 0);
    t.recv_told(server, 5000, MSG_WAITALL);
    t.error(client);
    t.close(client);
    t.recv_told(server, 9, 0);
    t.recv_told(server, 9, MSG_ERRQUEUE);
}

/// Longer than any test may take.
const LINGER_SECS: i32 = 600;

/// What an option is set to: other than at first, and so that something would change if it acted.
fn value_of(option: &str, v6: bool) -> Vec<u8> {
    let numbers: &[i32] = match option {
        "SO_LINGER" => &[1, LINGER_SECS],
        "SO_REUSEADDR" | "IP_MULTICAST_LOOP" | "IPV6_MULTICAST_LOOP" | "IPV6_MULTICAST_ALL" => &[0],
        "IP_MULTICAST_ALL" => return i32::from(v6).to_ne_bytes().to_vec(),
        "IP_MINTTL" | "IPV6_MINHOPCOUNT" => &[255],
        "IP_TTL" | "IP_MULTICAST_TTL" => &[3],
        "IP_MTU_DISCOVER" => &[IP_PMTUDISC_DO],
        "IP_LOCAL_PORT_RANGE" => &[40_000 | 40_000 << 16],
        "IP_MULTICAST_IF" => return vec![127, 0, 0, 1],
        // A record of the route.
        "IP_OPTIONS" => return vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "IPV6_MTU" => &[1280],
        // No address, and the first interface.
        "IPV6_PKTINFO" => &[0, 0, 0, 0, 1],
        "SO_RCVLOWAT" => &[1000],
        // The first interface, in network order.
        "IP_UNICAST_IF" | "IPV6_UNICAST_IF" => return vec![0, 0, 0, 1],
        _ => &[1],
    };
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// The options that the table has for a kind of sockets.
fn settings_of(kind: &str) -> Vec<Setting> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let options = constants(&std::fs::read_to_string(root.join("sockets/src/constants.rs")).unwrap());
    let idle = idle(root).unwrap();
    let of_kind = idle.iter().filter(|(_, of)| of == kind).map(|(name, _)| {
        let option = options.iter().find(|option| option.name == *name).expect("an option");
        (option.level, option.number, value_of(name, kind.ends_with('6')))
    });
    of_kind.collect()
}

#[test]
fn what_internet_sockets_take_without_effect_changes_nothing() {
    let _alone = alone();
    let both = |kind: &str| [settings_of(kind), settings_of(&format!("{kind}6"))];
    without_effect(&[
        ("udp", |t, prepare| datagrams(t, &UDP, prepare), both("udp")),
        ("ping", |t, prepare| datagrams(t, &PING, prepare), both("ping")),
        ("raw", |t, prepare| datagrams(t, &RAW, prepare), both("raw")),
        ("tcp", streams, both("tcp")),
    ]);
}
