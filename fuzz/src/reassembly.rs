//! The fragments of packets, held against a model of one entry a byte.
//!
//! An input is a row of typed steps: parts of a few packets of both families come in any order, with holes, twice, over
//! each other, past the longest packet, without an end; time passes; memory runs short.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use tapsock_stack::buf::{Frame, HeaderBlock};
use tapsock_stack::counters::Counters;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ip::fragments::{FragmentLimits, Fragments, Outcome, Refusal};
use tapsock_stack::ip::input::{Origin, Packet, parse_v4, parse_v6};
use tapsock_stack::random::Random;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::ipv6_ext::ExtLimits;
use tapsock_stack::wire::{IpProtocol, Ipv4Header, Ipv6Header};

use crate::craft::{Family, address};
use crate::memory;

/// Steps of one run at most.
const MAX_STEPS: usize = 400;

/// Packets of a family that are under way at a time.
const PACKETS: u8 = 6;

/// How long parts wait.
const TIME: Duration = Duration::from_secs(30);

/// Bytes of memory that a single part may go beyond the limit: its own, and what it is charged for besides.
const ONE_PART: usize = 1_000;

/// Runs the steps that `data` says.
pub fn run(data: &[u8]) {
    memory::of(|| drop(outcomes(data)));
}

/// How often parts waited, made a packet whole, and were refused for each reason; and packets that were given up because of
/// their age, or for want of memory.
#[derive(Clone, Debug, Default)]
struct Outcomes {
    waiting: u32,
    whole: u32,
    refused: Vec<Refusal>,
    timed_out: u32,
    evicted: u64,
}

fn outcomes(data: &[u8]) -> Vec<Outcomes> {
    let mut input = Unstructured::new(data);
    let Ok(short) = input.arbitrary::<bool>() else { return Vec::new() };
    let mut tables = [Table::new(Family::V4, short), Table::new(Family::V6, short)];
    let mut now = Instant::from_secs(1);
    for _ in 0..MAX_STEPS {
        match input.arbitrary() {
            Ok(Step::Part(part)) => tables[usize::from(part.v6)].take(now, &part),
            Ok(Step::Again { v6, which }) => tables[usize::from(v6)].repeat(now, which.into()),
            Ok(Step::Piece { v6, packet, count, which }) => {
                tables[usize::from(v6)].take(now, &piece(v6, packet, 2 + count % 4, which));
            }
            Ok(Step::Wait { seldom, millis }) => {
                let millis = if seldom % 16 == 0 { u64::from(millis) } else { 0 };
                now += Duration::from_millis(millis);
                tables.iter_mut().for_each(|table| table.pass(now));
            }
            Err(_) => break,
        }
        if input.is_empty() {
            break;
        }
    }
    // In the end nothing is left of what did not become whole.
    now += TIME;
    tables.iter_mut().for_each(|table| table.pass(now));
    assert!(tables.iter().all(|table| table.fragments.usage() == (0, 0) && table.known.is_empty()));
    tables.into_iter().map(|table| table.seen).collect()
}

/// Bytes without a meaning, and packets in parts.
pub fn seeds() -> Vec<Vec<u8>> {
    let word = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes();
    (0..16u32).map(|seed| (0..200).flat_map(|n| word(seed * 1000 + n)).collect()).collect()
}

#[derive(Arbitrary, Debug)]
enum Step {
    Part(Part),
    /// A part that came before comes again.
    Again {
        v6: bool,
        which: u8,
    },
    /// One of the pieces into which a packet is cut evenly.
    Piece {
        v6: bool,
        packet: u8,
        count: u8,
        which: u8,
    },
    Wait {
        seldom: u8,
        millis: u16,
    },
}

/// The piece of that number, of `count` that are 24 bytes long, but for the last.
fn piece(v6: bool, packet: u8, count: u8, which: u8) -> Part {
    let which = which % count;
    let last = which + 1 == count;
    let (odd, eighths) = if last { (6, 2) } else { (0, 3) };
    let (ecn, options) = ((packet / PACKETS) & 2, packet & 0x80 != 0);
    Part { v6, packet, at: Place::Near(which * 3), odd, eighths, more: !last, ecn, options }
}

/// A part of a packet.
#[derive(Arbitrary, Clone, Debug)]
struct Part {
    v6: bool,
    /// Which packet.
    packet: u8,
    at: Place,
    /// Bytes beyond a multiple of eight.
    odd: u8,
    eighths: u8,
    more: bool,
    ecn: u8,
    /// A header before it that is longer than usual.
    options: bool,
}

/// Where a part stands.
#[derive(Arbitrary, Clone, Debug)]
enum Place {
    /// Among the first few, so that parts meet.
    Near(u8),
    /// Anywhere, in eights.
    Far(u16),
}

impl Part {
    fn offset(&self) -> u16 {
        match self.at {
            Place::Near(eighth) => u16::from(eighth % 12) * 8,
            Place::Far(eighth) => (eighth % 0x2000) * 8,
        }
    }

    fn len(&self) -> usize {
        usize::from(self.eighths % 8) * 8 + usize::from(self.odd % 10).saturating_sub(2)
    }

    fn name(&self) -> u32 {
        u32::from(self.packet % PACKETS)
    }

    /// The packet, from the IP header on.
    fn bytes(&self) -> Vec<u8> {
        let payload: Vec<u8> =
            (0..self.len()).map(|at| byte(self.name(), usize::from(self.offset()) + at)).collect();
        let mut headers = HeaderBlock::new();
        let family = if self.v6 { Family::V6 } else { Family::V4 };
        match [1, 0].map(|host| address(host, family)) {
            [IpAddr::V4(source), IpAddr::V4(destination)] => {
                let header = Ipv4Header {
                    source,
                    destination,
                    protocol: PROTOCOL,
                    identification: self.name() as u16,
                    fragment_offset: self.offset(),
                    more_fragments: self.more,
                    tos: self.ecn & 3,
                    ..Ipv4Header::default()
                };
                header.prepend_to(payload.len(), &mut headers);
            }
            [IpAddr::V6(source), IpAddr::V6(destination)] => {
                let field = (self.offset() | u16::from(self.more)).to_be_bytes();
                let fragment = headers.prepend(8);
                fragment[..4].copy_from_slice(&[PROTOCOL.0, 0, field[0], field[1]]);
                fragment[4..].copy_from_slice(&self.name().to_be_bytes());
                let mut next_header = IpProtocol::FRAGMENT;
                if self.options {
                    headers.prepend(8).copy_from_slice(&[next_header.0, 0, 1, 4, 0, 0, 0, 0]);
                    next_header = IpProtocol::DESTINATION_OPTIONS;
                }
                let len = headers.len() + payload.len();
                let traffic_class = self.ecn & 3;
                let header =
                    Ipv6Header { source, destination, next_header, traffic_class, ..Ipv6Header::default() };
                header.prepend_to(len, &mut headers);
            }
            _ => {}
        }
        [&headers[..], &payload].concat()
    }
}

/// What stands at a place of a packet: parts never contradict each other but by their edges.
fn byte(name: u32, at: usize) -> u8 {
    (at ^ at >> 8).wrapping_add(name as usize * 89) as u8
}

/// What the fragments carry.
const PROTOCOL: IpProtocol = IpProtocol(253);

/// A packet of which something has come, byte by byte.
struct Known {
    name: u32,
    until: Instant,
    /// Which part brought each byte that has come. What has not costs nothing, for parts are short and may be far apart.
    owner: BTreeMap<usize, u32>,
    parts: u32,
    end: Option<usize>,
    ecn: Vec<u8>,
    /// Bytes before the fragment's own header, where the first part has come, and what it was.
    first: Option<Vec<u8>>,
}

impl Known {
    fn come(&self) -> usize {
        self.owner.len()
    }

    fn reach(&self) -> usize {
        self.owner.last_key_value().map_or(0, |(at, _)| at + 1)
    }
}

/// The parts of one family, and what the model knows of them, the oldest packet first.
struct Table {
    family: Family,
    fragments: Fragments,
    limits: FragmentLimits,
    known: Vec<Known>,
    sent: Vec<Part>,
    seen: Outcomes,
}

impl Table {
    fn new(family: Family, short: bool) -> Self {
        let (high, low) = if short { (1_800, 900) } else { (4 << 20, 3 << 20) };
        let limits = FragmentLimits { high, low, time: TIME };
        let fragments = Fragments::new(&mut Random::new(7));
        Table { family, fragments, limits, known: Vec::new(), sent: Vec::new(), seen: Outcomes::default() }
    }

    fn repeat(&mut self, now: Instant, which: usize) {
        if let Some(part) = self.sent.get(which % self.sent.len().max(1)).cloned() {
            self.take(now, &part);
        }
    }

    fn take(&mut self, now: Instant, part: &Part) {
        let part = &Part { v6: self.family == Family::V6, ..part.clone() };
        if self.sent.len() < 64 {
            self.sent.push(part.clone());
        }
        let frame = Frame::from(part.bytes());
        let (origin, whole) = (Origin::of(InterfaceId(1)), frame.bytes.clone());
        let mut counters = Counters::default();
        let parsed = match self.family {
            Family::V4 => parse_v4(origin, &frame, whole, &mut counters),
            Family::V6 => parse_v6(origin, &frame, whole, &ExtLimits::default(), &mut counters),
        };
        let packet = parsed.expect("a packet that is right");
        // One that is whole in itself (RFC 6946).
        let Some(fragment) = packet.fragment else {
            assert_eq!((part.offset(), part.more), (0, false));
            return;
        };
        assert_eq!((fragment.offset, fragment.more), (part.offset(), part.more));
        assert_eq!(fragment.identification, part.name());
        let mut evicted = 0;
        let outcome = self.fragments.on_fragment(now, &packet, &fragment, &self.limits, &mut evicted);
        self.known.drain(..evicted as usize);
        self.seen.evicted += evicted;
        let expected = self.expect(now, part, &packet);
        match (&outcome, &expected) {
            (Outcome::Waiting, Expected::Waiting) => self.seen.waiting += 1,
            (Outcome::Refused(refusal), Expected::Refused(expected)) => {
                assert_eq!(refusal, expected, "{part:?}");
                self.seen.refused.push(*refusal);
            }
            (Outcome::Whole(bytes), Expected::Whole { end, ecn }) => {
                self.check_whole(part.name(), bytes, *end, *ecn);
                self.seen.whole += 1;
            }
            _ => panic!("{part:?}: {outcome:?}, {expected:?}"),
        }
        self.check_usage();
    }

    /// What is to become of a part, by the rules of RFC 791, 815, 5722 and 8200 as Linux keeps them.
    fn expect(&mut self, now: Instant, part: &Part, packet: &Packet) -> Expected {
        let v4 = self.family == Family::V4;
        let (start, full) = (usize::from(part.offset()), part.len());
        let len = if v4 && part.more { full & !7 } else { full };
        if len == 0 {
            return Expected::Refused(Refusal::Empty);
        }
        if !v4 && part.more && full % 8 != 0 {
            return Expected::Refused(Refusal::Ragged);
        }
        let headers = packet.whole.len() - full - if v4 { 0 } else { 48 };
        if start + full + headers > 65_535 {
            return Expected::Refused(Refusal::TooLong);
        }
        let place = self.known.iter().position(|known| known.name == part.name()).unwrap_or_else(|| {
            let until = now + TIME;
            let (name, owner, ecn) = (part.name(), BTreeMap::new(), Vec::new());
            self.known.push(Known { name, until, owner, parts: 0, end: None, ecn, first: None });
            self.known.len() - 1
        });
        let known = &mut self.known[place];
        let (end, range) = (start + len, start..start + len);
        let ends_otherwise = match known.end {
            Some(last) => end > last || !part.more && end != last,
            None => !part.more && end < known.reach(),
        };
        let owners: Vec<_> = range.clone().map(|at| known.owner.get(&at)).collect();
        let refusal = if ends_otherwise {
            Some(Refusal::Overlap)
        } else if owners[0].is_some() && owners.iter().all(|owner| *owner == owners[0]) {
            return Expected::Refused(Refusal::Duplicate);
        } else {
            owners.iter().any(Option::is_some).then_some(Refusal::Overlap)
        };
        if let Some(refusal) = refusal {
            self.known.remove(place);
            return Expected::Refused(refusal);
        }
        let number = known.parts;
        known.parts += 1;
        known.owner.extend(range.map(|at| (at, number)));
        known.ecn.push(part.ecn & 3);
        if !part.more {
            known.end = Some(end);
        }
        if start == 0 {
            known.first = Some(packet.whole[..packet.whole.len() - full + len].to_vec());
        }
        match known.end {
            Some(end) if known.come() == end => {
                let known = self.known.remove(place);
                let first = known.ecn_of_first();
                match known.joint_ecn(first) {
                    Some(ecn) => Expected::Whole { end, ecn },
                    None => Expected::Refused(Refusal::MixedEcn),
                }
            }
            _ => Expected::Waiting,
        }
    }

    fn check_whole(&self, name: u32, bytes: &[u8], end: usize, ecn: u8) {
        let (payload, found) = match self.family {
            Family::V4 => {
                let header = Ipv4Header::parse(bytes).expect("a header that is right");
                assert!(!header.is_fragment() && usize::from(header.total_len) == bytes.len());
                (&bytes[header.header_len.into()..], header.tos & 3)
            }
            Family::V6 => {
                let header = Ipv6Header::parse(bytes).expect("a header that is right");
                assert_eq!(usize::from(header.payload_len) + 40, bytes.len());
                let options = if header.next_header == PROTOCOL { 0 } else { 8 };
                assert_eq!([header.next_header.0, bytes[40]][options / 8], PROTOCOL.0);
                (&bytes[40 + options..], header.traffic_class & 3)
            }
        };
        assert_eq!((payload.len(), found), (end, ecn));
        assert!(
            payload.iter().enumerate().all(|(at, found)| *found == byte(name, at)),
            "other bytes than came"
        );
    }

    /// Time has passed: what is too old is given up, the oldest first, and its beginning told where it came.
    fn pass(&mut self, now: Instant) {
        while let Some(gone) = self.fragments.handle_timeout(now) {
            let known = self.known.remove(0);
            assert!(known.until <= now, "too soon");
            self.seen.timed_out += 1;
            assert_eq!(gone.source, address(1, self.family));
            assert_eq!(gone.first.map(|first| first.to_vec()), known.first);
        }
        assert!(self.known.first().is_none_or(|known| known.until > now), "it waits too long");
        assert_eq!(self.fragments.poll_timeout(), self.known.first().map(|known| known.until));
        self.check_usage();
    }

    fn check_usage(&self) {
        let (packets, memory) = self.fragments.usage();
        assert_eq!(packets, self.known.len());
        let come: usize = self.known.iter().map(Known::come).sum();
        assert!(memory >= come && memory <= self.limits.high + ONE_PART, "{memory} bytes for {come}");
    }
}

impl Known {
    fn ecn_of_first(&self) -> u8 {
        match self.first.as_deref() {
            Some(first) if first[0] >> 4 == 4 => first[1] & 3,
            Some(first) => first[1] >> 4 & 3,
            None => 0,
        }
    }

    /// RFC 3168 §5.3: all say that they are not capable, or none; congestion met by one was met by all.
    fn joint_ecn(&self, first: u8) -> Option<u8> {
        let is_plain = |mark: &u8| *mark == 0;
        match () {
            () if self.ecn.iter().all(is_plain) => Some(0),
            () if self.ecn.iter().any(is_plain) => None,
            () if self.ecn.contains(&3) => Some(3),
            () => Some(first),
        }
    }
}

/// What is to become of a part.
#[derive(Debug)]
enum Expected {
    Waiting,
    Refused(Refusal),
    Whole { end: usize, ecn: u8 },
}

#[cfg(test)]
mod tests {
    use super::{Outcomes, Refusal};

    /// The model and the table agree on the seeds, and on other bytes without a meaning; and all that can happen does.
    #[test]
    fn the_model_agrees() {
        super::seeds().iter().for_each(|seed| super::run(seed));
        let mut seen = [Outcomes::default(), Outcomes::default()];
        for seed in 0..240u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let bytes = (0..3_000).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            });
            for (all, run) in seen.iter_mut().zip(super::outcomes(&bytes.collect::<Vec<u8>>())) {
                all.waiting += run.waiting;
                all.whole += run.whole;
                all.timed_out += run.timed_out;
                all.evicted += run.evicted;
                all.refused.extend(run.refused);
            }
        }
        for (family, seen) in seen.iter().enumerate() {
            let counts = [seen.waiting, seen.whole, seen.timed_out, seen.evicted as u32];
            assert!(counts.iter().all(|count| *count > 5), "{family}: {counts:?}");
            for refusal in
                [Refusal::Duplicate, Refusal::Overlap, Refusal::Empty, Refusal::TooLong, Refusal::MixedEcn]
            {
                assert!(seen.refused.contains(&refusal), "{family}: {refusal:?}");
            }
            assert_eq!(seen.refused.contains(&Refusal::Ragged), family == 1);
        }
    }
}
