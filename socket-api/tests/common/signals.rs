//! Signals for threads that wait.

use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;

/// Handles a signal, which does nothing but interrupt the thread that it is sent to.
pub struct Interrupter {
    signal: Signal,
    handled: Arc<AtomicBool>,
}

impl Interrupter {
    /// `signal` must be no other test's of the program.
    pub fn new(signal: Signal) -> Interrupter {
        let handled = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal as i32, handled.clone()).unwrap();
        Interrupter { signal, handled }
    }

    /// Interrupts `thread`, and comes back when its handler has run: whether it did, or the thread had ended.
    pub fn interrupt<T>(&self, thread: &JoinHandle<T>) -> bool {
        self.handled.store(false, Ordering::SeqCst);
        pthread_kill(thread.as_pthread_t(), self.signal).unwrap();
        while !self.handled.load(Ordering::SeqCst) {
            if thread.is_finished() {
                return false;
            }
            thread::yield_now();
        }
        true
    }
}
