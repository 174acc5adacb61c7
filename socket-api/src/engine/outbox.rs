//! Frames on their way to the link, and the right to write them.
//!
//! Whoever puts frames in tries to flush them itself. Whoever finds the send half gone knows that another thread
//! flushes, and leaves its frames to that one.

use std::collections::VecDeque;
use std::io;

use tapsock_driver::SendHalf;
use tapsock_stack::wire::offload::Transmit;

use super::stats::Stats;
use super::sync::{AtomicUsize, Mutex, Ordering, lock};

/// Frames that wait at most. When it is full, segments stay in the stack.
pub(crate) const OUTBOX_FRAMES: usize = 256;

/// Bytes that wait at most, but for the last frame: as many as Linux lets a stream have below TCP
/// (`net.ipv4.tcp_limit_output_bytes` as it was for long), and here all of them together. Beyond, segments stay in the stack,
/// whose connections take turns: what one of them could fill the link with is not in front of what others have.
pub(crate) const OUTBOX_BYTES: usize = 1 << 20;

/// Frames of others that a flusher writes before it hands over to the driver.
pub(crate) const FOREIGN_FRAMES: usize = 64;

/// The frames that one thread put in: sequence numbers, the end exclusive.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Own {
    start: u64,
    end: u64,
}

/// Whether frames find room in an outbox.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Vacancy {
    /// They do.
    Here,
    /// Whoever writes this moment makes some, and looks for what was kept back.
    Soon,
    /// The link takes nothing.
    Blocked,
}

/// Who fills in the transport checksum.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fills {
    /// The link does.
    Link,
    /// The flusher does, outside of all locks.
    Flusher,
}

/// How a flush ended.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Nothing is left, or another thread flushes, or the link is known to be blocked.
    Done,
    /// Nothing is left here, but the stack kept segments back while the outbox was full.
    Starved,
    /// The link takes no more: the driver has to wait until it does.
    Blocked,
    /// The flusher has done enough for others: the driver has to go on.
    HandOver,
    /// The link is gone.
    Gone(io::Error),
}

/// The outbox of a shard.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Frames in the queue; read without the lock to see that there is nothing to do.
    waiting: AtomicUsize,
    fills: Fills,
    room: Room,
}

/// What waits at most.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Room {
    pub(crate) frames: usize,
    /// One frame more may wait than this has room for.
    pub(crate) bytes: usize,
}

/// An outbox's room.
pub(crate) const ROOM: Room = Room { frames: OUTBOX_FRAMES, bytes: OUTBOX_BYTES };

struct State {
    queue: VecDeque<Transmit>,
    bytes: usize,
    /// Sequence number of the first frame of the queue.
    head: u64,
    half: Half,
    starved: bool,
}

impl State {
    fn is_full(&self, room: Room) -> bool {
        self.queue.len() >= room.frames || self.bytes >= room.bytes
    }
}

enum Half {
    Idle(Box<dyn SendHalf>),
    /// A flusher has it.
    Taken,
    /// The link said that it is full; the half rests until the driver finds it writable.
    Blocked(Box<dyn SendHalf>),
    /// There is no link, or no more.
    Gone,
}

impl Outbox {
    /// An outbox with `room` that writes to `half`; without one, frames are dropped.
    pub(crate) fn new(half: Option<Box<dyn SendHalf>>, fills: Fills, room: Room) -> Self {
        let half = half.map_or(Half::Gone, Half::Idle);
        let queue = VecDeque::with_capacity(room.frames);
        let state = State { queue, bytes: 0, head: 0, half, starved: false };
        Outbox { state: Mutex::new(state), waiting: AtomicUsize::new(0), fills, room }
    }

    /// Takes frames from `poll` until that has none, or there is no more room, and adds them to `own`. Called under
    /// the shard lock, which keeps the frames in the order in which the stack made them.
    pub(crate) fn fill(&self, own: &mut Own, mut poll: impl FnMut() -> Option<Transmit>) {
        // Only fillers make it larger, and the shard lock lets in one at a time.
        let mut has_room = self.waiting.load(Ordering::Relaxed) == 0;
        loop {
            if !has_room {
                let mut state = lock(&self.state);
                if state.is_full(self.room) {
                    // Whoever empties it sees this, because it looks under the same lock.
                    state.starved = true;
                    return;
                }
            }
            let Some(transmit) = poll() else { return };
            has_room = self.push(transmit, own);
        }
    }

    /// Whether one frame more finds room. Called under the shard lock, as [`fill`](Self::fill) is.
    pub(crate) fn vacancy(&self) -> Vacancy {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return Vacancy::Here;
        }
        let mut state = lock(&self.state);
        match state.half {
            _ if !state.is_full(self.room) => Vacancy::Here,
            Half::Blocked(_) => Vacancy::Blocked,
            _ => {
                state.starved = true;
                Vacancy::Soon
            }
        }
    }

    /// Whether the stack kept frames back, and not any more.
    pub(crate) fn take_starved(&self) -> bool {
        std::mem::take(&mut lock(&self.state).starved)
    }

    /// Puts a frame in; whether there is room for another.
    pub(crate) fn push(&self, transmit: Transmit, own: &mut Own) -> bool {
        let mut state = lock(&self.state);
        if matches!(state.half, Half::Gone) {
            return true;
        }
        let sequence = state.head + state.queue.len() as u64;
        if own.end != sequence {
            own.start = sequence;
        }
        own.end = sequence + 1;
        state.bytes += transmit.len();
        state.queue.push_back(transmit);
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
        !state.is_full(self.room)
    }

    /// Writes what waits, unless another thread does. Called without any lock. `foreign` is how many frames that
    /// are not `own` it may still write.
    pub(crate) fn flush(&self, own: Own, foreign: &mut usize, stats: &Stats) -> Flushed {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return Flushed::Done;
        }
        let mut state = lock(&self.state);
        let mut half = match std::mem::replace(&mut state.half, Half::Taken) {
            Half::Idle(half) => half,
            other => {
                state.half = other;
                return Flushed::Done;
            }
        };
        loop {
            let sequence = state.head;
            if !(own.start..own.end).contains(&sequence) && !state.queue.is_empty() {
                if *foreign == 0 {
                    state.half = Half::Idle(half);
                    return Flushed::HandOver;
                }
                *foreign -= 1;
            }
            let Some(mut transmit) = state.queue.pop_front() else {
                state.half = Half::Idle(half);
                return if std::mem::take(&mut state.starved) { Flushed::Starved } else { Flushed::Done };
            };
            state.head += 1;
            state.bytes -= transmit.len();
            self.waiting.store(state.queue.len(), Ordering::Relaxed);
            drop(state);
            let written = self.write(half.as_mut(), &mut transmit, stats);
            state = lock(&self.state);
            match written {
                Written::Done => {}
                Written::Full => {
                    state.head -= 1;
                    state.bytes += transmit.len();
                    state.queue.push_front(transmit);
                    self.waiting.store(state.queue.len(), Ordering::Relaxed);
                    state.half = Half::Blocked(half);
                    return Flushed::Blocked;
                }
                Written::Gone(error) => {
                    self.close(&mut state);
                    return Flushed::Gone(error);
                }
            }
        }
    }

    /// Whether the link has to become writable before anything can be written.
    pub(crate) fn is_blocked(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 && matches!(lock(&self.state).half, Half::Blocked(_))
    }

    /// The driver has seen that the link is writable.
    pub(crate) fn unblock(&self) {
        let mut state = lock(&self.state);
        state.half = match std::mem::replace(&mut state.half, Half::Taken) {
            Half::Blocked(half) => Half::Idle(half),
            other => other,
        };
    }

    /// Frames that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The link is gone: what waits is dropped, and what comes.
    pub(crate) fn link_gone(&self) {
        let mut state = lock(&self.state);
        // A flusher that has the half meanwhile finds out by itself: the same link refuses its next frame.
        if !matches!(state.half, Half::Taken) {
            self.close(&mut state);
        }
    }

    fn close(&self, state: &mut State) {
        state.half = Half::Gone;
        state.head += state.queue.len() as u64;
        state.queue.clear();
        (state.bytes, state.starved) = (0, false);
        self.waiting.store(0, Ordering::Relaxed);
    }

    fn write(&self, half: &mut dyn SendHalf, transmit: &mut Transmit, stats: &Stats) -> Written {
        if self.fills == Fills::Flusher && transmit.checksum.is_some() {
            transmit.complete_checksum();
        }
        loop {
            stats.link_writes.bump();
            return match half.transmit(transmit) {
                Ok(()) => Written::Done,
                Err(error) => match link_trouble(&error) {
                    Trouble::Full => Written::Full,
                    Trouble::Again => continue,
                    Trouble::Gone => Written::Gone(error),
                },
            };
        }
    }
}

enum Written {
    Done,
    Full,
    Gone(io::Error),
}

/// What an error of a link means.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// Nothing now: wait until the descriptor is ready.
    Full,
    /// A signal came in between.
    Again,
    /// The link is gone.
    Gone,
}

/// Sorts a link's errors.
pub(crate) fn link_trouble(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::WouldBlock => Trouble::Full,
        io::ErrorKind::Interrupted => Trouble::Again,
        _ => Trouble::Gone,
    }
}
