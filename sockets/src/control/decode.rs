//! Reading what follows a message's header.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::layout::field;
use super::numbers::*;
use super::{Control, Credentials, ExtendedError};
use crate::address::{SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SockAddr};
use crate::constants::{
    IP_RECVOPTS, IP_RETOPTS, IP_TOS, IP_TTL, IPV6_TCLASS, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, SOL_UDP,
    UDP_GRO, UDP_SEGMENT,
};

/// The message of that level and type; see [`Control::decode`].
pub(super) fn decode(level: i32, kind: i32, payload: &[u8]) -> Option<Control> {
    match (level, kind) {
        (SOL_SOCKET, _) => decode_socket(kind, payload),
        (SOL_IP, _) => decode_ip(kind, payload),
        (SOL_IPV6, _) => decode_ipv6(kind, payload),
        (SOL_TCP, TCP_CM_INQ) => Some(Control::Unread(int(payload)?)),
        (SOL_UDP, UDP_SEGMENT) => Some(Control::SegmentSize(u16::from_ne_bytes(whole(payload)?))),
        (SOL_UDP, UDP_GRO) => Some(Control::GroSize(int(payload)?.try_into().ok()?)),
        _ => None,
    }
}

fn decode_socket(kind: i32, payload: &[u8]) -> Option<Control> {
    match kind {
        SCM_RIGHTS => Some(Control::Rights(descriptors(payload))),
        SCM_CREDENTIALS => Some(Control::Credentials(credentials(payload)?)),
        SCM_TIMESTAMP => {
            let time = whole::<16>(payload)?;
            let micros = u32::try_from(u64::from_ne_bytes(field(&time, 8)?)).ok()?;
            Some(Control::Timestamp(duration(field(&time, 0)?, micros.checked_mul(1000)?)?))
        }
        SCM_TIMESTAMPNS => Some(Control::TimestampNs(timespec(&whole::<16>(payload)?)?)),
        SCM_TIMESTAMPING => {
            let times = whole::<48>(payload)?;
            let (software, hardware) = (timespec(&times[..16])?, timespec(&times[32..])?);
            Some(Control::Timestamping { software, hardware })
        }
        SO_RXQ_OVFL_MESSAGE => Some(Control::RxqOverflow(u32::from_ne_bytes(whole(payload)?))),
        _ => None,
    }
}

fn decode_ip(kind: i32, payload: &[u8]) -> Option<Control> {
    match kind {
        IP_PKTINFO => {
            let info = whole::<12>(payload)?;
            Some(Control::PacketInfo4 {
                interface: u32::from_ne_bytes(field(&info, 0)?),
                local: Ipv4Addr::from(field::<4>(&info, 4)?),
                destination: Ipv4Addr::from(field::<4>(&info, 8)?),
            })
        }
        IP_TTL => Some(Control::Ttl(int(payload)?.try_into().ok()?)),
        IP_TOS => Some(Control::Tos(u8::from_ne_bytes(whole(payload)?))),
        IP_RECVOPTS => Some(Control::IpOptions(payload.to_vec())),
        IP_RETOPTS => Some(Control::ReturnOptions(payload.to_vec())),
        IP_RECVERR => {
            let (error, address) = split_error(payload)?;
            match SockAddr::from_bytes(&whole::<SOCKADDR_IN_LEN>(address)?).ok()? {
                SockAddr::V4(offender) => Some(Control::ExtendedError4(error, Some(offender))),
                _ => Some(Control::ExtendedError4(error, None)),
            }
        }
        IP_ORIGDSTADDR => {
            let address = SockAddr::from_bytes(&whole::<SOCKADDR_IN_LEN>(payload)?).ok()?;
            address.to_inet().filter(SocketAddr::is_ipv4).map(Control::OriginalDestination)
        }
        _ => None,
    }
}

fn decode_ipv6(kind: i32, payload: &[u8]) -> Option<Control> {
    match kind {
        IPV6_PKTINFO => {
            let info = whole::<20>(payload)?;
            Some(Control::PacketInfo6 {
                destination: Ipv6Addr::from(field::<16>(&info, 0)?),
                interface: u32::from_ne_bytes(field(&info, 16)?),
            })
        }
        IPV6_HOPLIMIT => Some(Control::HopLimit(int(payload)?.try_into().ok()?)),
        IPV6_FLOWINFO => Some(Control::FlowInfo(u32::from_be_bytes(whole(payload)?))),
        IPV6_TCLASS => Some(Control::TrafficClass(int(payload)?.try_into().ok()?)),
        IPV6_RECVERR => {
            let (error, address) = split_error(payload)?;
            match SockAddr::from_bytes(&whole::<SOCKADDR_IN6_LEN>(address)?).ok()? {
                SockAddr::V6(offender) => Some(Control::ExtendedError6(error, Some(offender))),
                _ => Some(Control::ExtendedError6(error, None)),
            }
        }
        IPV6_ORIGDSTADDR => {
            let address = SockAddr::from_bytes(&whole::<SOCKADDR_IN6_LEN>(payload)?).ok()?;
            address.to_inet().filter(SocketAddr::is_ipv6).map(Control::OriginalDestination)
        }
        IPV6_PATHMTU => {
            let info = whole::<32>(payload)?;
            match SockAddr::from_bytes(&info[..SOCKADDR_IN6_LEN]).ok()? {
                SockAddr::V6(destination) => {
                    Some(Control::PathMtu { destination, mtu: u32::from_ne_bytes(field(&info, 28)?) })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The error, and the address behind it.
fn split_error(payload: &[u8]) -> Option<(ExtendedError, &[u8])> {
    let (error, address) = payload.split_at_checked(EXTENDED_ERROR_LEN)?;
    let error = ExtendedError {
        errno: u32::from_ne_bytes(field(error, 0)?),
        origin: error[4],
        kind: error[5],
        code: error[6],
        info: u32::from_ne_bytes(field(error, 8)?),
        data: u32::from_ne_bytes(field(error, 12)?),
    };
    Some((error, address))
}

/// Length of `struct sock_extended_err`, in bytes.
const EXTENDED_ERROR_LEN: usize = 16;

fn timespec(bytes: &[u8]) -> Option<Duration> {
    duration(field(bytes, 0)?, u64::from_ne_bytes(field(bytes, 8)?).try_into().ok()?)
}

fn duration(seconds: [u8; 8], nanos: u32) -> Option<Duration> {
    let seconds = u64::try_from(i64::from_ne_bytes(seconds)).ok()?;
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

/// As many descriptors as there are whole ones.
pub(super) fn descriptors(payload: &[u8]) -> Vec<i32> {
    payload.as_chunks().0.iter().map(|bytes| i32::from_ne_bytes(*bytes)).collect()
}

pub(super) fn credentials(payload: &[u8]) -> Option<Credentials> {
    let who = whole::<12>(payload)?;
    Some(Credentials {
        pid: i32::from_ne_bytes(field(&who, 0)?),
        uid: u32::from_ne_bytes(field(&who, 4)?),
        gid: u32::from_ne_bytes(field(&who, 8)?),
    })
}

pub(super) fn int(payload: &[u8]) -> Option<i32> {
    whole(payload).map(i32::from_ne_bytes)
}

/// All of `payload`, where it has that length.
pub(super) fn whole<const N: usize>(payload: &[u8]) -> Option<[u8; N]> {
    payload.try_into().ok()
}
