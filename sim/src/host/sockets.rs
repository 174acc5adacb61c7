//! tapsock's sockets as programs of the simulator see them: all non-blocking.

use core::net::SocketAddr;
use core::task::Poll;

use rustix::io::Errno;
use tapsock_sockets::constants::{
    AF_INET, AF_INET6, SHUT_WR, SO_ERROR, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET,
};
use tapsock_sockets::{Fd, PollMask, SockAddr, Sockets, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use crate::app::{DatagramSockets, Fault, Socket, StreamSockets};

impl StreamSockets for Sockets {
    fn stream_listen(&mut self, now: Instant, local: SocketAddr, backlog: usize) -> Result<Socket, Fault> {
        let fd = open(self, local, SOCK_STREAM)?;
        self.bind(now, fd, &SockAddr::from(local)).map_err(fault)?;
        self.listen(now, fd, i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(fault)?;
        Ok(Socket(fd.0))
    }

    fn stream_accept(&mut self, now: Instant, listener: Socket) -> Poll<Result<Socket, Fault>> {
        ready(self.try_accept(now, Fd(listener.0), SOCK_NONBLOCK)).map_ok(|(fd, _)| Socket(fd.0))
    }

    fn stream_connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Socket, Fault> {
        let fd = open(self, remote, SOCK_STREAM)?;
        if let Some(local) = local {
            self.bind(now, fd, &SockAddr::from(local)).map_err(fault)?;
        }
        match self.try_connect(now, fd, &SockAddr::from(remote)) {
            Ok(()) | Err(Stop::Error(Errno::INPROGRESS)) => Ok(Socket(fd.0)),
            Err(Stop::Error(error)) => Err(fault(error)),
            Err(Stop::Wait(_)) => Err(Fault::Other("a non-blocking connect waits".into())),
        }
    }

    fn stream_connected(&mut self, now: Instant, socket: Socket) -> Poll<Result<(), Fault>> {
        let fd = Fd(socket.0);
        if !self.readiness(fd).intersects(PollMask::OUT | PollMask::ERR) {
            return Poll::Pending;
        }
        Poll::Ready(match self.option(now, fd, SOL_SOCKET, SO_ERROR) {
            Ok(value) => match value.as_int() {
                Some(0) => Ok(()),
                Some(error) => Err(fault(Errno::from_raw_os_error(error))),
                None => Err(Fault::Other("SO_ERROR is not a number".into())),
            },
            Err(error) => Err(fault(error)),
        })
    }

    fn stream_send(&mut self, now: Instant, socket: Socket, data: &mut Rope) -> Poll<Result<usize, Fault>> {
        ready(self.try_send(now, Fd(socket.0), data, 0, None))
    }

    fn stream_receive(&mut self, now: Instant, socket: Socket, max: usize) -> Poll<Result<Rope, Fault>> {
        ready(self.try_recv(now, Fd(socket.0), max, 0)).map_ok(|received| received.data)
    }

    fn stream_finish(&mut self, now: Instant, socket: Socket) -> Result<(), Fault> {
        self.shutdown(now, Fd(socket.0), SHUT_WR).map_err(fault)
    }

    fn stream_close(&mut self, now: Instant, socket: Socket) -> Result<(), Fault> {
        self.close(now, Fd(socket.0)).map_err(fault)
    }
}

impl DatagramSockets for Sockets {
    fn datagram_open(&mut self, now: Instant, local: SocketAddr) -> Result<Socket, Fault> {
        let fd = open(self, local, SOCK_DGRAM)?;
        self.bind(now, fd, &SockAddr::from(local)).map_err(fault)?;
        Ok(Socket(fd.0))
    }

    fn datagram_send(
        &mut self,
        now: Instant,
        socket: Socket,
        mut data: Rope,
        to: SocketAddr,
    ) -> Poll<Result<(), Fault>> {
        ready(self.try_send(now, Fd(socket.0), &mut data, 0, Some(&SockAddr::from(to)))).map_ok(drop)
    }

    fn datagram_receive(&mut self, now: Instant, socket: Socket) -> Poll<Result<(Rope, SocketAddr), Fault>> {
        ready(self.try_recv(now, Fd(socket.0), 65_536, 0)).map(|outcome| {
            let received = outcome?;
            match received.from {
                Some(SockAddr::V4(from)) => Ok((received.data, from.into())),
                Some(SockAddr::V6(from)) => Ok((received.data, from.into())),
                other => Err(Fault::Other(format!("a datagram from {other:?}"))),
            }
        })
    }
}

fn open(sockets: &mut Sockets, address: SocketAddr, kind: i32) -> Result<Fd, Fault> {
    let domain = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    sockets.socket(domain, kind | SOCK_NONBLOCK, 0).map_err(fault)
}

/// A call that doesn't wait either has an outcome now or says EAGAIN.
fn ready<T>(outcome: Result<T, Stop>) -> Poll<Result<T, Fault>> {
    match outcome {
        Ok(value) => Poll::Ready(Ok(value)),
        Err(Stop::Error(Errno::AGAIN)) => Poll::Pending,
        Err(Stop::Error(error)) => Poll::Ready(Err(fault(error))),
        Err(Stop::Wait(_)) => Poll::Ready(Err(Fault::Other("a non-blocking socket waits".into()))),
    }
}

fn fault(error: Errno) -> Fault {
    match error {
        Errno::CONNREFUSED => Fault::Refused,
        Errno::CONNRESET | Errno::PIPE => Fault::Reset,
        Errno::TIMEDOUT => Fault::TimedOut,
        Errno::HOSTUNREACH | Errno::NETUNREACH => Fault::Unreachable,
        other => Fault::Other(format!("{other:?}")),
    }
}
