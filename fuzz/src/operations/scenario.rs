//! What a run does, as data.

use arbitrary::Arbitrary;

use crate::craft::Family;

/// A run.
#[derive(Arbitrary, Debug)]
pub(super) struct Scenario {
    pub(super) setup: Setup,
    pub(super) operations: Vec<Operation>,
}

/// The wire, and the two hosts.
#[derive(Arbitrary, Debug)]
pub(super) struct Setup {
    pub(super) link: Link,
    pub(super) delay_ms: u8,
    pub(super) start: Start,
    pub(super) hosts: [HostSetup; 2],
}

#[derive(Arbitrary, Copy, Clone, Debug)]
pub(super) enum Link {
    Plain,
    Offloading,
    /// The least that IPv6 goes over.
    Small,
    Jumbo,
}

/// What is there before the first operation.
#[derive(Arbitrary, Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Start {
    Nothing,
    /// A connection over IPv4 from the left to the right.
    Connected,
    /// One more over IPv6 from the right to the left.
    ConnectedTwice,
}

#[derive(Arbitrary, Debug)]
pub(super) struct HostSetup {
    pub(super) features: Features,
    /// Fixed buffers, in units of 256 bytes.
    pub(super) receive_buffer: Option<u8>,
    pub(super) send_buffer: Option<u8>,
    pub(super) abort_on_overflow: bool,
}

/// What a host does without, two bits each: it does where both are set.
#[derive(Arbitrary, Copy, Clone, Debug)]
pub(super) struct Features(u8);

impl Features {
    pub(super) fn sack(self) -> bool {
        self.0 & 0b11 != 0b11
    }

    pub(super) fn timestamps(self) -> bool {
        self.0 >> 2 & 0b11 != 0b11
    }

    pub(super) fn window_scaling(self) -> bool {
        self.0 >> 4 & 0b11 != 0b11
    }

    pub(super) fn cubic(self) -> bool {
        self.0 >> 6 & 0b11 != 0b11
    }
}

/// One of the hosts.
#[derive(Arbitrary, Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) fn index(self) -> usize {
        self as usize
    }

    pub(super) fn other(self) -> usize {
        1 - self as usize
    }
}

/// What happens next. Sockets and frames are numbered; a number counts modulo how many there are.
#[derive(Arbitrary, Debug)]
pub(super) enum Operation {
    Listen {
        side: Side,
        port: Port,
        backlog: u8,
    },
    Connect {
        side: Side,
        family: Family,
        port: Port,
        own_port: Option<Port>,
        whom: Whom,
    },
    Accept {
        side: Side,
    },
    Write {
        socket: u8,
        len: u16,
    },
    WriteMuch {
        socket: u8,
    },
    Read {
        socket: u8,
        max: u16,
    },
    ReadAll {
        socket: u8,
    },
    Shutdown {
        socket: u8,
        how: How,
    },
    Close {
        socket: u8,
        how: Letting,
    },
    Change {
        socket: u8,
        option: SocketOption,
    },
    CloseListener {
        side: Side,
    },
    Datagram {
        side: Side,
        family: Family,
        len: u16,
        segment: Option<u16>,
    },
    Ping {
        side: Side,
        family: Family,
        len: u8,
    },
    Pass {
        millis: u8,
    },
    PassSeconds {
        secs: u8,
    },
    /// Everybody reads and writes a while.
    Run {
        rounds: u8,
    },
    /// From now on the wire loses every so many frames; 0 and 1 end that.
    LoseEvery {
        count: u8,
    },
    /// From now on the wire holds every so many frames back for a while.
    DelayEvery {
        count: u8,
    },
    Lose {
        frame: u8,
    },
    Repeat {
        frame: u8,
    },
    Swap {
        frame: u8,
    },
    Flip {
        frame: u8,
        byte: u16,
        bit: u8,
    },
    Forge {
        socket: u8,
        segment: Forged,
    },
    ForgeSyn {
        side: Side,
        family: Family,
        port: Port,
        from: Port,
        segment: Forged,
    },
    Complain {
        frame: u8,
        complaint: Complaint,
    },
    LinkDown {
        side: Side,
        really: u8,
    },
}

/// One of a few ports.
#[derive(Arbitrary, Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Port {
    One,
    Two,
    Three,
}

impl Port {
    pub(super) fn service(self) -> u16 {
        2000 + self as u16
    }

    pub(super) fn own(self) -> u16 {
        3000 + self as u16
    }
}

/// To whom a connection goes.
#[derive(Arbitrary, Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Whom {
    Peer,
    PeerToo,
    PeerAsWell,
    Ourselves,
    Nobody,
}

#[derive(Arbitrary, Copy, Clone, Debug)]
pub(super) enum How {
    Read,
    Write,
    Both,
}

#[derive(Arbitrary, Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Letting {
    Background,
    Abort,
}

#[derive(Arbitrary, Copy, Clone, Debug)]
pub(super) enum SocketOption {
    NoDelay(bool),
    Cork(bool),
    /// In units of 256 bytes.
    ReceiveBuffer(u8),
    SendBuffer(u8),
    KeepAlive {
        probes: u8,
        idle: u8,
        interval: u8,
    },
    UserTimeout {
        secs: u8,
    },
    Reno(bool),
    MaxSegment(u16),
}

/// A segment near to those that are expected.
#[derive(Arbitrary, Debug)]
pub(super) struct Forged {
    /// To the socket's host, or to its peer in its name.
    pub(super) to_peer: bool,
    pub(super) seq: i16,
    pub(super) seq_from_window: bool,
    pub(super) ack: i16,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) len: u8,
    pub(super) repeat: u8,
    pub(super) timestamp: Option<i8>,
    pub(super) sack: [Option<(u16, u16)>; 3],
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
}

/// An ICMP error about a frame that was sent.
#[derive(Arbitrary, Copy, Clone, Debug)]
pub(super) enum Complaint {
    Unreachable { code: u8 },
    TooBig { mtu: u16 },
    TimeExceeded,
    ParameterProblem,
}
