//! Calls that meet others on the same socket, at the very step at which it matters: a watcher is told between two of them.

use super::*;
use crate::engine::call::this_thread;
use crate::engine::wait::{Reach, Sharing, Waiter, Wake, Watcher};
use tapsock_sockets::constants::{MSG_OOB, SHUT_RDWR};
use tapsock_sockets::{Permission, UnixAddr};

/// Does something once, when it is first told.
struct Once<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Watcher for Once<F> {
    fn notify(&self, _: PollMask, _: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        if let Some(act) = self.0.lock().unwrap().take() {
            act();
        }
        Reach::Further
    }
}

fn when_told(socket: &LocalSocket, act: impl FnOnce() + Send + 'static) {
    socket.add_watcher(Arc::new(Once(Mutex::new(Some(act)))), Sharing::Everyone);
}

fn locals() -> Arc<Locals> {
    Locals::new(Duration::ZERO, 128, Permission::Ordinary)
}

/// A listening socket, and its name.
fn listener(host: &Arc<Locals>, kind: SocketKind) -> (Arc<LocalSocket>, UnixAddr) {
    let listener = LocalSocket::new(host, kind, false);
    listener.bind(&UnixAddr::UNNAMED).unwrap();
    listener.listen(8).unwrap();
    let name = listener.name();
    (listener, name)
}

const CONNECTED: [SocketKind; 2] = [SocketKind::Stream, SocketKind::Seqpacket];

#[test]
fn a_connect_that_meets_a_close_leaves_no_end_open() {
    for kind in CONNECTED {
        let host = locals();
        let (listener, name) = listener(&host, kind);
        let client = LocalSocket::new(&host, kind, false);
        let closed = client.clone();
        when_told(&listener, move || drop(closed.close()));
        assert_eq!(client.connect(&name), Err(Errno::BADF), "{kind:?}");
        let (server, _) = listener.accept(false).unwrap();
        // The peer is closed: the end of the stream, and not a wait without end.
        assert_eq!(server.receive(&mut [0], 0).unwrap().len, 0, "{kind:?}");
    }
}

#[test]
fn of_two_connects_at_once_the_listener_hears_of_one() {
    for kind in CONNECTED {
        let host = locals();
        let (first, name) = listener(&host, kind);
        let (second, other_name) = listener(&host, kind);
        let client = LocalSocket::new(&host, kind, false);
        let again = client.clone();
        when_told(&first, move || assert_eq!(again.connect(&other_name), Err(Errno::ISCONN)));
        assert_eq!(client.connect(&name), Ok(()), "{kind:?}");
        assert_eq!(second.accept(false).map(drop), Err(Errno::AGAIN), "{kind:?}");
        let (server, _) = first.accept(false).unwrap();
        assert_eq!(server.receive(&mut [0], 0).map(drop), Err(Errno::AGAIN), "{kind:?}: its peer is open");
    }
}

/// Who has found a socket before another thread closed it says what the table says of its number, and not what the state
/// of a closed socket would have it say.
#[test]
fn a_call_that_comes_after_close_says_ebadf() {
    let badf = Err(Errno::BADF);
    for kind in [SocketKind::Stream, SocketKind::Seqpacket, SocketKind::Datagram] {
        let host = locals();
        let (socket, peer) = LocalSocket::pair(&host, kind, false);
        socket.send(b"unread", 0, None, Vec::new()).unwrap();
        drop(socket.close());
        let reset = (kind != SocketKind::Datagram).then_some(());
        assert_eq!(socket.receive(&mut [0; 8], 0).map(drop), badf, "{kind:?}");
        assert_eq!(socket.send(b"x", 0, None, Vec::new()).map(drop), badf, "{kind:?}");
        assert_eq!(socket.shutdown(SHUT_RDWR), badf, "{kind:?}");
        if let Some(()) = reset {
            assert_eq!(socket.receive(&mut [0; 8], MSG_OOB).map(drop), urgent(kind), "{kind:?}");
        }
        assert_eq!(peer.receive(&mut [0; 8], 0).unwrap().len, 6, "{kind:?}");
    }
    for kind in CONNECTED {
        let host = locals();
        let (listener, name) = listener(&host, kind);
        drop(listener.close());
        assert_eq!(listener.accept(false).map(drop), badf, "{kind:?}");
        assert_eq!(listener.listen(3), badf, "{kind:?}");
        assert_eq!(listener.shutdown(SHUT_RDWR), badf, "{kind:?}");
        assert_eq!(listener.bind(&UnixAddr::UNNAMED), badf, "{kind:?}");
        // No name leads to it that nobody would take back.
        let other = LocalSocket::new(&host, kind, false);
        assert_eq!(other.bind(&name), Ok(()), "{kind:?}");
        let fresh = LocalSocket::new(&host, kind, false);
        drop(fresh.close());
        assert_eq!(fresh.receive(&mut [0], 0).map(drop), badf, "{kind:?}");
        assert_eq!(fresh.send(b"x", 0, None, Vec::new()).map(drop), badf, "{kind:?}");
    }
}

/// A socket that never has urgent bytes says so first.
fn urgent(kind: SocketKind) -> Result<(), Errno> {
    Err(if kind == SocketKind::Stream { Errno::BADF } else { Errno::OPNOTSUPP })
}

#[test]
fn a_datagram_socket_that_is_closed_connects_to_nobody() {
    let host = locals();
    let [socket, peer] = [(); 2].map(|()| LocalSocket::new(&host, SocketKind::Datagram, false));
    peer.bind(&UnixAddr::UNNAMED).unwrap();
    drop(socket.close());
    assert_eq!(socket.connect(&peer.name()), Err(Errno::BADF));
    assert_eq!(socket.dissolve(), Err(Errno::BADF));
}

/// The receivers of a socket that a thread waits for are told apart by the one that it is connected to.
#[test]
fn who_waits_for_room_hears_of_it_where_the_socket_is_connected_now() {
    let host = locals();
    let [socket, first, second] = [(); 3].map(|()| LocalSocket::new(&host, SocketKind::Datagram, false));
    first.bind(&UnixAddr::UNNAMED).unwrap();
    second.bind(&UnixAddr::UNNAMED).unwrap();
    socket.connect(&first.name()).unwrap();
    let waiter = this_thread();
    waiter.reset();
    socket.watch(&waiter, PollMask::OUT);
    let before = socket.receiver();
    before.watch(&waiter);

    socket.connect(&second.name()).unwrap();
    assert_eq!(waiter.woken(), Some(Wake::Ready), "it looks where the socket is connected to");
    let now = socket.receiver();
    assert!(now != before && now == socket.receiver());
    before.forget(&waiter);
    now.watch(&waiter);
    waiter.reset();
    first.send(b"x", 0, Some(&first.name()), Vec::new()).unwrap();
    first.receive(&mut [0], 0).unwrap();
    assert_eq!(waiter.woken(), None, "nothing is left where it waited before");
    second.send(b"x", 0, Some(&second.name()), Vec::new()).unwrap();
    second.receive(&mut [0], 0).unwrap();
    assert_eq!(waiter.woken(), Some(Wake::Ready));
    socket.forget(&waiter);
    now.forget(&waiter);
}
