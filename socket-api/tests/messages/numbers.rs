//! The numbers of sockets: dup and its kin, fcntl, the limit, and what is sent from a file. What Linux 6.18 answers
//! stands beside each.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use tapsock::bsd::*;
use tapsock::{Counter, Driver, Errno, Host, Numbers, bsd};
use tapsock_driver::memory::{MemoryConfig, Offload};

use super::common::{PATIENCE, within};
use super::{host, pairs, receive, send_with};

#[test]
fn dup2_and_dup3_take_the_number_that_is_asked_for() {
    let host = Host::builder().descriptor_limit(32).start().unwrap();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    for (socket, other, flags, outcome) in [
        (here, here, 0, Err(Errno::INVAL)),
        (here, 5, O_NONBLOCK, Err(Errno::INVAL)),
        (77, 77, 0, Err(Errno::INVAL)),
        (here, 32, 0, Err(Errno::BADF)),
        (here, -1, 0, Err(Errno::BADF)),
        (77, 5, 0, Err(Errno::BADF)),
        (here, 5, 0, Ok(5)),
        (here, 6, O_CLOEXEC, Ok(6)),
    ] {
        assert_eq!(dup3(&host, socket, other, flags), outcome, "{socket} {other} {flags}");
    }
    assert_eq!([5, 6].map(|id| fcntl(&host, id, F_GETFD, 0)), [Ok(0), Ok(FD_CLOEXEC)]);
    assert_eq!(dup2(&host, here, here), Ok(here));
    assert_eq!(dup2(&host, 77, 77), Err(Errno::BADF));
    assert_eq!(dup2(&host, here, 6), Ok(6));
    assert_eq!(fcntl(&host, 6, F_GETFD, 0), Ok(0), "the flag is the number's");
    // The last number of the other end goes to another socket: it is closed.
    assert_eq!(dup2(&host, here, there), Ok(there));
    assert_eq!(recv(&host, here, &mut [0; 4], 0), Ok(0));
    // The holes below are filled.
    assert_eq!(dup(&host, here), Ok(2));
}

#[test]
fn the_last_number_is_as_good_as_any() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    assert_eq!(dup2(&host, here, 1_048_575), Ok(1_048_575));
    assert_eq!(dup2(&host, here, 1_048_576), Err(Errno::BADF));
    assert_eq!(fcntl(&host, here, F_DUPFD, 1_048_574), Ok(1_048_574));
    assert_eq!(fcntl(&host, here, F_DUPFD, 1_048_574), Err(Errno::MFILE));
    close(&host, here).unwrap();
    assert_eq!(send(&host, 1_048_575, b"x", 0), Ok(1));
    assert_eq!(recv(&host, there, &mut [0; 4], 0), Ok(1));
    for number in [1_048_574, 1_048_575] {
        close(&host, number).unwrap();
    }
    assert_eq!(recv(&host, there, &mut [0; 4], 0), Ok(0));
}

#[test]
fn fcntl_does_what_linux_does() {
    let host = Host::builder().descriptor_limit(32).start().unwrap();
    let socket = socket(&host, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0).unwrap();
    let epoll = epoll_create1(&host, EPOLL_CLOEXEC).unwrap();
    let plain = epoll_create1(&host, 0).unwrap();
    assert_eq!([socket, epoll, plain].map(|id| fcntl(&host, id, F_GETFD, 0)), [Ok(1), Ok(1), Ok(0)]);
    for (command, argument, outcome) in [
        (F_GETFL, 0, Ok(O_RDWR)),
        (F_SETFL, O_NONBLOCK | O_APPEND, Ok(0)),
        (F_GETFL, 0, Ok(O_RDWR | O_NONBLOCK)),
        (F_SETFL, O_DIRECT, Err(Errno::INVAL)),
        (F_SETFL, 0, Ok(0)),
        (F_GETFL, 0, Ok(O_RDWR)),
        (F_SETFD, 2, Ok(0)),
        (F_GETFD, 0, Ok(0)),
        (F_SETFD, 3, Ok(0)),
        (F_GETFD, 0, Ok(1)),
        (F_DUPFD, -1, Err(Errno::INVAL)),
        (F_DUPFD, 32, Err(Errno::INVAL)),
        (F_DUPFD, 9, Ok(9)),
        (F_DUPFD_CLOEXEC, 9, Ok(10)),
        (F_DUPFD, 0, Ok(3)),
        (9999, 0, Err(Errno::INVAL)),
    ] {
        for id in [socket, epoll] {
            if id == socket || ![F_DUPFD, F_DUPFD_CLOEXEC].contains(&command) {
                assert_eq!(fcntl(&host, id, command, argument), outcome, "{id} {command} {argument}");
            }
        }
    }
    assert_eq!([9, 10].map(|id| fcntl(&host, id, F_GETFD, 0)), [Ok(0), Ok(FD_CLOEXEC)]);
    assert_eq!(fcntl(&host, 99, F_GETFL, 0), Err(Errno::BADF));
    // Whether calls block is the socket's, not the number's.
    fcntl(&host, 9, F_SETFL, O_NONBLOCK).unwrap();
    assert!(is_nonblocking(&host, socket).unwrap());
    let mut nothing = 0;
    for (request, flag) in [(FIOCLEX, FD_CLOEXEC), (FIONCLEX, 0)] {
        ioctl(&host, 9, request, &mut nothing).unwrap();
        assert_eq!(fcntl(&host, 9, F_GETFD, 0), Ok(flag));
    }
    ioctl(&host, epoll, FIONBIO, &mut 1).unwrap();
    assert_eq!(fcntl(&host, epoll, F_GETFL, 0), Ok(O_RDWR | O_NONBLOCK));
    assert_eq!(ioctl(&host, epoll, FIONREAD, &mut 0), Err(Errno::INVAL));
    assert_eq!([read(&host, epoll, &mut [0]), write(&host, epoll, b"x")], [Err(Errno::INVAL); 2]);
    assert_eq!(recv(&host, epoll, &mut [0], 0), Err(Errno::NOTSOCK));
}

#[test]
fn passed_sockets_have_the_flag_that_was_asked_for() {
    use tapsock::bsd::control::{Control, cmsg_space};
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    for (flags, expected) in [(0, 0), (MSG_CMSG_CLOEXEC, FD_CLOEXEC)] {
        send_with(&host, here, b"x", &[Control::Rights(vec![here])]).unwrap();
        let message = receive(&host, there, 4, cmsg_space(4), flags).unwrap();
        assert_eq!(fcntl(&host, message.rights()[0], F_GETFD, 0), Ok(expected));
    }
}

#[test]
fn a_full_table_says_so_and_takes_no_connection() {
    let host = Host::builder().descriptor_limit(3).start().unwrap();
    let listener = socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let name = super::name("full");
    bind(&host, listener, &name).unwrap();
    listen(&host, listener, 4).unwrap();
    let client = socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    connect(&host, client, &name).unwrap();
    let last = dup(&host, client).unwrap();
    assert_eq!(accept(&host, listener).map(drop), Err(Errno::MFILE));
    assert_eq!(dup(&host, client), Err(Errno::MFILE));
    assert_eq!(fcntl(&host, client, F_DUPFD, 2), Err(Errno::MFILE));
    assert_eq!(socketpair(&host, AF_UNIX, SOCK_STREAM, 0), Err(Errno::MFILE));
    close(&host, last).unwrap();
    assert_eq!(accept(&host, listener).map(|(id, _)| id), Ok(last), "it waited all the same");
}

/// A connection that is being waited for has its number already, as on Linux.
#[test]
fn a_number_is_kept_for_a_connection_that_is_waited_for() {
    within(PATIENCE, || {
        let host = Host::builder().descriptor_limit(3).start().unwrap();
        let listener = socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        bind(&host, listener, &super::name("kept")).unwrap();
        listen(&host, listener, 4).unwrap();
        let client = socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        let parks = host.engine_stats().local_parks;
        let waiting = {
            let host = host.clone();
            std::thread::spawn(move || accept(&host, listener).map(|(id, _)| id))
        };
        while host.engine_stats().local_parks == parks {
            std::thread::yield_now();
        }
        assert_eq!(dup(&host, client), Err(Errno::MFILE), "the last number is spoken for");
        assert_eq!(dup2(&host, client, 2), Err(Errno::BUSY));
        assert_eq!(fcntl(&host, 2, F_GETFD, 0), Err(Errno::BADF));
        connect(&host, client, &super::name("kept")).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(2));
    });
}

/// Gives out even numbers, and writes down what it is told.
#[derive(Clone, Default)]
struct Even {
    log: Arc<Mutex<Vec<String>>>,
    next: Arc<Mutex<i32>>,
}

impl Even {
    fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Numbers for Even {
    fn take(&self, least: i32) -> Result<i32, Errno> {
        let mut next = self.next.lock().unwrap();
        let number = *next;
        *next += 2;
        self.log.lock().unwrap().push(format!("{number} from {least}"));
        Ok(number)
    }

    fn claim(&self, number: i32) -> Result<(), Errno> {
        self.log.lock().unwrap().push(format!("claim {number}"));
        if number == 13 { Err(Errno::BUSY) } else { Ok(()) }
    }

    fn give_back(&self, number: i32) {
        self.log.lock().unwrap().push(format!("back {number}"));
    }
}

#[test]
fn numbers_may_come_from_elsewhere() {
    let numbers = Even::default();
    let host = Host::builder().descriptor_limit(20).numbers(numbers.clone()).start().unwrap();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    assert_eq!((here, there), (0, 2));
    assert_eq!(numbers.said(), ["0 from 0", "2 from 0"]);
    assert_eq!(accept(&host, here).map(drop), Err(Errno::INVAL));
    assert_eq!(numbers.said(), ["4 from 0", "back 4"], "what was kept for it is given back");
    assert_eq!(fcntl(&host, here, F_DUPFD, 3), Ok(6));
    assert_eq!(dup2(&host, here, 9), Ok(9));
    assert_eq!(dup2(&host, here, 13), Err(Errno::BUSY));
    assert_eq!(numbers.said(), ["6 from 3", "claim 9", "claim 13"]);

    // A number that comes a second time was given up behind our back: the socket is closed.
    *numbers.next.lock().unwrap() = there;
    assert_eq!(dup(&host, here), Ok(there));
    assert_eq!(recv(&host, here, &mut [0; 4], 0), Ok(0));
    close(&host, there).unwrap();
    assert_eq!(numbers.said(), ["2 from 0", "back 2"]);

    *numbers.next.lock().unwrap() = 20;
    assert_eq!(dup(&host, here), Err(Errno::MFILE), "past the limit");
    assert_eq!(numbers.said(), ["20 from 0", "back 20"]);
    host.shutdown();
    assert_eq!(numbers.said(), ["back 0", "back 6", "back 9"]);
}

/// Who finds that a number is another file's by now closes the socket, and the file keeps the number.
#[test]
fn a_number_that_was_lost_is_not_given_back() {
    let numbers = Even::default();
    let host = Host::builder().numbers(numbers.clone()).start().unwrap();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    numbers.said();
    let incarnation = bsd::incarnation(&host, here).unwrap();
    assert_eq!(bsd::while_incarnation(&host, here, incarnation, || numbers.said()), Ok(Vec::new()));
    bsd::close_incarnation(&host, here, incarnation).unwrap();
    assert_eq!(recv(&host, there, &mut [0; 4], 0), Ok(0), "its socket is closed");
    assert_eq!(numbers.said(), Vec::<String>::new());
    assert_eq!(bsd::while_incarnation(&host, here, incarnation, || numbers.said()), Err(Errno::BADF));
    // Another has the number by now: that one is left alone.
    *numbers.next.lock().unwrap() = here;
    assert_eq!(dup(&host, there), Ok(here));
    assert_eq!(bsd::close_incarnation(&host, here, incarnation), Err(Errno::BADF));
    close(&host, here).unwrap();
    assert_eq!(numbers.said(), ["0 from 0", "back 0"]);
}

/// A file that is in no directory.
fn file(len: usize) -> File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("test", flags).unwrap());
    let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
    file.write_all(&bytes).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn files_go_to_sockets_of_each_kind() {
    let host = host();
    let mut file = file(1000);
    for (kind, here, there) in pairs(&host) {
        let mut offset = 10;
        assert_eq!(sendfile(&host, here, file.as_fd(), Some(&mut offset), 5), Ok(5), "{kind}");
        assert_eq!(offset, 15);
        let mut bytes = [0; 16];
        assert_eq!(recv(&host, there, &mut bytes, 0), Ok(5), "{kind}");
        assert_eq!(&bytes[..5], [10, 11, 12, 13, 14]);
        // Without an offset it is the file's own position that moves.
        file.seek(SeekFrom::Start(990)).unwrap();
        assert_eq!(sendfile(&host, here, file.as_fd(), None, 100), Ok(10), "{kind}");
        assert_eq!(file.stream_position().unwrap(), 1000);
        assert_eq!(recv(&host, there, &mut bytes, 0), Ok(10), "{kind}");
        assert_eq!(sendfile(&host, here, file.as_fd(), None, 100), Ok(0), "{kind}");
        assert_eq!(sendfile(&host, here, file.as_fd(), Some(&mut 5000), 100), Ok(0), "{kind}");
    }
}

#[test]
fn large_files_go_in_parts_of_64_kib() {
    let host = host();
    let file = file(100_000);
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    assert_eq!(sendfile(&host, here, file.as_fd(), Some(&mut 0), 200_000), Ok(100_000));
    let mut bytes = vec![0; 70_000];
    assert_eq!([0; 2].map(|_| recv(&host, there, &mut bytes, 0)), [Ok(65_536), Ok(34_464)]);

    // One that may not wait stops where there is no more room, and the offset says where.
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
    let file = self::file(2_000_000);
    let mut offset = 0;
    let sent = sendfile(&host, here, file.as_fd(), Some(&mut offset), 2_000_000).unwrap();
    assert!(sent > 0 && sent < 2_000_000 && offset == sent as i64, "{sent} {offset}");
    assert_eq!(sendfile(&host, here, file.as_fd(), Some(&mut offset), 1_000_000), Err(Errno::AGAIN));
    assert_eq!(offset, sent as i64);
    let mut received = 0;
    while let Ok(len) = recv(&host, there, &mut bytes, 0) {
        received += len;
        assert_eq!(bytes[len - 1], (received - 1) as u8);
    }
    assert_eq!(received, sent);
}

/// Nobody drives the receiver meanwhile: an acknowledgement would send what waits for more.
#[test]
fn the_parts_of_a_file_end_in_no_small_segments() {
    const PARTS: usize = 6;
    /// With the twelve bytes of time stamps, a part is 49 segments and a few bytes.
    const MAXSEG: i32 = 1349;
    let wire = MemoryConfig { offload: Offload::Plain, ..MemoryConfig::default() };
    let (here, there) = super::common::builders(wire);
    let (here, there) = (here.start().unwrap(), there.driver(Driver::External).start().unwrap());
    let listener = socket(&there, AF_INET, SOCK_STREAM, 0).unwrap();
    setsockopt(&there, listener, SOL_SOCKET, SO_RCVBUF, &4_000_000i32.to_ne_bytes()).unwrap();
    bind(&there, listener, &SockAddr::V4("10.0.0.2:8080".parse().unwrap())).unwrap();
    listen(&there, listener, 1).unwrap();
    let client = socket(&here, AF_INET, SOCK_STREAM, 0).unwrap();
    for (level, name, value) in
        [(SOL_SOCKET, SO_SNDBUF, 4_000_000), (SOL_TCP, TCP_MAXSEG, MAXSEG), (SOL_TCP, TCP_NODELAY, 1)]
    {
        setsockopt(&here, client, level, name, &value.to_ne_bytes()).unwrap();
    }
    let (connecting, to) = (here.clone(), getsockname(&there, listener).unwrap());
    let connecting = std::thread::spawn(move || connect(&connecting, client, &to).unwrap());
    let server = accept(&there, listener).unwrap().0;
    connecting.join().unwrap();

    // The first time opens the congestion window, so that what may go does at once.
    let send = |len: usize| {
        let file = file(len);
        // The file ends with a part, where more was asked for.
        assert_eq!(sendfile(&here, client, file.as_fd(), Some(&mut 0), len * 2), Ok(len));
    };
    let receive = |len: usize| {
        let mut bytes = vec![0; len];
        assert_eq!(recv(&there, server, &mut bytes, MSG_WAITALL), Ok(len));
        assert!((0..len).all(|index| bytes[index] == index as u8));
    };
    send(32 * 65_536);
    receive(32 * 65_536);

    let count = || here.counters()[Counter::TcpOutSegs] - here.counters()[Counter::TcpRetransSegs];
    let (before, len) = (count(), PARTS * 65_536);
    send(len);
    let (sent, whole) = (count() - before, len.div_ceil(MAXSEG as usize - 12) as u64);
    // A machine that stands still for a while lets what waits go: once, but not for each part.
    assert!(sent <= whole + 1, "{sent} segments, {whole} at best");
    receive(len);
}

#[test]
fn sendfile_refuses_what_linux_refuses() {
    let host = host();
    let [here, _there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let file = file(100);
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    let (socket, _far) = UnixStream::pair().unwrap();
    let directory = OwnedFd::from(File::open("/").unwrap());
    let from = |source: &dyn AsFd, offset: Option<i64>| match offset {
        Some(mut offset) => sendfile(&host, here, source.as_fd(), Some(&mut offset), 10),
        None => sendfile(&host, here, source.as_fd(), None, 10),
    };
    assert_eq!(from(&file, Some(-1)), Err(Errno::INVAL));
    assert_eq!([from(&read_end, None), from(&read_end, Some(0))], [Err(Errno::INVAL), Err(Errno::SPIPE)]);
    assert_eq!([from(&socket, None), from(&socket, Some(0))], [Err(Errno::INVAL), Err(Errno::SPIPE)]);
    assert_eq!(from(&write_end, None), Err(Errno::BADF));
    assert_eq!(from(&directory, None), Err(Errno::INVAL));
    assert_eq!(sendfile(&host, here, file.as_fd(), Some(&mut 0), 0), Ok(0));
    assert_eq!(sendfile(&host, 99, file.as_fd(), Some(&mut 0), 0), Err(Errno::BADF));
    let epoll = epoll_create1(&host, 0).unwrap();
    assert_eq!(sendfile(&host, epoll, file.as_fd(), Some(&mut 0), 10), Err(Errno::INVAL));
    let stream = tapsock::bsd::socket(&host, AF_INET, SOCK_STREAM, 0).unwrap();
    assert_eq!(sendfile(&host, stream, file.as_fd(), Some(&mut 0), 10), Err(Errno::PIPE));
    assert_eq!(sendfile(&host, stream, file.as_fd(), Some(&mut 5000), 10), Ok(0));
    let mut zeros = File::open("/dev/zero").unwrap();
    assert_eq!(sendfile(&host, here, zeros.as_fd(), None, 10), Ok(10));
    assert_eq!(zeros.read(&mut [1]).unwrap(), 1);
}
