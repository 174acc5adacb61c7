//! The addresses that sequences use: few, so that the calls meet, and some that are wrong.

use std::net::{IpAddr, SocketAddr};

use tapsock::SockAddr;
use tapsock::bsd::AF_UNSPEC;

/// Where a call goes, before it is known what the stacks' own ports are.
///
/// ```
/// use tapsock_tests::differential::{Ip, Port, Shape, Target};
///
/// let target = Target { ip: Ip::Lo4, port: Port::Slot(1), shape: Shape::Whole };
/// assert_eq!(target.to_string(), "127.0.0.1:P1");
/// assert_eq!(target.bytes(80)[..8], [2, 0, 0, 80, 127, 0, 0, 1]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The address.
    pub ip: Ip,
    /// The port.
    pub port: Port,
    /// What is wrong with it.
    pub shape: Shape,
}

/// An IP address.
///
/// ```
/// use tapsock_tests::differential::Ip;
///
/// assert!(Ip::Lo6.address().is_loopback());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Ip {
    Any4,
    Lo4,
    /// 127.0.0.2, which is ours too.
    Second4,
    /// Nobody's.
    Foreign4,
    Any6,
    Lo6,
    Foreign6,
    MappedAny,
    MappedLo,
    MappedForeign,
    /// Groups of the host.
    Group4,
    Group6,
}

impl Ip {
    /// Whether it is nobody's, and no way leads there.
    pub fn is_foreign(self) -> bool {
        matches!(self, Ip::Foreign4 | Ip::Foreign6 | Ip::MappedForeign)
    }

    /// What it stands for.
    ///
    /// # Panics
    /// Never.
    pub fn address(self) -> IpAddr {
        let text = match self {
            Ip::Any4 => "0.0.0.0",
            Ip::Lo4 => "127.0.0.1",
            Ip::Second4 => "127.0.0.2",
            Ip::Foreign4 => "192.0.2.1",
            Ip::Any6 => "::",
            Ip::Lo6 => "::1",
            Ip::Foreign6 => "2001:db8::1",
            Ip::MappedAny => "::ffff:0.0.0.0",
            Ip::MappedLo => "::ffff:127.0.0.1",
            Ip::MappedForeign => "::ffff:192.0.2.1",
            Ip::Group4 => "239.1.1.1",
            Ip::Group6 => "ff05::77",
        };
        text.parse().expect("an address")
    }
}

/// A port.
///
/// ```
/// use tapsock_tests::differential::Port;
///
/// assert_ne!(Port::Slot(0), Port::Of(0));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Port {
    /// No port.
    Zero,
    /// One of the few that the sequence has for itself.
    Slot(u8),
    /// That of the socket with this place among those that are open.
    Of(usize),
}

/// What is wrong with an address.
///
/// ```
/// use tapsock_tests::differential::{Ip, Port, Shape, Target};
///
/// let target = Target { ip: Ip::Lo4, port: Port::Zero, shape: Shape::Cut(3) };
/// assert_eq!(target.bytes(0), [2, 0, 0]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Nothing.
    Whole,
    /// It has only so many bytes.
    Cut(usize),
    /// It has as many bytes, zeros behind it.
    Padded(usize),
    /// It is of another family.
    Family(u16),
}

impl Target {
    /// AF_UNSPEC.
    pub const UNSPEC: Target =
        Target { ip: Ip::Any4, port: Port::Zero, shape: Shape::Family(AF_UNSPEC as u16) };

    /// A whole address.
    pub fn new(ip: Ip, port: Port) -> Target {
        Target { ip, port, shape: Shape::Whole }
    }

    /// Whether it leads to IPv4, be it by an IPv6 socket.
    pub fn is_v4(&self) -> bool {
        self.ip.address().to_canonical().is_ipv4()
    }

    /// In Linux's layout, with this port.
    pub fn bytes(&self, port: u16) -> Vec<u8> {
        let mut bytes = SockAddr::from(SocketAddr::new(self.ip.address(), port)).as_bytes().to_vec();
        match self.shape {
            Shape::Whole => {}
            Shape::Cut(len) => bytes.truncate(len),
            Shape::Padded(len) => bytes.resize(len.max(bytes.len()), 0),
            Shape::Family(family) => bytes[..2].copy_from_slice(&family.to_ne_bytes()),
        }
        bytes
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Target::UNSPEC {
            return f.write_str("AF_UNSPEC");
        }
        write!(f, "{}", self.ip.address())?;
        match self.port {
            Port::Zero => f.write_str(":0")?,
            Port::Slot(slot) => write!(f, ":P{slot}")?,
            Port::Of(at) => write!(f, ":(that of {at})")?,
        }
        match self.shape {
            Shape::Whole => Ok(()),
            Shape::Cut(len) => write!(f, " in {len} bytes"),
            Shape::Padded(len) => write!(f, " in {len} bytes"),
            Shape::Family(family) => write!(f, " of family {family}"),
        }
    }
}
