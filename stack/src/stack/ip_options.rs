//! Options of IPv4's header: what this host adds to those that come, go and are answered.

use core::net::{IpAddr, Ipv4Addr};

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

    /// What this host records of itself in options.
    fn recording_host(&self, now: Instant, ours: Ipv4Addr) -> Host<impl Fn(Ipv4Addr) -> bool> {
        Host {
            ours,
            is_ours: |address| self.interfaces.is_local(IpAddr::V4(address)),
            time: time_of_no_day(now),
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

/// The time in milliseconds, with the upper bit, which says that it is not that of the day: that is not known here.
//= RFC 791 §3.1
pub(super) fn time_of_no_day(now: Instant) -> u32 {
    1 << 31 | now.as_millis() as u32 & (u32::MAX >> 1)
}
