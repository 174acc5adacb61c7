//! Options of local sockets.

use rustix::io::Errno;
use tapsock_sockets::OptionValue;
use tapsock_sockets::constants::*;
use tapsock_sockets::local::{LocalOption, SendCredit, SocketKind};

use super::{Connection, LocalSocket};
use crate::engine::sync::lock;

impl LocalSocket {
    /// See getsockopt(2).
    ///
    /// Errors: ENOPROTOOPT, EOPNOTSUPP for a level that is another protocol's.
    pub(crate) fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        let option = LocalOption::named(level, name)?;
        Ok(match option {
            LocalOption::Type => self.kind.to_type().into(),
            LocalOption::Domain => AF_UNIX.into(),
            LocalOption::Protocol => 0.into(),
            LocalOption::AcceptsConnections => self.is_listening().into(),
            LocalOption::Error => self.take_error().map_or(0, Errno::raw_os_error).into(),
            LocalOption::PeerCredentials => {
                let peer = self.peer_credentials();
                [peer.pid.to_ne_bytes(), peer.uid.to_ne_bytes(), peer.gid.to_ne_bytes()].concat().into()
            }
            LocalOption::ReceiveTimeout => self.receive_timeout().into(),
            LocalOption::SendTimeout => self.send_timeout().into(),
            LocalOption::SendBuffer => self.credit().limit().into(),
            LocalOption::ForcedSendBuffer => return Err(Errno::NOPROTOOPT),
            LocalOption::ReceiveBuffer => lock(&self.own).receive_buffer.into(),
            LocalOption::PassCredentials => self.end_options().pass_credentials.into(),
            LocalOption::PeekOffset => self.end_options().peek_offset.into(),
            LocalOption::LowWater => i32::try_from(self.end_options().low_water).unwrap_or(i32::MAX).into(),
            LocalOption::UrgentInline => self.end_options().urgent_inline.into(),
            LocalOption::Stamps(unit) => (self.end_options().stamps == Some(unit)).into(),
            // Odd: the sockets of the stack have the even ones.
            LocalOption::Cookie => {
                let cookie = (2 * self.number + 1).to_ne_bytes();
                OptionValue::from(cookie.to_vec()).needing(cookie.len())
            }
            LocalOption::MemoryInfo => self.memory_info(),
            LocalOption::ReusePort | LocalOption::ZeroCopy => 0.into(),
            LocalOption::SendLowWater => 1.into(),
            LocalOption::Linger => {
                let (on, secs) = lock(&self.own).linger;
                [i32::from(on).to_ne_bytes(), secs.to_ne_bytes()].concat().into()
            }
            LocalOption::Idle(bit) => (lock(&self.own).idle_options & bit != 0).into(),
        })
    }

    /// See setsockopt(2).
    ///
    /// Errors: ENOPROTOOPT, EINVAL, EDOM, EPERM.
    pub(crate) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let _touch = self.touch();
        let option = LocalOption::named(level, name)?;
        match option {
            LocalOption::ReceiveTimeout => self.set_receive_timeout(option.timeout(value)?),
            LocalOption::SendTimeout => self.set_send_timeout(option.timeout(value)?),
            LocalOption::SendBuffer => self.set_send_buffer(option.buffer(value)?),
            LocalOption::ForcedSendBuffer => {
                self.set_send_buffer(option.forced_buffer(value, self.host.permission)?);
            }
            LocalOption::ReceiveBuffer => lock(&self.own).receive_buffer = option.buffer(value)?,
            LocalOption::Linger => lock(&self.own).linger = option.linger(value)?,
            LocalOption::Idle(bit) => {
                let is_on = option.is_on(value)?;
                let mut own = lock(&self.own);
                own.idle_options = own.idle_options & !bit | if is_on { bit } else { 0 };
            }
            _ => {
                let mut options = self.end_options();
                option.set(value, &mut options)?;
                if options.pass_credentials {
                    self.host.pass_credentials();
                }
                if options.stamps.is_some() {
                    self.host.tell_when();
                }
                self.change_end_options(options);
            }
        }
        Ok(())
    }

    /// `SK_MEMINFO_*`: the receive buffer and the send buffer, and what is charged to this, in bytes. As on Linux, what
    /// waits to be received is charged to its sender.
    fn memory_info(&self) -> OptionValue {
        let credit = self.credit();
        let charged = u32::try_from(credit.charged()).unwrap_or(u32::MAX);
        let numbers = [0, lock(&self.own).receive_buffer, charged, credit.limit(), 0, 0, 0, 0, 0];
        numbers.map(u32::to_ne_bytes).concat().into()
    }

    /// See ioctl(2): FIONREAD, SIOCOUTQ, SIOCATMARK.
    ///
    /// Errors: EINVAL for what a listener has to be read, EOPNOTSUPP for the mark of what is no stream, ENOTTY.
    pub(crate) fn ioctl(&self, request: i32) -> Result<i32, Errno> {
        let count = match request {
            FIONREAD if self.is_listening() => return Err(Errno::INVAL),
            FIONREAD => match (self.connection.get(), &self.datagrams) {
                (Some(Connection::Stream(cell, side)), _) => cell.lock().state.unread(*side),
                (Some(Connection::Records(cell, side)), _) => cell.lock().state.unread(*side),
                (None, Some(cell)) => cell.lock().state.unread(),
                (None, None) => 0,
            },
            SIOCOUTQ => usize::try_from(self.credit().charged()).unwrap_or(usize::MAX),
            SIOCATMARK if self.kind != SocketKind::Stream => return Err(Errno::OPNOTSUPP),
            SIOCATMARK => match self.connection.get() {
                Some(Connection::Stream(cell, side)) => cell.lock().state.is_at_mark(*side).into(),
                _ => 0,
            },
            _ => return Err(Errno::NOTTY),
        };
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    pub(super) fn end_options(&self) -> tapsock_sockets::local::EndOptions {
        match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => *cell.lock().state.options(*side),
            (Some(Connection::Records(cell, side)), _) => *cell.lock().state.options(*side),
            (None, Some(cell)) => cell.lock().state.options,
            (None, None) => lock(&self.own).setup.options,
        }
    }

    fn change_end_options(&self, options: tapsock_sockets::local::EndOptions) {
        match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => *cell.lock().state.options_mut(*side) = options,
            (Some(Connection::Records(cell, side)), _) => *cell.lock().state.options_mut(*side) = options,
            (None, Some(cell)) => cell.lock().state.options = options,
            (None, None) => lock(&self.own).setup.options = options,
        }
    }

    /// The send buffer, and what is under way in it (SIOCOUTQ).
    fn credit(&self) -> SendCredit {
        match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => *cell.lock().state.credit(*side),
            (Some(Connection::Records(cell, side)), _) => *cell.lock().state.credit(*side),
            (None, Some(cell)) => *cell.lock().state.credit(),
            (None, None) => lock(&self.own).setup.credit,
        }
    }

    fn set_send_buffer(&self, limit: u32) {
        match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => {
                cell.with(|pair, events| {
                    pair.set_send_buffer(*side, limit);
                    super::everything(events);
                });
            }
            (Some(Connection::Records(cell, side)), _) => {
                cell.with(|pair, events| {
                    pair.set_send_buffer(*side, limit);
                    super::everything(events);
                });
            }
            (None, Some(cell)) => cell.with(|socket, events| {
                socket.set_send_buffer(limit);
                super::everything(events);
            }),
            (None, None) => lock(&self.own).setup.credit.set_limit(limit),
        }
    }
}
