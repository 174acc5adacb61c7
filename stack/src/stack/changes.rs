//! What has happened to a socket since its owner was told last.

use core::ops::{BitOr, BitOrAssign};

/// What has happened to a socket. Not its readiness: an arrival is one though something lay there before.
///
/// ```
/// use tapsock_stack::stack::Changes;
///
/// let both = Changes::ARRIVAL | Changes::ROOM;
/// assert!(both.contains(Changes::ROOM) && !both.contains(Changes::ERROR));
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes(u8);

impl Changes {
    /// Nothing.
    pub const NONE: Changes = Changes(0);
    /// Data, a datagram or a connection came.
    pub const ARRIVAL: Changes = Changes(1);
    /// There is room to send.
    pub const ROOM: Changes = Changes(2);
    /// An error came that does not end the connection.
    pub const ERROR: Changes = Changes(4);
    /// The connection was made, a direction of it ended, or all of it.
    pub const STATE: Changes = Changes(8);

    /// Whether nothing happened.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` happened.
    pub const fn contains(self, other: Changes) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Changes {
    type Output = Changes;

    fn bitor(self, rhs: Changes) -> Changes {
        Changes(self.0 | rhs.0)
    }
}

impl BitOrAssign for Changes {
    fn bitor_assign(&mut self, rhs: Changes) {
        self.0 |= rhs.0;
    }
}
