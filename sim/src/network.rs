//! The event loop: nodes, the wires between them, and virtual time.

use core::any::Any;
use core::cell::Cell;
use core::time::Duration;
use std::collections::HashMap;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Medium;

use crate::node::{Kind, Node, NodeId, Port, Setup, Status};
use crate::observer::Observer;
use crate::packet::Packet;
use crate::queue::EventQueue;
use crate::rng::Rng;
use crate::trace::{Event, Trace};

/// Events of one run at most. A run of 10 MiB over five elements has about 100,000.
pub const MAX_EVENTS: u64 = 50_000_000;

/// Events at one instant at most: more, and two nodes play tennis.
pub const MAX_EVENTS_AT_ONCE: u64 = 1_000_000;

/// Nodes, the wires between their ports, and what is under way.
///
/// ```
/// use tapsock_sim::node::Port;
/// use tapsock_sim::{Delay, Talker, Simulation, Switch};
///
/// let mut network = Simulation::new(1).network();
/// let switch = network.add(Switch::new(2));
/// for port in 0..2 {
///     let host = network.add(Talker::silent());
///     network.link((host, Port(0)), tapsock_sim::chain![Delay::ms(1)], (switch, Port(port)));
/// }
/// network.run();
/// ```
pub struct Network {
    seed: u64,
    rng: Rng,
    medium: Medium,
    limit: Duration,
    now: Instant,
    nodes: Vec<Slot>,
    plugs: HashMap<(NodeId, Port), (NodeId, Port)>,
    queue: EventQueue<Task>,
    /// Nodes that were added or changed from outside since the last step.
    touched: Vec<NodeId>,
    /// Frames between two nodes.
    under_way: usize,
    reported: Cell<Reported>,
    trace: Trace,
    observer: Observer,
}

/// Whether the circumstances of a panic have been told.
#[derive(Copy, Clone, PartialEq)]
enum Reported {
    No,
    Yes,
}

struct Slot {
    node: Box<dyn Node>,
    name: String,
    kind: Kind,
    /// The earliest wake-up in the queue. A later deadline keeps it: it fires early and is queued anew.
    armed: Option<Instant>,
}

enum Task {
    Deliver { to: NodeId, port: Port, frame: Frame },
    Wake(NodeId),
}

impl Network {
    /// No nodes yet. See [`Simulation::network`](crate::Simulation::network).
    pub(crate) fn new(seed: u64, medium: Medium, limit: Duration) -> Self {
        Network {
            seed,
            rng: Rng::new(seed),
            medium,
            limit,
            now: Instant::ZERO,
            nodes: Vec::new(),
            plugs: HashMap::new(),
            queue: EventQueue::new(),
            touched: Vec::new(),
            under_way: 0,
            reported: Cell::new(Reported::No),
            trace: Trace::new(medium),
            observer: Observer::new(),
        }
    }

    pub(crate) fn ports(&self, id: NodeId) -> usize {
        self.nodes[id.0].node.ports()
    }

    /// Adds a node, with no wire yet.
    pub fn add(&mut self, node: impl Node) -> NodeId {
        self.add_boxed(Box::new(node))
    }

    pub(crate) fn add_boxed(&mut self, mut node: Box<dyn Node>) -> NodeId {
        let id = NodeId(self.nodes.len());
        let rng = self.rng.fork(id.0 as u64);
        node.start(Setup { now: self.now, rng, medium: self.medium });
        let kind = node.kind();
        if node.forges() {
            self.observer.distrust_deliveries();
        }
        self.nodes.push(Slot { name: node.name(), node, kind, armed: None });
        self.touched.push(id);
        id
    }

    /// Puts a wire without delay between two ports. Panics where one is taken or doesn't exist.
    pub fn connect(&mut self, a: (NodeId, Port), b: (NodeId, Port)) {
        for (this, other) in [(a, b), (b, a)] {
            assert!(
                this.1.0 < self.nodes[this.0.0].node.ports(),
                "{} has no {:?}",
                self.nodes[this.0.0].name,
                this.1
            );
            let taken = self.plugs.insert(this, other);
            assert!(taken.is_none(), "{:?} of {} is taken", this.1, self.nodes[this.0.0].name);
        }
    }

    /// Puts `elements` in a row between two ports, and returns their numbers.
    pub fn link(
        &mut self,
        a: (NodeId, Port),
        elements: Vec<Box<dyn Node>>,
        b: (NodeId, Port),
    ) -> Vec<NodeId> {
        let mut from = a;
        let mut ids = Vec::new();
        for element in elements {
            let id = self.add_boxed(element);
            self.connect(from, (id, Port(0)));
            from = (id, Port(1));
            ids.push(id);
        }
        self.connect(from, b);
        ids
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The seed that all dice follow from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What went over the wires.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A node, as the type it was added as. Panics where it is another.
    pub fn node<T: Node>(&self, id: impl Into<NodeId>) -> &T {
        let node: &dyn Any = &*self.nodes[id.into().0].node;
        node.downcast_ref().expect("the node was added as this type")
    }

    /// A node, to be changed between two runs. Panics where it is of another type.
    pub fn node_mut<T: Node>(&mut self, id: impl Into<NodeId>) -> &mut T {
        let id = id.into();
        self.touched.push(id);
        let node: &mut dyn Any = &mut *self.nodes[id.0].node;
        node.downcast_mut().expect("the node was added as this type")
    }

    /// Runs until all nodes are done and nothing is under way, and returns the time that took.
    ///
    /// Panics, with the seed and the last frames, when a node or the observer finds fault, when nothing is under way
    /// and somebody isn't done, and when the limit of virtual time is reached.
    pub fn run(&mut self) -> Duration {
        let begin = self.now;
        let deadline = begin + self.limit;
        self.step_while(deadline, |network| !network.all_done());
        if !self.all_done() {
            let what =
                if self.queue.is_empty() { "stalled: nothing is under way" } else { "out of virtual time" };
            let waiting: Vec<&str> = self.unfinished().collect();
            self.fail(&format!("{what}, and not done: {}", waiting.join(", ")));
        }
        self.now.saturating_since(begin)
    }

    /// Runs for `duration`, whether the nodes are done or not.
    pub fn run_for(&mut self, duration: Duration) {
        let deadline = self.now + duration;
        self.step_while(deadline, |_| true);
        self.now = deadline;
    }

    /// Runs until `condition` holds; panics as [`Network::run`] does where it never does.
    pub fn run_until(&mut self, condition: impl Fn(&Network) -> bool) {
        let deadline = self.now + self.limit;
        self.step_while(deadline, |network| !condition(network));
        if !condition(self) {
            self.fail("the condition never came to hold");
        }
    }

    fn step_while(&mut self, deadline: Instant, go_on: impl Fn(&Network) -> bool) {
        let (mut events, mut at_once) = (0, 0);
        self.settle_touched();
        while go_on(self) && self.queue.next_at().is_some_and(|at| at <= deadline) {
            let Some((at, task)) = self.queue.pop() else {
                return;
            };
            at_once = if at > self.now { 0 } else { at_once + 1 };
            events += 1;
            if events > MAX_EVENTS || at_once > MAX_EVENTS_AT_ONCE {
                self.fail(&format!("{events} events, {at_once} of them now: it will never end"));
            }
            self.now = at;
            self.step(task);
        }
    }

    fn step(&mut self, task: Task) {
        let now = self.now;
        let id = match task {
            Task::Deliver { to, port, frame } => {
                self.under_way -= 1;
                if let Kind::Host(_) = self.nodes[to.0].kind {
                    self.on_delivery(to, &frame);
                }
                self.nodes[to.0].node.on_frame(now, port, frame);
                to
            }
            Task::Wake(id) => {
                let slot = &mut self.nodes[id.0];
                // The deadline has moved nearer since this was queued, and another wake-up has come before.
                if slot.armed != Some(now) {
                    return;
                }
                slot.armed = None;
                if slot.node.poll_timeout().is_some_and(|at| at <= now) {
                    slot.node.handle_timeout(now);
                }
                id
            }
        };
        self.settle(id);
    }

    fn settle_touched(&mut self) {
        for id in core::mem::take(&mut self.touched) {
            self.settle(id);
        }
    }

    /// Takes what the node gives, and notes when it wants to be called.
    fn settle(&mut self, id: NodeId) {
        while let Some((port, frame)) = self.nodes[id.0].node.poll_transmit(self.now) {
            if let Kind::Host(_) = self.nodes[id.0].kind {
                self.on_emission(id, &frame);
            }
            match self.plugs.get(&(id, port)) {
                Some(&(to, port)) => {
                    self.under_way += 1;
                    self.queue.push(self.now, Task::Deliver { to, port, frame });
                }
                None => self.trace.record(self.now, &self.nodes[id.0].name, Event::Dropped, &frame),
            }
        }
        while let Some(frame) = self.nodes[id.0].node.poll_dropped() {
            self.trace.record(self.now, &self.nodes[id.0].name, Event::Dropped, &frame);
        }
        if let Status::Failed(why) = self.nodes[id.0].node.status() {
            let name = self.nodes[id.0].name.clone();
            self.fail(&format!("{name}: {why}"));
        }
        let slot = &mut self.nodes[id.0];
        if let Some(at) = slot.node.poll_timeout()
            && slot.armed.is_none_or(|armed| at < armed)
        {
            let at = at.max(self.now);
            slot.armed = Some(at);
            self.queue.push(at, Task::Wake(id));
        }
    }

    fn on_emission(&mut self, id: NodeId, frame: &Frame) {
        let slot = &self.nodes[id.0];
        self.trace.record(self.now, &slot.name, Event::Sent, frame);
        let Kind::Host(scrutiny) = slot.kind else { return };
        let packet = Packet::parse(&frame.bytes, self.medium);
        if let Err(why) = self.observer.on_emission(id, scrutiny, &packet, frame, self.medium) {
            let name = slot.name.clone();
            self.fail(&format!("{name} sent what it must not: {why}"));
        }
    }

    fn on_delivery(&mut self, id: NodeId, frame: &Frame) {
        self.trace.record(self.now, &self.nodes[id.0].name, Event::Received, frame);
        let packet = Packet::parse(&frame.bytes, self.medium);
        self.observer.on_delivery(id, &packet, frame, self.medium);
    }

    fn all_done(&self) -> bool {
        self.under_way == 0 && self.unfinished().next().is_none()
    }

    fn unfinished(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|slot| slot.node.status() != Status::Done).map(|slot| slot.name.as_str())
    }

    fn fail(&self, why: &str) -> ! {
        self.reported.set(Reported::Yes);
        panic!("{why}\n{}", self.circumstances())
    }

    fn circumstances(&self) -> String {
        format!("seed {}, at {:?}, the last frames:\n{}", self.seed, self.now, self.trace)
    }
}

impl Drop for Network {
    /// A panic inside of a node, or of a test that still holds the network: says what a failed run says.
    fn drop(&mut self) {
        if std::thread::panicking() && self.reported.get() == Reported::No {
            eprintln!("{}", self.circumstances());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Simulation, Talker, chain};

    /// Its deadline moves nearer with each frame, and is a second away once it has passed.
    struct Fidget(Instant);

    impl Node for Fidget {
        fn name(&self) -> String {
            "fidget".into()
        }

        fn on_frame(&mut self, _now: Instant, _port: Port, _frame: Frame) {
            self.0 = self.0 - Duration::from_millis(10);
        }

        fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
            None
        }

        fn handle_timeout(&mut self, now: Instant) {
            self.0 = now + Duration::from_secs(1);
        }

        fn poll_timeout(&self) -> Option<Instant> {
            Some(self.0)
        }
    }

    #[test]
    fn a_wake_up_that_is_overtaken_is_forgotten() {
        let talker = Talker::sends_every(Duration::from_millis(1), 100);
        let mut network = Simulation::new(1).chain(chain![talker, Fidget(Instant::from_secs(5))]);
        network.run_for(Duration::from_secs(20));
        assert_eq!(network.queue.len(), 1);
        assert_eq!(network.node::<Fidget>(1).0, Instant::from_secs(21));
    }
}
