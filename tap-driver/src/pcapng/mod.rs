//! A capture of what passes over links, as a pcapng file that tcpdump and Wireshark read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use tapsock_stack::buf::{Frame, HeaderBlock, Rope};
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use crate::drops::LinkDrops;
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::sys;
use order::{Order, Stamp, Stamper};
use writer::Writer;

mod blocks;
mod late;
mod order;
#[cfg(feature = "pcapng-read")]
pub mod read;
mod whole;
mod writer;

pub use blocks::Direction;
pub use late::{LateCapture, Watched};
pub use whole::{PacketWriter, WholePacket, write_whole};

/// Frames that wait to be written at most; what comes when they are as many is missing from the file.
const QUEUE_FRAMES: usize = 2048;
/// Bytes of frames that wait at most: they are the link's own buffers.
const QUEUE_BYTES: usize = 8 << 20;
/// Bytes that are collected before they go to the file.
const FILE_BUFFER: usize = 256 * 1024;

/// Writes down the frames of any number of links, in a thread of its own.
///
/// Merged frames are written whole, and checksums that are left to the link as they are, as tcpdump shows them on
/// a device with offloads. Frames stand in the order of their times, a sent one with that at which the link was given
/// it. A slow disk never slows a link: frames that find the queue full are missing from the
/// file, and counted. The file is complete after each quiet moment, and once the capture is finished or dropped.
///
/// ```
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
/// use tapsock_driver::pcapng::Capture;
///
/// let (left, _right) = MemoryLink::pair(MemoryConfig::default())?;
/// let capture = Capture::new(std::io::sink())?;
/// let _left = capture.tee(left);
/// assert_eq!(capture.finish()?.written, 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Capture {
    tap: Arc<Shared>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

/// What a capture has seen.
///
/// ```
/// use tapsock_driver::pcapng::CaptureStats;
///
/// assert_eq!(CaptureStats::default().dropped, 0);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct CaptureStats {
    /// Frames in the file.
    pub written: u64,
    /// Frames that passed while the queue was full, and are not in the file.
    pub dropped: u64,
}

/// A link whose frames are captured.
///
/// ```
/// use tapsock_driver::link::Link;
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
/// use tapsock_driver::pcapng::Capture;
///
/// let capture = Capture::new(std::io::sink())?;
/// let captured = capture.tee(MemoryLink::pair(MemoryConfig::default())?.0);
/// assert_eq!((captured.name(), captured.caps().mtu), ("memory0", 1500));
/// # std::io::Result::Ok(())
/// ```
pub struct Captured<L> {
    link: L,
    tap: Tap,
}

impl Capture {
    /// Captures to a file, which is truncated.
    ///
    /// # Errors
    ///
    /// Those of open(2) and write(2).
    pub fn create(path: impl AsRef<Path>) -> io::Result<Capture> {
        Capture::new(File::create(path)?)
    }

    /// Captures to `out`: a file, a pipe to a program.
    ///
    /// # Errors
    ///
    /// Those of write(2), and EAGAIN where no thread can be made.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Capture> {
        let (records, to_write) = bounded(QUEUE_FRAMES);
        let tap = Arc::new(Shared {
            order: Order::new(records.clone()),
            records,
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            interfaces: Mutex::new(0),
        });
        let mut out = BufWriter::with_capacity(FILE_BUFFER, out);
        out.write_all(&blocks::section_header(concat!("tapsock ", env!("CARGO_PKG_VERSION"))))?;
        out.flush()?;
        let mut writer = Writer::new(out, tap.clone());
        let thread = std::thread::Builder::new().name("tapsock-pcapng".to_owned());
        let writer = sys::with_signals_blocked(|| thread.spawn(move || writer.run(&to_write)))?;
        Ok(Capture { tap, writer: Some(writer) })
    }

    /// Captures what passes over `link` from now on, as an interface of its own.
    pub fn tee<L: Link>(&self, link: L) -> Captured<L> {
        let tap = self.interface(link.name().to_owned(), link.caps().medium);
        Captured { link, tap }
    }

    /// An interface more.
    fn interface(&self, name: String, medium: Medium) -> Tap {
        let mut next = self.tap.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        let interface = *next;
        let dropped = Arc::new(AtomicU64::new(0));
        let record = Record::Interface { name, medium, dropped: dropped.clone() };
        if self.tap.records.send(record).is_ok() {
            *next += 1;
        }
        Tap { shared: self.tap.clone(), interface, dropped }
    }

    /// What has been seen so far.
    pub fn stats(&self) -> CaptureStats {
        CaptureStats {
            written: self.tap.written.load(Ordering::Relaxed),
            dropped: self.tap.dropped.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, and closes the file. What passes over the links afterwards counts as dropped.
    ///
    /// # Errors
    ///
    /// The first that writing met with: ENOSPC, EPIPE.
    pub fn finish(mut self) -> io::Result<CaptureStats> {
        self.stop()?;
        Ok(self.stats())
    }

    fn stop(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        // Refused only where the writer has ended already, by an error.
        let _ = self.tap.records.send(Record::Stop);
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the capture's writer panicked")))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            log::warn!("capture: {error}");
        }
    }
}

impl<L: Link> Link for Captured<L> {
    fn caps(&self) -> LinkCaps {
        self.link.caps()
    }

    fn name(&self) -> &str {
        self.link.name()
    }

    fn drops(&self) -> LinkDrops {
        self.link.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let Captured { link, tap } = *self;
        let (receive, send) = Box::new(link).split();
        (
            Box::new(CapturedRecv { inner: receive, stamper: tap.shared.order.stamper(), tap: tap.clone() }),
            Box::new(CapturedSend { inner: send, stamper: tap.shared.order.stamper(), tap }),
        )
    }
}

struct CapturedRecv {
    inner: Box<dyn RecvHalf>,
    tap: Tap,
    stamper: Stamper,
}

impl RecvHalf for CapturedRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        let frame = self.inner.receive(slot)?;
        let stamp = self.stamper.stamp(&self.tap.shared.order);
        self.tap.record(stamp, Direction::Received, HeaderBlock::new(), Rope::from(frame.bytes.clone()));
        Ok(frame)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }
}

struct CapturedSend {
    inner: Box<dyn SendHalf>,
    tap: Tap,
    stamper: Stamper,
}

impl SendHalf for CapturedSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        // The answer may be captured before this call returns.
        let stamp = self.stamper.stamp(&self.tap.shared.order);
        self.inner.transmit(transmit)?;
        self.tap.record(stamp, Direction::Sent, transmit.headers.clone(), transmit.payload.clone());
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }
}

/// Where the frames of one link go.
#[derive(Clone, Debug)]
struct Tap {
    shared: Arc<Shared>,
    interface: u32,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Shared {
    records: Sender<Record>,
    /// Frames that wait, in the channel or held by the writer, and their bytes.
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Interfaces described so far.
    interfaces: Mutex<u32>,
    order: Order,
}

/// What the writer is told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are packets")]
enum Record {
    Interface {
        name: String,
        medium: Medium,
        dropped: Arc<AtomicU64>,
    },
    Packet(Packet),
    /// Somebody whom it waits for makes no record any more.
    Settled,
    Stop,
}

/// A frame with its bytes by reference.
#[derive(Debug)]
struct Packet {
    interface: u32,
    /// Nanoseconds since 1970.
    time: u64,
    direction: Direction,
    /// Empty for a received frame.
    headers: HeaderBlock,
    rest: Rope,
}

impl Tap {
    fn record(&self, stamp: Stamp<'_>, direction: Direction, headers: HeaderBlock, rest: Rope) {
        let packet = Packet { interface: self.interface, time: stamp.time, direction, headers, rest };
        let (len, shared) = (packet.len(), &*self.shared);
        let fits = shared.queued.fetch_add(1, Ordering::Relaxed) < QUEUE_FRAMES;
        if shared.queued_bytes.fetch_add(len, Ordering::Relaxed) + len <= QUEUE_BYTES
            && fits
            && shared.records.try_send(Record::Packet(packet)).is_ok()
        {
            return;
        }
        shared.taken(len);
        shared.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// A frame of `len` bytes waits no more.
    fn taken(&self, len: usize) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
    }
}

impl Packet {
    fn len(&self) -> usize {
        self.headers.len() + self.rest.len()
    }
}

#[cfg(test)]
mod tests;
