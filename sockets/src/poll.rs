//! Readiness: which events `poll` reports, computed from a socket's state and from nothing else.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of poll events, with Linux's values.
///
/// ```
/// use tapsock_sockets::PollMask;
///
/// let mask = PollMask::IN | PollMask::RDHUP;
/// assert!(mask.contains(PollMask::IN) && mask.intersects(PollMask::IN | PollMask::OUT));
/// assert_eq!(mask.bits(), 0x2001);
/// assert_eq!(format!("{mask:?}"), "IN|RDHUP");
/// ```
#[derive(Copy, Clone, Default, Eq, PartialEq, Hash)]
pub struct PollMask(u16);

impl PollMask {
    /// Nothing.
    pub const NONE: PollMask = PollMask(0);
    /// There is something to receive or to accept, or the end of the stream.
    pub const IN: PollMask = PollMask(0x1);
    /// There is urgent data.
    pub const PRI: PollMask = PollMask(0x2);
    /// There is room to send.
    pub const OUT: PollMask = PollMask(0x4);
    /// An error is pending. Reported whether asked for or not.
    pub const ERR: PollMask = PollMask(0x8);
    /// Both directions are shut. Reported whether asked for or not.
    pub const HUP: PollMask = PollMask(0x10);
    /// There is no such socket. Reported whether asked for or not.
    pub const NVAL: PollMask = PollMask(0x20);
    /// As `IN`.
    pub const RDNORM: PollMask = PollMask(0x40);
    /// As `OUT`.
    pub const WRNORM: PollMask = PollMask(0x100);
    /// As `OUT`, on datagram sockets.
    pub const WRBAND: PollMask = PollMask(0x200);
    /// The peer, or `shutdown`, has ended the receiving direction.
    pub const RDHUP: PollMask = PollMask(0x2000);

    /// Everything that has a name here.
    pub const ALL: PollMask = PollMask::from_bits(u16::MAX);

    /// What a call that receives or accepts waits for.
    pub const WAIT_IN: PollMask = PollMask(0x1 | 0x8 | 0x10);
    /// What a call that sends or connects waits for. HUP is not among it: `shutdown` before `connect` leaves it on.
    pub const WAIT_OUT: PollMask = PollMask(0x4 | 0x8);

    /// The events of `bits`, as in `struct pollfd`; those without a name here are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        let mut known = 0;
        let mut index = 0;
        while index < NAMES.len() {
            known |= NAMES[index].0.0;
            index += 1;
        }
        PollMask(bits & known)
    }

    /// The events as in `struct pollfd`.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: PollMask) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: PollMask) -> bool {
        self.0 & other.0 != 0
    }

    /// What `poll` reports to a caller who asked for `self` of a socket that is `ready`.
    ///
    /// ```
    /// use tapsock_sockets::PollMask;
    ///
    /// let ready = PollMask::OUT | PollMask::HUP;
    /// assert_eq!(PollMask::IN.reported(ready), PollMask::HUP);
    /// ```
    pub fn reported(self, ready: PollMask) -> PollMask {
        ready & (self | PollMask::ERR | PollMask::HUP | PollMask::NVAL)
    }
}

const NAMES: [(PollMask, &str); 10] = [
    (PollMask::IN, "IN"),
    (PollMask::PRI, "PRI"),
    (PollMask::OUT, "OUT"),
    (PollMask::ERR, "ERR"),
    (PollMask::HUP, "HUP"),
    (PollMask::NVAL, "NVAL"),
    (PollMask::RDNORM, "RDNORM"),
    (PollMask::WRNORM, "WRNORM"),
    (PollMask::WRBAND, "WRBAND"),
    (PollMask::RDHUP, "RDHUP"),
];

impl BitOr for PollMask {
    type Output = PollMask;

    fn bitor(self, rhs: PollMask) -> PollMask {
        PollMask(self.0 | rhs.0)
    }
}

impl BitOrAssign for PollMask {
    fn bitor_assign(&mut self, rhs: PollMask) {
        self.0 |= rhs.0;
    }
}

impl BitAnd for PollMask {
    type Output = PollMask;

    fn bitand(self, rhs: PollMask) -> PollMask {
        PollMask(self.0 & rhs.0)
    }
}

impl fmt::Debug for PollMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("0");
        }
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(event, _)| self.contains(*event)) {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
        Ok(())
    }
}

/// What readiness depends on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum View {
    /// A stream socket that listens.
    Listener {
        /// Whether a connection waits to be accepted.
        pending: bool,
        /// Whether an error is pending.
        error: bool,
    },
    /// A stream socket that does not.
    Stream(Stream),
    /// A datagram socket.
    Datagram(Datagram),
}

/// How far a stream socket's connection has come, as far as readiness cares.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Not connected, or no longer.
    Closed,
    /// The handshake is under way.
    Connecting,
    /// Connected, in whatever state of closing.
    Open,
}

/// A stream socket that does not listen.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) stage: Stage,
    pub(crate) readable: bool,
    pub(crate) urgent: bool,
    pub(crate) writable: bool,
    pub(crate) receive_shut: bool,
    pub(crate) send_shut: bool,
    pub(crate) error: bool,
}

/// A datagram socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Datagram {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) receive_shut: bool,
    pub(crate) send_shut: bool,
    pub(crate) error: bool,
}

/// The events of a socket in that state: Linux's `tcp_poll`, `inet_csk_listen_poll` and `udp_poll`.
pub(crate) fn readiness(view: View) -> PollMask {
    match view {
        View::Listener { pending, error } => {
            let pending = if pending { PollMask::IN | PollMask::RDNORM } else { PollMask::NONE };
            // Linux's listeners have no errors. Ours has one when its link is gone.
            pending | if error { PollMask::ERR } else { PollMask::NONE }
        }
        View::Stream(stream) => stream_readiness(stream),
        View::Datagram(datagram) => datagram_readiness(datagram),
    }
}

fn stream_readiness(stream: Stream) -> PollMask {
    let mut mask = PollMask::NONE;
    if stream.stage == Stage::Closed || (stream.receive_shut && stream.send_shut) {
        mask |= PollMask::HUP;
    }
    if stream.receive_shut {
        mask |= PollMask::IN | PollMask::RDNORM | PollMask::RDHUP;
    }
    if stream.stage != Stage::Connecting {
        if stream.readable {
            mask |= PollMask::IN | PollMask::RDNORM;
        }
        if stream.urgent {
            mask |= PollMask::PRI;
        }
        // A caller who may not send is told at once: the call fails without waiting.
        if stream.writable || stream.send_shut || stream.stage == Stage::Closed {
            mask |= PollMask::OUT | PollMask::WRNORM;
        }
    }
    if stream.error {
        mask |= PollMask::ERR;
    }
    mask
}

fn datagram_readiness(datagram: Datagram) -> PollMask {
    let mut mask = PollMask::NONE;
    if datagram.error {
        mask |= PollMask::ERR;
    }
    if datagram.receive_shut {
        mask |= PollMask::RDHUP | PollMask::IN | PollMask::RDNORM;
    }
    if datagram.receive_shut && datagram.send_shut {
        mask |= PollMask::HUP;
    }
    if datagram.readable {
        mask |= PollMask::IN | PollMask::RDNORM;
    }
    if datagram.writable {
        mask |= PollMask::OUT | PollMask::WRNORM | PollMask::WRBAND;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Stream = Stream {
        stage: Stage::Closed,
        readable: false,
        urgent: false,
        writable: false,
        receive_shut: false,
        send_shut: false,
        error: false,
    };
    const OPEN: Stream = Stream { stage: Stage::Open, writable: true, ..FRESH };
    const UDP: Datagram =
        Datagram { readable: false, writable: true, receive_shut: false, send_shut: false, error: false };

    /// What Linux 6.18 showed for a socket brought into each state, over loopback.
    #[test]
    fn streams_show_what_linux_shows() {
        let reset =
            Stream { stage: Stage::Closed, receive_shut: true, send_shut: true, error: true, ..FRESH };
        for (stream, shown) in [
            (FRESH, "OUT|HUP|WRNORM"),
            (Stream { stage: Stage::Connecting, ..FRESH }, "0"),
            (OPEN, "OUT|WRNORM"),
            (Stream { writable: false, ..OPEN }, "0"),
            (Stream { readable: true, ..OPEN }, "IN|OUT|RDNORM|WRNORM"),
            (Stream { urgent: true, ..OPEN }, "PRI|OUT|WRNORM"),
            (Stream { send_shut: true, writable: false, ..OPEN }, "OUT|WRNORM"),
            (Stream { receive_shut: true, ..OPEN }, "IN|OUT|RDNORM|WRNORM|RDHUP"),
            (Stream { receive_shut: true, send_shut: true, ..OPEN }, "IN|OUT|HUP|RDNORM|WRNORM|RDHUP"),
            (reset, "IN|OUT|ERR|HUP|RDNORM|WRNORM|RDHUP"),
            (Stream { error: false, ..reset }, "IN|OUT|HUP|RDNORM|WRNORM|RDHUP"),
            (Stream { error: true, ..FRESH }, "OUT|ERR|HUP|WRNORM"),
        ] {
            assert_eq!(format!("{:?}", readiness(View::Stream(stream))), shown, "{stream:?}");
        }
    }

    #[test]
    fn listeners_show_connections_only() {
        let shown = |pending, error| readiness(View::Listener { pending, error });
        assert_eq!(shown(false, false), PollMask::NONE);
        assert_eq!(shown(true, false), PollMask::IN | PollMask::RDNORM);
        assert_eq!(shown(false, true), PollMask::ERR);
    }

    #[test]
    fn datagram_sockets_show_what_linux_shows() {
        for (datagram, shown) in [
            (UDP, "OUT|WRNORM|WRBAND"),
            (Datagram { readable: true, ..UDP }, "IN|OUT|RDNORM|WRNORM|WRBAND"),
            (Datagram { error: true, ..UDP }, "OUT|ERR|WRNORM|WRBAND"),
            (Datagram { receive_shut: true, ..UDP }, "IN|OUT|RDNORM|WRNORM|WRBAND|RDHUP"),
            (Datagram { send_shut: true, ..UDP }, "OUT|WRNORM|WRBAND"),
            (
                Datagram { receive_shut: true, send_shut: true, ..UDP },
                "IN|OUT|HUP|RDNORM|WRNORM|WRBAND|RDHUP",
            ),
        ] {
            assert_eq!(format!("{:?}", readiness(View::Datagram(datagram))), shown, "{datagram:?}");
        }
    }

    #[test]
    fn unknown_bits_are_dropped() {
        assert_eq!(PollMask::from_bits(0xffff).bits(), 0x237f);
        assert_eq!(PollMask::from_bits(5), PollMask::IN | PollMask::OUT);
    }
}
