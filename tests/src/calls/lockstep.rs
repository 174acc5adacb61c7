//! Two runs of a program that wait for each other after each call, until all their sockets are ready for the same.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the two may take to come to the same rest.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they look again.
const PAUSE: Duration = Duration::from_micros(200);

/// What the sockets of a run are ready for, by their names.
pub(super) type Readiness = Vec<(String, u16)>;

/// Where the two meet.
#[derive(Debug, Default)]
pub(super) struct Lockstep {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The step that each has come to, and what it shows there.
    step: [usize; 2],
    shown: [Readiness; 2],
    /// The last step at which they showed the same.
    agreed: usize,
    /// What they showed when they did not come to the same.
    apart: Option<[Readiness; 2]>,
    /// One has come to its end, or waits where the other does not come.
    is_over: bool,
}

impl Lockstep {
    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the other run has come to that step too, and shows the same. Gives what the run of that side showed,
    /// where it was not.
    fn meet(&self, side: usize, step: usize, mut ready: impl FnMut() -> Readiness) -> Option<Readiness> {
        let began = Instant::now();
        loop {
            let shown = ready();
            let mut state = self.held();
            if state.agreed >= step || state.is_over {
                return state
                    .apart
                    .as_mut()
                    .map(|both| std::mem::take(&mut both[side]))
                    .filter(|it| !it.is_empty());
            }
            (state.step[side], state.shown[side]) = (step, shown);
            if state.step == [step; 2] && state.shown[0] == state.shown[1] {
                state.agreed = step;
            } else if began.elapsed() > PATIENCE {
                state.is_over = true;
                if state.step == [step; 2] {
                    state.apart = Some(state.shown.clone());
                }
            } else {
                let waited = self.moved.wait_timeout(state, PAUSE);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(state);
            self.moved.notify_all();
        }
    }

    fn end(&self) {
        self.held().is_over = true;
        self.moved.notify_all();
    }
}

/// One of the two runs.
#[derive(Debug)]
pub(super) struct Runner {
    with: Arc<Lockstep>,
    side: usize,
    step: usize,
}

impl Runner {
    /// Both.
    pub(super) fn pair() -> [Runner; 2] {
        let with = Arc::new(Lockstep::default());
        [0, 1].map(|side| Runner { with: with.clone(), side, step: 0 })
    }

    /// After a call: gives what the sockets are ready for, where the other run's are not.
    pub(super) fn after_call(&mut self, ready: impl FnMut() -> Readiness) -> Option<Readiness> {
        self.step += 1;
        self.with.meet(self.side, self.step, ready)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.with.end();
    }
}
