//! Echo requests from a ping socket, as `ping` of Linux sends them without privileges.

use core::net::{IpAddr, SocketAddr};

use tapsock_sim::app::App;
use tapsock_sim::node::Status;
use tapsock_sockets::constants::{
    AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_DGRAM, SOCK_NONBLOCK,
};
use tapsock_sockets::{Fd, SockAddr, Sockets};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

/// Sends `count` echo requests, each after the answer to the last.
pub struct Ping {
    target: IpAddr,
    count: u16,
    socket: Option<Fd>,
    sent: u16,
    answered: u16,
}

impl Ping {
    pub fn new(target: IpAddr, count: u16) -> Self {
        Ping { target, count, socket: None, sent: 0, answered: 0 }
    }

    pub fn answered(&self) -> u16 {
        self.answered
    }

    fn kinds(&self) -> (u8, u8) {
        if self.target.is_ipv4() { (8, 0) } else { (128, 129) }
    }
}

impl App<Sockets> for Ping {
    fn poll(&mut self, now: Instant, sockets: &mut Sockets) -> Option<Instant> {
        let (domain, protocol) = match self.target {
            IpAddr::V4(_) => (AF_INET, IPPROTO_ICMP),
            IpAddr::V6(_) => (AF_INET6, IPPROTO_ICMPV6),
        };
        let fd = *self.socket.get_or_insert_with(|| {
            sockets.socket(domain, SOCK_DGRAM | SOCK_NONBLOCK, protocol).expect("a ping socket")
        });
        let (request, reply) = self.kinds();
        if let Ok(received) = sockets.try_recv(now, fd, 2_000, 0) {
            let data = received.data.to_vec();
            assert_eq!((data[0], data[1]), (reply, 0));
            assert_eq!(data[6..8], self.answered.to_be_bytes());
            assert_eq!(&data[8..], b"are you there?");
            self.answered += 1;
        }
        if self.sent == self.answered && self.sent < self.count {
            let [high, low] = self.sent.to_be_bytes();
            let mut message = vec![request, 0, 0, 0, 0, 0, high, low];
            message.extend(b"are you there?");
            let to = SockAddr::from(SocketAddr::new(self.target, 0));
            sockets.try_send(now, fd, &mut Rope::from(message), 0, Some(&to)).expect("a ping goes out");
            self.sent += 1;
        }
        None
    }

    fn status(&self) -> Status {
        match self.answered < self.count {
            true => Status::Working,
            false => Status::Done,
        }
    }
}
