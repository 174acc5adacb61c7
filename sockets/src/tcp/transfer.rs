//! Sending and receiving, urgent data among it.

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::stack::{Counted, Stack, TcpId};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::{Push, ReadError};
use tapsock_stack::tcp::urgent::{Keeping, Urgency, UrgentError};

use super::{Phase, TcpSocket};
use crate::address::SockAddr;
use crate::beside;
use crate::constants::{MSG_EOR, MSG_ERRQUEUE, MSG_MORE, MSG_OOB, MSG_PEEK, MSG_TRUNC};
use crate::control::Control;
use crate::errno::ToErrno;
use crate::options::{SocketOptions, Told};
use crate::socket::{Call, Received, Stop};

impl TcpSocket {
    pub(crate) fn send(
        &mut self,
        call: &mut Call<'_>,
        data: &mut Rope,
        flags: i32,
        control: &[u8],
        to: Option<&SockAddr>,
    ) -> Result<usize, Stop> {
        if let Some(taken) = self.send_first(call, data, flags, to)? {
            return Ok(taken);
        }
        let error = self.take_hard_error(call);
        let id = match (error, self.connection_id()) {
            (Some(errno), _) => return Err(errno.into()),
            (None, Some(id)) => id,
            (None, None) => return Err(Errno::PIPE.into()),
        };
        let Some(connection) = call.stack.tcp(id) else {
            return Err(Errno::PIPE.into());
        };
        if matches!(connection.state(), State::SynSent | State::SynReceived) && !connection.is_early() {
            if call.waits_to_send(flags) && !data.is_empty() && self.early().is_none() {
                call.stack.tcp_await_open(id);
            }
            return Err(call.wait_out(flags));
        }
        let early = self.take_early(data);
        if early > 0 && data.is_empty() {
            return Ok(early);
        }
        let Some(connection) = call.stack.tcp(id) else {
            return Err(Errno::PIPE.into());
        };
        let open = connection.state().can_send() || connection.is_early();
        if !open || connection.is_write_closed() || self.send_shut {
            return Err(Errno::PIPE.into());
        }
        // As on Linux, only where there is something to send on.
        let stamps = beside::stream_stamps(call, control)?;
        let Some(connection) = call.stack.tcp(id) else {
            return Err(Errno::PIPE.into());
        };
        let room = connection.free_space();
        if room < data.len() {
            self.starved.set(true);
        }
        if room == 0 && !data.is_empty() {
            return if early > 0 { Ok(early) } else { Err(call.wait_out(flags)) };
        }
        let part = data.split_to(room);
        if part.is_empty() {
            return Ok(0);
        }
        let urgency = if flags & MSG_OOB != 0 { Urgency::LastByte } else { Urgency::Normal };
        let push = match data.is_empty() {
            true if flags & (MSG_EOR | MSG_MORE) == MSG_EOR | MSG_MORE => Push::EndOfRecordLater,
            true if flags & MSG_EOR != 0 => Push::EndOfRecord,
            _ if flags & MSG_MORE != 0 => Push::Later,
            _ => Push::Now,
        };
        let written = call.stack.tcp_write_as(call.now, id, part, urgency, push);
        let taken = written.map_err(|error| error.errno())?;
        if taken > 0 {
            self.report_zero_copy(call, flags);
        }
        // The last byte of the whole call is the one that counts.
        if data.is_empty() || !call.waits_to_send(flags) {
            let counted =
                if call.options().rare().timestamping.counts() { Counted::Yes } else { Counted::No };
            call.stack.tcp_stamp_write(id, stamps, counted);
        }
        Ok(early + taken)
    }

    pub(crate) fn receive(&mut self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        if flags & MSG_ERRQUEUE != 0 {
            let report = self.take_report(call).ok_or(Errno::AGAIN)?;
            return Ok(crate::reports::received(call, report, max));
        }
        if flags & MSG_OOB != 0 {
            return Ok(self.receive_urgent(call, max, flags)?);
        }
        if self.is_listening() {
            return Err(Errno::NOTCONN.into());
        }
        let Some(id) = self.connection_id() else {
            return match self.error.take() {
                Some(errno) => Err(errno.into()),
                None if self.receive_shut && !self.is_listening() => {
                    let asked = call.options().told.contains(Told::UNREAD);
                    let control = asked.then_some(Control::Unread(0)).into_iter().collect();
                    Ok(Received { control, ..Received::default() })
                }
                None => Err(Errno::NOTCONN.into()),
            };
        };
        if self.waits_for_more(call, id, max, flags) {
            return Err(call.wait_in(flags));
        }
        let start = call.options().peek_start();
        let read = if flags & MSG_PEEK != 0 { self.peek(call, id, max) } else { self.read(call, id, max) };
        match read {
            Ok((data, ends_call)) => {
                let ahead = if flags & MSG_PEEK != 0 { start + data.len() } else { 0 };
                let full_len = data.len();
                let stamps = self.stamps(call, id, ahead);
                // tcp(7): MSG_TRUNC throws the bytes away.
                let data = if flags & MSG_TRUNC != 0 { Rope::new() } else { data };
                let control = self.unread_told(call, id);
                Ok(Received { data, full_len, ends_call, stamps, control, ..Received::default() })
            }
            Err(ReadError::Socket(error)) => Err(error.errno().into()),
            // The connection is over, and its error was told.
            Err(ReadError::NotConnected) => Ok(self.nothing(call, id)),
            Err(ReadError::WouldBlock) if self.receive_shut => Ok(self.nothing(call, id)),
            Err(ReadError::WouldBlock) => Err(call.wait_in(flags)),
        }
    }

    fn nothing(&self, call: &Call<'_>, id: TcpId) -> Received {
        Received { control: self.unread_told(call, id), ..Received::default() }
    }

    /// What is told beside no data.
    pub(crate) fn nothing_read(&self, stack: &Stack, options: &SocketOptions) -> Received {
        let control = self.connection_id().map(|id| unread(stack, options, id));
        Received { control: control.unwrap_or_default(), ..Received::default() }
    }

    fn unread_told(&self, call: &Call<'_>, id: TcpId) -> Vec<Control> {
        unread(call.stack, call.options(), id)
    }

    /// The bytes, and whether they end before an urgent one.
    fn read(&self, call: &mut Call<'_>, id: TcpId, max: usize) -> Result<(Rope, bool), ReadError> {
        let data = call.stack.tcp_read(call.now, id, max)?;
        call.common.options.move_peek_offset(-(data.len() as i64));
        let at_mark = call.stack.tcp(id).is_some_and(|connection| connection.is_at_mark());
        Ok((data, at_mark))
    }

    fn peek(&self, call: &mut Call<'_>, id: TcpId, max: usize) -> Result<(Rope, bool), ReadError> {
        let data = call.stack.tcp_peek(id, call.options().peek_start(), max)?;
        call.common.options.move_peek_offset(data.len() as i64);
        Ok((data, true))
    }

    /// The urgent byte, which never waits: tcp(7). In Linux's order.
    fn receive_urgent(&self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Errno> {
        if let Phase::Listening(_) = self.phase {
            return Err(Errno::NOTCONN);
        }
        let id = self.connection_id().ok_or(Errno::INVAL)?;
        let keeping = if flags & MSG_PEEK != 0 { Keeping::Left } else { Keeping::Taken };
        let read = call.stack.tcp_read_urgent(id, keeping);
        let told = Received { ends_call: true, control: self.unread_told(call, id), ..Received::default() };
        match read {
            Ok(_) if max == 0 => Ok(Received { flags: MSG_OOB | MSG_TRUNC, ..told }),
            Ok(byte) => {
                let data = if flags & MSG_TRUNC != 0 { Rope::new() } else { Rope::from(vec![byte]) };
                Ok(Received { data, full_len: 1, flags: MSG_OOB, ..told })
            }
            Err(UrgentError::Ended) => Ok(told),
            Err(UrgentError::WouldBlock) if self.receive_shut => Ok(told),
            Err(UrgentError::WouldBlock) => Err(Errno::AGAIN),
            Err(UrgentError::Unknown) => Err(Errno::INVAL),
            Err(UrgentError::NotConnected) => Err(Errno::NOTCONN),
        }
    }
}

/// TCP_INQ: what is left to be read. As on Linux the end is counted like a byte, also once nothing else is there, so that
/// somebody reads it.
fn unread(stack: &Stack, options: &SocketOptions, id: TcpId) -> Vec<Control> {
    if !options.told.contains(Told::UNREAD) {
        return Vec::new();
    }
    let left = stack
        .tcp(id)
        .map_or(0, |connection| connection.readable() + usize::from(connection.is_peer_finished()));
    vec![Control::Unread(i32::try_from(left).unwrap_or(i32::MAX))]
}
