//! The states of a connection.

use core::fmt;

/// The state of a connection (RFC 9293 §3.3.2).
///
/// LISTEN is not among them: a [`Listener`](super::listener::Listener) is no connection. TIME-WAIT is, for the
/// descriptor that may still be open; the tuple itself is then held by a
/// [`TimeWait`](super::time_wait::TimeWait) record.
///
/// ```
/// use tapsock_stack::tcp::State;
///
/// assert!(State::Established.is_synchronized());
/// assert_eq!(State::SynSent.to_string(), "SYN-SENT");
/// ```
//= RFC 9293 §3.3.2
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Not connected, or no longer.
    Closed,
    /// We have sent SYN.
    SynSent,
    /// Both have sent SYN; ours is not acknowledged.
    SynReceived,
    /// Open.
    Established,
    /// We have sent FIN.
    FinWait1,
    /// Our FIN is acknowledged.
    FinWait2,
    /// The peer has sent FIN.
    CloseWait,
    /// Both have sent FIN, ours is not acknowledged.
    Closing,
    /// The peer's FIN was first; ours is not acknowledged.
    LastAck,
    /// Both are done; the tuple rests.
    TimeWait,
}

impl State {
    /// Whether both sides have agreed on sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, State::Closed | State::SynSent | State::SynReceived)
    }

    /// Whether the application may still send: no FIN of ours was asked for.
    pub const fn can_send(self) -> bool {
        matches!(self, State::Established | State::CloseWait)
    }

    /// Whether the peer may still send: its FIN has not come.
    pub const fn can_receive(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Closed => "CLOSED",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        })
    }
}
