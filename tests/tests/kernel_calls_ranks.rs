//! The same programs of socket calls on the kernel and on this stack: which of several sockets that could have it gets a
//! datagram or a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Script, Sock, alone};

/// The index of `lo`, on either stack.
const LO: i32 = 1;
/// How long a listener waits for a connection that may be another's, in milliseconds.
const MOMENT: u32 = 20;

/// What a socket is bound to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct Place {
    domain: i32,
    ip: IpAddr,
    /// To the device that everything comes in by (SO_BINDTOIFINDEX).
    is_held: bool,
    /// To the sender.
    is_connected: bool,
}

/// All that loopback of this family may lead to.
fn places(t: &Script, connected: &[bool]) -> Vec<Place> {
    let (any4, any6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let here = t.loopback(0).ip();
    let addresses = match t.family {
        Family::V4 => vec![(AF_INET, any4), (AF_INET, here), (AF_INET6, any6)],
        Family::V6 => vec![(AF_INET6, any6), (AF_INET6, here)],
    };
    let each = |(domain, ip)| {
        let held = move |is_held| {
            connected.iter().map(move |is_connected| Place {
                domain,
                ip,
                is_held,
                is_connected: *is_connected,
            })
        };
        [false, true].into_iter().flat_map(held)
    };
    addresses.into_iter().flat_map(each).collect()
}

/// Every place before every other, as two sockets of `kind` that share a port by `option`.
fn pairs(
    t: &mut Script,
    kind: i32,
    option: i32,
    connected: &[bool],
    program: fn(&mut Script, [Sock; 2], SocketAddr),
) {
    let places = places(t, connected);
    for first in &places {
        for second in places.iter().filter(|second| *second != first) {
            t.remark(&format!("{first:?} before {second:?}"));
            let sender = t.udp();
            t.bind(sender, t.loopback(0));
            let from = t.local(sender);
            t.close(sender);
            // A port that nobody else has.
            let port = from.port();
            let sockets = [first, second].map(|place| {
                let socket = t.socket(Host::Near, place.domain, kind, 0);
                t.set_option(socket, SOL_SOCKET, option, 1);
                if place.is_held {
                    t.set_option(socket, SOL_SOCKET, SO_BINDTOIFINDEX, LO);
                }
                t.bind(socket, SocketAddr::new(place.ip, port));
                (socket, *place)
            });
            for (socket, place) in sockets {
                if place.is_connected {
                    let near = t.loopback(SENDER);
                    let mapped = |ip: IpAddr| match ip {
                        IpAddr::V4(v4) if place.domain == AF_INET6 => IpAddr::V6(v4.to_ipv6_mapped()),
                        ip => ip,
                    };
                    t.connect(socket, SocketAddr::new(mapped(near.ip()), near.port()));
                }
            }
            program(t, sockets.map(|(socket, _)| socket), t.loopback(port));
            sockets.iter().for_each(|(socket, _)| t.close(*socket));
        }
    }
}

/// The port that datagrams come from.
const SENDER: u16 = 23_461;

#[test]
fn of_datagrams() {
    alone(&[("who gets a datagram", |t| {
        pairs(t, SOCK_DGRAM, SO_REUSEADDR, &[false, true], |t, sockets, to| {
            let (sender, marker) = (t.udp(), t.udp());
            t.bind(sender, t.loopback(SENDER));
            t.bind(marker, t.loopback(0));
            let mark = t.local(marker);
            t.send_to(sender, b"x", to);
            // What comes after it on the same way is there: so it is, too.
            t.send_to(sender, b"y", mark);
            t.until(marker, PollMask::IN);
            sockets.iter().for_each(|socket| t.recv(*socket, 9, MSG_DONTWAIT));
            t.close(sender);
            t.close(marker);
        });
    })]);
}

#[test]
fn of_connections() {
    alone(&[("who takes a connection", |t| {
        pairs(t, SOCK_STREAM, SO_REUSEPORT, &[false], |t, listeners, to| {
            for listener in listeners {
                t.listen(listener, 5);
                t.set_receive_timeout(listener, MOMENT);
            }
            let client = t.tcp();
            t.connect(client, to);
            for listener in listeners {
                let server = t.accept(listener, 0);
                t.option(server, SOL_SOCKET, SO_DOMAIN);
                t.option(server, SOL_SOCKET, SO_BINDTOIFINDEX);
            }
            t.set_linger(client, 0);
            t.close(client);
        });
    })]);
}
