//! The options of local sockets: their names, and the bytes of their values.

use core::time::Duration;

use rustix::io::Errno;

use super::credit::SEND_BUFFER_MIN;
use super::pair::{EndOptions, StampUnit};
use crate::constants::*;
use crate::options::{read_int, read_pair, read_timeout};
use crate::socket::Permission;

/// The largest SO_SNDBUF and SO_RCVBUF that are granted before doubling, in bytes (`net.core.wmem_max`).
const BUFFER_MAX: u32 = 4_194_304;
/// The largest SO_SNDBUFFORCE before doubling, in bytes.
const FORCED_BUFFER_MAX: u32 = i32::MAX as u32 / 2;
/// The least SO_RCVBUF.
const RECEIVE_BUFFER_MIN: u32 = 2304;

/// An option that a local socket has.
///
/// ```
/// use tapsock_sockets::Errno;
/// use tapsock_sockets::constants::{SO_TYPE, SOL_SOCKET, SOL_TCP};
/// use tapsock_sockets::local::LocalOption;
///
/// assert_eq!(LocalOption::named(SOL_SOCKET, SO_TYPE), Ok(LocalOption::Type));
/// assert_eq!(LocalOption::named(SOL_TCP, 1), Err(Errno::OPNOTSUPP));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum LocalOption {
    /// SO_TYPE.
    Type,
    /// SO_DOMAIN.
    Domain,
    /// SO_PROTOCOL.
    Protocol,
    /// SO_ACCEPTCONN.
    AcceptsConnections,
    /// SO_ERROR.
    Error,
    /// SO_PEERCRED.
    PeerCredentials,
    /// SO_RCVTIMEO.
    ReceiveTimeout,
    /// SO_SNDTIMEO.
    SendTimeout,
    /// SO_SNDBUF.
    SendBuffer,
    /// SO_SNDBUFFORCE: write only.
    ForcedSendBuffer,
    /// SO_RCVBUF.
    ReceiveBuffer,
    /// SO_PASSCRED.
    PassCredentials,
    /// SO_PEEK_OFF.
    PeekOffset,
    /// SO_RCVLOWAT.
    LowWater,
    /// SO_OOBINLINE.
    UrgentInline,
    /// SO_TIMESTAMP, SO_TIMESTAMPNS. On a stream they change nothing, as on Linux.
    Stamps(StampUnit),
    /// SO_COOKIE: a number that no other socket of the host ever has.
    Cookie,
    /// SO_MEMINFO.
    MemoryInfo,
    /// SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_DONTROUTE: set and shown, and without an effect on local sockets, as on
    /// Linux. The bit by which it is kept.
    Idle(u8),
    /// SO_LINGER, likewise: what is sent has arrived already.
    Linger,
    /// SO_REUSEPORT, which is off for good.
    ReusePort,
    /// SO_ZEROCOPY, which is off, and may not even be set to that.
    ZeroCopy,
    /// SO_SNDLOWAT, which is one, and may not be set.
    SendLowWater,
}

impl LocalOption {
    /// The option of these numbers.
    ///
    /// Errors: ENOPROTOOPT where there is none, EOPNOTSUPP for a level other than SOL_SOCKET.
    pub fn named(level: i32, name: i32) -> Result<LocalOption, Errno> {
        if level != SOL_SOCKET {
            return Err(Errno::OPNOTSUPP);
        }
        Ok(match name {
            SO_TYPE => LocalOption::Type,
            SO_DOMAIN => LocalOption::Domain,
            SO_PROTOCOL => LocalOption::Protocol,
            SO_ACCEPTCONN => LocalOption::AcceptsConnections,
            SO_ERROR => LocalOption::Error,
            SO_PEERCRED => LocalOption::PeerCredentials,
            SO_RCVTIMEO => LocalOption::ReceiveTimeout,
            SO_SNDTIMEO => LocalOption::SendTimeout,
            SO_SNDBUF => LocalOption::SendBuffer,
            SO_SNDBUFFORCE => LocalOption::ForcedSendBuffer,
            SO_RCVBUF => LocalOption::ReceiveBuffer,
            SO_PASSCRED => LocalOption::PassCredentials,
            SO_PEEK_OFF => LocalOption::PeekOffset,
            SO_RCVLOWAT => LocalOption::LowWater,
            SO_OOBINLINE => LocalOption::UrgentInline,
            SO_TIMESTAMP => LocalOption::Stamps(StampUnit::Micros),
            SO_TIMESTAMPNS => LocalOption::Stamps(StampUnit::Nanos),
            SO_COOKIE => LocalOption::Cookie,
            SO_MEMINFO => LocalOption::MemoryInfo,
            SO_REUSEADDR => LocalOption::Idle(1),
            SO_KEEPALIVE => LocalOption::Idle(2),
            SO_BROADCAST => LocalOption::Idle(4),
            SO_DONTROUTE => LocalOption::Idle(8),
            SO_LINGER => LocalOption::Linger,
            SO_REUSEPORT => LocalOption::ReusePort,
            SO_ZEROCOPY => LocalOption::ZeroCopy,
            SO_SNDLOWAT => LocalOption::SendLowWater,
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    /// A time-out of `setsockopt`, a `struct timeval`; `None` for ever. Errors: EINVAL, EDOM.
    pub fn timeout(self, value: &[u8]) -> Result<Option<Duration>, Errno> {
        read_timeout(value)
    }

    /// A buffer's size as it shows afterwards: bounded, and doubled. Errors: EINVAL.
    pub fn buffer(self, value: &[u8]) -> Result<u32, Errno> {
        let least = if self == LocalOption::SendBuffer { SEND_BUFFER_MIN } else { RECEIVE_BUFFER_MIN };
        // Linux takes a negative size for a very large one.
        let size = (read_int(value)? as u32).min(BUFFER_MAX);
        Ok((2 * size).max(least))
    }

    /// A send buffer's size beyond the bound, as SO_SNDBUF shows it afterwards. Errors: EINVAL, EPERM without privilege.
    pub fn forced_buffer(self, value: &[u8], permission: Permission) -> Result<u32, Errno> {
        let wanted = read_int(value)?;
        if permission != Permission::Privileged {
            return Err(Errno::PERM);
        }
        // Unlike SO_SNDBUF a negative size is the least one.
        let size = (wanted.max(0) as u32).min(FORCED_BUFFER_MAX);
        Ok((2 * size).max(SEND_BUFFER_MIN))
    }

    /// Whether to linger, and for how many seconds. Errors: EINVAL.
    pub fn linger(self, value: &[u8]) -> Result<(bool, u32), Errno> {
        let (on, secs) = read_pair::<4>(value).ok_or(Errno::INVAL)?;
        Ok((i32::from_ne_bytes(on) != 0, u32::from_ne_bytes(secs)))
    }

    /// Whether `value` sets an option that is on or off. Errors: EINVAL.
    pub fn is_on(self, value: &[u8]) -> Result<bool, Errno> {
        Ok(read_int(value)? != 0)
    }

    /// Sets one of those that the queue acts on. Errors: EINVAL, ENOPROTOOPT for one that is only read, EOPNOTSUPP.
    pub fn set(self, value: &[u8], options: &mut EndOptions) -> Result<(), Errno> {
        let number = read_int(value)?;
        match self {
            LocalOption::PassCredentials => options.pass_credentials = number != 0,
            LocalOption::PeekOffset => options.peek_offset = number,
            LocalOption::LowWater => options.low_water = low_water(number),
            LocalOption::UrgentInline => options.urgent_inline = number != 0,
            LocalOption::Stamps(unit) => options.stamps = (number != 0).then_some(unit),
            LocalOption::ReusePort if number == 0 => {}
            LocalOption::ReusePort | LocalOption::ZeroCopy => return Err(Errno::OPNOTSUPP),
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(())
    }
}

/// SO_RCVLOWAT as Linux takes it: less than nothing is everything, and nothing is one.
fn low_water(number: i32) -> usize {
    if number < 0 { i32::MAX as usize } else { (number as usize).max(1) }
}
