//! Sockets made step by step, of every kind; and bytes that are moved without a copy.

mod common;

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use common::{LEFT, PATIENCE, RIGHT, RIGHT6, builders, pair, plain_pair, within};
use tapsock::bsd::{self, IP_PMTUDISC_DO, MSG_PEEK, MSG_TRUNC, RecvMessage, SendMessage};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::socket::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tapsock::unix::{self, UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};
use tapsock::{Host, SockAddr};
use tapsock_driver::memory::MemoryConfig;

fn at(text: &str) -> SockAddr {
    SockAddr::from(text.parse::<SocketAddr>().unwrap())
}

fn path(name: &str) -> SockAddr {
    SockAddr::from(unix::SocketAddr::from_pathname(name).unwrap())
}

fn stream(host: &Host) -> Socket {
    Socket::new(host, Domain::IPV4, Type::STREAM, None).unwrap()
}

fn errno<T>(outcome: std::io::Result<T>) -> i32 {
    outcome.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
}

#[test]
fn a_connection_step_by_step() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = Socket::new(&right, Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        assert!(!listener.is_listener().unwrap());
        listener.bind(&at("10.0.0.2:0")).unwrap();
        listener.listen(5).unwrap();
        assert!(listener.is_listener().unwrap());
        let client = stream(&left);
        client.connect(&listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());

        assert_eq!(client.send_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap(), 7);
        let mut bytes = [0; 4];
        assert_eq!(server.peek(&mut bytes).unwrap(), 4);
        let (mut first, mut second) = ([0; 4], [0; 9]);
        let parts = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.recv_vectored(parts).unwrap(), 7);
        assert_eq!((&first, &second[..3]), (b"one ", &b"two"[..]));
        let halves = [IoSlice::new(b"in "), IoSlice::new(b"two")];
        assert_eq!(client.send_vectored_with_flags(&halves, bsd::MSG_MORE).unwrap(), 6);
        let whole = SendMessage { iov: &halves, ..SendMessage::default() };
        assert_eq!(client.sendmsg(&whole, 0).unwrap(), 6);
        let parts = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.recv_vectored_with_flags(parts, MSG_PEEK).unwrap(), 12);
        let mut message = RecvMessage { iov: parts, control_room: 0 };
        assert_eq!(server.recvmsg(&mut message, 0).unwrap().len, 12);
        assert_eq!((&first, &second[..8]), (b"in t", &b"woin two"[..]));
        client.send_out_of_band(b"!").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let clone = server.try_clone().unwrap();
        drop(server);
        // The end of the stream comes after it.
        while !clone.recv_out_of_band(&mut first).is_ok_and(|len| len == 1) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((&clone).read(&mut first).unwrap(), 0, "the urgent byte is not in line");
        (&clone).write_all(b"bye").unwrap();
        assert_eq!(client.recv_with_flags(&mut first, MSG_PEEK).unwrap(), 3);
    });
}

#[test]
fn connecting_for_a_while() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (RIGHT, 0)).unwrap();
        let client = stream(&left);
        client.connect_timeout(&SockAddr::from(listener.local_addr().unwrap()), PATIENCE).unwrap();
        assert!(!client.nonblocking().unwrap());
        let refused = stream(&left).connect_timeout(&at("10.0.0.2:9"), PATIENCE);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let begun = Instant::now();
        let nobody = stream(&left).connect_timeout(&at("10.0.0.77:9"), Duration::from_millis(20));
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let zero = stream(&left).connect_timeout(&at("10.0.0.2:9"), Duration::ZERO);
        assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);

        let busy = Socket::new(&left, Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&path("/busy")).unwrap();
        busy.listen(0).unwrap();
        let local = || Socket::new(&left, Domain::UNIX, Type::STREAM, None).unwrap();
        let first = local();
        first.connect_timeout(&path("/busy"), PATIENCE).unwrap();
        let second = local();
        let full = second.connect_timeout(&path("/busy"), Duration::from_millis(20));
        assert_eq!(full.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(second.write_timeout().unwrap(), None);
        // The time-out of sends bounds the wait of a connect that has none of its own.
        let (third, moment) = (local(), Duration::from_millis(30));
        third.set_write_timeout(Some(moment)).unwrap();
        let began = Instant::now();
        assert_eq!(third.connect(&path("/busy")).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(began.elapsed() >= moment);
        third.set_write_timeout(Some(PATIENCE)).unwrap();
        let connecting = std::thread::spawn(move || third.connect(&path("/busy")).map(|()| third));
        busy.accept().unwrap();
        let _third = connecting.join().unwrap().unwrap();

        // What others set meanwhile stays, and what they see is what they have set.
        for (socket, address) in [(stream(&left), at("10.0.0.77:9")), (local(), path("/busy"))] {
            let other = socket.try_clone().unwrap();
            let sleeps = || {
                let stats = left.engine_stats();
                stats.ppolls + stats.parks + stats.local_parks
            };
            let before = sleeps();
            let connecting =
                std::thread::spawn(move || socket.connect_timeout(&address, Duration::from_millis(300)));
            while sleeps() == before && !connecting.is_finished() {
                std::thread::yield_now();
            }
            assert!(!other.nonblocking().unwrap());
            assert_eq!(other.write_timeout().unwrap(), None);
            other.set_nonblocking(true).unwrap();
            other.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!(connecting.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(other.nonblocking().unwrap());
            assert_eq!(other.write_timeout().unwrap(), Some(Duration::from_secs(5)));
        }
    });
}

#[test]
fn datagrams_and_their_senders() {
    let host = Host::builder().start().unwrap();
    let make = || {
        let socket = Socket::new(&host, Domain::IPV6, Type::DGRAM, None).unwrap();
        socket.bind(&at("[::1]:0")).unwrap();
        socket
    };
    let (a, b) = (make(), make());
    let (to, from) = (b.local_addr().unwrap(), a.local_addr().unwrap());
    assert_eq!(a.send_to(b"hello", &to).unwrap(), 5);
    assert_eq!(b.peek_sender().unwrap(), from);
    let mut bytes = [0; 3];
    assert_eq!(b.recv_from_with_flags(&mut bytes, MSG_TRUNC).unwrap(), (5, from));
    assert_eq!(a.send_to_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"b")], &to).unwrap(), 2);
    assert_eq!(b.recv_bytes().unwrap(), "ab");
    let halves = [IoSlice::new(b"cd"), IoSlice::new(b"ef")];
    assert_eq!(a.send_to_vectored_with_flags(&halves, &to, bsd::MSG_DONTWAIT).unwrap(), 4);
    let (mut first, mut second) = ([0; 1], [0; 9]);
    let parts = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(b.recv_from_vectored_with_flags(parts, MSG_PEEK).unwrap(), (4, from));
    assert_eq!(b.recv_from_vectored(parts).unwrap(), (4, from));
    assert_eq!((first, &second[..3]), (*b"c", &b"def"[..]));
    a.connect(&to).unwrap();
    a.send_bytes(Bytes::from_static(b"whole")).unwrap();
    assert_eq!(b.recv_from(&mut bytes).unwrap(), (3, from));
    b.set_nonblocking(true).unwrap();
    assert_eq!(b.recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn options_act_and_are_shown() {
    let host = Host::builder().start().unwrap();
    let tcp = Socket::new(&host, Domain::IPV6, Type::STREAM.nonblocking().cloexec(), None).unwrap();
    assert!(tcp.nonblocking().unwrap());
    assert_eq!((tcp.domain().unwrap(), tcp.r#type().unwrap()), (Domain::IPV6, Type::STREAM));
    assert_eq!(tcp.protocol().unwrap(), Some(Protocol::TCP));
    type Flag = (fn(&Socket, bool) -> std::io::Result<()>, fn(&Socket) -> std::io::Result<bool>);
    let flags: [Flag; 8] = [
        (Socket::set_reuse_address, Socket::reuse_address),
        (Socket::set_reuse_port, Socket::reuse_port),
        (Socket::set_keepalive, Socket::keepalive),
        (Socket::set_only_v6, Socket::only_v6),
        (Socket::set_tcp_nodelay, Socket::tcp_nodelay),
        (Socket::set_tcp_cork, Socket::tcp_cork),
        (Socket::set_freebind_v6, Socket::freebind_v6),
        (Socket::set_out_of_band_inline, Socket::out_of_band_inline),
    ];
    for (set, get) in flags {
        for on in [true, false] {
            set(&tcp, on).unwrap();
            assert_eq!(get(&tcp).unwrap(), on);
        }
    }
    tcp.set_recv_buffer_size(10_000).unwrap();
    tcp.set_send_buffer_size(10_000).unwrap();
    assert_eq!((tcp.recv_buffer_size().unwrap(), tcp.send_buffer_size().unwrap()), (20_000, 20_000));
    for time in [Some(Duration::from_secs(7)), None] {
        tcp.set_linger(time).unwrap();
        tcp.set_read_timeout(time).unwrap();
        tcp.set_write_timeout(time).unwrap();
        tcp.set_tcp_user_timeout(time).unwrap();
        let shown = [tcp.linger(), tcp.read_timeout(), tcp.write_timeout(), tcp.tcp_user_timeout()];
        assert!(shown.into_iter().all(|shown| shown.unwrap() == time));
    }
    let probes = TcpKeepalive::new().with_interval(Duration::from_secs(5));
    tcp.set_tcp_keepalive(&probes).unwrap();
    assert_eq!(tcp.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
    assert_eq!(tcp.tcp_keepalive_time().unwrap(), Duration::from_secs(7200), "it was not named");
    tcp.set_tcp_congestion(b"reno").unwrap();
    assert_eq!(tcp.tcp_congestion().unwrap(), b"reno");
    tcp.set_unicast_hops_v6(9).unwrap();
    tcp.set_tclass_v6(8).unwrap();
    tcp.set_tcp_mss(1000).unwrap();
    assert_eq!((tcp.unicast_hops_v6().unwrap(), tcp.tclass_v6().unwrap()), (9, 8));
    assert_eq!(tcp.tcp_mss().unwrap(), 1000);
    assert!(tcp.take_error().unwrap().is_none());
    assert!(tcp.udp_gro().is_err() && errno(tcp.set_unicast_hops_v6(300)) == 22);

    let udp = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    assert_ne!(udp.cookie().unwrap(), tcp.cookie().unwrap());
    udp.bind_device(Some(b"lo")).unwrap();
    assert_eq!(udp.device().unwrap().as_deref(), Some(&b"lo"[..]));
    let index = udp.device_index().unwrap();
    let other = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    other.bind_device_by_index(index).unwrap();
    assert_eq!((other.device_index().unwrap(), index.map(NonZeroU32::get)), (index, Some(1)));
    udp.set_ttl_v4(3).unwrap();
    udp.set_tos_v4(4).unwrap();
    udp.set_mtu_discover_v4(IP_PMTUDISC_DO).unwrap();
    udp.set_recv_err_v4(true).unwrap();
    assert_eq!((udp.ttl_v4().unwrap(), udp.tos_v4().unwrap()), (3, 4));
    assert_eq!((udp.mtu_discover_v4().unwrap(), udp.recv_err_v4().unwrap()), (IP_PMTUDISC_DO, true));
    assert_eq!(errno(udp.mtu_v4()), 107);
}

#[test]
fn raw_sockets_by_permission() {
    let ordinary = Host::builder().start().unwrap();
    let raw = |host: &Host| Socket::new(host, Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
    assert_eq!(errno(raw(&ordinary)), 1);
    let host = Host::builder().privileged().start().unwrap();
    let socket = raw(&host).unwrap();
    assert!(!socket.header_included_v4().unwrap());
    socket.send_to(b"\x08\0\xf7\xfd\0\x01\0\x01", &at("127.0.0.1:0")).unwrap();
    let mut bytes = [0; 64];
    // The request that went out, and the stack's answer.
    let kinds = [0, 1].map(|_| {
        assert_eq!(socket.recv(&mut bytes).unwrap(), 28);
        bytes[20]
    });
    assert_eq!(kinds, [8, 0]);
    let back = UdpSocket::try_from(socket).unwrap_err();
    assert_eq!(back.r#type().unwrap(), Type::RAW);
}

#[test]
fn other_types_and_back() {
    let host = Host::builder().start().unwrap();
    let socket = stream(&host);
    socket.bind(&at("127.0.0.1:0")).unwrap();
    let id = socket.socket_id().unwrap();
    assert_eq!(socket.socket_id().unwrap(), id);
    let socket = TcpListener::try_from(socket).expect_err("it does not listen");
    let socket = UnixStream::try_from(socket).expect_err("it is none of those");
    socket.listen(1).unwrap();
    let listener = TcpListener::try_from(socket).unwrap();
    let client = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let client = Socket::from(client);
    client.set_tcp_nodelay(true).unwrap();
    client.send(b"hello").unwrap();
    let mut client = TcpStream::try_from(client).unwrap();
    assert!(client.nodelay().unwrap());
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).unwrap();
    drop(Socket::from(server));
    assert_eq!(client.read(&mut bytes).unwrap(), 0, "the last handle closes it");
    assert!(Socket::from(listener).is_listener().unwrap());
    let udp = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    assert_eq!(UdpSocket::try_from(Socket::from(udp)).unwrap().local_addr().unwrap(), address);

    let (here, there) = UnixStream::pair(&host).unwrap();
    Socket::from(here).send(b"local").unwrap();
    assert_eq!(there.recv_bytes().unwrap(), "local");
    assert!(there.recv_bytes().unwrap().is_empty(), "the end");
    let (a, b) = Socket::pair(&host, Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let a = UnixSeqpacket::try_from(a).unwrap();
    a.send(b"record").unwrap();
    assert_eq!(errno(b.recv_bytes()), 95);
    assert_eq!(b.recv(&mut bytes).unwrap(), 5);
    let datagram = Socket::new(&host, Domain::UNIX, Type::DGRAM, None).unwrap();
    datagram.bind(&path("/box")).unwrap();
    let datagram = UnixDatagram::try_from(datagram).unwrap();
    let sender = Socket::from(UnixDatagram::unbound(&host).unwrap());
    sender.send_to_vectored(&[IoSlice::new(b"to "), IoSlice::new(b"it")], &path("/box")).unwrap();
    let mut bytes = [0; 9];
    assert_eq!(datagram.recv(&mut bytes).unwrap(), 5);
    let name = unix::SocketAddr::try_from(Socket::from(datagram).local_addr().unwrap()).unwrap();
    assert_eq!(name.as_pathname(), Some(std::path::Path::new("/box")));
    let listener = Socket::from(UnixListener::bind(&host, "/listener").unwrap());
    assert!(listener.is_listener().unwrap());
    assert_eq!(errno(Socket::pair(&host, Domain::IPV4, Type::STREAM, None)), 95);
    assert_eq!(errno(Socket::new(&host, Domain::from(7), Type::STREAM, None)), 97);
}

/// Bytes that are all different from their neighbours.
fn pattern(len: usize) -> Bytes {
    (0..len).map(|index| (index % 251) as u8).collect::<Vec<u8>>().into()
}

#[test]
fn bytes_of_any_length_arrive() {
    within(PATIENCE, || {
        for (left, right) in [pair(), plain_pair()] {
            for address in [RIGHT, RIGHT6] {
                let listener = TcpListener::bind(&right, (address, 0)).unwrap();
                let client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
                let (server, _) = listener.accept().unwrap();
                let sent = pattern(5_000_000);
                let reader = thread::spawn(move || {
                    let mut all = BytesMut::new();
                    loop {
                        match server.recv_bytes().unwrap() {
                            piece if piece.is_empty() => return all,
                            piece => all.extend_from_slice(&piece),
                        }
                    }
                });
                assert_eq!(client.send_bytes(sent.clone()).unwrap(), sent.len());
                drop(client);
                assert!(reader.join().unwrap() == sent);
            }
        }
    });
}

#[test]
fn as_many_bytes_are_taken_as_there_is_room_for() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (RIGHT, 0)).unwrap();
        let client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut rest = pattern(50_000_000);
        let taken = client.send_bytes(rest.clone()).unwrap();
        assert!((1..50_000_000).contains(&taken), "{taken}");
        let mut all = taken;
        let server = listener.accept().unwrap().0;
        let _ = rest.split_to(taken);
        for _ in 0..20 {
            all += client.send_bytes(rest.slice(..1000)).unwrap_or(0);
        }
        client.shutdown(Shutdown::Write).unwrap();
        let got = std::iter::from_fn(|| server.recv_bytes().ok().filter(|piece| !piece.is_empty()));
        assert_eq!(got.map(|piece| piece.len()).sum::<usize>(), all);
    });
}

#[test]
fn receiving_bytes_copies_none() {
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let (left, right) = (left.start().unwrap(), right.start().unwrap());
        let listener = TcpListener::bind(&right, (RIGHT, 0)).unwrap();
        let client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let receiver = UdpSocket::bind(&right, (RIGHT, 0)).unwrap();
        let sender = UdpSocket::bind(&left, (LEFT, 0)).unwrap();
        for _ in 0..3 {
            let (sent, mut piece, mut got) = (pattern(10_000), Bytes::new(), 0);
            client.send_bytes(sent.clone()).unwrap();
            while got < sent.len() {
                // It is there when it can be seen.
                assert_eq!(server.peek(&mut [0]).unwrap(), 1);
                let allocated = allocation_counter::measure(|| piece = server.recv_bytes().unwrap());
                assert!(sent[got..].starts_with(&piece) && !piece.is_empty());
                assert!(allocated.bytes_total < 1_000, "{allocated:?} for {} bytes", piece.len());
                got += piece.len();
            }

            sender.send_bytes_to(pattern(1_400), receiver.local_addr().unwrap()).unwrap();
            assert_eq!(receiver.peek(&mut [0]).unwrap(), 1);
            let allocated = allocation_counter::measure(|| piece = receiver.recv_bytes().unwrap());
            assert!(piece == pattern(1_400));
            assert!(allocated.bytes_total < 1_000, "{allocated:?}");
        }
    });
}

#[test]
fn a_number_that_was_closed_is_nobody_elses_to_close() {
    within(PATIENCE, || {
        let host = Host::builder().start().unwrap();
        let close_and_take = |id| {
            bsd::close(&host, id).unwrap();
            assert_eq!(
                bsd::socket(&host, bsd::AF_INET, bsd::SOCK_DGRAM, 0),
                Ok(id),
                "the lowest free number"
            );
        };
        let socket = stream(&host);
        let id = socket.socket_id().unwrap();
        assert_eq!(socket.socket_id().unwrap(), id);
        close_and_take(id);
        drop(socket);
        assert!(bsd::getsockname(&host, id).is_ok(), "it is another socket's by now");
        bsd::close(&host, id).unwrap();

        let socket = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
        let id = socket.socket_id().unwrap();
        close_and_take(id);
        drop(socket);
        assert!(bsd::getsockname(&host, id).is_ok(), "it is another socket's by now");
        bsd::close(&host, id).unwrap();

        // Where nobody has closed it, it goes with the socket.
        let socket = stream(&host);
        let id = socket.socket_id().unwrap();
        drop(socket);
        assert!(bsd::getsockname(&host, id).is_err());
    });
}

#[test]
fn a_long_record_in_parts_comes_whole() {
    within(PATIENCE, || {
        let host = Host::builder().start().unwrap();
        let record: Vec<u8> = (0..300_000u32).map(|at| (at * 7 + at / 251) as u8).collect();
        for kind in [Type::SEQPACKET, Type::DGRAM] {
            let (here, there) = Socket::pair(&host, Domain::UNIX, kind, None).unwrap();
            here.set_send_buffer_size(400_000).unwrap();
            let parts: Vec<_> = record.chunks(99_999).map(IoSlice::new).collect();
            assert_eq!(here.send_vectored(&parts).unwrap(), record.len());
            let (mut first, mut second) = (vec![0; 200_000], vec![0; 200_000]);
            let into = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(there.recv_vectored(into).unwrap(), record.len());
            assert!(first == record[..200_000] && second[..100_000] == record[200_000..]);
        }
        let (here, there) = UnixStream::pair(&host).unwrap();
        let sender = thread::spawn({
            let record = record.clone();
            move || (&here).write_vectored(&[IoSlice::new(&record[..7]), IoSlice::new(&record[7..])])
        });
        let mut came: Vec<u8> = Vec::new();
        while came.len() < record.len() {
            let (mut first, mut second) = ([0; 3], [0; 50_000]);
            let into = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let len = (&there).read_vectored(into).unwrap();
            came.extend([&first[..], &second[..]].concat()[..len].iter());
        }
        assert!(came == record);
        assert_eq!(sender.join().unwrap().unwrap(), record.len());
    });
}

/// Which of the listeners of a group takes the connection of a client at `port`, which is reset after that.
fn taker(left: &Host, group: &[Socket], port: u16) -> usize {
    let client = stream(left);
    client.set_reuse_address(true).unwrap();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    client.bind(&at(&format!("{LEFT}:{port}"))).unwrap();
    client.connect(&group[0].local_addr().unwrap()).unwrap();
    loop {
        for (index, listener) in group.iter().enumerate() {
            match listener.accept() {
                Ok((server, peer)) => {
                    assert_eq!(peer, client.local_addr().unwrap());
                    drop(client);
                    // Nothing is left of it when the reset has come.
                    while server.recv(&mut [0]).is_ok() {}
                    return index;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn listeners_of_one_port_share_connections_by_the_hash_of_their_ends() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let mut group: Vec<Socket> = Vec::new();
        let mut address = at(&format!("{RIGHT}:0"));
        for _ in 0..4 {
            let listener = stream(&right);
            listener.set_reuse_port(true).unwrap();
            listener.bind(&address).unwrap();
            listener.listen(64).unwrap();
            listener.set_nonblocking(true).unwrap();
            address = listener.local_addr().unwrap();
            group.push(listener);
        }
        let other = stream(&right);
        assert_eq!(
            other.bind(&address).unwrap_err().kind(),
            ErrorKind::AddrInUse,
            "who has not asked has no share"
        );
        let takers: Vec<usize> = (0..64).map(|n| taker(&left, &group, 5000 + n)).collect();
        for index in 0..group.len() {
            let share = takers.iter().filter(|taker| **taker == index).count();
            // Sixteen are to be expected. The hash's secret comes of the seed, so that it is the same each time.
            assert!((4..=32).contains(&share), "listener {index} takes {share} of 64: {takers:?}");
        }
        // The same ends lead to the same listener, as long as the group is what it is.
        let again: Vec<usize> = (0..64).map(|n| taker(&left, &group, 5000 + n)).collect();
        assert_eq!(again, takers);
        // The others share what came to one that is gone.
        group.pop();
        assert!((0..16).map(|n| taker(&left, &group, 6000 + n)).all(|index| index < group.len()));
    });
}
