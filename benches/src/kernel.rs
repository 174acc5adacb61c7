//! The kernel's sockets, and the processes that use them: this same program, run inside a namespace.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::epoll;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_congestion};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use tapsock_driver::Namespace;

use crate::role::{self, Datagrams, EVENTS, Interest, Net, Order, Outcome, Place, Stream, Watch};
use crate::sys;

/// The hidden command that runs an end of a measurement.
pub(crate) const COMMAND: &str = "kernel";
/// What it says when the other end may connect.
const READY: &str = "ready\n";
/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 * 1024;
const BACKLOG: i32 = 4096;

/// The kernel's TCP.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) congestion: String,
}

impl Kernel {
    fn socket(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Before the connection is there: an algorithm that was begun and left, as BBR, leaves its pacing behind.
        set_tcp_congestion(&socket, &self.congestion)?;
        Ok(socket)
    }
}

impl Net for Kernel {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Datagrams = UdpSocket;

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(to)?;
        connect(&socket, &to)?;
        Ok(TcpStream::from(socket))
    }

    fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(at)?;
        set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &at)?;
        listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept()?.0)
    }

    fn datagrams(&self, place: Place) -> io::Result<UdpSocket> {
        let address = place.at(0);
        if let Place::Listen(_) = place {
            return UdpSocket::bind(address);
        }
        let socket = match address {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
        }?;
        socket.connect(address)?;
        Ok(socket)
    }
}

impl Datagrams for UdpSocket {
    fn cut(&self, size: u16) -> io::Result<()> {
        sys::set_udp_option(self, libc::UDP_SEGMENT, size.into())
    }

    fn merge(&self) -> io::Result<()> {
        sys::set_udp_option(self, libc::UDP_GRO, 1)
    }

    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        UdpSocket::send(self, data)
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into)
    }
}

impl Stream for TcpStream {
    type Watch = OwnedFd;
    type Task = tokio::net::TcpStream;

    fn watch(streams: &[Self], interest: Interest) -> io::Result<OwnedFd> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wanted = match interest {
            Interest::Arrivals => epoll::EventFlags::IN,
            Interest::Room => epoll::EventFlags::OUT,
        };
        for (place, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, stream, epoll::EventData::new_u64(place as u64), wanted)?;
        }
        Ok(epoll)
    }

    fn beside(&self) -> io::Result<impl Future<Output = io::Error> + 'static> {
        Ok(std::future::pending())
    }

    fn into_task(self) -> io::Result<tokio::net::TcpStream> {
        self.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(self)
    }

    fn send_owned(&mut self, data: &Bytes) -> io::Result<usize> {
        self.write(data)
    }

    fn receive_owned(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    fn no_delay(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    fn spin(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Watch for OwnedFd {
    fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        let mut events = [MaybeUninit::uninit(); EVENTS];
        let (events, _) = epoll::wait(&*self, &mut events, None)?;
        ready.clear();
        ready.extend(events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

/// The whole life of the process that [`Peer::start`] starts.
pub(crate) fn main(order: &str) -> io::Result<()> {
    let order: Order = serde_json::from_str(order)?;
    sys::pin(order.cpu)?;
    let kernel = Kernel { congestion: order.congestion.clone() };
    let outcome = role::run(&kernel, &order, print_ready)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn print_ready() {
    print!("{READY}");
    // Where nobody reads, nobody will connect either.
    let _ = io::stdout().flush();
}

/// An end of a measurement on the kernel's sockets, in a process of its own.
pub(crate) struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, and waits until it listens where it is to listen.
    pub(crate) fn start(namespace: &Namespace, order: &Order) -> io::Result<Peer> {
        let mut command = namespace.command(env::current_exe()?);
        command.arg(COMMAND).arg(serde_json::to_string(order)?);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut peer = Peer { child, answers: BufReader::new(stdout) };
        if matches!(order.place, role::Place::Listen(_)) && peer.line()? != READY {
            return Err(io::Error::other("the kernel's end does not listen"));
        }
        Ok(peer)
    }

    /// Waits until it has done as ordered.
    pub(crate) fn finish(mut self) -> io::Result<Outcome> {
        let line = self.line()?;
        let outcome = serde_json::from_str(&line).map_err(|_| io::Error::other("the kernel's end failed"))?;
        self.child.wait()?;
        Ok(outcome)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.by_ref().take(MAX_ANSWER).read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended where it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
