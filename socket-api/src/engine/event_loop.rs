//! The stack inside somebody's own event loop: one descriptor to poll, and a turn to take when it is readable.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::baton::{Holder, Role};
use super::clock::timespec;
use super::port::Port;
use super::receiver::{BATCH, End};
use super::shard::{Left, Shard};
use super::sync::{Mutex, lock};

/// Batches that a turn takes in before it returns to its loop.
const BATCHES_PER_TURN: usize = 16;

/// The descriptor of a host without a thread of its own: an epoll of the links, the kick and the deadline.
pub(crate) struct EventLoop {
    epoll: OwnedFd,
    /// What is registered beside kick and deadline.
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    links: Vec<WatchedLink>,
    bridge: bool,
}

#[derive(Default)]
struct WatchedLink {
    receiving: bool,
    sending: bool,
}

impl EventLoop {
    pub(crate) fn new(shard: &Shard) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (kick, timer) = (&shard.background_kick, &shard.background_timer);
        epoll::add(&epoll, kick, EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&epoll, timer, EventData::new_u64(1), EventFlags::IN)?;
        let mut watched = Watched::default();
        for port in &shard.ports {
            let receiving = port.receive_fd();
            if let Some(fd) = receiving {
                epoll::add(&epoll, fd, EventData::new_u64(2), EventFlags::IN)?;
            }
            watched.links.push(WatchedLink { receiving: receiving.is_some(), sending: false });
        }
        Ok(EventLoop { epoll, watched: Mutex::new(watched) })
    }

    /// Everything that is there to be done, without sleeping.
    pub(crate) fn turn(&self, shard: &Shard) -> io::Result<()> {
        if shard.background_kick.is_pending() {
            shard.background_kick.drain();
        }
        shard.background_timer.drain();
        shard.ports.iter().for_each(|port| port.outbox.unblock());
        shard.hear_real();
        for round in 0..BATCHES_PER_TURN {
            let Some((mut turn, end)) = shard.read(BATCH) else {
                if round == 0
                    && let Some(port) = hung_up_port(shard)?
                {
                    shard.hung_up(port);
                }
                break;
            };
            turn.collect();
            shard.carry_out(turn.unlock(), Some(Role::Background));
            if !matches!(end, End::Full | End::Bulk) {
                break;
            }
        }
        let mut turn = shard.turn();
        turn.collect();
        let next = turn.state.sockets.stack().poll_timeout();
        if turn.state.baton.holder() == Holder::Background {
            turn.state.baton.sleep(Role::Background, next);
        }
        let left = shard.carry_out(turn.unlock(), Some(Role::Background));
        if left == Left::Frames || left == Left::Blocked && !shard.is_blocked() {
            shard.kick(Role::Background);
        }
        if let Some(next) = next {
            shard.background_timer.fire_by(next);
        }
        self.watch(shard)
    }

    /// Registers what is to be waited for: a link that is gone no more, one that is full for writing.
    fn watch(&self, shard: &Shard) -> io::Result<()> {
        let mut watched = lock(&self.watched);
        for (port, watched) in shard.ports.iter().zip(&mut watched.links) {
            if let Some(fd) = port.any_receive_fd().filter(|_| watched.receiving && !port.is_up()) {
                epoll::delete(&self.epoll, fd)?;
                watched.receiving = false;
            }
            let blocked = port.outbox.is_blocked();
            if let Some(fd) = port.send_fd().filter(|_| watched.sending != blocked) {
                if blocked {
                    epoll::add(&self.epoll, fd, EventData::new_u64(3), EventFlags::OUT)?;
                } else {
                    epoll::delete(&self.epoll, fd)?;
                }
                watched.sending = blocked;
            }
        }
        if let Some(bridge) = shard.existing_bridge().filter(|_| !watched.bridge) {
            epoll::add(&self.epoll, bridge, EventData::new_u64(4), EventFlags::IN)?;
            watched.bridge = true;
        }
        Ok(())
    }
}

/// The first port whose link reports an error, of which reading says nothing.
pub(super) fn hung_up_port(shard: &Shard) -> io::Result<Option<&Port>> {
    for port in &shard.ports {
        let Some(fd) = port.receive_fd() else { continue };
        let mut fds = [PollFd::new(fd, PollFlags::empty())];
        // A signal ends a poll without a time-out, too, and says nothing of the link.
        retry_on_intr(|| poll(&mut fds, Some(&timespec(Duration::ZERO))))?;
        if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(Some(port));
        }
    }
    Ok(None)
}

impl AsFd for EventLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
