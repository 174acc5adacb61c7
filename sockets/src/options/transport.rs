//! The options of TCP and of UDP.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::fast_open::{FastOpenKeys, mode};
use tapsock_stack::tcp::CongestionKind;

use super::value::{CONGESTION_NAME_LEN, in_range, read_congestion, read_int};
use super::{Change, Limits, OptionValue, SocketOptions, Told};
use crate::constants::*;

impl SocketOptions {
    pub(super) fn set_tcp(&mut self, limits: Limits, name: i32, value: &[u8]) -> Result<Change, Errno> {
        if name == TCP_CONGESTION {
            let kind = read_congestion(value)?;
            if !limits.privileged && !limits.congestion.has(kind) {
                return Err(Errno::PERM);
            }
            self.tcp.congestion = kind;
            return Ok(Change::Transport);
        }
        if name == TCP_FASTOPEN_KEY {
            self.tcp.rare_mut().fast_open_keys = Some(FastOpenKeys::from_bytes(value).ok_or(Errno::INVAL)?);
            return Ok(Change::Transport);
        }
        if name == TCP_SAVED_SYN {
            return Err(Errno::NOPROTOOPT);
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
            // As Linux: a listener sends its SYN-ACKs as often.
            TCP_SYNCNT => {
                let count = in_range(number, 1, SYN_COUNT_MAX)? as u8;
                (self.tcp.syn_retries, self.tcp.synack_retries) = (count, count);
            }
            TCP_LINGER2 if number == 0 => self.tcp.fin_timeout_secs = limits.fin_timeout_secs,
            TCP_LINGER2 => {
                self.tcp.fin_timeout_secs = (number > 0).then_some(number.min(FIN_SECS_MAX) as u16)
            }
            TCP_DEFER_ACCEPT => self.tcp.rare_mut().defer_accept = syn_acks_in(number),
            TCP_WINDOW_CLAMP => {
                self.tcp.rare_mut().window_clamp = (number != 0).then_some(number.max(CLAMP_MIN) as u32)
            }
            TCP_QUICKACK => self.tcp.late_acks = number == 0,
            TCP_FASTOPEN => {
                let count = in_range(number, 0, i32::MAX)? as u32;
                self.tcp.rare_mut().fast_open_queue = count.min(limits.backlog_max);
            }
            TCP_FASTOPEN_CONNECT => {
                let on = in_range(number, 0, 1)? != 0;
                if limits.fast_open & mode::CLIENT == 0 {
                    return Err(Errno::OPNOTSUPP);
                }
                self.tcp.rare_mut().fast_open_connect = on;
            }
            TCP_FASTOPEN_NO_COOKIE => {
                self.tcp.rare_mut().fast_open_without_cookie = in_range(number, 0, 1)? != 0;
            }
            TCP_SAVE_SYN => self.tcp.rare_mut().save_syn = in_range(number, 0, SAVE_SYN_MAX)? as u8,
            // As Linux: that is for who repairs a connection, which nobody does here.
            TCP_TIMESTAMP => return Err(Errno::PERM),
            TCP_INQ => self.told.set(Told::UNREAD, in_range(number, 0, 1)? != 0),
            TCP_NOTSENT_LOWAT => self.tcp.rare_mut().not_sent_low_water = number as u32,
            TCP_USER_TIMEOUT => {
                let millis = in_range(number, 0, i32::MAX)? as u64;
                self.tcp.rare_mut().user_timeout = (millis > 0).then_some(Duration::from_millis(millis));
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
            TCP_LINGER2 => self.tcp.fin_timeout_secs.map_or(-1, i32::from).into(),
            TCP_DEFER_ACCEPT => secs_of_syn_acks(self.tcp.rare().defer_accept).into(),
            TCP_WINDOW_CLAMP => self.tcp.rare().window_clamp.unwrap_or(0).into(),
            TCP_QUICKACK => (!self.tcp.late_acks).into(),
            TCP_NOTSENT_LOWAT => (self.tcp.rare().not_sent_low_water as i32).into(),
            TCP_SAVE_SYN => i32::from(self.tcp.rare().save_syn).into(),
            TCP_INQ => self.told.contains(Told::UNREAD).into(),
            TCP_FASTOPEN => self.tcp.rare().fast_open_queue.into(),
            TCP_FASTOPEN_CONNECT => self.tcp.rare().fast_open_connect.into(),
            TCP_FASTOPEN_NO_COOKIE => self.tcp.rare().fast_open_without_cookie.into(),
            TCP_FASTOPEN_KEY => {
                self.tcp.rare().fast_open_keys.map_or(Vec::new(), FastOpenKeys::to_bytes).into()
            }
            TCP_USER_TIMEOUT => {
                let millis = self.tcp.rare().user_timeout.unwrap_or_default().as_millis();
                u32::try_from(millis).unwrap_or(u32::MAX).into()
            }
            TCP_CONGESTION => {
                let mut name = self.tcp.congestion.name().as_bytes().to_vec();
                name.resize(CONGESTION_NAME_LEN, 0);
                name.into()
            }
            TCP_CC_INFO if self.tcp.congestion == CongestionKind::Bbr => vec![0; BBR_INFO_LEN].into(),
            TCP_CC_INFO => Vec::new().into(),
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

/// After how many SYN-ACKs as many seconds have passed: one, and then after one second, two more, four more and so on.
/// Source: Linux's `secs_to_retrans`.
fn syn_acks_in(secs: i32) -> u8 {
    (0..=u8::MAX).find(|count| *count == u8::MAX || secs_of_syn_acks(*count) >= secs).unwrap_or(u8::MAX)
}

/// After how many seconds so many SYN-ACKs have been sent and waited for.
fn secs_of_syn_acks(count: u8) -> i32 {
    (0..u32::from(count)).map(|n| (1 << n.min(7)).min(SYN_ACK_SECS_MAX)).sum()
}

/// Linux's TCP_RTO_MAX, in seconds.
const SYN_ACK_SECS_MAX: i32 = 120;
/// The least window that TCP_WINDOW_CLAMP asks for, in bytes: half of Linux's SOCK_MIN_RCVBUF.
const CLAMP_MIN: i32 = 1152;
/// Linux's TCP_MIN_MSS and MAX_TCP_WINDOW, in bytes.
const MAXSEG_MIN: i32 = 88;
const MAXSEG_MAX: i32 = 32_767;
/// What TCP_MAXSEG shows before there is a connection, in bytes.
const MSS_DEFAULT: u16 = 536;
/// Linux's MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, in seconds.
const KEEP_SECS_MAX: i32 = 32_767;
/// Bytes of `struct tcp_bbr_info`.
const BBR_INFO_LEN: usize = 20;
/// Linux's MAX_TCP_KEEPCNT.
const KEEP_PROBES_MAX: i32 = 127;
/// Linux's MAX_TCP_SYNCNT.
const SYN_COUNT_MAX: i32 = 127;
/// The largest value of TCP_SAVE_SYN: with the link's header, which we do not have.
const SAVE_SYN_MAX: i32 = 2;
/// Linux's TCP_FIN_TIMEOUT_MAX, in seconds.
const FIN_SECS_MAX: i32 = 120;
