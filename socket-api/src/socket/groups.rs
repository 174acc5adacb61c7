//! Groups of hosts, and the pace of a [`Socket`]: options that are more than a number.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::*;

impl Socket {
    /// Joins a group of IPv4 on the interface that has that address (`IP_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// EINVAL where it is no group, ENODEV, EADDRINUSE where the socket is in it already, ENOBUFS, ENOPROTOOPT.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set_option(SOL_IP, IP_ADD_MEMBERSHIP, &[group.octets(), interface.octets()].concat())
    }

    /// Leaves a group of IPv4 on the interface that has that address (`IP_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the socket is not in it, EINVAL, ENODEV, ENOPROTOOPT.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set_option(SOL_IP, IP_DROP_MEMBERSHIP, &[group.octets(), interface.octets()].concat())
    }

    /// Joins one source of a group of IPv4 on the interface that has that address (`IP_ADD_SOURCE_MEMBERSHIP`).
    ///
    /// # Errors
    /// EINVAL where it is no group, ENODEV, EADDRINUSE where the socket is in it already, ENOBUFS, ENOPROTOOPT.
    pub fn join_ssm_v4(&self, source: &Ipv4Addr, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set_option(
            SOL_IP,
            IP_ADD_SOURCE_MEMBERSHIP,
            &[group, interface, source].map(Ipv4Addr::octets).concat(),
        )
    }

    /// Leaves one source of a group of IPv4 on the interface that has that address (`IP_DROP_SOURCE_MEMBERSHIP`).
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the socket is not in it, EINVAL, ENODEV, ENOPROTOOPT.
    pub fn leave_ssm_v4(&self, source: &Ipv4Addr, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set_option(
            SOL_IP,
            IP_DROP_SOURCE_MEMBERSHIP,
            &[group, interface, source].map(Ipv4Addr::octets).concat(),
        )
    }

    /// Joins a group of IPv6 on the interface of that index (`IPV6_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// EINVAL where it is no group, ENODEV, EADDRINUSE where the socket is in it already, ENOBUFS, ENOPROTOOPT.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set_option(
            SOL_IPV6,
            IPV6_ADD_MEMBERSHIP,
            &[&group.octets()[..], &interface.to_ne_bytes()].concat(),
        )
    }

    /// Leaves a group of IPv6 on the interface of that index (`IPV6_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the socket is not in it, EINVAL, ENODEV, ENOPROTOOPT.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set_option(
            SOL_IPV6,
            IPV6_DROP_MEMBERSHIP,
            &[&group.octets()[..], &interface.to_ne_bytes()].concat(),
        )
    }

    /// The address of the interface that packets to groups of IPv4 leave by (`IP_MULTICAST_IF`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        let value = self.option(SOL_IP, IP_MULTICAST_IF)?;
        let address: Option<&[u8; 4]> = value.as_bytes().first_chunk();
        Ok(address.map_or(Ipv4Addr::UNSPECIFIED, |octets| Ipv4Addr::from(*octets)))
    }

    /// Sends packets to groups of IPv4 by the interface of that address; `0.0.0.0` leaves it to the route
    /// (`IP_MULTICAST_IF`).
    ///
    /// # Errors
    /// EADDRNOTAVAIL, ENOPROTOOPT.
    pub fn set_multicast_if_v4(&self, interface: &Ipv4Addr) -> io::Result<()> {
        self.set_option(SOL_IP, IP_MULTICAST_IF, &interface.octets())
    }

    /// At how many bytes a second it sends at the most; all ones for no bound (`SO_MAX_PACING_RATE`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn max_pacing_rate(&self) -> io::Result<u64> {
        let value = self.option(SOL_SOCKET, SO_MAX_PACING_RATE)?;
        Ok(value.as_bytes().first_chunk().map_or(u64::MAX, |bytes| u64::from_ne_bytes(*bytes)))
    }

    /// Has it send so many bytes a second at the most (`SO_MAX_PACING_RATE`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn set_max_pacing_rate(&self, bytes_per_second: u64) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_second.to_ne_bytes())
    }
}
