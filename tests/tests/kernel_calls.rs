//! The same programs of socket calls on the kernel and on this stack: results, errno and readiness are the same.

use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock, mpsc};
use std::thread;

use tapsock::Host as Stack;
use tapsock::bsd::*;
use tapsock_driver::Namespace;
use tapsock_tests::bench::{Family, Setup, address, skipped_for};
use tapsock_tests::calls::{Calls, Host, KernelCalls, OurCalls, Script};
use tapsock_tests::sides::{PATIENCE, Side};

type Program = fn(&mut Script);

/// Making a namespace forks, and for a moment the new process holds copies of all descriptors: what a program closes
/// meanwhile stays open. Those who fork write, those who run programs read.
static FORKING: RwLock<()> = RwLock::new(());

fn forking<T>(fork: impl FnOnce() -> T) -> T {
    let _alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    fork()
}

/// Runs a program to its end, or fails with what it has written down until then.
fn log_of(name: &str, mut script: Script, program: Program) -> Vec<String> {
    let _no_forks = FORKING.read().unwrap_or_else(PoisonError::into_inner);
    let (done, finished) = mpsc::channel();
    let log = script.shared_log();
    thread::spawn(move || {
        program(&mut script);
        // Nobody waits any more where it has taken too long.
        let _ = done.send(script.log());
    });
    finished.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        panic!("{name} came to no end ({error}):\n{}", log.join("\n"))
    })
}

/// Both logs beside each other, from the first difference on marked.
fn compare(failures: &mut Vec<String>, name: &str, [ours, kernels]: [Vec<String>; 2]) {
    if ours == kernels {
        return;
    }
    let same = ours.iter().zip(&kernels).take_while(|(ours, kernels)| ours == kernels).count();
    let mut text = format!("{name}:\n");
    for line in &ours[..same] {
        text += &format!("    {line}\n");
    }
    for line in same..ours.len().max(kernels.len()) {
        let end = String::from("(end)");
        let (ours, kernels) = (ours.get(line).unwrap_or(&end), kernels.get(line).unwrap_or(&end));
        let mark = if ours == kernels { ' ' } else { '!' };
        text += &format!("  {mark} ours   {ours}\n  {mark} kernel {kernels}\n");
    }
    failures.push(text);
}

/// Runs programs of one host over loopback, each on a fresh stack.
fn alone(programs: &[(&str, Program)]) {
    let namespace = match forking(Namespace::create) {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let mut failures = Vec::new();
    for (name, program) in programs {
        for family in Family::ALL {
            let stack = Stack::builder().start().unwrap();
            let ours = Script::new(family, Box::new(OurCalls::new(&stack)));
            let kernels = Script::new(family, Box::new(KernelCalls::new(&namespace)));
            let name = format!("{name} over {family:?}");
            compare(&mut failures, &name, [log_of(&name, ours, *program), log_of(&name, kernels, *program)]);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Runs programs of two hosts over a link: first we are the near one, then the kernel is.
fn over_a_link(programs: &[(&str, Program)]) {
    let mut failures = Vec::new();
    for (name, program) in programs {
        for family in Family::ALL {
            let opened = forking(|| [Setup::new().open(), Setup::new().open()]);
            let [Some(first), Some(second)] = opened else { return };
            let benches = [first, second];
            let logs = [0, 1].map(|index| {
                let (near, bench) = (Side::ALL[index], &benches[index]);
                let calls = |side| -> Box<dyn Calls + Send> {
                    match side {
                        Side::Ours => Box::new(OurCalls::new(&bench.host)),
                        Side::Kernel => Box::new(KernelCalls::new(&bench.namespace)),
                    }
                };
                let script = Script::new(family, calls(near)).with_far(
                    calls(near.other()),
                    address(near, family),
                    address(near.other(), family),
                );
                log_of(name, script, *program)
            });
            compare(&mut failures, &format!("{name} over {family:?}"), logs);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

const NEAR: Host = Host::Near;
const FAR: Host = Host::Far;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn family_of(t: &Script, v4: &str, v6: &str) -> IpAddr {
    ip(if t.family == Family::V4 { v4 } else { v6 })
}

#[test]
fn names_and_numbers() {
    alone(&[
        ("kinds of sockets", |t| {
            for kind in [SOCK_SEQPACKET, SOCK_RDM, 7, 11, 99, -1] {
                t.socket(NEAR, t.domain(), kind, 0);
            }
            t.socket(NEAR, t.domain(), SOCK_STREAM, IPPROTO_TCP);
            t.socket(NEAR, t.domain(), SOCK_DGRAM, IPPROTO_UDP);
            t.socket(NEAR, t.domain(), SOCK_STREAM, IPPROTO_UDP);
            t.socket(NEAR, t.domain(), SOCK_DGRAM, IPPROTO_TCP);
            t.socket(NEAR, t.domain(), SOCK_STREAM, 263);
            t.socket(NEAR, t.domain(), SOCK_STREAM, -1);
            for domain in [AF_UNSPEC, 45, 46, 99, -1] {
                t.socket(NEAR, domain, SOCK_STREAM, 0);
            }
        }),
        ("the lowest free number", |t| {
            let (first, second) = (t.tcp(), t.udp());
            t.close(first);
            t.close(first);
            let third = t.udp();
            t.close(second);
            t.local(second);
            t.close(third);
        }),
        ("what a socket is", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR] {
                    // The domains' numbers differ, as they should.
                    t.option(socket, SOL_SOCKET, name);
                }
            }
        }),
    ]);
}

#[test]
fn binding() {
    alone(&[
        ("bind", |t| {
            for (socket, other) in [(t.tcp(), t.tcp()), (t.udp(), t.udp())] {
                t.local(socket);
                t.bind(socket, SocketAddr::new(family_of(t, "192.0.2.1", "2001:db8::1"), 0));
                t.bind(socket, t.loopback(0));
                let at = t.local(socket);
                t.bind(socket, t.loopback(0));
                t.bind(other, at);
                t.bind(other, t.any(at.port()));
                t.local(other);
                t.close(socket);
                t.bind(other, at);
                t.local(other);
            }
        }),
        ("an address of the other family", |t| {
            for socket in [t.tcp(), t.udp()] {
                let other = if t.family == Family::V4 { "::1" } else { "127.0.0.1" };
                t.bind(socket, SocketAddr::new(ip(other), 0));
                t.connect(socket, SocketAddr::new(ip(other), 9));
                t.send_to(socket, b"x", SocketAddr::new(ip(other), 9));
            }
        }),
        ("SO_REUSEADDR", |t| {
            let (first, second) = (t.tcp(), t.tcp());
            t.set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(first, t.loopback(0));
            let at = t.local(first);
            t.bind(second, at);
            t.set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(second, at);
            t.listen(first, 1);
            t.listen(second, 1);
            let third = t.tcp();
            t.set_option(third, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(third, at);
        }),
        ("SO_REUSEPORT", |t| {
            for (first, second, third) in [(t.tcp(), t.tcp(), t.tcp()), (t.udp(), t.udp(), t.udp())] {
                t.set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
                t.bind(first, t.loopback(0));
                let at = t.local(first);
                t.bind(second, at);
                t.set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
                t.bind(second, at);
                t.set_option(third, SOL_SOCKET, SO_REUSEADDR, 1);
                t.bind(third, at);
            }
        }),
        ("a port that rests", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.connect(client, at);
            let server = t.accept(listener, 0);
            t.close(listener);
            t.close(server);
            t.recv(client, 10, 0);
            t.close(client);
            let again = t.tcp();
            t.bind(again, at);
            t.set_option(again, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(again, at);
            t.listen(again, 1);
        }),
    ]);
}

#[test]
fn one_port_for_both_families() {
    alone(&[
        ("IPV6_V6ONLY", |t| {
            let v6 = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.bind(v6, SocketAddr::new(ip("::"), 0));
            let port = t.local(v6).port();
            let v4 = t.socket(NEAR, AF_INET, SOCK_STREAM, 0);
            t.bind(v4, SocketAddr::new(ip("0.0.0.0"), port));
            t.bind(v4, SocketAddr::new(ip("127.0.0.1"), port));
            t.set_option(v6, SOL_IPV6, IPV6_V6ONLY, 1);
            let only = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.set_option(only, SOL_IPV6, IPV6_V6ONLY, 1);
            t.bind(only, SocketAddr::new(ip("::"), 0));
            let port = t.local(only).port();
            t.bind(v4, SocketAddr::new(ip("0.0.0.0"), port));
            t.listen(only, 1);
            t.listen(v4, 1);
        }),
        ("IPv4 on an IPv6 listener", |t| {
            let listener = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.bind(listener, SocketAddr::new(ip("::"), 0));
            t.listen(listener, 5);
            let port = t.local(listener).port();
            let client = t.socket(NEAR, AF_INET, SOCK_STREAM, 0);
            t.connect(client, SocketAddr::new(ip("127.0.0.1"), port));
            let server = t.accept(listener, 0);
            t.local(server);
            t.peer(server);
            let mapped = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.connect(mapped, SocketAddr::new(ip("::ffff:127.0.0.1"), port));
            t.local(mapped);
            t.peer(mapped);
        }),
        ("IPv4 on an IPv6 datagram socket", |t| {
            let both = t.socket(NEAR, AF_INET6, SOCK_DGRAM, 0);
            t.bind(both, SocketAddr::new(ip("::"), 0));
            let port = t.local(both).port();
            let v4 = t.socket(NEAR, AF_INET, SOCK_DGRAM, 0);
            t.bind(v4, SocketAddr::new(ip("127.0.0.1"), 0));
            let at = t.local(v4);
            t.send_to(v4, b"to both", SocketAddr::new(ip("127.0.0.1"), port));
            t.until(both, PollMask::IN);
            t.recv(both, 20, 0);
            t.send_to(both, b"back", SocketAddr::new(ip("::ffff:127.0.0.1"), at.port()));
            t.until(v4, PollMask::IN);
            t.recv(v4, 20, 0);
        }),
    ]);
}

#[test]
fn listening_and_connecting() {
    alone(&[
        ("listen", |t| {
            let socket = t.tcp();
            t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
            t.listen(socket, 1);
            t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
            t.local(socket);
            t.listen(socket, -1);
            t.ready(socket);
            t.send(socket, b"x", 0);
            t.recv(socket, 1, 0);
            t.peer(socket);
            let at = t.local(socket);
            t.connect(socket, t.loopback(at.port()));
            let datagrams = t.udp();
            t.listen(datagrams, 1);
            t.accept(datagrams, 0);
            let fresh = t.tcp();
            t.accept(fresh, 0);
            let (client, _) = t.connection();
            t.listen(client, 1);
            t.accept(client, 0);
        }),
        ("accept without waiting", |t| {
            let listener = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.bind(listener, t.loopback(0));
            t.listen(listener, 5);
            let at = t.local(listener);
            t.accept(listener, 0);
            let client = t.tcp();
            t.connect(client, at);
            t.until(listener, PollMask::IN);
            let server = t.accept(listener, SOCK_NONBLOCK);
            t.recv(server, 10, 0);
            t.accept(listener, 0);
            t.ready(listener);
        }),
        ("a listener that is shut", |t| {
            // A port that the stack chose would go with the listener.
            let unused = t.tcp();
            t.bind(unused, t.loopback(0));
            let at = t.local(unused);
            t.close(unused);
            let (listener, _) = t.listener(NEAR, at);
            t.shutdown(listener, SHUT_RD);
            t.ready(listener);
            t.accept(listener, 0);
            let client = t.tcp();
            t.connect(client, at);
            t.listen(listener, 5);
            t.connect(client, at);
        }),
        ("connect", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.ready(client);
            t.connect(client, at);
            t.peer(client);
            t.connect(client, at);
            t.bind(client, t.loopback(0));
            let server = t.accept(listener, 0);
            t.local(server);
            t.peer(server);
            t.ready(client);
            t.ready(server);
        }),
        ("connect where nobody listens", |t| {
            let client = t.tcp();
            t.connect(client, t.loopback(9));
            t.error(client);
            t.ready(client);
            t.peer(client);
            let (_, at) = t.listener(NEAR, t.loopback(0));
            t.connect(client, at);
            t.peer(client);
        }),
        ("connect without waiting", |t| {
            let (_, at) = t.listener(NEAR, t.loopback(0));
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, at);
            t.until(client, PollMask::OUT);
            t.error(client);
            t.connect(client, at);
            t.connect(client, at);
            t.peer(client);
        }),
        ("connect without waiting where nobody listens", |t| {
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, t.loopback(9));
            t.until(client, PollMask::ERR);
            t.error(client);
            t.error(client);
            t.ready(client);
            t.send(client, b"x", 0);
            t.recv(client, 1, 0);
            t.shutdown(client, SHUT_RDWR);
        }),
        ("connect to oneself", |t| {
            let socket = t.tcp();
            t.bind(socket, t.loopback(0));
            let at = t.local(socket);
            t.connect(socket, at);
            t.peer(socket);
            t.send(socket, b"hello", 0);
            t.until(socket, PollMask::IN);
            t.recv(socket, 10, 0);
            t.shutdown(socket, SHUT_WR);
            t.until(socket, PollMask::IN);
            t.recv(socket, 10, 0);
        }),
        ("dissolved", |t| {
            let (client, server) = t.connection();
            t.connect(client, None);
            t.local(client);
            t.peer(client);
            t.ready(client);
            t.recv(client, 1, MSG_DONTWAIT);
            t.until(server, PollMask::IN);
            t.recv(server, 1, 0);
            let (_, at) = t.listener(NEAR, t.loopback(0));
            t.connect(client, at);
        }),
        ("not connected", |t| {
            let socket = t.tcp();
            t.send(socket, b"x", 0);
            t.recv(socket, 1, 0);
            t.recv(socket, 1, MSG_DONTWAIT);
            t.peer(socket);
            t.shutdown(socket, SHUT_WR);
            t.connect(socket, None);
            t.ready(socket);
            t.connect(socket, t.any(9));
            t.error(socket);
        }),
    ]);
}

#[test]
fn the_life_of_a_connection() {
    alone(&[
        ("sending and receiving", |t| {
            let (client, server) = t.connection();
            t.recv(server, 10, MSG_DONTWAIT);
            t.send(client, b"", 0);
            t.send(client, b"hello, world", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 0, 0);
            t.recv(server, 5, MSG_PEEK);
            t.recv(server, 7, 0);
            t.recv(server, 3, MSG_TRUNC);
            t.recv(server, 100, 0);
            t.recv(server, 100, MSG_DONTWAIT | MSG_PEEK);
            t.recv(server, 100, MSG_ERRQUEUE);
            t.recv(server, 100, MSG_OOB);
            t.send_to(client, b"elsewhere", t.loopback(9));
        }),
        ("all or nothing", |t| {
            let (client, server) = t.connection();
            t.send(client, b"half", 0);
            t.set_receive_timeout(server, 50);
            t.recv(server, 8, MSG_WAITALL);
            t.recv(server, 8, MSG_WAITALL);
            t.send(client, b"halfhalf", 0);
            t.recv(server, 8, MSG_WAITALL);
            t.send(client, b"half", 0);
            t.shutdown(client, SHUT_WR);
            t.recv(server, 8, MSG_WAITALL);
        }),
        ("one direction ends", |t| {
            let (client, server) = t.connection();
            t.send(client, b"last words", 0);
            t.shutdown(client, SHUT_WR);
            t.shutdown(client, SHUT_WR);
            t.ready(client);
            t.send(client, b"more", 0);
            t.until(server, PollMask::IN | PollMask::RDHUP);
            t.recv(server, 4, 0);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.ready(server);
            t.send(server, b"answer", 0);
            t.until(client, PollMask::IN);
            t.recv(client, 10, 0);
            t.shutdown(server, SHUT_WR);
            t.until(client, PollMask::HUP);
            t.recv(client, 10, 0);
            t.ready(server);
            t.error(client);
            t.shutdown(client, SHUT_RDWR);
            t.peer(client);
        }),
        ("no more receiving", |t| {
            let (client, server) = t.connection();
            t.send(client, b"before", 0);
            t.until(server, PollMask::IN);
            t.shutdown(server, SHUT_RD);
            t.ready(server);
            t.recv(server, 3, 0);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(client, b"after", 0);
            t.recv(server, 10, MSG_DONTWAIT);
            t.send(server, b"still", 0);
            t.until(client, PollMask::IN);
            t.recv(client, 10, 0);
        }),
        ("both directions end", |t| {
            let (client, server) = t.connection();
            t.shutdown(client, SHUT_RDWR);
            t.ready(client);
            t.recv(client, 1, 0);
            t.until(server, PollMask::RDHUP);
            t.shutdown(server, SHUT_RDWR);
            t.ready(server);
            t.send(server, b"x", 0);
            t.recv(server, 1, 0);
        }),
        ("a reset", |t| {
            let (client, server) = t.connection();
            t.send(client, b"lost", 0);
            t.until(server, PollMask::IN);
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.error(server);
            t.error(server);
            t.ready(server);
            t.recv(server, 10, 0);
            t.send(server, b"x", 0);
            t.peer(server);
        }),
        ("a reset, told by recv", |t| {
            let (client, server) = t.connection();
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(server, b"x", 0);
            t.error(server);
        }),
        ("a reset, told by send", |t| {
            let (client, server) = t.connection();
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.send(server, b"x", 0);
            t.send(server, b"x", 0);
            t.recv(server, 10, 0);
            t.shutdown(server, SHUT_WR);
        }),
        ("closed with unread data", |t| {
            let (client, server) = t.connection();
            t.send(client, b"unread", 0);
            t.until(server, PollMask::IN);
            t.close(server);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.recv(client, 10, 0);
        }),
        ("sending to one that has closed", |t| {
            let (client, server) = t.connection();
            t.close(server);
            t.until(client, PollMask::RDHUP);
            t.send(client, b"x", 0);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
            t.error(client);
            t.send(client, b"x", 0);
            t.recv(client, 10, 0);
        }),
        ("time is up", |t| {
            let (_, server) = t.connection();
            t.set_receive_timeout(server, 30);
            t.recv(server, 10, 0);
            let (listener, _) = t.listener(NEAR, t.loopback(0));
            t.set_receive_timeout(listener, 30);
            t.accept(listener, 0);
            let datagrams = t.udp();
            t.set_receive_timeout(datagrams, 30);
            t.recv(datagrams, 10, 0);
        }),
    ]);
}

#[test]
fn options() {
    alone(&[
        ("of any socket", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST, SO_KEEPALIVE] {
                    t.option(socket, SOL_SOCKET, name);
                    t.set_option(socket, SOL_SOCKET, name, 1);
                    t.set_option(socket, SOL_SOCKET, name, 0);
                }
                for value in [1, 5000, 100_000] {
                    t.set_option(socket, SOL_SOCKET, SO_RCVBUF, value);
                }
            }
            let stream = t.tcp();
            for value in [1, 5000, 100_000] {
                t.set_option(stream, SOL_SOCKET, SO_SNDBUF, value);
            }
        }),
        ("of TCP", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [TCP_NODELAY, TCP_CORK] {
                    t.option(socket, SOL_TCP, name);
                    t.set_option(socket, SOL_TCP, name, 1);
                }
                for name in [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT] {
                    t.option(socket, SOL_TCP, name);
                    for value in [0, 1, 127, 128, 32_767, 32_768] {
                        t.set_option(socket, SOL_TCP, name, value);
                    }
                }
                t.option(socket, SOL_TCP, TCP_USER_TIMEOUT);
                t.set_option(socket, SOL_TCP, TCP_USER_TIMEOUT, 1234);
                t.set_option(socket, SOL_TCP, TCP_USER_TIMEOUT, -1);
            }
        }),
        ("of IP", |t| {
            for socket in [t.tcp(), t.udp()] {
                for value in [1, 64, 255, 0, 256] {
                    t.set_option(socket, SOL_IP, IP_TTL, value);
                }
                for value in [0x10, 0xb8, 0xff] {
                    t.set_option(socket, SOL_IP, IP_TOS, value);
                }
                t.option(socket, SOL_IPV6, IPV6_V6ONLY);
                for value in [1, 255] {
                    t.set_option(socket, SOL_IPV6, IPV6_UNICAST_HOPS, value);
                }
                t.set_option(socket, SOL_IPV6, IPV6_TCLASS, 0xb8);
                t.set_option(socket, SOL_IPV6, IPV6_TCLASS, 256);
            }
        }),
        ("inherited", |t| {
            let listener = t.tcp();
            t.set_option(listener, SOL_TCP, TCP_NODELAY, 1);
            t.set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
            t.set_option(listener, SOL_TCP, TCP_KEEPIDLE, 77);
            t.set_option(listener, SOL_SOCKET, SO_RCVBUF, 50_000);
            t.bind(listener, t.loopback(0));
            t.listen(listener, 1);
            let at = t.local(listener);
            let client = t.tcp();
            t.connect(client, at);
            let server = t.accept(listener, 0);
            t.option(server, SOL_TCP, TCP_NODELAY);
            t.option(server, SOL_SOCKET, SO_KEEPALIVE);
            t.option(server, SOL_TCP, TCP_KEEPIDLE);
            t.option(server, SOL_SOCKET, SO_RCVBUF);
        }),
    ]);
}

#[test]
fn datagrams() {
    alone(&[
        ("to and from", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.ready(here);
            t.recv(here, 10, MSG_DONTWAIT);
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.send(here, b"nobody", 0);
            t.send_to(here, b"hello", at);
            t.local(here);
            t.peer(here);
            t.until(there, PollMask::IN);
            t.recv(there, 3, MSG_PEEK);
            t.recv(there, 3, MSG_PEEK | MSG_TRUNC);
            t.recv(there, 3, 0);
            t.recv(there, 3, MSG_DONTWAIT);
            t.send_to(here, b"", at);
            t.until(there, PollMask::IN);
            t.recv(there, 10, 0);
            let largest = if t.family == Family::V4 { 65_507 } else { 65_527 };
            t.send_to(here, &vec![7; largest + 1], at);
            t.send_to(here, &[7; 70_000], at);
            t.send_to(here, b"port 0", t.loopback(0));
            t.ready(there);
        }),
        ("connected", |t| {
            let (here, there, stranger) = (t.udp(), t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            let from = t.local(here);
            t.peer(here);
            t.send(here, b"one", 0);
            t.until(there, PollMask::IN);
            t.recv(there, 10, 0);
            t.send_to(stranger, b"not for you", from);
            t.send_to(there, b"for you", from);
            t.until(here, PollMask::IN);
            t.recv(here, 20, 0);
            t.recv(here, 20, MSG_DONTWAIT);
            t.connect(here, None);
            t.peer(here);
            t.local(here);
            t.send(here, b"x", 0);
        }),
        ("refused", |t| {
            let socket = t.udp();
            t.connect(socket, t.loopback(9));
            t.send(socket, b"one", 0);
            t.until(socket, PollMask::ERR);
            t.recv(socket, 10, MSG_DONTWAIT);
            t.recv(socket, 10, MSG_DONTWAIT);
            t.send(socket, b"two", 0);
            t.until(socket, PollMask::ERR);
            t.send(socket, b"three", 0);
            t.error(socket);
            t.send(socket, b"four", 0);
            t.until(socket, PollMask::ERR);
            t.error(socket);
            t.error(socket);
            t.ready(socket);
        }),
        ("not connected, not refused", |t| {
            let socket = t.udp();
            t.send_to(socket, b"one", t.loopback(9));
            t.send_to(socket, b"two", t.loopback(9));
            t.recv(socket, 10, MSG_DONTWAIT);
            t.error(socket);
        }),
        ("shut", |t| {
            let socket = t.udp();
            t.shutdown(socket, SHUT_WR);
            t.ready(socket);
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            t.shutdown(here, SHUT_WR);
            t.ready(here);
            t.send(here, b"x", 0);
            t.shutdown(here, SHUT_RD);
            t.ready(here);
            t.recv(here, 10, 0);
            t.recv(here, 10, MSG_DONTWAIT);
        }),
        ("who gets it", |t| {
            let (any, specific, connected) = (t.udp(), t.udp(), t.udp());
            for socket in [any, specific, connected] {
                t.set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
            }
            t.bind(any, t.any(0));
            let port = t.local(any).port();
            t.bind(specific, t.loopback(port));
            t.bind(connected, t.loopback(port));
            let (first, second) = (t.udp(), t.udp());
            t.bind(first, t.loopback(0));
            t.bind(second, t.loopback(0));
            let at = t.local(first);
            t.connect(connected, at);
            t.send_to(first, b"from the first", t.loopback(port));
            t.send_to(second, b"from the second", t.loopback(port));
            t.until(connected, PollMask::IN);
            t.until(specific, PollMask::IN);
            for socket in [connected, specific, any] {
                t.recv(socket, 20, MSG_DONTWAIT);
                t.recv(socket, 20, MSG_DONTWAIT);
            }
        }),
        ("flags", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            t.send(here, b"urgent", MSG_OOB);
            t.recv(here, 10, MSG_ERRQUEUE);
            t.recv(here, 10, MSG_OOB | MSG_DONTWAIT);
        }),
    ]);
}

#[test]
fn between_two_hosts() {
    over_a_link(&[
        ("names", |t| {
            let (client, server) = t.connection_to_far();
            t.local(client);
            t.peer(client);
            t.local(server);
            t.peer(server);
            t.ready(client);
            t.ready(server);
            let elsewhere = t.tcp();
            t.bind(elsewhere, t.at(FAR, 0));
            t.bind(elsewhere, t.at(NEAR, 0));
            t.local(elsewhere);
        }),
        ("refused", |t| {
            let client = t.tcp();
            t.connect(client, t.at(FAR, 9));
            t.error(client);
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, t.at(FAR, 9));
            t.until(client, PollMask::ERR);
            // The first tells of the failure, the second begins again.
            t.connect(client, t.at(FAR, 9));
            t.connect(client, t.at(FAR, 9));
            t.until(client, PollMask::ERR);
            t.error(client);
        }),
        ("in time", |t| {
            let (_, at) = t.listener(FAR, t.at(FAR, 0));
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, at);
            t.until(client, PollMask::OUT);
            t.error(client);
            t.peer(client);
        }),
        ("half closed", |t| {
            let (client, server) = t.connection_to_far();
            t.send(client, b"all", 0);
            t.shutdown(client, SHUT_WR);
            t.until(server, PollMask::IN | PollMask::RDHUP);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(server, b"answer", 0);
            t.close(server);
            t.until(client, PollMask::HUP);
            t.recv(client, 10, 0);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
        }),
        ("a reset", |t| {
            let (client, server) = t.connection_to_far();
            t.set_linger(server, 0);
            t.close(server);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
        }),
        ("sending to one that has closed", |t| {
            let (client, server) = t.connection_to_far();
            t.close(server);
            t.until(client, PollMask::RDHUP);
            t.send(client, b"x", 0);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
        }),
        ("an accept queue with a connection that is gone", |t| {
            let (listener, at) = t.listener(FAR, t.at(FAR, 0));
            let client = t.tcp();
            t.connect(client, at);
            t.until(listener, PollMask::IN);
            t.set_linger(client, 0);
            t.close(client);
            let (second, there) = (t.tcp(), t.at(FAR, 9));
            // By the time that this is refused, the reset has arrived.
            t.connect(second, there);
            let server = t.accept(listener, 0);
            t.until(server, PollMask::ERR);
            t.recv(server, 10, 0);
        }),
        ("a datagram refused", |t| {
            let socket = t.udp();
            t.connect(socket, t.at(FAR, 9));
            t.send(socket, b"one", 0);
            t.until(socket, PollMask::ERR);
            t.recv(socket, 10, MSG_DONTWAIT);
            t.send_to(socket, b"two", t.at(FAR, 9));
            t.until(socket, PollMask::ERR);
            t.error(socket);
        }),
        ("nowhere", |t| {
            let nowhere = SocketAddr::new(family_of(t, "192.0.2.1", "2001:db8::1"), 9);
            for socket in [t.tcp(), t.udp()] {
                t.connect(socket, nowhere);
                t.error(socket);
                t.send_to(socket, b"x", nowhere);
                t.local(socket);
            }
        }),
        ("to everybody", |t| {
            if t.family == Family::V6 {
                return;
            }
            let everybody = SocketAddr::new(ip("10.7.0.255"), 9);
            for socket in [t.tcp(), t.udp()] {
                t.connect(socket, everybody);
                t.send_to(socket, b"x", everybody);
                t.set_option(socket, SOL_SOCKET, SO_BROADCAST, 1);
                t.send_to(socket, b"x", everybody);
                t.connect(socket, everybody);
            }
        }),
        ("several datagrams", |t| {
            let there = t.socket(FAR, t.domain(), SOCK_DGRAM, 0);
            t.bind(there, t.at(FAR, 0));
            let at = t.local(there);
            let here = t.udp();
            t.connect(here, at);
            for data in [&b"one"[..], b"", b"three"] {
                t.send(here, data, 0);
                t.until(there, PollMask::IN);
                t.recv(there, 10, 0);
            }
        }),
    ]);
}
