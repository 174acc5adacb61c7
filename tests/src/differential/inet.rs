//! The same for sockets of the internet: AF_INET and AF_INET6 over `lo`, the kernel's in a network namespace of its own.
//!
//! Addresses and option values are bytes, so that they can have wrong lengths. Sockets do not block. After each call
//! both stacks are given time to come to rest, and then the readiness of every socket and what it has to read are
//! compared.

use tapsock::Errno;

mod address;
mod kernel;
mod options;
mod ours;
mod sequence;
mod sys;
mod text;
mod world;

pub use address::{Ip, Port, Shape, Target};
pub use kernel::KernelInet;
pub use options::{UNLIKE_OPTIONS, UnlikeOption, differences_of_option};
pub use ours::OurInet;
pub use sequence::{InetOp, InetPlan, Sort, inet_plan, run_inet_plan};
pub use world::{Stage, World};

/// What recvmsg(2) gives.
///
/// ```
/// use tapsock_tests::differential::Message;
///
/// let end_of_stream = Message::default();
/// assert_eq!((end_of_stream.len, end_of_stream.from.len()), (0, 0));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// What was copied.
    pub data: Vec<u8>,
    /// What the call returned: with MSG_TRUNC, more than that.
    pub len: usize,
    /// The sender's address, `msg_namelen` bytes of it.
    pub from: Vec<u8>,
    /// `msg_flags`
    pub flags: i32,
}

/// The calls on internet sockets of one stack. Sockets have the lowest free numbers from 0 on. Each call gives the errno
/// that its stack gives; addresses are bytes in Linux's layout, of any length.
#[expect(clippy::missing_errors_doc, reason = "to compare them is what this is for")]
pub trait InetCalls {
    /// socket(2)
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno>;
    /// dup(2)
    fn dup(&mut self, socket: i32) -> Result<i32, Errno>;
    /// bind(2)
    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno>;
    /// listen(2)
    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno>;
    /// accept4(2)
    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Vec<u8>), Errno>;
    /// connect(2)
    fn connect(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno>;
    /// sendto(2) with MSG_NOSIGNAL
    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<&[u8]>) -> Result<usize, Errno>;
    /// recvmsg(2)
    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Message, Errno>;
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
    /// poll(2) of these sockets for everything, at once: the events of each
    fn poll(&mut self, sockets: &[i32]) -> Vec<u16>;
    /// epoll_create1(2)
    fn epoll(&mut self) -> Result<i32, Errno>;
    /// epoll_ctl(2); the data of an event are the socket's number
    fn epoll_control(&mut self, epoll: i32, operation: i32, socket: i32, events: u32) -> Result<(), Errno>;
    /// epoll_wait(2), at once: data and events of each
    fn epoll_wait(&mut self, epoll: i32, max: usize) -> Result<Vec<(u64, u32)>, Errno>;
}
