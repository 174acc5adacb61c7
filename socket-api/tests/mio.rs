//! Sockets as event sources of mio's.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use common::{PATIENCE, RIGHT, ip, pair, within};
use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::socket::{Domain, Socket, Type};
use tapsock::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};
use tapsock::{Host, Pollable};

const LISTENER: Token = Token(0);
const CLIENTS: usize = 4;
const ROUNDS: usize = 50;

/// A connection of the server, and what is to be sent back.
struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
    ended: bool,
}

impl Connection {
    /// Reads and writes until both would wait, as mio's events want it. Whether it goes on.
    fn turn(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match (&self.stream).read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(len) => {
                    self.pending.extend_from_slice(&bytes[..len]);
                    continue;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            break;
        }
        while !self.pending.is_empty() {
            match (&self.stream).write(&self.pending) {
                Ok(len) => drop(self.pending.drain(..len)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        !(self.ended && self.pending.is_empty())
    }
}

#[test]
fn an_echo_server_of_many_connections() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let mut listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let there = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let left = left.clone();
                thread::spawn(move || {
                    let mut client = TcpStream::connect(&left, there).unwrap();
                    let mut back = vec![0; 30_000];
                    for round in 0..ROUNDS {
                        let sent = vec![round as u8; 30_000];
                        client.write_all(&sent).unwrap();
                        client.read_exact(&mut back).unwrap();
                        assert_eq!(back, sent);
                    }
                })
            })
            .collect();

        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(16));
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
        let mut connections: Vec<Option<Connection>> = Vec::new();
        while connections.len() < CLIENTS || connections.iter().any(Option::is_some) {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "an event is missing");
            for event in &events {
                if event.token() == LISTENER {
                    while let Ok((mut stream, _)) = listener.accept() {
                        stream.set_nonblocking(true).unwrap();
                        let token = Token(connections.len() + 1);
                        let both = Interest::READABLE | Interest::WRITABLE;
                        poll.registry().register(&mut stream, token, both).unwrap();
                        connections.push(Some(Connection { stream, pending: Vec::new(), ended: false }));
                    }
                    continue;
                }
                let place = &mut connections[event.token().0 - 1];
                if place.as_mut().is_some_and(|connection| !connection.turn()) {
                    *place = None;
                }
            }
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}

/// The events of one poll, as letters: readable, writable, and whether reading or writing is over.
fn seen(poll: &mut Poll) -> String {
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
    let mut all = String::new();
    for event in &events {
        let flags = [
            (event.is_readable(), "r"),
            (event.is_writable(), "w"),
            (event.is_read_closed(), "R"),
            (event.is_write_closed(), "W"),
            (event.is_error(), "e"),
        ];
        flags.iter().filter(|(is, _)| *is).for_each(|(_, letter)| all.push_str(letter));
    }
    all
}

fn register(poll: &Poll, source: &mut impl Source, interest: Interest) {
    poll.registry().register(source, Token(7), interest).unwrap();
}

#[test]
fn all_kinds_are_sources_and_registrations_can_be_changed_and_ended() {
    let host = Host::builder().start().unwrap();
    let mut poll = Poll::new().unwrap();
    let (mut here, mut there) = UnixStream::pair(&host).unwrap();
    register(&poll, &mut here, Interest::READABLE | Interest::WRITABLE);
    assert_eq!(seen(&mut poll), "w");
    assert_eq!(seen(&mut poll), "");
    there.write_all(b"x").unwrap();
    assert_eq!(seen(&mut poll), "rw");
    there.write_all(b"x").unwrap();
    assert_eq!(seen(&mut poll), "rw", "another arrival is another event");
    poll.registry().reregister(&mut here, Token(7), Interest::WRITABLE).unwrap();
    assert_eq!(seen(&mut poll), "w");
    there.write_all(b"x").unwrap();
    assert_eq!(seen(&mut poll), "");
    poll.registry().deregister(&mut here).unwrap();
    drop(there);
    assert_eq!(seen(&mut poll), "");

    let mut udp = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
    register(&poll, &mut udp, Interest::READABLE);
    udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
    assert_eq!(seen(&mut poll), "r");
    drop(udp);

    let (mut datagrams, far) = UnixDatagram::pair(&host).unwrap();
    register(&poll, &mut datagrams, Interest::READABLE);
    far.send(b"x").unwrap();
    assert_eq!(seen(&mut poll), "r");

    let (records, far) = UnixSeqpacket::pair(&host).unwrap();
    let mut records = Pollable::new(records).unwrap();
    register(&poll, &mut records, Interest::READABLE);
    drop(far);
    assert_eq!(seen(&mut poll), "rRW");

    let mut made = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    register(&poll, &mut made, Interest::READABLE | Interest::WRITABLE);
    assert_eq!(seen(&mut poll), "w");

    let mut listener = UnixListener::bind(&host, "/run/mio").unwrap();
    register(&poll, &mut listener, Interest::READABLE);
    let _client = UnixStream::connect(&host, "/run/mio").unwrap();
    assert_eq!(seen(&mut poll), "r");
}

/// The tokens of one poll, in order.
fn tokens(poll: &mut Poll) -> Vec<usize> {
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
    let mut tokens: Vec<usize> = events.iter().map(|event| event.token().0).collect();
    tokens.sort_unstable();
    tokens
}

/// The clones `first` and `second` of one socket, of which `send` makes something arrive, each under a token of its own.
fn clones<S: Source>(mut first: S, mut second: S, mut send: impl FnMut()) -> Vec<Vec<usize>> {
    let mut poll = Poll::new().unwrap();
    poll.registry().register(&mut first, Token(1), Interest::READABLE).unwrap();
    let again = poll.registry().register(&mut first, Token(3), Interest::READABLE).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    poll.registry().register(&mut second, Token(2), Interest::READABLE).unwrap();
    let mut all = vec![tokens(&mut poll)];
    send();
    all.push(tokens(&mut poll));
    poll.registry().deregister(&mut first).unwrap();
    send();
    all.push(tokens(&mut poll));
    poll.registry().register(&mut first, Token(4), Interest::READABLE).unwrap();
    all.push(tokens(&mut poll));
    poll.registry().deregister(&mut second).unwrap();
    drop(second);
    send();
    all.push(tokens(&mut poll));
    all
}

/// As `std`'s streams do, whose clones are other descriptors.
#[test]
fn clones_of_one_socket_stand_in_one_poll() {
    let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let [first, second] = [(); 2].map(|()| mio::net::UnixStream::from_std(here.try_clone().unwrap()));
    let seen = clones(first, second, || there.write_all(b"x").unwrap());
    assert_eq!(seen, [&[][..], &[1, 2], &[2], &[4], &[4]]);

    let host = Host::builder().start().unwrap();
    let (first, mut there) = UnixStream::pair(&host).unwrap();
    let second = first.try_clone().unwrap();
    assert_eq!(clones(first, second, || there.write_all(b"x").unwrap()), seen);

    let listener = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
    let (first, _) = listener.accept().unwrap();
    let second = first.try_clone().unwrap();
    assert_eq!(clones(first, second, || client.write_all(b"x").unwrap()), seen);

    let first = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    first.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let (second, to) = (first.try_clone().unwrap(), first.local_addr().unwrap());
    let sender = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    assert_eq!(clones(first, second, || assert_eq!(sender.send_to(b"x", &to).unwrap(), 1)), seen);
}
