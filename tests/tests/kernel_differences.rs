//! Rows of `docs/sockets/differences.tsv`, each shown on both stacks by one program: what Linux does, and what is done here.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::SockAddr;
use tapsock::bsd::*;
use tapsock_driver::Namespace;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::differential::{Incoming, KernelSockets, OurSockets, Outgoing, Room, SocketCalls};

#[path = "kernel_differences/as_files.rs"]
mod as_files;
#[path = "kernel_differences/stacks.rs"]
mod stacks;
#[path = "kernel_differences/waiting.rs"]
mod waiting;

/// A protocol that nobody has.
const NOBODYS: i32 = 200;
/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(15);
const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const DGRAM: i32 = SOCK_DGRAM | SOCK_NONBLOCK;
const RAW: i32 = SOCK_RAW | SOCK_NONBLOCK;
/// Flags of SO_TIMESTAMPING: stamps of what goes out, told; numbers; without the packets; and what more goes with them.
const STAMPS: i32 = 2 | 16;
const NUMBERED: i32 = 1 << 7;
const OPT_CMSG: i32 = 1 << 10;
const ALONE: i32 = 1 << 11;
const OPT_STATS: i32 = 1 << 12;

type Calls<'a> = &'a mut dyn SocketCalls;

/// A row: its call, a program of it, and what that comes to on Linux and here.
type Shown = (&'static str, fn(Calls<'_>) -> String, &'static str, &'static str);

const SHOWN: [Shown; 19] = [
    (
        "setsockopt SO_TIMESTAMPING with OPT_STATS",
        |c| {
            let (client, _) = connection(c);
            set(c, client, (SOL_SOCKET, SO_TIMESTAMPING), STAMPS | ALONE | OPT_STATS).unwrap_or_else(|| {
                send(c, client, b"x", 0, None);
                kinds(&report(c, client))
            })
        },
        "1.37 1.54 0.11",
        "EINVAL",
    ),
    (
        "setsockopt SO_TIMESTAMPING with OPT_CMSG",
        |c| {
            let socket = made(c, AF_INET, DGRAM, 0);
            set(c, socket, (SOL_IP, IP_PKTINFO), 1);
            set(c, socket, (SOL_SOCKET, SO_TIMESTAMPING), STAMPS | OPT_CMSG);
            send(c, socket, b"x", 0, Some(&at("127.0.0.1:9")));
            kinds(&report(c, socket))
        },
        "1.37 0.8 0.11",
        "1.37 0.11",
    ),
    (
        "stamps of sends that one segment carries",
        |c| {
            let (client, _) = connection(c);
            set(c, client, (SOL_SOCKET, SO_TIMESTAMPING), STAMPS | NUMBERED | ALONE);
            set(c, client, (SOL_TCP, TCP_CORK), 1);
            send(c, client, b"a", 0, None);
            send(c, client, b"b", 0, None);
            set(c, client, (SOL_TCP, TCP_CORK), 0);
            // The number of the last byte stands in `ee_data`.
            let number = |told: &Incoming| told.control.last().map_or(0, |error| error.data[12]);
            let first = number(&report(c, client));
            let more = c.recv(client, Room { data: 9, control: 200 }, MSG_ERRQUEUE).ok();
            format!("{first} {:?}", more.as_ref().map(number))
        },
        "1 None",
        "0 Some(1)",
    ),
    (
        "recvmsg with MSG_ERRQUEUE on a raw socket with IP_HDRINCL",
        |c| {
            let socket = made(c, AF_INET, RAW, NOBODYS);
            done(c.bind(socket, &at("127.0.0.2:0")));
            for option in [IP_HDRINCL, IP_RECVERR] {
                set(c, socket, (SOL_IP, option), 1);
            }
            let mut packet = vec![0x45, 0, 0, 31, 0, 0, 0, 0, 64, NOBODYS as u8, 0, 0];
            packet.extend([127, 0, 0, 2, 127, 0, 0, 1]);
            packet.extend(b"12345678abc");
            send(c, socket, &packet, 0, Some(&at("127.0.0.1:0")));
            format!("{:02x}", report(c, socket).data[0])
        },
        "45",
        "31",
    ),
    (
        "connect of an IPv6 raw socket, or of a ping socket without IPV6_V6ONLY, to an IPv4-mapped address",
        |c| {
            let raw = made(c, AF_INET6, RAW, NOBODYS);
            let ping = made(c, AF_INET6, DGRAM, IPPROTO_ICMPV6);
            set(c, ping, (SOL_IPV6, IPV6_V6ONLY), 0);
            let request = [128, 0, 0, 0, 0, 0, 0, 1];
            [raw, ping]
                .map(|socket| {
                    let connected = done(c.connect(socket, &at("[::ffff:127.0.0.1]:0")));
                    let sent = c.send(socket, &Outgoing::of(&request), 0).is_ok();
                    format!("{connected}, sends {sent}")
                })
                .join("; ")
        },
        "ok, sends false; ok, sends false",
        "ENETUNREACH, sends false; ENETUNREACH, sends false",
    ),
    (
        "socket of SOCK_PACKET, UDP-Lite, SCTP, MPTCP",
        |c| {
            [(10, 0), (SOCK_DGRAM, 136)]
                .map(|(kind, protocol)| done(c.socket(AF_INET, kind, protocol)))
                .join(", ")
        },
        "ok, ok",
        "ESOCKTNOSUPPORT, EPROTONOSUPPORT",
    ),
    (
        "setsockopt SO_TIMESTAMPING, SO_PRIORITY, SO_MARK, SO_BINDTODEVICE and their kin on a unix socket",
        |c| {
            let [here, there] = c.pair(AF_UNIX, DGRAM, 0).unwrap();
            let mut told = |option, value| {
                let set = set(c, there, (SOL_SOCKET, option), value).unwrap_or_else(|| "ok".to_owned());
                send(c, here, b"x", 0, None);
                let received = c.recv(there, Room { data: 9, control: 200 }, 0).unwrap();
                format!("{set}: {}", kinds(&received))
            };
            [(SO_MARK, 7), (SO_TIMESTAMPING, 0x18), (SO_TIMESTAMP, 1)]
                .map(|(option, value)| told(option, value))
                .join("; ")
        },
        "ok: ; ok: ; ok: 1.29 1.37",
        "ENOPROTOOPT: ; ENOPROTOOPT: ; ok: 1.29",
    ),
    (
        "IP_OPTIONS with a source route",
        |c| {
            let route = [131, 7, 4, 127, 0, 0, 1, 0];
            [DGRAM, STREAM]
                .map(|kind| made(c, AF_INET, kind, 0))
                .map(|socket| done(c.set_option(socket, SOL_IP, IP_OPTIONS, &route)))
                .join(", ")
        },
        "ok, ok",
        "EINVAL, EINVAL",
    ),
    (
        "sends on a connected UDP socket of IPv4 after one with MSG_MORE to another address",
        |c| {
            let [near, far, other] = [(); 3].map(|()| bound(c, "127.0.0.1:0"));
            let (to, elsewhere) = (c.local_address(far).unwrap(), c.local_address(other).unwrap());
            done(c.connect(near, &to));
            send(c, near, b"for ", MSG_MORE, Some(&elsewhere));
            send(c, near, b"another", 0, None);
            send(c, near, b"for the peer", 0, None);
            let first = text(&next(c, other));
            let second = if readable(c, other) { "other" } else { "peer" };
            format!("{first}; then to the {second}")
        },
        "for another; then to the other",
        "for another; then to the peer",
    ),
    (
        "parts of odd length of an ICMPv6 packet of a raw socket (MSG_MORE)",
        |c| {
            let [near, far] = [(); 2].map(|()| made(c, AF_INET6, RAW, IPPROTO_ICMPV6));
            let to = at("[::1]:0");
            send(c, near, b"\xa0\0\0\0x", MSG_MORE, Some(&to));
            send(c, near, b"\xa0\0y", 0, Some(&to));
            // A socket hears no packet whose checksum is wrong; this one comes behind it.
            send(c, near, b"\xa0\0\0\0even", 0, Some(&to));
            format!("{:?}", next(c, far).data.get(4..).map(String::from_utf8_lossy))
        },
        "Some(\"even\")",
        "Some(\"x\u{fffd}\\0y\")",
    ),
    (
        "SIOCOUTQ of what a datagram or raw socket holds back (MSG_MORE)",
        |c| {
            let socket = bound(c, "127.0.0.1:0");
            send(c, socket, b"held ", MSG_MORE, Some(&at("127.0.0.1:9")));
            // Buffers come in sizes of their own, of which each is a multiple of eight.
            let held = c.ioctl(socket, SIOCOUTQ).unwrap();
            format!("whole buffers {}", held % 8 == 0)
        },
        "whole buffers true",
        "whole buffers false",
    ),
    (
        "a datagram that is held back (MSG_MORE) while its socket is connected or dissolved",
        |c| {
            let [near, first, second] = [(); 3].map(|()| bound(c, "127.0.0.1:0"));
            let [to, then] = [first, second].map(|socket| c.local_address(socket).unwrap());
            done(c.connect(near, &to));
            send(c, near, b"held ", MSG_MORE, None);
            done(c.connect(near, &then));
            send(c, near, b"back", 0, None);
            let began = Instant::now();
            loop {
                for (name, socket) in [("first", first), ("second", second)] {
                    if readable(c, socket) {
                        return format!("{} to the {name}", text(&next(c, socket)));
                    }
                }
                assert!(began.elapsed() < PATIENCE, "it comes to one of them");
            }
        },
        "held back to the second",
        "held back to the first",
    ),
    (
        "TCP_NOTSENT_LOWAT of a stream whose connection was dissolved",
        |c| {
            let (client, _) = connection(c);
            set(c, client, (SOL_TCP, TCP_NOTSENT_LOWAT), 100_000);
            send(c, client, b"x", 0, None);
            done(c.connect(client, &[0; 16]));
            format!("writable {}", c.poll(&[client])[0] & POLLOUT != 0)
        },
        "writable false",
        "writable true",
    ),
    (
        "setsockopt TCP_WINDOW_CLAMP",
        |c| {
            let (_, server) = connection(c);
            set(c, server, (SOL_TCP, TCP_WINDOW_CLAMP), 6000);
            // The buffer grows to twice as much.
            set(c, server, (SOL_SOCKET, SO_RCVLOWAT), 200_000);
            let clamp = c.option(server, SOL_TCP, TCP_WINDOW_CLAMP, 4).unwrap();
            format!("holds {}", clamp == 6000i32.to_ne_bytes())
        },
        "holds false",
        "holds true",
    ),
    (
        "send from an address of IP_FREEBIND that is not ours, on a socket of datagrams",
        |c| {
            let outcomes = [
                (AF_INET, (SOL_IP, IP_FREEBIND), "10.9.9.9:77", "127.0.0.1:9"),
                (AF_INET6, (SOL_IPV6, IPV6_FREEBIND), "[fd09::9]:77", "[::1]:9"),
            ];
            let outcomes = outcomes.map(|(domain, option, from, to)| {
                let socket = made(c, domain, DGRAM, 0);
                set(c, socket, option, 1);
                done(c.bind(socket, &at(from)));
                done(c.send(socket, &Outgoing { to: Some(&at(to)), ..Outgoing::of(b"x") }, 0))
            });
            outcomes.join(", ")
        },
        "ENETUNREACH, ok",
        "EADDRNOTAVAIL, EADDRNOTAVAIL",
    ),
    (
        "connections of one four-tuple over several devices",
        |c| {
            let listener = made(c, AF_INET, STREAM, 0);
            done(c.bind(listener, &at("127.0.0.1:0")));
            done(c.listen(listener, 1));
            let (to, mut from) = (c.local_address(listener).unwrap(), at("127.0.0.1:0"));
            let outcomes = [&b"lo"[..], b""].map(|device| {
                let socket = made(c, AF_INET, STREAM, 0);
                set(c, socket, (SOL_SOCKET, SO_REUSEADDR), 1);
                done(c.set_option(socket, SOL_SOCKET, SO_BINDTODEVICE, device));
                done(c.bind(socket, &from));
                from = c.local_address(socket).unwrap();
                done(c.connect(socket, &to))
            });
            outcomes.join(", ")
        },
        "EINPROGRESS, EINPROGRESS",
        "EINPROGRESS, EADDRNOTAVAIL",
    ),
    (
        "setsockopt SO_RCVBUFFORCE on a unix socket",
        |c| {
            let socket = made(c, AF_UNIX, DGRAM, 0);
            done(c.set_option(socket, SOL_SOCKET, SO_RCVBUFFORCE, &9000i32.to_ne_bytes()))
        },
        "ok",
        "ENOPROTOOPT",
    ),
    (
        "setsockopt SO_MAX_PACING_RATE on other sockets than TCP's",
        |c| {
            let sockets = [(AF_INET, DGRAM, 0), (AF_INET6, RAW, NOBODYS), (AF_INET6, DGRAM, IPPROTO_ICMPV6)];
            let sockets = sockets.map(|(domain, kind, protocol)| made(c, domain, kind, protocol));
            let value = 9000i32.to_ne_bytes();
            let outcomes =
                sockets.map(|socket| done(c.set_option(socket, SOL_SOCKET, SO_MAX_PACING_RATE, &value)));
            outcomes.join(", ")
        },
        "ok, ok, ok",
        "ENOPROTOOPT, ENOPROTOOPT, ENOPROTOOPT",
    ),
    (
        "the record of a route in a SYN",
        |c| {
            let [listener, client] = [(); 2].map(|()| made(c, AF_INET, STREAM, 0));
            done(c.bind(listener, &at("127.0.0.1:0")));
            done(c.listen(listener, 1));
            let record = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0];
            done(c.set_option(client, SOL_IP, IP_OPTIONS, &record));
            let to = c.local_address(listener).unwrap();
            done(c.connect(client, &to));
            until(c, listener, POLLIN);
            let (server, _) = c.accept(listener, 0).unwrap();
            format!("{} bytes", c.option(server, SOL_IP, IP_OPTIONS, 40).unwrap().len())
        },
        "12 bytes",
        "0 bytes",
    ),
];

const POLLIN: u16 = 1;
const POLLOUT: u16 = 4;
const POLLERR: u16 = 8;

fn at(address: &str) -> Vec<u8> {
    SockAddr::from(address.parse::<SocketAddr>().unwrap()).as_bytes().to_vec()
}

fn made(c: Calls<'_>, domain: i32, kind: i32, protocol: i32) -> i32 {
    c.socket(domain, kind, protocol).unwrap()
}

fn bound(c: Calls<'_>, address: &str) -> i32 {
    let socket = made(c, AF_INET, DGRAM, 0);
    c.bind(socket, &at(address)).unwrap();
    socket
}

/// Two ends of a connection.
fn connection(c: Calls<'_>) -> (i32, i32) {
    let [listener, client] = [(); 2].map(|()| made(c, AF_INET, STREAM, 0));
    c.bind(listener, &at("127.0.0.1:0")).unwrap();
    c.listen(listener, 1).unwrap();
    let to = c.local_address(listener).unwrap();
    done(c.connect(client, &to));
    until(c, listener, POLLIN);
    let (server, _) = c.accept(listener, SOCK_NONBLOCK).unwrap();
    until(c, client, POLLOUT);
    (client, server)
}

/// `None`, or how it is refused.
fn set(c: Calls<'_>, socket: i32, (level, name): (i32, i32), value: i32) -> Option<String> {
    let set = c.set_option(socket, level, name, &value.to_ne_bytes());
    Some(done(set)).filter(|said| said != "ok")
}

fn send(c: Calls<'_>, socket: i32, data: &[u8], flags: i32, to: Option<&[u8]>) {
    c.send(socket, &Outgoing { to, ..Outgoing::of(data) }, flags).unwrap();
}

fn readable(c: Calls<'_>, socket: i32) -> bool {
    c.poll(&[socket])[0] & POLLIN != 0
}

fn until(c: Calls<'_>, socket: i32, events: u16) {
    let began = Instant::now();
    while c.poll(&[socket])[0] & events == 0 {
        assert!(began.elapsed() < PATIENCE, "{events:#x} of {socket}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn next(c: Calls<'_>, socket: i32) -> Incoming {
    until(c, socket, POLLIN);
    c.recv(socket, Room { data: 200, control: 0 }, 0).unwrap()
}

/// The next of the error queue.
fn report(c: Calls<'_>, socket: i32) -> Incoming {
    until(c, socket, POLLERR);
    c.recv(socket, Room { data: 200, control: 1000 }, MSG_ERRQUEUE).unwrap()
}

/// Levels and types of what came beside the data.
fn kinds(told: &Incoming) -> String {
    let kinds = told.control.iter().map(|message| format!("{}.{}", message.level, message.kind));
    kinds.collect::<Vec<_>>().join(" ")
}

fn text(received: &Incoming) -> String {
    String::from_utf8_lossy(&received.data).into_owned()
}

fn done<T>(outcome: Result<T, tapsock::Errno>) -> String {
    match outcome.map_err(|errno| errno.raw_os_error()) {
        Ok(_) => "ok",
        Err(libc::EINVAL) => "EINVAL",
        Err(libc::ENOENT) => "ENOENT",
        Err(libc::EACCES) => "EACCES",
        Err(libc::ENOTTY) => "ENOTTY",
        Err(libc::ENOPROTOOPT) => "ENOPROTOOPT",
        Err(libc::EPROTONOSUPPORT) => "EPROTONOSUPPORT",
        Err(libc::ESOCKTNOSUPPORT) => "ESOCKTNOSUPPORT",
        Err(libc::EADDRNOTAVAIL) => "EADDRNOTAVAIL",
        Err(libc::ENETUNREACH) => "ENETUNREACH",
        Err(libc::EINPROGRESS) => "EINPROGRESS",
        Err(other) => return format!("errno {other}"),
    }
    .to_owned()
}

/// What the rows are about.
fn rows() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rows = std::fs::read_to_string(root.join("docs/sockets/differences.tsv")).unwrap();
    rows.lines().filter_map(|row| row.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn each_shows_on_both_stacks() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let group = rustix::process::getegid().as_raw();
    namespace.set_sysctl("net.ipv4.ping_group_range", &format!("{group} {group}")).unwrap();
    let rows = rows();
    for (call, program, linux, here) in SHOWN.into_iter().chain(as_files::SHOWN) {
        assert!(rows.iter().any(|row| row == call), "{call} has no row");
        assert_eq!(program(&mut KernelSockets::new(&namespace)), linux, "{call}, on Linux");
        assert_eq!(program(&mut OurSockets::new()), here, "{call}, here");
    }
}

/// How long a call of the kernel's waits that nothing ends.
const WAIT: Duration = Duration::from_millis(100);

/// What is waited for can not come: the window is shut. The kernel's call ends with its time-out, and ours at once.
#[test]
fn more_than_the_window_lets_come_is_not_peeked_at() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let peeked = |c: Calls<'_>, time_out: Option<Duration>| {
        let (client, server) = connection(c);
        set(c, server, (SOL_SOCKET, SO_RCVBUF), 4000);
        while c.send(client, &Outgoing::of(&[7; 10_000]), 0).is_ok() {}
        until(c, server, POLLIN);
        c.set_nonblocking(server, false).unwrap();
        if let Some(time_out) = time_out {
            let value = [0u64.to_ne_bytes(), u64::from(time_out.subsec_micros()).to_ne_bytes()].concat();
            c.set_option(server, SOL_SOCKET, SO_RCVTIMEO, &value).unwrap();
        }
        let began = Instant::now();
        let len = c.recv(server, Room { data: 1 << 20, control: 0 }, MSG_PEEK | MSG_WAITALL).unwrap().len;
        assert!((1..1 << 20).contains(&len), "{len}");
        began.elapsed()
    };
    assert!(peeked(&mut KernelSockets::new(&namespace), Some(WAIT)) >= WAIT);
    // Without a time-out it would not come back.
    peeked(&mut OurSockets::new(), None);
}
