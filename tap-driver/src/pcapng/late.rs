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

/// Places on links where captures may be put. While there is none, a frame costs the look at a flag.
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
    /// As many as there are links.
    places: Arc<Mutex<Vec<Arc<Place>>>>,
}

#[derive(Debug)]
struct Place {
    in_use: AtomicBool,
    /// The link's.
    name: String,
    medium: Medium,
    /// Captures of what is received, and of what is sent.
    received: Mutex<Vec<(Tap, Stamper)>>,
    sent: Mutex<Vec<(Tap, Stamper)>>,
}

impl LateCapture {
    /// `link`, with a place on it. Captures that have begun before see nothing of it.
    pub fn watch<L: Link>(&self, link: L) -> Watched<L> {
        let place = Arc::new(Place {
            in_use: AtomicBool::new(false),
            name: link.name().to_owned(),
            medium: link.caps().medium,
            received: Mutex::default(),
            sent: Mutex::default(),
        });
        lock(&self.places).push(place.clone());
        Watched { link, place }
    }

    /// Whether there is a place on a link.
    pub fn has_link(&self) -> bool {
        !lock(&self.places).is_empty()
    }

    /// Captures what passes the links from now on.
    pub fn begin(&self, capture: &Capture) {
        for place in lock(&self.places).iter() {
            let tap = capture.interface(place.name.clone(), place.medium);
            let stampers = [tap.shared.order.stamper(), tap.shared.order.stamper()];
            for (list, stamper) in [&place.received, &place.sent].into_iter().zip(stampers) {
                lock(list).push((tap.clone(), stamper));
            }
            place.in_use.store(true, Ordering::Release);
        }
    }

    /// Captures no more of it.
    pub fn end(&self, capture: &Capture) {
        for place in lock(&self.places).iter() {
            let mut left = 0;
            for list in [&place.received, &place.sent] {
                let mut list = lock(list);
                list.retain(|(tap, _)| !Arc::ptr_eq(&tap.shared, &capture.tap));
                left += list.len();
            }
            place.in_use.store(left > 0, Ordering::Release);
        }
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
