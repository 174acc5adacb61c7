//! Options of IPv4's header: what this host adds to those that come, go and are answered.

use core::net::{IpAddr, Ipv4Addr};

use core::time::Duration;

use crate::buf::Chunk;
use crate::ip::input::Packet;
use crate::time::Instant;
use crate::wire::Ipv4Header;
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv4_options::{AnswerOptions, Host, Ipv4Options, Step};

use super::Stack;

impl Stack {
    /// The options of an answer of `source` to `packet`. A packet whose options make no sense is answered without.
    //= RFC 1122 §3.2.2.6
    //= RFC 1122 §3.2.2.6 SHLD-2
    pub(super) fn answer_options(&self, now: Instant, packet: &Packet, source: IpAddr) -> AnswerOptions {
        let (options, IpAddr::V4(source)) = (packet.ipv4_options(), source) else {
            return AnswerOptions::default();
        };
        if options.is_empty() {
            return AnswerOptions::default();
        }
        let host = self.recording_host(now, source);
        Ipv4Options::parse(options)
            .map_or_else(|_| AnswerOptions::default(), |parsed| parsed.answer(options, &host))
    }

    /// The options that a socket wants of a packet from `source` to `destination`, as they go.
    //= RFC 1122 §3.2.1.8 MUST-1
    pub(super) fn socket_options(
        &self,
        now: Instant,
        options: AnswerOptions,
        (source, destination): (IpAddr, IpAddr),
    ) -> AnswerOptions {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(_)) if !options.is_empty() => {
                options.recorded(&self.recording_host(now, source))
            }
            _ => AnswerOptions::default(),
        }
    }

    /// Says what time of the day `now` is: how long after midnight, by universal time. It is counted from then on, by `now`.
    ///
    /// The timestamps of ICMP and of IPv4's options tell it (RFC 792, RFC 791 §3.1). Before anybody has said, theirs are
    /// marked as not being of the day.
    ///
    /// ```
    /// use core::time::Duration;
    /// use tapsock_stack::config::Config;
    /// use tapsock_stack::stack::Stack;
    /// use tapsock_stack::time::Instant;
    ///
    /// let now = Instant::from_secs(7);
    /// let mut stack = Stack::new(Config::default(), 1, now);
    /// stack.set_time_of_day(now, Duration::from_secs(12 * 60 * 60));
    /// ```
    //= RFC 1122 §3.2.2.8 MUST-4
    pub fn set_time_of_day(&mut self, now: Instant, since_midnight: Duration) {
        let [then, now] = [since_midnight.as_millis() % u128::from(DAY), u128::from(now.as_millis() % DAY)];
        self.midnight = Some(((then + u128::from(DAY) - now) % u128::from(DAY)) as u32);
    }

    /// The time of the day in milliseconds; where that is not known a time with the upper bit, which says so.
    //= RFC 791 §3.1
    //= RFC 1122 §3.2.2.8 MUST-4
    pub(super) fn time_of_day(&self, now: Instant) -> u32 {
        match self.midnight {
            Some(at_zero) => ((now.as_millis() % DAY + u64::from(at_zero)) % DAY) as u32,
            None => 1 << 31 | now.as_millis() as u32 & (u32::MAX >> 1),
        }
    }

    /// What this host records of itself in options.
    fn recording_host(&self, now: Instant, ours: Ipv4Addr) -> Host<impl Fn(Ipv4Addr) -> bool> {
        Host {
            ours,
            is_ours: |address| self.interfaces.is_local(IpAddr::V4(address)),
            time: self.time_of_day(now),
        }
    }

    /// A packet of somebody else with options as it goes on: the router stands in the record of its route, by the address
    /// that it has where the packet leaves.
    //= RFC 1812 §5.3.13.5
    pub(super) fn recorded_on(&self, now: Instant, packet: &Packet, ours: IpAddr) -> Packet {
        match ours {
            IpAddr::V4(ours) => self.recorded_by(now, packet.clone(), ours),
            IpAddr::V6(_) => packet.clone(),
        }
    }

    /// A packet with options as it is handed on: the receiver stands in the record of its route.
    //= RFC 1122 §3.2.1.8
    pub(super) fn recorded(&self, now: Instant, packet: Packet) -> Packet {
        let ours = match packet.destination {
            IpAddr::V4(destination) if self.interfaces.is_local(packet.destination) => Some(destination),
            _ => self.way_back(&packet, false).and_then(|hop| match hop.source {
                IpAddr::V4(source) => Some(source),
                IpAddr::V6(_) => None,
            }),
        };
        match ours {
            Some(ours) => self.recorded_by(now, packet, ours),
            None => packet,
        }
    }

    fn recorded_by(&self, now: Instant, packet: Packet, ours: Ipv4Addr) -> Packet {
        let Ok(options) = Ipv4Options::parse(packet.ipv4_options()) else { return packet };
        let len = packet.whole.len() - packet.payload.len();
        let mut bytes = packet.whole.to_vec();
        let host = self.recording_host(now, ours);
        options.record(&mut bytes[Ipv4Header::MIN_LEN..len], Step::Receive, &host);
        write_checksum(&mut bytes[..len]);
        let whole = Chunk::from(bytes);
        Packet { payload: whole.slice(len..whole.len()), whole, ..packet }
    }
}

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;
