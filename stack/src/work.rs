//! What the core does for a segment, counted while it is tested: time can't be, for it differs from run to run.

use core::cell::Cell;

/// Work whose amount could come to depend on how many sockets there are.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Work {
    /// Keys hashed: each lookup in a table, and each entry of a table that grows.
    pub(crate) hashes: u64,
    /// Entries of timer wheels linked, moved or taken away.
    pub(crate) timers: u64,
    /// Connections walked past.
    pub(crate) walked: u64,
}

thread_local! {
    static DONE: Cell<Work> = const { Cell::new(Work { hashes: 0, timers: 0, walked: 0 }) };
}

/// Adds to what this thread has done.
pub(crate) fn note(add: impl FnOnce(&mut Work)) {
    let mut work = DONE.get();
    add(&mut work);
    DONE.set(work);
}

/// What `run` does.
pub(crate) fn of(run: impl FnOnce()) -> Work {
    DONE.set(Work::default());
    run();
    DONE.get()
}
