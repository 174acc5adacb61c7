//! What can be given for an address.

use core::iter::Chain;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{io, option, vec};

use crate::bsd;
use crate::host::Host;
use crate::resolve::dns::SERVERS_MAX;
use crate::resolve::{EaiError, Hints, asking};

/// What names socket addresses, as `std::net::ToSocketAddrs` does. A name is looked up by the host that the call is on: see
/// [`Host::look_up`].
///
/// ```
/// use tapsock::net::{SocketAddrs, ToSocketAddrs};
///
/// assert_eq!("[::1]:80".to_socket_addrs()?, SocketAddrs::One("[::1]:80".parse().unwrap()));
/// assert_eq!("example.com:80".to_socket_addrs()?, SocketAddrs::Name("example.com".to_owned(), 80));
/// assert!("example.com".to_socket_addrs().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses, or the name that has them.
    ///
    /// # Errors
    /// InvalidInput where it is neither.
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs>;
}

/// Socket addresses, or the name of a host that has them. See [`ToSocketAddrs`] for an example.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SocketAddrs {
    /// This one.
    One(SocketAddr),
    /// These, the preferred one first.
    Several(Vec<SocketAddr>),
    /// Those of a host, with this port.
    Name(String, u16),
}

/// Goes through addresses.
pub(crate) type Addresses = Chain<option::IntoIter<SocketAddr>, vec::IntoIter<SocketAddr>>;

impl SocketAddrs {
    /// The addresses. A name is looked up, which waits for an answer.
    ///
    /// Errors: those of [`Host::look_up`].
    pub(crate) fn on(self, host: &Host) -> io::Result<Addresses> {
        let (one, several) = match self {
            SocketAddrs::One(address) => (Some(address), Vec::new()),
            SocketAddrs::Several(addresses) => (None, addresses),
            SocketAddrs::Name(name, port) => (None, host.look_up(&name, port)?),
        };
        Ok(one.into_iter().chain(several))
    }
}

impl Host {
    /// The name servers that are asked now, the first one first: those that the host was given, or else those that DHCP
    /// and routers told of; three at most.
    ///
    /// ```
    /// let server = "192.0.2.53:53".parse().unwrap();
    /// let host = tapsock::Host::builder().name_server(server).start()?;
    /// assert_eq!(host.name_servers(), [server]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        let mut servers = asking::conf(self).servers;
        servers.truncate(SERVERS_MAX);
        servers
    }

    /// The addresses of a name with `port`, the one that this host reaches best first: by its hosts file, and by the name
    /// servers that it was given ([`Builder::name_server`](crate::Builder::name_server)) or was told of. Waits for an
    /// answer. See [`resolve`](crate::resolve).
    ///
    /// ```
    /// let host = tapsock::Host::builder().start()?;
    /// assert!(host.look_up("localhost", 80)?.contains(&"127.0.0.1:80".parse().unwrap()));
    /// assert!(host.look_up("a..b", 80).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// NotFound where there is no such name or it has no address; another kind where no server answered.
    pub fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let hints = Hints { socket_type: bsd::SOCK_STREAM, ..Hints::default() };
        let found = bsd::getaddrinfo(self, Some(name), None, Some(&hints)).map_err(|error| {
            let kind = match error {
                EaiError::NoName | EaiError::NoData => io::ErrorKind::NotFound,
                _ => io::ErrorKind::Other,
            };
            // The words of std.
            io::Error::new(kind, format!("failed to lookup address information: {error}"))
        })?;
        let with_port = |mut address: SocketAddr| {
            address.set_port(port);
            address
        };
        Ok(found.into_iter().map(|info| with_port(info.address)).collect())
    }
}

/// Implements the trait for types that are one address each.
macro_rules! single {
    ($($type:ty),*) => {
        $(impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
                Ok(SocketAddrs::One(SocketAddr::from(*self)))
            }
        })*
    };
}

single!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        let (host, port) = *self;
        Ok(match host.parse::<IpAddr>() {
            Ok(address) => SocketAddrs::One((address, port).into()),
            Err(_) => SocketAddrs::Name(host.to_owned(), port),
        })
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        (self.0.as_str(), self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(SocketAddrs::One(address));
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        if host.is_empty() || host.contains([':', '[', ']']) {
            return Err(invalid("invalid socket address"));
        }
        let port = port.parse().map_err(|_| invalid("invalid port value"))?;
        (host, port).to_socket_addrs()
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        self.as_str().to_socket_addrs()
    }
}

impl ToSocketAddrs for &[SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        Ok(SocketAddrs::Several(self.to_vec()))
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<SocketAddrs> {
        (**self).to_socket_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_says_so() {
        for text in ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "[::1:80", "::1:80", "name:", ":80"] {
            let error = text.to_socket_addrs().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
        }
    }

    #[test]
    fn tuples_and_lists_are_addresses() {
        let expected: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let one = SocketAddrs::One(expected);
        assert_eq!((Ipv4Addr::new(10, 0, 0, 1), 80).to_socket_addrs().unwrap(), one);
        assert_eq!(("10.0.0.1", 80).to_socket_addrs().unwrap(), one);
        let list = [expected, "[::1]:1".parse().unwrap()];
        assert_eq!((&list[..]).to_socket_addrs().unwrap(), SocketAddrs::Several(list.to_vec()));
        let name = SocketAddrs::Name("name".to_owned(), 80);
        assert_eq!(("name".to_owned(), 80).to_socket_addrs().unwrap(), name);
        assert_eq!("name:80".to_socket_addrs().unwrap(), name);
    }
}
