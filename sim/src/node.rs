//! What stands in a network: hosts, switches and impairments share one trait.

use core::any::Any;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Medium;

use crate::rng::Rng;

/// Something that frames go into and come out of, through numbered ports.
///
/// A node never sees its neighbours: the network takes what [`Node::poll_transmit`] gives and hands it to whoever
/// is plugged into that port, at the same instant. Time passes only inside nodes, which name their next deadline.
///
/// ```
/// use tapsock_sim::node::{Node, Port};
/// use tapsock_stack::{buf::Frame, time::Instant};
///
/// /// Sends everything back.
/// struct Mirror(Vec<Frame>);
///
/// impl Node for Mirror {
///     fn name(&self) -> String {
///         "mirror".into()
///     }
///     fn ports(&self) -> usize {
///         1
///     }
///     fn on_frame(&mut self, _now: Instant, _port: Port, frame: Frame) {
///         self.0.push(frame);
///     }
///     fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
///         self.0.pop().map(|frame| (Port(0), frame))
///     }
/// }
/// ```
pub trait Node: Any {
    /// What the trace calls it.
    fn name(&self) -> String;

    /// How many ports it has. Two unless said otherwise: port 0 looks left in a chain, port 1 right.
    fn ports(&self) -> usize {
        2
    }

    /// Whether frames end here. The trace and the observer look at hosts only.
    fn kind(&self) -> Kind {
        Kind::Element
    }

    /// Called once, before the first frame.
    fn start(&mut self, _setup: Setup) {}

    /// A frame comes in.
    fn on_frame(&mut self, now: Instant, port: Port, frame: Frame);

    /// The next frame that goes out at `now`. Called until it gives none.
    fn poll_transmit(&mut self, now: Instant) -> Option<(Port, Frame)>;

    /// The next frame that was dropped since the last call, for the trace.
    fn poll_dropped(&mut self) -> Option<Frame> {
        None
    }

    /// The deadline that [`Node::poll_timeout`] named is here, or just past.
    fn handle_timeout(&mut self, _now: Instant) {}

    /// When the node next wants to be called, if no frame comes before.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Whether it still has something to do. A run ends when all nodes are done.
    fn status(&self) -> Status {
        Status::Done
    }

    /// Whether it changes frames so that their receiver can't tell. Then what a host was told of is unknown, and
    /// the observer checks only what each host says by itself.
    fn forges(&self) -> bool {
        false
    }
}

/// A port of a node, counted from 0.
///
/// ```
/// use tapsock_sim::node::{Node, Port};
///
/// let switch = tapsock_sim::Switch::new(8);
/// let last = Port(switch.ports() - 1);
/// assert_eq!(last, Port(7));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Port(pub usize);

/// The number of a node in its network, in the order in which they were added.
///
/// ```
/// use tapsock_sim::node::NodeId;
///
/// let mut network = tapsock_sim::Simulation::new(1).network();
/// assert_eq!(network.add(tapsock_sim::Switch::new(2)), NodeId(0));
/// assert_eq!(network.add(tapsock_sim::Switch::new(2)), NodeId::from(1));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct NodeId(pub usize);

impl From<usize> for NodeId {
    fn from(index: usize) -> Self {
        NodeId(index)
    }
}

/// What a node is told before the first frame.
///
/// ```
/// use tapsock_sim::{node::Setup, rng::Rng};
/// use tapsock_stack::{time::Instant, wire::offload::Medium};
///
/// let mut setup = Setup { now: Instant::ZERO, rng: Rng::new(1), medium: Medium::Ip };
/// assert!(setup.rng.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Setup {
    /// The time, which is [`Instant::ZERO`] unless a network was made later.
    pub now: Instant,
    /// The node's own dice.
    pub rng: Rng,
    /// What frames begin with.
    pub medium: Medium,
}

/// Whether frames end at a node, or pass.
///
/// ```
/// use tapsock_sim::node::{Kind, Node, Scrutiny};
///
/// assert_eq!(tapsock_sim::Delay::ms(1).kind(), Kind::Element);
/// assert_eq!(tapsock_sim::SmoltcpHost::new("a").kind(), Kind::Host(Scrutiny::Foreign));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A host: it makes frames and takes them.
    Host(Scrutiny),
    /// Something on the way.
    Element,
}

/// How strictly the observer looks at what a host sends.
///
/// ```
/// use tapsock_sim::node::{Kind, Node, Scrutiny};
///
/// assert_eq!(tapsock_sim::Talker::silent().kind(), Kind::Host(Scrutiny::Full));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Scrutiny {
    /// Every rule.
    Full,
    /// As for a foreign stack: all rules but those that it is known to bend. smoltcp rounds its window down, which moves
    /// the right edge back by less than one unit of the scale; it takes the window of segments that came late, and so
    /// may send beyond it; and it leaves TCP options out of what fits an MSS.
    Foreign,
}

/// How far a node is.
///
/// ```
/// use tapsock_sim::node::Status;
///
/// let parts = [Status::Done, Status::Working];
/// assert_eq!(Status::of_all(parts.into_iter()), Status::Working);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// It has something to do.
    Working,
    /// It has nothing to do by itself.
    Done,
    /// What it found is wrong, and why: the run panics.
    Failed(String),
}

impl Status {
    /// What several parts are, taken together: failed where one is, done where all are.
    pub fn of_all(parts: impl Iterator<Item = Status>) -> Status {
        let mut overall = Status::Done;
        for status in parts {
            match status {
                Status::Failed(_) => return status,
                Status::Working => overall = Status::Working,
                Status::Done => {}
            }
        }
        overall
    }
}
