//! How a run begins: its seed, its medium, and a chain of nodes.

use core::time::Duration;

use tapsock_stack::wire::offload::Medium;

use crate::network::Network;
use crate::node::{Node, NodeId, Port};

/// Virtual time after which a run that isn't done is given up, unless [`Simulation::limit`] says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(600);

/// A simulation to be: a seed, a medium and a limit. [`Simulation::run`] makes a chain of nodes and runs it.
///
/// ```
/// use tapsock_sim::{chain, Delay, Loss, Simulation, Talker};
///
/// let ping = Talker::sends_every(core::time::Duration::from_millis(10), 100);
/// let network = Simulation::new(1).run(chain![ping, Delay::ms(10), Loss::percent(20.0), Talker::silent()]);
/// let received = network.node::<Talker>(3).received().len();
/// assert!((60..100).contains(&received));
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    medium: Medium,
    limit: Duration,
}

impl Simulation {
    /// A simulation over Ethernet. All dice of all nodes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Simulation { seed, medium: Medium::Ethernet, limit: DEFAULT_LIMIT }
    }

    /// What frames begin with.
    pub fn medium(self, medium: Medium) -> Self {
        Simulation { medium, ..self }
    }

    /// Virtual time after which a run that isn't done panics.
    pub fn limit(self, limit: Duration) -> Self {
        Simulation { limit, ..self }
    }

    /// An empty network, for those that are more than a chain.
    pub fn network(self) -> Network {
        Network::new(self.seed, self.medium, self.limit)
    }

    /// A network of `nodes` in a row: port 1 of each plugged into port 0 of the next. The two ends may have one port
    /// only.
    pub fn chain(self, nodes: Vec<Box<dyn Node>>) -> Network {
        let mut network = self.network();
        let mut previous: Option<NodeId> = None;
        for node in nodes {
            let id = network.add_boxed(node);
            if let Some(previous) = previous {
                let last_port = Port(network.ports(previous) - 1);
                network.connect((previous, last_port), (id, Port(0)));
            }
            previous = Some(id);
        }
        network
    }

    /// Makes a chain of `nodes`, runs it until all are done, and returns it to be looked at.
    pub fn run(self, nodes: Vec<Box<dyn Node>>) -> Network {
        let mut network = self.chain(nodes);
        network.run();
        network
    }
}

/// Makes a `Vec<Box<dyn Node>>` of nodes of different types, for [`Simulation::run`].
///
/// ```
/// use tapsock_sim::{chain, Delay, Talker};
///
/// assert_eq!(chain![Talker::silent(), Delay::ms(1), Talker::silent()].len(), 3);
/// ```
#[macro_export]
macro_rules! chain {
    ($($node:expr),* $(,)?) => {
        vec![$(Box::new($node) as Box<dyn $crate::node::Node>,)*]
    };
}

/// The seeds of a test that runs with `count` of them: 0, 1, 2 …, or only the one in `TAPSOCK_SIM_SEED`, so that a
/// failure can be looked at alone.
///
/// ```
/// assert!(tapsock_sim::seeds(5).count() <= 5);
/// ```
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let only = std::env::var("TAPSOCK_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let range = match only {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    range.into_iter()
}
