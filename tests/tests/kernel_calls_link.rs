//! The same programs of socket calls on the kernel and on this stack: between two hosts.

use std::net::{IpAddr, SocketAddr};

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Script, over_a_link};

const NEAR: Host = Host::Near;
const FAR: Host = Host::Far;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn family_of(t: &Script, v4: &str, v6: &str) -> IpAddr {
    ip(if t.family == Family::V4 { v4 } else { v6 })
}

#[test]
fn connections() {
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
    ]);
}

#[test]
fn connections_that_are_cut() {
    over_a_link(&[
        ("a reset", |t| {
            let (client, server) = t.connection_to_far();
            t.set_linger(server, 0);
            t.close(server);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
        }),
        ("port 0", |t| {
            let (client, other) = (t.tcp(), t.udp());
            t.connect(client, t.at(FAR, 0));
            t.ready(client);
            t.connect(other, t.at(FAR, 0));
            t.send(other, b"to nobody", 0);
            t.until(other, PollMask::ERR);
            t.error(other);
        }),
        ("what a path takes", |t| {
            let (client, server) = t.connection_to_far();
            let datagrams = t.udp();
            t.connect(datagrams, t.at(FAR, 9));
            for socket in [client, server, datagrams] {
                t.option(socket, SOL_IP, IP_MTU);
                t.option(socket, SOL_IPV6, IPV6_MTU);
            }
            t.close(server);
            t.until(client, PollMask::RDHUP);
            t.option(client, SOL_IP, IP_MTU);
            let (level, mode, headers) = match t.family {
                Family::V4 => (SOL_IP, IP_MTU_DISCOVER, 28),
                Family::V6 => (SOL_IPV6, IPV6_MTU_DISCOVER, 48),
            };
            for value in [IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_INTERFACE] {
                let datagrams = t.udp();
                t.set_option(datagrams, level, mode, value);
                t.send_to(datagrams, &vec![7; 1501 - headers], t.at(FAR, 9));
                t.send_to(datagrams, &vec![7; 1500 - headers], t.at(FAR, 9));
            }
        }),
        ("from a group's address", |t| {
            let addresses = match t.family {
                Family::V4 => &["239.1.1.1", "255.255.255.255", "10.7.0.255"][..],
                Family::V6 => &["ff05::77"],
            };
            for address in addresses {
                let (listener, at) = t.listener(FAR, t.at(FAR, 0));
                let there = t.socket(FAR, t.domain(), SOCK_DGRAM, 0);
                t.bind(there, at);
                let here = t.udp();
                t.bind(here, SocketAddr::new(address.parse().unwrap(), 0));
                t.send_to(here, b"one", at);
                t.recv(there, 9, 0);
                t.connect(here, at);
                t.local(here);
                t.send(here, b"two", 0);
                t.recv(there, 9, 0);
                // What it sent from it keeps.
                t.connect(here, None);
                t.connect(here, t.loopback(9));
                t.local(here);
                t.close(here);
                if t.family == Family::V4 {
                    let here = t.tcp();
                    t.bind(here, SocketAddr::new(address.parse().unwrap(), 0));
                    t.connect(here, at);
                    t.local(here);
                    let server = t.accept(listener, 0);
                    t.send(here, b"three", 0);
                    t.recv(server, 9, 0);
                    t.close(here);
                    t.recv(server, 9, 0);
                    t.close(server);
                }
                t.close(listener);
                t.close(there);
                t.remark("the next address");
            }
        }),
        ("a close that waits", |t| {
            for far in [false, true] {
                let (listener, at) = t.listener(FAR, t.at(FAR, 0));
                let client = t.tcp();
                t.connect(client, at);
                let server = t.accept(listener, 0);
                let here = if far { server } else { client };
                let there = if far { client } else { server };
                t.set_linger(here, 20);
                t.send(here, b"last words", 0);
                t.close(here);
                // All of it has been acknowledged, so it is there.
                t.recv(there, 20, MSG_DONTWAIT);
                t.recv(there, 20, MSG_DONTWAIT);
            }
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
    ]);
}

#[test]
fn datagrams() {
    over_a_link(&[
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
        ("without buffers for what waits", |t| {
            // Nobody answers there, so that all waits.
            let nobody = SocketAddr::new(family_of(t, "10.7.0.99", "fd07::99"), 0);
            let mut packet = vec![0; 1400];
            packet[0] = if t.family == Family::V4 { 0x45 } else { 0x60 };
            let at = if t.family == Family::V4 { 16 } else { 24 };
            match nobody.ip() {
                IpAddr::V4(ip) => packet[at..at + 4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => packet[at..at + 16].copy_from_slice(&ip.octets()),
            }
            let small = |t: &mut Script, kind, protocol| {
                let socket = t.socket(NEAR, t.domain(), kind, protocol);
                t.set_option(socket, SOL_SOCKET, SO_SNDBUF, 5_000);
                socket
            };
            // Cut in four, of which none waits for room: two are less than twice as much.
            let raw = small(t, SOCK_RAW, 200);
            t.send_to(raw, &[7; 20_000], nobody);
            for _ in 0..3 {
                t.send_to(raw, &[7; 5_000], nobody);
            }
            t.ready(raw);
            t.error(raw);
            // It writes headers itself, and would wait.
            let writer = small(t, SOCK_RAW | SOCK_NONBLOCK, 200);
            let (level, name) =
                if t.family == Family::V4 { (SOL_IP, IP_HDRINCL) } else { (SOL_IPV6, IPV6_HDRINCL) };
            t.set_option(writer, level, name, 1);
            for _ in 0..6 {
                t.send_to(writer, &packet, nobody);
            }
            // The first part waits for room, and the others do not.
            let datagrams = small(t, SOCK_DGRAM | SOCK_NONBLOCK, 0);
            let nobody = SocketAddr::new(nobody.ip(), 9);
            t.send_to(datagrams, &[7; 20_000], nobody);
            for _ in 0..3 {
                t.send_to(datagrams, &[7; 5_000], nobody);
            }
        }),
        ("what waits for a neighbour", |t| {
            // Of IPv4 both charge as much.
            if t.family == Family::V6 {
                return;
            }
            // The oldest give way.
            let (here, nobody) = (t.udp(), SocketAddr::new(ip("10.7.0.98"), 9));
            for _ in 0..100 {
                t.send_to(here, &[7; 1472], nobody);
            }
            t.unsent(here);
            t.ready(here);
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

#[test]
fn addresses() {
    over_a_link(&[
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
    ]);
}

/// Bytes that the link cuts or merges, with urgent ones among them.
#[test]
fn urgent_bytes_over_a_link() {
    over_a_link(&[
        ("urgent bytes over a link", |t| {
            let (client, server) = t.connection_to_far();
            for (here, there) in [(client, server), (server, client)] {
                t.send(here, b"abc", 0);
                t.send(here, b"de!", MSG_OOB);
                t.until(there, PollMask::PRI);
                t.unread(there);
                t.recv(there, 1, MSG_OOB);
                t.recv(there, 5, MSG_WAITALL);
                // Little enough for the kernel's buffer: a send that has to wait marks what it has sent by then.
                t.send(here, &vec![7; 6_000], MSG_OOB);
                t.until(there, PollMask::PRI);
                t.recv(there, 1, MSG_OOB);
                t.recv(there, 40_000, MSG_WAITALL);
                t.send(here, b"on", 0);
                t.recv(there, 2, MSG_WAITALL);
                t.ready(there);
            }
        }),
        ("an urgent byte, a newer one, and the end", |t| {
            let (client, server) = t.connection_to_far();
            for (here, there) in [(client, server), (server, client)] {
                t.send(here, b"!", MSG_OOB);
                t.until(there, PollMask::PRI);
                t.send(here, b"?", MSG_OOB);
                t.recv(there, 1, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT);
                t.shutdown(here, SHUT_WR);
                t.until(there, PollMask::RDHUP);
                t.recv(there, 1, MSG_OOB);
                t.recv(there, 9, 0);
            }
        }),
    ]);
}

#[test]
fn a_listener_that_waits_for_data_over_a_link() {
    over_a_link(&[("a listener that waits for data", |t| {
        let (listener, at) = t.listener(FAR, t.at(FAR, 0));
        t.set_option(listener, SOL_TCP, TCP_DEFER_ACCEPT, 5);
        let client = t.tcp();
        t.connect(client, at);
        t.ready(client);
        t.ready(listener);
        t.send(client, b"request", 0);
        t.until(listener, PollMask::IN);
        let server = t.accept(listener, 0);
        t.recv(server, 9, 0);
        t.option(server, SOL_TCP, TCP_DEFER_ACCEPT);
    })]);
}

/// Nobody answers, for the far host does not take what is sent to it.
#[test]
fn a_connection_that_is_being_made() {
    over_a_link(&[("a connection that is being made", |t| {
        let (listener, at) = t.listener(FAR, t.at(FAR, 0));
        // One more than the backlog waits; the next are not answered.
        t.listen(listener, 0);
        let first = t.tcp();
        t.connect(first, at);
        t.until(listener, PollMask::IN);
        let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
        t.connect(client, at);
        t.ready(client);
        t.connect(client, at);
        t.local(client);
        t.unread(client);
        t.send(client, b"x", 0);
        t.recv(client, 1, 0);
        t.recv(client, 1, MSG_OOB);
        t.listen(client, 1);
        t.error(client);
        t.shutdown(client, SHUT_WR);
        t.ready(client);
        t.peer(client);
        t.error(client);
    })]);
}
