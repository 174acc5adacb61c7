//! One packet that does not come far, and who says so.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::{Value, json};
use tapsock::bsd::control::{Control, ExtendedError, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, cmsg_space};
use tapsock::bsd::{self, PollMask, RecvMessage};
use tapsock::{Host, SockAddr};

/// Bytes of control messages: an error with its address.
const CONTROL_ROOM: usize = 256;
/// Payload of a datagram or an echo request over IPv4, in bytes.
const PAYLOAD: usize = 32;

/// What is sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Method {
    /// Datagrams, the first one to this port, each to the next.
    Datagrams(u16),
    /// Echo requests.
    Echo,
    /// The first packet of a connection to this port.
    Connection(u16),
}

/// A packet on its way. Each has a socket of its own, so that whatever comes back is of it.
#[derive(Debug)]
pub struct Probe {
    host: Host,
    socket: i32,
    to: IpAddr,
    method: Method,
    sent: Instant,
}

/// What came back.
#[derive(Debug)]
pub struct Heard {
    /// From whom.
    pub from: IpAddr,
    /// After how long.
    pub took: Duration,
    /// Whether it is the host itself, to which the packet came.
    pub arrived: bool,
    /// Why the packet goes no further, in traceroute's marks: ` !H`; nothing where its time is over.
    pub mark: &'static str,
}

impl Heard {
    /// It as JSON: `from`, `rtt` in milliseconds, `arrived`, and `mark` where there is one.
    pub fn object(&self) -> Value {
        // To the nanosecond, as it was measured.
        let rtt = self.took.as_nanos() as f64 / 1e6;
        let mut object = json!({ "from": self.from, "rtt": rtt, "arrived": self.arrived });
        if !self.mark.is_empty() {
            object["mark"] = self.mark.trim_start().into();
        }
        object
    }
}

impl Probe {
    /// Sends probe `number` with this TTL.
    ///
    /// # Errors
    /// ENETUNREACH and what else sending says; EMFILE.
    pub fn send(host: &Host, to: IpAddr, method: Method, ttl: u8, number: u16) -> io::Result<Probe> {
        let family = if to.is_ipv4() { bsd::AF_INET } else { bsd::AF_INET6 };
        let (kind, protocol, port) = match method {
            Method::Datagrams(first) => (bsd::SOCK_DGRAM, 0, first.wrapping_add(number)),
            Method::Connection(port) => (bsd::SOCK_STREAM | bsd::SOCK_NONBLOCK, 0, port),
            Method::Echo if to.is_ipv4() => (bsd::SOCK_DGRAM, bsd::IPPROTO_ICMP, 0),
            Method::Echo => (bsd::SOCK_DGRAM, bsd::IPPROTO_ICMPV6, 0),
        };
        let socket = bsd::socket(host, family, kind, protocol)?;
        let mut probe = Probe { host: host.clone(), socket, to, method, sent: Instant::now() };
        let options = match to {
            IpAddr::V4(_) => [(bsd::SOL_IP, bsd::IP_RECVERR, 1), (bsd::SOL_IP, bsd::IP_TTL, ttl.into())],
            IpAddr::V6(_) => [
                (bsd::SOL_IPV6, bsd::IPV6_RECVERR, 1),
                (bsd::SOL_IPV6, bsd::IPV6_UNICAST_HOPS, i32::from(ttl)),
            ],
        };
        for (level, name, value) in options {
            bsd::setsockopt(host, socket, level, name, &value.to_ne_bytes())?;
        }
        probe.sent = Instant::now();
        match bsd::connect(host, socket, &SockAddr::from(SocketAddr::new(to, port))) {
            Err(errno) if errno != Errno::INPROGRESS => return Err(errno.into()),
            _ => {}
        }
        match method {
            Method::Datagrams(_) => drop(bsd::send(host, socket, &[b'@'; PAYLOAD], 0)?),
            Method::Echo => drop(bsd::send(host, socket, &echo(to, number), 0)?),
            Method::Connection(_) => {}
        }
        Ok(probe)
    }

    /// What comes back, by then.
    ///
    /// # Errors
    /// EBADF where the host was shut down.
    pub fn heard(&mut self, until: Instant) -> io::Result<Option<Heard>> {
        loop {
            if let Some(heard) = self.look()? {
                return Ok(Some(heard));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let wanted =
                if matches!(self.method, Method::Connection(_)) { PollMask::OUT } else { PollMask::IN };
            let mut ready = [bsd::PollFd::new(self.socket, wanted)];
            let millis = left.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX);
            bsd::poll(&self.host, &mut ready, millis)?;
            // What is ready is looked at again at once; where it is nothing, time has passed.
            if ready[0].revents == PollMask::NONE {
                continue;
            }
            if let Some(heard) = self.look()? {
                return Ok(Some(heard));
            }
            if let Some(arrived) = self.arrived()? {
                return Ok(Some(arrived));
            }
        }
    }

    /// An error that came back.
    fn look(&self) -> io::Result<Option<Heard>> {
        let mut bytes = [0; 64];
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let mut message = RecvMessage { iov: &mut iov, control_room: cmsg_space(CONTROL_ROOM) };
        let flags = bsd::MSG_DONTWAIT | bsd::MSG_ERRQUEUE;
        let message = match bsd::recvmsg(&self.host, self.socket, &mut message, flags) {
            Ok(message) => message,
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let told = message.messages().into_iter().find_map(|message| match message {
            Control::ExtendedError4(error, from) => Some((error, from.map(|from| IpAddr::from(*from.ip())))),
            Control::ExtendedError6(error, from) => Some((error, from.map(|from| IpAddr::from(*from.ip())))),
            _ => None,
        });
        let Some((error, Some(from))) = told else { return Ok(None) };
        let (arrived, mark) = meaning(&error, from == self.to);
        Ok(Some(Heard { from, took: self.sent.elapsed(), arrived, mark }))
    }

    /// The host's own answer.
    fn arrived(&self) -> io::Result<Option<Heard>> {
        let heard = Heard { from: self.to, took: self.sent.elapsed(), arrived: true, mark: "" };
        match self.method {
            Method::Connection(_) => {
                // Refused or taken, the host has answered.
                let errno =
                    bsd::getsockopt(&self.host, self.socket, bsd::SOL_SOCKET, bsd::SO_ERROR)?.as_int();
                let answered = errno == Some(0) || errno == Some(Errno::CONNREFUSED.raw_os_error());
                Ok(answered.then_some(heard))
            }
            Method::Echo | Method::Datagrams(_) => {
                match bsd::recv(&self.host, self.socket, &mut [0; 64], bsd::MSG_DONTWAIT) {
                    Ok(_) => Ok(Some(heard)),
                    Err(Errno::BADF) => Err(Errno::BADF.into()),
                    // The report of an error is told twice.
                    Err(_) => Ok(None),
                }
            }
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It is gone already where the host was shut down.
        let _ = bsd::close(&self.host, self.socket);
    }
}

/// An echo request; the stack puts the identifier and the checksum in.
fn echo(to: IpAddr, number: u16) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let [high, low] = number.to_be_bytes();
    [&[kind, 0, 0, 0, 0, 0, high, low][..], &[b'@'; PAYLOAD]].concat()
}

/// Whether an error is the host's own answer, and traceroute's mark for it.
fn meaning(error: &ExtendedError, is_host: bool) -> (bool, &'static str) {
    match (error.origin, error.kind, error.code) {
        (SO_EE_ORIGIN_ICMP, 11, _) | (SO_EE_ORIGIN_ICMP6, 3, _) => (false, ""),
        // A port where nobody listens is where datagrams were sent to.
        (SO_EE_ORIGIN_ICMP, 3, 3) | (SO_EE_ORIGIN_ICMP6, 1, 4) => (is_host, if is_host { "" } else { " !X" }),
        (SO_EE_ORIGIN_ICMP, 3, 0) | (SO_EE_ORIGIN_ICMP6, 1, 0) => (false, " !N"),
        (SO_EE_ORIGIN_ICMP, 3, 1) | (SO_EE_ORIGIN_ICMP6, 1, 3) => (false, " !H"),
        (SO_EE_ORIGIN_ICMP, 3, 2) => (is_host, " !P"),
        (SO_EE_ORIGIN_ICMP, 3, 4) | (SO_EE_ORIGIN_ICMP6, 2, _) => (false, " !F"),
        _ => (false, " !X"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_an_object() {
        let from = IpAddr::from([10, 7, 0, 1]);
        let mut heard = Heard { from, took: Duration::from_micros(1500), arrived: true, mark: "" };
        assert_eq!(heard.object().to_string(), r#"{"arrived":true,"from":"10.7.0.1","rtt":1.5}"#);
        (heard.arrived, heard.mark) = (false, " !H");
        assert_eq!(heard.object()["mark"], "!H");
    }

    #[test]
    fn errors_have_traceroutes_marks() {
        let said = |origin, kind, code, is_host| {
            meaning(&ExtendedError { origin, kind, code, ..ExtendedError::default() }, is_host)
        };
        assert_eq!(said(SO_EE_ORIGIN_ICMP, 11, 0, false), (false, ""));
        assert_eq!(said(SO_EE_ORIGIN_ICMP6, 3, 0, false), (false, ""));
        assert_eq!(said(SO_EE_ORIGIN_ICMP, 3, 3, true), (true, ""));
        assert_eq!(said(SO_EE_ORIGIN_ICMP, 3, 1, false), (false, " !H"));
        assert_eq!(said(SO_EE_ORIGIN_ICMP6, 1, 0, false), (false, " !N"));
        assert_eq!(said(SO_EE_ORIGIN_ICMP, 3, 13, false), (false, " !X"));
    }
}
