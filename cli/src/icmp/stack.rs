//! Ping sockets of tapsock's, and the errors that come back to them.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustix::io::Errno;
use tapsock::bsd::control::{
    Control, ExtendedError, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL, cmsg_space,
};
use tapsock::bsd::{
    self, AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, PollMask, ReceivedMessage, RecvMessage, SOCK_DGRAM,
};
use tapsock::{Host, SockAddr};

use super::{Answer, EchoSocket, HEADER_LEN, MAX_PAYLOAD, Pattern, parse, request};

/// Bytes of control messages: an error with its address, and what is asked for of a packet.
const CONTROL_ROOM: usize = 256;

/// How requests are sent.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// An address of the host's own as their source.
    pub from: Option<IpAddr>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// Type of service, or traffic class.
    pub class: Option<u8>,
    /// `IP_PMTUDISC_…`: whether routers may cut them.
    pub discovery: Option<i32>,
    /// Their data.
    pub pattern: Pattern,
}

/// An error that came back.
#[derive(Debug)]
pub struct Trouble {
    /// Of which request, where that is known.
    pub sequence: Option<u16>,
    /// Who complains: a router, or the host itself. Nobody, where a request could not even be sent.
    pub from: Option<IpAddr>,
    /// What is wrong, in ping's words.
    pub what: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.sequence) {
            (Some(from), Some(sequence)) => write!(f, "From {from} icmp_seq={sequence} {}", self.what),
            (Some(from), None) => write!(f, "From {from} {}", self.what),
            (None, _) => write!(f, "ping: local error: {}", self.what),
        }
    }
}

/// A ping socket of tapsock's (SOCK_DGRAM with IPPROTO_ICMP); it gets the answers to its own requests only.
#[derive(Debug)]
pub struct TapsockEcho {
    host: Host,
    socket: i32,
    to: IpAddr,
    pattern: Pattern,
    buffer: Vec<u8>,
}

impl TapsockEcho {
    /// A socket for `to`.
    ///
    /// # Errors
    /// ENETUNREACH where no route leads there.
    pub fn open(host: &Host, to: IpAddr) -> io::Result<Self> {
        TapsockEcho::open_with(host, to, &Options::default())
    }

    /// A socket for `to`.
    ///
    /// # Errors
    /// ENETUNREACH where no route leads there; EADDRNOTAVAIL where the host has no such address.
    pub fn open_with(host: &Host, to: IpAddr, options: &Options) -> io::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AF_INET, IPPROTO_ICMP),
            IpAddr::V6(_) => (AF_INET6, IPPROTO_ICMPV6),
        };
        let socket = bsd::socket(host, family, SOCK_DGRAM, protocol)?;
        let buffer = vec![0; MAX_PAYLOAD + HEADER_LEN];
        let echo = TapsockEcho { host: host.clone(), socket, to, pattern: options.pattern.clone(), buffer };
        if let Some(from) = options.from {
            bsd::bind(host, socket, &SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        echo.set((bsd::IP_RECVTTL, bsd::IPV6_RECVHOPLIMIT), 1)?;
        echo.set((bsd::IP_RECVERR, bsd::IPV6_RECVERR), 1)?;
        for (names, value) in [
            ((bsd::IP_TTL, bsd::IPV6_UNICAST_HOPS), options.ttl.map(i32::from)),
            ((bsd::IP_TOS, bsd::IPV6_TCLASS), options.class.map(i32::from)),
            ((bsd::IP_MTU_DISCOVER, bsd::IPV6_MTU_DISCOVER), options.discovery),
        ] {
            value.map_or(Ok(()), |value| echo.set(names, value))?;
        }
        bsd::connect(host, socket, &SockAddr::from(SocketAddr::new(to, 0)))?;
        Ok(echo)
    }

    /// Sets the option of IPv4 or that of IPv6.
    fn set(&self, (v4, v6): (i32, i32), value: i32) -> io::Result<()> {
        let (level, name) = if self.to.is_ipv4() { (bsd::SOL_IP, v4) } else { (bsd::SOL_IPV6, v6) };
        bsd::setsockopt(&self.host, self.socket, level, name, &value.to_ne_bytes())?;
        Ok(())
    }

    /// The address that its requests come from, where that is known.
    ///
    /// # Errors
    /// EBADF where the host was shut down.
    pub fn source(&self) -> io::Result<Option<IpAddr>> {
        let address = bsd::getsockname(&self.host, self.socket)?.to_inet().map(|address| address.ip());
        Ok(address.filter(|address| !address.is_unspecified()))
    }

    /// The identifier of its requests.
    ///
    /// # Errors
    /// EBADF where the host was shut down.
    pub fn ident(&self) -> io::Result<u16> {
        Ok(bsd::getsockname(&self.host, self.socket)?.to_inet().map_or(0, |address| address.port()))
    }

    /// The next error that came back, where one has.
    pub fn trouble(&mut self) -> Option<Trouble> {
        let message = self.receive(bsd::MSG_DONTWAIT | bsd::MSG_ERRQUEUE).ok()?;
        let (error, from) = message.messages().into_iter().find_map(|message| match message {
            Control::ExtendedError4(error, from) => Some((error, from.map(|from| IpAddr::from(*from.ip())))),
            Control::ExtendedError6(error, from) => Some((error, from.map(|from| IpAddr::from(*from.ip())))),
            _ => None,
        })?;
        // Reading the queue leaves the error of the first report to be told by the next call.
        let _ = bsd::getsockopt(&self.host, self.socket, bsd::SOL_SOCKET, bsd::SO_ERROR);
        let from = from.filter(|_| error.origin != SO_EE_ORIGIN_LOCAL);
        let sequence =
            self.buffer[..message.len].get(6..8).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        let sequence = sequence.filter(|_| from.is_some());
        Some(Trouble { sequence, from, what: in_pings_words(&error) })
    }

    fn receive(&mut self, flags: i32) -> Result<ReceivedMessage, Errno> {
        let mut iov = [IoSliceMut::new(&mut self.buffer)];
        let mut message = RecvMessage { iov: &mut iov, control_room: cmsg_space(CONTROL_ROOM) };
        bsd::recvmsg(&self.host, self.socket, &mut message, flags)
    }
}

impl EchoSocket for TapsockEcho {
    fn request(&mut self, sequence: u16, payload: usize) -> io::Result<()> {
        // The stack puts the socket's identifier and the checksum in.
        let request = request(self.to, 0, sequence, payload, &self.pattern);
        bsd::send(&self.host, self.socket, &request, 0)?;
        Ok(())
    }

    fn answer(&mut self, deadline: Instant) -> io::Result<Option<Answer>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = left.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX);
            let mut ready = [bsd::PollFd::new(self.socket, PollMask::IN)];
            if bsd::poll(&self.host, &mut ready, timeout)? == 0 {
                return Ok(None);
            }
            let message = self.receive(bsd::MSG_DONTWAIT)?;
            let from = message.address.as_ref().and_then(SockAddr::to_inet).map_or(self.to, |from| from.ip());
            if let Some(answer) = parse(self.to, &self.buffer[..message.len], from, &self.pattern) {
                return Ok(Some(Answer { ttl: hop_limit(&message), ..answer }));
            }
        }
    }
}

impl Drop for TapsockEcho {
    fn drop(&mut self) {
        // It is gone already where the host was shut down.
        let _ = bsd::close(&self.host, self.socket);
    }
}

/// The TTL or hop limit that came with a message.
fn hop_limit(message: &ReceivedMessage) -> Option<u8> {
    message.messages().into_iter().find_map(|message| match message {
        Control::Ttl(hops) | Control::HopLimit(hops) => Some(hops),
        _ => None,
    })
}

/// What an error says, as ping(8) of iputils words it.
//= RFC 792
//= RFC 4443 §3
fn in_pings_words(error: &ExtendedError) -> String {
    let text = match (error.origin, error.kind, error.code) {
        (SO_EE_ORIGIN_ICMP, 3, 0) => "Destination Net Unreachable",
        (SO_EE_ORIGIN_ICMP, 3, 1) => "Destination Host Unreachable",
        (SO_EE_ORIGIN_ICMP, 3, 2) => "Destination Protocol Unreachable",
        (SO_EE_ORIGIN_ICMP, 3, 3) => "Destination Port Unreachable",
        (SO_EE_ORIGIN_ICMP, 3, 4) => return format!("Frag needed and DF set (mtu = {})", error.info),
        (SO_EE_ORIGIN_ICMP, 3, 13) => "Packet filtered",
        (SO_EE_ORIGIN_ICMP, 11, 0) => "Time to live exceeded",
        (SO_EE_ORIGIN_ICMP, 11, 1) => "Frag reassembly time exceeded",
        (SO_EE_ORIGIN_ICMP6, 1, 0) => "Destination unreachable: No route",
        (SO_EE_ORIGIN_ICMP6, 1, 1) => "Destination unreachable: Administratively prohibited",
        (SO_EE_ORIGIN_ICMP6, 1, 3) => "Destination unreachable: Address unreachable",
        (SO_EE_ORIGIN_ICMP6, 1, 4) => "Destination unreachable: Port unreachable",
        (SO_EE_ORIGIN_ICMP6, 2, _) => return format!("Packet too big: mtu={}", error.info),
        (SO_EE_ORIGIN_ICMP6, 3, 0) => "Time exceeded: Hop limit",
        (SO_EE_ORIGIN_ICMP6, 3, 1) => "Time exceeded: Defragmentation failure",
        _ if error.errno == Errno::MSGSIZE.raw_os_error() as u32 => {
            return format!("message too long, mtu={}", error.info);
        }
        _ => return io::Error::from_raw_os_error(error.errno as i32).to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_who_complains() {
        let from = "10.7.0.2".parse().ok();
        let words = |origin, kind, code| {
            let error = ExtendedError { origin, kind, code, info: 1400, ..ExtendedError::default() };
            Trouble { sequence: Some(3), from, what: in_pings_words(&error) }.to_string()
        };
        let host = "From 10.7.0.2 icmp_seq=3 Destination Host Unreachable";
        assert_eq!(words(SO_EE_ORIGIN_ICMP, 3, 1), host);
        assert!(words(SO_EE_ORIGIN_ICMP, 3, 4).ends_with("Frag needed and DF set (mtu = 1400)"));
        assert!(words(SO_EE_ORIGIN_ICMP6, 3, 0).ends_with("Time exceeded: Hop limit"));
    }
}
