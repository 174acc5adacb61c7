//! Fragments through the stack: those that come, and packets that are cut.

use core::net::IpAddr;

use crate::buf::{Chunk, Frame};
use crate::counters::{Counter, Counters};
use crate::discovery::Fragmentation;
use crate::ip::cutting;
use crate::ip::fragments::{Fragments, Outcome, Refusal, TimedOut};
use crate::ip::icmp::ErrorKind;
use crate::ip::input::{Origin, Packet, Rejected, parse_v4, parse_v6};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::icmpv6::ParameterProblemCode;
use crate::wire::ipv6_ext::{ExtError, ExtLimits, FragmentHeader, upper_layer};
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Malformed, TcpHeader, UdpHeader};

use super::Stack;

/// The packets of both families that are not whole yet.
#[derive(Debug)]
pub(super) struct Reassembly {
    v4: Fragments,
    v6: Fragments,
}

impl Reassembly {
    pub(super) fn new(random: &mut Random) -> Self {
        Reassembly { v4: Fragments::new(random), v6: Fragments::new(random) }
    }

    fn of(&mut self, family: IpAddr) -> &mut Fragments {
        if family.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    fn handle_timeout(&mut self, now: Instant) -> Option<TimedOut> {
        self.v4.handle_timeout(now).or_else(|| self.v6.handle_timeout(now))
    }

    /// When the next packet is given up.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.v4.poll_timeout(), self.v6.poll_timeout())
    }
}

/// The counters of a family.
struct Tally {
    requests: Counter,
    whole: Counter,
    fails: Counter,
    timeouts: Counter,
}

impl Tally {
    fn of(family: IpAddr) -> Self {
        match family {
            IpAddr::V4(_) => Tally {
                requests: Counter::IpReasmReqds,
                whole: Counter::IpReasmOKs,
                fails: Counter::IpReasmFails,
                timeouts: Counter::IpReasmTimeout,
            },
            IpAddr::V6(_) => Tally {
                requests: Counter::Ip6ReasmReqds,
                whole: Counter::Ip6ReasmOKs,
                fails: Counter::Ip6ReasmFails,
                timeouts: Counter::Ip6ReasmTimeout,
            },
        }
    }
}

impl Stack {
    /// The parts of a packet, of at most `mtu` bytes each.
    pub(super) fn fragments(
        &mut self,
        packet: Transmit,
        mtu: usize,
    ) -> impl Iterator<Item = Transmit> + use<> {
        let v4 = packet.headers.first().is_some_and(|byte| byte >> 4 == 4);
        let (cut, made) = match v4 {
            true => (Counter::IpFragOKs, Counter::IpFragCreates),
            false => (Counter::Ip6FragOKs, Counter::Ip6FragCreates),
        };
        let parts: Vec<Transmit> = cutting::cut(packet, mtu, self.random.next_u32()).collect();
        self.counters.bump(cut);
        self.counters[made] += parts.len() as u64;
        parts.into_iter()
    }

    /// The identification of a packet, which only one that may be cut has. A link that cuts it into `segments` counts
    /// on from there.
    //= RFC 6864 §4.1
    //= RFC 8200 §4.5 MUST-1
    pub(super) fn identification(
        &mut self,
        fragmentation: Fragmentation,
        pair: (IpAddr, IpAddr),
        protocol: IpProtocol,
        segments: usize,
    ) -> u16 {
        match (fragmentation, pair.0) {
            (Fragmentation::Forbidden, _) | (_, IpAddr::V6(_)) => 0,
            (Fragmentation::Allowed, IpAddr::V4(_)) => {
                let count = u16::try_from(segments).unwrap_or(u16::MAX);
                self.identifications.next(pair, protocol, count)
            }
        }
    }

    /// Takes a part of a packet for us. The last that was missing makes it whole, and it goes on as if it had come so.
    //= RFC 1122 §3.3.2
    //= RFC 8200 §4.5
    pub(super) fn receive_fragment(&mut self, now: Instant, packet: &Packet, fragment: &FragmentHeader) {
        let tally = Tally::of(packet.source);
        self.counters.bump(tally.requests);
        if lacks_headers(packet, fragment) {
            self.counters.bump(Counter::Ip6InHdrErrors);
            self.counters.bump(tally.fails);
            let code = ParameterProblemCode::INCOMPLETE_CHAIN;
            return self.send_error(now, ErrorKind::ParameterProblem { code, pointer: 0 }, packet);
        }
        let limits = self.config.fragment_limits(packet.source);
        let mut evicted = 0;
        let table = self.reassembly.of(packet.source);
        let outcome = table.on_fragment(now, packet, fragment, &limits, &mut evicted);
        self.counters[tally.fails] += evicted;
        match outcome {
            Outcome::Waiting => {}
            Outcome::Whole(bytes) => {
                self.counters.bump(tally.whole);
                self.receive_whole(now, packet, bytes);
            }
            Outcome::Refused(refusal) => {
                self.counters.bump(tally.fails);
                self.on_refused_fragment(now, packet, refusal);
            }
        }
    }

    fn receive_whole(&mut self, now: Instant, last: &Packet, bytes: Vec<u8>) {
        let limits = self.config.ext_limits();
        match parse(last.origin(), Chunk::from(bytes), &limits, &mut self.counters) {
            // A fragment header behind the one that is gone would make parts of a part.
            Ok(packet) if packet.fragment.is_some() => self.counters.bump(Counter::Ip6InHdrErrors),
            Ok(packet) => {
                let fragmented = packet.source.is_ipv6();
                self.deliver(now, &Packet { fragmented, ..packet });
            }
            Err(rejected) => self.on_rejected(now, rejected),
        }
    }

    fn on_refused_fragment(&mut self, now: Instant, packet: &Packet, refusal: Refusal) {
        if refusal == Refusal::Overlap && packet.source.is_ipv4() {
            self.counters.bump(Counter::IpExtReasmOverlaps);
        }
        let headers = packet.whole.len() - packet.payload.len();
        let pointer = match (packet.source, refusal) {
            (IpAddr::V6(_), Refusal::Ragged) => PAYLOAD_LEN_AT,
            (IpAddr::V6(_), Refusal::TooLong) => (headers - FRAGMENT_HEADER_LEN + OFFSET_FIELD_AT) as u32,
            _ => return,
        };
        self.counters.bump(Counter::Ip6InHdrErrors);
        let code = ParameterProblemCode::ERRONEOUS_FIELD;
        self.send_error(now, ErrorKind::ParameterProblem { code, pointer }, packet);
    }

    /// Gives packets up whose time is over.
    //= RFC 1122 §3.3.2 MUST-4
    //= RFC 1122 §3.3.2 SHLD-2
    pub(super) fn handle_fragment_timeouts(&mut self, now: Instant) {
        while let Some(timed_out) = self.reassembly.handle_timeout(now) {
            let tally = Tally::of(timed_out.source);
            self.counters.bump(tally.timeouts);
            self.counters.bump(tally.fails);
            let (id, limits) = (Origin::of(timed_out.interface), self.config.ext_limits());
            let first = timed_out.first.map(|first| parse(id, first, &limits, &mut self.counters));
            if let Some(Ok(packet)) = first {
                self.send_error(now, ErrorKind::ReassemblyTimeExceeded, &packet);
            }
        }
    }
}

/// Reads a packet that came in parts.
fn parse(
    origin: Origin,
    bytes: Chunk,
    limits: &ExtLimits,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    let frame = Frame::from(bytes);
    let whole = frame.bytes.clone();
    match whole.first().map(|byte| byte >> 4) {
        Some(4) => parse_v4(origin, &frame, whole, counters),
        _ => parse_v6(origin, &frame, whole, limits, counters),
    }
}

/// Whether a first fragment of IPv6 ends before the header of what the packet carries does.
//= RFC 7112 §5
fn lacks_headers(packet: &Packet, fragment: &FragmentHeader) -> bool {
    if fragment.offset != 0 || packet.source.is_ipv4() {
        return false;
    }
    let upper = match upper_layer(&packet.payload, packet.protocol) {
        Ok(upper) => upper,
        // What else is wrong with it is told of the whole.
        Err(error) => return error == ExtError::Malformed(Malformed::Truncated),
    };
    let needed = match upper.protocol {
        IpProtocol::TCP => TcpHeader::MIN_LEN,
        IpProtocol::UDP => UdpHeader::LEN,
        IpProtocol::ICMPV6 => 8,
        IpProtocol::NO_NEXT => 0,
        _ => 1,
    };
    packet.payload.len() < upper.offset + needed
}

/// Offset of IPv6's length field, in bytes.
const PAYLOAD_LEN_AT: u32 = 4;

/// Length of the fragment header, and the offset in it of the field that holds the fragment's, in bytes.
const FRAGMENT_HEADER_LEN: usize = 8;
const OFFSET_FIELD_AT: usize = 2;
