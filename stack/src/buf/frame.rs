//! The bytes of a frame, shared by reference count, and the views that layers hold of them.

use core::fmt;
use core::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

/// One buffer of a fixed size.
///
/// Whoever holds the only [`Arc`] of it may write (`Arc::get_mut`); while it is shared it is read-only. A pool
/// keeps one reference of its own, so a slot is free when that reference is the only one.
///
/// ```
/// use std::sync::Arc;
/// use tapsock_stack::buf::{Chunk, FrameBuf};
///
/// let mut slot = Arc::new(FrameBuf::new(2048));
/// Arc::get_mut(&mut slot).unwrap().as_mut_slice()[..5].copy_from_slice(b"hello");
/// let chunk = Chunk::new(slot.clone(), 0..5);
/// assert_eq!(&chunk[..], b"hello");
/// assert!(Arc::get_mut(&mut slot).is_none());
/// drop(chunk);
/// assert!(Arc::get_mut(&mut slot).is_some());
/// ```
pub struct FrameBuf {
    bytes: Storage,
}

/// Where the bytes of a buffer lie.
enum Storage {
    /// In memory of its own.
    Own(Box<[u8]>),
    /// In memory that the application lends, and never changes.
    Lent(Bytes),
}

impl FrameBuf {
    /// A buffer of `capacity` zeroed bytes.
    pub fn new(capacity: usize) -> Self {
        FrameBuf { bytes: Storage::Own(vec![0; capacity].into_boxed_slice()) }
    }

    /// The size in bytes, fixed when the buffer was made.
    pub fn capacity(&self) -> usize {
        self.as_slice().len()
    }

    /// All bytes of the buffer.
    pub fn as_slice(&self) -> &[u8] {
        match &self.bytes {
            Storage::Own(bytes) => bytes,
            Storage::Lent(bytes) => bytes,
        }
    }

    /// All bytes of the buffer, to be filled. Reachable only through the sole `Arc`. Of bytes that are lent this is a
    /// copy, which takes their place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if let Storage::Lent(bytes) = &self.bytes {
            self.bytes = Storage::Own(Box::from(&bytes[..]));
        }
        match &mut self.bytes {
            Storage::Own(bytes) => bytes,
            Storage::Lent(_) => &mut [],
        }
    }
}

impl From<Vec<u8>> for FrameBuf {
    fn from(bytes: Vec<u8>) -> Self {
        FrameBuf { bytes: Storage::Own(bytes.into_boxed_slice()) }
    }
}

impl From<Bytes> for FrameBuf {
    fn from(bytes: Bytes) -> Self {
        FrameBuf { bytes: Storage::Lent(bytes) }
    }
}

impl fmt::Debug for FrameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameBuf({} bytes)", self.capacity())
    }
}

/// A range of a [`FrameBuf`], held by reference: cloning and slicing copy no bytes.
///
/// ```
/// use tapsock_stack::buf::Chunk;
///
/// let mut tail = Chunk::from(b"GET / HTTP/1.0".to_vec());
/// let head = tail.split_to(4);
/// assert_eq!((&head[..], &tail[..]), (&b"GET "[..], &b"/ HTTP/1.0"[..]));
/// ```
#[derive(Clone)]
pub struct Chunk {
    buf: Arc<FrameBuf>,
    start: u32,
    end: u32,
}

impl Chunk {
    /// The bytes `range` of `buf`. Panics where the range leaves the buffer or the buffer passes 4 GiB.
    pub fn new(buf: Arc<FrameBuf>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= buf.capacity() && buf.capacity() <= u32::MAX as usize
        );
        Chunk { buf, start: range.start as u32, end: range.end as u32 }
    }

    /// A chunk over a fresh buffer that holds a copy of `bytes`.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Chunk::from(bytes.to_vec())
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The bytes `range`, counted from this chunk's start. Panics where the range leaves the chunk.
    pub fn slice(&self, range: Range<usize>) -> Chunk {
        assert!(range.start <= range.end && range.end <= self.len());
        let base = self.start as usize;
        Chunk::new(self.buf.clone(), base + range.start..base + range.end)
    }

    /// Splits off the first `at` bytes and returns them; `self` keeps the rest. Panics where `at` passes the end.
    pub fn split_to(&mut self, at: usize) -> Chunk {
        let head = self.slice(0..at);
        self.start += at as u32;
        head
    }

    /// Drops the first `count` bytes. Panics where `count` passes the end.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len());
        self.start += count as u32;
    }

    /// Keeps the first `len` bytes; does nothing where the chunk is shorter.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.end = self.start + len as u32;
        }
    }

    /// Size in bytes of the whole buffer that this chunk keeps alive.
    pub fn buffer_capacity(&self) -> usize {
        self.buf.capacity()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf.as_slice()[self.start as usize..self.end as usize]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Chunk::new(Arc::new(FrameBuf::from(bytes)), 0..len)
    }
}

impl From<Chunk> for Bytes {
    /// The same bytes, not copied. As long as they are held, so is all of their buffer.
    fn from(chunk: Chunk) -> Self {
        match &chunk.buf.bytes {
            Storage::Lent(bytes) => bytes.slice(chunk.start as usize..chunk.end as usize),
            Storage::Own(_) => Bytes::from_owner(chunk),
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

/// What is known of the transport checksum of a received frame.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// Nobody has looked; the stack verifies it.
    #[default]
    Unverified,
    /// The link vouches for it (the sender left it to the link), or the driver has verified it.
    Valid,
    /// The driver has verified it, and it is wrong.
    Invalid,
}

/// A frame that a link delivered: at most 64 KiB, with what the link said of it.
///
/// ```
/// use tapsock_stack::buf::{Checksum, Frame};
///
/// let frame = Frame::from(vec![0; 60]);
/// assert_eq!(frame.checksum, Checksum::Unverified);
/// assert_eq!(frame.gso_size, None);
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    /// All bytes, from the link header on (Ethernet), or from the IP header on (bare IP).
    pub bytes: Chunk,
    /// The state of the transport checksum.
    pub checksum: Checksum,
    /// Bytes of payload in each segment that the link merged into this frame, where it merged several.
    pub gso_size: Option<u16>,
}

impl From<Chunk> for Frame {
    fn from(bytes: Chunk) -> Self {
        Frame { bytes, checksum: Checksum::Unverified, gso_size: None }
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Frame::from(Chunk::from(bytes))
    }
}

/// Bytes that [`HeaderBlock`] holds: the longest headers of Ethernet, IPv4 and TCP, which `wire` proves when it is compiled.
pub const HEADER_BLOCK_LEN: usize = 136;

/// The headers of a frame on its way out, written from the inside to the outside.
///
/// ```
/// use tapsock_stack::buf::HeaderBlock;
///
/// let mut headers = HeaderBlock::new();
/// headers.prepend(4).copy_from_slice(b"ipv4");
/// headers.prepend(3).copy_from_slice(b"eth");
/// assert_eq!(&headers[..], b"ethipv4");
/// ```
#[derive(Clone)]
pub struct HeaderBlock {
    bytes: [u8; HEADER_BLOCK_LEN],
    start: u8,
}

impl HeaderBlock {
    /// An empty block.
    pub fn new() -> Self {
        HeaderBlock { bytes: [0; HEADER_BLOCK_LEN], start: HEADER_BLOCK_LEN as u8 }
    }

    /// Makes room for `len` bytes before all others and returns it, zeroed.
    ///
    /// # Panics
    /// Where the block is full. No order in which headers are written reaches that, whatever they hold.
    pub fn prepend(&mut self, len: usize) -> &mut [u8] {
        let end = usize::from(self.start);
        let start = end.checked_sub(len).expect("headers fit a HeaderBlock");
        self.start = start as u8;
        &mut self.bytes[start..end]
    }

    /// The bytes written so far, to be amended.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[usize::from(self.start)..]
    }
}

impl Default for HeaderBlock {
    fn default() -> Self {
        HeaderBlock::new()
    }
}

impl Deref for HeaderBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderBlock({} bytes)", self.len())
    }
}
