//! Echo requests and their answers, over the kernel's raw sockets and over tapsock's ping sockets.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto};
use tapsock_stack::wire::checksum::Sum;

pub use stack::{Options, TapsockEcho, Trouble};

mod stack;

/// Bytes of an ICMP header.
pub const HEADER_LEN: usize = 8;
/// The largest payload of an echo request, in bytes: what fits an IPv4 packet.
pub const MAX_PAYLOAD: usize = 65_507;

/// Bytes of a pattern of data at most.
const MAX_PATTERN: usize = 16;

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
        let request = request(self.to.ip(), self.ident, sequence, payload, &Pattern::default());
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
                let answer =
                    if ours { parse(self.to.ip(), message, from.ip(), &Pattern::default()) } else { None };
                answer.map(|answer| Answer { ttl, ..answer })
            });
            self.buffer = buffer;
            if let Some(answer) = answer? {
                return Ok(Some(answer));
            }
        }
    }
}

/// An echo request with its checksum. (For ICMPv6 the kernel fills it in, which knows the addresses.)
fn request(to: IpAddr, ident: u16, sequence: u16, payload: usize, pattern: &Pattern) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(ident.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend((0..payload).map(|index| pattern.byte(index)));
    let mut sum = Sum::new();
    sum.add_bytes(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    message
}

fn parse(to: IpAddr, message: &[u8], from: IpAddr, pattern: &Pattern) -> Option<Answer> {
    let reply = if to.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_V6 };
    let (header, payload) = message.split_first_chunk::<HEADER_LEN>()?;
    let [kind, 0, _, _, _, _, high, low] = *header else { return None };
    (kind == reply).then(|| Answer {
        sequence: u16::from_be_bytes([high, low]),
        len: message.len(),
        from,
        ttl: None,
        intact: payload.iter().enumerate().all(|(index, &byte)| byte == pattern.byte(index)),
    })
}

/// The data of requests: these bytes again and again; without any, ascending ones.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Byte `index` of the data.
    fn byte(&self, index: usize) -> u8 {
        match self.0.as_slice() {
            [] => (index % 251) as u8,
            bytes => bytes[index % bytes.len()],
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    /// Up to 16 bytes in hexadecimal digits; a last single one is a byte too, as ping has it.
    fn from_str(digits: &str) -> Result<Self, String> {
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a pattern is of hexadecimal digits".to_owned());
        }
        let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte << 4 | hex(*digit));
        let bytes: Vec<u8> = digits.as_bytes().chunks(2).map(byte).collect();
        match bytes.len() {
            ..=MAX_PATTERN => Ok(Pattern(bytes)),
            _ => Err(format!("a pattern has {MAX_PATTERN} bytes at most")),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests {
    use tapsock::Host;

    use super::*;

    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_answer_is_told_from_a_request() {
        let pattern = Pattern::default();
        let mut message = request(THERE, 7, 3, 40, &pattern);
        assert_eq!(parse(THERE, &message, THERE, &pattern), None);
        message[0] = ECHO_REPLY;
        let answer = Answer { sequence: 3, len: 48, from: THERE, ttl: None, intact: true };
        assert_eq!(parse(THERE, &message, THERE, &pattern), Some(answer));
        message[30] ^= 1;
        assert!(!parse(THERE, &message, THERE, &pattern).unwrap().intact);
        assert_eq!(parse(THERE, &message[..7], THERE, &pattern), None);
    }

    #[test]
    fn data_has_a_pattern() {
        let pattern: Pattern = "ff001".parse().unwrap();
        assert_eq!((pattern.to_string().as_str(), pattern.byte(3)), ("ff0001", 0xff));
        for text in ["", "xy", &"0".repeat(33)] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
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
