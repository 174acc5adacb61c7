//! Groups of hosts: what `std::net::UdpSocket` has for them.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::io;

use tapsock_sockets::constants::*;

use super::UdpSocket;

impl UdpSocket {
    /// Joins a group on the interface that has that address; of `0.0.0.0`, on the one that the route to the group takes.
    ///
    /// # Errors
    /// EINVAL where it is no group, ENODEV, EADDRINUSE where the socket is in it already, ENOBUFS.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.change_groups(SOL_IP, IP_ADD_MEMBERSHIP, &membership_v4(group, interface))
    }

    /// Leaves a group that it has joined so.
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the socket is not in it, ENODEV.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.change_groups(SOL_IP, IP_DROP_MEMBERSHIP, &membership_v4(group, interface))
    }

    /// Joins a group on the interface of that index; of 0, on the one that the route to the group takes.
    ///
    /// # Errors
    /// EINVAL where it is no group, ENODEV, EADDRINUSE where the socket is in it already, ENOBUFS; ENOPROTOOPT on a socket
    /// of IPv4.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.change_groups(SOL_IPV6, IPV6_ADD_MEMBERSHIP, &membership_v6(group, interface))
    }

    /// Leaves a group that it has joined so.
    ///
    /// # Errors
    /// EADDRNOTAVAIL where the socket is not in it; ENOPROTOOPT on a socket of IPv4.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.change_groups(SOL_IPV6, IPV6_DROP_MEMBERSHIP, &membership_v6(group, interface))
    }

    /// Whether this host hears what the socket sends to groups of IPv4 that it is in (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_multicast_loop_v4(&self, hears: bool) -> io::Result<()> {
        self.socket.set_option(SOL_IP, IP_MULTICAST_LOOP, hears.into())
    }

    /// Whether this host hears what the socket sends to groups of IPv4 that it is in.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        Ok(self.socket.option(SOL_IP, IP_MULTICAST_LOOP)? != 0)
    }

    /// Whether this host hears what the socket sends to groups of IPv6 that it is in (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// EBADF after the host was shut down; ENOPROTOOPT on a socket of IPv4.
    pub fn set_multicast_loop_v6(&self, hears: bool) -> io::Result<()> {
        self.socket.set_option(SOL_IPV6, IPV6_MULTICAST_LOOP, hears.into())
    }

    /// Whether this host hears what the socket sends to groups of IPv6 that it is in.
    ///
    /// # Errors
    /// EBADF after the host was shut down; EOPNOTSUPP on a socket of IPv4.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        Ok(self.socket.option(SOL_IPV6, IPV6_MULTICAST_LOOP)? != 0)
    }

    /// How many hops packets to groups of IPv4 may take: 1, unless it is set (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    /// EINVAL above 255.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        let ttl = i32::try_from(ttl).map_err(|_| rustix::io::Errno::INVAL)?;
        self.socket.set_option(SOL_IP, IP_MULTICAST_TTL, ttl)
    }

    /// How many hops packets to groups of IPv4 may take.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        Ok(self.socket.option(SOL_IP, IP_MULTICAST_TTL)? as u32)
    }

    fn change_groups(&self, level: i32, name: i32, membership: &[u8]) -> io::Result<()> {
        Ok(self.socket.shard().set_option(self.socket.fd(), level, name, membership)?)
    }
}

/// `struct ip_mreq`.
fn membership_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&group.octets());
    bytes[4..].copy_from_slice(&interface.octets());
    bytes
}

/// `struct ipv6_mreq`.
fn membership_v6(group: &Ipv6Addr, interface: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&group.octets());
    bytes[16..].copy_from_slice(&interface.to_ne_bytes());
    bytes
}
