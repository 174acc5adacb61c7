//! SCM_RIGHTS with ids and with real descriptors, as Linux 6.18 answers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_getfd};
use tapsock::bsd::control::Control;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::unix::{self, Pass, PassedSocket, UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};

use super::*;

/// A pipe whose write end is closed with the last share in it: reading its other end tells.
fn pipe() -> (File, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(read)), write.into())
}

fn real(passed: Passed) -> OwnedFd {
    match passed {
        Passed::Real(fd) => fd,
        Passed::Id(id) => panic!("{id} is an id"),
    }
}

fn id(passed: &Passed) -> i32 {
    match passed {
        Passed::Id(id) => *id,
        Passed::Real(fd) => panic!("{fd:?} is a descriptor"),
    }
}

#[test]
fn sockets_epoll_instances_and_descriptors_come_in_one_message_in_their_order() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        let [kept, given] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        let epoll = epoll_create1(&host, 0).unwrap();
        epoll_ctl(&host, epoll, EPOLL_CTL_ADD, kept, Some(EpollEvent { events: EPOLLIN, data: 7 })).unwrap();
        let udp = socket(&host, AF_INET, SOCK_DGRAM, 0).unwrap();
        let (mut read, write) = pipe();
        let rights = [Right::Real(write.as_fd()), Right::Id(given), Right::Id(epoll), Right::Id(udp)];
        assert_eq!(send_rights(&host, here, b"x", &rights), Ok(1));
        drop(write);
        [given, epoll, udp].into_iter().for_each(|id| close(&host, id).unwrap());

        let mut received = receive(&host, there, ROOM, 0).unwrap();
        assert_eq!((received.len, received.flags, received.passed.len()), (1, 0, 4));
        let [given, epoll, udp] = [1, 2, 3].map(|at| id(&received.passed[at]));
        assert_eq!(received.rights(), [given, epoll, udp]);
        let end = real(received.passed.remove(0));
        let numbers = vec![end.as_raw_fd(), given, epoll, udp];
        assert_eq!(received.messages(), [Control::Rights(numbers)]);
        send(&host, given, b"y", 0).unwrap();
        let mut events = [EpollEvent::default(); 4];
        assert_eq!((epoll_wait(&host, epoll, &mut events, 0), events[0].data), (Ok(1), 7));
        assert_eq!(getsockopt(&host, udp, SOL_SOCKET, SO_DOMAIN).unwrap().as_int(), Some(AF_INET));
        File::from(end).write_all(b"through").unwrap();
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        [here, there, kept, given, epoll, udp].into_iter().for_each(|id| close(&host, id).unwrap());
    }
}

#[test]
fn close_on_exec_is_the_receivers_choice() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    let (_read, write) = pipe();
    for (flags, expected) in [(MSG_CMSG_CLOEXEC, FdFlags::CLOEXEC), (0, FdFlags::empty())] {
        send_rights(&host, here, b"", &[Right::Real(write.as_fd())]).unwrap();
        let mut received = receive(&host, there, ROOM, flags).unwrap();
        assert_eq!(received.flags, flags);
        assert_eq!(fcntl_getfd(real(received.passed.remove(0))), Ok(expected));
    }
}

#[test]
fn what_finds_no_room_is_closed() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    for fitting in 0..4 {
        let (mut read, write) = pipe();
        let [near, far] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        let (mut last, end) = pipe();
        let rights = [Right::Real(write.as_fd()), Right::Id(far), Right::Real(end.as_fd())];
        send_rights(&host, here, b"", &rights).unwrap();
        close(&host, far).unwrap();
        drop((write, end));
        let control_room = if fitting == 0 { 0 } else { 16 + 4 * fitting };
        let received = receive(&host, there, control_room, 0).unwrap();
        assert_eq!(received.passed.len(), fitting);
        assert_eq!(received.flags, if fitting < 3 { MSG_CTRUNC } else { 0 });
        assert_eq!(is_lonely(&host, near), fitting < 2);
        if fitting < 3 {
            assert_eq!(last.read(&mut [0]).unwrap(), 0, "closed");
        }
        received.rights().into_iter().for_each(|id| close(&host, id).unwrap());
        // What nobody took out is closed with the message.
        drop(received);
        assert_eq!((read.read(&mut [0]).unwrap(), last.read(&mut [0]).unwrap()), (0, 0));
    }
}

#[test]
fn calls_that_give_no_control_messages_let_go_of_what_came() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        let (mut read, write) = pipe();
        send_rights(&host, here, b"x", &[Right::Real(write.as_fd())]).unwrap();
        drop(write);
        assert_eq!(recv(&host, there, &mut [0; 8], 0), Ok(1));
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_peek_gives_shares_and_leaves_them_there() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        let [near, far] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        let (mut read, write) = pipe();
        send_rights(&host, here, b"x", &[Right::Real(write.as_fd()), Right::Id(far)]).unwrap();
        close(&host, far).unwrap();
        drop(write);
        let mut peeked = receive(&host, there, ROOM, MSG_PEEK).unwrap();
        let mut taken = receive(&host, there, ROOM, 0).unwrap();
        assert_eq!((peeked.passed.len(), taken.passed.len()), (2, 2));
        let ends = [peeked.passed.remove(0), taken.passed.remove(0)].map(real);
        for end in ends {
            File::from(end).write_all(b"z").unwrap();
        }
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "zz");
        close(&host, peeked.rights()[0]).unwrap();
        assert!(!is_lonely(&host, near));
        close(&host, taken.rights()[0]).unwrap();
        assert!(is_lonely(&host, near));
    }
}

#[test]
fn no_more_than_253_go_in_one_message() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let (_read, write) = pipe();
    let mut rights = vec![Right::Real(write.as_fd()); 253];
    assert_eq!(send_rights(&host, here, b"x", &rights), Ok(1));
    assert_eq!(receive(&host, there, ROOM, 0).unwrap().passed.len(), 253);
    rights.push(Right::Id(here));
    assert_eq!(send_rights(&host, here, b"x", &rights), Err(Errno::INVAL));
    assert_eq!(send_rights(&host, here, b"x", &[Right::Id(here), Right::Id(99)]), Err(Errno::BADF));
    assert_eq!(receive(&host, there, ROOM, 0), Err(Errno::AGAIN), "nothing of it went");
}

/// Linux's ETOOMANYREFS, at a host's own limit.
#[test]
fn no_more_than_a_million_are_under_way() {
    const LIMIT: usize = 1 << 20;
    let host = host();
    let (udp, mut sent, mut pairs) = (socket(&host, AF_INET, SOCK_DGRAM, 0).unwrap(), 0, Vec::new());
    let many = vec![Right::Id(udp); 253];
    let refused = loop {
        let pair = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        pairs.push(pair);
        let mut count = 0;
        let errno = loop {
            match send_rights(&host, pair[0], b"x", &many) {
                Ok(_) => count += 253,
                Err(errno) => break errno,
            }
        };
        sent += count;
        if errno != Errno::AGAIN {
            break errno;
        }
    };
    assert_eq!(refused, Errno::TOOMANYREFS);
    assert!((LIMIT..LIMIT + 254).contains(&sent), "{sent}");
    // What carries nothing still goes.
    let [here, there] = *pairs.last().unwrap();
    assert_eq!(send(&host, here, b"x", 0), Ok(1));
    assert_eq!(receive(&host, pairs[0][1], 0, 0).unwrap().flags, MSG_CTRUNC);
    assert_eq!(send_rights(&host, here, b"x", &many), Ok(1));
    [here, there].into_iter().for_each(|id| close(&host, id).unwrap());
}

#[test]
fn the_sockets_of_std_shape_are_passed_as_what_they_are() {
    let host = host();
    let (here, there) = UnixStream::pair(&host).unwrap();
    let listener = UnixListener::bind(&host, "/listener").unwrap();
    let (datagram, _) = UnixDatagram::pair(&host).unwrap();
    let (records, _) = UnixSeqpacket::pair(&host).unwrap();
    let tcp_listener = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(&host, tcp_listener.local_addr().unwrap()).unwrap();
    let udp = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
    let rights = [
        Pass::from(&here),
        Pass::from(&listener),
        Pass::from(&datagram),
        Pass::from(&records),
        Pass::from(&tcp_listener),
        Pass::from(&tcp),
        Pass::from(&udp),
    ];
    here.send_passing(b"x", &rights).unwrap();
    let port = udp.local_addr().unwrap();
    drop((listener, datagram, records, tcp_listener, tcp, udp));
    let (_, passed) = there.recv_passing(&mut [0; 8]).unwrap();
    let sockets: Vec<PassedSocket> = passed.into_iter().map(socket_of).collect();
    let fits: Vec<&str> = sockets.into_iter().map(|socket| only_fit(&host, socket)).collect();
    assert_eq!(fits, ["stream", "listener", "datagram", "records", "tcp listener", "tcp", "udp"]);
    UdpSocket::bind(&host, port).unwrap();
    // Of other hosts none is taken.
    let (other, _) = UnixStream::pair(&super::host()).unwrap();
    let refused = here.send_passing(b"x", &[Pass::from(&other)]).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
}

fn socket_of(passed: unix::Passed) -> PassedSocket {
    match passed {
        unix::Passed::Socket(socket) => socket,
        unix::Passed::Descriptor(fd) => panic!("{fd:?} is a descriptor"),
    }
}

/// The one type that takes it.
fn only_fit(host: &Host, socket: PassedSocket) -> &'static str {
    let stream = match UnixStream::try_from(socket) {
        Ok(_) => return "stream",
        Err(socket) => socket,
    };
    let datagram = match UnixListener::try_from(stream) {
        Ok(_) => return "listener",
        Err(socket) => socket,
    };
    let records = match UnixDatagram::try_from(datagram) {
        Ok(_) => return "datagram",
        Err(socket) => socket,
    };
    let tcp = match UnixSeqpacket::try_from(records) {
        Ok(_) => return "records",
        Err(socket) => socket,
    };
    let listener = match TcpStream::try_from(tcp) {
        Ok(_) => return "tcp",
        Err(socket) => socket,
    };
    let udp = match TcpListener::try_from(listener) {
        Ok(_) => return "tcp listener",
        Err(socket) => socket,
    };
    let id = udp.into_id().unwrap();
    let kind = getsockopt(host, id, SOL_SOCKET, SO_TYPE).unwrap().as_int();
    close(host, id).unwrap();
    if kind == Some(SOCK_DGRAM) { "udp" } else { "nothing" }
}
