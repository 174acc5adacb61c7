//! System calls, as a script writes them: `+0...0.2 read(4, ..., 1000) = -1 ETIMEDOUT (Connection timed out)`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Position;

/// A system call with what it must return.
///
/// ```
/// use std::time::Duration;
/// use tapsock_conformance::ast::{Action, ExprKind};
/// use tapsock_conformance::parse;
///
/// let script = parse("s.pkt", "+0...0.2 read(4, ..., 1000) = -1 ETIMEDOUT (Connection timed out)").unwrap();
/// let Action::Syscall(call) = &script.events[0].action else { panic!() };
/// assert_eq!((call.name.as_str(), call.end), ("read", Some(Duration::from_millis(200))));
/// assert_eq!(call.arguments[1].kind, ExprKind::Ellipsis);
/// assert_eq!(call.result.kind, ExprKind::Integer(-1));
/// assert_eq!(call.errno.as_ref().unwrap().text, "ETIMEDOUT");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Syscall {
    /// Where its name stands.
    pub at: Position,
    /// When a call that blocks returns: counted from where the start of the event is counted from, and so from the
    /// script's start if the event's time is absolute, from the event before if it is relative. A call without one
    /// must return at once.
    pub end: Option<Duration>,
    /// `read`.
    pub name: String,
    /// What stands between the parentheses.
    pub arguments: Vec<Expr>,
    /// What it must return; [`ExprKind::Ellipsis`] if that doesn't matter.
    pub result: Expr,
    /// The errno it must set: `ETIMEDOUT`.
    pub errno: Option<Name>,
    /// What stands in parentheses at the end, for the reader. With `(flags …)` after the result of `F_GETFL` too.
    pub note: Option<String>,
}

/// A name, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Where it stands.
    pub at: Position,
    /// The name.
    pub text: String,
}

/// An argument, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: ExprKind,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `...`: what the runner thinks fit; in what a call gives back, anything.
    Ellipsis,
    /// `-1`, `1460`.
    Integer(i64),
    /// `0x802`, and decimals above 2⁶³−1.
    Hexadecimal(u64),
    /// `SOCK_STREAM`.
    Name(String),
    /// `"abc"`, or `"abc"...`: bytes, and whether more may follow.
    Text {
        /// The bytes, with escapes resolved.
        bytes: Vec<u8>,
        /// Whether `...` stands behind it.
        more: bool,
    },
    /// `O_RDWR|O_NONBLOCK`: two or more, none of them another `Or`.
    Or(Vec<Expr>),
    /// `name=value`, in a structure that has no variant of its own.
    Assign {
        /// The field.
        name: Name,
        /// Its value.
        value: Box<Expr>,
    },
    /// `[1]`: where the call takes a pointer.
    Array(Vec<Expr>),
    /// `inet_addr("192.0.2.1")`, `inet6_addr("fd00::1")`: an address in network byte order.
    Address(IpAddr),
    /// `htons(8080)`: 16 bits in network byte order.
    NetworkOrder(u16),
    /// `{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("192.0.2.1")}`, and IPv6's likewise.
    SocketAddress(SocketAddr),
    /// `{msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0}`.
    Message(Box<MessageHeader>),
    /// `{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=1000}`.
    Control(Box<ControlMessage>),
    /// `{scm_sec=1, scm_nsec=5000}`: a time stamp of `SCM_TIMESTAMPING`.
    ScmTimestamping {
        /// Seconds.
        seconds: i64,
        /// Nanoseconds.
        nanoseconds: i64,
    },
    /// `{ee_errno=0, ee_origin=…, ee_type=0, ee_code=0, ee_info=0, ee_data=0}`: a `sock_extended_err`.
    ExtendedError(Box<ExtendedError>),
    /// `{..., 1000}`: a piece of a scattered buffer.
    Iovec {
        /// Its bytes.
        base: Box<Expr>,
        /// How many.
        length: Box<Expr>,
    },
    /// `{fd=3, events=POLLIN, revents=0}`.
    PollFd(Box<PollFd>),
    /// `{events=EPOLLIN, fd=3}`.
    EpollEvent(Box<EpollEvent>),
    /// `{onoff=1, linger=5}`.
    Linger(Linger),
    /// `{a, b}`: a structure of which only its fields' order is known, or with names (`{tv_sec=1, tv_usec=0}`).
    Group(Vec<Expr>),
}

/// A `msghdr`.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageHeader {
    /// `msg_name(...)=...`: the peer's address.
    pub name: Expr,
    /// `msg_iov(1)=[…]`: the pieces, as many as the number says.
    pub iov: Vec<Expr>,
    /// `msg_flags=0`; only `recvmsg` sets them.
    pub flags: Option<Expr>,
    /// `msg_control=[…]`: the control messages; `None` where the script doesn't say.
    pub control: Option<Vec<Expr>>,
}

/// A control message.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlMessage {
    /// `cmsg_level`.
    pub level: Expr,
    /// `cmsg_type`.
    pub kind: Expr,
    /// `cmsg_data`.
    pub data: Expr,
}

/// A `sock_extended_err`, as the error queue gives it (ip(7), `IP_RECVERR`).
#[derive(Clone, Debug, PartialEq)]
pub struct ExtendedError {
    /// `ee_errno`.
    pub errno: Expr,
    /// `ee_origin`.
    pub origin: Expr,
    /// `ee_type`.
    pub kind: Expr,
    /// `ee_code`.
    pub code: Expr,
    /// `ee_info`.
    pub info: Expr,
    /// `ee_data`.
    pub data: Expr,
}

/// A `pollfd`.
#[derive(Clone, Debug, PartialEq)]
pub struct PollFd {
    /// `fd`.
    pub fd: Expr,
    /// `events`: what is asked for.
    pub events: Expr,
    /// `revents`: what must be there when the call returns; 0 where the script doesn't say.
    pub revents: Option<Expr>,
}

/// An `epoll_event`.
#[derive(Clone, Debug, PartialEq)]
pub struct EpollEvent {
    /// `events`.
    pub events: Expr,
    /// What the caller keeps with it.
    pub data: EpollData,
}

/// The union of an `epoll_event`.
#[derive(Clone, Debug, PartialEq)]
pub enum EpollData {
    /// `fd=3`.
    Fd(Expr),
    /// `ptr=…`.
    Pointer(Expr),
    /// `u32=…`.
    U32(Expr),
    /// `u64=…`.
    U64(Expr),
}

/// A `linger` (socket(7), `SO_LINGER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// `onoff`.
    pub on: i32,
    /// `linger`, in seconds.
    pub seconds: i32,
}
