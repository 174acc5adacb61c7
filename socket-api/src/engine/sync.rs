//! The primitives the engine locks and parks with, in one place, so that the model checker can put its own here.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current};

use core::time::Duration;
use std::thread;

/// Sleeps until unparked, or for `limit`. May return early; the caller looks at its state and comes back.
pub(crate) fn park(limit: Option<Duration>) {
    match limit {
        None => thread::park(),
        Some(limit) => thread::park_timeout(limit),
    }
}

/// Locks; the state is as its last holder left it, even where that one panicked in a test.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
