//! Joining a UDP socket of the machine's with one of the stack's: what comes to one goes out by the other, and a
//! refusal that one hears of reaches whoever talks with the other.

use std::io::{self, ErrorKind};
use std::net::{self, SocketAddr};
use std::thread;

use tapsock::net::UdpSocket;

/// Larger than any datagram.
const BUFFER: usize = 65_536;
/// The discard service's port: a peer that sends nothing.
const NOBODY: u16 = 9;

/// Whose datagrams are let in.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Senders {
    /// Those of one peer, with whom `outside` is connected. Answers go to it.
    Peer(SocketAddr),
    /// Everybody's. Answers go nowhere.
    Anybody,
}

impl Senders {
    fn have(self, sender: SocketAddr) -> bool {
        match self {
            // Datagrams of others may have come before `outside` was connected. A scope is only known locally.
            Senders::Peer(peer) => (peer.ip(), peer.port()) == (sender.ip(), sender.port()),
            Senders::Anybody => true,
        }
    }
}

/// Joins `outside` with `user`, a socket of the stack's that talks with `relay`: both are connected with each other.
/// It lasts until one of them ends, in threads of its own.
///
/// # Errors
/// Where no descriptor or no thread is to be had.
pub fn join_datagrams(
    outside: net::UdpSocket,
    senders: Senders,
    relay: UdpSocket,
    user: UdpSocket,
) -> io::Result<()> {
    let spawn = |work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name("splice".to_owned()).spawn(work).map(drop)
    };
    if let Senders::Peer(_) = senders {
        let out = Pair { outside: outside.try_clone()?, relay: relay.try_clone()?, user: user.try_clone()? };
        spawn(Box::new(move || out.send_out()))?;
    }
    let pair = Pair { outside, relay, user };
    spawn(Box::new(move || pair.let_in(senders)))
}

struct Pair {
    outside: net::UdpSocket,
    relay: UdpSocket,
    user: UdpSocket,
}

impl Pair {
    fn send_out(&self) {
        let mut bytes = vec![0; BUFFER];
        loop {
            match self.relay.recv(&mut bytes) {
                Ok(len) => match self.outside.send(&bytes[..len]) {
                    Err(error) if tells_of_the_peer(&error) => return self.refuse(),
                    // One that can't be sent is lost, as it would be in a network.
                    _ => {}
                },
                Err(error) if is_no_end(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn let_in(&self, senders: Senders) {
        let mut bytes = vec![0; BUFFER];
        loop {
            match self.outside.recv_from(&mut bytes) {
                Ok((len, sender)) if senders.have(sender) => drop(self.relay.send(&bytes[..len])),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.refuse(),
            }
        }
    }

    /// Has the stack refuse `user`, as the machine's network has refused `outside`: `relay` turns away, so that
    /// nobody has the port that `user` sends to, and a datagram finds that out.
    fn refuse(&self) {
        let refused = self.relay.local_addr().and_then(|own| {
            self.relay.connect(SocketAddr::new(own.ip(), NOBODY))?;
            self.user.send(&[])
        });
        // Where it can't be told, the host is gone, which `user` hears of.
        drop(refused);
    }
}

/// Whether an error of sending tells that the peer can't be had, and not of the datagram alone.
fn tells_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
    )
}

/// Whether a socket of the stack's goes on after it. `user` was closed for a moment, where it refuses.
fn is_no_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tapsock::Host;

    use super::*;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    /// A socket of a host's that is joined with one of the machine's, whose peer is a third.
    fn joined(host: &Host) -> (UdpSocket, net::UdpSocket) {
        let peer = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let outside = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        outside.connect(peer.local_addr().unwrap()).unwrap();
        peer.connect(outside.local_addr().unwrap()).unwrap();
        let [relay, user] = [0; 2].map(|_| UdpSocket::bind(host, "127.0.0.1:0").unwrap());
        relay.connect(user.local_addr().unwrap()).unwrap();
        user.connect(relay.local_addr().unwrap()).unwrap();
        user.set_read_timeout(PATIENCE).unwrap();
        peer.set_read_timeout(PATIENCE).unwrap();
        let senders = Senders::Peer(peer.local_addr().unwrap());
        join_datagrams(outside, senders, relay, user.try_clone().unwrap()).unwrap();
        (user, peer)
    }

    #[test]
    fn datagrams_go_both_ways_and_a_refusal_comes_back() {
        let host = Host::builder().start().unwrap();
        let (user, peer) = joined(&host);
        let mut bytes = [0; 16];
        user.send(b"forth").unwrap();
        assert_eq!(peer.recv(&mut bytes).unwrap(), 5);
        peer.send(b"back").unwrap();
        assert_eq!(user.recv(&mut bytes).unwrap(), 4);
        drop(peer);
        user.send(b"anybody?").unwrap();
        assert_eq!(user.recv(&mut bytes).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        user.send(b"still?").unwrap();
        assert_eq!(user.recv(&mut bytes).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
