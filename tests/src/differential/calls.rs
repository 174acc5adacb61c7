//! The socket calls of one stack, with the kernel's bytes for all that is passed, so that it can be wrong in every way.

use std::os::fd::BorrowedFd;

use tapsock::Errno;
use tapsock::bsd::{SCM_RIGHTS, SOL_SOCKET};

/// What sendmsg(2) sends.
///
/// ```
/// use tapsock_tests::differential::Outgoing;
///
/// assert!(Outgoing::of(b"hello").control.is_empty());
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Outgoing<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// Control messages in Linux's layout, or what pretends to be some.
    pub control: &'a [u8],
    /// Sockets to pass, by their numbers: one message of SCM_RIGHTS behind the others.
    pub rights: &'a [i32],
    /// Where it goes.
    pub to: Option<&'a [u8]>,
}

impl<'a> Outgoing<'a> {
    /// Bytes alone.
    pub fn of(data: &'a [u8]) -> Outgoing<'a> {
        Outgoing { data, ..Outgoing::default() }
    }
}

/// Bytes of room that recvmsg(2) is given.
///
/// ```
/// use tapsock_tests::differential::Room;
///
/// let room = Room { data: 10, control: 0 };
/// assert_eq!(room, Room { data: 10, ..Room::default() });
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Room {
    /// For data.
    pub data: usize,
    /// For control messages.
    pub control: usize,
}

/// A control message, as far as there was room for it.
///
/// ```
/// use tapsock_tests::differential::ControlMessage;
///
/// let ttl = ControlMessage { level: 0, kind: 2, data: 64i32.to_ne_bytes().to_vec() };
/// assert_eq!(ControlMessage::all(&ttl.bytes()), [ttl]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlMessage {
    /// `cmsg_level`
    pub level: i32,
    /// `cmsg_type`
    pub kind: i32,
    /// What follows.
    pub data: Vec<u8>,
}

impl ControlMessage {
    /// Length of `struct cmsghdr`.
    const HEADER: usize = 16;

    /// In Linux's layout.
    pub fn bytes(&self) -> Vec<u8> {
        let len = Self::HEADER + self.data.len();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(self.level.to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(&self.data);
        bytes.resize(len.next_multiple_of(8), 0);
        bytes
    }

    /// All that stand in `bytes`.
    pub fn all(bytes: &[u8]) -> Vec<ControlMessage> {
        let (mut messages, mut rest) = (Vec::new(), bytes);
        let number = |bytes: &[u8]| i32::from_ne_bytes(bytes.try_into().expect("four bytes"));
        while rest.len() >= Self::HEADER {
            let len = usize::from_ne_bytes(rest[..8].try_into().expect("eight bytes")).min(rest.len());
            let (level, kind) = (number(&rest[8..12]), number(&rest[12..16]));
            let data = rest.get(Self::HEADER..len).unwrap_or_default().to_vec();
            messages.push(ControlMessage { level, kind, data });
            rest = &rest[len.max(Self::HEADER).next_multiple_of(8).min(rest.len())..];
        }
        messages
    }

    pub(super) fn is_rights(&self) -> bool {
        (self.level, self.kind) == (SOL_SOCKET, SCM_RIGHTS)
    }
}

/// What recvmsg(2) gives.
///
/// ```
/// use tapsock_tests::differential::Incoming;
///
/// let end_of_stream = Incoming::default();
/// assert_eq!((end_of_stream.len, end_of_stream.from.len()), (0, 0));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Incoming {
    /// What was copied.
    pub data: Vec<u8>,
    /// What the call returned: with MSG_TRUNC, more than that.
    pub len: usize,
    /// The sender's address, `msg_namelen` bytes of it.
    pub from: Vec<u8>,
    /// `msg_flags`.
    pub flags: i32,
    /// What came beside the data, but for sockets.
    pub control: Vec<ControlMessage>,
    /// New numbers of the sockets that came along.
    pub rights: Vec<i32>,
}

/// The calls of one stack. Sockets have the lowest free numbers from 0 on. Each call gives the errno that its stack
/// gives; addresses, options and control messages are bytes in Linux's layout, of any length.
#[expect(clippy::missing_errors_doc, reason = "to compare them is what this is for")]
pub trait SocketCalls {
    /// socket(2)
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno>;
    /// socketpair(2)
    fn pair(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<[i32; 2], Errno>;
    /// dup(2)
    fn dup(&mut self, socket: i32) -> Result<i32, Errno>;
    /// bind(2)
    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno>;
    /// unlink(2)
    fn unlink(&mut self, path: &str) -> Result<(), Errno>;
    /// listen(2)
    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno>;
    /// accept4(2)
    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Vec<u8>), Errno>;
    /// connect(2)
    fn connect(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno>;
    /// sendmsg(2) with MSG_NOSIGNAL
    fn send(&mut self, socket: i32, message: &Outgoing<'_>, flags: i32) -> Result<usize, Errno>;
    /// sendmmsg(2) with MSG_NOSIGNAL: what went of each
    fn send_many(&mut self, socket: i32, messages: &[Outgoing<'_>], flags: i32) -> Result<Vec<usize>, Errno>;
    /// recvmsg(2)
    fn recv(&mut self, socket: i32, room: Room, flags: i32) -> Result<Incoming, Errno>;
    /// write(2), or writev(2) of several parts
    fn write(&mut self, socket: i32, parts: &[Vec<u8>]) -> Result<usize, Errno>;
    /// read(2), or readv(2) into several parts of these sizes
    fn read(&mut self, socket: i32, sizes: &[usize]) -> Result<Vec<u8>, Errno>;
    /// recvmmsg(2) without a time-out
    fn recv_many(&mut self, socket: i32, rooms: &[Room], flags: i32) -> Result<Vec<Incoming>, Errno>;
    /// sendfile(2): how much went, and the offset afterwards
    fn send_file(
        &mut self,
        socket: i32,
        file: BorrowedFd<'_>,
        offset: i64,
        count: usize,
    ) -> Result<(usize, i64), Errno>;
    /// Comes back when no socket is left that lies in a queue which nobody can read.
    fn collect(&mut self) {}
    /// shutdown(2)
    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno>;
    /// close(2)
    fn close(&mut self, socket: i32) -> Result<(), Errno>;
    /// getsockname(2)
    fn local_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno>;
    /// getpeername(2)
    fn peer_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno>;
    /// getsockopt(2) with so many bytes of room
    fn option(&mut self, socket: i32, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno>;
    /// setsockopt(2)
    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno>;
    /// ioctl(2) of a request that gives an `int`
    fn ioctl(&mut self, socket: i32, request: i32) -> Result<i32, Errno>;
    /// ioctl(2) with FIONBIO
    fn set_nonblocking(&mut self, socket: i32, on: bool) -> Result<(), Errno>;
    /// fcntl(2)
    fn fcntl(&mut self, socket: i32, command: i32, argument: i32) -> Result<i32, Errno>;
    /// poll(2) of these for everything, at once: the events of each
    fn poll(&mut self, sockets: &[i32]) -> Vec<u16>;
    /// select(2) of those to be read, to be written, and with urgent data, at once: which of each are ready
    fn select(&mut self, sets: &[Vec<i32>; 3]) -> Result<[Vec<i32>; 3], Errno>;
    /// epoll_create1(2)
    fn epoll(&mut self) -> Result<i32, Errno>;
    /// epoll_ctl(2); the data of an event are the number of what is watched
    fn epoll_control(&mut self, epoll: i32, operation: i32, watched: i32, events: u32) -> Result<(), Errno>;
    /// epoll_wait(2), at once: data and events of each
    fn epoll_wait(&mut self, epoll: i32, max: usize) -> Result<Vec<(u64, u32)>, Errno>;
}
