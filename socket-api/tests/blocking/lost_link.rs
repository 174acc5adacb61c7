//! A link that goes away while calls wait: each ends at once, and says why.

use std::io::IoSliceMut;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use tapsock::bsd::{
    self, AF_INET, EPOLL_CTL_ADD, EPOLLIN, EpollEvent, FdSet, IPPROTO_ICMP, MSG_DONTWAIT, PollFd, PollMask,
    RecvMessage, SO_LINGER, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET,
};
use tapsock::{Errno, Host};
use tapsock_driver::unix::{Framing, UnixLink};

use super::common::{LEFT, PATIENCE, RIGHT, within};
use super::{address, connected};

/// What a call says at its end: an error, or what it returns.
type Outcome = Result<String, Errno>;

/// A call, made on a socket of the host's.
type Call = fn(&Host, i32) -> Outcome;

fn said<T: ToString>(ended: Result<T, Errno>) -> Outcome {
    ended.map(|value| value.to_string())
}

/// Those that wait for what a connection brings.
const RECEIVING: &[(&str, Call)] = &[
    ("recv", |host, socket| said(bsd::recv(host, socket, &mut [0], 0))),
    ("recvmsg", |host, socket| {
        let mut byte = [0];
        let mut message = RecvMessage { iov: &mut [IoSliceMut::new(&mut byte)], control_room: 0 };
        said(bsd::recvmsg(host, socket, &mut message, 0).map(|received| received.len))
    }),
    ("poll", |host, socket| {
        let mut fds = [PollFd::new(socket, PollMask::IN)];
        said(bsd::poll(host, &mut fds, -1).map(|_| format!("{:?}", fds[0].revents)))
    }),
    ("select", |host, socket| {
        let mut set: FdSet = [socket].into_iter().collect();
        said(bsd::select(host, socket + 1, Some(&mut set), None, None, None))
    }),
    ("epoll_wait", |host, socket| {
        let epoll = bsd::epoll_create1(host, 0)?;
        let event = EpollEvent { events: EPOLLIN, data: 0 };
        bsd::epoll_ctl(host, epoll, EPOLL_CTL_ADD, socket, Some(event))?;
        said(bsd::epoll_wait(host, epoll, &mut [EpollEvent::default()], -1))
    }),
];

fn fill(host: &Host, socket: i32) {
    let mut refusals = 0;
    while refusals < 20 {
        match bsd::send(host, socket, &[0; 65_536], MSG_DONTWAIT) {
            Ok(_) => refusals = 0,
            // What is acknowledged late makes room again.
            Err(_) => (refusals, ()) = (refusals + 1, thread::sleep(Duration::from_millis(5))),
        }
    }
}

/// Calls that wait, what they are, and how they are to end.
struct Waiting {
    ended: mpsc::Receiver<(&'static str, Outcome)>,
    say: mpsc::Sender<(&'static str, Outcome)>,
    expected: Vec<(&'static str, Outcome)>,
}

impl Waiting {
    fn new() -> Self {
        let (say, ended) = mpsc::channel();
        Waiting { ended, say, expected: Vec::new() }
    }

    fn begin(
        &mut self,
        host: &Host,
        name: &'static str,
        expected: Outcome,
        call: impl FnOnce(&Host) -> Outcome + Send + 'static,
    ) {
        let (host, say) = (host.clone(), self.say.clone());
        self.expected.push((name, expected));
        thread::spawn(move || say.send((name, call(&host))));
    }
}

#[test]
fn each_call_that_waits_ends_and_says_that_the_network_is_down() {
    within(PATIENCE, || {
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let wire = here.try_clone().unwrap();
        let host = |fd, address: &str| {
            let link = UnixLink::from_fd(fd, Framing::Vnet, 1500).unwrap();
            let address = format!("{address}/24").parse().unwrap();
            Host::builder().privileged().link(link).address(address).start().unwrap()
        };
        let (left, right) = (host(here, LEFT), host(there, RIGHT));
        let mut waiting = Waiting::new();
        for (name, call) in RECEIVING {
            let (_, client, _) = connected(&left, &right);
            let expected = match *name {
                "poll" => Ok(format!("{:?}", PollMask::IN | PollMask::ERR | PollMask::HUP)),
                "select" | "epoll_wait" => Ok("1".to_owned()),
                _ => Err(Errno::NETDOWN),
            };
            waiting.begin(&left, name, expected, move |host| call(host, client));
        }
        let (_, full, _) = connected(&left, &right);
        fill(&left, full);
        waiting.begin(&left, "send", Err(Errno::NETDOWN), move |host| {
            said(bsd::send(host, full, &[0; 1 << 20], 0))
        });
        let (_, closed, _) = connected(&left, &right);
        fill(&left, closed);
        let linger = [1i32, 3600].map(i32::to_ne_bytes).concat();
        bsd::setsockopt(&left, closed, SOL_SOCKET, SO_LINGER, &linger).unwrap();
        waiting.begin(&left, "close", Ok("closed".to_owned()), move |host| {
            said(bsd::close(host, closed).map(|()| "closed"))
        });
        let new = |kind, protocol| bsd::socket(&left, AF_INET, kind, protocol).unwrap();
        let listener = new(SOCK_STREAM, 0);
        bsd::bind(&left, listener, &address(LEFT, 0)).unwrap();
        bsd::listen(&left, listener, 1).unwrap();
        waiting.begin(&left, "accept", Err(Errno::NETDOWN), move |host| {
            said(bsd::accept(host, listener).map(|(id, _)| id))
        });
        let nobody = new(SOCK_STREAM, 0);
        waiting.begin(&left, "connect", Err(Errno::NETDOWN), move |host| {
            said(bsd::connect(host, nobody, &address("10.0.0.99", 1)).map(|()| "connected"))
        });
        for (name, socket) in [
            ("UDP", new(SOCK_DGRAM, 0)),
            ("ping", new(SOCK_DGRAM, IPPROTO_ICMP)),
            ("raw", new(SOCK_RAW, 200)),
        ] {
            bsd::connect(&left, socket, &address(RIGHT, 9)).unwrap();
            waiting.begin(&left, name, Err(Errno::NETDOWN), move |host| {
                said(bsd::recv(host, socket, &mut [0; 9], 0))
            });
        }

        let early = waiting.ended.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "nothing has happened yet: {early:?}");
        shutdown(&wire, Shutdown::Both).unwrap();
        let lost = Instant::now();
        let mut ended: Vec<_> = waiting.expected.iter().map(|_| waiting.ended.recv().unwrap()).collect();
        assert!(lost.elapsed() < Duration::from_secs(10), "{:?}", lost.elapsed());
        ended.sort_by_key(|(name, _)| *name);
        waiting.expected.sort_by_key(|(name, _)| *name);
        assert_eq!(ended, waiting.expected);

        // Nobody is left to wait for.
        assert_eq!(bsd::close(&left, full), Ok(()));
        assert!(left.shutdown().is_complete());
        assert!(lost.elapsed() < Duration::from_secs(12), "{:?}", lost.elapsed());
    });
}
