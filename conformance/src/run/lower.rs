//! From the words of a script to system calls.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use tapsock_sockets::SockAddr;
use tapsock_sockets::constants::{AF_INET, AF_INET6};
use tapsock_sockets::control::cmsg_len;

use super::call::{Call, Descriptor, Receive, Send};
use super::failure::Failure;
use crate::ast::{EpollData, Expr, ExprKind, IpVersion, MessageHeader, Position, Syscall};
use crate::symbols;

/// Bytes for control messages where a script looks at them.
const CONTROL_ROOM: usize = 4096;

/// A descriptor that no call ever returned.
const NO_DESCRIPTOR: Descriptor = 0x7fff_ffff;

/// The addresses of a run, and the descriptors so far.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) version: IpVersion,
    /// Where `bind(3, ..., ...)` binds.
    pub(super) local: SocketAddr,
    /// Where `connect(3, ..., ...)` connects.
    pub(super) remote: SocketAddr,
    /// The numbers of the script, and those that they are.
    pub(super) descriptors: BTreeMap<i64, Descriptor>,
}

type Lowered<T> = Result<T, Failure>;

impl World {
    /// The call of a script as a host makes it.
    ///
    /// # Errors
    ///
    /// What is wrong with its arguments, or that the call is unknown.
    pub(super) fn lower(&self, syscall: &Syscall) -> Lowered<Call> {
        let arguments = Arguments { world: self, call: syscall };
        Ok(match syscall.name.as_str() {
            "socket" => Call::Socket {
                domain: arguments.domain(0)?,
                kind: arguments.int(1)?,
                protocol: arguments.int(2)?,
            },
            "bind" => Call::Bind { fd: arguments.fd(0)?, address: arguments.address(1, self.local)? },
            "listen" => Call::Listen { fd: arguments.fd(0)?, backlog: arguments.int(1)? },
            "accept" => Call::Accept { fd: arguments.fd(0)?, flags: 0 },
            "accept4" => Call::Accept { fd: arguments.fd(0)?, flags: arguments.int(3)? },
            "connect" => Call::Connect { fd: arguments.fd(0)?, address: arguments.address(1, self.remote)? },
            "read" | "readv" | "recv" | "recvfrom" | "recvmsg" => Call::Receive(arguments.receive()?),
            "write" | "writev" | "send" | "sendto" | "sendmsg" => Call::Send(arguments.send()?),
            "shutdown" => Call::Shutdown { fd: arguments.fd(0)?, how: arguments.int(1)? },
            "close" => Call::Close { fd: arguments.fd(0)? },
            "getsockopt" => Call::GetOption {
                fd: arguments.fd(0)?,
                level: arguments.int(1)?,
                name: arguments.int(2)?,
                room: arguments.option_room()?,
            },
            "setsockopt" => Call::SetOption {
                fd: arguments.fd(0)?,
                level: arguments.int(1)?,
                name: arguments.int(2)?,
                value: arguments.option_value(3)?,
                len: arguments.size(4)?,
            },
            "fcntl" => Call::Fcntl {
                fd: arguments.fd(0)?,
                command: arguments.int(1)?,
                argument: if syscall.arguments.len() > 2 { arguments.int(2)? } else { 0 },
            },
            "ioctl" => Call::Ioctl {
                fd: arguments.fd(0)?,
                request: arguments.int(1)?,
                value: if syscall.arguments.len() > 2 { arguments.pointed_int(2)? } else { 0 },
            },
            "poll" => Call::Poll { fds: arguments.poll_fds()?, timeout: arguments.milliseconds(2)? },
            "epoll_create" | "epoll_create1" => Call::EpollCreate,
            "epoll_ctl" => arguments.epoll_control()?,
            "epoll_wait" => Call::EpollWait {
                epoll: arguments.fd(0)?,
                max: arguments.int(2)?,
                timeout: arguments.milliseconds(3)?,
            },
            "pipe" => Call::Pipe,
            "splice" => Call::Splice {
                from: arguments.fd(0)?,
                to: arguments.fd(2)?,
                len: arguments.size(4)?,
                flags: arguments.int(5)? as u32,
            },
            "sendfile" => Call::SendFile {
                to: arguments.fd(0)?,
                from: arguments.fd(1)?,
                offset: match &arguments.at(2)?.kind {
                    ExprKind::Array(_) => Some(arguments.pointed_int(2)? as u64),
                    _ => None,
                },
                count: arguments.size(3)?,
            },
            "open" => Call::Open { path: arguments.text(0)?, flags: arguments.int(1)? },
            name => return Err(Failure::new(syscall.at, format!("no such system call: {name}"))),
        })
    }

    /// The bytes of a socket address, in the family of the script's sockets.
    pub(super) fn address_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let address = match (self.version, address.ip()) {
            (IpVersion::V4MappedV6, IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())
            }
            _ => address,
        };
        SockAddr::from(address).as_bytes().to_vec()
    }

    /// The descriptor that the script calls so.
    pub(super) fn descriptor(&self, number: i64) -> Descriptor {
        self.descriptors.get(&number).copied().unwrap_or(if number < 0 { -1 } else { NO_DESCRIPTOR })
    }
}

/// The number that an expression stands for.
///
/// # Errors
///
/// That it stands for none.
pub(super) fn integer(expr: &Expr) -> Lowered<i64> {
    match &expr.kind {
        ExprKind::NetworkOrder(value) => Ok(i64::from(value.to_be())),
        _ => symbols::value(expr).map_err(|error| Failure::new(error.at, error.to_string())),
    }
}

/// Whether an expression is the null pointer.
fn is_null(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Name(name) if name == "NULL")
}

/// The arguments of one call.
struct Arguments<'a> {
    world: &'a World,
    call: &'a Syscall,
}

impl Arguments<'_> {
    fn at(&self, index: usize) -> Lowered<&Expr> {
        let wanting = || Failure::new(self.call.at, format!("{} takes more arguments", self.call.name));
        self.call.arguments.get(index).ok_or_else(wanting)
    }

    fn fail<T>(&self, at: Position, what: &str) -> Lowered<T> {
        Err(Failure::new(at, format!("{}: {what}", self.call.name)))
    }

    fn int(&self, index: usize) -> Lowered<i32> {
        Ok(integer(self.at(index)?)? as i32)
    }

    fn size(&self, index: usize) -> Lowered<usize> {
        Ok(integer(self.at(index)?)? as usize)
    }

    fn fd(&self, index: usize) -> Lowered<Descriptor> {
        Ok(self.world.descriptor(integer(self.at(index)?)?))
    }

    fn milliseconds(&self, index: usize) -> Lowered<Option<Duration>> {
        Ok(u64::try_from(integer(self.at(index)?)?).ok().map(Duration::from_millis))
    }

    fn domain(&self, index: usize) -> Lowered<i32> {
        match (&self.at(index)?.kind, self.world.version) {
            (ExprKind::Ellipsis, IpVersion::V4) => Ok(AF_INET),
            (ExprKind::Ellipsis, _) => Ok(AF_INET6),
            _ => self.int(index),
        }
    }

    fn text(&self, index: usize) -> Lowered<Vec<u8>> {
        let expr = self.at(index)?;
        match &expr.kind {
            ExprKind::Text { bytes, .. } => Ok(bytes.clone()),
            _ => self.fail(expr.at, "a string is expected here"),
        }
    }

    /// An `int` behind a pointer: `[1]`.
    fn pointed_int(&self, index: usize) -> Lowered<i32> {
        let expr = self.at(index)?;
        match &expr.kind {
            ExprKind::Array(items) if items.len() == 1 => match items[0].kind {
                ExprKind::Ellipsis => Ok(0),
                _ => Ok(integer(&items[0])? as i32),
            },
            ExprKind::Ellipsis => Ok(0),
            ExprKind::Integer(_) | ExprKind::Hexadecimal(_) | ExprKind::Name(_) => self.int(index),
            _ => self.fail(expr.at, "an array of one number is expected here"),
        }
    }

    /// A socket address, or where `...` stands for one, `default`.
    fn address(&self, index: usize, default: SocketAddr) -> Lowered<Vec<u8>> {
        let expr = self.at(index)?;
        match &expr.kind {
            ExprKind::Ellipsis => Ok(self.world.address_bytes(default)),
            ExprKind::SocketAddress(address) => Ok(SockAddr::from(*address).as_bytes().to_vec()),
            ExprKind::Group(fields) => self.other_family(fields),
            _ if is_null(expr) => Ok(Vec::new()),
            ExprKind::Name(_) => {
                let family = (integer(expr)? as u16).to_ne_bytes();
                Ok([&family[..], &[0; 14]].concat())
            }
            _ => self.fail(expr.at, "an address is expected here"),
        }
    }

    /// `{sa_family=AF_UNSPEC}`: an address of which only the family counts.
    fn other_family(&self, fields: &[Expr]) -> Lowered<Vec<u8>> {
        let mut bytes = vec![0; 16];
        for field in fields {
            match &field.kind {
                ExprKind::Assign { name, value } if name.text == "sa_family" => {
                    bytes[..2].copy_from_slice(&(integer(value)? as u16).to_ne_bytes());
                }
                _ => return self.fail(field.at, "of this address only sa_family is known"),
            }
        }
        Ok(bytes)
    }

    fn receive(&self) -> Lowered<Receive> {
        let fd = self.fd(0)?;
        let base = Receive {
            fd,
            pieces: Vec::new(),
            flags: 0,
            is_null: false,
            control_room: 0,
            wants_address: false,
        };
        let buffer = self.at(1)?;
        Ok(match self.call.name.as_str() {
            "readv" => Receive { pieces: self.room_of(self.items(buffer)?)?, ..base },
            "recvmsg" => {
                let message = self.message(buffer)?;
                let flags = self.int(2)?;
                let control_room = if message.control.is_some() { CONTROL_ROOM } else { 0 };
                let wants_address = true;
                Receive { pieces: self.room_of(&message.iov)?, flags, control_room, wants_address, ..base }
            }
            name => {
                let flags = if name == "read" { 0 } else { self.int(3)? };
                let wants_address = name == "recvfrom";
                Receive {
                    pieces: vec![self.size(2)?],
                    flags,
                    is_null: is_null(buffer),
                    wants_address,
                    ..base
                }
            }
        })
    }

    fn send(&self) -> Lowered<Send> {
        let base = Send { fd: self.fd(0)?, ..Send::default() };
        let buffer = self.at(1)?;
        Ok(match self.call.name.as_str() {
            "writev" => Send { pieces: self.data_of(self.items(buffer)?)?, ..base },
            "sendmsg" => {
                let message = self.message(buffer)?;
                let to = match &message.name.kind {
                    ExprKind::SocketAddress(address) => Some(SockAddr::from(*address).as_bytes().to_vec()),
                    // Where a send makes a connection, it goes to the peer.
                    _ if self.flags(2)? & libc::MSG_FASTOPEN != 0 => {
                        Some(self.world.address_bytes(self.world.remote))
                    }
                    _ => None,
                };
                let control = control_bytes(message.control.as_deref().unwrap_or_default())?;
                Send { pieces: self.data_of(&message.iov)?, flags: self.flags(2)?, to, control, ..base }
            }
            name => {
                let pieces = vec![data(buffer, self.size(2)?)];
                let flags = if name == "write" { 0 } else { self.flags(3)? };
                let to = if name == "sendto" { Some(self.address(4, self.world.remote)?) } else { None };
                let to = to.filter(|address| !address.is_empty());
                Send { pieces, flags, is_null: is_null(buffer), to, ..base }
            }
        })
    }

    fn flags(&self, index: usize) -> Lowered<i32> {
        self.int(index)
    }

    fn message<'a>(&self, expr: &'a Expr) -> Lowered<&'a MessageHeader> {
        match &expr.kind {
            ExprKind::Message(message) => Ok(message),
            _ => self.fail(expr.at, "a msghdr is expected here"),
        }
    }

    fn items<'a>(&self, expr: &'a Expr) -> Lowered<&'a [Expr]> {
        match &expr.kind {
            ExprKind::Array(items) => Ok(items),
            _ => self.fail(expr.at, "an array is expected here"),
        }
    }

    fn room_of(&self, iov: &[Expr]) -> Lowered<Vec<usize>> {
        iov.iter().map(|piece| self.piece(piece).map(|(_, len)| len)).collect()
    }

    fn data_of(&self, iov: &[Expr]) -> Lowered<Vec<Vec<u8>>> {
        iov.iter().map(|piece| self.piece(piece).map(|(base, len)| data(base, len))).collect()
    }

    fn piece<'a>(&self, expr: &'a Expr) -> Lowered<(&'a Expr, usize)> {
        match &expr.kind {
            ExprKind::Iovec { base, length } => Ok((base, integer(length)? as usize)),
            _ => self.fail(expr.at, "an iovec is expected here"),
        }
    }

    fn poll_fds(&self) -> Lowered<Vec<(Descriptor, u16)>> {
        let one = |expr: &Expr| match &expr.kind {
            ExprKind::PollFd(poll) => {
                Ok((self.world.descriptor(integer(&poll.fd)?), integer(&poll.events)? as u16))
            }
            _ => self.fail(expr.at, "a pollfd is expected here"),
        };
        self.items(self.at(0)?)?.iter().map(one).collect()
    }

    fn epoll_control(&self) -> Lowered<Call> {
        let (epoll, operation, fd) = (self.fd(0)?, self.int(1)?, self.fd(2)?);
        let (events, data) = match self.call.arguments.get(3).map(|expr| (&expr.kind, expr.at)) {
            Some((ExprKind::EpollEvent(event), _)) => {
                (integer(&event.events)? as u32, epoll_data(&event.data)?)
            }
            Some((_, at)) if !is_null(self.at(3)?) => {
                return self.fail(at, "an epoll_event is expected here");
            }
            _ => (0, 0),
        };
        Ok(Call::EpollControl { epoll, operation, fd, events, data })
    }

    /// The bytes that the last argument of getsockopt makes room for.
    fn option_room(&self) -> Lowered<Option<usize>> {
        if is_null(self.at(3)?) {
            return Ok(None);
        }
        Ok(Some(self.pointed_int(4)? as usize))
    }

    fn option_value(&self, index: usize) -> Lowered<Option<Vec<u8>>> {
        let expr = self.at(index)?;
        if is_null(expr) {
            return Ok(None);
        }
        option_bytes(expr).map(Some)
    }
}

/// What epoll keeps with a descriptor, as the script writes it: its own number of it.
pub(super) fn epoll_data(data: &EpollData) -> Lowered<u64> {
    let (EpollData::Fd(value) | EpollData::Pointer(value) | EpollData::U32(value) | EpollData::U64(value)) =
        data;
    Ok(integer(value)? as u64)
}

/// An option's value as it lies in memory.
pub(super) fn option_bytes(expr: &Expr) -> Lowered<Vec<u8>> {
    Ok(match &expr.kind {
        ExprKind::Array(items) => {
            let items: Lowered<Vec<_>> = items.iter().map(option_bytes).collect();
            items?.concat()
        }
        ExprKind::Linger(linger) => [linger.on.to_ne_bytes(), linger.seconds.to_ne_bytes()].concat(),
        ExprKind::Text { bytes, .. } => bytes.clone(),
        ExprKind::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
        ExprKind::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
        // A timeval or another structure of longs.
        ExprKind::Group(fields) => {
            let field = |field: &Expr| match &field.kind {
                ExprKind::Assign { value, .. } => integer(value),
                _ => integer(field),
            };
            let fields: Lowered<Vec<_>> = fields.iter().map(field).collect();
            fields?.into_iter().flat_map(i64::to_ne_bytes).collect()
        }
        _ => (integer(expr)? as i32).to_ne_bytes().to_vec(),
    })
}

/// Control messages as they lie in memory.
fn control_bytes(messages: &[Expr]) -> Lowered<Vec<u8>> {
    let mut bytes = Vec::new();
    for message in messages {
        let ExprKind::Control(control) = &message.kind else {
            return Err(Failure::new(message.at, "a control message is expected here"));
        };
        let payload = option_bytes(&control.data)?;
        bytes.extend(cmsg_len(payload.len()).to_ne_bytes());
        bytes.extend((integer(&control.level)? as i32).to_ne_bytes());
        bytes.extend((integer(&control.kind)? as i32).to_ne_bytes());
        bytes.extend(&payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    Ok(bytes)
}

/// What a script writes: zeros, or what it says, filled up with zeros.
fn data(buffer: &Expr, len: usize) -> Vec<u8> {
    let mut bytes = match &buffer.kind {
        ExprKind::Text { bytes, .. } => bytes.clone(),
        _ => Vec::new(),
    };
    bytes.resize(len, 0);
    bytes
}
