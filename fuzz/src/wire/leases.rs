//! What servers, routers and neighbours tell a host that configures itself, one after the other.
//!
//! An input is a row of steps: what is done, how many bytes follow, and those. Replies answer the question that the host
//! asked last, so that they are looked at.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use tapsock_stack::buf::{Checksum, Chunk, Frame, HeaderBlock};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, MAX_ROUTES};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader, IpProtocol};

use crate::craft::{Path, station, transport_of};
use crate::emitted;

const CAPS: LinkCaps = LinkCaps::plain(Medium::Ethernet, 1500);
/// Addresses of an interface at the most.
const MAX_ADDRESSES: usize = 64;
/// Deadlines of one wait at the most: a day of the shortest leases and lifetimes.
const MAX_DEADLINES: usize = 100_000;
/// Bytes that the host may hold at the most: its tables are small.
const MAX_MEMORY: u64 = 8 << 20;

/// Takes the steps that `bytes` say.
pub(super) fn run(bytes: &[u8]) {
    let used = allocation_counter::measure(|| {
        let mut bench = Bench::new();
        let mut rest = bytes;
        while let Some((&[kind, len], after)) = rest.split_first_chunk() {
            let (step, after) = after.split_at(usize::from(len).min(after.len()));
            bench.take(kind, step);
            rest = after;
        }
        bench.wait(Duration::from_secs(600));
    });
    assert!(used.bytes_max <= MAX_MEMORY, "{} bytes of memory", used.bytes_max);
}

struct Bench {
    stack: Stack,
    now: Instant,
    eth: InterfaceId,
    /// The message that the DHCP client sent last.
    asked: Vec<u8>,
    /// The address that was looked for last.
    looked_for: Ipv6Addr,
}

impl Bench {
    fn new() -> Self {
        let mut config = Config::default();
        for (name, value) in [
            ("net.ipv6.conf.all.accept_dad", "1"),
            ("net.ipv6.conf.all.router_solicitations", "3"),
            ("net.ipv6.conf.all.use_tempaddr", "2"),
            ("net.ipv6.conf.all.accept_ra_rt_info_max_plen", "128"),
            ("tapsock.ipv4_acd", "1"),
        ] {
            config.set(name, value).expect("a setting of ours");
        }
        let now = Instant::from_secs(1);
        let mut stack = Stack::new(config, 1, now);
        let eth = stack.add_interface("eth0", station(0), CAPS).expect("the first");
        stack.start_dhcp(now, eth, Some("alpha".to_owned())).expect("an interface with neighbours");
        let mut bench = Bench { stack, now, eth, asked: Vec::new(), looked_for: Ipv6Addr::UNSPECIFIED };
        bench.listen();
        bench
    }

    fn take(&mut self, kind: u8, bytes: &[u8]) {
        let frame = match kind % 6 {
            0 => self.reply(bytes),
            1 => arp(bytes),
            2 => advert(bytes),
            3 => self.neighbor(bytes),
            4 => {
                let seconds = number(bytes);
                return self.wait(Duration::from_secs(seconds.into()));
            }
            // The message that was asked with comes back, with other bytes at some place.
            _ => {
                let mut message = self.asked.clone();
                let at = usize::from(number(bytes));
                for (byte, other) in message.iter_mut().skip(at).zip(bytes.get(2..).unwrap_or_default()) {
                    *byte = *other;
                }
                server(1).udp((67, 68), &message)
            }
        };
        let frame = Frame { bytes: Chunk::from(frame), checksum: Checksum::Valid, gso_size: None };
        self.stack.receive(self.now, self.eth, frame);
        self.listen();
    }

    /// A server answers: its type, the host's number that it gives, its own, and options.
    fn reply(&self, bytes: &[u8]) -> Vec<u8> {
        let [kind, host, own, options @ ..] = bytes else { return Vec::new() };
        let mut message = self.asked.clone();
        message.resize(message.len().max(240), 0);
        message.truncate(240);
        message[0] = 2;
        message[16..20].copy_from_slice(&[10, 0, 0, *host]);
        message.extend([53, 1, *kind, 54, 4, 10, 0, 0, *own]);
        message.extend_from_slice(options);
        message.push(255);
        server(*own).udp((67, 68), &message)
    }

    /// Somebody asks for, or has, the address that was looked for last.
    fn neighbor(&self, bytes: &[u8]) -> Vec<u8> {
        let kind = if bytes.first().is_some_and(|kind| kind & 1 == 0) { 135 } else { 136 };
        let from = if bytes.get(1).is_some_and(|from| from & 1 == 0) { "::" } else { "fe80::9" };
        let rest = [bytes.get(2).copied().unwrap_or_default(), 0, 0, 0];
        let body = [&self.looked_for.octets()[..], bytes.get(3..).unwrap_or_default()].concat();
        from_router(from, "ff02::1").icmpv6(Icmpv6Message::Other { kind, code: 0, rest }, &body)
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..MAX_DEADLINES {
            let Some(due) = self.stack.poll_timeout().filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.stack.handle_timeout(self.now);
            self.listen();
        }
        panic!("its deadlines stand still at {:?}", self.now);
    }

    /// Takes what the host sends, and looks at what it has become.
    fn listen(&mut self) {
        while let Some((_, transmit)) = self.stack.poll_transmit(self.now) {
            let frame = emitted::frame(transmit, CAPS);
            if let Some((_, _, datagram)) = transport_of(&frame.bytes, IpProtocol::UDP) {
                assert_eq!(datagram[..4], [0, 68, 0, 67]);
                self.asked = datagram[8..].to_vec();
            }
            if let Some((source, _, message)) = transport_of(&frame.bytes, IpProtocol::ICMPV6)
                && (message[0], source) == (135, IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            {
                let target: [u8; 16] = message[8..24].try_into().expect("a target has so many bytes");
                self.looked_for = target.into();
            }
        }
        while self.stack.poll_event().is_some() {}
        let interfaces = self.stack.interfaces();
        let own = interfaces.interface(self.eth).expect("it stays").addresses();
        assert!(own.len() <= MAX_ADDRESSES && interfaces.routes().iter().count() <= MAX_ROUTES);
        assert!(own.iter().all(|own| !own.cidr.address.is_multicast() && !own.cidr.address.is_unspecified()));
        if let Some(lease) = self.stack.lease(self.eth) {
            let end = lease.times.map(|times| times.end);
            assert!(end.is_none_or(|end| end >= self.now), "a lease that is over");
        }
    }
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([
        bytes.first().copied().unwrap_or_default(),
        bytes.get(1).copied().unwrap_or_default(),
    ])
}

fn server(own: u8) -> Path {
    Path {
        from_station: station(1),
        to_station: EthernetAddress([0xff; 6]),
        source: Ipv4Addr::new(10, 0, 0, own).into(),
        destination: Ipv4Addr::BROADCAST.into(),
    }
}

fn from_router(source: &str, destination: &str) -> Path {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address of ours");
    let (source, destination) = (address(source), address(destination));
    Path {
        from_station: station(1),
        to_station: EthernetAddress::multicast_for(destination),
        source,
        destination,
    }
}

/// A router tells of itself: the lifetime, the flags, and options.
fn advert(bytes: &[u8]) -> Vec<u8> {
    let [high, low, flags, options @ ..] = bytes else { return Vec::new() };
    let message = Icmpv6Message::Other { kind: 134, code: 0, rest: [64, *flags, *high, *low] };
    from_router("fe80::2", "ff02::1").icmpv6(message, &[&[0; 8], options].concat())
}

/// Somebody asks for an address, has it or looks for it.
fn arp(bytes: &[u8]) -> Vec<u8> {
    let [operation, sender, target] = [0, 1, 2].map(|at| bytes.get(at).copied().unwrap_or_default());
    let ip = |last: u8| if last == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, last) };
    let packet = ArpPacket {
        operation: if operation & 1 == 0 { ArpOperation::Request } else { ArpOperation::Reply },
        sender_hardware: station(5),
        sender_ip: ip(sender),
        target_hardware: station(0),
        target_ip: ip(target),
    };
    let mut headers = HeaderBlock::new();
    packet.prepend_to(&mut headers);
    let (destination, source) = (EthernetAddress([0xff; 6]), station(5));
    EthernetHeader { destination, source, ether_type: EtherType::Arp }.prepend_to(&mut headers);
    headers.to_vec()
}

/// A lease that is given, kept and lost; one that another host has; a router with prefixes, and one that goes.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let step = |kind: u8, bytes: &[u8]| [&[kind, bytes.len() as u8], bytes].concat();
    let reply = |kind: u8, seconds: u16| {
        let [high, low] = seconds.to_be_bytes();
        let options = [1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 1, 51, 4, 0, 0, high, low];
        step(0, &[&[kind, 9, 1][..], &options].concat())
    };
    let wait = |seconds: u16| step(4, &seconds.to_be_bytes());
    let prefix =
        [&[3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8][..], &[0; 12]].concat();
    let resolver = [&[25, 3, 0, 0, 0, 0, 0, 90][..], &[0xfd; 16]].concat();
    let advert = |lifetime: u8| step(2, &[&[0, lifetime, 0][..], &prefix, &resolver].concat());
    let given = [reply(2, 600), reply(5, 600), wait(1)].concat();
    vec![
        [given.clone(), wait(320), reply(5, 600), wait(2000)].concat(),
        [given.clone(), step(1, &[1, 9, 9]), wait(20), step(1, &[0, 9, 9]), wait(60), reply(6, 0)].concat(),
        [given, wait(320), reply(6, 0), wait(70), reply(2, 60), reply(5, 60), wait(600)].concat(),
        [reply(2, 600), step(1, &[0, 0, 9]), reply(5, 600), step(1, &[1, 9, 9]), wait(30)].concat(),
        [advert(200), step(3, &[1, 1, 0x20]), wait(5), advert(0), wait(4000)].concat(),
        [advert(200), wait(1), step(3, &[0, 0, 0]), step(3, &[0, 1, 0]), wait(300), advert(1)].concat(),
        [wait(3), step(5, &[0, 0, 2]), step(5, &[0, 242, 2, 54, 4, 10, 0, 0, 1, 255]), wait(100)].concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the seeds are for: a lease is there after two replies, and addresses after an advertisement.
    #[test]
    fn seeds_give_leases_and_addresses() {
        let mut had = [false; 2];
        for seed in seeds() {
            let (mut bench, mut rest) = (Bench::new(), &seed[..]);
            while let Some((&[kind, len], after)) = rest.split_first_chunk() {
                let (step, after) = after.split_at(len.into());
                bench.take(kind, step);
                rest = after;
                let own = bench.stack.interfaces().interface(bench.eth).expect("it stays").addresses();
                let made = |own: &IpAddr| matches!(own, IpAddr::V6(own) if own.segments()[0] == 0x2001);
                had[0] |= bench.stack.lease(bench.eth).is_some();
                had[1] |= own.iter().any(|own| made(&own.cidr.address));
            }
        }
        assert_eq!(had, [true; 2]);
    }
}
