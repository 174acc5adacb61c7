//! Readiness of local sockets of every kind, from one view of their state.

use crate::poll::PollMask;

/// What the readiness of a local socket depends on.
///
/// ```
/// use tapsock_sockets::PollMask;
/// use tapsock_sockets::local::View;
///
/// let fresh = View { unconnected: true, writable: true, ..View::default() };
/// assert!(fresh.readiness().contains(PollMask::OUT | PollMask::HUP));
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// An error is pending.
    pub error: bool,
    /// Something is in the queue: bytes, a record, a datagram, or a connection to accept.
    pub readable: bool,
    /// An urgent byte is in the queue.
    pub urgent: bool,
    /// There is credit to send. Never of a listener.
    pub writable: bool,
    /// No more is received.
    pub receive_shut: bool,
    /// No more is sent.
    pub send_shut: bool,
    /// A stream or seqpacket socket that is neither connected nor listens.
    pub unconnected: bool,
}

impl View {
    /// The events of a socket in that state, as Linux 6.18 shows them.
    pub fn readiness(self) -> PollMask {
        let View { error, readable, urgent, writable, receive_shut, send_shut, unconnected } = self;
        let mut mask = PollMask::NONE;
        if error {
            mask |= PollMask::ERR;
        }
        if receive_shut && send_shut || unconnected {
            mask |= PollMask::HUP;
        }
        if receive_shut {
            mask |= PollMask::RDHUP | PollMask::IN | PollMask::RDNORM;
        }
        if readable {
            mask |= PollMask::IN | PollMask::RDNORM;
        }
        if urgent {
            mask |= PollMask::PRI;
        }
        // Even where `send` would fail with EPIPE at once: credit is all that counts.
        if writable {
            mask |= PollMask::OUT | PollMask::WRNORM | PollMask::WRBAND;
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 shows for a socket brought into each state.
    #[test]
    fn masks_are_those_of_linux() {
        let open = View { writable: true, ..View::default() };
        let ended = View { receive_shut: true, send_shut: true, ..open };
        for (view, shown) in [
            (open, "OUT|WRNORM|WRBAND"),
            (View { unconnected: true, ..open }, "OUT|HUP|WRNORM|WRBAND"),
            (View { readable: true, ..open }, "IN|OUT|RDNORM|WRNORM|WRBAND"),
            (View { readable: true, urgent: true, ..open }, "IN|PRI|OUT|RDNORM|WRNORM|WRBAND"),
            (View { receive_shut: true, ..open }, "IN|OUT|RDNORM|WRNORM|WRBAND|RDHUP"),
            (View { send_shut: true, ..open }, "OUT|WRNORM|WRBAND"),
            (ended, "IN|OUT|HUP|RDNORM|WRNORM|WRBAND|RDHUP"),
            (View { error: true, ..ended }, "IN|OUT|ERR|HUP|RDNORM|WRNORM|WRBAND|RDHUP"),
            (View::default(), "0"),
            (View { readable: true, receive_shut: true, ..View::default() }, "IN|RDNORM|RDHUP"),
        ] {
            assert_eq!(format!("{:?}", view.readiness()), shown, "{view:?}");
        }
    }
}
