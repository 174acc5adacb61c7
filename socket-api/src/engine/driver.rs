//! Driving: sleeping on the link with the baton in hand, and handing what comes to the stack.

use core::time::Duration;
use std::thread;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, poll};
use tapsock_stack::iface::MAX_INTERFACES;
use tapsock_stack::time::{Instant, earliest};

use super::baton::{Holder, Role};
use super::clock::{now, timespec};
use super::epoll::Beside;
use super::event_loop::hung_up_port;
use super::port::Port;
use super::receiver::{BATCH, End};
use super::shard::{Left, Shard, Turn};
use super::spin::Found;
use super::sync::Arc;

/// Descriptors of links that a driver sleeps on: two of each.
const MAX_POLLED: usize = 2 * MAX_INTERFACES;

/// What a sleeping driver was woken by.
#[derive(Copy, Clone, Debug, Default)]
struct Ready {
    kicked: bool,
    readable: bool,
    hung_up: bool,
    timer: bool,
    bridged: bool,
    beside: bool,
}

/// A driver at work.
pub(super) struct Drive {
    role: Role,
    /// Frames to read at once: one at first, since a round trip brings one, and more as more come.
    limit: usize,
    /// Whether the last batch was full.
    more: bool,
    /// Whether it was full of large frames.
    bulk: bool,
    /// The real descriptors that it waits for besides.
    pub(super) beside: Option<Arc<Beside>>,
    /// Whether the last sleep found something there.
    beside_ready: bool,
    /// How long to look at the link at the least (SO_BUSY_POLL).
    pub(super) busy: Duration,
}

impl Drive {
    pub(super) fn new(role: Role) -> Self {
        Drive {
            role,
            limit: 1,
            more: false,
            bulk: false,
            beside: None,
            beside_ready: false,
            busy: Duration::ZERO,
        }
    }

    /// Whether the last step has found something to report among the real descriptors.
    pub(super) fn is_beside_ready(&self) -> bool {
        self.beside_ready
    }

    /// One step of the holder of the baton: sleeps at most once, until `until`, the stack's deadline, a frame or a
    /// kick, and hands what came to the stack. `turn` has been collected, and so is the one returned.
    pub(super) fn step<'a>(&mut self, mut turn: Turn<'a>, until: Option<Instant>) -> Turn<'a> {
        let shard = turn.shard();
        let (started, window) = match self.role {
            Role::Caller if !self.busy.is_zero() => (turn.now, Some(self.busy)),
            Role::Caller => (turn.now, turn.state.spin.window()),
            Role::Background => (turn.now, None),
        };
        let until = earliest(turn.state.sockets.stack().poll_timeout(), until);
        turn.state.baton.sleep(self.role, until);
        let after = turn.unlock();
        let wakes = after.wakes_others();
        let left = shard.carry_out(after, Some(self.role));
        // They may need this core, and reading on, or looking, would keep them from it for as long as the scheduler lets
        // it. Only in the midst of a bulk they get more at once when they come later.
        if wakes && !self.bulk {
            thread::yield_now();
        }

        let mut ready = Ready::default();
        let mut found = Found::Looking;
        let mut read = self.look(shard, started, window, until);
        if read.is_none() {
            // What ends the sleep is likely to come alone.
            self.limit = 1;
            let at_once = left == Left::Frames || left == Left::Blocked && !shard.is_blocked();
            let until = if at_once { Some(Instant::ZERO) } else { until };
            let asleep = now();
            ready = shard.sleep(self.role, until, self.beside.as_deref());
            found = Found::Sleeping(now().saturating_since(asleep));
            if ready.bridged {
                shard.hear_real();
            }
            if ready.readable && !self.is_robbed(shard) {
                read = shard.read(self.limit);
                // Asked again: reading clears the error of a packet socket whose interface is down, and that one may
                // come up again. Where that fails, the next sleep ends at once, and asks again.
                if read.is_none()
                    && ready.hung_up
                    && let Ok(Some(port)) = hung_up_port(shard)
                {
                    shard.hung_up(port);
                }
            }
        }

        let mut turn = match read {
            None => {
                (self.limit, self.more, self.bulk) = (1, false, false);
                shard.turn()
            }
            Some((turn, end)) => {
                self.more = matches!(end, End::Full | End::Bulk);
                self.bulk = matches!(end, End::Bulk);
                self.limit = if self.more { (self.limit * 2).min(BATCH) } else { 1 };
                turn
            }
        };
        turn.state.baton.awake(self.role);
        self.beside_ready = ready.beside;
        if ready.kicked && self.role == Role::Background {
            turn.state.baton.take_if_free();
        }
        if self.role == Role::Caller {
            turn.state.spin.learn(found);
        }
        if ready.timer {
            turn.on_guard();
        }
        turn.collect();
        turn
    }

    /// Reads without sleeping: once where more may wait, or again and again for `window`, once at least.
    fn look<'a>(
        &self,
        shard: &'a Shard,
        started: Instant,
        window: Option<Duration>,
        until: Option<Instant>,
    ) -> Option<(Turn<'a>, End)> {
        if !self.more && window.is_none() {
            return None;
        }
        let end = started + window.unwrap_or_default();
        let end = until.map_or(end, |until| until.min(end));
        loop {
            let read = shard.read(self.limit);
            if read.is_some() || now() >= end || shard.caller_kick.is_pending() {
                return read;
            }
            core::hint::spin_loop();
        }
    }

    /// Whether a caller has taken the baton while the background slept: the frame is that one's to read.
    fn is_robbed(&self, shard: &Shard) -> bool {
        self.role == Role::Background && shard.turn().state.baton.holder() != Holder::Background
    }
}

/// The background thread: drives while it holds the baton, and sleeps on its timer while it does not.
pub(crate) fn background(shard: &Shard) {
    let mut drive = Drive::new(Role::Background);
    let mut turn = shard.turn();
    turn.collect();
    while !turn.state.stopping {
        if turn.state.baton.holder() == Holder::Background {
            turn = drive.step(turn, None);
            continue;
        }
        shard.carry_out(turn.unlock(), Some(Role::Background));
        let ready = shard.sleep_off_link();
        shard.stats.guard_wakes.bump();
        turn = shard.turn();
        if ready.timer {
            turn.on_guard();
        }
        if ready.kicked {
            turn.state.baton.take_if_free();
        }
        turn.collect();
    }
    shard.carry_out(turn.unlock(), None);
}

impl Shard {
    /// Sleeps on the link, holding nothing.
    fn sleep(&self, role: Role, until: Option<Instant>, beside: Option<&Beside>) -> Ready {
        let (kick, timer) = match role {
            Role::Caller => (&*self.caller_kick, None),
            Role::Background => (&self.background_kick, Some(&self.background_timer)),
        };
        let bridge = self.existing_bridge();

        let mut fds = ArrayVec::<PollFd<'_>, { 4 + MAX_POLLED }>::new();
        fds.push(PollFd::new(kick, PollFlags::IN));
        fds.extend(timer.map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(bridge.map(|bridge| PollFd::new(bridge, PollFlags::IN)));
        fds.extend(beside.map(|beside| PollFd::new(&*beside.real, PollFlags::IN)));
        let mut polled = ArrayVec::<(&Port, PollFlags), MAX_POLLED>::new();
        for port in &self.ports {
            if let Some(fd) = port.receive_fd() {
                fds.push(PollFd::new(fd, PollFlags::IN));
                polled.push((port, PollFlags::IN));
            }
            if port.outbox.is_blocked() {
                fds.extend(port.send_fd().map(|fd| PollFd::new(fd, PollFlags::OUT)));
                polled.push((port, PollFlags::OUT));
            }
        }
        self.stats.ppolls.bump();
        sleep_on(&mut fds, until);

        let mut seen = fds.iter().map(PollFd::revents);
        let mut next_if =
            |polled: bool| if polled { seen.next() } else { None }.unwrap_or(PollFlags::empty());
        let kicked = !next_if(true).is_empty();
        let timed = next_if(timer.is_some());
        let bridged = next_if(bridge.is_some());
        let beside = next_if(beside.is_some());
        if kicked {
            kick.drain();
        }
        let mut received = PollFlags::empty();
        for (port, what) in polled {
            if what == PollFlags::IN {
                received |= next_if(true);
            } else if port.send_fd().is_none() || !next_if(true).is_empty() {
                // A link without a descriptor for it is tried again.
                port.outbox.unblock();
            }
        }
        Ready {
            kicked,
            readable: !received.is_empty(),
            hung_up: received.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
            timer: !timed.is_empty() && self.background_timer.drain(),
            bridged: !bridged.is_empty(),
            beside: !beside.is_empty(),
        }
    }

    /// The background thread sleeps without the baton: on its timer, which runs where nobody holds it.
    fn sleep_off_link(&self) -> Ready {
        let mut fds = [
            PollFd::new(&self.background_kick, PollFlags::IN),
            PollFd::new(&self.background_timer, PollFlags::IN),
        ];
        self.stats.ppolls.bump();
        sleep_on(&mut fds, None);
        let [kicked, timed] = [fds[0].revents(), fds[1].revents()].map(|seen| !seen.is_empty());
        if kicked {
            self.background_kick.drain();
        }
        Ready { kicked, timer: timed && self.background_timer.drain(), ..Ready::default() }
    }
}

/// Sleeps on `fds` until `until`. A signal ends the sleep like a time-out: the caller looks around, computes what is
/// left, and sleeps again.
fn sleep_on(fds: &mut [PollFd<'_>], until: Option<Instant>) {
    let left = until.map(|until| timespec(until.saturating_since(now())));
    if poll(fds, left.as_ref()).is_err() {
        fds.iter_mut().for_each(PollFd::clear_revents);
    }
}
