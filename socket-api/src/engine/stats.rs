//! What the engine did: system calls and wake-ups, counted where they are made.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// System calls and wake-ups since the host was started.
        ///
        /// ```
        /// let host = tapsock::Host::builder().start()?;
        /// let before = host.engine_stats();
        /// let after = host.engine_stats();
        /// assert_eq!(after.since(&before).link_writes, 0);
        /// # Ok::<(), std::io::Error>(())
        /// ```
        #[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
        pub struct EngineStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl EngineStats {
            /// What was added since `earlier`.
            pub fn since(&self, earlier: &EngineStats) -> EngineStats {
                EngineStats { $($name: self.$name.wrapping_sub(earlier.$name),)* }
            }
        }

        /// The counters behind [`EngineStats`]; they order nothing.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $(pub(crate) $name: Count,)*
        }

        impl Stats {
            pub(crate) fn read(&self) -> EngineStats {
                EngineStats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Times a thread slept in `ppoll` as the driver, the background thread included.
    ppolls,
    /// Times a sleeping driver was woken through its eventfd.
    kicks,
    /// Times a thread went to sleep on its socket while another drove.
    parks,
    /// Times such a thread was woken.
    unparks,
    /// Times a thread went to sleep on a local socket.
    local_parks,
    /// Calls of the link's receive half, those that found nothing included.
    link_reads,
    /// Calls of the link's send half, those refused included.
    link_writes,
    /// Times the background thread's timer was set because the baton was left lying.
    guard_arms,
    /// Times the background thread woke without holding the baton.
    guard_wakes,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn bump(&self) {
        self.add(1);
    }
}
