//! What a call sends, and where it receives into.

use tapsock_stack::buf::{Chunk, Rope};

/// Where received bytes go, in order.
///
/// Small writes come as slices, which are gone when the call returns. Large ones come as chunks, which may be copied
/// when no lock is held any more: [`Filling`] does that.
///
/// ```
/// use tapsock_sockets::local::Sink;
/// use tapsock_stack::buf::{Chunk, Rope};
///
/// let mut rope = Rope::new();
/// rope.bytes(b"small ");
/// rope.chunk(Chunk::copy_from(b"large"));
/// assert_eq!(rope.to_vec(), b"small large");
/// ```
pub trait Sink {
    /// The next bytes, to be copied now.
    fn bytes(&mut self, bytes: &[u8]);
    /// The next bytes, by reference.
    fn chunk(&mut self, chunk: Chunk);
}

impl Sink for Rope {
    fn bytes(&mut self, bytes: &[u8]) {
        self.push_back(Chunk::copy_from(bytes));
    }

    fn chunk(&mut self, chunk: Chunk) {
        self.push_back(chunk);
    }
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn chunk(&mut self, chunk: Chunk) {
        self.extend_from_slice(&chunk);
    }
}

/// Fills a slice, or several one after the other, in two steps: small writes at once, chunks in [`finish`](Filling::finish), which the caller calls when
/// it holds no lock any more. Bytes past the end of the slice are dropped.
///
/// ```
/// use tapsock_sockets::local::{Filling, Sink};
/// use tapsock_stack::buf::Chunk;
///
/// let mut into = [0; 4];
/// let mut filling = Filling::new(&mut into);
/// filling.chunk(Chunk::copy_from(b"ab"));
/// filling.bytes(b"cde");
/// assert_eq!(filling.finish(), 4);
/// assert_eq!(&into, b"abcd");
/// ```
#[derive(Debug)]
pub struct Filling<'a> {
    into: Places<'a>,
    room: usize,
    len: usize,
    /// What is still to be copied, in order: where each chunk of `chunks` begins. Those that find no room inline spill.
    starts: [usize; STARTS],
    spilled: Vec<usize>,
    chunks: Rope,
}

/// Chunks whose places are kept without an allocation.
const STARTS: usize = 4;

impl<'a> Filling<'a> {
    /// Fills `into` from its start.
    pub fn new(into: &'a mut [u8]) -> Self {
        Filling::of(into.len(), Places::One(into))
    }

    /// Fills `parts`, one after the other.
    ///
    /// ```
    /// use tapsock_sockets::local::{Filling, Sink};
    ///
    /// let (mut first, mut second) = ([0; 2], [0; 3]);
    /// let mut filling = Filling::several(vec![&mut first, &mut second]);
    /// filling.bytes(b"abcd");
    /// assert_eq!((filling.room(), filling.finish()), (5, 4));
    /// assert_eq!((&first, &second), (b"ab", b"cd\0"));
    /// ```
    pub fn several(parts: Vec<&'a mut [u8]>) -> Self {
        let room = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        Filling::of(room, Places::Several(parts))
    }

    fn of(room: usize, into: Places<'a>) -> Self {
        let room = room.min(COUNT_MAX);
        Filling { into, room, len: 0, starts: [0; STARTS], spilled: Vec::new(), chunks: Rope::new() }
    }

    /// Bytes that it takes at most, of which 0x7ffff000 count, as for a call of Linux's.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Copies the chunks; returns how many bytes there are.
    pub fn finish(mut self) -> usize {
        let starts = self.starts.into_iter().chain(self.spilled);
        for (start, chunk) in starts.zip(self.chunks.chunks()) {
            self.into.write(start, chunk);
        }
        self.len
    }
}

/// Where it goes.
#[derive(Debug)]
enum Places<'a> {
    One(&'a mut [u8]),
    Several(Vec<&'a mut [u8]>),
}

impl Places<'_> {
    /// There is room for `bytes` from `at` on.
    fn write(&mut self, at: usize, mut bytes: &[u8]) {
        match self {
            Places::One(into) => into[at..at + bytes.len()].copy_from_slice(bytes),
            Places::Several(parts) => {
                let mut skip = at;
                for part in parts {
                    let begin = skip.min(part.len());
                    skip -= begin;
                    let (first, rest) = bytes.split_at(bytes.len().min(part.len() - begin));
                    part[begin..begin + first.len()].copy_from_slice(first);
                    bytes = rest;
                    if bytes.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

/// The most that one call moves: Linux's MAX_RW_COUNT.
const COUNT_MAX: usize = 0x7fff_f000;

impl Sink for Filling<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.room - self.len);
        self.into.write(self.len, &bytes[..count]);
        self.len += count;
    }

    fn chunk(&mut self, mut chunk: Chunk) {
        chunk.truncate(self.room - self.len);
        if chunk.is_empty() {
            return;
        }
        match self.starts.get_mut(self.chunks.chunk_count()) {
            Some(start) => *start = self.len,
            None => self.spilled.push(self.len),
        }
        self.len += chunk.len();
        self.chunks.push_back(chunk);
    }
}

/// What is to be sent.
///
/// ```
/// use tapsock_sockets::local::Payload;
///
/// assert_eq!(Payload::from(&b"abc"[..]).len(), 3);
/// ```
#[derive(Debug)]
pub enum Payload<'a> {
    /// Bytes that are copied during the call, and so under the caller's lock: for short ones.
    Bytes(&'a [u8]),
    /// Bytes by reference. What was taken is gone from its front.
    Rope(&'a mut Rope),
}

impl Payload<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Rope(rope) => rope.len(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first byte.
    pub(crate) fn take_byte(&mut self) -> Option<u8> {
        match self {
            Payload::Bytes(bytes) => {
                let (first, rest) = bytes.split_first()?;
                *bytes = rest;
                Some(*first)
            }
            Payload::Rope(rope) => rope.split_to(1).pop_front().map(|chunk| chunk[0]),
        }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Payload::Bytes(bytes)
    }
}

impl<'a> From<&'a mut Rope> for Payload<'a> {
    fn from(rope: &'a mut Rope) -> Self {
        Payload::Rope(rope)
    }
}
