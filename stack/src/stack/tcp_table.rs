//! The connections, listeners and TIME-WAIT records of a host, and which of them have something to do.

use core::net::IpAddr;
use core::num::NonZeroU32;
use std::collections::{BTreeMap, VecDeque};

use crate::counters::Counters;
use crate::demux::{Demux, FlowKey, Target};
use crate::discovery::{AutoLabel, Fragmentation};
use crate::error::SocketError;
use crate::iface::{Delivery, InterfaceId, NextHop, Way};
use crate::ip::output::Priority;
use crate::ports::{BindId, LocalAddr, PortTable, Reuse, Transport};
use crate::slots::{Slots, slim_queue};
use crate::tcp::listener::{Due, SynQueue};
use crate::tcp::memory::{HostMemory, Limits, pages};
use crate::tcp::syn_cookie::CookieWatch;
use crate::tcp::time_wait::TimeWait;
use crate::tcp::{Connection, Options, SharedOptions, Shutdown, TcpMetrics};
use crate::time::{Instant, earliest};
use crate::timer_wheel::TimerWheel;

use super::Changes;
use super::fast_open::EarlyCount;
use super::stamps::Extras;

/// Tells what has a place from what had it before. Not zero, so that an id that may be missing takes no more room.
type Generation = NonZeroU32;

/// A connection. Stays unknown once it is gone, although its place is used again.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct TcpId {
    pub(super) index: u32,
    generation: Generation,
}

impl TcpId {
    /// Its place among the connections: less than the most there have been at a time, and used again when it is over.
    pub fn place(self) -> usize {
        self.index as usize
    }
}

/// A listener.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct ListenerId {
    pub(super) index: u32,
    generation: Generation,
}

/// A connection with what the host knows of it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) connection: Connection,
    pub(super) key: FlowKey,
    leg: Leg,
    /// How the packets leave, as the socket's options say.
    pub(super) way: Way,
    /// The hold on the local port, until the connection or its TIME-WAIT ends.
    pub(super) hold: Option<Hold>,
    /// Whether the four-tuple is still its own.
    pub(super) owns_tuple: bool,
    /// What was known of the path when it was looked at last.
    pub(super) path: KnownPath,
    /// Whether routers may cut its packets.
    pub(super) fragmentation: Fragmentation,
    /// What the holder is told beside the data; `None` where there has been nothing.
    pub(super) extras: Option<Box<Extras>>,
    /// No way led to the peer when it was looked for last.
    pub(super) cut_off: bool,
    /// It is one of [`TcpTable::orphans`].
    pub(super) counted: bool,
    generation: Generation,
    ready: Mark,
    /// What the owner is to be told.
    news: Changes,
    /// Pages of memory that it is charged, as was reckoned last.
    charge: u16,
}

const _: () = assert!(size_of::<Slot>() <= 744, "an idle connection's share of its budget");

impl Slot {
    /// Where its packets go next.
    pub(super) fn hop(&self) -> NextHop {
        self.leg.from(&self.key)
    }

    /// Over which interface they go.
    pub(super) fn interface(&self) -> InterfaceId {
        self.leg.interface
    }

    /// Who takes them there.
    pub(super) fn next_hop(&self) -> IpAddr {
        self.leg.next_hop
    }

    pub(super) fn set_hop(&mut self, hop: &NextHop) {
        self.leg = Leg::of(hop);
    }
}

/// A [`NextHop`] but for the source, which is the connection's own address.
#[derive(Copy, Clone, Debug)]
struct Leg {
    next_hop: IpAddr,
    interface: InterfaceId,
    delivery: Delivery,
    mtu: u32,
}

impl Leg {
    fn of(hop: &NextHop) -> Self {
        let NextHop { next_hop, interface, delivery, .. } = *hop;
        Leg { next_hop, interface, delivery, mtu: u32::try_from(hop.mtu).unwrap_or(u32::MAX) }
    }

    fn from(&self, key: &FlowKey) -> NextHop {
        let Leg { next_hop, interface, delivery, mtu } = *self;
        let (source, mtu) = (key.local().ip(), mtu as usize);
        // What is announced was said when the connection was opened.
        NextHop { interface, next_hop, source, mtu, delivery, tcp: TcpMetrics::default() }
    }
}

/// What a connection knows of its path.
#[derive(Copy, Clone, Debug)]
pub(super) struct KnownPath {
    /// The cache's generation from which it is; 0 where nobody has looked yet.
    pub(super) generation: u32,
    /// The routing table's generation from which the way is.
    pub(super) routes: u32,
}

/// Whether something stands in a queue.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Mark {
    Out,
    In,
}

/// How a connection keeps its local address and port from being bound.
#[derive(Copy, Clone, Debug)]
pub(super) struct Hold {
    pub(super) reuse: Reuse,
    pub(super) device: Option<InterfaceId>,
}

impl Hold {
    /// Takes the local address and port of `key`.
    pub(super) fn take(self, ports: &mut PortTable, key: &FlowKey) {
        let Hold { reuse, device } = self;
        ports.hold_on(device, Transport::Tcp, Hold::address(key), key.local().port(), reuse);
    }

    /// Gives them back.
    pub(super) fn release(self, ports: &mut PortTable, key: &FlowKey) {
        let Hold { reuse, device } = self;
        ports.release_on(device, Transport::Tcp, Hold::address(key), key.local().port(), reuse);
    }

    fn address(key: &FlowKey) -> LocalAddr {
        LocalAddr::new(key.local().ip(), 0)
    }
}

/// A listener: half-open connections, and those that wait to be accepted.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) bind: BindId,
    pub(super) port: u16,
    pub(super) options: SharedOptions,
    /// How its packets and those of its connections leave.
    pub(super) way: Way,
    /// One more than this many may wait, as in Linux.
    pub(super) backlog: usize,
    /// How many of its connections are half-open.
    pub(super) half_open: usize,
    pub(super) cookies: CookieWatch,
    pub(super) accept: VecDeque<TcpId>,
    /// Connections that wait for the end of their handshakes while they are used already.
    pub(super) early: EarlyCount,
    /// What of its connections is shut as soon as they are made.
    pub(super) shut: Option<Shutdown>,
    /// Why nobody new will come; told once.
    pub(super) error: Option<SocketError>,
    generation: Generation,
    /// What the owner is to be told.
    news: Changes,
}

/// What the IP header of a segment has from the options of its socket.
#[derive(Copy, Clone, Debug)]
pub(super) struct Marks {
    /// `None`: what the interface has.
    pub(super) hop_limit: Option<u8>,
    pub(super) traffic_class: u8,
    pub(super) labels: AutoLabel,
}

impl Marks {
    pub(super) fn of(options: &Options) -> Self {
        let Options { hop_limit, traffic_class, labels, .. } = *options;
        Marks { hop_limit, traffic_class, labels }
    }
}

/// A four-tuple in TIME-WAIT.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) record: TimeWait,
    pub(super) key: FlowKey,
    /// How its answers leave.
    pub(super) way: Way,
    pub(super) hold: Option<Hold>,
    pub(super) marks: Marks,
}

/// All of them.
#[derive(Debug)]
pub(super) struct TcpTable {
    slots: Slots<Slot>,
    listeners: Slots<Listener>,
    /// The half-open connections of all listeners.
    pub(super) half_open: SynQueue<FlowKey>,
    resting: Slots<Resting>,
    wheel: TimerWheel,
    rest_wheel: TimerWheel,
    /// Connections that may have something to send, by the band of their priority.
    ready: [VecDeque<u32>; Priority::BANDS],
    generation: Generation,
    /// The listeners that count a connection among those whose handshakes are not done, by its place. Bounded by their
    /// `fast_open_queue`.
    pub(super) early_of: BTreeMap<u32, ListenerId>,
    /// Connections that nobody holds and that are not over: one whose reset is still to be sent is no more counted.
    pub(super) orphans: usize,
    /// What all connections take.
    pub(super) memory: HostMemory,
}

impl TcpTable {
    pub(super) fn new(now: Instant) -> Self {
        TcpTable {
            slots: Slots::new(),
            listeners: Slots::new(),
            half_open: SynQueue::new(),
            resting: Slots::new(),
            wheel: TimerWheel::new(now),
            rest_wheel: TimerWheel::new(now),
            ready: Default::default(),
            generation: Generation::MIN,
            early_of: BTreeMap::new(),
            orphans: 0,
            memory: HostMemory::default(),
        }
    }

    /// Who has the tuple `key`.
    pub(super) fn find(&self, demux: &Demux, key: &FlowKey) -> Option<Target> {
        demux.find(key, |target| self.key_of(target))
    }

    /// The tuple of `target`, while it is in the tables.
    pub(super) fn key_of(&self, target: Target) -> Option<&FlowKey> {
        match target {
            Target::Connection(index) => self.slots.get(index as usize).map(|slot| &slot.key),
            Target::HalfOpen(place) => self.half_open.key(place),
            Target::TimeWait(index) => self.resting.get(index as usize).map(|resting| &resting.key),
        }
    }

    fn next_generation(&mut self) -> Generation {
        self.generation = self.generation.checked_add(1).unwrap_or(Generation::MIN);
        self.generation
    }

    /// Adds a connection, which may have something to send.
    pub(super) fn insert(
        &mut self,
        connection: Connection,
        key: FlowKey,
        hop: &NextHop,
        hold: Hold,
        way: Way,
    ) -> TcpId {
        let generation = self.next_generation();
        let slot = Slot {
            connection,
            key,
            leg: Leg::of(hop),
            way,
            hold: Some(hold),
            owns_tuple: true,
            path: KnownPath { generation: 0, routes: 0 },
            fragmentation: Fragmentation::Forbidden,
            extras: None,
            cut_off: false,
            counted: false,
            generation,
            ready: Mark::Out,
            news: Changes::NONE,
            charge: 0,
        };
        let index = self.slots.insert(slot) as u32;
        self.mark_ready(index);
        TcpId { index, generation }
    }

    /// Reckons what a connection takes, after something happened to it.
    pub(super) fn charge(&mut self, now: Instant, index: u32, limits: &Limits, counters: &mut Counters) {
        let TcpTable { slots, memory, .. } = self;
        if let Some(slot) = slots.get_mut(index as usize) {
            let after = pages(slot.connection.memory());
            let before = core::mem::replace(&mut slot.charge, after);
            if before != after {
                memory.change(now, before, after, limits, counters);
            }
        }
    }

    /// A connection takes nothing any more.
    pub(super) fn discharge(&mut self, now: Instant, index: u32, limits: &Limits, counters: &mut Counters) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            let before = core::mem::take(&mut slot.charge);
            self.memory.change(now, before, 0, limits, counters);
        }
    }

    /// Lets a connection know what memory there is for it, before something happens to it.
    pub(super) fn supply(&mut self, index: u32, limits: &Limits) {
        let count = self.slots.len();
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.connection.set_supply(self.memory.supply(slot.charge, count, limits));
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.wheel.cancel(index);
        self.early_of.remove(&index);
        self.slots.try_remove(index as usize);
        self.wheel.slim(self.slots.capacity());
    }

    pub(super) fn slot(&self, id: TcpId) -> Option<&Slot> {
        self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    pub(super) fn slot_mut(&mut self, id: TcpId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    pub(super) fn id_of(&self, index: u32) -> Option<TcpId> {
        self.slots.get(index as usize).map(|slot| TcpId { index, generation: slot.generation })
    }

    pub(super) fn at(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        #[cfg(test)]
        crate::work::note(|work| work.walked += self.slots.len() as u64);
        self.slots.iter().map(|(index, slot)| (index as u32, slot))
    }

    /// Puts a connection among those that may have something to send.
    pub(super) fn mark_ready(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.ready == Mark::Out
        {
            slot.ready = Mark::In;
            self.ready[slot.connection.options().priority.band()].push_back(index);
        }
    }

    /// The next connection of a band that may have something to send. Those that do take turns.
    pub(super) fn next_ready(&mut self, band: usize) -> Option<u32> {
        let queue = self.ready.get_mut(band)?;
        let index = queue.pop_front()?;
        slim_queue(queue);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.ready = Mark::Out;
        }
        Some(index)
    }

    /// Lets the wheel know of a connection's next deadline, and when it may be idle.
    pub(super) fn arm(&mut self, now: Instant, index: u32) {
        if let Some(slot) = self.slots.get(index as usize)
            && let Some(at) = earliest(slot.connection.poll_timeout(), slot.connection.next_rest(now))
        {
            self.wheel.schedule(index, at);
        }
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        self.wheel.pop_expired(now)
    }

    /// Notes that the owner is to be told of a connection; `None` where it stands in the queue already.
    pub(super) fn announce(&mut self, index: u32, changes: Changes) -> Option<TcpId> {
        let slot = self.slots.get_mut(index as usize)?;
        let fresh = slot.news.is_empty();
        slot.news |= changes;
        fresh.then_some(TcpId { index, generation: slot.generation })
    }

    pub(super) fn on_told(&mut self, id: TcpId) -> Changes {
        self.slot_mut(id).map(|slot| core::mem::take(&mut slot.news)).unwrap_or_default()
    }

    pub(super) fn insert_listener(
        &mut self,
        bind: BindId,
        port: u16,
        options: SharedOptions,
        backlog: usize,
    ) -> ListenerId {
        let generation = self.next_generation();
        let accept = VecDeque::new();
        let listener = Listener {
            bind,
            port,
            options,
            way: Way::default(),
            backlog,
            half_open: 0,
            cookies: CookieWatch::default(),
            accept,
            early: EarlyCount::default(),
            shut: None,
            error: None,
            generation,
            news: Changes::NONE,
        };
        ListenerId { index: self.listeners.insert(listener) as u32, generation }
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(id.index as usize).filter(|listener| listener.generation == id.generation)
    }

    pub(super) fn listener_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.listeners.get_mut(id.index as usize).filter(|listener| listener.generation == id.generation)
    }

    /// The id of the listener at `index`.
    pub(super) fn listener_id(&self, index: u32) -> Option<ListenerId> {
        let listener = self.listeners.get(index as usize)?;
        Some(ListenerId { index, generation: listener.generation })
    }

    /// All listeners, with their places.
    pub(super) fn listeners(&mut self) -> impl Iterator<Item = (u32, &mut Listener)> {
        self.listeners.iter_mut().map(|(index, listener)| (index as u32, listener))
    }

    pub(super) fn listener_at(&mut self, index: u32) -> Option<&mut Listener> {
        self.listeners.get_mut(index as usize)
    }

    pub(super) fn remove_listener(&mut self, id: ListenerId) -> Option<Listener> {
        self.listener(id)?;
        self.listeners.try_remove(id.index as usize)
    }

    /// The next half-open connection that something is due for, and what.
    pub(super) fn pop_half_open(&mut self, now: Instant) -> Option<(u32, Due)> {
        let TcpTable { half_open, listeners, .. } = self;
        half_open.pop_due(now, |index| listeners.get(index as usize).map(|listener| &*listener.options))
    }

    pub(super) fn announce_listener(&mut self, index: u32, changes: Changes) -> Option<ListenerId> {
        let listener = self.listeners.get_mut(index as usize)?;
        let fresh = listener.news.is_empty();
        listener.news |= changes;
        fresh.then_some(ListenerId { index, generation: listener.generation })
    }

    pub(super) fn on_listener_told(&mut self, id: ListenerId) -> Changes {
        self.listener_mut(id).map(|listener| core::mem::take(&mut listener.news)).unwrap_or_default()
    }

    /// Connections.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Records in TIME-WAIT.
    /// All listeners.
    pub(super) fn all_listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().map(|(_, listener)| listener)
    }

    /// All tuples in TIME-WAIT, and when each is free.
    pub(super) fn all_resting(&self) -> impl Iterator<Item = (&Resting, Option<Instant>)> {
        self.resting.iter().map(|(index, resting)| (resting, self.rest_wheel.deadline(index as u32)))
    }

    pub(super) fn resting_count(&self) -> usize {
        self.resting.len()
    }

    /// Lays a four-tuple to rest until `end`.
    pub(super) fn rest(
        &mut self,
        record: TimeWait,
        key: FlowKey,
        way: Way,
        hold: Option<Hold>,
        marks: Marks,
        end: Instant,
    ) -> u32 {
        let index = self.resting.insert(Resting { record, key, way, hold, marks }) as u32;
        self.rest_wheel.schedule(index, end);
        index
    }

    /// Lets a rest begin anew.
    pub(super) fn rest_again(&mut self, index: u32, end: Instant) {
        self.rest_wheel.cancel(index);
        self.rest_wheel.schedule(index, end);
    }

    /// The end of a rest.
    pub(super) fn rest_end(&self, index: u32) -> Option<Instant> {
        self.rest_wheel.deadline(index)
    }

    pub(super) fn resting_at(&mut self, index: u32) -> Option<&mut Resting> {
        self.resting.get_mut(index as usize)
    }

    pub(super) fn resting(&self, index: u32) -> Option<&Resting> {
        self.resting.get(index as usize)
    }

    pub(super) fn wake(&mut self, index: u32) -> Option<Resting> {
        self.rest_wheel.cancel(index);
        let resting = self.resting.try_remove(index as usize);
        self.rest_wheel.slim(self.resting.capacity());
        resting
    }

    /// The next record whose rest is over.
    pub(super) fn pop_rested(&mut self, now: Instant) -> Option<u32> {
        self.rest_wheel.pop_expired(now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let half_open = self.half_open.poll_timeout();
        earliest(earliest(self.wheel.next_deadline(), half_open), self.rest_wheel.next_deadline())
    }
}
