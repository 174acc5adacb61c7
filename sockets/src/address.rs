//! Socket addresses: what a call means by one, and the bytes of Linux's `sockaddr` structures.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::ops::Deref;

use rustix::io::Errno;

use crate::constants::{AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC};

/// Length of `sockaddr_in`, in bytes.
pub const SOCKADDR_IN_LEN: usize = 16;
/// Length of `sockaddr_in6`, in bytes.
pub const SOCKADDR_IN6_LEN: usize = 28;
/// Length of `sockaddr_un`, in bytes: the family and a path of 108.
pub const SOCKADDR_UN_LEN: usize = 2 + UNIX_PATH_LEN;
/// The most bytes that a call takes for an address (`sizeof(struct sockaddr_storage)`).
pub const SOCKADDR_STORAGE_LEN: usize = 128;

/// The structure of RFC 2133, before the scope was added: Linux still takes it.
pub(crate) const SOCKADDR_IN6_OLD_LEN: usize = 24;
/// Bytes of a path in `sockaddr_un`.
const UNIX_PATH_LEN: usize = 108;

/// The address of a socket, of any family.
///
/// ```
/// use tapsock_sockets::SockAddr;
///
/// let http = SockAddr::from_bytes(&[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
/// assert_eq!(http, SockAddr::V4("127.0.0.1:80".parse().unwrap()));
///
/// let mut short = [0; 4];
/// assert_eq!(http.copy_out(&mut short), 16);
/// assert_eq!(short, [2, 0, 0, 80]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum SockAddr {
    /// `sockaddr_in`.
    V4(SocketAddrV4),
    /// `sockaddr_in6`.
    V6(SocketAddrV6),
    /// `sockaddr_in6` as it was before RFC 2553 put the scope behind it: 24 bytes, or some more. It means the same as one
    /// without a scope, but to `bind` and `sendto` of a ping socket, which want it whole, as on Linux.
    OldV6(SocketAddrV6),
    /// `sockaddr_un`.
    Unix(UnixAddr),
    /// `AF_UNSPEC`: `connect` to it dissolves the connection. Linux reads what follows as a `sockaddr_in`'s port and
    /// address in `bind` and `sendto`; `None` where it is too short for one.
    Unspec(Option<SocketAddrV4>),
    /// A family that is none of these, or an address that is too short for its family, with the length given.
    Other {
        /// The family, as `sa_family`.
        family: u16,
        /// Length of the whole structure, in bytes.
        len: u8,
        /// What stands where `sockaddr_in` has port and address, where it is as long: all that `bind` of a raw socket of
        /// IPv4 looks at on Linux.
        as_v4: Option<SocketAddrV4>,
    },
}

impl SockAddr {
    /// Reads Linux's layout of `sockaddr_in`, `sockaddr_in6` or `sockaddr_un`: family in the machine's byte order,
    /// ports and addresses in the network's, scope in the machine's.
    ///
    /// One that is shorter than its family wants is [`SockAddr::Other`]: a call has more to look at than the address, and
    /// says what is wrong in Linux's order.
    ///
    /// Errors: EINVAL where `bytes` is longer than any address, or than any of `AF_UNIX`.
    /// Source: ip(7), ipv6(7), unix(7).
    pub fn from_bytes(bytes: &[u8]) -> Result<SockAddr, Errno> {
        let len = u8::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
        if bytes.len() > SOCKADDR_STORAGE_LEN {
            return Err(Errno::INVAL);
        }
        let Some(family) = field(bytes, 0).map(u16::from_ne_bytes) else {
            return Ok(SockAddr::Other { family: AF_UNSPEC as u16, len, as_v4: None });
        };
        let short = SockAddr::Other { family, len, as_v4: parse_in(bytes) };
        match i32::from(family) {
            AF_INET => Ok(parse_in(bytes).map_or(short, SockAddr::V4)),
            AF_INET6 if bytes.len() < SOCKADDR_IN6_LEN => Ok(parse_in6(bytes).map_or(short, SockAddr::OldV6)),
            AF_INET6 => Ok(parse_in6(bytes).map_or(short, SockAddr::V6)),
            AF_UNIX => Ok(SockAddr::Unix(UnixAddr::from_path_field(&bytes[2..])?)),
            AF_UNSPEC => Ok(SockAddr::Unspec(parse_in(bytes))),
            _ => Ok(short),
        }
    }

    /// The address in Linux's layout.
    pub fn as_bytes(&self) -> SockAddrBytes {
        let mut out = SockAddrBytes { bytes: [0; SOCKADDR_STORAGE_LEN], len: 0 };
        out.push(&self.family().to_ne_bytes());
        match self {
            SockAddr::V4(address)
            | SockAddr::Unspec(Some(address))
            | SockAddr::Other { as_v4: Some(address), .. } => {
                out.push(&address.port().to_be_bytes());
                out.push(&address.ip().octets());
                out.push(&[0; 8]);
            }
            SockAddr::V6(address) | SockAddr::OldV6(address) => {
                out.push(&address.port().to_be_bytes());
                out.push(&address.flowinfo().to_be_bytes());
                out.push(&address.ip().octets());
                if matches!(self, SockAddr::V6(_)) {
                    out.push(&address.scope_id().to_ne_bytes());
                }
            }
            SockAddr::Unix(address) => out.push(address.path_field().0),
            SockAddr::Unspec(None) => {}
            SockAddr::Other { .. } => {}
        }
        if let SockAddr::Unix(address) = self {
            out.push(address.path_field().1);
        }
        // What else stands there is lost.
        if let SockAddr::Other { len, .. } = self {
            out.len = *len;
        }
        out
    }

    /// Copies the address in Linux's layout into `out`, cut off where `out` is shorter, and returns its true length
    /// in bytes, as `getsockname`, `accept` and `recvfrom` do.
    pub fn copy_out(&self, out: &mut [u8]) -> usize {
        let bytes = self.as_bytes();
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        bytes.len()
    }

    /// The family, as `sa_family`.
    pub fn family(&self) -> u16 {
        let family = match self {
            SockAddr::V4(_) => AF_INET,
            SockAddr::V6(_) | SockAddr::OldV6(_) => AF_INET6,
            SockAddr::Unix(_) => AF_UNIX,
            SockAddr::Unspec(_) => AF_UNSPEC,
            SockAddr::Other { family, .. } => return *family,
        };
        family as u16
    }

    /// The internet address, where it is one.
    ///
    /// ```
    /// use tapsock_sockets::SockAddr;
    ///
    /// let address = "[fe80::1%2]:53".parse().unwrap();
    /// assert_eq!(SockAddr::from(address).to_inet(), Some(address));
    /// assert_eq!(SockAddr::Unspec(None).to_inet(), None);
    /// ```
    pub fn to_inet(&self) -> Option<SocketAddr> {
        match self {
            SockAddr::V4(address) => Some(SocketAddr::V4(*address)),
            SockAddr::V6(address) | SockAddr::OldV6(address) => Some(SocketAddr::V6(*address)),
            _ => None,
        }
    }

    /// As all read it to whom an old one is as good as a new one; `place` is for one that is made anew.
    pub(crate) fn renewed<'a>(&'a self, place: &'a mut Option<SockAddr>) -> &'a SockAddr {
        match self {
            SockAddr::OldV6(address) => place.insert(SockAddr::V6(*address)),
            address => address,
        }
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => SockAddr::V4(address),
            SocketAddr::V6(address) => SockAddr::V6(address),
        }
    }
}

impl From<SocketAddrV4> for SockAddr {
    fn from(address: SocketAddrV4) -> Self {
        SockAddr::V4(address)
    }
}

impl From<SocketAddrV6> for SockAddr {
    fn from(address: SocketAddrV6) -> Self {
        SockAddr::V6(address)
    }
}

impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SockAddr::V4(address) => address.fmt(f),
            SockAddr::V6(address) | SockAddr::OldV6(address) => address.fmt(f),
            SockAddr::Unix(address) => match address.name() {
                UnixName::Unnamed => f.write_str("(unnamed)"),
                UnixName::Path(path) => path.escape_ascii().fmt(f),
                UnixName::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            },
            SockAddr::Unspec(_) => f.write_str("(unspecified)"),
            SockAddr::Other { family, .. } => write!(f, "(family {family})"),
        }
    }
}

/// The bytes of an address in Linux's layout; made by [`SockAddr::as_bytes`].
///
/// ```
/// use tapsock_sockets::SockAddr;
///
/// let bytes = SockAddr::V4("10.0.0.1:5".parse().unwrap()).as_bytes();
/// assert_eq!(&bytes[2..8], [0, 5, 10, 0, 0, 1]);
/// assert_eq!(bytes.len(), 16);
/// ```
#[derive(Copy, Clone)]
pub struct SockAddrBytes {
    bytes: [u8; SOCKADDR_STORAGE_LEN],
    len: u8,
}

impl SockAddrBytes {
    fn push(&mut self, part: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + part.len()].copy_from_slice(part);
        self.len += part.len() as u8;
    }
}

impl Deref for SockAddrBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for SockAddrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

/// The address of a local socket: a path, an abstract name, or none.
///
/// ```
/// use tapsock_sockets::{UnixAddr, UnixName};
///
/// let log = UnixAddr::path(b"/dev/log").unwrap();
/// assert_eq!(log.name(), UnixName::Path(b"/dev/log"));
/// assert!(UnixAddr::path(&[b'x'; 109]).is_err());
/// ```
#[derive(Copy, Clone, Eq, PartialEq, Hash)]
pub struct UnixAddr {
    /// The name's bytes, then zeros. An abstract name stands without its leading zero byte.
    bytes: [u8; UNIX_PATH_LEN],
    len: u8,
    kind: UnixKind,
}

#[derive(Copy, Clone, Eq, PartialEq, Hash)]
enum UnixKind {
    Unnamed,
    Path,
    Abstract,
}

impl UnixAddr {
    /// The address of a socket that was never bound.
    pub const UNNAMED: UnixAddr = UnixAddr { bytes: [0; UNIX_PATH_LEN], len: 0, kind: UnixKind::Unnamed };

    /// A path name. Errors: EINVAL where it is empty, holds a zero byte or is longer than 108 bytes.
    pub fn path(path: &[u8]) -> Result<UnixAddr, Errno> {
        if path.is_empty() || path.contains(&0) {
            return Err(Errno::INVAL);
        }
        UnixAddr::new(UnixKind::Path, path)
    }

    /// A name of Linux's abstract name space, without its leading zero byte; any bytes will do.
    /// Errors: EINVAL where it is longer than 107 bytes.
    pub fn abstract_name(name: &[u8]) -> Result<UnixAddr, Errno> {
        if name.len() > UNIX_PATH_LEN - 1 {
            return Err(Errno::INVAL);
        }
        UnixAddr::new(UnixKind::Abstract, name)
    }

    /// What the address names.
    pub fn name(&self) -> UnixName<'_> {
        let bytes = &self.bytes[..usize::from(self.len)];
        match self.kind {
            UnixKind::Unnamed => UnixName::Unnamed,
            UnixKind::Path => UnixName::Path(bytes),
            UnixKind::Abstract => UnixName::Abstract(bytes),
        }
    }

    /// Length of the address in Linux's layout, in bytes.
    pub(crate) fn encoded_len(&self) -> usize {
        let (first, second) = self.path_field();
        2 + first.len() + second.len()
    }

    fn new(kind: UnixKind, name: &[u8]) -> Result<UnixAddr, Errno> {
        let mut address = UnixAddr { kind, ..UnixAddr::UNNAMED };
        address.bytes.get_mut(..name.len()).ok_or(Errno::INVAL)?.copy_from_slice(name);
        address.len = name.len() as u8;
        Ok(address)
    }

    /// Reads what follows the family in `sockaddr_un`. A path ends at its first zero byte or with the field.
    fn from_path_field(field: &[u8]) -> Result<UnixAddr, Errno> {
        match field {
            _ if field.len() > UNIX_PATH_LEN => Err(Errno::INVAL),
            [] => Ok(UnixAddr::UNNAMED),
            [0, name @ ..] => UnixAddr::abstract_name(name),
            _ => UnixAddr::path(field.split(|byte| *byte == 0).next().unwrap_or(field)),
        }
    }

    /// What follows the family in `sockaddr_un`, in two parts: Linux gives out a path with the zero byte behind it,
    /// even that of 108 bytes.
    fn path_field(&self) -> (&[u8], &[u8]) {
        match self.name() {
            UnixName::Unnamed => (&[], &[]),
            UnixName::Path(path) => (path, &[0]),
            UnixName::Abstract(name) => (&[0], name),
        }
    }
}

impl fmt::Debug for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// What a [`UnixAddr`] names.
///
/// ```
/// use tapsock_sockets::{UnixAddr, UnixName};
///
/// assert_eq!(UnixAddr::UNNAMED.name(), UnixName::Unnamed);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum UnixName<'a> {
    /// Nothing.
    Unnamed,
    /// A path, without a zero byte.
    Path(&'a [u8]),
    /// A name of the abstract name space, without its leading zero byte.
    Abstract(&'a [u8]),
}

/// Whether `bytes` hold a whole structure is the family's concern, not that of the length alone: a `sockaddr_in` is
/// refused by an IPv6 socket as too short before its family is looked at.
pub(crate) fn is_shorter_than(address: &SockAddr, len: usize) -> bool {
    match address {
        SockAddr::V4(_) | SockAddr::Unspec(Some(_)) => SOCKADDR_IN_LEN < len,
        SockAddr::V6(_) => SOCKADDR_IN6_LEN < len,
        SockAddr::OldV6(_) => SOCKADDR_IN6_OLD_LEN < len,
        SockAddr::Unix(address) => address.encoded_len() < len,
        // A family is there at least.
        SockAddr::Unspec(None) => size_of::<u16>() < len,
        SockAddr::Other { len: given, .. } => usize::from(*given) < len,
    }
}

/// The IPv4 address that an IPv4-mapped IPv6 address holds, with its port.
pub(crate) fn unmapped(address: SocketAddrV6) -> Option<SocketAddrV4> {
    address.ip().to_ipv4_mapped().map(|ip| SocketAddrV4::new(ip, address.port()))
}

/// `address` as an IPv6 socket shows it: IPv4's as IPv4-mapped.
pub(crate) fn mapped(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V4(address) => SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0),
        SocketAddr::V6(address) => address,
    }
}

/// Whether an IPv6 address means nothing without an interface.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local() || (ip.is_multicast() && ip.octets()[1] & 0xf == 2),
    }
}

fn field<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..start + N)?.try_into().ok()
}

fn parse_in(bytes: &[u8]) -> Option<SocketAddrV4> {
    if bytes.len() < SOCKADDR_IN_LEN {
        return None;
    }
    let port = u16::from_be_bytes(field(bytes, 2)?);
    Some(SocketAddrV4::new(Ipv4Addr::from(field::<4>(bytes, 4)?), port))
}

fn parse_in6(bytes: &[u8]) -> Option<SocketAddrV6> {
    if bytes.len() < SOCKADDR_IN6_OLD_LEN {
        return None;
    }
    let port = u16::from_be_bytes(field(bytes, 2)?);
    let flow = u32::from_be_bytes(field(bytes, 4)?);
    let ip = Ipv6Addr::from(field::<16>(bytes, 8)?);
    let scope = field(bytes, SOCKADDR_IN6_OLD_LEN).map_or(0, u32::from_ne_bytes);
    Some(SocketAddrV6::new(ip, port, flow, scope))
}

#[cfg(test)]
mod tests;
