//! Loss: by chance, by count, by rule, in bursts, for a time.

use core::ops::Range;
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;

use super::{Arrival, Impaired, Impairment};
use crate::packet::Packet;

/// Frames that don't arrive.
///
/// ```
/// use tapsock_sim::packet::Packet;
/// use tapsock_sim::Loss;
///
/// let two_percent = Loss::percent(2.0);
/// let third_syn = Loss::nth(3).only(Packet::is_syn);
/// let fins_for_ever = Loss::when(|packet, _index| packet.is_fin());
/// # let _ = (two_percent, third_syn, fins_for_ever);
/// ```
#[derive(Clone)]
pub struct Loss(Rule);

type Predicate = Arc<dyn Fn(&Packet, u64) -> bool>;

#[derive(Clone)]
enum Rule {
    Percent(f64),
    These(Arc<[u64]>),
    Every(u64),
    When(Predicate),
    Burst(GilbertElliott, Weather),
    During(Range<Instant>),
}

/// Loss in bursts: a chain of two states, after Gilbert and Elliott. All figures in percent.
///
/// ```
/// use tapsock_sim::{GilbertElliott, Loss};
///
/// // A burst begins with every hundredth frame, and lasts four frames on average.
/// let bursts = GilbertElliott { good_to_bad: 1.0, bad_to_good: 25.0, loss_in_good: 0.0, loss_in_bad: 100.0 };
/// let link = Loss::burst(bursts);
/// # let _ = link;
/// ```
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct GilbertElliott {
    /// The chance, with each frame, to pass from the good state to the bad.
    pub good_to_bad: f64,
    /// The chance, with each frame, to pass back.
    pub bad_to_good: f64,
    /// The chance to lose a frame in the good state.
    pub loss_in_good: f64,
    /// The chance to lose a frame in the bad state.
    pub loss_in_bad: f64,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Weather {
    Good,
    Bad,
}

impl Loss {
    /// Each frame is lost with a chance of `percent` in a hundred.
    pub fn percent(percent: f64) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::Percent(percent)))
    }

    /// The `n`-th frame of each direction is lost, counted from 1.
    pub fn nth(n: u64) -> Impaired<Loss> {
        Loss::these([n])
    }

    /// The frames with these numbers are lost, counted from 1 in each direction.
    pub fn these(indices: impl IntoIterator<Item = u64>) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::These(indices.into_iter().collect())))
    }

    /// Every `n`-th frame of each direction is lost.
    pub fn every(n: u64) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::Every(n.max(1))))
    }

    /// Frames for which `predicate` holds are lost; it is given the frame's number in its direction too, from 1.
    pub fn when(predicate: impl Fn(&Packet, u64) -> bool + 'static) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::When(Arc::new(predicate))))
    }

    /// Frames are lost in bursts.
    pub fn burst(chain: GilbertElliott) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::Burst(chain, Weather::Good)))
    }

    /// All frames that come in this span of time are lost: an outage.
    pub fn during(span: Range<Instant>) -> Impaired<Loss> {
        Impaired::new(Loss(Rule::During(span)))
    }
}

impl Impairment for Loss {
    fn name(&self) -> String {
        "loss".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let lost = match &mut self.0 {
            Rule::Percent(percent) => arrival.rng.percent(*percent),
            Rule::These(indices) => indices.contains(&arrival.index),
            Rule::Every(n) => arrival.index.is_multiple_of(*n),
            Rule::When(predicate) => predicate(&Packet::parse(&frame.bytes, arrival.medium), arrival.index),
            Rule::During(span) => span.contains(&arrival.now),
            Rule::Burst(chain, weather) => {
                let (change, other) = match weather {
                    Weather::Good => (chain.good_to_bad, Weather::Bad),
                    Weather::Bad => (chain.bad_to_good, Weather::Good),
                };
                if arrival.rng.percent(change) {
                    *weather = other;
                }
                arrival.rng.percent(match weather {
                    Weather::Good => chain.loss_in_good,
                    Weather::Bad => chain.loss_in_bad,
                })
            }
        };
        match lost {
            true => arrival.drop(frame),
            false => arrival.pass(frame),
        }
    }
}
