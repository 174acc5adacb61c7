//! What all sockets have, and what every call is given.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::stack::{SocketId, Stack};
use tapsock_stack::tcp::SharedOptions;
use tapsock_stack::time::Instant;
use tapsock_stack::udp::Mailbox;

use crate::address::SockAddr;
use crate::beside::Stamps;
use crate::constants::{MSG_DONTWAIT, MSG_TRUNC, MSG_ZEROCOPY};
use crate::control::Control;
use crate::options::{Domain, SocketOptions, Subject};
use crate::ping::PingSocket;
use crate::poll::{PollMask, View};
use crate::raw::RawSocket;
use crate::table::Fd;
use crate::tcp::TcpSocket;
use crate::udp::UdpSocket;

/// Whether a socket's owner may take the reserved ports, and have raw sockets.
///
/// ```
/// use tapsock_sockets::Permission;
///
/// assert_ne!(Permission::Ordinary, Permission::Privileged);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Permission {
    /// Ports below `net.ipv4.ip_unprivileged_port_start` are refused (EACCES), raw sockets too (EPERM).
    Ordinary,
    /// All may be had, as with Linux's CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    Privileged,
}

/// Whether the calls on a socket wait.
///
/// ```
/// use tapsock_sockets::Blocking;
///
/// assert_ne!(Blocking::Waits, Blocking::Never);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Blocking {
    /// They do, until SO_RCVTIMEO or SO_SNDTIMEO has passed.
    Waits,
    /// They do not (O_NONBLOCK).
    Never,
}

/// A call can't be done yet.
///
/// The caller waits until [`Sockets::readiness`](crate::Sockets::readiness) of `socket` shows any of `mask`, then
/// calls again. Where `deadline` passes first, the call ends with EAGAIN, or `connect` with EINPROGRESS.
///
/// ```
/// use tapsock_sockets::{Fd, PollMask, Wait};
///
/// let wait = Wait { socket: Fd(0), mask: PollMask::WAIT_IN, deadline: None };
/// assert!(wait.mask.contains(PollMask::IN));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Wait {
    /// Which socket to watch.
    pub socket: Fd,
    /// What to watch for.
    pub mask: PollMask,
    /// When to give up.
    pub deadline: Option<Instant>,
}

/// Why a call did not come to its end.
///
/// ```
/// use rustix::io::Errno;
/// use tapsock_sockets::Stop;
///
/// assert_eq!(Stop::from(Errno::PIPE), Stop::Error(Errno::PIPE));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// It would block.
    Wait(Wait),
    /// It failed.
    Error(Errno),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Error(errno)
    }
}

/// What a receiving call got.
///
/// ```
/// use tapsock_sockets::Received;
///
/// assert!(Received::default().data.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The bytes, at most as many as were asked for. None means the end of a stream, or an empty datagram.
    pub data: Rope,
    /// Who sent the datagram.
    pub from: Option<SockAddr>,
    /// The length of the whole datagram, in bytes; of a stream, of what was taken from it, thrown away or not.
    pub full_len: usize,
    /// `msg_flags`: MSG_TRUNC where the datagram was longer than what was asked for.
    pub flags: i32,
    /// Whether a call that wants all it asked for (MSG_WAITALL) gets no more: an urgent byte follows, or the bytes stay.
    pub ends_call: bool,
    /// Length of each of the datagrams that were merged into this one, but the last, in bytes (UDP_GRO).
    pub segment_size: Option<u16>,
    /// When it came, where options ask for that, in the order of their messages, which are the first.
    pub stamps: Stamps,
    /// What else the options ask to be told, in Linux's order.
    pub control: Vec<Control>,
}

/// What a call that asked for `max` bytes gets of a datagram.
pub(crate) fn received(mut data: Rope, max: usize, from: SockAddr) -> Received {
    let full_len = data.len();
    data.truncate(max);
    let flags = if full_len > max { MSG_TRUNC } else { 0 };
    Received { data, from: Some(from), full_len, flags, ..Received::default() }
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) common: Common,
    pub(crate) body: Body,
}

const _: () = assert!(size_of::<Socket>() <= 96, "an idle connection's share of its budget");

impl Socket {
    /// Whether it is still somebody's.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(&self.body, Body::Tcp(tcp) if tcp.is_lingering())
    }

    /// What readiness depends on.
    pub(crate) fn view(&self, stack: &Stack) -> View {
        match &self.body {
            Body::Tcp(tcp) => tcp.view(stack, &self.common.options),
            Body::Udp(udp) => udp.view(stack),
            Body::Ping(ping) => ping.view(stack),
            Body::Raw(raw) => raw.view(stack),
        }
    }
}

/// What does not depend on the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) subject: Subject,
    pub(crate) blocking: Blocking,
    /// Whether calls on it are noted: see `Sockets::observe`.
    pub(crate) observed: bool,
    pub(crate) options: SocketOptions,
}

/// What does.
#[derive(Debug)]
pub(crate) enum Body {
    Tcp(TcpSocket),
    Udp(UdpSocket),
    Ping(PingSocket),
    Raw(RawSocket),
}

impl Body {
    /// What a socket of datagrams has in hand.
    pub(crate) fn mail<'a>(&self, stack: &'a Stack) -> Option<&'a Mailbox> {
        match self {
            Body::Udp(udp) => udp.mail(stack),
            Body::Raw(raw) => raw.mail(stack),
            Body::Ping(ping) => ping.mail(stack),
            Body::Tcp(_) => None,
        }
    }

    /// The stack's name for it, where it has one at the moment.
    pub(crate) fn id(&self) -> Option<SocketId> {
        match self {
            Body::Tcp(tcp) => tcp.id(),
            Body::Udp(udp) => Some(udp.id()),
            Body::Ping(ping) => Some(ping.id()),
            Body::Raw(raw) => Some(raw.id()),
        }
    }

    /// Whether it has a port; the protocol of a raw socket is as good as one.
    pub(crate) fn is_bound(&self, stack: &Stack) -> bool {
        match self {
            Body::Tcp(tcp) => tcp.has_port(stack),
            Body::Udp(udp) => udp.is_bound(stack),
            Body::Ping(ping) => ping.is_bound(stack),
            Body::Raw(_) => true,
        }
    }

    /// The largest packet that the path to its peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        match self {
            Body::Tcp(tcp) => tcp.path_mtu(call),
            Body::Udp(udp) => udp.path_mtu(call),
            Body::Ping(ping) => ping.path_mtu(call),
            Body::Raw(raw) => raw.path_mtu(call),
        }
    }

    /// The pending error, which is taken by this.
    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        match self {
            Body::Tcp(tcp) => tcp.take_error(call),
            Body::Udp(udp) => udp.take_error(call),
            Body::Ping(ping) => ping.take_error(call),
            Body::Raw(raw) => raw.take_error(call),
        }
    }

    /// Tells the stack of changed options.
    pub(crate) fn apply_options(&mut self, call: &mut Call<'_>) {
        match self {
            Body::Tcp(tcp) => tcp.apply_options(call),
            Body::Udp(udp) => udp.apply_options(call),
            Body::Ping(ping) => ping.apply_options(call),
            Body::Raw(raw) => raw.apply_options(call),
        }
    }

    /// Forgets what the error queue holds.
    pub(crate) fn drop_reports(&mut self, call: &mut Call<'_>) {
        match self {
            Body::Tcp(tcp) => tcp.drop_reports(call),
            Body::Udp(udp) => udp.drop_reports(call),
            Body::Ping(ping) => ping.drop_reports(call),
            Body::Raw(raw) => raw.drop_reports(call),
        }
    }
}

/// What a call on one socket is given.
pub(crate) struct Call<'a> {
    pub(crate) stack: &'a mut Stack,
    pub(crate) common: &'a mut Common,
    /// What a socket's connections were told last.
    pub(crate) known: &'a mut SharedOptions,
    pub(crate) permission: Permission,
    pub(crate) fd: Fd,
    pub(crate) now: Instant,
}

impl Call<'_> {
    pub(crate) fn options(&self) -> &SocketOptions {
        &self.common.options
    }

    pub(crate) fn domain(&self) -> Domain {
        self.common.subject.domain
    }

    /// The number of a send that is told of when it is done, where that is asked for.
    pub(crate) fn zero_copy(&mut self, flags: i32) -> Option<u32> {
        if flags & MSG_ZEROCOPY == 0 || !self.options().rare().zero_copy {
            return None;
        }
        let count = &mut self.common.options.rare_mut().zero_copies;
        let number = *count;
        *count = number.wrapping_add(1);
        Some(number)
    }

    /// Stops a call that receives or accepts.
    pub(crate) fn wait_in(&self, flags: i32) -> Stop {
        self.wait(PollMask::WAIT_IN, self.options().rare().receive_timeout, flags, Errno::AGAIN)
    }

    /// Stops a call that sends.
    pub(crate) fn wait_out(&self, flags: i32) -> Stop {
        self.wait(PollMask::WAIT_OUT, self.options().rare().send_timeout, flags, Errno::AGAIN)
    }

    /// Whether a call that receives may wait.
    pub(crate) fn waits_to_receive(&self, flags: i32) -> bool {
        self.waits(self.options().rare().receive_timeout, flags)
    }

    /// Whether a call that sends may wait.
    pub(crate) fn waits_to_send(&self, flags: i32) -> bool {
        self.waits(self.options().rare().send_timeout, flags)
    }

    /// Stops a call with `errno` where it may not wait.
    pub(crate) fn wait(&self, mask: PollMask, timeout: Option<Duration>, flags: i32, errno: Errno) -> Stop {
        if !self.waits(timeout, flags) {
            return Stop::Error(errno);
        }
        Stop::Wait(Wait { socket: self.fd, mask, deadline: timeout.map(|timeout| self.now + timeout) })
    }

    fn waits(&self, timeout: Option<Duration>, flags: i32) -> bool {
        self.common.blocking == Blocking::Waits
            && flags & MSG_DONTWAIT == 0
            && timeout != Some(Duration::ZERO)
    }
}
