//! System calls as a host carries them out: numbers and bytes, with nothing left of the script's words.

use core::time::Duration;

use tapsock_sockets::Errno;

/// A descriptor, by the number that the host gave it.
pub type Descriptor = i32;

/// A system call.
///
/// ```
/// use tapsock_conformance::run::Call;
///
/// let call = Call::Listen { fd: 3, backlog: 1 };
/// assert_eq!(call, Call::Listen { fd: 3, backlog: 1 });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the arguments of the calls, by the names of their man pages")]
pub enum Call {
    /// socket(2).
    Socket { domain: i32, kind: i32, protocol: i32 },
    /// bind(2), with the address as it lies in memory.
    Bind { fd: Descriptor, address: Vec<u8> },
    /// listen(2).
    Listen { fd: Descriptor, backlog: i32 },
    /// accept4(2), which accept(2) is without flags.
    Accept { fd: Descriptor, flags: i32 },
    /// connect(2).
    Connect { fd: Descriptor, address: Vec<u8> },
    /// read(2), readv(2), recv(2), recvfrom(2), recvmsg(2).
    Receive(Receive),
    /// write(2), writev(2), send(2), sendto(2), sendmsg(2).
    Send(Send),
    /// shutdown(2).
    Shutdown { fd: Descriptor, how: i32 },
    /// close(2).
    Close { fd: Descriptor },
    /// getsockopt(2), with room for `room` bytes; `None` where the pointer is NULL.
    GetOption { fd: Descriptor, level: i32, name: i32, room: Option<usize> },
    /// setsockopt(2); `None` where the pointer is NULL.
    SetOption { fd: Descriptor, level: i32, name: i32, value: Option<Vec<u8>>, len: usize },
    /// fcntl(2).
    Fcntl { fd: Descriptor, command: i32, argument: i32 },
    /// ioctl(2) with a pointer to an `int`.
    Ioctl { fd: Descriptor, request: i32, value: i32 },
    /// poll(2); no time-out waits for ever.
    Poll { fds: Vec<(Descriptor, u16)>, timeout: Option<Duration> },
    /// epoll_create1(2).
    EpollCreate,
    /// epoll_ctl(2).
    EpollControl { epoll: Descriptor, operation: i32, fd: Descriptor, events: u32, data: u64 },
    /// epoll_wait(2); no time-out waits for ever.
    EpollWait { epoll: Descriptor, max: i32, timeout: Option<Duration> },
    /// pipe2(2) without flags.
    Pipe,
    /// splice(2) without offsets.
    Splice { from: Descriptor, to: Descriptor, len: usize, flags: u32 },
    /// sendfile(2).
    SendFile { to: Descriptor, from: Descriptor, offset: Option<u64>, count: usize },
    /// open(2).
    Open { path: Vec<u8>, flags: i32 },
}

/// A call that receives.
///
/// ```
/// use tapsock_conformance::run::Receive;
///
/// let read = Receive { fd: 4, pieces: vec![1000], flags: 0, is_null: false, control_room: 0, wants_address: false };
/// assert_eq!(read.room(), 1000);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Receive {
    /// From where.
    pub fd: Descriptor,
    /// The length of each buffer.
    pub pieces: Vec<usize>,
    /// MSG_….
    pub flags: i32,
    /// Whether the buffer is NULL.
    pub is_null: bool,
    /// Bytes for control messages.
    pub control_room: usize,
    /// Whether the peer's address is asked for.
    pub wants_address: bool,
}

impl Receive {
    /// The length of all buffers together.
    pub fn room(&self) -> usize {
        self.pieces.iter().sum()
    }
}

/// A call that sends.
///
/// ```
/// use tapsock_conformance::run::Send;
///
/// let send = Send { pieces: vec![vec![0; 10], vec![0; 5]], ..Send::default() };
/// assert_eq!(send.data().len(), 15);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Send {
    /// To where.
    pub fd: Descriptor,
    /// The bytes of each buffer.
    pub pieces: Vec<Vec<u8>>,
    /// MSG_….
    pub flags: i32,
    /// Whether the buffer is NULL.
    pub is_null: bool,
    /// The destination, as it lies in memory.
    pub to: Option<Vec<u8>>,
    /// Control messages, as they lie in memory.
    pub control: Vec<u8>,
}

impl Send {
    /// The bytes of all buffers together.
    pub fn data(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// How a call ended.
///
/// ```
/// use tapsock_conformance::run::Outcome;
/// use tapsock_sockets::Errno;
///
/// assert_eq!(Outcome::failed(Errno::AGAIN).value, -1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it returned.
    pub value: i64,
    /// The errno of a call that returned −1.
    pub errno: Option<Errno>,
    /// What it wrote into the caller's memory.
    pub output: Output,
}

impl Outcome {
    /// A call that returned `value` and nothing else.
    pub fn returned(value: i64) -> Self {
        Outcome { value, errno: None, output: Output::None }
    }

    /// A call that returned −1.
    pub fn failed(errno: Errno) -> Self {
        Outcome { value: -1, errno: Some(errno), output: Output::None }
    }

    /// A call that returned `value` and wrote `output`.
    pub fn with(value: i64, output: Output) -> Self {
        Outcome { value, errno: None, output }
    }
}

/// What a call wrote into the caller's memory.
///
/// ```
/// use tapsock_conformance::run::Output;
///
/// assert_ne!(Output::None, Output::Int(0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Nothing.
    None,
    /// An address, as it lies in memory.
    Address(Vec<u8>),
    /// An option's value.
    Option(Vec<u8>),
    /// The `int` of an ioctl.
    Int(i32),
    /// What `recvmsg` tells.
    Message(Message),
    /// The `revents` of poll, in the order of what was asked.
    Revents(Vec<u16>),
    /// The events of epoll_wait, with their data.
    Events(Vec<(u32, u64)>),
    /// The two descriptors of a pipe.
    Pipe([Descriptor; 2]),
    /// The offset that sendfile leaves.
    Offset(u64),
}

/// What a receiving call tells beside the number of bytes.
///
/// ```
/// use tapsock_conformance::run::Message;
///
/// assert!(Message::default().control.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The bytes.
    pub data: Vec<u8>,
    /// The peer's address, as it lies in memory.
    pub from: Option<Vec<u8>>,
    /// `msg_flags`.
    pub flags: i32,
    /// The control messages, as they lie in memory.
    pub control: Vec<u8>,
}
