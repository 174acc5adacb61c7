//! How large a send buffer may grow by itself.

use core::time::Duration;

/// The buffer of the shortest paths, in bytes: measured best where the second-level cache has 1 MiB.
const SHORT_PATH: u32 = 3 << 19;

/// Bytes that the fastest paths move in a microsecond: 40 Gbit/s.
const FASTEST: u64 = 5_000;

/// The bytes that a buffer is good for on a path whose shortest round trip is `min_rtt`, before there is one without
/// a bound.
///
/// A peer beside us acknowledges as fast as its program reads, nothing is ever lost, and the congestion window grows
/// to whatever the peer offers. All of the buffer is then in flight, and what is copied into it has left the cache
/// before it is used again: 4 MiB cost half as much again as 1.5 MiB. Linux has the bounds of its queues below TCP
/// for this (TSQ), and CUBIC's HyStart. From a round trip of a millisecond on, a buffer of Linux's default maximum of
/// 4 MiB is not bounded.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::buffer::useful_bytes;
///
/// assert_eq!(useful_bytes(Some(Duration::from_micros(20))), 1_572_864);
/// assert_eq!(useful_bytes(Some(Duration::from_millis(1))), 5_000_000);
/// assert_eq!(useful_bytes(None), u32::MAX);
/// ```
pub fn useful_bytes(min_rtt: Option<Duration>) -> u32 {
    let Some(rtt) = min_rtt else { return u32::MAX };
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    u32::try_from(micros.saturating_mul(FASTEST)).unwrap_or(u32::MAX).max(SHORT_PATH)
}
