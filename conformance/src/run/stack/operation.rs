//! Calls that may wait: tried again whenever something has happened.

use core::time::Duration;

use tapsock_sockets::constants::*;
use tapsock_sockets::control::ControlMessages;
use tapsock_sockets::{Blocking, Errno, PollMask, Received, SockAddr, Stop, Wait};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use super::StackTarget;
use super::descriptors::{Item, PIPE_CAPACITY};
use crate::run::call::{Call, Descriptor, Message, Outcome, Output, Receive, Send};

/// How far a call has come.
pub(super) enum Progress {
    Done(Outcome),
    Waits,
}

/// A call under way.
pub(super) struct Operation {
    call: Call,
    /// When it gives up; known from its first attempt on.
    deadline: Option<Option<Instant>>,
    /// What it waits for.
    wait: Option<Wait>,
    /// What a call that receives has so far.
    message: Message,
    /// Bytes moved so far.
    moved: usize,
}

/// Why an attempt did not end the call, or that it failed.
enum Hold {
    Wait(Wait),
    /// It waits for something that is no socket.
    Look,
    Error(Errno),
}

impl From<Stop> for Hold {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Wait(wait) => Hold::Wait(wait),
            Stop::Error(errno) => Hold::Error(errno),
        }
    }
}

impl From<Errno> for Hold {
    fn from(errno: Errno) -> Self {
        Hold::Error(errno)
    }
}

impl Operation {
    pub(super) fn new(call: Call) -> Self {
        Operation { call, deadline: None, wait: None, message: Message::default(), moved: 0 }
    }

    /// When the call ends though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.flatten()
    }

    /// Tries the call, or goes on with it.
    pub(super) fn attempt(&mut self, target: &mut StackTarget) -> Progress {
        let is_late = self.deadline().is_some_and(|deadline| deadline <= target.now);
        if !is_late && !self.may_go_on(target) {
            return Progress::Waits;
        }
        let call = self.call.clone();
        let held = match self.run(&call, target) {
            Ok(outcome) => return Progress::Done(outcome),
            Err(held) => held,
        };
        match held {
            Hold::Error(errno) => return Progress::Done(Outcome::failed(errno)),
            Hold::Wait(wait) => {
                self.wait = Some(wait);
                let deadline = *self.deadline.get_or_insert(wait.deadline);
                if deadline.is_some_and(|deadline| deadline <= target.now) {
                    return Progress::Done(self.give_up(target));
                }
            }
            Hold::Look if is_late => return Progress::Done(self.give_up(target)),
            Hold::Look => {}
        }
        Progress::Waits
    }

    /// Whether what the call waits for has come. One that receives looks at each arrival itself, for it may wait for a
    /// certain number of bytes, and so does one that closes: to all others its socket is gone.
    fn may_go_on(&self, target: &StackTarget) -> bool {
        match (&self.call, self.wait) {
            (Call::Receive(_) | Call::Close { .. }, _) | (_, None) => true,
            (_, Some(wait)) => target.sockets.readiness(wait.socket).intersects(wait.mask),
        }
    }

    /// The end of a call whose time is over, or for which nothing comes any more.
    pub(super) fn give_up(&mut self, target: &mut StackTarget) -> Outcome {
        match &self.call {
            Call::Connect { .. } => Outcome::failed(Errno::INPROGRESS),
            Call::Poll { fds, .. } => Outcome::with(0, Output::Revents(vec![0; fds.len()])),
            Call::EpollWait { .. } => Outcome::with(0, Output::Events(Vec::new())),
            Call::Close { .. } => {
                if let Some(wait) = self.wait {
                    // The connection goes on by itself.
                    let _ = target.sockets.close(target.now, wait.socket);
                }
                Outcome::returned(0)
            }
            Call::Receive(receive) => {
                let receive = Receive { flags: receive.flags | MSG_DONTWAIT, ..receive.clone() };
                match self.receive(&receive, target) {
                    Ok(outcome) => outcome,
                    Err(_) => Outcome::failed(Errno::AGAIN),
                }
            }
            _ if self.moved > 0 => Outcome::returned(self.moved as i64),
            _ => Outcome::failed(Errno::AGAIN),
        }
    }

    fn run(&mut self, call: &Call, target: &mut StackTarget) -> Result<Outcome, Hold> {
        let now = target.now;
        match call {
            Call::Accept { fd, flags } => {
                let fd = target.descriptors.socket(*fd)?;
                let (accepted, peer) = target.sockets.try_accept(now, fd, *flags)?;
                let number = target.descriptors.insert(Item::Socket(accepted))?;
                Ok(Outcome::with(number.into(), Output::Address(peer.as_bytes().to_vec())))
            }
            Call::Connect { fd, address } => {
                let fd = target.descriptors.socket(*fd)?;
                let address = SockAddr::from_bytes(address)?;
                match self.wait {
                    None => target.sockets.try_connect(now, fd, &address)?,
                    Some(_) => target.sockets.try_connect_again(now, fd, &address)?,
                }
                Ok(Outcome::returned(0))
            }
            Call::Close { fd } => self.close(*fd, target),
            Call::Receive(receive) => self.receive(receive, target),
            Call::Send(send) => self.send(send, target),
            Call::Poll { fds, timeout } => self.poll(fds, *timeout, target),
            Call::EpollWait { epoll, max, timeout } => self.epoll_wait(*epoll, *max, *timeout, target),
            Call::Splice { from, to, len, flags } => self.splice(*from, *to, *len, *flags, target),
            Call::SendFile { to, from, offset, count } => self.send_file(*to, *from, *offset, *count, target),
            call => Ok(target.immediate(call)?),
        }
    }

    fn close(&mut self, number: Descriptor, target: &mut StackTarget) -> Result<Outcome, Hold> {
        match self.wait {
            Some(wait) => target.sockets.try_end_linger(target.now, wait.socket)?,
            None => {
                if let Item::Socket(fd) = target.descriptors.remove(number)? {
                    target.sockets.try_close(target.now, fd)?;
                }
            }
        }
        Ok(Outcome::returned(0))
    }

    fn receive(&mut self, receive: &Receive, target: &mut StackTarget) -> Result<Outcome, Hold> {
        let fd = match target.descriptors.get_mut(receive.fd)? {
            Item::Socket(fd) => *fd,
            Item::PipeReader(index) => {
                let index = *index;
                let pipe = target.descriptors.pipe(index);
                if pipe.is_empty() {
                    return Err(Hold::Look);
                }
                let count = receive.room().min(pipe.len());
                return Ok(bytes_read(pipe.drain(..count).collect()));
            }
            Item::File { bytes, position } => {
                let end = bytes.len().min(*position + receive.room());
                let read = bytes[*position..end].to_vec();
                *position = end;
                return Ok(bytes_read(read));
            }
            Item::Epoll(_) | Item::PipeWriter(_) => return Err(Errno::INVAL.into()),
        };
        let for_all = receive.flags & MSG_WAITALL != 0 && receive.flags & MSG_PEEK == 0;
        loop {
            let room = receive.room() - self.moved;
            // Once there are some bytes, an error is left to the next call.
            if self.moved > 0 && target.sockets.has_pending_error(fd) {
                return Ok(self.received());
            }
            let flags = receive.flags | if receive.is_null { MSG_PEEK } else { 0 };
            let got = match target.sockets.try_recv(target.now, fd, room, flags) {
                Err(Stop::Error(_)) if self.moved > 0 => return Ok(self.received()),
                got => got?,
            };
            if receive.is_null && !got.data.is_empty() {
                return Err(Errno::FAULT.into());
            }
            let (full_len, ends) = (got.full_len, got.ends_call || got.from.is_some());
            self.take(got, receive);
            if !for_all || ends || full_len == 0 || self.moved >= receive.room() {
                return Ok(self.received());
            }
        }
    }

    /// Adds what one attempt brought.
    fn take(&mut self, got: Received, receive: &Receive) {
        let Received { data, from, full_len, flags, stamps, control, .. } = got;
        // recv(2): MSG_TRUNC gives the length of the whole, of a stream what was thrown away.
        let counts_all = receive.flags & MSG_TRUNC != 0;
        self.moved += if counts_all { full_len } else { data.len() };
        self.message.data.extend(data.to_vec());
        self.message.flags |= flags;
        if let Some(from) = from.filter(|_| receive.wants_address) {
            self.message.from = Some(from.as_bytes().to_vec());
        }
        let mut messages = ControlMessages::with_room(receive.control_room);
        // The target's clock began in 1970.
        stamps.iter().flatten().for_each(|stamp| messages.push(&stamp.since_1970(Duration::ZERO)));
        control.iter().for_each(|message| messages.push(message));
        if messages.is_truncated() {
            self.message.flags |= MSG_CTRUNC;
        }
        if receive.control_room > 0 {
            self.message.control = messages.into_bytes();
        }
    }

    fn received(&mut self) -> Outcome {
        let message = core::mem::take(&mut self.message);
        Outcome::with(self.moved as i64, Output::Message(message))
    }

    fn send(&mut self, send: &Send, target: &mut StackTarget) -> Result<Outcome, Hold> {
        let fd = match *target.descriptors.get(send.fd)? {
            Item::Socket(fd) => fd,
            Item::PipeWriter(index) => {
                target.descriptors.pipe(index).extend(send.data());
                return Ok(Outcome::returned(send.data().len() as i64));
            }
            _ => return Err(Errno::BADF.into()),
        };
        let to = send.to.as_deref().map(SockAddr::from_bytes).transpose()?;
        let data = send.data();
        if send.is_null && !data.is_empty() {
            // Linux looks at the connection before it reads the bytes.
            target.sockets.try_send(target.now, fd, &mut Rope::from(Vec::new()), send.flags, to.as_ref())?;
            return Err(Errno::FAULT.into());
        }
        let waits = send.flags & MSG_DONTWAIT == 0 && target.sockets.blocking(fd) == Ok(Blocking::Waits);
        let mut rest = Rope::from(data[self.moved.min(data.len())..].to_vec());
        let zero_copy = send.flags & MSG_ZEROCOPY != 0 && target.sockets.splits_sends(fd);
        let flags = if zero_copy { send.flags & !MSG_ZEROCOPY } else { send.flags };
        loop {
            if self.moved > 0 && target.sockets.has_pending_error(fd) {
                break;
            }
            let sent =
                target.sockets.try_sendmsg(target.now, fd, &mut rest, &send.control, flags, to.as_ref());
            let count = match sent {
                Err(Stop::Error(_)) if self.moved > 0 => break,
                sent => sent?,
            };
            self.moved += count;
            if rest.is_empty() || count == 0 || !waits {
                break;
            }
            // What may go out does so before room for the rest is looked for.
            target.take_sent();
        }
        if zero_copy && self.moved > 0 {
            // It fails where the socket is gone, and then there is nobody to tell.
            let _ = target.sockets.end_zero_copy(target.now, fd);
        }
        Ok(Outcome::returned(self.moved as i64))
    }

    fn poll(
        &mut self,
        fds: &[(Descriptor, u16)],
        timeout: Option<Duration>,
        target: &mut StackTarget,
    ) -> Result<Outcome, Hold> {
        let revents: Vec<u16> = fds
            .iter()
            .map(|(fd, events)| {
                let ready = target.descriptors.readiness(*fd, &target.sockets);
                PollMask::from_bits(*events).reported(ready).bits()
            })
            .collect();
        let count = revents.iter().filter(|revents| **revents != 0).count();
        self.look_until(timeout, target);
        if count == 0 && timeout != Some(Duration::ZERO) {
            return Err(Hold::Look);
        }
        Ok(Outcome::with(count as i64, Output::Revents(revents)))
    }

    fn epoll_wait(
        &mut self,
        epoll: Descriptor,
        max: i32,
        timeout: Option<Duration>,
        target: &mut StackTarget,
    ) -> Result<Outcome, Hold> {
        let max = usize::try_from(max).ok().filter(|max| *max > 0).ok_or(Errno::INVAL)?;
        let sockets = &target.sockets;
        let Item::Epoll(set) = target.descriptors.get_mut(epoll)? else {
            return Err(Errno::INVAL.into());
        };
        let events = set.collect(max, |fd| sockets.readiness(*fd));
        self.look_until(timeout, target);
        if events.is_empty() && timeout != Some(Duration::ZERO) {
            return Err(Hold::Look);
        }
        let events: Vec<_> = events.into_iter().map(|event| (event.events, event.data)).collect();
        Ok(Outcome::with(events.len() as i64, Output::Events(events)))
    }

    /// Sets the deadline of a call that brings its own time-out.
    fn look_until(&mut self, timeout: Option<Duration>, target: &StackTarget) {
        self.deadline.get_or_insert(timeout.map(|timeout| target.now + timeout));
    }

    fn splice(
        &mut self,
        from: Descriptor,
        to: Descriptor,
        len: usize,
        flags: u32,
        target: &mut StackTarget,
    ) -> Result<Outcome, Hold> {
        let flags = if flags & SPLICE_F_NONBLOCK != 0 { MSG_DONTWAIT } else { 0 };
        match (target.descriptors.get(from)?, target.descriptors.get(to)?) {
            (Item::Socket(fd), Item::PipeWriter(index)) => {
                let (fd, index) = (*fd, *index);
                let room = PIPE_CAPACITY - target.descriptors.pipe(index).len();
                // Linux does not come past an urgent byte, nor wait behind it.
                if target.sockets.ioctl(fd, SIOCATMARK) == Ok(1) {
                    return Ok(Outcome::returned(0));
                }
                let got = target.sockets.try_recv(target.now, fd, len.min(room), flags)?;
                let bytes = got.data.to_vec();
                target.descriptors.pipe(index).extend(&bytes);
                Ok(Outcome::returned(bytes.len() as i64))
            }
            (Item::PipeReader(index), Item::Socket(fd)) => {
                let (fd, index) = (*fd, *index);
                let bytes: Vec<u8> = target.descriptors.pipe(index).iter().take(len).copied().collect();
                if bytes.is_empty() {
                    return Err(Hold::Look);
                }
                let mut rope = Rope::from(bytes);
                let count = target.sockets.try_send(target.now, fd, &mut rope, flags, None)?;
                target.descriptors.pipe(index).drain(..count);
                Ok(Outcome::returned(count as i64))
            }
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn send_file(
        &mut self,
        to: Descriptor,
        from: Descriptor,
        offset: Option<u64>,
        count: usize,
        target: &mut StackTarget,
    ) -> Result<Outcome, Hold> {
        let fd = target.descriptors.socket(to)?;
        let Item::File { bytes, position } = target.descriptors.get(from)? else {
            return Err(Errno::INVAL.into());
        };
        let start = offset.map_or(*position, |offset| offset as usize) + self.moved;
        let end = bytes.len().min(start + count - self.moved);
        let mut rest = Rope::from(bytes.get(start..end).unwrap_or_default().to_vec());
        while !rest.is_empty() {
            self.moved += target.sockets.try_send(target.now, fd, &mut rest, 0, None)?;
        }
        if offset.is_none()
            && let Item::File { position, .. } = target.descriptors.get_mut(from)?
        {
            *position += self.moved;
        }
        let end = offset.unwrap_or(0) + self.moved as u64;
        Ok(Outcome::with(self.moved as i64, Output::Offset(end)))
    }
}

/// splice(2): do not wait.
const SPLICE_F_NONBLOCK: u32 = 2;

fn bytes_read(data: Vec<u8>) -> Outcome {
    Outcome::with(data.len() as i64, Output::Message(Message { data, ..Message::default() }))
}
