//! Programs of local sockets that run on the kernel and on this stack at once, call by call, and what may differ.
//!
//! Both stacks get the same addresses: paths in a temporary directory of the program, and abstract names that no other
//! program uses. After each call its outcome and the readiness of every socket are compared.

use tapsock::Errno;
use tapsock::bsd::Credentials;

mod differences;
mod inet;
mod kernel;
mod name;
mod ours;
mod pair;
mod sequence;
mod text;

pub use differences::{DIFFERENCES, Difference, KERNEL_RELEASE, Scope, Sockets};
pub use inet::{
    InetCalls, InetOp, InetPlan, Ip, KernelInet, Message, OurInet, Port, Shape, Sort, Stage, Target,
    UNLIKE_OPTIONS, UnlikeOption, World, differences_of_option, inet_plan, run_inet_plan,
};
pub use kernel::KernelLocal;
pub use name::{Name, Place, Shower};
pub use ours::OurLocal;
pub use pair::{Both, Program, Sock, run};
pub use sequence::{Op, Plan, plan, run_plan};

/// What a receiving call gives.
///
/// ```
/// use tapsock_tests::differential::Taken;
///
/// let end_of_stream = Taken::default();
/// assert_eq!((end_of_stream.len, end_of_stream.rights.len()), (0, 0));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// What was copied.
    pub data: Vec<u8>,
    /// What the call returned: with MSG_TRUNC, more than that.
    pub len: usize,
    /// The sender's address, in Linux's layout without the family; empty where there is none.
    pub from: Vec<u8>,
    /// `msg_flags`, but for MSG_CMSG_CLOEXEC.
    pub flags: i32,
    /// New numbers of the sockets that came along.
    pub rights: Vec<i32>,
    /// Who sent it, where SO_PASSCRED asks for that.
    pub credentials: Option<Credentials>,
}

/// An address in Linux's layout without the family, `sun_path` as far as its length says.
pub type Raw = Vec<u8>;

/// The calls on local sockets of one stack. Sockets have the lowest free numbers from 0 on. Each call gives the errno
/// that its stack gives.
#[expect(clippy::missing_errors_doc, reason = "to compare them is what this is for")]
pub trait LocalCalls {
    /// socket(2) of AF_UNIX
    fn socket(&mut self, kind: i32, protocol: i32) -> Result<i32, Errno>;
    /// socketpair(2) of AF_UNIX
    fn pair(&mut self, kind: i32, protocol: i32) -> Result<[i32; 2], Errno>;
    /// dup(2)
    fn dup(&mut self, socket: i32) -> Result<i32, Errno>;
    /// bind(2)
    fn bind(&mut self, socket: i32, name: &Name) -> Result<(), Errno>;
    /// unlink(2)
    fn unlink(&mut self, path: &str) -> Result<(), Errno>;
    /// listen(2)
    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno>;
    /// accept4(2)
    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Raw), Errno>;
    /// connect(2)
    fn connect(&mut self, socket: i32, name: &Name) -> Result<(), Errno>;
    /// sendmsg(2) with MSG_NOSIGNAL
    fn send(
        &mut self,
        socket: i32,
        data: &[u8],
        flags: i32,
        to: Option<&Name>,
        rights: &[i32],
    ) -> Result<usize, Errno>;
    /// recvmsg(2)
    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Taken, Errno>;
    /// shutdown(2)
    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno>;
    /// close(2)
    fn close(&mut self, socket: i32) -> Result<(), Errno>;
    /// getsockname(2)
    fn local_address(&mut self, socket: i32) -> Result<Raw, Errno>;
    /// getpeername(2)
    fn peer_address(&mut self, socket: i32) -> Result<Raw, Errno>;
    /// getsockopt(2) of an option that is an `int`
    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno>;
    /// setsockopt(2) of an option that is an `int`
    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno>;
    /// setsockopt(2) of SO_LINGER, on, in seconds
    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno>;
    /// getsockopt(2) of SO_PEERCRED
    fn peer_credentials(&mut self, socket: i32) -> Result<Credentials, Errno>;
    /// fcntl(2) with O_NONBLOCK
    fn set_nonblocking(&mut self, socket: i32, nonblocking: bool) -> Result<(), Errno>;
    /// poll(2) of these sockets for everything, at once: the events of each
    fn poll(&mut self, sockets: &[i32]) -> Vec<u16>;
}
