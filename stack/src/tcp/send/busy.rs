//! What a sender waited for (`tcpi_busy_time`, `tcpi_rwnd_limited`, `tcpi_sndbuf_limited`).

use core::time::Duration;

use crate::time::Instant;

/// What keeps a sender from sending more.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Wait {
    /// There is nothing to send, and nothing in flight.
    Idle,
    /// The congestion window, the pace, or acknowledgements.
    Path,
    /// The peer's window.
    Peer,
    /// The send buffer is full of what is in flight.
    Buffer,
}

/// For how long it was what.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::busy::{Busy, Wait};
/// use tapsock_stack::time::Instant;
///
/// let mut busy = Busy::default();
/// busy.note(Instant::from_millis(100), Wait::Peer);
/// busy.note(Instant::from_millis(350), Wait::Path);
/// let times = busy.times(Instant::from_millis(400));
/// assert_eq!((times.busy, times.peer), (Duration::from_millis(300), Duration::from_millis(250)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Busy {
    /// In microseconds: since `since`, which wraps around; the others do so after 71 minutes of each.
    now: Option<core::num::NonZeroU8>,
    since: u32,
    spent: [u32; 3],
}

/// How long a sender had something to do, and what kept it from doing it.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// Something was in flight, or waited to be sent.
    pub busy: Duration,
    /// The peer's window was in the way.
    pub peer: Duration,
    /// The send buffer was.
    pub buffer: Duration,
}

impl Busy {
    /// From now on it is `wait`.
    pub fn note(&mut self, now: Instant, wait: Wait) {
        let now = Self::micros(now);
        if let Some(kind) = self.now {
            let spent = &mut self.spent[usize::from(kind.get()) - 1];
            *spent = spent.saturating_add(now.wrapping_sub(self.since));
        }
        (self.now, self.since) = (core::num::NonZeroU8::new(wait as u8), now);
    }

    /// What it came to until `now`.
    pub fn times(&self, now: Instant) -> Times {
        let mut seen = self.clone();
        seen.note(now, Wait::Idle);
        let [path, peer, buffer] = seen.spent.map(|micros| Duration::from_micros(micros.into()));
        Times { busy: path + peer + buffer, peer, buffer }
    }

    fn micros(now: Instant) -> u32 {
        now.as_micros() as u32
    }
}
