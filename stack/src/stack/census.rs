//! How much of TCP there is.

use super::Stack;

/// How many connections a host has, by what they cost (`/proc/net/sockstat`).
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::stack::{Census, Stack};
/// use tapsock_stack::time::Instant;
///
/// let stack = Stack::new(Config::default(), 1, Instant::ZERO);
/// assert_eq!(stack.tcp_census(), Census::default());
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Census {
    /// Whole connections, with those that nobody holds.
    pub connections: usize,
    /// Those that nobody holds.
    pub orphans: usize,
    /// Half-open connections of listeners.
    pub half_open: usize,
    /// Records in TIME-WAIT.
    pub time_wait: usize,
    /// Pages of 4 KiB that all connections are charged against `net.ipv4.tcp_mem`.
    pub memory: u64,
}

impl Stack {
    /// How much of TCP there is now.
    pub fn tcp_census(&self) -> Census {
        Census {
            connections: self.tcp.len(),
            orphans: self.tcp.orphans,
            half_open: self.tcp.half_open.len(),
            time_wait: self.tcp.resting_count(),
            memory: self.tcp.memory.charged(),
        }
    }
}
