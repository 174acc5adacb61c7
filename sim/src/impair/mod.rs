//! Impairments: what happens to frames between two ports.
//!
//! An [`Impairment`] decides, for each frame that comes, whether and when it goes on. [`Impaired`] makes a node of
//! it: two lanes, one for each direction, each with a state and dice of its own.

mod corrupt;
mod delay;
mod duplicate;
mod loss;
mod mark;
mod mtu;
mod police;
mod rate;
mod reorder;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Medium;

pub use corrupt::Corrupt;
pub use delay::{Delay, Jitter};
pub use duplicate::Duplicate;
pub use loss::{GilbertElliott, Loss};
pub use mark::Mark;
pub use mtu::Mtu;
pub use police::Police;
pub use rate::Rate;
pub use reorder::Reorder;

use crate::node::{Node, Port, Setup, Status};
use crate::packet::Packet;
use crate::queue::EventQueue;
use crate::rng::Rng;

/// Frames that one element holds at most, both directions together. Beyond, it drops: a link has an end.
pub const MAX_HELD: usize = 100_000;

/// What an element does to the frames of one direction.
///
/// ```
/// use tapsock_sim::impair::{Arrival, Impaired, Impairment};
/// use tapsock_stack::buf::Frame;
///
/// /// Drops frames longer than it likes.
/// #[derive(Clone)]
/// struct ShortOnly(usize);
///
/// impl Impairment for ShortOnly {
///     fn name(&self) -> String {
///         "short-only".into()
///     }
///     fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
///         match frame.bytes.len() <= self.0 {
///             true => arrival.pass(frame),
///             false => arrival.drop(frame),
///         }
///     }
/// }
/// let node = Impaired::new(ShortOnly(100));
/// assert_eq!(node.stats(), Default::default());
/// ```
pub trait Impairment: Clone + 'static {
    /// What the trace calls it.
    fn name(&self) -> String;

    /// A frame comes; tell `arrival` what becomes of it.
    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame);

    /// As [`Node::forges`].
    fn forges(&self) -> bool {
        false
    }
}

/// The arrival of a frame at an element, and what may become of it. See [`Impairment`].
pub struct Arrival<'a> {
    /// The time.
    pub now: Instant,
    /// How many frames came before it in this direction, plus one.
    pub index: u64,
    /// The lane's dice.
    pub rng: &'a mut Rng,
    /// What the frame begins with.
    pub medium: Medium,
    to: Port,
    back: Port,
    hold: &'a mut Hold,
}

impl Arrival<'_> {
    /// The frame goes on at once.
    pub fn pass(&mut self, frame: Frame) {
        self.pass_at(self.now, frame);
    }

    /// The frame goes on at `at`; among frames of the same instant, first told, first gone.
    pub fn pass_at(&mut self, at: Instant, frame: Frame) {
        self.hold.put(at.max(self.now), self.to, frame);
    }

    /// The frame goes nowhere.
    pub fn drop(&mut self, frame: Frame) {
        self.hold.dropped.push_back(frame);
        self.hold.stats.dropped += 1;
    }

    /// An answer goes back where the frame came from.
    pub fn reply(&mut self, frame: Frame) {
        self.hold.put(self.now, self.back, frame);
    }

    /// Counts something done to the frame other than dropping it.
    pub fn count_touched(&mut self) {
        self.hold.stats.touched += 1;
    }
}

/// What an element has done so far, both directions together.
///
/// ```
/// use tapsock_sim::impair::{Impaired, Stats};
/// use tapsock_sim::{Loss, Simulation, Talker, chain};
///
/// let talker = Talker::sends_every(core::time::Duration::from_millis(1), 3);
/// let network = Simulation::new(1).run(chain![talker, Loss::nth(2), Talker::silent()]);
/// let stats = network.node::<Impaired<Loss>>(1).stats();
/// assert_eq!(stats, Stats { seen: 3, passed: 2, dropped: 1, touched: 0 });
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Frames that came in.
    pub seen: u64,
    /// Frames that went out: more than came in where it duplicates.
    pub passed: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Frames delayed out of order, duplicated or corrupted.
    pub touched: u64,
}

/// The direction of a frame through a chain.
///
/// ```
/// use tapsock_sim::{Rate, impair::Direction};
///
/// // The way back is slower than the way there.
/// let (there, back) = (Rate::mbit(100).toward(Direction::Right), Rate::mbit(10).toward(Direction::Left));
/// # let _ = (there, back);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From port 0 to port 1: from the first node of a chain to the last.
    Right,
    /// From port 1 to port 0.
    Left,
}

type Filter = Arc<dyn Fn(&Packet) -> bool>;

/// A node that does `I` to the frames that pass it, each direction by itself.
///
/// ```
/// use tapsock_sim::impair::Direction;
/// use tapsock_sim::packet::Packet;
/// use tapsock_sim::Loss;
///
/// // The third segment with payload from left to right is lost, and nothing else.
/// let loss = Loss::nth(3).only(Packet::carries_data).toward(Direction::Right);
/// assert_eq!(loss.stats().dropped, 0);
/// ```
pub struct Impaired<I> {
    lanes: [Lane<I>; 2],
    hold: Hold,
    medium: Medium,
    filter: Option<Filter>,
}

struct Lane<I> {
    impairment: I,
    rng: Rng,
    seen: u64,
    open: Open,
}

/// Whether a lane does something to its frames.
#[derive(Copy, Clone, PartialEq)]
enum Open {
    Impaired,
    Clear,
}

#[derive(Default)]
struct Hold {
    departures: EventQueue<(Port, Frame)>,
    dropped: VecDeque<Frame>,
    stats: Stats,
}

impl Hold {
    fn put(&mut self, at: Instant, port: Port, frame: Frame) {
        if self.departures.len() >= MAX_HELD {
            self.stats.dropped += 1;
            return self.dropped.push_back(frame);
        }
        self.departures.push(at, (port, frame));
    }
}

impl<I: Impairment> Impaired<I> {
    /// A node with a lane of `impairment` in each direction.
    pub fn new(impairment: I) -> Self {
        let lane = |impairment| Lane { impairment, rng: Rng::new(0), seen: 0, open: Open::Impaired };
        Impaired {
            lanes: [lane(impairment.clone()), lane(impairment)],
            hold: Hold::default(),
            medium: Medium::Ethernet,
            filter: None,
        }
    }

    /// Impairs frames of one direction only; those of the other pass at once.
    pub fn toward(mut self, direction: Direction) -> Self {
        let clear = match direction {
            Direction::Right => 1,
            Direction::Left => 0,
        };
        self.lanes[clear].open = Open::Clear;
        self
    }

    /// Impairs (and counts) only frames for which `filter` holds; all others pass at once.
    pub fn only(mut self, filter: impl Fn(&Packet) -> bool + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.hold.stats
    }

    fn map(mut self, change: impl Fn(&mut I)) -> Self {
        self.lanes.iter_mut().for_each(|lane| change(&mut lane.impairment));
        self
    }
}

impl<I: Impairment> Node for Impaired<I> {
    fn name(&self) -> String {
        self.lanes[0].impairment.name()
    }

    fn start(&mut self, mut setup: Setup) {
        self.medium = setup.medium;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            lane.rng = setup.rng.fork(index as u64);
        }
    }

    fn on_frame(&mut self, now: Instant, port: Port, frame: Frame) {
        let lane = &mut self.lanes[port.0];
        let to = Port(1 - port.0);
        self.hold.stats.seen += 1;
        let chosen =
            self.filter.as_ref().is_none_or(|filter| filter(&Packet::parse(&frame.bytes, self.medium)));
        if lane.open == Open::Clear || !chosen {
            return self.hold.put(now, to, frame);
        }
        lane.seen += 1;
        let mut arrival = Arrival {
            now,
            index: lane.seen,
            rng: &mut lane.rng,
            medium: self.medium,
            to,
            back: port,
            hold: &mut self.hold,
        };
        lane.impairment.on_frame(&mut arrival, frame);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Port, Frame)> {
        if self.hold.departures.next_at()? > now {
            return None;
        }
        let (_, departure) = self.hold.departures.pop()?;
        self.hold.stats.passed += 1;
        Some(departure)
    }

    fn poll_dropped(&mut self) -> Option<Frame> {
        self.hold.dropped.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.hold.departures.next_at()
    }

    fn status(&self) -> Status {
        match self.hold.departures.is_empty() {
            true => Status::Done,
            false => Status::Working,
        }
    }

    fn forges(&self) -> bool {
        self.lanes[0].impairment.forges()
    }
}
