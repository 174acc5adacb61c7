//! What is set on a socket before it sends: the class of its packets, how far they go, and whether to all.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::net::sockopt;
use tapsock::Host;
use tapsock::bsd;

/// `None`: as usual.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Marks {
    /// Type of service, or traffic class.
    pub class: Option<u8>,
    /// Time to live, or hop limit.
    pub ttl: Option<u8>,
    /// Whether datagrams may go to broadcast addresses.
    pub broadcast: bool,
}

impl Marks {
    /// Marks a socket of the machine's that talks with `peer`.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn mark_outside(self, socket: impl AsFd, peer: SocketAddr) -> io::Result<()> {
        let v4 = peer.is_ipv4();
        match self.class {
            Some(class) if v4 => sockopt::set_ip_tos(&socket, class)?,
            Some(class) => sockopt::set_ipv6_tclass(&socket, class.into())?,
            None => {}
        }
        match self.ttl {
            Some(ttl) if v4 => sockopt::set_ip_ttl(&socket, ttl.into())?,
            Some(ttl) => sockopt::set_ipv6_unicast_hops(&socket, Some(ttl))?,
            None => {}
        }
        if self.broadcast {
            sockopt::set_socket_broadcast(&socket, true)?;
        }
        Ok(())
    }

    /// Marks a socket of the stack's that talks with `peer`.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn mark(self, host: &Host, socket: i32, peer: SocketAddr) -> io::Result<()> {
        let set = |level, name, value: i32| bsd::setsockopt(host, socket, level, name, &value.to_ne_bytes());
        let v4 = peer.is_ipv4();
        match self.class {
            Some(class) if v4 => set(bsd::SOL_IP, bsd::IP_TOS, class.into())?,
            Some(class) => set(bsd::SOL_IPV6, bsd::IPV6_TCLASS, class.into())?,
            None => {}
        }
        match self.ttl {
            Some(ttl) if v4 => set(bsd::SOL_IP, bsd::IP_TTL, ttl.into())?,
            Some(ttl) => set(bsd::SOL_IPV6, bsd::IPV6_UNICAST_HOPS, ttl.into())?,
            None => {}
        }
        if self.broadcast {
            set(bsd::SOL_SOCKET, bsd::SO_BROADCAST, 1)?;
        }
        Ok(())
    }
}
