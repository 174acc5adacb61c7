//! What ends the wait of a call on a socket of the internet: its close, a shutdown, time, and what comes, each from another
//! thread. The loop, the table of those who wait and the baton are the engine's; the sockets, the link and time are these.

use rustix::io::Errno;
use tapsock_sockets::{Fd, PollMask, Stop, Wait};
use tapsock_stack::time::Instant;

use super::engine::baton::{Baton, Holder, Rest, Role};
use super::engine::blocking::{Hold, Limit, Nap, Rouse, Sleeper, block, park, rouse};
use super::engine::clock::{now, set};
use super::engine::sync::{Arc, Mutex, MutexGuard, lock};
use super::engine::wait::{Waiter, Waiters, WakeList};
use super::{Condvar, Duration, thread, with_preemptions};

const SOCKET: Fd = Fd(0);
/// When those who wait so long have waited enough.
const LATER: Instant = Instant::from_micros(1);

/// Whether somebody else holds the baton.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Driver {
    /// Who waits first takes it, and sleeps on the link.
    First,
    /// Who waits parks.
    Other,
}

struct Host {
    state: Mutex<State>,
    /// Whether somebody has kicked the one who sleeps on the link.
    kicked: Mutex<bool>,
    kick: Condvar,
    /// Those who park for so long.
    timers: Mutex<Vec<Arc<Waiter>>>,
}

struct State {
    /// What lies in the socket.
    bytes: usize,
    shut: bool,
    closed: bool,
    waiters: Waiters,
    baton: Baton,
    driver: Option<Arc<Waiter>>,
}

impl State {
    fn readiness(&self) -> PollMask {
        match (self.shut, self.bytes) {
            (true, _) => PollMask::IN | PollMask::RDHUP,
            (false, 0) => PollMask::NONE,
            (false, _) => PollMask::IN,
        }
    }

    /// Takes so many at once, where they are there.
    fn take(&mut self, count: usize, deadline: Option<Instant>) -> Result<usize, Stop> {
        if self.closed {
            return Err(Stop::Error(Errno::BADF));
        }
        if self.bytes >= count {
            self.bytes -= count;
            return Ok(count);
        }
        let wait = Wait { socket: SOCKET, mask: PollMask::WAIT_IN, deadline };
        if self.shut { Ok(0) } else { Err(Stop::Wait(wait)) }
    }
}

/// One hold of the lock, and who is to be woken after.
struct Held<'a> {
    host: &'a Host,
    state: MutexGuard<'a, State>,
    now: Instant,
    wakes: WakeList,
    kicks: bool,
}

impl Held<'_> {
    /// Has those who wait told.
    fn tell(&mut self, what: impl FnOnce(&mut Waiters, &mut dyn FnMut(&Arc<Waiter>))) {
        let State { waiters, baton, driver, .. } = &mut *self.state;
        what(waiters, &mut |waiter| match rouse(waiter, driver.as_ref(), baton) {
            Rouse::Unpark => self.wakes.push(waiter.clone()),
            Rouse::Kick => self.kicks = true,
            Rouse::Awake => {}
        });
    }

    fn tell_readiness(&mut self) {
        let ready = self.state.readiness();
        self.tell(|waiters, marked| waiters.mark_ready(SOCKET, ready, marked));
    }

    fn finish(mut self) {
        drop(self.state);
        self.wakes.unpark_all();
        if self.kicks {
            *lock(&self.host.kicked) = true;
            self.host.kick.notify_all();
        }
    }

    fn drives(&self, waiter: &Arc<Waiter>) -> bool {
        self.state.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(driver, waiter))
    }

    fn leave(&mut self, waiter: &Arc<Waiter>) {
        if self.drives(waiter) {
            self.state.driver = None;
            let _ = self.state.baton.release(self.now);
        }
        if self.state.baton.holder() != Holder::Caller
            && let Some(next) = self.state.waiters.call_candidate()
        {
            self.wakes.push(next);
        }
    }
}

impl Hold for Held<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn waiters(&mut self) -> &mut Waiters {
        &mut self.state.waiters
    }

    fn pass_on(&mut self, socket: Fd) {
        if self.state.waiters.any(socket) {
            self.tell_readiness();
        }
    }

    fn pass_over(&mut self, socket: Fd, waiter: &Arc<Waiter>) {
        let ready = self.state.readiness();
        self.tell(|waiters, marked| waiters.pass_on(socket, waiter, || ready, marked));
    }

    fn while_asleep(self, sleep: impl FnOnce()) -> Self {
        let host = self.host;
        self.finish();
        sleep();
        host.hold()
    }
}

/// A thread in a call.
struct Seat<'a> {
    host: &'a Host,
    waiter: Arc<Waiter>,
}

impl<'a> Sleeper<Held<'a>> for Seat<'a> {
    fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    fn sleep(&mut self, mut held: Held<'a>, until: Option<Instant>) -> Held<'a> {
        if self.waiter.woken().is_some() {
            return held;
        }
        if !held.drives(&self.waiter) {
            if !held.state.baton.take() {
                return park(held, &self.waiter, until, |left| self.nap(left));
            }
            held.state.driver = Some(self.waiter.clone());
        }
        loop {
            held.state.baton.sleep(Role::Caller, until);
            held = held.while_asleep(|| self.host.sleep_on_link(until));
            held.state.baton.awake(Role::Caller);
            if self.waiter.woken().is_some() || until.is_some_and(|until| until <= held.now) {
                return held;
            }
        }
    }
}

impl Seat<'_> {
    /// Parks, and has time unpark it where it does so for a while.
    fn nap(&self, limit: Option<Duration>) -> Nap {
        if limit.is_some() {
            let mut timers = lock(&self.host.timers);
            if now() >= LATER {
                return Nap::Over;
            }
            timers.push(self.waiter.clone());
        }
        self.waiter.park(limit);
        Nap::Over
    }
}

impl Host {
    fn new(driver: Driver) -> Arc<Host> {
        set(Instant::ZERO);
        let mut baton = Baton::new(Rest::Grace(Duration::ZERO));
        assert!(driver == Driver::First || baton.take());
        let waiters = Waiters::default();
        let state = State { bytes: 0, shut: false, closed: false, waiters, baton, driver: None };
        Arc::new(Host {
            state: Mutex::new(state),
            kicked: Mutex::new(false),
            kick: Condvar::new(),
            timers: Mutex::new(Vec::new()),
        })
    }

    fn hold(&self) -> Held<'_> {
        let state = lock(&self.state);
        Held { host: self, state, now: now(), wakes: WakeList::default(), kicks: false }
    }

    fn sleep_on_link(&self, until: Option<Instant>) {
        let mut kicked = lock(&self.kicked);
        while !core::mem::take(&mut *kicked) && until.is_none_or(|until| now() < until) {
            kicked = self.kick.wait(kicked).unwrap();
        }
    }

    /// Takes so many at once, and waits for them.
    fn take(&self, count: usize, deadline: Option<Instant>) -> Result<usize, Errno> {
        let mut held = self.hold();
        match held.state.take(count, deadline) {
            Ok(taken) => Ok(taken),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Wait(wait)) => {
                let mut seat = Seat { host: self, waiter: Arc::new(Waiter::new()) };
                let limit = Limit { deadline, timed_out: Errno::AGAIN };
                let attempt = |held: &mut Held<'_>| held.state.take(count, deadline);
                let (mut held, outcome) = block(held, &mut seat, wait, limit, attempt);
                held.leave(&seat.waiter);
                held.finish();
                outcome
            }
        }
    }

    fn put(&self, count: usize) {
        let mut held = self.hold();
        held.state.bytes += count;
        held.tell_readiness();
        held.finish();
    }

    fn shut(&self) {
        let mut held = self.hold();
        held.state.shut = true;
        held.tell_readiness();
        held.finish();
    }

    fn close(&self) {
        let mut held = self.hold();
        held.state.closed = true;
        held.tell(|waiters, marked| waiters.mark_closed(SOCKET, marked));
        held.finish();
    }

    /// It is later now: sleeps that were to last until then end.
    fn pass_time(&self) {
        let mut timers = lock(&self.timers);
        set(LATER);
        timers.drain(..).for_each(|waiter| _ = waiter.unpark());
        drop(timers);
        drop(lock(&self.kicked));
        self.kick.notify_all();
    }

    fn left(&self) -> usize {
        lock(&self.state).bytes
    }
}

/// A thread that takes so many.
fn taker(
    host: &Arc<Host>,
    count: usize,
    deadline: Option<Instant>,
) -> thread::JoinHandle<Result<usize, Errno>> {
    let host = host.clone();
    thread::spawn(move || host.take(count, deadline))
}

/// Under every interleaving with so many preemptions, whoever drives. One in which a thread waits for good is a failure.
fn each(preemptions: usize, check: fn(Arc<Host>)) {
    for driver in [Driver::First, Driver::Other] {
        with_preemptions(preemptions, move || check(Host::new(driver)));
    }
}

#[test]
fn a_close_ends_the_calls_of_all_that_wait() {
    each(3, |host| {
        let takers = [taker(&host, 1, None), taker(&host, 1, Some(LATER))];
        host.close();
        assert_eq!(takers.map(|taker| taker.join().unwrap()), [Err(Errno::BADF); 2]);
    });
}

#[test]
fn a_shutdown_ends_the_calls_of_all_that_wait() {
    each(3, |host| {
        let takers = [taker(&host, 1, None), taker(&host, 1, None)];
        host.shut();
        assert_eq!(takers.map(|taker| taker.join().unwrap()), [Ok(0); 2]);
    });
}

#[test]
fn time_ends_the_call_that_waits_so_long_and_no_other() {
    each(3, |host| {
        let [short, long] = [Some(LATER), None].map(|deadline| taker(&host, 1, deadline));
        host.pass_time();
        assert_eq!(short.join().unwrap(), Err(Errno::AGAIN));
        host.put(1);
        assert_eq!(long.join().unwrap(), Ok(1));
    });
}

#[test]
fn what_comes_when_the_time_is_over_is_taken_or_left() {
    each(3, |host| {
        let short = taker(&host, 1, Some(LATER));
        let time = host.clone();
        let clock = thread::spawn(move || time.pass_time());
        host.put(1);
        clock.join().unwrap();
        match short.join().unwrap() {
            Ok(taken) => assert_eq!((taken, host.left()), (1, 0)),
            outcome => assert_eq!((outcome, host.left()), (Err(Errno::AGAIN), 1)),
        }
    });
}

/// One wake-up is for one of those who take: that one passes on what it leaves.
#[test]
fn two_that_come_at_once_end_the_calls_of_two() {
    each(3, |host| {
        let takers = [taker(&host, 1, None), taker(&host, 1, None)];
        host.put(2);
        assert_eq!(takers.map(|taker| taker.join().unwrap()), [Ok(1); 2]);
        assert_eq!(host.left(), 0);
    });
}

/// Who is woken first may want more than there is, and waits on.
#[test]
fn what_one_can_not_take_ends_the_call_of_another() {
    each(2, |host| {
        let [many, one] = [2, 1].map(|count| taker(&host, count, None));
        host.put(1);
        assert_eq!(one.join().unwrap(), Ok(1));
        host.shut();
        assert_eq!(many.join().unwrap(), Ok(0));
    });
}
