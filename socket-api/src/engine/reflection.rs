//! Showing elsewhere how ready something is, and keeping the two in step.
//!
//! What happens is told under locks; then it is only noted. Whoever brought it about refreshes the show when his locks
//! are gone: he asks the source anew, so the one who comes last shows the newest state, and two who come at once may show
//! the same state twice, but never an old one last.

use tapsock_sockets::PollMask;

use super::sync::{AtomicUsize, Mutex, Ordering, lock};

/// Something with a readiness.
pub(crate) trait Source {
    /// How ready it is now.
    fn readiness(&self) -> PollMask;
}

/// What a readiness is shown on.
pub(crate) trait Face {
    /// Shows `ready`, and lets those who look for edges see one of each of `edges`.
    fn show(&mut self, ready: PollMask, edges: PollMask);
}

/// A source and the face that shows it. The face's lock comes before all locks of the source.
pub(crate) struct Reflection<S, F> {
    source: S,
    face: Mutex<F>,
    /// The edges since the last refresh.
    edges: AtomicUsize,
}

impl<S: Source, F: Face> Reflection<S, F> {
    pub(crate) fn new(source: S, face: F) -> Self {
        Reflection { source, face: Mutex::new(face), edges: AtomicUsize::new(0) }
    }

    /// Notes that `what` has happened; a refresh follows. May be called under any lock.
    pub(crate) fn hear(&self, what: PollMask) {
        self.edges.fetch_or(usize::from(what.bits()), Ordering::AcqRel);
    }

    /// Shows how ready the source is now. No lock is held.
    pub(crate) fn refresh(&self) {
        let mut face = lock(&self.face);
        let edges = self.edges.swap(0, Ordering::AcqRel);
        let ready = self.source.readiness();
        face.show(ready, PollMask::from_bits(edges as u16));
    }

    /// Does something to the face.
    pub(crate) fn with_face(&self, change: impl FnOnce(&mut F)) {
        change(&mut lock(&self.face));
    }
}
