//! The neighbour cache: link addresses of the hosts on our links, and packets that wait for them.
//!
//! One cache serves ARP and neighbour discovery on all interfaces. It sends nothing itself: what is to be sent or
//! handed back comes out of [`NeighborCache::poll_action`], which the stack empties after each call that changes the
//! cache.

mod action;
mod config;
mod eviction;
mod key;
mod nud;
mod waiting;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use super::InterfaceId;
use super::deadlines::Deadlines;
use crate::counters::{Counter, Counters};
use crate::ip::rate_limit::RateLimit;
use crate::random::{Random, TableHash};
use crate::time::Instant;
use crate::wire::EthernetAddress;
use crate::wire::offload::Transmit;
use key::Key;
use nud::{Expiry, Nud, Timing, Wait};
use waiting::{Tagged, Waiting};

pub use action::{NeighborAction, NeighborEntry, PacketTag, Resolution};
pub use config::{NeighborConfig, NeighborPolicy};
pub use nud::{Advert, NudState};

/// What all waiting packets of the cache may hold together, in bytes.
pub const MAX_WAITING_BYTES: usize = 4 << 20;

/// Actions that may stand in the queue. Solicitations beyond are left to the next timer, packets are dropped.
pub const MAX_ACTIONS: usize = 4096;

/// Strangers a second that are asked for while the cache is full, and at once: so a flood of senders that are not there
/// costs little, and drives out few of those that are.
//= RFC 6583 §6
const CROWDED_RATE: u32 = 1000;
const CROWDED_BURST: u32 = 64;

/// How long one drawn reachable time is used: "every few hours".
//= RFC 4861 §6.3.4
const REDRAW: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(Debug)]
struct Entry {
    nud: Nud,
    /// When a packet was last sent to it, or wanted to be.
    used: Option<Instant>,
    waiting: Waiting,
}

/// Link addresses of neighbours, and packets that wait for them.
///
/// ```
/// use tapsock_stack::counters::Counters;
/// use tapsock_stack::iface::{InterfaceId, NeighborCache, NeighborConfig};
/// use tapsock_stack::random::Random;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::wire::EthernetAddress;
///
/// let mut cache = NeighborCache::new(NeighborConfig::default(), &mut Random::new(7));
/// let (host, station) = ("10.0.0.9".parse().unwrap(), EthernetAddress([2, 0, 0, 0, 0, 9]));
/// assert_eq!(cache.lookup(Instant::ZERO, InterfaceId(1), host), None);
/// cache.on_solicit_from(Instant::ZERO, InterfaceId(1), host, station, &mut Counters::default());
/// assert_eq!(cache.lookup(Instant::ZERO, InterfaceId(1), host), Some(station));
/// ```
#[derive(Debug)]
pub struct NeighborCache {
    timing: [Timing; 2],
    /// What routers told of the links of single interfaces.
    times: Vec<(InterfaceId, Timing)>,
    redraw_at: Instant,
    entries: HashMap<Key, Entry, TableHash>,
    /// How many of them are of each family.
    counts: [usize; 2],
    deadlines: Deadlines<Key>,
    waiting_bytes: usize,
    actions: VecDeque<NeighborAction>,
    /// Packets that were dropped since they waited: no more than may wait.
    lost: Vec<PacketTag>,
    crowded: RateLimit,
}

impl NeighborCache {
    /// An empty cache, with the same settings for both families. The hash key and the first reachable time are drawn from
    /// `random`.
    pub fn new(config: NeighborConfig, random: &mut Random) -> Self {
        NeighborCache::of_families([config; 2], random)
    }

    /// An empty cache, with settings for IPv4 and for IPv6.
    pub fn of_families(configs: [NeighborConfig; 2], random: &mut Random) -> Self {
        let configs = configs.map(NeighborConfig::with_progress);
        let drawn = |config: NeighborConfig, random: &mut Random| Timing {
            config,
            reachable: config.draw_reachable(random),
        };
        let v4 = drawn(configs[0], random);
        // What is the same for both is drawn once.
        let v6 = if configs[0] == configs[1] { v4 } else { drawn(configs[1], random) };
        NeighborCache {
            timing: [v4, v6],
            times: Vec::new(),
            redraw_at: Instant::ZERO + REDRAW,
            entries: HashMap::with_hasher(random.table_hash()),
            counts: [0; 2],
            deadlines: Deadlines::default(),
            waiting_bytes: 0,
            actions: VecDeque::new(),
            lost: Vec::new(),
            crowded: RateLimit::new(CROWDED_RATE, CROWDED_BURST),
        }
    }

    /// The link address of a neighbour that a packet is sent to now; `None` where the packet must go through
    /// [`resolve`](Self::resolve). Groups need no neighbour: their addresses map to link addresses.
    pub fn lookup(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        next_hop: IpAddr,
    ) -> Option<EthernetAddress> {
        if is_group(next_hop) {
            return Some(EthernetAddress::multicast_for(next_hop));
        }
        let key = Key { interface, address: next_hop };
        let timing = self.timing_of(key);
        let entry = self.entries.get_mut(&key)?;
        let before = entry.nud.deadline();
        let link_address = entry.nud.on_send(now, &timing)?;
        entry.used = Some(now);
        self.deadlines.change(key, before, entry.nud.deadline());
        Some(link_address)
    }

    /// Whether an answer to somebody of whom nothing was wanted is worth an entry. Always where there is one, or room for it.
    pub fn may_ask_for(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) -> bool {
        let family = family(address);
        let max = self.timing[family].config.max_entries;
        // What an eviction leaves free is not for all who come.
        self.counts[family] + max / eviction::SHARE < max
            || is_group(address)
            || self.entries.contains_key(&Key { interface, address })
            || self.crowded.allows(now)
    }

    /// The link address of a neighbour, where it is known. Nothing follows from the question.
    pub fn link_address(&self, interface: InterfaceId, address: IpAddr) -> Option<EthernetAddress> {
        self.entries.get(&Key { interface, address })?.nud.link_address()
    }

    /// Takes a packet, from the IP header on, that is to go to `next_hop`.
    pub fn resolve(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        next_hop: IpAddr,
        packet: Transmit,
        counters: &mut Counters,
    ) -> Resolution {
        self.resolve_tagged(now, interface, next_hop, packet, None, counters)
    }

    /// The same of a packet that its sender wants to know again.
    pub fn resolve_tagged(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        next_hop: IpAddr,
        packet: Transmit,
        tag: Option<PacketTag>,
        counters: &mut Counters,
    ) -> Resolution {
        if let Some(link_address) = self.lookup(now, interface, next_hop) {
            return Resolution::Known(link_address, packet);
        }
        let key = Key { interface, address: next_hop };
        if !self.has_room(key, &packet) || !self.make_entry(key, || Nud::unresolved(now), counters) {
            counters.bump(Counter::TapsockNeighborDrops);
            return Resolution::Dropped(packet);
        }
        let timing = self.timing_of(key);
        let Some(wait) = self.update(key, |entry| {
            entry.used = Some(now);
            entry.nud.on_wait(now, &timing)
        }) else {
            return Resolution::Dropped(packet);
        };
        self.enqueue(key, (packet, tag), counters);
        if wait == Wait::Solicit {
            self.solicit(key, None);
        }
        Resolution::Queued
    }

    /// A neighbour advertisement for `address`, or an ARP packet that acts as one. It makes no entry.
    //= RFC 4861 §7.2 MUST-1
    pub fn on_advert(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        advert: &Advert,
        counters: &mut Counters,
    ) {
        let key = Key { interface, address };
        let timing = self.timing_of(key);
        self.update(key, |entry| entry.nud.on_advert(now, &timing, advert));
        self.release(key, counters);
    }

    /// The same where the neighbour is to be remembered though nobody asked for it.
    //= RFC 9131 §6.1.1
    pub fn on_untracked(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        advert: &Advert,
        counters: &mut Counters,
    ) {
        let key = Key { interface, address };
        match advert.link_address {
            Some(link_address) if !self.entries.contains_key(&key) => {
                self.make_entry(key, || Nud::stale(link_address), counters);
            }
            _ => self.on_advert(now, interface, address, advert, counters),
        }
    }

    /// A solicitation or an ARP request to us, which tells the link address of its sender. It makes an entry where
    /// there is none.
    pub fn on_solicit_from(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        link_address: EthernetAddress,
        counters: &mut Counters,
    ) {
        let key = Key { interface, address };
        if self.make_entry(key, || Nud::stale(link_address), counters) {
            self.update(key, |entry| entry.nud.on_link_address(now, link_address));
            self.release(key, counters);
        }
    }

    /// A router advertised itself, perhaps with its link address, which makes an entry.
    //= RFC 4861 §6.3.4
    //= RFC 4861 §6.3.4 MUST-4
    //= RFC 4861 §6.3.4 MUST-5
    //= RFC 4861 §6.3.4 MUST-6
    pub fn on_router(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        link_address: Option<EthernetAddress>,
        counters: &mut Counters,
    ) {
        if let Some(link_address) = link_address {
            self.on_solicit_from(now, interface, address, link_address, counters);
        }
        self.update(Key { interface, address }, |entry| entry.nud.set_is_router());
    }

    /// The times that routers of a link tell: how long its IPv6 neighbours count as reachable, on average, and how far
    /// apart they are asked. What they do not tell stays.
    //= RFC 4861 §6.3.4
    //= RFC 4861 §6.3.4 MUST-2
    pub fn set_times(
        &mut self,
        interface: InterfaceId,
        base_reachable: Option<Duration>,
        retrans: Option<Duration>,
        random: &mut Random,
    ) {
        let known = self.times.iter().position(|(of, _)| *of == interface);
        let mut timing = known.map_or(self.timing[V6], |at| self.times[at].1);
        let before = timing.config;
        timing.config.base_reachable = base_reachable.unwrap_or(before.base_reachable);
        timing.config.retrans_timer = retrans.unwrap_or(before.retrans_timer);
        timing.config = timing.config.with_progress();
        if timing.config.base_reachable != before.base_reachable {
            timing.reachable = timing.config.draw_reachable(random);
        }
        match known {
            _ if timing.config == self.timing[V6].config && known.is_none() => {}
            Some(at) => self.times[at].1 = timing,
            // One for each interface, of which there are few.
            None => self.times.push((interface, timing)),
        }
    }

    /// The times that hold for a neighbour.
    fn timing_of(&self, key: Key) -> Timing {
        let told = self.times.iter().find(|(of, _)| *of == key.interface && key.address.is_ipv6());
        told.map_or(self.timing[family(key.address)], |(_, timing)| *timing)
    }

    /// An upper layer made progress through this neighbour: TCP calls it when an acknowledgement covers new data.
    pub fn confirm(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        let key = Key { interface, address };
        let timing = self.timing_of(key);
        if let Some(entry) = self.entries.get_mut(&key) {
            let before = entry.nud.deadline();
            entry.nud.on_confirmation(now, &timing);
            self.deadlines.change(key, before, entry.nud.deadline());
        }
    }

    /// An upper layer has sent something again and again through this neighbour, and heard nothing: it is asked whether it
    /// is there when the next packet goes, however long ago it answered.
    pub fn doubt(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        let key = Key { interface, address };
        if let Some(entry) = self.entries.get_mut(&key) {
            let before = entry.nud.deadline();
            entry.nud.on_doubt(now);
            self.deadlines.change(key, before, entry.nud.deadline());
        }
    }

    /// Whether packets wait until a neighbour answers.
    pub fn has_waiting(&self, interface: InterfaceId, address: IpAddr) -> bool {
        let entry = self.entries.get(&Key { interface, address });
        entry.is_some_and(|entry| entry.waiting.len() > 0)
    }

    /// Does what is due. Call it at [`poll_timeout`](Self::poll_timeout), or later.
    pub fn handle_timeout(&mut self, now: Instant, random: &mut Random, counters: &mut Counters) {
        if now >= self.redraw_at {
            let of_links = self.times.iter_mut().map(|(_, timing)| timing);
            for timing in self.timing.iter_mut().chain(of_links) {
                timing.reachable = timing.config.draw_reachable(random);
            }
            self.redraw_at = now + REDRAW;
        }
        // Each turn moves one entry's deadline past `now` or removes the entry.
        while let Some(key) = self.deadlines.due(now) {
            let timing = self.timing_of(key);
            match self.update(key, |entry| entry.nud.on_timeout(now, &timing)) {
                Some(Expiry::Solicit(to)) => self.solicit(key, to),
                Some(Expiry::Fail) => {
                    self.report_failure(key);
                    self.hand_back(key, counters);
                }
                Some(Expiry::Forget) => self.forget(key, counters),
                Some(Expiry::None) | None => {
                    debug_assert!(false, "a deadline that is due belongs to an entry that waits for it");
                    return;
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.earliest()
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<NeighborAction> {
        self.actions.pop_front()
    }

    /// The next packet that has waited and was dropped, of which no action tells.
    pub fn poll_lost(&mut self) -> Option<PacketTag> {
        self.lost.pop()
    }

    /// Sets a neighbour's link address by hand: it is never asked for, doubted or evicted. Returns whether there was
    /// room (ENOBUFS).
    #[must_use = "the cache may be full of entries set by hand"]
    pub fn insert_permanent(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        link_address: EthernetAddress,
        counters: &mut Counters,
    ) -> bool {
        let key = Key { interface, address };
        let made = self.make_entry(key, || Nud::permanent(link_address), counters);
        self.update(key, |entry| entry.nud = Nud::permanent(link_address));
        self.release(key, counters);
        made
    }

    /// Removes an entry, set by hand or not. Packets that wait for it come back as unreachable. Returns whether it was
    /// there (ENOENT).
    pub fn remove(&mut self, interface: InterfaceId, address: IpAddr, counters: &mut Counters) -> bool {
        let key = Key { interface, address };
        self.hand_back(key, counters);
        let present = self.entries.contains_key(&key);
        self.forget(key, counters);
        present
    }

    /// Removes what was learned on an interface, for instance because its link is down. Packets that wait come back
    /// as unreachable; entries set by hand stay.
    pub fn flush(&mut self, interface: InterfaceId, counters: &mut Counters) {
        let learned = |(key, entry): (&Key, &Entry)| {
            (key.interface == interface && !entry.nud.is_permanent()).then_some(*key)
        };
        let mut keys: Vec<Key> = self.entries.iter().filter_map(learned).collect();
        keys.sort_unstable();
        for key in keys {
            self.remove(key.interface, key.address, counters);
        }
    }

    /// All entries, in no order.
    pub fn entries(&self, now: Instant) -> impl Iterator<Item = NeighborEntry> + '_ {
        self.entries.iter().map(move |(key, entry)| NeighborEntry {
            interface: key.interface,
            address: key.address,
            link_address: entry.nud.link_address(),
            state: entry.nud.state(now),
            router: entry.nud.is_router(),
            waiting: entry.waiting.len(),
        })
    }

    /// Changes an entry and keeps its deadline in step.
    fn update<R>(&mut self, key: Key, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let entry = self.entries.get_mut(&key)?;
        let before = entry.nud.deadline();
        let result = change(entry);
        self.deadlines.change(key, before, entry.nud.deadline());
        Some(result)
    }

    /// Makes sure that there is an entry. Returns false where there is no room for one.
    fn make_entry(&mut self, key: Key, nud: impl FnOnce() -> Nud, counters: &mut Counters) -> bool {
        if self.entries.contains_key(&key) {
            return true;
        }
        let family = family(key.address);
        if self.counts[family] >= self.timing[family].config.max_entries && !self.evict(family, counters) {
            return false;
        }
        self.counts[family] += 1;
        let nud = nud();
        self.deadlines.change(key, None, nud.deadline());
        self.entries.insert(key, Entry { nud, used: None, waiting: Waiting::default() });
        true
    }

    /// Makes room. Returns false where all entries of the family were set by hand.
    fn evict(&mut self, family: usize, counters: &mut Counters) -> bool {
        let victims = eviction::least_useful(&self.entries, family, self.timing[family].config.max_entries);
        for key in &victims {
            self.forget(*key, counters);
            counters.bump(Counter::TapsockNeighborEvictions);
        }
        !victims.is_empty()
    }

    fn has_room(&self, key: Key, packet: &Transmit) -> bool {
        // Where others hold all the memory, a neighbour may still replace what waits for itself.
        let own = self.entries.get(&key).map_or(0, |entry| entry.waiting.bytes());
        self.waiting_bytes - own + waiting::charge(packet) <= MAX_WAITING_BYTES
    }

    //= RFC 4861 §7.2.2 MUST-2
    //= RFC 4861 §7.2.2 MUST-3
    fn enqueue(&mut self, key: Key, packet: Tagged, counters: &mut Counters) {
        let NeighborConfig { queue_bytes, .. } = self.timing[family(key.address)].config;
        if let Some(entry) = self.entries.get_mut(&key) {
            let others = self.waiting_bytes - entry.waiting.bytes();
            let room = queue_bytes.min(MAX_WAITING_BYTES - others);
            counters[Counter::TapsockNeighborDrops] += entry.waiting.push(packet, room, &mut self.lost);
            self.waiting_bytes = others + entry.waiting.bytes();
        }
    }

    fn solicit(&mut self, key: Key, to: Option<EthernetAddress>) {
        let source_hint = self.entries.get(&key).and_then(|entry| entry.waiting.source());
        if self.actions.len() < MAX_ACTIONS {
            let Key { interface, address: target } = key;
            self.actions.push_back(NeighborAction::Solicit { interface, target, to, source_hint });
        }
    }

    /// Sends what waits, where the link address is known now.
    fn release(&mut self, key: Key, counters: &mut Counters) {
        let Some(address) = self.entries.get(&key).and_then(|entry| entry.nud.link_address()) else {
            return;
        };
        while let Some((packet, tag)) = self.take_waiting(key) {
            self.push_packet(
                NeighborAction::Transmit { interface: key.interface, address, packet, tag },
                counters,
            );
        }
    }

    //= RFC 4861 §7.3.3
    fn report_failure(&mut self, key: Key) {
        let Key { interface, address: target } = key;
        if self.actions.len() < MAX_ACTIONS {
            self.actions.push_back(NeighborAction::Failed { interface, target });
        }
    }

    //= RFC 4861 §7.2.2
    //= RFC 4861 §7.2.2 MUST-5
    fn hand_back(&mut self, key: Key, counters: &mut Counters) {
        let Key { interface, address: target } = key;
        while let Some((packet, tag)) = self.take_waiting(key) {
            counters.bump(Counter::TapsockNeighborDrops);
            if self.actions.len() < MAX_ACTIONS {
                self.actions.push_back(NeighborAction::Unreachable { interface, target, packet, tag });
            } else {
                self.lost.extend(tag);
            }
        }
    }

    fn push_packet(&mut self, action: NeighborAction, counters: &mut Counters) {
        if self.actions.len() < MAX_ACTIONS {
            self.actions.push_back(action);
        } else {
            self.lost.extend(action.tag());
            counters.bump(Counter::TapsockNeighborDrops);
        }
    }

    fn take_waiting(&mut self, key: Key) -> Option<Tagged> {
        let entry = self.entries.get_mut(&key)?;
        let tagged = entry.waiting.pop()?;
        self.waiting_bytes -= waiting::charge(&tagged.0);
        Some(tagged)
    }

    fn forget(&mut self, key: Key, counters: &mut Counters) {
        if let Some(entry) = self.entries.remove(&key) {
            self.counts[family(key.address)] -= 1;
            self.deadlines.change(key, entry.nud.deadline(), None);
            self.waiting_bytes -= entry.waiting.bytes();
            self.lost.extend(entry.waiting.tags());
            counters[Counter::TapsockNeighborDrops] += entry.waiting.len() as u64;
        }
    }
}

/// The place of a family's settings and counts.
fn family(address: IpAddr) -> usize {
    if address.is_ipv4() { V4 } else { V6 }
}

const V4: usize = 0;
const V6: usize = 1;

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

#[cfg(test)]
mod tests;
