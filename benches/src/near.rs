//! tapsock's sockets, as the near end uses them.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tapsock::bsd::{self, EPOLL_CTL_ADD, EPOLLIN, EPOLLOUT, EpollEvent};
use tapsock::net::{TcpListener, TcpStream};
use tapsock::socket::{Domain, Socket, Type};
use tapsock::{Driver, Host, SockAddr};
use tapsock_sockets::constants::{SOL_UDP, UDP_GRO, UDP_SEGMENT};
use tokio::io::Interest as Readiness;
use tokio::io::unix::AsyncFd;

use crate::lab::{Contender, Lab, Side, cidrs};
use crate::plain::Plain;
use crate::role::{Datagrams, EVENTS, Interest, Net, Place, Stream, Waiting, Watch};

/// How long a host that spins looks at the link: longer than any answer takes.
const SPIN: Duration = Duration::from_millis(50);

/// A host with a TAP device of the lab. Its thread runs where the calling thread may.
pub(crate) fn host(lab: &Lab, contender: Contender, waiting: Waiting) -> io::Result<Host> {
    let [v4, v6] = cidrs(contender, Side::Near);
    let (builder, tap) = (Host::builder(), lab.tap(contender)?);
    let builder = match contender {
        Contender::Plain => builder.link(Plain::new(tap)),
        _ => builder.link(tap),
    };
    let mut builder = builder.address(v4).address(v6);
    if let Waiting::Turns | Waiting::TurnsOfTasks = waiting {
        builder = builder.driver(Driver::External);
    }
    let spin = if waiting == Waiting::Spins { Some(SPIN) } else { lab.tuning.spin };
    if let Some(spin) = spin {
        builder = builder.spin(spin);
    }
    lab.tuning.settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
}

impl Net for Host {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Datagrams = Socket;

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(self, to)
    }

    fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(self, at)
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept()?.0)
    }

    fn datagrams(&self, place: Place) -> io::Result<Socket> {
        let address = place.at(0);
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(self, domain, Type::DGRAM, None)?;
        match place {
            Place::Listen(_) => socket.bind(&SockAddr::from(address))?,
            Place::Connect(_) => socket.connect(&SockAddr::from(address))?,
        }
        Ok(socket)
    }
}

impl Datagrams for Socket {
    fn cut(&self, size: u16) -> io::Result<()> {
        self.set_option(SOL_UDP, UDP_SEGMENT, &i32::from(size).to_ne_bytes())
    }

    fn merge(&self) -> io::Result<()> {
        self.set_option(SOL_UDP, UDP_GRO, &1i32.to_ne_bytes())
    }

    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        Socket::send(self, data)
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into)
    }
}

impl Stream for TcpStream {
    type Watch = Epoll;
    type Task = tapsock::tokio::TcpStream;

    fn watch(streams: &[Self], interest: Interest) -> io::Result<Epoll> {
        let host = streams.first().ok_or(io::ErrorKind::InvalidInput)?.host().clone();
        let id = bsd::epoll_create1(&host, 0)?;
        let events = match interest {
            Interest::Arrivals => EPOLLIN,
            Interest::Room => EPOLLOUT,
        };
        for (place, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true)?;
            let wanted = EpollEvent { events, data: place as u64 };
            bsd::epoll_ctl(&host, id, EPOLL_CTL_ADD, stream.socket_id()?, Some(wanted))?;
        }
        Ok(Epoll { host, id })
    }

    fn beside(&self) -> io::Result<impl Future<Output = io::Error> + 'static> {
        let host = self.host().clone();
        let stack = match host.as_fd() {
            Ok(fd) => Some(watched(fd.try_clone_to_owned()?)?),
            // It has a thread of its own.
            Err(_) => None,
        };
        Ok(async move {
            let Some(stack) = stack else { return std::future::pending().await };
            loop {
                let turn = async {
                    let mut ready = stack.readable().await?;
                    host.turn()?;
                    ready.clear_ready();
                    io::Result::Ok(())
                };
                if let Err(error) = turn.await {
                    return error;
                }
            }
        })
    }

    fn into_task(self) -> io::Result<tapsock::tokio::TcpStream> {
        tapsock::tokio::TcpStream::from_std(self)
    }

    fn send_owned(&mut self, data: &Bytes) -> io::Result<usize> {
        self.send_bytes(data.clone())
    }

    fn receive_owned(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_bytes()?.len())
    }

    fn no_delay(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    /// Its host does.
    fn spin(&self) -> io::Result<()> {
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A descriptor in the runtime. It owns it, so that it stays what it is.
#[expect(deprecated, reason = "what takes its place is unsafe, for descriptors that are not owned")]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Readiness::READABLE)
}

/// An epoll instance of tapsock's.
pub(crate) struct Epoll {
    host: Host,
    id: i32,
}

impl Watch for Epoll {
    fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        let mut events = [EpollEvent::default(); EVENTS];
        let mut count = 0;
        match self.host.as_fd() {
            Ok(stack) => {
                while count == 0 {
                    poll(&mut [PollFd::from_borrowed_fd(stack, PollFlags::IN)], None)?;
                    self.host.turn()?;
                    count = bsd::epoll_wait(&self.host, self.id, &mut events, 0)?;
                }
            }
            // It has a thread of its own.
            Err(_) => count = bsd::epoll_wait(&self.host, self.id, &mut events, -1)?,
        }
        ready.clear();
        ready.extend(events[..count].iter().map(|event| event.data as usize));
        Ok(())
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // It is there as long as the host is.
        let _ = bsd::close(&self.host, self.id);
    }
}

/// Prints what the engine and the stack of `host` have counted.
pub(crate) fn print_counters(host: &Host) {
    eprintln!("{:#?}", host.engine_stats());
    for (counter, value) in host.counters().iter().filter(|(_, value)| *value > 0) {
        eprintln!("{:<32} {value:>12}", counter.name());
    }
}
