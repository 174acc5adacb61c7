//! What can be given for an address.

use core::iter;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::io;
use std::{option, slice, vec};

/// What names socket addresses, as `std::net::ToSocketAddrs` does; but names are not looked up in the network that
/// the machine's resolver would ask. Of names, `localhost` is known.
///
/// ```
/// use tapsock::net::ToSocketAddrs;
///
/// let mut one = "[::1]:80".to_socket_addrs()?;
/// assert_eq!(one.next(), Some("[::1]:80".parse().unwrap()));
/// assert_eq!("localhost:80".to_socket_addrs()?.count(), 2);
/// assert!("example.com:80".to_socket_addrs().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// Goes through the addresses.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses, the preferred one first.
    ///
    /// # Errors
    /// InvalidInput where it is none.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// Implements the trait for types that are one address each.
macro_rules! single {
    ($($type:ty),*) => {
        $(impl ToSocketAddrs for $type {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        })*
    };
}

single!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::from((address, port))],
            Err(_) if host.eq_ignore_ascii_case("localhost") => vec![
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            ],
            Err(_) => {
                let what = format!("{host:?} is not an IP address, and names are not looked up");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        };
        Ok(addresses.into_iter())
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(vec![address].into_iter());
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        let port = port.parse().map_err(|_| invalid("invalid port value"))?;
        (host, port).to_socket_addrs()
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        self.as_str().to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Copied<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().copied())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_says_so() {
        for text in ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "[::1:80", "name:80", ":80"] {
            let error = text.to_socket_addrs().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
        }
    }

    #[test]
    fn tuples_and_lists_are_addresses() {
        let expected: SocketAddr = "10.0.0.1:80".parse().unwrap();
        assert!((Ipv4Addr::new(10, 0, 0, 1), 80).to_socket_addrs().unwrap().eq([expected]));
        assert!(("10.0.0.1", 80).to_socket_addrs().unwrap().eq([expected]));
        let list = [expected, "[::1]:1".parse().unwrap()];
        assert!((&list[..]).to_socket_addrs().unwrap().eq(list));
    }
}
