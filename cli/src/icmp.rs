//! Echo requests and their answers, over the kernel's raw sockets and over tapsock's ping sockets.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto};
use tapsock::bsd::control::{Control, cmsg_space};
use tapsock::bsd::{
    self, AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, PollMask, ReceivedMessage, RecvMessage, SOCK_DGRAM,
};
use tapsock::{Host, SockAddr};
use tapsock_stack::wire::checksum::Sum;

/// Bytes of an ICMP header.
pub const HEADER_LEN: usize = 8;
/// The largest payload of an echo request, in bytes: what fits an IPv4 packet.
pub const MAX_PAYLOAD: usize = 65_507;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// An answer to an echo request.
#[derive(Debug, Eq, PartialEq)]
pub struct Answer {
    /// Which request it answers.
    pub sequence: u16,
    /// Bytes of the ICMP message.
    pub len: usize,
    /// Who answered.
    pub from: IpAddr,
    /// The TTL or hop limit with which it came, where that is known.
    pub ttl: Option<u8>,
    /// Whether it brought back what was sent.
    pub intact: bool,
}

/// A socket that sends echo requests to one destination.
pub trait EchoSocket: Send {
    /// Sends request number `sequence` with `payload` bytes of data.
    fn request(&mut self, sequence: u16, payload: usize) -> io::Result<()>;

    /// The next answer to a request of this socket, if one comes before `deadline`. An ICMP error that came back is
    /// an error.
    fn answer(&mut self, deadline: Instant) -> io::Result<Option<Answer>>;
}

/// One round trip: how long it took, or `None` where no intact answer came within `patience`.
pub fn ping(
    socket: &mut impl EchoSocket,
    sequence: u16,
    payload: usize,
    patience: Duration,
) -> io::Result<Option<Duration>> {
    let begin = Instant::now();
    socket.request(sequence, payload)?;
    while let Some(answer) = socket.answer(begin + patience)? {
        if answer.sequence == sequence && answer.intact {
            return Ok(Some(begin.elapsed()));
        }
    }
    Ok(None)
}

/// A raw socket of the kernel's. It needs CAP_NET_RAW, which root of a namespace has.
#[derive(Debug)]
pub struct KernelEcho {
    socket: OwnedFd,
    to: SocketAddr,
    ident: u16,
    buffer: Vec<u8>,
}

impl KernelEcho {
    /// A socket for `to`.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn open(to: IpAddr) -> io::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let socket = rustix::net::socket(family, SocketType::RAW, Some(protocol))?;
        let ident = std::process::id() as u16;
        Ok(KernelEcho { socket, to: SocketAddr::new(to, 0), ident, buffer: vec![0; MAX_PAYLOAD + 128] })
    }

    /// The message in a packet as a raw socket gives it: IPv4's with its header.
    fn message<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        match self.to {
            SocketAddr::V4(_) => packet.get(usize::from(packet.first()? & 0xf) * 4..),
            SocketAddr::V6(_) => Some(packet),
        }
    }
}

impl EchoSocket for KernelEcho {
    fn request(&mut self, sequence: u16, payload: usize) -> io::Result<()> {
        let request = request(self.to.ip(), self.ident, sequence, payload);
        rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &self.to)?;
        Ok(())
    }

    fn answer(&mut self, deadline: Instant) -> io::Result<Option<Answer>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            if rustix::event::poll(&mut ready, Some(&timeout))? == 0 {
                return Ok(None);
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = rustix::net::recvfrom(&self.socket, &mut buffer[..], RecvFlags::empty());
            let answer = received.map(|(_, len, from)| {
                let from = from.and_then(|from| SocketAddr::try_from(from).ok())?;
                let message = self.message(&buffer[..len])?;
                // A raw socket sees everybody's messages.
                let ours = message.get(4..6)? == self.ident.to_be_bytes() && from.ip() == self.to.ip();
                // A raw socket gives IPv4's header along, and nothing of IPv6's.
                let ttl = if self.to.is_ipv4() { buffer.get(8).copied() } else { None };
                let answer = if ours { parse(self.to.ip(), message, from.ip()) } else { None };
                answer.map(|answer| Answer { ttl, ..answer })
            });
            self.buffer = buffer;
            if let Some(answer) = answer? {
                return Ok(Some(answer));
            }
        }
    }
}

/// A ping socket of tapsock's (SOCK_DGRAM with IPPROTO_ICMP); it gets the answers to its own requests only.
#[derive(Debug)]
pub struct TapsockEcho {
    host: Host,
    socket: i32,
    to: IpAddr,
    buffer: Vec<u8>,
}

impl TapsockEcho {
    /// A socket for `to`.
    ///
    /// # Errors
    /// ENETUNREACH where no route leads there.
    pub fn open(host: &Host, to: IpAddr) -> io::Result<Self> {
        TapsockEcho::open_from(host, to, None)
    }

    /// A socket for `to`, with an address of the host's own as its source where there is one.
    ///
    /// # Errors
    /// ENETUNREACH where no route leads there; EADDRNOTAVAIL where the host has no such address.
    pub fn open_from(host: &Host, to: IpAddr, from: Option<IpAddr>) -> io::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AF_INET, IPPROTO_ICMP),
            IpAddr::V6(_) => (AF_INET6, IPPROTO_ICMPV6),
        };
        let socket = bsd::socket(host, family, SOCK_DGRAM, protocol)?;
        let echo = TapsockEcho { host: host.clone(), socket, to, buffer: vec![0; MAX_PAYLOAD + HEADER_LEN] };
        if let Some(from) = from {
            bsd::bind(host, socket, &SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        let (level, name) = match to {
            IpAddr::V4(_) => (bsd::SOL_IP, bsd::IP_RECVTTL),
            IpAddr::V6(_) => (bsd::SOL_IPV6, bsd::IPV6_RECVHOPLIMIT),
        };
        bsd::setsockopt(host, socket, level, name, &1i32.to_ne_bytes())?;
        bsd::connect(host, socket, &SockAddr::from(SocketAddr::new(to, 0)))?;
        Ok(echo)
    }

    /// Sends with this TTL, or hop limit.
    ///
    /// # Errors
    /// EINVAL for 0.
    pub fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        let (level, name) = match self.to {
            IpAddr::V4(_) => (bsd::IPPROTO_IP, bsd::IP_TTL),
            IpAddr::V6(_) => (bsd::IPPROTO_IPV6, bsd::IPV6_UNICAST_HOPS),
        };
        bsd::setsockopt(&self.host, self.socket, level, name, &i32::from(ttl).to_ne_bytes())?;
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
}

impl EchoSocket for TapsockEcho {
    fn request(&mut self, sequence: u16, payload: usize) -> io::Result<()> {
        // The stack puts the socket's identifier and the checksum in.
        let request = request(self.to, 0, sequence, payload);
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
            let mut iov = [IoSliceMut::new(&mut self.buffer)];
            let mut message = RecvMessage { iov: &mut iov, control_room: cmsg_space(size_of::<i32>()) };
            let message = bsd::recvmsg(&self.host, self.socket, &mut message, bsd::MSG_DONTWAIT)?;
            let from = message.address.as_ref().and_then(SockAddr::to_inet).map_or(self.to, |from| from.ip());
            if let Some(answer) = parse(self.to, &self.buffer[..message.len], from) {
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

/// An echo request with its checksum. (For ICMPv6 the kernel fills it in, which knows the addresses.)
fn request(to: IpAddr, ident: u16, sequence: u16, payload: usize) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(ident.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend((0..payload).map(pattern));
    let mut sum = Sum::new();
    sum.add_bytes(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    message
}

fn parse(to: IpAddr, message: &[u8], from: IpAddr) -> Option<Answer> {
    let reply = if to.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_V6 };
    let (header, payload) = message.split_first_chunk::<HEADER_LEN>()?;
    let [kind, 0, _, _, _, _, high, low] = *header else { return None };
    (kind == reply).then(|| Answer {
        sequence: u16::from_be_bytes([high, low]),
        len: message.len(),
        from,
        ttl: None,
        intact: payload.iter().enumerate().all(|(index, &byte)| byte == pattern(index)),
    })
}

/// Byte `index` of the data of a request.
fn pattern(index: usize) -> u8 {
    (index % 251) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_answer_is_told_from_a_request() {
        let mut message = request(THERE, 7, 3, 40);
        assert_eq!(parse(THERE, &message, THERE), None);
        message[0] = ECHO_REPLY;
        let answer = Answer { sequence: 3, len: 48, from: THERE, ttl: None, intact: true };
        assert_eq!(parse(THERE, &message, THERE), Some(answer));
        message[30] ^= 1;
        assert!(!parse(THERE, &message, THERE).unwrap().intact);
        assert_eq!(parse(THERE, &message[..7], THERE), None);
    }

    #[test]
    fn a_host_answers_itself() {
        let host = Host::builder().start().unwrap();
        for to in ["127.0.0.1", "::1"] {
            let mut socket = TapsockEcho::open(&host, to.parse().unwrap()).unwrap();
            let patience = Duration::from_secs(5);
            assert!(ping(&mut socket, 1, 56, patience).unwrap().is_some());
            assert!(ping(&mut socket, 2, 0, patience).unwrap().is_some());
        }
    }
}
