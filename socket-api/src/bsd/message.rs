//! Sending and receiving, from the plain calls to `struct msghdr`.

use core::time::Duration;
use std::io::{IoSlice, IoSliceMut};

use rustix::io::Errno;
use rustix::process::{Pid, getegid, geteuid, getgid, getpid, getuid, test_kill_process};
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{self, Control, ControlMessages, LocalControl};
use tapsock_sockets::local::Credentials;
use tapsock_sockets::{PollMask, SockAddr, UnixAddr};

use super::{open, unix};
use crate::description::{Description, Kind};
use crate::engine::clock::{epoch, now};
use crate::engine::sync::Arc;
use crate::host::Host;
use crate::local::{Flying, Source};

mod header;
mod rights;

pub use header::{ReceivedMessage, RecvMessage, SendMessage};
pub use rights::{Passed, Right};

use rights::{install, shares};

/// Sends `data` on a connected socket and returns how many bytes were taken: all of them, where it blocks. See
/// send(2).
///
/// # Errors
/// EAGAIN, EPIPE, ECONNRESET, ENOTCONN, EDESTADDRREQ, EMSGSIZE, ENETDOWN, EBADF. Where an error comes after some
/// bytes were taken, their number is returned, and the error by the next call.
pub fn send(host: &Host, socket: i32, data: &[u8], flags: i32) -> Result<usize, Errno> {
    sendto(host, socket, data, flags, None)
}

/// As [`send`], to an address. See sendto(2).
///
/// # Errors
/// Those of [`send`], and those that come of the address.
pub fn sendto(
    host: &Host,
    socket: i32,
    data: &[u8],
    flags: i32,
    address: Option<&SockAddr>,
) -> Result<usize, Errno> {
    sendmsg(
        host,
        socket,
        &SendMessage { iov: &[IoSlice::new(data)], address, ..SendMessage::default() },
        flags,
    )
}

/// As [`sendto`], from several places, and with control messages. See sendmsg(2).
///
/// On a local socket those are `SCM_RIGHTS`, with ids of this host, and `SCM_CREDENTIALS`; descriptors of the system are
/// passed by [`SendMessage::rights`]. On all others `SO_TIMESTAMPING`, by which a send asks for time stamps of its own.
/// On those of datagrams also `SO_MARK`, `SO_PRIORITY` (not on ping sockets) and, by the family of the destination,
/// `IP_TTL`, `IP_TOS` and `IP_PKTINFO`, or `IPV6_HOPLIMIT`, `IPV6_TCLASS` and `IPV6_PKTINFO`; on UDP sockets
/// `UDP_SEGMENT`, and to IPv6 `IPV6_FLOWINFO` with its flow label, and `IPV6_DONTFRAG`.
///
/// ```
/// use std::io::{IoSlice, IoSliceMut};
/// use tapsock::bsd::control::{Control, ControlMessages, cmsg_space};
/// use tapsock::bsd::{self, AF_UNIX, RecvMessage, SOCK_STREAM, SendMessage};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let [passed, kept] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let mut control = ControlMessages::with_room(cmsg_space(4));
/// control.push(&Control::Rights(vec![passed]));
/// let iov = [IoSlice::new(b"take this")];
/// let message = SendMessage { iov: &iov, control: control.as_bytes(), ..SendMessage::default() };
/// bsd::sendmsg(&host, here, &message, 0)?;
/// bsd::close(&host, passed)?;
///
/// let (mut bytes, control_room) = ([0; 16], cmsg_space(4));
/// let mut message = RecvMessage { iov: &mut [IoSliceMut::new(&mut bytes)], control_room };
/// let message = bsd::recvmsg(&host, there, &mut message, 0)?;
/// bsd::send(&host, kept, b"hello", 0)?;
/// assert_eq!(bsd::recv(&host, message.rights()[0], &mut [0; 16], 0)?, 5);
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// Those of [`sendto`]; EMSGSIZE for more than 1024 parts. Of control messages: EINVAL where they are malformed, or ask
/// for what is not there; EBADF for an id that stands for nothing; EINVAL for more than 253 that are passed; ETOOMANYREFS
/// where more than a million are under way, or as many descriptors as this process may open; EPERM for credentials that
/// this process may not show, and for a mark or a high priority on a host that is not privileged; ESRCH where there is
/// no such process; ENODEV, ENETUNREACH and EINVAL for interface and source address.
pub fn sendmsg(host: &Host, socket: i32, message: &SendMessage<'_>, flags: i32) -> Result<usize, Errno> {
    check_parts(message.iov.len())?;
    send_on(host, &*open(host, socket)?, message, flags)
}

/// As [`sendmsg`], on a socket that is held for the whole call, whatever its id is given to meanwhile.
pub(crate) fn send_on(
    host: &Host,
    socket: &Description,
    message: &SendMessage<'_>,
    flags: i32,
) -> Result<usize, Errno> {
    check_parts(message.iov.len())?;
    match &socket.kind {
        Kind::Inet(shard, fd) => {
            shard.send_message(*fd, message.iov, message.control, flags, message.address)
        }
        Kind::Local(local) => {
            if !message.control.is_empty() || !message.rights.is_empty() {
                local.check_before_control()?;
            }
            let control = LocalControl::parse(message.control)?;
            let rights = shares(host, &control.rights, message.rights)?;
            let credentials = control.credentials.map(checked).transpose()?;
            let to = match message.address {
                Some(address) if local.is_datagram() => Some(unix(address)?),
                // That there is one is all that the others look at.
                Some(_) => Some(&UnixAddr::UNNAMED),
                None => None,
            };
            local.send_message(Source::several(message.iov), flags, to, rights, credentials)
        }
    }
}

/// Sends several messages, 1024 at the most, and returns the bytes of each that went. See sendmmsg(2).
///
/// # Errors
/// Those of [`sendmsg`] for the first; one that comes later ends the call, and nobody is told: as on Linux, one that the
/// socket had pending is gone then. So does a message that goes only in part.
pub fn sendmmsg(
    host: &Host,
    socket: i32,
    messages: &[SendMessage<'_>],
    flags: i32,
) -> Result<Vec<usize>, Errno> {
    let socket = open(host, socket)?;
    let mut sent = Vec::new();
    for message in messages.iter().take(IOV_MAX) {
        match send_on(host, &socket, message, flags) {
            Ok(len) => {
                sent.push(len);
                if len < message.iov.iter().map(|part| part.len()).sum() {
                    break;
                }
            }
            Err(errno) if sent.is_empty() => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// As [`send`] without flags. See write(2).
///
/// # Errors
/// Those of [`send`]; EINVAL for an epoll instance.
pub fn write(host: &Host, socket: i32, data: &[u8]) -> Result<usize, Errno> {
    let message = SendMessage { iov: &[IoSlice::new(data)], ..SendMessage::default() };
    send_on(host, &*open_file(host, socket)?, &message, 0)
}

/// As [`write()`], from several places. Where there are no bytes it does nothing. See writev(2).
///
/// # Errors
/// Those of [`send`]; EINVAL for more than 1024 parts, and for an epoll instance.
pub fn writev(host: &Host, socket: i32, data: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let socket = open_file(host, socket)?;
    if data.len() > IOV_MAX {
        return Err(Errno::INVAL);
    }
    if data.iter().all(|part| part.is_empty()) {
        return Ok(0);
    }
    send_on(host, &socket, &SendMessage { iov: data, ..SendMessage::default() }, 0)
}

/// Receives into `into` and returns how many bytes: 0 at the end of a stream; with `MSG_TRUNC` the length of the
/// datagram, which may be more than was copied. Blocks until there is something. See recv(2).
///
/// # Errors
/// EAGAIN, ECONNRESET, ECONNREFUSED, ETIMEDOUT, ENOTCONN, ENETDOWN, EBADF.
pub fn recv(host: &Host, socket: i32, into: &mut [u8], flags: i32) -> Result<usize, Errno> {
    let mut message = RecvMessage { iov: &mut [IoSliceMut::new(into)], control_room: 0 };
    receive(host, &*open(host, socket)?, &mut message, flags, Sender::Unasked).map(|received| received.len)
}

/// As [`recv`], with the sender's address, where the protocol tells it. See recvfrom(2).
///
/// # Errors
/// Those of [`recv`].
pub fn recvfrom(
    host: &Host,
    socket: i32,
    into: &mut [u8],
    flags: i32,
) -> Result<(usize, Option<SockAddr>), Errno> {
    let mut message = RecvMessage { iov: &mut [IoSliceMut::new(into)], control_room: 0 };
    receive(host, &*open(host, socket)?, &mut message, flags, Sender::Asked)
        .map(|received| (received.len, received.address))
}

/// As [`recvfrom`], into several places, and with control messages. See recvmsg(2).
///
/// What is passed ([`ReceivedMessage::passed`]) and finds no room, or no free number, is closed: `MSG_CTRUNC`.
///
/// ```
/// use std::io::IoSliceMut;
/// use tapsock::bsd::control::{Control, cmsg_space};
/// use tapsock::bsd::{self, AF_INET, IP_RECVTTL, RecvMessage, SOCK_DGRAM, SOL_IP};
/// use tapsock::{Errno, Host, SockAddr};
///
/// let host = Host::builder().start().unwrap();
/// let socket = bsd::socket(&host, AF_INET, SOCK_DGRAM, 0)?;
/// bsd::bind(&host, socket, &SockAddr::V4("127.0.0.1:0".parse().unwrap()))?;
/// bsd::setsockopt(&host, socket, SOL_IP, IP_RECVTTL, &1i32.to_ne_bytes())?;
/// let own = bsd::getsockname(&host, socket)?;
/// bsd::sendto(&host, socket, b"hello", 0, Some(&own))?;
///
/// let mut bytes = [0; 16];
/// let mut iov = [IoSliceMut::new(&mut bytes)];
/// let mut message = RecvMessage { iov: &mut iov, control_room: cmsg_space(4) };
/// let received = bsd::recvmsg(&host, socket, &mut message, 0)?;
/// assert_eq!((received.len, received.messages()), (5, vec![Control::Ttl(64)]));
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// Those of [`recv`]; EMSGSIZE for more than 1024 parts.
pub fn recvmsg(
    host: &Host,
    socket: i32,
    message: &mut RecvMessage<'_, '_>,
    flags: i32,
) -> Result<ReceivedMessage, Errno> {
    check_parts(message.iov.len())?;
    receive_on(host, &*open(host, socket)?, message, flags)
}

/// As [`recvmsg`], on a socket that is held for the whole call.
pub(crate) fn receive_on(
    host: &Host,
    socket: &Description,
    message: &mut RecvMessage<'_, '_>,
    flags: i32,
) -> Result<ReceivedMessage, Errno> {
    receive(host, socket, message, flags, Sender::Asked)
}

/// Receives several messages, as many as there are places for, 1024 at the most. With `MSG_WAITFORONE` it blocks for
/// the first only. `timeout` is looked at after each message, as on Linux: it ends no call that blocks. See
/// recvmmsg(2).
///
/// # Errors
/// Those of [`recvmsg`] for the first; one that comes later ends the call, and the next call tells it.
pub fn recvmmsg(
    host: &Host,
    socket: i32,
    messages: &mut [RecvMessage<'_, '_>],
    flags: i32,
    timeout: Option<Duration>,
) -> Result<Vec<ReceivedMessage>, Errno> {
    let description = open(host, socket)?;
    let deadline = timeout.map(|timeout| now() + timeout);
    let mut flags = flags;
    let wait_for_one = flags & MSG_WAITFORONE != 0;
    flags &= !MSG_WAITFORONE;
    let mut received = Vec::new();
    // Also where there is no place for a message.
    if flags & MSG_ERRQUEUE == 0 && has_error(&description) {
        take_error(&description)?;
    }
    for message in messages.iter_mut().take(IOV_MAX) {
        // The error is the next call's.
        if !received.is_empty() && has_error(&description) {
            break;
        }
        match receive(host, &description, message, flags, Sender::Asked) {
            Ok(one) => received.push(one),
            Err(errno) if received.is_empty() => return Err(errno),
            Err(errno) => {
                // That there is no more is no error of the socket's.
                if errno != Errno::AGAIN {
                    put_error_back(&description, errno);
                }
                break;
            }
        }
        if wait_for_one {
            flags |= MSG_DONTWAIT;
        }
        if deadline.is_some_and(|deadline| deadline <= now()) {
            break;
        }
    }
    Ok(received)
}

/// As [`recv`] without flags. Where there is no room it does nothing. See read(2).
///
/// # Errors
/// Those of [`recv`]; EINVAL for an epoll instance.
pub fn read(host: &Host, socket: i32, into: &mut [u8]) -> Result<usize, Errno> {
    readv(host, socket, &mut [IoSliceMut::new(into)])
}

/// As [`read`], into several places. See readv(2).
///
/// # Errors
/// Those of [`recv`]; EINVAL for more than 1024 parts, and for an epoll instance.
pub fn readv(host: &Host, socket: i32, into: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    let socket = open_file(host, socket)?;
    if into.len() > IOV_MAX {
        return Err(Errno::INVAL);
    }
    if into.iter().all(|part| part.is_empty()) {
        return Ok(0);
    }
    let mut message = RecvMessage { iov: into, control_room: 0 };
    receive(host, &socket, &mut message, 0, Sender::Unasked).map(|received| received.len)
}

/// An epoll instance is a file that can't be read or written, not one that is no socket.
fn open_file(host: &Host, id: i32) -> Result<Arc<Description>, Errno> {
    open(host, id).map_err(|errno| if errno == Errno::NOTSOCK { Errno::INVAL } else { errno })
}

/// Errors: EMSGSIZE.
fn check_parts(count: usize) -> Result<(), Errno> {
    if count > IOV_MAX { Err(Errno::MSGSIZE) } else { Ok(()) }
}

/// Whether the caller wants to know who sent it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Sender {
    Asked,
    Unasked,
}

fn receive(
    host: &Host,
    socket: &Description,
    message: &mut RecvMessage<'_, '_>,
    flags: i32,
    sender: Sender,
) -> Result<ReceivedMessage, Errno> {
    check_parts(message.iov.len())?;
    let mut control = ControlMessages::with_room(message.control_room);
    let told = |len, full_len| if flags & MSG_TRUNC != 0 { full_len } else { len };
    let mut passed = Vec::new();
    let (len, address, said) = match &socket.kind {
        Kind::Inet(shard, fd) => {
            let received = shard.receive_message(*fd, message.iov, flags)?;
            for stamp in received.stamps.into_iter().flatten() {
                control.push(&stamp.since_1970(epoch()));
            }
            received.control.iter().for_each(|message| control.push(message));
            (told(received.len, received.full_len), received.from, received.flags)
        }
        Kind::Local(local) => {
            let received = local.receive_parts(message.iov, flags)?;
            if let Some(stamp) = received.stamp {
                control.push(&stamp.since_1970(epoch()));
            }
            if let Some(Credentials { pid, uid, gid }) = received.credentials {
                control.push(&Control::Credentials(control::Credentials { pid, uid, gid }));
            }
            let rights = received.rights.into_iter().map(Flying::land).collect();
            passed = install(host, rights, &mut control, flags);
            let from = match sender {
                Sender::Asked if received.is_end => None,
                Sender::Asked => received.from.or_else(|| local.peer_name().ok()),
                Sender::Unasked => None,
            };
            let named = from.filter(|from| *from != UnixAddr::UNNAMED).map(SockAddr::Unix);
            let cut = if received.len < received.full_len { MSG_TRUNC } else { 0 };
            (told(received.len, received.full_len), named, cut | flags & MSG_OOB)
        }
    };
    let lost = if control.is_truncated() { MSG_CTRUNC } else { 0 };
    let flags = said | lost | flags & MSG_CMSG_CLOEXEC;
    Ok(ReceivedMessage { len, address, flags, control: control.into_bytes(), passed })
}

/// The credentials as they are shown: unix(7). Root may show any.
///
/// Errors: EPERM for those of others, ESRCH for a process that there is not, EINVAL for ids that nobody has.
fn checked(wanted: control::Credentials) -> Result<Credentials, Errno> {
    let control::Credentials { pid, uid, gid } = wanted;
    let own = getpid().as_raw_nonzero().get();
    let is_ours = pid == own
        && [getuid(), geteuid()].iter().any(|id| id.as_raw() == uid)
        && [getgid(), getegid()].iter().any(|id| id.as_raw() == gid);
    if !is_ours && !geteuid().is_root() {
        return Err(Errno::PERM);
    }
    let process = if pid > 0 { Pid::from_raw(pid) } else { None };
    if pid != own && process.is_none_or(|process| test_kill_process(process) == Err(Errno::SRCH)) {
        return Err(Errno::SRCH);
    }
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok(Credentials { pid, uid, gid })
}

fn has_error(description: &Description) -> bool {
    match &description.kind {
        Kind::Inet(shard, fd) => {
            shard.call(Errno::AGAIN, |sockets, _| Ok(sockets.has_pending_error(*fd))).unwrap_or(false)
        }
        Kind::Local(local) => local.readiness().intersects(PollMask::ERR),
    }
}

/// The next call tells it.
fn put_error_back(description: &Description, errno: Errno) {
    match &description.kind {
        // One that is closed has none.
        Kind::Inet(shard, fd) => drop(shard.call(Errno::AGAIN, |sockets, _| {
            sockets.put_error_back(*fd, errno);
            Ok(())
        })),
        Kind::Local(local) if errno == Errno::CONNRESET => local.put_error_back(),
        Kind::Local(_) => {}
    }
}

/// Errors: the pending one, which is taken.
fn take_error(description: &Description) -> Result<(), Errno> {
    match description.kind.option(SOL_SOCKET, SO_ERROR)?.as_int() {
        None | Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
    }
}

/// Linux's UIO_MAXIOV.
const IOV_MAX: usize = 1024;
