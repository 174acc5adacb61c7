//! Packets that come in parts, put together again.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use crate::buf::Chunk;
use crate::iface::InterfaceId;
use crate::random::{Random, TableHash};
use crate::time::Instant;
use crate::wire::Ipv4Header;
use crate::wire::ipv6_ext::FragmentHeader;

use super::input::Packet;

mod assembly;

use assembly::Assembly;

/// What the parts that wait may cost, and how long they may wait.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// let limits = Config::default().fragment_limits("192.0.2.1".parse().unwrap());
/// assert_eq!((limits.high, limits.time.as_secs()), (4 << 20, 30));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FragmentLimits {
    /// Memory in bytes above which the oldest packets are given up …
    pub high: usize,
    /// … until no more than this is taken.
    pub low: usize,
    /// How long the parts of a packet wait for the rest.
    pub time: Duration,
}

/// What became of a fragment.
#[derive(Debug)]
pub enum Outcome {
    /// The rest of its packet is missing.
    Waiting,
    /// All is there: the packet as its sender had it, from the IP header on.
    Whole(Vec<u8>),
    /// It, or the whole of its packet, is lost.
    Refused(Refusal),
}

/// Why a fragment, or the whole of its packet, is not taken.
///
/// ```
/// use tapsock_stack::ip::fragments::Refusal;
///
/// assert_ne!(Refusal::Overlap, Refusal::TooLong);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is all there already.
    Duplicate,
    /// It says otherwise than another where both speak of the same bytes, or of the packet's end: all of them are
    /// given up.
    //= RFC 5722 §4
    Overlap,
    /// It holds nothing.
    Empty,
    /// A length that is no multiple of eight, though others follow (IPv6; of IPv4's what is beyond is cut off, as on
    /// Linux).
    Ragged,
    /// The whole would be longer than an IP packet can be.
    TooLong,
    /// Their marks of congestion contradict each other.
    //= RFC 3168 §5.3
    MixedEcn,
}

/// What the fragments of one packet have in common.
//= RFC 791 §3.2
//= RFC 8200 §4.5
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// IPv4's fragments of two protocols do not belong together.
    protocol: Option<u8>,
    /// Addresses of a link are told apart by the link.
    interface: Option<InterfaceId>,
}

impl Key {
    fn of(packet: &Packet, fragment: &FragmentHeader) -> Self {
        let (v4, on_link) = match packet.source {
            IpAddr::V4(_) => (true, false),
            IpAddr::V6(source) => (false, source.is_unicast_link_local()),
        };
        Key {
            source: packet.source,
            destination: packet.destination,
            identification: fragment.identification,
            protocol: v4.then_some(packet.protocol.0),
            interface: on_link.then_some(packet.interface),
        }
    }
}

/// A place in the order in which packets began to come.
type Turn = (Instant, u64);

/// The packets of one family that are not whole yet.
///
/// Memory is bounded by [`FragmentLimits::high`], and by one fragment more; each packet and each fragment is charged
/// for what it takes beside its bytes.
#[derive(Debug)]
pub struct Fragments {
    packets: HashMap<Key, Assembly, TableHash>,
    /// When each is given up, the oldest first.
    order: BTreeMap<Turn, Key>,
    memory: usize,
    next_turn: u64,
}

impl Fragments {
    /// None yet.
    pub fn new(random: &mut Random) -> Self {
        Fragments {
            packets: HashMap::with_hasher(random.table_hash()),
            order: BTreeMap::new(),
            memory: 0,
            next_turn: 0,
        }
    }

    /// Takes a part of a packet. `evicted` is told how many packets were given up to make room.
    pub fn on_fragment(
        &mut self,
        now: Instant,
        packet: &Packet,
        fragment: &FragmentHeader,
        limits: &FragmentLimits,
        evicted: &mut u64,
    ) -> Outcome {
        if let Some(refusal) = malformed(packet, fragment) {
            return Outcome::Refused(refusal);
        }
        let key = Key::of(packet, fragment);
        // Also for a part of a packet that is known, which may be the one that goes.
        *evicted += self.make_room(limits);
        if !self.packets.contains_key(&key) {
            let turn = (now + limits.time, self.next_turn);
            self.next_turn += 1;
            self.order.insert(turn, key);
            self.packets.insert(key, Assembly::new(turn, packet.interface));
            self.memory += Assembly::OVERHEAD;
        }
        let Some(assembly) = self.packets.get_mut(&key) else { return Outcome::Waiting };
        let before = assembly.memory();
        let taken = assembly.add(packet, fragment);
        self.memory += assembly.memory() - before;
        match taken {
            Ok(()) if assembly.is_whole() => match self.remove(&key).map(Assembly::join) {
                Some(Ok(whole)) => Outcome::Whole(whole),
                Some(Err(refusal)) => Outcome::Refused(refusal),
                None => Outcome::Waiting,
            },
            Ok(()) => Outcome::Waiting,
            Err(refusal) => {
                if refusal != Refusal::Duplicate {
                    self.remove(&key);
                }
                Outcome::Refused(refusal)
            }
        }
    }

    /// When the next packet is given up.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.order.first_key_value().map(|((at, _), _)| *at)
    }

    /// Gives a packet up whose time is over. What came of its beginning goes back to its sender with an error.
    //= RFC 8200 §4.5 MUST-6
    //= RFC 8200 §4.5 MUST-7
    //= RFC 1122 §3.2.2 MUST-7
    pub fn handle_timeout(&mut self, now: Instant) -> Option<TimedOut> {
        let ((at, _), key) = self.order.first_key_value()?;
        if *at > now {
            return None;
        }
        let key = *key;
        let assembly = self.remove(&key)?;
        Some(TimedOut {
            source: key.source,
            interface: assembly.interface(),
            first: assembly.first_fragment(),
        })
    }

    /// Packets that wait, and the memory that they take.
    pub fn usage(&self) -> (usize, usize) {
        (self.packets.len(), self.memory)
    }

    /// Gives the oldest packets up where there are too many.
    fn make_room(&mut self, limits: &FragmentLimits) -> u64 {
        let mut count = 0;
        if self.memory <= limits.high {
            return count;
        }
        while self.memory > limits.low
            && let Some((_, key)) = self.order.first_key_value()
        {
            let key = *key;
            self.remove(&key);
            count += 1;
        }
        count
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let assembly = self.packets.remove(key)?;
        self.order.remove(&assembly.turn());
        self.memory -= assembly.memory();
        Some(assembly)
    }
}

/// A packet that did not become whole in time.
#[derive(Debug)]
pub struct TimedOut {
    /// Who sent it.
    pub source: IpAddr,
    /// Where the part came in that came last.
    pub interface: InterfaceId,
    /// Its first part, from the IP header on, where that came: without it nobody is told.
    //= RFC 1122 §3.3.2
    //= RFC 8200 §4.5
    pub first: Option<Chunk>,
}

/// What is wrong with a fragment for itself.
//= RFC 8200 §4.5 MUST-8
//= RFC 8200 §4.5 MUST-9
fn malformed(packet: &Packet, fragment: &FragmentHeader) -> Option<Refusal> {
    let len = packet.payload.len();
    if useful_len(packet, fragment) == 0 {
        return Some(Refusal::Empty);
    }
    if fragment.more && !len.is_multiple_of(8) && packet.source.is_ipv6() {
        return Some(Refusal::Ragged);
    }
    ends_too_late(packet, fragment).then_some(Refusal::TooLong)
}

/// Whether the packet that a fragment is of would be longer than any packet.
pub(crate) fn ends_too_late(packet: &Packet, fragment: &FragmentHeader) -> bool {
    let len = packet.payload.len();
    // IPv4 counts its header in, of which every part has the like; IPv6 the extension headers before the part.
    let headers = match packet.source {
        IpAddr::V4(_) => packet.whole.len() - len,
        IpAddr::V6(_) => packet.whole.len() - len - IPV6_FIXED,
    };
    usize::from(fragment.offset) + len + headers > usize::from(u16::MAX)
}

/// Bytes of a fragment that count.
fn useful_len(packet: &Packet, fragment: &FragmentHeader) -> usize {
    let len = packet.payload.len();
    if fragment.more && packet.source.is_ipv4() { len & !7 } else { len }
}

/// The IPv6 header, which its length field does not count, and the fragment header, which the whole has no more.
const IPV6_FIXED: usize = 40 + 8;

/// The fields of an IPv4 header in the form that IPv6's fragment header has.
pub fn fragment_of_v4(header: &Ipv4Header) -> Option<FragmentHeader> {
    header.is_fragment().then_some(FragmentHeader {
        offset: header.fragment_offset,
        more: header.more_fragments,
        identification: header.identification.into(),
    })
}
