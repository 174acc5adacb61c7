//! A stack, its clock, and who waits for it.
//!
//! The clock is virtual: time passes while a thread sleeps or waits for a packet, and a little while it looks at the
//! clock again and again. A call that waits lets time pass where it is made by the thread that made the world; those of
//! other threads wait until somebody has let it come so far.

use core::cell::Cell;
use core::ffi::c_int;
use core::time::Duration;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use rustix::io::Errno;
use tapsock_conformance::ast::Position;
use tapsock_conformance::run::{Call, Descriptor, Numbers, Outcome, Sent, StackTarget, Target};
use tapsock_conformance::shell::{self, Shell};
use tapsock_ffi::placeholder::Placeholders;

use crate::settings::{Commanded, Settings};

/// What a second look at the clock takes, and each further one: whoever looks until it is late enough gets there.
const LOOK: Duration = Duration::from_micros(1);

/// How long the thread that drives may be away before the clock goes on by itself, as fast as real clocks do: it may be
/// waiting for the end of another thread's call.
const AWAY: Duration = Duration::from_secs(1);

/// How often the clock moves then.
const BEAT: Duration = Duration::from_millis(5);

/// How long time stands still for another thread whose call has ended, until it has done what it does then.
const RESPITE: Duration = Duration::from_millis(200);

/// How often is looked whether it has.
const GLANCE: Duration = Duration::from_micros(20);

/// The longest wait for a packet, and of a call that nothing goes on beside: one that would go on is interrupted.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A host, and the lock around it.
pub(crate) struct World {
    state: Mutex<State>,
    /// Calls have ended, or time has passed.
    changed: Condvar,
    placeholders: Arc<Placeholders>,
    driver: ThreadId,
}

struct State {
    target: StackTarget,
    settings: Settings,
    shell: Shell,
    /// When somebody last did something here, or the clock went on by itself.
    active: Instant,
    /// Whether the clock goes by itself.
    is_alone: bool,
    /// Whether somebody has looked at the clock, and nobody has done anything else since.
    is_watched: bool,
    /// Threads whose calls have ended, and that have not been seen asleep since.
    awake: Vec<Thread>,
}

thread_local! {
    /// When the last call of this thread ended, if it has not looked at the clock since. Others may have let time pass
    /// before it comes to do so.
    static ENDED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Every world that is there, for calls that do not say which is meant.
static WORLDS: Mutex<Vec<Arc<World>>> = Mutex::new(Vec::new());

fn worlds() -> MutexGuard<'static, Vec<Arc<World>>> {
    WORLDS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world around `target`, driven by this thread. Errors: EMFILE, ENFILE, ENOMEM.
    pub(crate) fn begin(mut target: StackTarget) -> Result<Arc<World>, Errno> {
        let placeholders = Arc::new(Placeholders::new()?);
        target.set_numbers(ProcessNumbers(placeholders.clone()));
        let state = State {
            target,
            settings: Settings::default(),
            shell: Shell::new(Path::new(".")),
            active: Instant::now(),
            is_alone: false,
            is_watched: false,
            awake: Vec::new(),
        };
        let world = Arc::new(World {
            state: Mutex::new(state),
            changed: Condvar::new(),
            placeholders,
            driver: thread::current().id(),
        });
        worlds().push(world.clone());
        Ok(world)
    }

    /// Nobody finds it any longer.
    pub(crate) fn end(&self) {
        worlds().retain(|world| !core::ptr::eq(&**world, self));
    }

    /// The world in which `number` is open.
    pub(crate) fn of(number: c_int) -> Option<Arc<World>> {
        worlds().iter().find(|world| world.owns(number)).cloned()
    }

    /// The world, where there is one only.
    pub(crate) fn only() -> Option<Arc<World>> {
        let worlds = worlds();
        if let [world] = &worlds[..] { Some(world.clone()) } else { None }
    }

    /// Whether `number` is a descriptor of this world. One that was closed by libc is closed here.
    pub(crate) fn owns(&self, number: Descriptor) -> bool {
        let mut state = self.lock();
        if !state.target.has(number) {
            return false;
        }
        let is_open = self.placeholders.holds(number);
        if !is_open {
            state.target.abandon(number);
            self.changed.notify_all();
        }
        is_open
    }

    /// Makes a call, and waits for its end. Errors: those of the call.
    pub(crate) fn call(&self, call: Call) -> Result<Outcome, Errno> {
        let mut state = self.enter();
        let State { target, settings, .. } = &mut *state;
        settings.follow(target, matches!(call, Call::Socket { .. }));
        let outcome = if self.is_driven_here() {
            target.call(call, PATIENCE).unwrap_or(Outcome::failed(Errno::INTR))
        } else {
            let ticket = target.begin(call);
            loop {
                if let Some((at, outcome)) = state.target.take_end(ticket) {
                    ENDED.set(Some(at));
                    state.awake.push(Thread::this());
                    break outcome;
                }
                state = self.wait(state);
            }
        };
        self.changed.notify_all();
        outcome.errno.map_or(Ok(outcome), Err)
    }

    /// The time since 1970; to look again takes some. After a call that another thread has let time pass for, it is when that
    /// ended.
    pub(crate) fn look_at_clock(&self) -> Duration {
        let mut state = self.lock();
        let again = state.is_watched;
        state.touch();
        state.is_watched = true;
        let now = ENDED.take().unwrap_or_else(|| {
            if again {
                self.pass(&mut state, LOOK);
            }
            state.target.now()
        });
        state.target.wall_clock() + now
    }

    /// Sleeps.
    pub(crate) fn sleep(&self, duration: Duration) {
        let mut state = self.wait_for_others(self.enter());
        state.follow_settings();
        self.pass(&mut state, duration);
    }

    /// Does to the host what a command does to the kernel; `None` where it is not one that does.
    pub(crate) fn run_command(&self, command: &str) -> Option<shell::Outcome> {
        let mut state = self.wait_for_others(self.enter());
        let State { target, settings, shell, .. } = &mut *state;
        let at = Position { line: 1, column: 1 };
        let outcome = shell.run("command", at, command, &mut Commanded { target, settings });
        target.take_notes().iter().for_each(|note| eprintln!("tapsock: {note}"));
        self.changed.notify_all();
        outcome.ok()
    }

    /// Gives the host a packet.
    pub(crate) fn send(&self, packet: Vec<u8>) {
        let mut state = self.enter();
        state.follow_settings();
        state.target.inject(packet, None);
        self.changed.notify_all();
    }

    /// Lets time pass until the host has sent a packet. `None` if it is not going to, as far as can be seen. When it was
    /// sent is counted from 1970.
    pub(crate) fn receive(&self) -> Option<Sent> {
        let mut state = self.enter();
        state.follow_settings();
        let until = state.target.now() + PATIENCE;
        loop {
            if let Some(Sent { at, bytes }) = state.target.sent().pop_front() {
                return Some(Sent { at: state.target.wall_clock() + at, bytes });
            }
            state = self.wait_for_others(state);
            let came = state.target.advance(until);
            self.changed.notify_all();
            if !came {
                return None;
            }
        }
    }

    /// Lets other threads whose calls have ended do what they do then, before time passes. Real time has no such mercy, but
    /// there it passes slowly.
    fn wait_for_others<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (this, until) = (Thread::this(), Instant::now() + RESPITE);
        loop {
            let others: Vec<Thread> = state.awake.iter().copied().filter(|thread| *thread != this).collect();
            let has_ended = state.target.has_ended();
            if others.is_empty() && !has_ended {
                return state;
            }
            if Instant::now() > until {
                state.awake.clear();
                return state;
            }
            // Without the lock: who sleeps must not sleep for that.
            drop(state);
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells when a thread of the program has fallen asleep"
            )]
            thread::sleep(GLANCE);
            let asleep: Vec<Thread> = others.into_iter().filter(|thread| thread.is_asleep()).collect();
            state = self.lock();
            state.awake.retain(|thread| !asleep.contains(thread));
        }
    }

    fn is_driven_here(&self) -> bool {
        thread::current().id() == self.driver
    }

    fn pass(&self, state: &mut State, duration: Duration) {
        let until = state.target.now() + duration;
        state.target.pass(until);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.touch();
        state
    }

    /// Waits until something has happened, or the clock has gone on by itself.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let limit = if state.is_alone { BEAT } else { AWAY };
        let waited = self.changed.wait_timeout(state, limit);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let away = state.active.elapsed();
        if away >= limit {
            let step = if state.is_alone { away } else { BEAT };
            (state.active, state.is_alone) = (Instant::now(), true);
            self.pass(&mut state, step);
        }
        state
    }
}

impl State {
    /// Somebody does something.
    fn touch(&mut self) {
        (self.active, self.is_alone, self.is_watched) = (Instant::now(), false, false);
    }

    fn follow_settings(&mut self) {
        self.settings.follow(&mut self.target, false);
    }
}

/// A thread, as the kernel knows it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct Thread(libc::pid_t);

impl Thread {
    fn this() -> Thread {
        // SAFETY: it only asks for a number.
        Thread(unsafe { libc::gettid() })
    }

    /// Whether it waits for something, or is gone.
    fn is_asleep(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.0));
        // The name before the state may hold anything.
        stat.map_or(true, |stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S')))
    }
}

/// The process gives out the numbers.
struct ProcessNumbers(Arc<Placeholders>);

impl Numbers for ProcessNumbers {
    fn take(&mut self) -> Result<Descriptor, Errno> {
        self.0.take(0)
    }

    fn give_back(&mut self, number: Descriptor) {
        self.0.give_back(number);
    }
}
