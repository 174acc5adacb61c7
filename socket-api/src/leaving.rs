//! What is to be done when holders let go, one thing after the other.
//!
//! Closing a socket drops what lies in its queues, which may close other sockets, and so on for as many as hold each
//! other in a chain. Each thread has a list for that, so that no such chain uses up its stack.

use core::cell::RefCell;
use core::mem;
use std::collections::VecDeque;

use crate::description::Object;
use crate::engine::sync::Arc;
use crate::local::Flights;

/// Something to be done with no lock held.
pub(crate) enum Errand {
    /// The last holder has let go of this.
    Close(Object),
    /// Sockets may hold each other that nobody else holds.
    Collect(Arc<Flights>),
}

/// Lists of so few errands keep their memory.
const KEPT: usize = 64;

#[derive(Default)]
struct Errands {
    list: VecDeque<Errand>,
    /// Whether a call further down on this thread's stack does what is on the list.
    running: bool,
}

thread_local! {
    static ERRANDS: RefCell<Errands> = RefCell::default();
}

/// Does `errand` now, or, where this is part of another one, after it.
pub(crate) fn run(errand: Errand) {
    let mut errand = Some(errand);
    let queued = ERRANDS.try_with(|errands| {
        let mut errands = errands.borrow_mut();
        errands.list.extend(errand.take());
        mem::replace(&mut errands.running, true)
    });
    match queued {
        Ok(true) => {}
        Ok(false) => Runner.run(),
        // The thread ends, and its list is gone.
        Err(_) => errand.into_iter().for_each(Errand::perform),
    }
}

/// The call that does what is on the list.
struct Runner;

impl Runner {
    fn run(self) {
        while let Some(errand) = ERRANDS.with(|errands| errands.borrow_mut().list.pop_front()) {
            errand.perform();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        ERRANDS.with(|errands| {
            let mut errands = errands.borrow_mut();
            errands.running = false;
            if errands.list.capacity() > KEPT {
                errands.list.shrink_to(KEPT);
            }
        });
    }
}

impl Errand {
    fn perform(self) {
        match self {
            Errand::Close(object) => object.close(),
            Errand::Collect(flights) => drop(flights.collect()),
        }
    }
}
