//! Sends whose outcome is more than a number: where they come from, what becomes of those behind them, what is told later.

use tapsock::bsd::*;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::differential::{ControlMessage, Ip, Port, Room, Stage, Target, World};

use super::{DGRAM, STREAM, alone, listening};

const RAW: i32 = SOCK_RAW | SOCK_NONBLOCK;
/// A number that no protocol has.
const NOBODYS: i32 = 200;
const ROOM: Room = Room { data: 40, control: 512 };

fn on_both(program: impl FnOnce(&mut World)) {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let mut world = World::new(&stage);
    program(&mut world);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
}

/// IP_PKTINFO without an address takes the place of the socket's own: the way says where the packet comes from.
#[test]
fn a_message_that_leaves_the_source_open() {
    on_both(|world| {
        let to = Target::new(Ip::Second4, Port::Slot(0));
        for (kind, protocol) in [(DGRAM, 0), (RAW, NOBODYS)] {
            for interface in [0i32, 1] {
                let data = [&interface.to_ne_bytes()[..], &[0; 8]].concat();
                let open = ControlMessage { level: SOL_IP, kind: IP_PKTINFO, data }.bytes();
                let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, kind, protocol));
                world.bind(receiver, to);
                world.bind(sender, Target::new(Ip::Second4, Port::Slot(1)));
                for (control, flags) in [(&[][..], 0), (&open, 0), (&open, MSG_MORE), (&[], 0)] {
                    world.send_beside(sender, b"whence", flags, Some(to), control);
                }
                for _ in 0..3 {
                    world.recv_into(receiver, ROOM, 0);
                }
                world.connect(sender, to);
                world.send_beside(sender, b"whence", 0, None, &open);
                world.recv_into(receiver, ROOM, 0);
                world.close(sender);
                world.close(receiver);
            }
        }
    });
}

/// Each datagram counts, be it empty; of one that is held back, its first part and those that have bytes.
#[test]
fn empty_sends_without_copies() {
    on_both(|world| {
        for (domain, ip) in [(AF_INET, Ip::Lo4), (AF_INET6, Ip::Lo6), (AF_INET6, Ip::MappedLo)] {
            let to = Target::new(ip, Port::Slot(0));
            let [receiver, sender] = [(); 2].map(|()| world.socket(domain, DGRAM, 0));
            world.bind(receiver, to);
            world.set_option(sender, SOL_SOCKET, SO_ZEROCOPY, &1i32.to_ne_bytes());
            for sends in
                [&[(0, 0)][..], &[(0, MSG_MORE), (0, MSG_MORE), (3, MSG_MORE), (0, 0)], &[(0, 0), (1, 0)]]
            {
                for (len, flags) in sends {
                    world.send(sender, &vec![b'z'; *len], flags | MSG_ZEROCOPY, Some(to));
                }
                for _ in 0..3 {
                    world.recv_into(sender, ROOM, MSG_ERRQUEUE);
                }
            }
            world.close(sender);
            world.close(receiver);
        }
        let (listener, at) = listening(world, AF_INET, Ip::Lo4);
        let client = world.socket(AF_INET, STREAM, 0);
        world.connect(client, at);
        world.set_option(client, SOL_SOCKET, SO_ZEROCOPY, &1i32.to_ne_bytes());
        for data in [&b""[..], b"x"] {
            world.send(client, data, MSG_ZEROCOPY, None);
            world.recv_into(client, ROOM, MSG_ERRQUEUE);
        }
        world.close(listener);
    });
}

/// Whatever goes wrong after the first message ends sendmmsg, and nobody is told: not by the call, nor by the next, nor by
/// SO_ERROR. Where the error queue tells of it, it does so here too.
#[test]
fn sendmmsg_that_ends_early() {
    let small = || b"small".to_vec();
    let largest = || vec![7; 65_536];
    on_both(|world| {
        for (domain, ip) in [(AF_INET, Ip::Lo4), (AF_INET6, Ip::Lo6)] {
            let (level, recverr) =
                if domain == AF_INET { (SOL_IP, IP_RECVERR) } else { (SOL_IPV6, IPV6_RECVERR) };
            for asks in [0i32, 1] {
                let to = Target::new(ip, Port::Slot(0));
                let [receiver, sender] = [(); 2].map(|()| world.socket(domain, DGRAM, 0));
                world.set_option(sender, level, recverr, &asks.to_ne_bytes());
                let told = |world: &mut World| {
                    world.option(sender, SOL_SOCKET, SO_ERROR, 4);
                    world.recv_into(sender, ROOM, MSG_ERRQUEUE);
                    world.send(sender, b"next", 0, Some(to));
                };
                world.bind(receiver, to);
                // Too long for any datagram; too long with what the header takes.
                for long in [largest(), vec![7; 65_530]] {
                    world.send_many(sender, &[small(), long.clone(), small()], 0, Some(to));
                    told(world);
                    world.send_many(sender, &[long, small()], 0, Some(to));
                    told(world);
                }
                // The first hears that nobody is there before the second goes.
                world.close(receiver);
                world.connect(sender, to);
                world.send_many(sender, &[small(), small(), small()], 0, None);
                told(world);
                world.option(sender, SOL_SOCKET, SO_ERROR, 4);
                // What was shut meanwhile is said at once.
                world.shutdown(sender, SHUT_WR);
                world.send_many(sender, &[small(), small()], 0, None);
                world.close(sender);
            }
        }
        let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, RAW, NOBODYS));
        let to = Target::new(Ip::Lo4, Port::Zero);
        world.send_many(sender, &[small(), largest(), small()], 0, Some(to));
        world.option(sender, SOL_SOCKET, SO_ERROR, 4);
        world.send_many(sender, &[small()], MSG_OOB, Some(to));
        world.recv_into(receiver, ROOM, 0);
    });
}

/// Options of the packet that change while a datagram is held back: over IPv4 those of its end count, over IPv6 those of its
/// beginning. To whom it goes, and by which interface, was said with the first part.
#[test]
fn options_that_change_while_a_datagram_is_held_back() {
    on_both(|world| {
        let on = 1i32.to_ne_bytes();
        for (domain, ip, group) in [
            (AF_INET, Ip::Lo4, Ip::Group4),
            (AF_INET6, Ip::Lo6, Ip::Group6),
            (AF_INET6, Ip::MappedLo, Ip::Group4),
        ] {
            let is_v4 = group == Ip::Group4;
            let level = if is_v4 { SOL_IP } else { SOL_IPV6 };
            for to in [Target::new(ip, Port::Slot(0)), Target::new(group, Port::Slot(0))] {
                for (kind, held_by) in [(DGRAM, MSG_MORE), (DGRAM, UDP_CORK), (RAW, MSG_MORE)] {
                    if kind == RAW && ip == Ip::MappedLo {
                        continue;
                    }
                    held_back(world, (domain, kind, level, &on), (ip, to, held_by));
                }
            }
        }
    });
}

fn held_back(
    world: &mut World,
    (domain, kind, level, on): (i32, i32, i32, &[u8]),
    (ip, to, held_by): (Ip, Target, i32),
) {
    let protocol = if kind == RAW { NOBODYS } else { 0 };
    let [receiver, sender] = [(); 2].map(|()| world.socket(domain, kind, protocol));
    let (any, told, limits) = match level {
        SOL_IP => (
            if domain == AF_INET { Ip::Any4 } else { Ip::MappedAny },
            [IP_RECVTTL, IP_RECVTOS, IP_PKTINFO],
            [IP_TTL, IP_TOS, IP_MULTICAST_TTL, IP_MULTICAST_LOOP],
        ),
        _ => (
            Ip::Any6,
            [IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVPKTINFO],
            [IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP],
        ),
    };
    world.bind(receiver, Target::new(any, Port::Slot(0)));
    for name in told {
        world.set_option(receiver, level, name, on);
    }
    let (join, by) = match level {
        SOL_IP => ([&[239, 1, 1, 1, 0, 0, 0, 0][..], &1i32.to_ne_bytes()].concat(), IP_MULTICAST_IF),
        _ => {
            let std::net::IpAddr::V6(group) = Ip::Group6.address() else { unreachable!("it is of IPv6") };
            ([&group.octets()[..], &1i32.to_ne_bytes()].concat(), IPV6_MULTICAST_IF)
        }
    };
    let add = if level == SOL_IP { IP_ADD_MEMBERSHIP } else { IPV6_ADD_MEMBERSHIP };
    world.set_option(receiver, level, add, &join);
    let interface = if level == SOL_IP { [&[0; 8][..], &1i32.to_ne_bytes()].concat() } else { on.to_vec() };
    let nowhere = if level == SOL_IP { vec![0; 12] } else { vec![0; 4] };
    world.bind(sender, Target::new(ip, Port::Zero));
    for value in [7i32, 9, 0] {
        world.set_option(sender, level, by, &interface);
        if held_by == UDP_CORK {
            world.set_option(sender, SOL_UDP, UDP_CORK, on);
            world.send(sender, b"one", 0, Some(to));
        } else {
            world.send(sender, b"one", MSG_MORE, Some(to));
        }
        for (name, value) in limits.into_iter().zip([value + 1, value * 4, value, value.min(1)]) {
            world.set_option(sender, level, name, &value.to_ne_bytes());
        }
        world.set_option(sender, level, by, &nowhere);
        world.send(sender, b"two", MSG_MORE, Some(to));
        if held_by == UDP_CORK {
            world.set_option(sender, SOL_UDP, UDP_CORK, &[0; 4]);
        } else {
            world.send(sender, b"three", 0, Some(to));
        }
        world.recv_into(receiver, ROOM, 0);
    }
    world.close(sender);
    world.close(receiver);
}

/// To the filter of ICMPv6 what has no whole header is no message.
#[test]
fn messages_without_a_whole_header() {
    on_both(|world| {
        let to = Target::new(Ip::Lo6, Port::Zero);
        let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET6, RAW, IPPROTO_ICMPV6));
        for socket in [receiver, sender] {
            world.set_option(socket, SOL_RAW, IPV6_CHECKSUM, &(-1i32).to_ne_bytes());
        }
        for len in 2..6 {
            world.send(sender, &[200, 0, 0, 0, 0, 0][..len], 0, Some(to));
            world.recv_into(receiver, ROOM, 0);
        }
    });
}

/// connect(2) looks for the way to a group by IP_MULTICAST_IF too; a socket that is bound to a group takes the wildcard for
/// the loopback's address.
#[test]
fn connections_to_and_from_groups() {
    on_both(|world| {
        let interface = [&[0; 8][..], &1i32.to_ne_bytes()].concat();
        let group = Target::new(Ip::Group4, Port::Slot(1));
        let [to_group, from_group] = [(); 2].map(|()| world.socket(AF_INET, DGRAM, 0));
        world.connect(to_group, group);
        world.set_option(to_group, SOL_IP, IP_MULTICAST_IF, &interface);
        world.connect(to_group, group);
        world.bind(from_group, Target::new(Ip::Group4, Port::Zero));
        world.connect(from_group, Target::new(Ip::Any4, Port::Slot(2)));
        world.peer(from_group);
        let of_v6 = world.socket(AF_INET6, DGRAM, 0);
        world.set_option(of_v6, SOL_IPV6, IPV6_MULTICAST_IF, &1i32.to_ne_bytes());
        world.connect(of_v6, Target::new(Ip::Group6, Port::Slot(1)));
    });
}
