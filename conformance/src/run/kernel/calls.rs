//! Calls of a script, made of the kernel.

use core::time::Duration;
use std::io;

use tapsock_sockets::Errno;

use super::sys;
use crate::run::call::{Call, Message, Outcome, Output};

/// Makes a call, and waits for its end.
pub(super) fn perform(call: &Call) -> Outcome {
    attempt(call).unwrap_or_else(|error| Outcome::failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
}

fn attempt(call: &Call) -> io::Result<Outcome> {
    let done = |()| Outcome::returned(0);
    let number = |fd: i32| Outcome::returned(fd.into());
    match call {
        Call::Socket { domain, kind, protocol } => sys::socket(*domain, *kind, *protocol).map(number),
        Call::Bind { fd, address } => sys::bind(*fd, address).map(done),
        Call::Listen { fd, backlog } => sys::listen(*fd, *backlog).map(done),
        Call::Accept { fd, flags } => {
            let (accepted, peer) = sys::accept(*fd, *flags)?;
            Ok(Outcome::with(accepted.into(), Output::Address(peer)))
        }
        Call::Connect { fd, address } => sys::connect(*fd, address).map(done),
        Call::Receive(receive) => {
            let room = receive.control_room;
            let got = sys::receive(receive.fd, &receive.pieces, receive.flags, receive.is_null, room)?;
            let from = (receive.wants_address && !got.name.is_empty()).then_some(got.name);
            let message = Message { data: got.data, from, flags: got.flags, control: got.control };
            Ok(Outcome::with(got.count, Output::Message(message)))
        }
        Call::Send(send) => {
            let to = send.to.as_deref();
            let pieces = std::mem::ManuallyDrop::new(send.pieces.clone());
            let sent = sys::send(send.fd, &pieces, send.flags, send.is_null, to, &send.control);
            // Of a send without a copy the kernel has the bytes until the script's end.
            if send.flags & libc::MSG_ZEROCOPY == 0 {
                drop(std::mem::ManuallyDrop::into_inner(pieces));
            }
            let sent = sent?;
            Ok(Outcome::returned(sent))
        }
        Call::Shutdown { fd, how } => sys::shutdown(*fd, *how).map(done),
        Call::Close { fd } => sys::close(*fd).map(done),
        Call::GetOption { fd, level, name, room } => {
            let value = sys::getsockopt(*fd, *level, *name, *room)?;
            Ok(Outcome::with(0, Output::Option(value)))
        }
        Call::SetOption { fd, level, name, value, len } => {
            sys::setsockopt(*fd, *level, *name, value.as_deref(), *len).map(done)
        }
        Call::Fcntl { fd, command, argument } => sys::fcntl(*fd, *command, *argument).map(Outcome::returned),
        Call::Ioctl { fd, request, value } => {
            let (result, value) = sys::ioctl(*fd, *request, *value)?;
            Ok(Outcome::with(result, Output::Int(value)))
        }
        Call::Poll { fds, timeout } => {
            let (count, revents) = sys::poll(fds, milliseconds(*timeout))?;
            Ok(Outcome::with(count, Output::Revents(revents)))
        }
        Call::EpollCreate => sys::epoll_create().map(number),
        Call::EpollControl { epoll, operation, fd, events, data } => {
            sys::epoll_control(*epoll, *operation, *fd, *events, *data).map(done)
        }
        Call::EpollWait { epoll, max, timeout } => {
            let events = sys::epoll_wait(*epoll, *max, milliseconds(*timeout))?;
            Ok(Outcome::with(events.len() as i64, Output::Events(events)))
        }
        Call::Pipe => sys::pipe().map(|ends| Outcome::with(0, Output::Pipe(ends))),
        Call::Splice { from, to, len, flags } => sys::splice(*from, *to, *len, *flags).map(Outcome::returned),
        Call::SendFile { to, from, offset, count } => {
            let (sent, offset) = sys::send_file(*to, *from, *offset, *count)?;
            Ok(Outcome::with(sent, Output::Offset(offset)))
        }
        Call::Open { path, flags } => sys::open(path, *flags).map(number),
    }
}

/// A time-out as poll(2) takes it.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX))
}
