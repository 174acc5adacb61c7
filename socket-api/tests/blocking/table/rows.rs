//! The table: how each call that waits ends, by what ends it. It is read by tests of both stacks.
//!
//! Outcomes are those of Linux 6.18, but for `close`, which leaves the call waiting there, and for signals, which end none
//! here, and for sends of raw sockets, which find no buffers there (ENOBUFS) rather than wait for room. Where a shutdown ends nothing, the call gets what it waits for afterwards.

use Call::*;
use Kind::*;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    Tcp,
    Udp,
    Stream,
    Datagram,
    Records,
    /// A datagram socket that is connected to one that has a name, and is not connected back.
    Named,
    Ping,
    Raw,
    /// UDP and raw sockets whose peer is behind a link that is full.
    UdpOut,
    RawOut,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Call {
    Accept,
    Connect,
    Recv,
    Recvmsg,
    Recvmmsg,
    Readv,
    Send,
    Sendmsg,
    Sendmmsg,
    Sendfile,
    Writev,
    Poll,
    /// With a real descriptor beside the socket.
    PollBeside,
    Select,
    Epoll,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum End {
    Close,
    Shutdown,
    TimeOut,
    Data,
    /// A signal ends no call: what it waits for does, after any number of them.
    Signal,
    /// As `Signal`, of a call whose time-out ends it.
    SignalAndTimeOut,
}

impl End {
    /// The place of its outcome in a row of the table.
    pub fn column(self) -> usize {
        match self {
            End::Close => 0,
            End::Shutdown => 1,
            End::TimeOut | End::SignalAndTimeOut => 2,
            End::Data | End::Signal => 3,
        }
    }

    pub fn has_a_time_out(self) -> bool {
        matches!(self, End::TimeOut | End::SignalAndTimeOut)
    }
}

impl Call {
    pub fn sends(self) -> bool {
        matches!(self, Send | Sendmsg | Sendmmsg | Sendfile | Writev)
    }
}

/// Kind, call, and how it ends by a close, a shutdown of both directions, a time-out, and what it waits for.
const TABLE: &[(&[Kind], Call, [&str; 4])] = &[
    (&[Tcp, Stream, Records], Accept, ["EBADF", "EINVAL", "EAGAIN", "taken"]),
    (&[Tcp], Connect, ["EBADF", "ECONNRESET", "EINPROGRESS", "0"]),
    // It waits for the listener, which knows nothing of this shutdown.
    (&[Stream, Records], Connect, ["EBADF", "0", "EAGAIN", "0"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Recv, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Recvmsg, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Readv, ["EBADF", "0", "EAGAIN", "5"]),
    // The number of messages, which an end of the stream is one of.
    (&[Tcp, Udp, Stream, Datagram, Records, Ping, Raw], Recvmmsg, ["EBADF", "1", "EAGAIN", "1"]),
    // An echo reply, and a packet with its header.
    (&[Ping], Recv, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Raw], Recv, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Tcp, Stream, Datagram, Records, UdpOut, RawOut], Send, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (&[Tcp, Stream, Datagram, Records, UdpOut, RawOut], Sendmsg, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (&[Tcp, Stream, Datagram, Records, UdpOut, RawOut], Writev, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (&[Tcp, Stream, Datagram, Records, UdpOut, RawOut], Sendfile, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (&[Tcp, Stream, Datagram, Records, UdpOut, RawOut], Sendmmsg, ["EBADF", "EPIPE", "EAGAIN", "1"]),
    // It waits for the receiver, which knows nothing of this shutdown.
    (&[Named], Send, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Tcp, Udp, Stream, Datagram, Records, Ping, Raw], Poll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (&[Tcp, Udp, Stream, Datagram, Records], PollBeside, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (&[Tcp, Udp, Stream, Datagram, Records, Ping, Raw], Select, ["EBADF", "1", "0", "1"]),
    // What is closed is the instance.
    (&[Tcp, Udp, Stream, Datagram, Records, Ping, Raw], Epoll, ["EBADF", "1", "0", "1"]),
];

/// Each kind and call of the table with each of these ends, and how it ends by that.
pub fn cases<const N: usize>(ends: [End; N]) -> impl Iterator<Item = (Kind, Call, End, &'static str)> {
    TABLE.iter().flat_map(move |(kinds, call, outcomes)| {
        kinds.iter().flat_map(move |kind| ends.map(|end| (*kind, *call, end, outcomes[end.column()])))
    })
}
