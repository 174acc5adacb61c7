//! One measurement between a near end and the kernel at the far end.

use std::io;
use std::thread;
use std::time::Duration;

use crate::bare::{self, Payload};
use crate::kernel::Peer;
use crate::lab::{Contender, Family, Lab, Side, socket_address};
use crate::role::{self, Order, Outcome, Place, Role, Shape};
use crate::{near, smol, sys};

/// Which CPUs the two ends run on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Placement {
    /// Each on one of its own.
    Across,
    /// Both on the same.
    Same,
    /// Wherever the scheduler puts them.
    Unpinned,
}

/// What becomes of tapsock's counters.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Counters {
    Ignored,
    Printed,
}

/// What the two ends do.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Duel {
    pub(crate) near: Role,
    pub(crate) far: Role,
    pub(crate) family: Family,
    pub(crate) shape: Shape,
    pub(crate) placement: Placement,
    pub(crate) time: Duration,
    /// The port of the end that listens, which is the far one unless the near one serves.
    pub(crate) port: u16,
}

/// What came of it at both ends.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) near: Outcome,
    pub(crate) far: Outcome,
}

impl Duel {
    /// Runs it once; `None` where the contender has no such role.
    pub(crate) fn run(
        &self,
        lab: &Lab,
        contender: Contender,
        counters: Counters,
    ) -> io::Result<Option<Sample>> {
        let (near, far) = self.orders(lab, contender)?;
        let plays = match contender {
            Contender::Smoltcp => smol::plays(&near),
            Contender::Device | Contender::Copying => bare::plays(&near),
            _ => true,
        };
        if !plays {
            return Ok(None);
        }
        // A thread of its own, so that pinning ends with it.
        let sample = thread::scope(|scope| {
            let work = scope.spawn(|| -> io::Result<Sample> {
                sys::pin(near.cpu)?;
                // The device has to be there before the far end can use its address.
                match contender {
                    Contender::Tapsock | Contender::Plain => {
                        let host = near::host(lab, contender, near.shape.waiting)?;
                        let sample = meet(lab, &near, &far, |ready| role::run(&host, &near, ready));
                        if counters == Counters::Printed {
                            near::print_counters(&host);
                        }
                        sample
                    }
                    Contender::Smoltcp => {
                        let tap = lab.tap(contender)?;
                        meet(lab, &near, &far, |_| smol::run(tap, &near))
                    }
                    Contender::Device => {
                        let tap = lab.tap(contender)?;
                        meet(lab, &near, &far, |_| bare::run(tap, &near, Payload::Untouched))
                    }
                    Contender::Copying => {
                        let tap = lab.tap(contender)?;
                        meet(lab, &near, &far, |_| bare::run(tap, &near, Payload::CopiedOnce))
                    }
                    Contender::Veth => meet(lab, &near, &far, |ready| {
                        let peer = Peer::start(&lab.near, &near)?;
                        ready();
                        peer.finish()
                    }),
                }
            });
            work.join().unwrap_or_else(|_| Err(io::Error::other("the near end panicked")))
        })?;
        Ok(Some(sample))
    }

    fn orders(&self, lab: &Lab, contender: Contender) -> io::Result<(Order, Order)> {
        let cpus = sys::cpus()?;
        let first = cpus.first().copied();
        let (near_cpu, far_cpu) = match self.placement {
            Placement::Across => (first, cpus.get(1).copied().or(first)),
            Placement::Same => (first, first),
            Placement::Unpinned => (None, None),
        };
        let listener = if self.near.serves() || self.shape.siege > 0 { Side::Near } else { Side::Far };
        let address = socket_address(contender, listener, self.family, self.port);
        let order = |role, side, cpu| Order {
            role,
            place: if side == listener { Place::Listen(address) } else { Place::Connect(address) },
            cpu,
            time: self.time,
            shape: self.shape,
            congestion: lab.congestion.to_owned(),
        };
        Ok((order(self.near, Side::Near, near_cpu), order(self.far, Side::Far, far_cpu)))
    }
}

/// Runs both ends, the one that listens first. `run` is the near one, and calls its argument when it listens.
fn meet(
    lab: &Lab,
    near: &Order,
    far: &Order,
    run: impl FnOnce(&mut dyn FnMut()) -> io::Result<Outcome>,
) -> io::Result<Sample> {
    let start = || Peer::start(&lab.far, far);
    if let Place::Connect(_) = near.place {
        let far = start()?;
        return Ok(Sample { near: run(&mut || {})?, far: far.finish()? });
    }
    let mut started = None;
    let near = run(&mut || started = Some(start()))?;
    let far = started.ok_or_else(|| io::Error::other("the near end never listened"))??.finish()?;
    Ok(Sample { near, far })
}
