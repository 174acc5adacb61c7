//! Numbers of names, and names of numbers: constants of the socket interface, errno, ICMP's types and codes.

mod constants;
mod errno;
mod icmp;
mod names;

pub use errno::{errno, errno_name};
pub use icmp::{Family, IcmpNumber, NoSuchIcmp, icmp_number};
pub use names::{NoNumber, value};

pub(crate) use names::unknown_names;

/// The number of a constant of the socket interface on Linux: `AF_INET`, `SO_REUSEADDR`, `MSG_PEEK`, `ETIMEDOUT`.
///
/// ```
/// use tapsock_conformance::symbols::constant;
///
/// assert_eq!(constant("TCP_NODELAY"), Some(1));
/// assert_eq!(constant("TCP_NO_SUCH"), None);
/// ```
pub fn constant(name: &str) -> Option<i64> {
    constants::constant(name).or_else(|| errno(name).map(i64::from))
}
