//! The options of any socket (SOL_SOCKET).

use rustix::io::Errno;

use super::value::{in_range, read_int, read_pair, read_timeout};
use super::{Change, Domain, Kind, Limits, Linger, OptionValue, SocketOptions, Subject};
use crate::constants::*;

impl SocketOptions {
    pub(super) fn set_socket(
        &mut self,
        subject: Subject,
        limits: Limits,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        let number = read_int(value)?;
        self.check_socket(limits, name, number)?;
        match name {
            SO_REUSEADDR => self.reuse_address = number != 0,
            SO_REUSEPORT => self.reuse_port = number != 0,
            SO_BROADCAST => self.broadcast = number != 0,
            SO_DONTROUTE => self.direct = number != 0,
            SO_ZEROCOPY if !subject.has_ports() => {
                return Err(Errno::OPNOTSUPP);
            }
            SO_ZEROCOPY => self.rare_mut().zero_copy = in_range(number, 0, 1)? != 0,
            SO_PRIORITY => self.rare_mut().priority = number,
            SO_BUSY_POLL => self.rare_mut().busy_poll = number,
            SO_MARK => self.rare_mut().mark = number as u32,
            SO_RCVLOWAT if subject.kind == Kind::Stream => self.set_low_water(number),
            SO_RCVLOWAT => self.low_water = if number < 0 { i32::MAX as u32 } else { (number as u32).max(1) },
            SO_OOBINLINE => self.tcp.urgent_inline = number != 0,
            SO_PEEK_OFF if subject.has_ports() => self.rare_mut().peek_offset = Some(number),
            // Credentials are for local sockets.
            SO_PEEK_OFF | SO_PASSCRED => return Err(Errno::OPNOTSUPP),
            SO_MAX_PACING_RATE if subject.kind == Kind::Stream => {
                self.tcp.rare_mut().max_pacing_rate = read_rate(value)?
            }
            SO_LINGER => {
                let (on, secs) = read_pair::<4>(value).ok_or(Errno::INVAL)?;
                self.rare_mut().linger =
                    Linger { on: i32::from_ne_bytes(on) != 0, secs: u32::from_ne_bytes(secs) };
            }
            SO_RCVTIMEO => self.rare_mut().receive_timeout = read_timeout(value)?,
            SO_SNDTIMEO => self.rare_mut().send_timeout = read_timeout(value)?,
            SO_SNDBUF | SO_SNDBUFFORCE => {
                let (wanted, max) = wanted_size(limits.send_max, name, number);
                self.tcp.send_buffer = doubled(wanted, max, SEND_BUFFER_MIN);
                self.tcp.send_buffer_max = None;
            }
            SO_RCVBUF | SO_RCVBUFFORCE => {
                let (wanted, max) = wanted_size(limits.receive_max, name, number);
                self.tcp.receive_buffer = doubled(wanted, max, RECEIVE_BUFFER_MIN);
                self.fix_receive_buffer();
            }
            SO_KEEPALIVE => self.tcp.keep_alive.enabled = number != 0,
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(concerns(subject, name))
    }

    /// Whether the owner may ask for so much. Source: socket(7).
    ///
    /// Errors: EPERM for what wants privilege; EINVAL.
    fn check_socket(&self, limits: Limits, name: i32, number: i32) -> Result<(), Errno> {
        let (wants_privilege, is_valid) = match name {
            SO_PRIORITY => (!(0..=6).contains(&number), true),
            SO_BUSY_POLL => (number > self.rare().busy_poll, number >= 0),
            SO_MARK | SO_SNDBUFFORCE | SO_RCVBUFFORCE => (true, true),
            _ => (false, true),
        };
        match (is_valid, wants_privilege && !limits.privileged) {
            (false, _) => Err(Errno::INVAL),
            (true, true) => Err(Errno::PERM),
            (true, false) => Ok(()),
        }
    }

    pub(super) fn get_socket(&self, subject: Subject, name: i32) -> Result<OptionValue, Errno> {
        Ok(match name {
            SO_REUSEADDR => self.reuse_address.into(),
            SO_REUSEPORT => self.reuse_port.into(),
            SO_BROADCAST => self.broadcast.into(),
            SO_DONTROUTE => self.direct.into(),
            SO_TIMESTAMPING => self.rare().timestamping.shown(),
            SO_ZEROCOPY => self.rare().zero_copy.into(),
            SO_MARK => (self.rare().mark as i32).into(),
            SO_PRIORITY => self.rare().priority.into(),
            SO_BUSY_POLL => self.rare().busy_poll.into(),
            SO_RCVLOWAT => self.low_water.into(),
            SO_SNDLOWAT => 1.into(),
            SO_OOBINLINE => self.tcp.urgent_inline.into(),
            SO_MAX_PACING_RATE if subject.kind == Kind::Stream => {
                let rate = self.tcp.rare().max_pacing_rate;
                let in_short = u32::try_from(rate).unwrap_or(u32::MAX) as i32;
                OptionValue::from(rate.to_ne_bytes().to_vec()).or_int(in_short)
            }
            SO_PEEK_OFF if subject.has_ports() => self.peek_offset().into(),
            SO_PEEK_OFF | SO_PASSCRED => return Err(Errno::OPNOTSUPP),
            SO_PEERCRED => nobody().into(),
            SO_BINDTOIFINDEX => self.device.map_or(0, |device| device.index()).into(),
            SO_KEEPALIVE => self.tcp.keep_alive.enabled.into(),
            SO_SNDBUF => self.tcp.send_buffer.into(),
            SO_RCVBUF => self.tcp.receive_buffer.into(),
            SO_RCVTIMEO => self.rare().receive_timeout.into(),
            SO_SNDTIMEO => self.rare().send_timeout.into(),
            SO_LINGER => {
                let Linger { on, secs } = self.rare().linger;
                [i32::from(on).to_ne_bytes(), secs.to_ne_bytes()].concat().into()
            }
            SO_TYPE => match subject.kind {
                Kind::Stream => SOCK_STREAM,
                Kind::Datagram | Kind::Ping => SOCK_DGRAM,
                Kind::Raw(_) => SOCK_RAW,
            }
            .into(),
            SO_DOMAIN => if subject.domain == Domain::V4 { AF_INET } else { AF_INET6 }.into(),
            SO_PROTOCOL => subject.protocol().into(),
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    /// At most half of the buffer, so that a sender is never kept from what is waited for; the buffer grows for it where
    /// nobody has fixed it.
    fn set_low_water(&mut self, number: i32) {
        let wanted = if number < 0 { i32::MAX as u32 } else { number as u32 };
        let largest = self.tcp.receive_buffer_max.unwrap_or(self.tcp.receive_buffer) / 2;
        self.low_water = wanted.min(largest).max(1);
        if self.tcp.receive_buffer_max.is_some() {
            self.tcp.receive_buffer = self.tcp.receive_buffer.max(self.low_water * 2);
        }
    }
}

/// The `struct ucred` of a peer of which nothing is known, as that of a socket that is no local one: no process, no user, and
/// no group.
fn nobody() -> Vec<u8> {
    [0i32, -1, -1].map(i32::to_ne_bytes).concat()
}

/// Bytes a second, of 32 bits or 64; all ones mean any. Source: socket(7).
fn read_rate(value: &[u8]) -> Result<u64, Errno> {
    match value.first_chunk() {
        Some(bytes) => Ok(u64::from_ne_bytes(*bytes)),
        None => {
            let rate = read_int(value)? as u32;
            Ok(if rate == u32::MAX { u64::MAX } else { rate.into() })
        }
    }
}

/// Who has to learn of a new value.
fn concerns(subject: Subject, name: i32) -> Change {
    match name {
        SO_REUSEADDR | SO_REUSEPORT | SO_PRIORITY | SO_MARK | SO_OOBINLINE | SO_MAX_PACING_RATE
        | SO_SNDBUF | SO_SNDBUFFORCE | SO_RCVBUF | SO_RCVBUFFORCE | SO_KEEPALIVE => Change::Transport,
        SO_RCVLOWAT if subject.kind == Kind::Stream => Change::Transport,
        _ => Change::Kept,
    }
}

/// The size that is asked for, and the largest there is: the host's limit, which is nothing to who forces it. Unlike the
/// others those take a negative size for the least.
fn wanted_size(limit: u32, name: i32, number: i32) -> (i32, u32) {
    match name {
        SO_SNDBUFFORCE | SO_RCVBUFFORCE => (number.max(0), LARGEST),
        _ => (number, limit),
    }
}

/// socket(7): the kernel doubles the value, to have room for its bookkeeping. A negative one asks for the largest.
fn doubled(wanted: i32, max: u32, min: u32) -> u32 {
    (wanted as u32).min(max).saturating_mul(2).max(min)
}

/// Linux's SOCK_MIN_SNDBUF, in bytes.
const SEND_BUFFER_MIN: u32 = 4608;
/// Linux's SOCK_MIN_RCVBUF, in bytes.
const RECEIVE_BUFFER_MIN: u32 = 2304;
/// The largest size of a buffer before it is doubled, in bytes.
const LARGEST: u32 = i32::MAX as u32 / 2;
