//! The table: how each call that waits ends, by what ends it. It is read by tests of both stacks.
//!
//! Outcomes are those of Linux 6.18, but for `close`, which leaves the call waiting there, and for signals, which end none
//! here. Where a shutdown ends nothing, the call gets what it waits for afterwards.

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
    /// UDP and raw sockets whose peer is behind a link that is full. Of the latter those that write headers themselves: others
    /// do not wait for room.
    UdpOut,
    RawOut,
    /// Those of IPv6.
    Tcp6,
    Udp6,
    Ping6,
    Raw6,
    UdpOut6,
    RawOut6,
}

impl Kind {
    pub fn is_v6(self) -> bool {
        matches!(self, Tcp6 | Udp6 | Ping6 | Raw6 | UdpOut6 | RawOut6)
    }

    /// The same of IPv4, where it is one of IPv6.
    pub fn plain(self) -> Kind {
        match self {
            Tcp6 => Tcp,
            Udp6 => Udp,
            Ping6 => Ping,
            Raw6 => Raw,
            UdpOut6 => UdpOut,
            RawOut6 => RawOut,
            other => other,
        }
    }

    /// A packet of a thousand bytes, which is one to who writes headers himself too: to `to` it goes then.
    pub fn packet(self, to: &[u8]) -> [u8; 1000] {
        let mut packet = [0; 1000];
        let (first, at) = if self.is_v6() { (0x60, 24) } else { (0x45, 16) };
        packet[0] = first;
        packet[at..at + to.len()].copy_from_slice(to);
        packet
    }
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Call {
    Accept,
    Accept4,
    Connect,
    Recv,
    Recvfrom,
    Read,
    /// With MSG_WAITALL, for twice as much as is there.
    RecvAll,
    Recvmsg,
    Recvmmsg,
    Readv,
    Send,
    Sendto,
    Write,
    Sendmsg,
    Sendmmsg,
    Sendfile,
    Writev,
    Poll,
    /// With a real descriptor beside the socket.
    PollBeside,
    Select,
    Epoll,
    /// The same with finer time-outs.
    Ppoll,
    Pselect,
    EpollPwait2,
    /// Those that watch for room to send.
    PollOut,
    SelectOut,
    EpollOut,
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
        matches!(self, Send | Sendto | Write | Sendmsg | Sendmmsg | Sendfile | Writev)
    }

    /// Whether it waits for room, which the socket has none of when it begins.
    pub fn wants_room(self) -> bool {
        self.sends() || matches!(self, PollOut | SelectOut | EpollOut)
    }

    /// Whether it takes a time-out itself.
    pub fn watches(self) -> bool {
        matches!(self, Poll | PollBeside | Ppoll | Select | Pselect | PollOut | SelectOut)
            || self.is_of_an_instance()
    }

    /// Whether it is made on an instance of epoll.
    pub fn is_of_an_instance(self) -> bool {
        matches!(self, Epoll | EpollPwait2 | EpollOut)
    }
}

/// Kind, call, and how it ends by a close, a shutdown of both directions, a time-out, and what it waits for.
const TABLE: &[(&[Kind], Call, [&str; 4])] = &[
    (&[Tcp, Tcp6, Stream, Records], Accept, ["EBADF", "EINVAL", "EAGAIN", "taken"]),
    (&[Tcp, Tcp6, Stream, Records], Accept4, ["EBADF", "EINVAL", "EAGAIN", "taken"]),
    (&[Tcp, Tcp6], Connect, ["EBADF", "ECONNRESET", "EINPROGRESS", "0"]),
    // It waits for the listener, which knows nothing of this shutdown.
    (&[Stream, Records], Connect, ["EBADF", "0", "EAGAIN", "0"]),
    (TALKING, Recv, ["EBADF", "0", "EAGAIN", "5"]),
    (TALKING, Recvfrom, ["EBADF", "0", "EAGAIN", "5"]),
    (TALKING, Read, ["EBADF", "0", "EAGAIN", "5"]),
    (TALKING, Recvmsg, ["EBADF", "0", "EAGAIN", "5"]),
    (TALKING, Readv, ["EBADF", "0", "EAGAIN", "5"]),
    // What has come already is not lost.
    (&[Tcp, Tcp6, Stream], RecvAll, ["5", "5", "5", "10"]),
    // The number of messages, which an end of the stream is one of.
    (TALKING, Recvmmsg, ["EBADF", "1", "EAGAIN", "1"]),
    (HEARING, Recvmmsg, ["EBADF", "1", "EAGAIN", "1"]),
    // An echo reply, and a packet, over IPv4 with its header.
    (&[Ping, Ping6], Recv, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Ping, Ping6], Recvfrom, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Ping, Ping6], Read, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Ping, Ping6], Recvmsg, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Ping, Ping6], Readv, ["EBADF", "0", "EAGAIN", "13"]),
    (&[Raw], Recv, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Raw], Recvfrom, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Raw], Read, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Raw], Recvmsg, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Raw], Readv, ["EBADF", "0", "EAGAIN", "25"]),
    (&[Raw6], Recv, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Raw6], Recvfrom, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Raw6], Read, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Raw6], Recvmsg, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Raw6], Readv, ["EBADF", "0", "EAGAIN", "5"]),
    (FULL, Send, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Sendto, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Write, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Sendmsg, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Writev, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Sendfile, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (FULL, Sendmmsg, ["EBADF", "EPIPE", "EAGAIN", "1"]),
    // It waits for the receiver, which knows nothing of this shutdown.
    (&[Named], Send, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Named], Sendto, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Named], Write, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Named], Sendmsg, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Named], Sendmmsg, ["EBADF", "1", "EAGAIN", "1"]),
    (&[Named], Writev, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Named], Sendfile, ["EBADF", "1000", "EAGAIN", "1000"]),
    (TALKING, Poll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (HEARING, Poll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (TALKING, PollBeside, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (HEARING, PollBeside, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (TALKING, Ppoll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (HEARING, Ppoll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (TALKING, Select, ["EBADF", "1", "0", "1"]),
    (HEARING, Select, ["EBADF", "1", "0", "1"]),
    (TALKING, Pselect, ["EBADF", "1", "0", "1"]),
    (HEARING, Pselect, ["EBADF", "1", "0", "1"]),
    // What is closed is the instance.
    (TALKING, Epoll, ["EBADF", "1", "0", "1"]),
    (HEARING, Epoll, ["EBADF", "1", "0", "1"]),
    (TALKING, EpollPwait2, ["EBADF", "1", "0", "1"]),
    (HEARING, EpollPwait2, ["EBADF", "1", "0", "1"]),
    (&[Tcp, Tcp6], PollOut, ["NVAL", "OUT|HUP", "0", "OUT"]),
    (FULL_AND_STAYS_SO, PollOut, ["NVAL", "HUP", "0", "OUT"]),
    (FULL, SelectOut, ["EBADF", "1", "0", "1"]),
    (FULL, EpollOut, ["EBADF", "1", "0", "1"]),
    (&[Named], PollOut, ["NVAL", "HUP", "0", "OUT"]),
    (&[Named], EpollOut, ["EBADF", "1", "0", "1"]),
];

/// Those of two ends, those that hear what they have sent, and those that can be full; of these a shutdown makes room in
/// TCP's alone.
const TALKING: &[Kind] = &[Tcp, Tcp6, Udp, Udp6, Stream, Datagram, Records];
const HEARING: &[Kind] = &[Ping, Ping6, Raw, Raw6];
const FULL_AND_STAYS_SO: &[Kind] = &[Stream, Datagram, Records, UdpOut, UdpOut6, RawOut, RawOut6];
const FULL: &[Kind] = &[Tcp, Tcp6, Stream, Datagram, Records, UdpOut, UdpOut6, RawOut, RawOut6];

/// Whether it goes on to wait when its socket is shut down: for what another's has to do, or for room, where a hang-up is
/// nothing it was asked for.
pub fn outlasts_a_shutdown(kind: Kind, call: Call) -> bool {
    match call {
        Connect => matches!(kind, Stream | Records),
        SelectOut => FULL_AND_STAYS_SO.contains(&kind),
        _ => kind == Named && call.sends(),
    }
}

/// Each kind and call of the table with each of these ends, and how it ends by that.
pub fn cases<const N: usize>(ends: [End; N]) -> impl Iterator<Item = (Kind, Call, End, &'static str)> {
    TABLE.iter().flat_map(move |(kinds, call, outcomes)| {
        kinds.iter().flat_map(move |kind| ends.map(|end| (*kind, *call, end, outcomes[end.column()])))
    })
}
