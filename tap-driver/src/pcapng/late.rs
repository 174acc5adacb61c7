//! Captures that begin while a link is in use, and end before it does.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tapsock_stack::buf::{Frame, HeaderBlock, Rope};
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use super::order::Stamper;
use super::{Capture, Direction, Tap};
use crate::drops::LinkDrops;
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};

/// A place on a link where captures may be put. While there is none, a frame costs the look at a flag.
///
/// ```
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
/// use tapsock_driver::pcapng::{Capture, LateCapture};
///
/// let late = LateCapture::default();
/// assert!(!late.has_link());
/// let _link = late.watch(MemoryLink::pair(MemoryConfig::default())?.0);
/// let capture = Capture::new(std::io::sink())?;
/// late.begin(&capture);
/// late.end(&capture);
/// assert_eq!(capture.finish()?.written, 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LateCapture {
    place: Arc<Place>,
}

#[derive(Debug, Default)]
struct Place {
    in_use: AtomicBool,
    /// The link's name and medium.
    link: Mutex<Option<(String, Medium)>>,
    /// Captures of what is received, and of what is sent.
    received: Mutex<Vec<(Tap, Stamper)>>,
    sent: Mutex<Vec<(Tap, Stamper)>>,
}

impl LateCapture {
    /// `link`, with the place on it. There is one link.
    pub fn watch<L: Link>(&self, link: L) -> Watched<L> {
        *lock(&self.place.link) = Some((link.name().to_owned(), link.caps().medium));
        Watched { link, place: self.place.clone() }
    }

    /// Whether it is on a link.
    pub fn has_link(&self) -> bool {
        lock(&self.place.link).is_some()
    }

    /// Captures what passes from now on.
    pub fn begin(&self, capture: &Capture) {
        let Some((name, medium)) = lock(&self.place.link).clone() else { return };
        let tap = capture.interface(name, medium);
        let stampers = [tap.shared.order.stamper(), tap.shared.order.stamper()];
        for (list, stamper) in [&self.place.received, &self.place.sent].into_iter().zip(stampers) {
            lock(list).push((tap.clone(), stamper));
        }
        self.place.in_use.store(true, Ordering::Release);
    }

    /// Captures no more of it.
    pub fn end(&self, capture: &Capture) {
        let mut left = 0;
        for list in [&self.place.received, &self.place.sent] {
            let mut list = lock(list);
            list.retain(|(tap, _)| !Arc::ptr_eq(&tap.shared, &capture.tap));
            left += list.len();
        }
        self.place.in_use.store(left > 0, Ordering::Release);
    }
}

/// A link with a place for captures. See [`LateCapture`] for an example.
#[derive(Debug)]
pub struct Watched<L> {
    link: L,
    place: Arc<Place>,
}

impl<L: Link> Link for Watched<L> {
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
        let Watched { link, place } = *self;
        let (receive, send) = Box::new(link).split();
        (
            Box::new(WatchedRecv { inner: receive, place: place.clone() }),
            Box::new(WatchedSend { inner: send, place }),
        )
    }
}

struct WatchedRecv {
    inner: Box<dyn RecvHalf>,
    place: Arc<Place>,
}

impl RecvHalf for WatchedRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        let frame = self.inner.receive(slot)?;
        if self.place.in_use.load(Ordering::Acquire) {
            for (tap, stamper) in lock(&self.place.received).iter() {
                let stamp = stamper.stamp(&tap.shared.order);
                tap.record(stamp, Direction::Received, HeaderBlock::new(), Rope::from(frame.bytes.clone()));
            }
        }
        Ok(frame)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }
}

struct WatchedSend {
    inner: Box<dyn SendHalf>,
    place: Arc<Place>,
}

impl SendHalf for WatchedSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if !self.place.in_use.load(Ordering::Acquire) {
            return self.inner.transmit(transmit);
        }
        let captures = lock(&self.place.sent);
        // The answer may be captured before this call returns.
        let stamps: Vec<_> = captures.iter().map(|(tap, stamper)| stamper.stamp(&tap.shared.order)).collect();
        self.inner.transmit(transmit)?;
        for ((tap, _), stamp) in captures.iter().zip(stamps) {
            tap.record(stamp, Direction::Sent, transmit.headers.clone(), transmit.payload.clone());
        }
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
