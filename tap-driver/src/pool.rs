//! Buffers that are used again, the hottest first.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tapsock_stack::buf::{Chunk, FrameBuf};

/// Bytes of a tiny buffer: a frame of hardly more than headers, of which a flood may have very many held.
pub const TINY: usize = 256;
/// Bytes of a small buffer: a frame of an ordinary MTU.
pub const SMALL: usize = 2 * 1024;
/// Bytes of a medium buffer: a jumbo frame, a few merged segments.
pub const MEDIUM: usize = 16 * 1024;
/// Bytes of a large buffer: the largest IP packet of 65,535 bytes behind its link header, with some to spare.
pub const LARGE: usize = 66 * 1024;

/// Most buffers of a size that the pool keeps: 1 MiB, 8 MiB, 8 MiB and 16.5 MiB.
const LIMITS: [usize; 4] = [4096, 4096, 512, 256];
/// Most buffers looked at to find a free one, before another is made.
const SWEEP: usize = 64;

/// A set of buffers in four sizes. Taking one allocates only until the pool has as many as are held at a time.
///
/// The pool keeps a reference to each buffer that it gave out, and a buffer whose only reference is the pool's is
/// free; so a [`Chunk`] returns its buffer by being dropped, on whatever thread. The one used last is preferred,
/// since it is in the cache.
///
/// ```
/// use tapsock_driver::pool::Pool;
///
/// let mut pool = Pool::new();
/// let first = pool.copy_from(b"first");
/// let address = first.as_ptr();
/// let second = pool.copy_from(b"second");
/// assert_eq!(&first[..], b"first");
/// drop((first, second));
/// let again = [pool.copy_from(b"third"), pool.copy_from(b"fourth")];
/// assert!(again.iter().any(|chunk| chunk.as_ptr() == address));
/// ```
pub struct Pool {
    tiny: Class,
    small: Class,
    medium: Class,
    large: Class,
}

impl Pool {
    /// A pool without buffers.
    pub fn new() -> Self {
        Pool {
            tiny: Class::new(TINY, LIMITS[0]),
            small: Class::new(SMALL, LIMITS[1]),
            medium: Class::new(MEDIUM, LIMITS[2]),
            large: Class::new(LARGE, LIMITS[3]),
        }
    }

    /// A chunk of `len` bytes that `fill` wrote; what it leaves alone is left over from earlier uses.
    ///
    /// More than [`LARGE`] bytes get a buffer outside of the pool.
    pub fn build(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Chunk {
        if len > LARGE {
            let mut bytes = vec![0; len];
            fill(&mut bytes);
            return Chunk::from(bytes);
        }
        let slot = self.class_of(len).unique();
        fill(&mut writable(slot)[..len]);
        Chunk::new(slot.clone(), 0..len)
    }

    /// A chunk that holds a copy of `bytes`.
    pub fn copy_from(&mut self, bytes: &[u8]) -> Chunk {
        self.build(bytes.len(), |buffer| buffer.copy_from_slice(bytes))
    }

    /// How many buffers the pool holds, free or not.
    pub fn buffers(&self) -> usize {
        [&self.tiny, &self.small, &self.medium, &self.large].iter().map(|class| class.len()).sum()
    }

    /// A large buffer that nobody holds, the same one until [`share_large`](Self::share_large) gives it away.
    pub(crate) fn large_buffer(&mut self) -> &mut [u8] {
        writable(self.large.unique())
    }

    /// The first `len` bytes of the large buffer, by reference.
    pub(crate) fn share_large(&mut self, len: usize) -> Chunk {
        Chunk::new(self.large.current().clone(), 0..len)
    }

    /// The first `len` bytes of the large buffer, copied into one of their size.
    pub(crate) fn compact_large(&mut self, len: usize) -> Chunk {
        let Pool { tiny, small, medium, large } = self;
        let class = match len {
            len if len <= TINY => tiny,
            len if len <= SMALL => small,
            _ => medium,
        };
        let slot = class.unique();
        let len = len.min(slot.capacity());
        writable(slot)[..len].copy_from_slice(&large.current().as_slice()[..len]);
        Chunk::new(slot.clone(), 0..len)
    }

    fn class_of(&mut self, len: usize) -> &mut Class {
        match len {
            len if len <= TINY => &mut self.tiny,
            len if len <= SMALL => &mut self.small,
            len if len <= MEDIUM => &mut self.medium,
            _ => &mut self.large,
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} buffers)", self.buffers())
    }
}

/// The buffers of one size.
struct Class {
    size: usize,
    limit: usize,
    /// The buffer given out last.
    current: Option<Arc<FrameBuf>>,
    /// Known to be free, the hottest last.
    free: Vec<Arc<FrameBuf>>,
    /// Held by somebody when last looked at, the longest first; at most `limit`.
    busy: VecDeque<Arc<FrameBuf>>,
}

impl Class {
    fn new(size: usize, limit: usize) -> Self {
        Class { size, limit, current: None, free: Vec::new(), busy: VecDeque::new() }
    }

    fn len(&self) -> usize {
        self.free.len() + self.busy.len() + usize::from(self.current.is_some())
    }

    /// A buffer that nobody else holds; it is the current one from now on.
    fn unique(&mut self) -> &mut Arc<FrameBuf> {
        if !self.current.as_ref().is_some_and(is_free) {
            let next = self.free.pop().or_else(|| self.sweep());
            // Beyond the limit its holder alone keeps the buffer, and frees it.
            if let Some(previous) = self.current.take()
                && self.busy.len() < self.limit
            {
                self.busy.push_back(previous);
            }
            self.current = next;
        }
        self.current()
    }

    fn current(&mut self) -> &mut Arc<FrameBuf> {
        self.current.get_or_insert_with(|| Arc::new(FrameBuf::new(self.size)))
    }

    /// Collects buffers that were given back, and takes the one given out last of them.
    fn sweep(&mut self) -> Option<Arc<FrameBuf>> {
        if self.busy.back().is_some_and(is_free) {
            return self.busy.pop_back();
        }
        for _ in 0..self.busy.len().min(SWEEP) {
            let slot = self.busy.pop_front()?;
            if is_free(&slot) {
                self.free.push(slot);
            } else if self.free.is_empty() {
                self.busy.push_back(slot);
            } else {
                // Buffers come back in the order in which they went, as far as their holders are queues.
                self.busy.push_front(slot);
                break;
            }
        }
        self.free.pop()
    }
}

fn is_free(slot: &Arc<FrameBuf>) -> bool {
    Arc::strong_count(slot) == 1
}

/// The bytes of a buffer that nobody else holds; another buffer takes its place where somebody does.
fn writable(slot: &mut Arc<FrameBuf>) -> &mut [u8] {
    if Arc::get_mut(slot).is_none() {
        *slot = Arc::new(FrameBuf::new(slot.capacity()));
    }
    match Arc::get_mut(slot) {
        Some(buffer) => buffer.as_mut_slice(),
        None => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_at_once_when_nobody_holds_it() {
        let mut pool = Pool::new();
        let addresses: Vec<_> = (0..10).map(|_| pool.copy_from(&[1; 100]).as_ptr()).collect();
        assert!(addresses.iter().all(|address| *address == addresses[0]));
        assert_eq!(pool.buffers(), 1);
    }

    #[test]
    fn a_queue_of_held_buffers_reaches_a_steady_state() {
        let mut pool = Pool::new();
        let mut held = VecDeque::new();
        let mut run = |rounds: u32| {
            for round in 0..rounds {
                held.push_back((round, pool.copy_from(&round.to_be_bytes())));
                if held.len() > 100 {
                    let (round, chunk) = held.pop_front().unwrap();
                    assert_eq!(chunk[..], round.to_be_bytes());
                }
            }
            pool.buffers()
        };
        let warm = run(10_000);
        assert!(warm <= 100 + SWEEP, "{warm} buffers for 100 held");
        assert_eq!(run(100_000), warm);
    }

    #[test]
    fn buffers_held_for_ever_do_not_hide_those_that_are_free() {
        let mut pool = Pool::new();
        let pinned: Vec<_> = (0..1000).map(|_| pool.copy_from(b"pinned")).collect();
        for _ in 0..10_000 {
            let _pair = (pool.copy_from(b"a"), pool.copy_from(b"b"));
        }
        assert!(pool.buffers() <= 1000 + 8 * SWEEP, "{} buffers", pool.buffers());
        assert!(pinned.iter().all(|chunk| &chunk[..] == b"pinned"));
    }

    #[test]
    fn beyond_the_limit_buffers_are_made_and_freed() {
        let mut pool = Pool::new();
        let held: Vec<_> = (0..LIMITS[3] + 50).map(|_| pool.build(LARGE, |bytes| bytes[0] = 7)).collect();
        assert_eq!(pool.buffers(), LIMITS[3] + 1);
        assert!(held.iter().all(|chunk| chunk[0] == 7));
        assert_eq!(pool.build(LARGE + 1, |_| ()).len(), LARGE + 1);
        assert_eq!(pool.buffers(), LIMITS[3] + 1);
    }

    #[test]
    fn sizes_have_buffers_of_their_own() {
        let mut pool = Pool::new();
        for (len, capacity) in
            [(0, TINY), (TINY + 1, SMALL), (SMALL, SMALL), (SMALL + 1, MEDIUM), (MEDIUM + 1, LARGE)]
        {
            let chunk = pool.build(len, |_| ());
            assert_eq!((chunk.len(), chunk.buffer_capacity()), (len, capacity));
        }
    }
}
