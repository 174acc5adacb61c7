//! `UDP_SEGMENT`: one call, several datagrams.

use core::fmt;
use core::net::IpAddr;

/// Datagrams that one call may send (Linux's `UDP_MAX_SEGMENTS`).
pub const MAX_SEGMENTS: usize = 128;

/// Why a payload can't be sent as asked.
///
/// ```
/// use tapsock_stack::udp::SegmentError;
///
/// assert_eq!(SegmentError::TooManySegments.to_string(), "too many segments");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SegmentError {
    /// The payload passes what UDP can carry, or a segment what the path takes (EMSGSIZE).
    TooLarge,
    /// The payload would make more than [`MAX_SEGMENTS`] datagrams (EINVAL).
    TooManySegments,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SegmentError::TooLarge => "message too long",
            SegmentError::TooManySegments => "too many segments",
        })
    }
}

impl core::error::Error for SegmentError {}

/// How `len` bytes to `destination` are cut: bytes of payload in each datagram, or `None` for a single one.
///
/// `wanted` is the socket's or the call's `UDP_SEGMENT`, of which 0 means none; `mtu` is the path's, in bytes. A single
/// datagram that was asked for without `UDP_SEGMENT` may pass the MTU: that is a matter for fragmentation.
///
/// # Errors
///
/// [`SegmentError`], the first in the order in which Linux looks (`udp_sendmsg`, `udp_send_skb`).
///
/// ```
/// use tapsock_stack::udp::{SegmentError, segment_size};
///
/// let to = "10.0.0.2".parse().unwrap();
/// assert_eq!(segment_size(3000, Some(1472), to, 1500), Ok(Some(1472)));
/// assert_eq!(segment_size(1000, Some(1472), to, 1500), Ok(None));
/// assert_eq!(segment_size(3000, Some(1473), to, 1500), Err(SegmentError::TooLarge));
/// ```
pub fn segment_size(
    len: usize,
    wanted: Option<u16>,
    destination: IpAddr,
    mtu: usize,
) -> Result<Option<u16>, SegmentError> {
    // IPv4 counts its own header in its length field, IPv6 doesn't.
    let (headers, most) = match destination {
        IpAddr::V4(_) => (28, 65_507),
        IpAddr::V6(_) => (48, 65_527),
    };
    if len > most {
        return Err(SegmentError::TooLarge);
    }
    let Some(size) = wanted.filter(|size| *size > 0) else {
        return Ok(None);
    };
    if headers + len.min(size.into()) > mtu {
        return Err(SegmentError::TooLarge);
    }
    if len > usize::from(size) * MAX_SEGMENTS {
        return Err(SegmentError::TooManySegments);
    }
    Ok((len > size.into()).then_some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<Option<u16>, SegmentError>;

    const PLAIN: Outcome = Ok(None);
    const TOO_LARGE: Outcome = Err(SegmentError::TooLarge);
    const TOO_MANY: Outcome = Err(SegmentError::TooManySegments);

    /// What Linux 6.18 answers over an MTU of 1500: destination, UDP_SEGMENT, bytes sent, outcome.
    const LINUX: [(&str, u16, usize, Outcome); 25] = [
        ("10.0.0.2", 1, 1, PLAIN),
        ("10.0.0.2", 1, 64, Ok(Some(1))),
        ("10.0.0.2", 1, 128, Ok(Some(1))),
        ("10.0.0.2", 1, 129, TOO_MANY),
        ("10.0.0.2", 100, 12_800, Ok(Some(100))),
        ("10.0.0.2", 100, 12_801, TOO_MANY),
        ("10.0.0.2", 1472, 1472, PLAIN),
        ("10.0.0.2", 1472, 2944, Ok(Some(1472))),
        ("10.0.0.2", 1473, 1473, TOO_LARGE),
        ("10.0.0.2", 1473, 2946, TOO_LARGE),
        ("10.0.0.2", 1473, 100, PLAIN),
        ("10.0.0.2", 2000, 1472, PLAIN),
        ("10.0.0.2", 2000, 1473, TOO_LARGE),
        ("10.0.0.2", 1472, 65_507, Ok(Some(1472))),
        ("10.0.0.2", 1472, 65_508, TOO_LARGE),
        ("10.0.0.2", 1400, 0, PLAIN),
        ("10.0.0.2", 511, 65_408, Ok(Some(511))),
        ("10.0.0.2", 511, 65_409, TOO_MANY),
        ("10.0.0.2", 0, 65_507, PLAIN),
        ("fd00::2", 1452, 1452, PLAIN),
        ("fd00::2", 1452, 2904, Ok(Some(1452))),
        ("fd00::2", 1453, 1453, TOO_LARGE),
        ("fd00::2", 1453, 2906, TOO_LARGE),
        ("fd00::2", 1452, 65_527, Ok(Some(1452))),
        ("fd00::2", 1452, 65_528, TOO_LARGE),
    ];

    #[test]
    fn cuts_where_linux_cuts() {
        for (destination, wanted, len, outcome) in LINUX {
            let destination = destination.parse().unwrap();
            assert_eq!(
                segment_size(len, Some(wanted), destination, 1500),
                outcome,
                "{destination} {wanted} {len}"
            );
        }
    }

    #[test]
    fn without_the_option_only_udps_own_limit_counts() {
        let v6 = "fd00::2".parse().unwrap();
        assert_eq!(segment_size(65_527, None, v6, 1280), PLAIN);
        assert_eq!(segment_size(65_528, None, v6, 1280), TOO_LARGE);
    }
}
