//! Talk without a purpose: for tests in which only survival counts.

use core::net::SocketAddr;
use core::task::Poll;
use core::time::Duration;

use tapsock_sim::app::{App, Fault, Socket, StreamSockets};
use tapsock_sim::node::Status;
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

/// Keeps a few connections busy, whatever comes of them, and makes new ones for those that fail.
pub struct Chatter {
    peer: Peer,
    connections: Vec<(Socket, Instant)>,
    listener: Option<Socket>,
}

enum Peer {
    Connects(SocketAddr),
    Listens(SocketAddr),
}

const CONNECTIONS: usize = 4;
const LIFETIME: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

impl Chatter {
    pub fn client(remote: SocketAddr) -> Self {
        Chatter { peer: Peer::Connects(remote), connections: Vec::new(), listener: None }
    }

    pub fn server(local: SocketAddr) -> Self {
        Chatter { peer: Peer::Listens(local), connections: Vec::new(), listener: None }
    }

    fn meet(&mut self, now: Instant, sockets: &mut impl StreamSockets) {
        match self.peer {
            Peer::Connects(remote) => {
                while self.connections.len() < CONNECTIONS {
                    let Ok(socket) = sockets.stream_connect(now, None, remote) else {
                        return;
                    };
                    self.connections.push((socket, now));
                }
            }
            Peer::Listens(local) => {
                let listener = match self.listener {
                    Some(listener) => listener,
                    None => *self
                        .listener
                        .insert(sockets.stream_listen(now, local, 16).expect("the port is free")),
                };
                while let Poll::Ready(Ok(socket)) = sockets.stream_accept(now, listener) {
                    self.connections.push((socket, now));
                }
            }
        }
    }
}

impl Peer {
    fn talk(&self, now: Instant, sockets: &mut impl StreamSockets, socket: Socket) -> Result<(), Fault> {
        if let Peer::Connects(_) = self
            && sockets.stream_connected(now, socket)?.is_pending()
        {
            return Ok(());
        }
        let _ = sockets.stream_send(now, socket, &mut Rope::from(vec![0x55; 5_000]))?;
        while let Poll::Ready(data) = sockets.stream_receive(now, socket, 10_000)? {
            if data.is_empty() {
                return Err(Fault::Other("the stream ended".into()));
            }
        }
        Ok(())
    }
}

impl<S: StreamSockets> App<S> for Chatter {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        self.meet(now, sockets);
        self.connections.retain(|&(socket, born)| {
            let over = now.saturating_since(born) > LIFETIME || self.peer.talk(now, sockets, socket).is_err();
            if over {
                let _ = sockets.stream_close(now, socket);
            }
            !over
        });
        Some(now + PAUSE)
    }

    fn status(&self) -> Status {
        Status::Done
    }
}
