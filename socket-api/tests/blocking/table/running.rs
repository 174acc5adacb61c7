//! The calls of the table, made by threads of their own.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::*;
use crate::common::PATIENCE;
use crate::common::signals::Interrupter;

/// A call that a thread of its own makes.
struct Running {
    scene: Arc<Scene>,
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<String>,
    began: Instant,
    until: Instant,
}

impl Running {
    /// Begins the call, and comes back when its thread has fallen asleep, or with how it ended without.
    fn begin(scene: Scene, end: End) -> Result<Running, String> {
        let scene = Arc::new(scene);
        let before = scene.sleeps();
        let (done, ended) = mpsc::channel();
        let calling = scene.clone();
        let began = Instant::now();
        let thread = thread::spawn(move || drop(done.send(calling.make(end))));
        let until = began + PATIENCE;
        while scene.sleeps() == before && Instant::now() < until {
            if let (Ok(text), false) = (ended.try_recv(), end.has_a_time_out()) {
                return Err(format!("{text} without waiting"));
            }
            thread::yield_now();
        }
        Ok(Running { scene, thread, ended, began, until })
    }

    /// Ends the call, and says how it ended.
    fn end(self, end: End) -> String {
        let scene = &self.scene;
        scene.end_by(end);
        let outlasts = end == End::Shutdown && rows::outlasts_a_shutdown(scene.kind, scene.call);
        if outlasts {
            scene.serve();
        }
        let serves = (outlasts || matches!(end, End::Data | End::Signal)) && scene.call.wants_room();
        while Instant::now() < self.until {
            // A stream's buffer is emptied again and again.
            if serves {
                scene.serve();
            }
            let pause = if serves { Duration::ZERO } else { PATIENCE };
            if let Ok(text) = self.ended.recv_timeout(pause) {
                return text;
            }
        }
        "never".to_owned()
    }
}

/// How the call ends, made by one thread and ended by another once the first has fallen asleep.
fn run(kind: Kind, call: Call, end: End) -> String {
    match Running::begin(Scene::new(kind, call, end), end) {
        Ok(running) => running.end(end),
        Err(early) => early,
    }
}

/// As [`run`], of a call that signals interrupt before it ends.
fn run_with_signals(signals: &Interrupter, scene: Scene, end: End) -> String {
    let running = match Running::begin(scene, end) {
        Ok(running) => running,
        Err(early) => return early,
    };
    if end == End::SignalAndTimeOut {
        // As often as it takes: the time that is left is not begun anew.
        while signals.interrupt(&running.thread) && Instant::now() < running.until {
            thread::sleep(TIME_OUT / 10);
        }
        let took = running.began.elapsed();
        let ended = running.end(end);
        return if took < TIME_OUT { format!("{ended} after {took:?}") } else { ended };
    }
    for _ in 0..3 {
        if !signals.interrupt(&running.thread) {
            return format!("{} by a signal", running.end(end));
        }
        // For the thread to sleep again, in all likelihood; the test holds without it too.
        thread::sleep(Duration::from_millis(1));
    }
    running.end(end)
}

/// Two threads wait for one connection, and both are told that it is there.
#[test]
fn two_threads_in_one_connect() {
    for kind in [Tcp, Tcp6, Stream, Records] {
        let scene = Arc::new(Scene::new(kind, Connect, End::Data));
        let (done, ended) = mpsc::channel();
        for _ in 0..2 {
            let before = scene.sleeps();
            let (done, calling) = (done.clone(), scene.clone());
            thread::spawn(move || drop(done.send(calling.make(End::Data))));
            let until = Instant::now() + PATIENCE;
            while scene.sleeps() == before && Instant::now() < until {
                thread::yield_now();
            }
        }
        scene.serve();
        let first = ended.recv_timeout(PATIENCE).unwrap();
        if kind.plain() != Tcp {
            // The place was the first one's: the other waits for another.
            scene.serve();
        }
        let told = [first, ended.recv_timeout(PATIENCE).unwrap()];
        // Of local sockets each asks the listener for itself.
        let both = if kind.plain() == Tcp { ["0", "0"] } else { ["0", "EISCONN"] };
        assert_eq!(told, both, "{kind:?}");
    }
}

#[test]
fn each_call_that_waits_is_ended_by_all_that_end_it() {
    // Some wait for a second, and all of them for other threads: at the same time.
    let running: Vec<_> = cases([End::Close, End::Shutdown, End::TimeOut, End::Data])
        .map(|(kind, call, end, expected)| {
            let run = thread::spawn(move || run(kind, call, end));
            (format!("{kind:?} {call:?} by {end:?}"), expected, run)
        })
        .collect();
    let wrong: Vec<String> = running
        .into_iter()
        .filter_map(|(case, expected, run)| {
            let ended = run.join().unwrap();
            (ended != expected).then(|| format!("{case}: {ended}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One after the other, for there is one handler for all threads; what they wait for is made at the same time. See
/// [`tapsock::bsd`] for the rule.
#[test]
fn no_call_that_waits_is_ended_by_a_signal() {
    let signals = Interrupter::new(Signal::SIGUSR1);
    // What waits is the same for both families.
    let scenes: Vec<_> = cases([End::Signal, End::SignalAndTimeOut])
        .filter(|(kind, ..)| !kind.is_v6())
        .map(|case @ (kind, call, end, _)| (case, thread::spawn(move || Scene::new(kind, call, end))))
        .collect();
    let wrong: Vec<String> = scenes
        .into_iter()
        .filter_map(|((kind, call, end, expected), scene)| {
            let ended = run_with_signals(&signals, scene.join().unwrap(), end);
            (ended != expected).then(|| format!("{kind:?} {call:?} by {end:?}: {ended}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
