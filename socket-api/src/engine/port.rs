//! A link of a shard: its interface, the half that reads, and the outbox before the half that writes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tapsock_driver::{DropReason, Link, LinkDrops};
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::wire::offload::Transmit;

use super::outbox::{Fills, Flushed, Outbox, Own, ROOM, Vacancy};
use super::receiver::Receiver;
use super::shard::Shard;
use super::sync::{AtomicBool, Mutex, Ordering};

/// One link, and the interface that the stack knows it by.
pub(super) struct Port {
    pub(super) interface: InterfaceId,
    pub(super) receiver: Mutex<Receiver>,
    pub(super) outbox: Outbox,
    /// Duplicates of the halves' descriptors, so that nobody holds a half while it sleeps.
    receive_fd: Option<OwnedFd>,
    send_fd: Option<OwnedFd>,
    up: AtomicBool,
    drops: LinkDrops,
}

impl Port {
    /// Takes a link apart. Errors: EMFILE.
    pub(super) fn new(interface: InterfaceId, link: Box<dyn Link>) -> io::Result<Self> {
        let caps = link.caps();
        let fills = if caps.fills_checksums { Fills::Link } else { Fills::Flusher };
        let drops = link.drops();
        let (receive, send) = link.split();
        let duplicate = |fd: Option<BorrowedFd<'_>>| fd.map(|fd| fd.try_clone_to_owned()).transpose();
        Ok(Port {
            interface,
            receive_fd: duplicate(receive.poll_fd())?,
            send_fd: duplicate(send.poll_fd())?,
            receiver: Mutex::new(Receiver::new(Some(receive), caps.medium)),
            outbox: Outbox::new(Some(send), fills, ROOM),
            up: AtomicBool::new(true),
            drops,
        })
    }

    /// Whether the link is there.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// What tells that frames have come; nothing does where the link is gone.
    pub(super) fn receive_fd(&self) -> Option<&OwnedFd> {
        self.receive_fd.as_ref().filter(|_| self.is_up())
    }

    /// The same, of a link that may be gone.
    pub(super) fn any_receive_fd(&self) -> Option<&OwnedFd> {
        self.receive_fd.as_ref()
    }

    /// What tells that there is room again.
    pub(super) fn send_fd(&self) -> Option<&OwnedFd> {
        self.send_fd.as_ref()
    }

    /// The link is gone; whether that is news. What waits for it is dropped.
    pub(super) fn close(&self) -> bool {
        let news = self.up.swap(false, Ordering::AcqRel);
        self.outbox.link_gone();
        news
    }
}

/// The frames that one thread put in, by port.
#[derive(Debug, Default)]
pub(super) struct Owns {
    first: Own,
    others: Vec<Own>,
}

impl Owns {
    fn of(&self, place: usize) -> Own {
        match place.checked_sub(1) {
            None => self.first,
            Some(place) => self.others.get(place).copied().unwrap_or_default(),
        }
    }

    fn of_mut(&mut self, place: usize) -> &mut Own {
        match place.checked_sub(1) {
            None => &mut self.first,
            Some(place) => {
                if self.others.len() <= place {
                    self.others.resize(place + 1, Own::default());
                }
                &mut self.others[place]
            }
        }
    }
}

/// What came of writing to all links.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    /// The stack kept frames back while there was no room.
    pub(super) starved: bool,
    /// Frames are left that the driver has to write.
    pub(super) left: bool,
    /// Links that take no more: the driver has to wait for them.
    pub(super) blocked: bool,
    /// Links that are gone, by their places.
    pub(super) gone: Vec<(usize, io::Error)>,
}

impl Shard {
    /// What each link has dropped, in the order of their interfaces.
    pub(crate) fn link_drops(&self) -> impl Iterator<Item = &LinkDrops> {
        self.ports.iter().map(|port| &port.drops)
    }

    /// Takes frames from `poll` into the outboxes of their links until it has none, or there is no more room. Called under
    /// the state's lock.
    ///
    /// Of several links one that takes nothing holds up no other: what is beyond the room before it is dropped, and counted,
    /// as at the end of a device's queue. A single one holds the stack back.
    pub(super) fn fill(&self, owns: &mut Owns, mut poll: impl FnMut() -> Option<(InterfaceId, Transmit)>) {
        match &self.ports[..] {
            [] => while poll().is_some() {},
            [port] => port.outbox.fill(&mut owns.first, || Some(poll()?.1)),
            ports => {
                while ports.iter().all(|port| port.outbox.vacancy() != Vacancy::Soon) {
                    let Some((interface, transmit)) = poll() else { return };
                    let Some(place) = ports.iter().position(|port| port.interface == interface) else {
                        continue;
                    };
                    let port = &ports[place];
                    match port.outbox.vacancy() {
                        Vacancy::Here => {
                            port.outbox.push(transmit, owns.of_mut(place));
                        }
                        Vacancy::Soon | Vacancy::Blocked => port.drops.count(DropReason::OutFull),
                    }
                }
            }
        }
    }

    /// Writes what waits before all links. `foreign` is how many frames of others may be written besides.
    pub(super) fn empty(&self, owns: &Owns, foreign: &mut usize) -> Emptied {
        let mut emptied = Emptied::default();
        for (place, port) in self.ports.iter().enumerate() {
            match port.outbox.flush(owns.of(place), foreign, &self.stats) {
                Flushed::Done => {}
                Flushed::Starved => emptied.starved = true,
                Flushed::HandOver => emptied.left = true,
                Flushed::Blocked => {
                    emptied.blocked = true;
                    // The others have room.
                    emptied.starved |= self.ports.len() > 1 && port.outbox.take_starved();
                }
                Flushed::Gone(error) => emptied.gone.push((place, error)),
            }
        }
        emptied
    }

    /// Whether a link has to become writable before anything can be written to it.
    pub(super) fn is_blocked(&self) -> bool {
        self.ports.iter().any(|port| port.outbox.is_blocked())
    }
}
