//! What becomes of the ids of closed sockets.

use super::*;

/// When the id of a closed socket is another's.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ClosedNumbers {
    /// At once.
    #[default]
    Free,
    /// When it is [released](Sockets::release): somebody may still be in a call on the socket, and is to find it closed
    /// rather than another.
    Kept,
}

impl Sockets {
    /// What becomes of the ids of sockets that are closed from now on.
    ///
    /// ```
    /// use rustix::io::Errno;
    /// use tapsock_sockets::constants::{AF_INET, SOCK_DGRAM};
    /// use tapsock_sockets::{ClosedNumbers, Permission, Sockets};
    /// use tapsock_stack::config::Config;
    /// use tapsock_stack::stack::Stack;
    /// use tapsock_stack::time::Instant;
    ///
    /// let now = Instant::ZERO;
    /// let mut sockets = Sockets::new(Stack::new(Config::default(), 1, now), Permission::Ordinary);
    /// sockets.set_closed_numbers(ClosedNumbers::Kept);
    /// let closed = sockets.socket(AF_INET, SOCK_DGRAM, 0)?;
    /// sockets.close(now, closed)?;
    /// assert_ne!(sockets.socket(AF_INET, SOCK_DGRAM, 0)?, closed);
    /// assert_eq!(sockets.local_address(closed), Err(Errno::BADF));
    /// sockets.release(closed);
    /// assert_eq!(sockets.socket(AF_INET, SOCK_DGRAM, 0)?, closed);
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn set_closed_numbers(&mut self, numbers: ClosedNumbers) {
        self.numbers = numbers;
    }

    /// Frees the id of a closed socket that was kept ([`ClosedNumbers::Kept`]). Any other stays as it is.
    pub fn release(&mut self, fd: Fd) {
        self.table.release(fd);
    }
}
