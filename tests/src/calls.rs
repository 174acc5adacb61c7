//! The socket calls of either stack under one name, so that the same program can be run on both.

use std::net::SocketAddr;

use tapsock::Errno;

mod compare;
mod kernel;
mod lockstep;
mod ours;
mod script;

pub use compare::{Idle, Prepare, Program, Setting, alone, alone_privileged, over_a_link, without_effect};
pub use kernel::KernelCalls;
pub use ours::OurCalls;
pub use script::{Host, Script, Sock};

/// Room for control messages, in bytes.
const TOLD_MAX: usize = 512;

/// What a receiving call gives: the bytes, the length that it returned, and the sender.
///
/// ```
/// use tapsock_tests::calls::Received;
///
/// let end_of_stream = Received::default();
/// assert_eq!((end_of_stream.len, end_of_stream.from), (0, None));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// What was copied.
    pub data: Vec<u8>,
    /// What the call returned: with MSG_TRUNC, more than that.
    pub len: usize,
    /// Where the protocol tells it.
    pub from: Option<SocketAddr>,
}

/// The calls of `sys/socket.h` and `poll.h` of one stack. Sockets have the lowest free numbers from 0 on. Each call
/// gives the errno that its stack gives.
#[expect(clippy::missing_errors_doc, reason = "to compare them is what this is for")]
pub trait Calls {
    /// socket(2)
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno>;
    /// bind(2)
    fn bind(&mut self, socket: i32, address: SocketAddr) -> Result<(), Errno>;
    /// listen(2)
    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno>;
    /// accept4(2)
    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, SocketAddr), Errno>;
    /// connect(2); `None` stands for AF_UNSPEC
    fn connect(&mut self, socket: i32, address: Option<SocketAddr>) -> Result<(), Errno>;
    /// sendto(2)
    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<SocketAddr>) -> Result<usize, Errno>;
    /// recvfrom(2)
    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Received, Errno>;
    /// shutdown(2)
    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno>;
    /// close(2)
    fn close(&mut self, socket: i32) -> Result<(), Errno>;
    /// getsockname(2)
    fn local_address(&mut self, socket: i32) -> Result<SocketAddr, Errno>;
    /// getpeername(2)
    fn peer_address(&mut self, socket: i32) -> Result<SocketAddr, Errno>;
    /// getsockopt(2) of an option that is an `int`
    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno>;
    /// setsockopt(2) of an option that is an `int`
    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno>;
    /// setsockopt(2) of any value
    fn set_value(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno>;
    /// recvmsg(2) with room for control messages: the data and those
    fn recv_told(&mut self, socket: i32, max: usize, flags: i32) -> Result<(Vec<u8>, Vec<u8>), Errno>;
    /// setsockopt(2) of SO_RCVTIMEO, in milliseconds
    fn set_receive_timeout(&mut self, socket: i32, millis: u32) -> Result<(), Errno>;
    /// setsockopt(2) of SO_LINGER, on, in seconds
    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno>;
    /// ioctl(2) with FIONREAD
    fn unread(&mut self, socket: i32) -> Result<u64, Errno>;
    /// ioctl(2) with SIOCOUTQ
    fn unsent(&mut self, socket: i32) -> Result<u64, Errno>;
    /// poll(2) of one socket: what is there, in Linux's bits
    fn poll(&mut self, socket: i32, events: u16, timeout_millis: i32) -> Result<u16, Errno>;
}
