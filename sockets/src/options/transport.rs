//! The options of TCP and of UDP.

use core::time::Duration;

use rustix::io::Errno;

use super::value::{CONGESTION_NAME_LEN, in_range, read_congestion, read_int};
use super::{Change, Limits, OptionValue, SocketOptions};
use crate::constants::*;

impl SocketOptions {
    pub(super) fn set_tcp(&mut self, limits: Limits, name: i32, value: &[u8]) -> Result<Change, Errno> {
        if name == TCP_CONGESTION {
            self.tcp.congestion = read_congestion(value)?;
            return Ok(Change::Transport);
        }
        let number = read_int(value)?;
        let keep_alive = &mut self.tcp.keep_alive;
        match name {
            TCP_NODELAY => self.tcp.no_delay = number != 0,
            TCP_CORK => self.tcp.cork = number != 0,
            TCP_MAXSEG if number == 0 => self.tcp.max_segment = None,
            TCP_MAXSEG => self.tcp.max_segment = Some(in_range(number, MAXSEG_MIN, MAXSEG_MAX)? as u16),
            TCP_KEEPIDLE => keep_alive.idle_secs = in_range(number, 1, KEEP_SECS_MAX)? as u16,
            TCP_KEEPINTVL => keep_alive.interval_secs = in_range(number, 1, KEEP_SECS_MAX)? as u16,
            TCP_KEEPCNT => keep_alive.probes = in_range(number, 1, KEEP_PROBES_MAX)? as u8,
            TCP_SYNCNT => self.tcp.syn_retries = in_range(number, 1, SYN_COUNT_MAX)? as u8,
            TCP_LINGER2 if number == 0 => self.tcp.fin_timeout_secs = limits.fin_timeout_secs,
            TCP_LINGER2 => {
                self.tcp.fin_timeout_secs = in_range(number, 1, i32::MAX)?.min(FIN_SECS_MAX) as u16
            }
            TCP_USER_TIMEOUT => {
                let millis = in_range(number, 0, i32::MAX)? as u64;
                self.tcp.user_timeout = (millis > 0).then_some(Duration::from_millis(millis));
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    pub(super) fn get_tcp(&self, name: i32) -> Result<OptionValue, Errno> {
        let keep_alive = self.tcp.keep_alive;
        Ok(match name {
            TCP_NODELAY => self.tcp.no_delay.into(),
            TCP_CORK => self.tcp.cork.into(),
            TCP_MAXSEG => i32::from(self.tcp.max_segment.unwrap_or(MSS_DEFAULT)).into(),
            TCP_KEEPIDLE => i32::from(keep_alive.idle_secs).into(),
            TCP_KEEPINTVL => i32::from(keep_alive.interval_secs).into(),
            TCP_KEEPCNT => i32::from(keep_alive.probes).into(),
            TCP_SYNCNT => i32::from(self.tcp.syn_retries).into(),
            TCP_LINGER2 => i32::from(self.tcp.fin_timeout_secs).into(),
            TCP_USER_TIMEOUT => {
                let millis = self.tcp.user_timeout.unwrap_or_default().as_millis();
                u32::try_from(millis).unwrap_or(u32::MAX).into()
            }
            TCP_CONGESTION => {
                let mut name = self.tcp.congestion.name().as_bytes().to_vec();
                name.resize(CONGESTION_NAME_LEN, 0);
                name.into()
            }
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    pub(super) fn set_udp(&mut self, name: i32, value: &[u8]) -> Result<Change, Errno> {
        let number = read_int(value)?;
        match name {
            UDP_SEGMENT => self.udp_segment = u16::try_from(number).map_err(|_| Errno::INVAL)?,
            UDP_CORK => self.udp_cork = number != 0,
            UDP_GRO => {
                self.udp_gro = number != 0;
                return Ok(Change::Transport);
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Kept)
    }

    pub(super) fn get_udp(&self, name: i32) -> Result<OptionValue, Errno> {
        match name {
            UDP_SEGMENT => Ok(i32::from(self.udp_segment).into()),
            UDP_GRO => Ok(self.udp_gro.into()),
            UDP_CORK => Ok(self.udp_cork.into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }
}

/// Linux's TCP_MIN_MSS and MAX_TCP_WINDOW, in bytes.
const MAXSEG_MIN: i32 = 88;
const MAXSEG_MAX: i32 = 32_767;
/// What TCP_MAXSEG shows before there is a connection, in bytes.
const MSS_DEFAULT: u16 = 536;
/// Linux's MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, in seconds.
const KEEP_SECS_MAX: i32 = 32_767;
/// Linux's MAX_TCP_KEEPCNT.
const KEEP_PROBES_MAX: i32 = 127;
/// Linux's MAX_TCP_SYNCNT.
const SYN_COUNT_MAX: i32 = 127;
/// Linux's TCP_FIN_TIMEOUT_MAX, in seconds.
const FIN_SECS_MAX: i32 = 120;
