//! A shard: the sockets under their lock, and the links with what waits for each.
//!
//! [`Turn`] is one hold of the lock. What it brings about (frames, kicks, wake-ups) is gathered in it and carried
//! out when the lock is gone.

use core::mem;
use core::time::Duration;
use std::io;
use std::sync::OnceLock;

use log::warn;
use rustix::io::Errno;
use tapsock_driver::Link;
use tapsock_sockets::{ClosedNumbers, Fd, PollMask, Sockets};
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::time::Instant;

use super::baton::{Baton, Guard, Holder, Rest, Role};
use super::blocking::{Rouse, rouse};
use super::clock;
use super::descriptors::{Kick, Timer};
use super::epoll::Bridge;
use super::outbox::FOREIGN_FRAMES;
use super::port::{Owns, Port};
use super::receiver::{End, Receiver};
use super::spin::Spin;
use super::stats::Stats;
use super::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use super::wait::{Waiter, Waiters, Wake, WakeList};

/// What a shard is made with.
pub(crate) struct Settings {
    /// What becomes of the baton when a caller leaves.
    pub(crate) rest: Rest,
    /// Longest look at the link before a caller sleeps.
    pub(crate) spin: Duration,
}

/// Sockets, and links with their outboxes. First a link's receiver is locked, then the state, then an outbox, and last the
/// numbers.
pub(crate) struct Shard {
    pub(super) ports: Vec<Port>,
    /// The port that is read first the next time.
    next: AtomicUsize,
    state: Mutex<State>,
    pub(super) stats: Stats,
    pub(super) caller_kick: Arc<Kick>,
    pub(super) background_kick: Kick,
    /// The background thread's grace, or the event loop's deadline.
    pub(super) background_timer: Timer,
    /// Real descriptors of epoll instances that others look at, once there are some.
    bridge: OnceLock<Bridge>,
    rest: Rest,
    /// Numbers of closed sockets on which nobody is in a call any more. Its lock is a leaf.
    given_back: Mutex<Vec<Fd>>,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) sockets: Sockets,
    pub(crate) waiters: Waiters,
    pub(super) baton: Baton,
    /// The caller that holds the baton.
    pub(super) driver: Option<Arc<Waiter>>,
    pub(super) spin: Spin,
    pub(super) stopping: bool,
    /// Those who wait for an interface to be given an address, and the news of that which they have heard.
    pub(super) tenants: Vec<Arc<Waiter>>,
    pub(super) lease_changes: u64,
}

impl Shard {
    /// A shard over `sockets`; `links` are those of the stack's interfaces.
    pub(crate) fn new(
        mut sockets: Sockets,
        links: Vec<(InterfaceId, Box<dyn Link>)>,
        settings: &Settings,
    ) -> io::Result<Self> {
        let ports: io::Result<Vec<Port>> =
            links.into_iter().map(|(interface, link)| Port::new(interface, link)).collect();
        sockets.set_closed_numbers(ClosedNumbers::Kept);
        let state = State {
            sockets,
            waiters: Waiters::default(),
            baton: Baton::new(settings.rest),
            driver: None,
            spin: Spin::new(settings.spin),
            stopping: false,
            tenants: Vec::new(),
            lease_changes: 0,
        };
        Ok(Shard {
            ports: ports?,
            next: AtomicUsize::new(0),
            state: Mutex::new(state),
            stats: Stats::default(),
            caller_kick: Arc::new(Kick::new()?),
            background_kick: Kick::new()?,
            background_timer: Timer::new()?,
            bridge: OnceLock::new(),
            rest: settings.rest,
            given_back: Mutex::default(),
        })
    }

    /// The closed `socket` is nobody's any more, so its number may be another's. Whoever drops the last that leads to
    /// it may hold any lock, also this shard's: then the number is free when the next socket is made.
    pub(crate) fn give_back(&self, socket: Fd) {
        lock(&self.given_back).push(socket);
        if let Ok(mut state) = self.state.try_lock() {
            self.take_back(&mut state.sockets);
        }
    }

    /// Frees the numbers that were given back.
    pub(super) fn take_back(&self, sockets: &mut Sockets) {
        lock(&self.given_back).drain(..).for_each(|socket| sockets.release(socket));
    }

    /// Locks the sockets.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let state = lock(&self.state);
        Turn { shard: self, state, now: clock::now(), after: After::default() }
    }

    /// The bridge, which is made where there is none. Those who drive are to sleep again, on it as well.
    ///
    /// Errors: EMFILE, ENFILE, ENOMEM.
    pub(super) fn bridge(&self) -> Result<&Bridge, Errno> {
        if self.bridge.get().is_none() && self.bridge.set(Bridge::new()?).is_ok() {
            self.kick(Role::Caller);
            self.kick(Role::Background);
        }
        self.bridge.get().ok_or(Errno::NOMEM)
    }

    /// The bridge, where there is one.
    pub(super) fn existing_bridge(&self) -> Option<&Bridge> {
        self.bridge.get()
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Reads up to `limit` frames of a link, of several in turn, and hands them to the stack. `None`, and no lock taken but
    /// receivers', where there were none.
    pub(super) fn read(&self, limit: usize) -> Option<(Turn<'_>, End)> {
        self.of_ports(|place, port| self.take_in(place, lock(&port.receiver), limit))
    }

    /// As [`read`](Self::read); passes by what another thread reads this moment.
    pub(super) fn try_read(&self, limit: usize) -> Option<(Turn<'_>, End)> {
        self.of_ports(|place, port| self.take_in(place, port.receiver.try_lock().ok()?, limit))
    }

    /// The first port of which `look` finds something; each is the first to be looked at in its turn.
    fn of_ports<'a, T>(&'a self, look: impl Fn(usize, &'a Port) -> Option<T>) -> Option<T> {
        match &self.ports[..] {
            [port] => look(0, port),
            ports => {
                let first = self.next.fetch_add(1, Ordering::Relaxed);
                (0..ports.len()).find_map(|turn| {
                    let place = first.wrapping_add(turn) % ports.len();
                    look(place, &ports[place])
                })
            }
        }
    }

    fn take_in(
        &self,
        place: usize,
        mut receiver: MutexGuard<'_, Receiver>,
        limit: usize,
    ) -> Option<(Turn<'_>, End)> {
        let end = receiver.read(limit, &self.stats);
        if !receiver.has_batch() && !matches!(end, End::Gone(_)) {
            return None;
        }
        // The receiver's lock is kept until the stack has the frames, so that they stay in order.
        let mut turn = self.turn();
        let port = &self.ports[place];
        if port.is_up() {
            let now = turn.now;
            for frame in receiver.batch() {
                turn.state.sockets.stack_mut().receive(now, port.interface, frame);
            }
        }
        if let End::Gone(error) = &end {
            turn.link_gone(port, error);
        }
        Some((turn, end))
    }

    /// The descriptor of a port's link reports an error, and reading says nothing of it.
    pub(super) fn hung_up(&self, port: &Port) {
        lock(&port.receiver).close();
        let mut turn = self.turn();
        turn.link_gone(port, &io::Error::from(io::ErrorKind::BrokenPipe));
        turn.finish();
    }

    /// Sends, kicks and wakes. `role` is the driver's that carries out, for it kicks itself in vain; it is told
    /// whether frames are left that it has to see to before it sleeps.
    pub(super) fn carry_out(&self, mut after: After, role: Option<Role>) -> Left {
        let mut foreign = FOREIGN_FRAMES;
        let mut left = Left::Nothing;
        loop {
            let emptied = self.empty(&after.owns, &mut foreign);
            after.wake(self, role);
            if emptied.left {
                left = Left::Frames;
            } else if emptied.blocked && left == Left::Nothing {
                left = Left::Blocked;
            }
            if !emptied.starved && emptied.gone.is_empty() {
                break;
            }
            let mut turn = self.turn();
            emptied.gone.iter().for_each(|(place, error)| turn.link_gone(&self.ports[*place], error));
            turn.collect();
            after = turn.unlock();
            if emptied.starved {
                // What the stack kept back counts as others' work.
                after.owns = Owns::default();
            }
        }
        if left != Left::Nothing {
            let to_kick = lock(&self.state).baton.to_kick();
            if let Some(to_kick) = to_kick.filter(|to_kick| Some(*to_kick) != role) {
                self.kick(to_kick);
            }
        }
        left
    }

    /// Wakes the sleeping driver of `role`.
    pub(super) fn kick(&self, role: Role) {
        let kick = match role {
            Role::Caller => &self.caller_kick,
            Role::Background => &self.background_kick,
        };
        if kick.kick() {
            self.stats.kicks.bump();
        }
    }
}

/// Whether a driver may sleep.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Left {
    /// Nothing waits for it.
    Nothing,
    /// Frames wait for a link to take them.
    Blocked,
    /// Frames wait that nobody else will send.
    Frames,
}

/// What is to be done when the lock is gone.
#[derive(Default)]
pub(super) struct After {
    owns: Owns,
    wakes: WakeList,
    kick_caller: bool,
    /// Something has happened to a socket that no thread waits for: the event loop may.
    stirs_loop: bool,
    /// The background sleeps past this deadline.
    deadline: Option<Instant>,
    /// The background's grace ends then.
    guard: Option<Instant>,
}

impl After {
    /// Whether parked threads are woken.
    pub(super) fn wakes_others(&self) -> bool {
        !self.wakes.is_empty()
    }

    fn wake(&mut self, shard: &Shard, role: Option<Role>) {
        if mem::take(&mut self.kick_caller) {
            shard.kick(Role::Caller);
        }
        // In a turn of its own the loop looks at its sockets anyway.
        if mem::take(&mut self.stirs_loop) && role != Some(Role::Background) {
            shard.kick(Role::Background);
        }
        match (shard.rest, self.deadline.take()) {
            (_, None) => {}
            (Rest::Grace(_), Some(_)) => shard.kick(Role::Background),
            (Rest::EventLoop, Some(at)) => drop(shard.background_timer.fire_by(at)),
        }
        if let Some(at) = self.guard.take()
            && shard.background_timer.fire_by(at)
        {
            shard.stats.guard_arms.bump();
        }
        shard.stats.unparks.add(self.wakes.unpark_all());
    }
}

/// One hold of the shard's lock.
pub(crate) struct Turn<'a> {
    shard: &'a Shard,
    pub(crate) state: MutexGuard<'a, State>,
    /// The time when the lock was taken.
    pub(crate) now: Instant,
    after: After,
}

impl<'a> Turn<'a> {
    /// Runs timers that are due, takes frames out of the stack, and finds whom all this concerns.
    pub(crate) fn collect(&mut self) {
        let now = self.now;
        let State { sockets, waiters, baton, driver, tenants, lease_changes, .. } = &mut *self.state;
        if sockets.stack().poll_timeout().is_some_and(|at| at <= now) {
            sockets.stack_mut().handle_timeout(now);
        }
        // Loopback frames never come here: `lo` is the stack's own.
        self.shard.fill(&mut self.after.owns, || sockets.stack_mut().poll_transmit(now));
        while let Some((socket, what)) = sockets.poll_event() {
            let mut heard = waiters.any(socket);
            if heard {
                let ready = sockets.readiness(socket);
                waiters.mark_ready(socket, ready, |waiter| self.after.add(waiter, driver.as_ref(), baton));
            }
            if !what.is_empty() {
                waiters.notify(socket, what, &mut |waiter| {
                    heard = true;
                    self.after.add(waiter, driver.as_ref(), baton);
                });
            }
            self.after.stirs_loop |= !heard && self.shard.rest == Rest::EventLoop;
        }
        while let Some(socket) = sockets.poll_touched() {
            waiters.look_again(socket, &mut |waiter| self.after.add(waiter, driver.as_ref(), baton));
        }
        let changes = sockets.stack().lease_changes();
        if mem::replace(lease_changes, changes) != changes {
            self.after.add_all(tenants, driver.as_ref(), baton);
        }
        match baton.deadline(sockets.stack().poll_timeout()) {
            None => {}
            Some(Role::Caller) => self.after.kick_caller = true,
            Some(Role::Background) => self.after.deadline = sockets.stack().poll_timeout(),
        }
    }

    /// Ends the hold: collects, unlocks, sends and wakes.
    pub(crate) fn finish(mut self) {
        self.collect();
        let shard = self.shard;
        shard.carry_out(self.unlock(), None);
    }

    /// Lets go of the lock.
    pub(super) fn unlock(self) -> After {
        self.after
    }

    pub(super) fn shard(&self) -> &'a Shard {
        self.shard
    }

    /// Marks those whom `ready` of `socket` concerns: a thread that leaves passes on what it did not take.
    pub(super) fn pass_on(&mut self, socket: Fd) {
        let State { sockets, waiters, baton, driver, .. } = &mut *self.state;
        if waiters.any(socket) {
            let ready = sockets.readiness(socket);
            waiters.mark_ready(socket, ready, |waiter| self.after.add(waiter, driver.as_ref(), baton));
        }
    }

    /// `waiter` goes on waiting for `socket`, which had woken it: others may take what it can't.
    pub(super) fn pass_over(&mut self, socket: Fd, waiter: &Arc<Waiter>) {
        let State { sockets, waiters, baton, driver, .. } = &mut *self.state;
        let ready = || sockets.readiness(socket);
        waiters.pass_on(socket, waiter, ready, |waiter| self.after.add(waiter, driver.as_ref(), baton));
    }

    /// Marks all whom a change of `socket` concerns that a call has made, not a frame.
    pub(super) fn changed(&mut self, socket: Fd) {
        self.pass_on(socket);
        let State { waiters, baton, driver, .. } = &mut *self.state;
        waiters.notify(socket, PollMask::NONE, &mut |waiter| self.after.add(waiter, driver.as_ref(), baton));
        self.stir_loop();
    }

    /// Has the event loop turn: something has happened of which its descriptor tells nothing any more.
    pub(super) fn stir_loop(&mut self) {
        self.after.stirs_loop |= self.shard.rest == Rest::EventLoop;
    }

    /// Has `waiter`, which is marked, woken when the lock is gone.
    pub(super) fn wake(&mut self, waiter: &Arc<Waiter>) {
        let State { baton, driver, .. } = &*self.state;
        self.after.add(waiter, driver.as_ref(), baton);
    }

    /// Wakes all that wait for `socket`, which is closed, and tells those who watch it.
    pub(crate) fn wake_closed(&mut self, socket: Fd) {
        let State { waiters, baton, driver, .. } = &mut *self.state;
        waiters.mark_closed(socket, |waiter| self.after.add(waiter, driver.as_ref(), baton));
        waiters.notify(socket, PollMask::ALL, &mut |waiter| self.after.add(waiter, driver.as_ref(), baton));
    }

    /// Takes the baton for the caller of `waiter`; whether it holds it now.
    pub(super) fn take_baton(&mut self, waiter: &Arc<Waiter>) -> bool {
        if self.holds_baton(waiter) {
            return true;
        }
        let taken = self.state.baton.take();
        if taken {
            self.state.driver = Some(waiter.clone());
        }
        taken
    }

    /// Puts the baton down where the caller of `waiter` holds it, and calls a parked thread where it lies about.
    pub(super) fn leave(&mut self, waiter: &Arc<Waiter>) {
        if self.holds_baton(waiter) {
            self.state.driver = None;
            if let Some(at) = self.state.baton.release(self.now) {
                self.after.guard = Some(at);
            }
        }
        if self.state.baton.holder() != Holder::Caller
            && let Some(next) = self.state.waiters.call_candidate()
        {
            self.after.wakes.push(next);
        }
    }

    /// The background was woken by its timer.
    pub(super) fn on_guard(&mut self) {
        if let Guard::Again(at) = self.state.baton.guard_fired(self.now) {
            self.after.guard = Some(at);
        }
    }

    fn holds_baton(&self, waiter: &Arc<Waiter>) -> bool {
        self.state.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(driver, waiter))
    }

    fn link_gone(&mut self, port: &Port, error: &io::Error) {
        if port.close() {
            // Of two hosts that share a wire one is the first to go.
            if !self.state.stopping {
                warn!("the link is gone: {error}");
            }
            self.state.sockets.stack_mut().set_link_down(self.now, port.interface);
            let State { tenants, baton, driver, .. } = &*self.state;
            self.after.add_all(tenants, driver.as_ref(), baton);
        }
    }
}

impl After {
    /// Wakes the thread of `waiter`: the driver by its kick where it sleeps on the link, anybody else where it
    /// parks.
    fn add(&mut self, waiter: &Arc<Waiter>, driver: Option<&Arc<Waiter>>, baton: &Baton) {
        match rouse(waiter, driver, baton) {
            Rouse::Unpark => self.wakes.push(waiter.clone()),
            Rouse::Kick => self.kick_caller = true,
            Rouse::Awake => {}
        }
    }

    /// Marks and wakes those who wait for news of the link.
    fn add_all(&mut self, tenants: &[Arc<Waiter>], driver: Option<&Arc<Waiter>>, baton: &Baton) {
        for waiter in tenants {
            waiter.mark(Wake::Ready);
            self.add(waiter, driver, baton);
        }
    }
}
