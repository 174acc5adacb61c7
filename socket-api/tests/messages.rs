//! Messages with parts, addresses, flags and control messages, as Linux 6.18 answered them.

mod common;
#[path = "messages/held.rs"]
mod held;
#[path = "messages/numbers.rs"]
mod numbers;

use std::io::{IoSlice, IoSliceMut};
use std::time::{Duration, SystemTime};

use common::{PATIENCE, within};
use tapsock::bsd::control::{Control, ControlMessages, Credentials, ExtendedError, cmsg_space};
use tapsock::bsd::*;
use tapsock::{Errno, Host, SockAddr};
use tapsock_sockets::UnixAddr;

/// Room for any messages of these tests.
const ROOM: usize = 512;

fn host() -> Host {
    Host::builder().start().unwrap()
}

fn control(messages: &[Control]) -> Vec<u8> {
    let mut control = ControlMessages::with_room(4096);
    messages.iter().for_each(|message| control.push(message));
    control.into_bytes()
}

/// Sends with control messages.
fn send_with(host: &Host, socket: i32, data: &[u8], messages: &[Control]) -> Result<usize, Errno> {
    let (iov, control) = ([IoSlice::new(data)], control(messages));
    sendmsg(
        host,
        socket,
        &SendMessage { iov: &iov, control: &control, ..SendMessage::default() },
        MSG_DONTWAIT,
    )
}

/// Receives without waiting.
fn receive(host: &Host, socket: i32, max: usize, room: usize, flags: i32) -> Result<ReceivedMessage, Errno> {
    let mut bytes = vec![0; max];
    let mut message = RecvMessage { iov: &mut [IoSliceMut::new(&mut bytes)], control_room: room };
    recvmsg(host, socket, &mut message, flags | MSG_DONTWAIT)
}

fn on(host: &Host, socket: i32, level: i32, option: i32) {
    setsockopt(host, socket, level, option, &1i32.to_ne_bytes()).unwrap();
}

/// A name of the abstract kind.
fn name(text: &str) -> SockAddr {
    SockAddr::Unix(UnixAddr::abstract_name(text.as_bytes()).unwrap())
}

/// Two connected sockets of each kind that there is.
fn pairs(host: &Host) -> Vec<(&'static str, i32, i32)> {
    let mut pairs = Vec::new();
    for (kind, name) in
        [(SOCK_STREAM, "unix stream"), (SOCK_DGRAM, "unix datagram"), (SOCK_SEQPACKET, "unix records")]
    {
        let [one, other] = socketpair(host, AF_UNIX, kind, 0).unwrap();
        pairs.push((name, one, other));
    }
    let any = SockAddr::V4("127.0.0.1:0".parse().unwrap());
    let listener = socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
    bind(host, listener, &any).unwrap();
    listen(host, listener, 1).unwrap();
    let client = socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
    connect(host, client, &getsockname(host, listener).unwrap()).unwrap();
    pairs.push(("tcp", client, accept(host, listener).unwrap().0));
    let (one, other) =
        (socket(host, AF_INET, SOCK_DGRAM, 0).unwrap(), socket(host, AF_INET, SOCK_DGRAM, 0).unwrap());
    bind(host, other, &any).unwrap();
    connect(host, one, &getsockname(host, other).unwrap()).unwrap();
    pairs.push(("udp", one, other));
    pairs
}

#[test]
fn no_socket_of_any_kind_has_the_cookie_of_another() {
    let host = host();
    let mut cookies: Vec<_> = pairs(&host)
        .into_iter()
        .flat_map(|(_, one, other)| [one, other])
        .map(|socket| getsockopt(&host, socket, SOL_SOCKET, SO_COOKIE).unwrap().as_bytes().to_vec())
        .collect();
    let count = cookies.len();
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), count);
}

#[test]
fn parts_are_one_message() {
    within(PATIENCE, || {
        let host = host();
        for (kind, one, other) in pairs(&host) {
            let data: Vec<u8> = (0..=255).collect();
            let parts: Vec<_> = data.chunks(37).chain([&[][..]]).map(IoSlice::new).collect();
            assert_eq!(writev(&host, one, &parts), Ok(256), "{kind}");
            let mut room = [[0u8; 100], [0; 100], [0; 100]];
            let mut into: Vec<_> = room.iter_mut().map(|part| IoSliceMut::new(part)).collect();
            assert_eq!(readv(&host, other, &mut into), Ok(256), "{kind}");
            assert_eq!(room.concat()[..256], data, "{kind}");
        }
    });
}

#[test]
fn large_streams_in_parts_come_whole() {
    within(PATIENCE, || {
        let host = host();
        for (kind, one, other) in
            pairs(&host).into_iter().filter(|pair| matches!(pair.0, "tcp" | "unix stream"))
        {
            let data: Vec<u8> = (0..1_000_000u32).map(|at| (at * 7 + at / 251) as u8).collect();
            let sender = {
                let (host, data) = (host.clone(), data.clone());
                std::thread::spawn(move || {
                    let parts: Vec<_> = data.chunks(99_999).map(IoSlice::new).collect();
                    writev(&host, one, &parts)
                })
            };
            let mut room = vec![vec![0; 333_333]; 3];
            room.push(vec![0; 1]);
            let mut into: Vec<_> = room.iter_mut().map(|part| IoSliceMut::new(part)).collect();
            let mut message = RecvMessage { iov: &mut into, control_room: 0 };
            let received = recvmsg(&host, other, &mut message, MSG_WAITALL).unwrap();
            assert_eq!((received.len, sender.join().unwrap()), (1_000_000, Ok(1_000_000)), "{kind}");
            assert!(room.concat() == data, "{kind}");
        }
    });
}

#[test]
fn too_many_parts_and_none_at_all() {
    let host = host();
    for (kind, one, other) in pairs(&host) {
        let parts = [IoSlice::new(b""); 1025];
        assert_eq!(
            sendmsg(&host, one, &SendMessage { iov: &parts, ..Default::default() }, 0),
            Err(Errno::MSGSIZE)
        );
        assert_eq!(writev(&host, one, &parts), Err(Errno::INVAL));
        // Nothing is written or read, and nobody waits.
        assert_eq!(writev(&host, one, &parts[..1024]), Ok(0), "{kind}");
        assert_eq!(readv(&host, other, &mut []), Ok(0), "{kind}");
        assert_eq!(read(&host, other, &mut []), Ok(0), "{kind}");
        assert_eq!(recv(&host, other, &mut [0; 9], MSG_DONTWAIT), Err(Errno::AGAIN), "{kind}");
        // But write is a send: an empty datagram goes out.
        assert_eq!(write(&host, one, b""), Ok(0), "{kind}");
        let came = receive(&host, other, 9, 0, 0).map(|message| message.len);
        assert_eq!(
            came,
            if kind.contains("stream") || kind == "tcp" { Err(Errno::AGAIN) } else { Ok(0) },
            "{kind}"
        );
    }
    assert_eq!(writev(&host, 99, &[]), Err(Errno::BADF));
    assert_eq!(readv(&host, 99, &mut []), Err(Errno::BADF));
}

#[test]
fn what_was_cut_off_is_flagged() {
    let host = host();
    for (kind, one, other) in pairs(&host) {
        let record = !kind.contains("stream") && kind != "tcp";
        send(&host, one, b"abcdef", 0).unwrap();
        let peeked = receive(&host, other, 4, 0, MSG_PEEK).unwrap();
        assert_eq!((peeked.len, peeked.flags), (4, if record { MSG_TRUNC } else { 0 }), "{kind}");
        let len = receive(&host, other, 4, 0, MSG_TRUNC).unwrap().len;
        assert_eq!(len, if record { 6 } else { 4 }, "{kind}");
        while recv(&host, other, &mut [0; 9], MSG_DONTWAIT).is_ok() {}
        // A record's end is told by nothing but its end, and the flag for exec comes back.
        send(&host, one, b"abc", MSG_EOR).unwrap();
        assert_eq!(receive(&host, other, 9, 0, MSG_CMSG_CLOEXEC).unwrap().flags, MSG_CMSG_CLOEXEC, "{kind}");
    }
}

#[test]
fn senders_are_named_where_they_have_a_name() {
    let host = host();
    for (kind, path) in [(SOCK_STREAM, "stream"), (SOCK_SEQPACKET, "records")] {
        let listener = socket(&host, AF_UNIX, kind, 0).unwrap();
        bind(&host, listener, &name(path)).unwrap();
        listen(&host, listener, 1).unwrap();
        let client = socket(&host, AF_UNIX, kind, 0).unwrap();
        connect(&host, client, &name(path)).unwrap();
        let (server, _) = accept(&host, listener).unwrap();
        send(&host, server, b"x", 0).unwrap();
        send(&host, client, b"x", 0).unwrap();
        assert_eq!(recvfrom(&host, client, &mut [0; 9], 0), Ok((1, Some(name(path)))));
        assert_eq!(recvfrom(&host, server, &mut [0; 9], 0), Ok((1, None)), "the client has none");
        shutdown(&host, server, SHUT_RDWR).unwrap();
        assert_eq!(recvfrom(&host, client, &mut [0; 9], 0), Ok((0, None)), "nobody sent the end");
    }
    let [one, other] = socketpair(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    send(&host, one, b"x", 0).unwrap();
    assert_eq!(recvfrom(&host, other, &mut [0; 9], 0), Ok((1, None)));
}

#[test]
fn several_messages_in_a_call() {
    let host = host();
    for (kind, one, other) in
        pairs(&host).into_iter().filter(|pair| pair.0.contains("records") || pair.0 == "udp")
    {
        let parts = [[IoSlice::new(b"one")], [IoSlice::new(b"three")]];
        let messages = parts.each_ref().map(|iov| SendMessage { iov, ..SendMessage::default() });
        assert_eq!(sendmmsg(&host, one, &messages, 0), Ok(vec![3, 5]), "{kind}");
        let mut room = [[0; 9]; 3];
        let mut iovs: Vec<_> = room.iter_mut().map(|part| [IoSliceMut::new(part)]).collect();
        let mut into: Vec<_> = iovs.iter_mut().map(|iov| RecvMessage { iov, control_room: 0 }).collect();
        let received = recvmmsg(&host, other, &mut into, MSG_WAITFORONE, None).unwrap();
        let lens: Vec<_> = received.iter().map(|message| message.len).collect();
        assert_eq!(lens, [3, 5], "{kind}: it does not wait for the third");
        assert_eq!(recvmmsg(&host, other, &mut into, MSG_DONTWAIT, None), Err(Errno::AGAIN), "{kind}");
        sendmmsg(&host, one, &messages, 0).unwrap();
        let received = recvmmsg(&host, other, &mut into, 0, Some(Duration::ZERO)).unwrap();
        assert_eq!(received.len(), 1, "{kind}: the time is over after the first");
        assert_eq!(room[1], *b"three\0\0\0\0");
    }
}

#[test]
fn sockets_that_find_no_room_are_closed() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    // Which of two passed sockets arrive, for a way to receive them.
    let arrived = |take: &dyn Fn() -> ReceivedMessage| {
        let ends = [(); 2].map(|()| socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap());
        let passed = ends.map(|[passed, _]| passed);
        assert_eq!(send_with(&host, here, b"x", &[Control::Rights(passed.to_vec())]), Ok(1));
        passed.iter().for_each(|id| close(&host, *id).unwrap());
        let message = take();
        let open = ends.map(|[_, kept]| send(&host, kept, b"y", 0) == Ok(1));
        (message.rights().len(), message.flags, open)
    };
    let with_room = |room| receive(&host, there, 9, room, 0).unwrap();
    let plain = || ReceivedMessage { len: recv(&host, there, &mut [0; 9], 0).unwrap(), ..Default::default() };
    assert_eq!(arrived(&|| with_room(cmsg_space(8))), (2, 0, [true, true]));
    assert_eq!(arrived(&|| with_room(20)), (1, MSG_CTRUNC, [true, false]));
    assert_eq!(arrived(&|| with_room(0)), (0, MSG_CTRUNC, [false, false]));
    assert_eq!(arrived(&plain), (0, 0, [false, false]), "recv has no place for them");
}

#[test]
fn a_peek_gives_the_sockets_too() {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    let [passed, kept] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    send_with(&host, here, b"x", &[Control::Rights(vec![passed])]).unwrap();
    let peeked = receive(&host, there, 9, ROOM, MSG_PEEK).unwrap().rights();
    let taken = receive(&host, there, 9, ROOM, 0).unwrap().rights();
    send(&host, kept, b"ab", 0).unwrap();
    for id in [peeked[0], taken[0]] {
        assert_eq!(recv(&host, id, &mut [0; 1], MSG_DONTWAIT), Ok(1));
    }
}

#[test]
fn what_may_not_be_passed() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        assert_eq!(send_with(&host, here, b"x", &[Control::Rights(vec![99])]), Err(Errno::BADF));
        assert_eq!(send_with(&host, here, b"x", &[Control::Ttl(3)]), Ok(1), "another level's");
        let many = vec![here; 253];
        assert_eq!(send_with(&host, here, b"x", &[Control::Rights(many.clone())]), Ok(1));
        let more = [Control::Rights(many), Control::Rights(vec![here])];
        assert_eq!(send_with(&host, here, b"x", &more), Err(Errno::INVAL));
        recv(&host, there, &mut [0; 1], 0).unwrap();
    }
    // A bad id is found out before all that is wrong with the call.
    let lonely = socket(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    assert_eq!(send_with(&host, lonely, b"x", &[Control::Rights(vec![99])]), Err(Errno::BADF));
    assert_eq!(send_with(&host, lonely, b"x", &[Control::Rights(vec![lonely])]), Err(Errno::NOTCONN));
}

#[test]
fn a_datagram_to_nobody_fails_last_of_all() {
    let host = host();
    let lonely = socket(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
    assert_eq!(send(&host, lonely, &vec![0; 300_000], 0), Err(Errno::MSGSIZE));
    assert_eq!(send(&host, lonely, b"x", 0), Err(Errno::NOTCONN));
    // Its charge comes back: the buffer never fills.
    for _ in 0..1000 {
        assert_eq!(send(&host, lonely, &[0; 1000], MSG_DONTWAIT), Err(Errno::NOTCONN));
    }
    shutdown(&host, lonely, SHUT_WR).unwrap();
    assert_eq!(send(&host, lonely, b"x", 0), Err(Errno::PIPE));
}

fn own_credentials() -> Credentials {
    Credentials {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

#[test]
fn credentials_come_first_and_need_room() {
    let host = host();
    let own = own_credentials();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        on(&host, there, SOL_SOCKET, SO_PASSCRED);
        send_with(&host, here, b"x", &[Control::Rights(vec![here])]).unwrap();
        let message = receive(&host, there, 9, ROOM, 0).unwrap();
        assert_eq!(message.messages()[0], Control::Credentials(own));
        assert_eq!((message.rights().len(), message.flags), (1, 0));
        send_with(&host, here, b"x", &[Control::Rights(vec![here])]).unwrap();
        let short = receive(&host, there, 9, 44, 0).unwrap();
        assert_eq!((short.messages(), short.flags), (vec![Control::Credentials(own)], MSG_CTRUNC));
        send(&host, here, b"x", 0).unwrap();
        assert_eq!(receive(&host, there, 9, 0, 0).unwrap().flags, MSG_CTRUNC);
        assert_eq!(send_with(&host, here, b"x", &[Control::Credentials(own)]), Ok(1));
        assert_eq!(receive(&host, there, 9, ROOM, 0).unwrap().messages(), [Control::Credentials(own)]);
        shutdown(&host, here, SHUT_RDWR).unwrap();
        if kind != SOCK_DGRAM {
            let nobody = Control::Credentials(Credentials { pid: 0, uid: 0, gid: 0 });
            let end = receive(&host, there, 9, ROOM, 0).unwrap();
            assert_eq!(end.messages(), if kind == SOCK_STREAM { vec![nobody] } else { vec![] });
        }
    }
}

/// When it was sent, not when it was read; to who asks later, when it was read. Two clocks are read one after the other, so
/// that a stamp may be off where the thread has to wait between: then it is tried again.
#[test]
fn local_datagrams_and_records_tell_when_they_were_sent() {
    const WAIT: Duration = Duration::from_millis(20);
    const TRIES: usize = 50;
    let since_1970 = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
        let told = |asks_later: bool| {
            let host = host();
            let [here, there] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
            let ask = || on(&host, there, SOL_SOCKET, SO_TIMESTAMPNS);
            if !asks_later {
                ask();
            }
            let before = since_1970();
            send(&host, here, b"x", 0).unwrap();
            std::thread::sleep(WAIT);
            ask();
            [MSG_PEEK, 0].map(|flags| match receive(&host, there, 9, ROOM, flags).unwrap().messages()[..] {
                [Control::TimestampNs(at)] => at > before + WAIT / 2,
                ref other => panic!("{other:?}"),
            })
        };
        assert!((0..TRIES).any(|_| told(false) == [false; 2]), "{kind}: when it was sent");
        assert!((0..TRIES).any(|_| told(true) == [true; 2]), "{kind}: when it was read");
    }
}

/// Nobody could ask for them on an end that was not accepted yet.
#[test]
fn what_was_sent_before_the_other_end_was_accepted_bears_credentials() {
    for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
        let host = host();
        let [listener, client] = [(); 2].map(|()| socket(&host, AF_UNIX, kind, 0).unwrap());
        bind(&host, listener, &name("server")).unwrap();
        listen(&host, listener, 1).unwrap();
        connect(&host, client, &name("server")).unwrap();
        send(&host, client, b"early", 0).unwrap();
        let (server, _) = accept(&host, listener).unwrap();
        send(&host, client, b"late", 0).unwrap();
        on(&host, server, SOL_SOCKET, SO_PASSCRED);
        let unknown = Credentials { pid: 0, uid: 65_534, gid: 65_534 };
        for (len, told) in [(5, own_credentials()), (4, unknown)] {
            let message = receive(&host, server, 9, ROOM, 0).unwrap();
            assert_eq!((message.len, message.messages()), (len, vec![Control::Credentials(told)]), "{kind}");
        }
    }
}

#[test]
fn nobody_passes_for_another() {
    let host = host();
    let own = own_credentials();
    let [here, _there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let said = |who| send_with(&host, here, b"x", &[Control::Credentials(who)]);
    /// More than Linux's PID_MAX_LIMIT.
    const NO_PROCESS: i32 = 5_000_000;
    let (other, gone, none) = (
        Credentials { uid: own.uid + 1, ..own },
        Credentials { pid: NO_PROCESS, ..own },
        Credentials { uid: u32::MAX, ..own },
    );
    if own.uid == 0 {
        assert_eq!([said(other), said(gone), said(none)], [Ok(1), Err(Errno::SRCH), Err(Errno::INVAL)]);
    } else {
        assert_eq!([said(other), said(gone), said(none)], [Err(Errno::PERM); 3]);
    }
}

#[test]
fn who_asks_for_credentials_gets_a_name_when_it_speaks() {
    let host = host();
    let named = |socket| getsockname(&host, socket).unwrap() != SockAddr::Unix(UnixAddr::UNNAMED);
    let asking = |kind| {
        let socket = socket(&host, AF_UNIX, kind, 0).unwrap();
        on(&host, socket, SOL_SOCKET, SO_PASSCRED);
        assert!(!named(socket));
        socket
    };
    let one = asking(SOCK_DGRAM);
    assert_eq!(send(&host, one, b"x", 0), Err(Errno::NOTCONN));
    assert!(named(one), "send");
    let one = asking(SOCK_DGRAM);
    assert_eq!(sendto(&host, one, b"x", 0, Some(&name("nobody"))), Err(Errno::CONNREFUSED));
    assert!(named(one), "sendto");
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let one = asking(kind);
        assert_eq!(connect(&host, one, &name("nobody")), Err(Errno::CONNREFUSED));
        assert!(named(one), "connect");
        let [one, other] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        on(&host, one, SOL_SOCKET, SO_PASSCRED);
        send(&host, one, b"x", 0).unwrap();
        send(&host, other, b"x", 0).unwrap();
        assert_eq!((named(one), named(other)), (kind != SOCK_STREAM, false));
    }
}

#[test]
fn time_is_told_since_1970() {
    let host = host();
    let (_, one, other) = pairs(&host).pop().unwrap();
    on(&host, other, SOL_SOCKET, SO_TIMESTAMPNS);
    on(&host, other, SOL_IP, IP_RECVTTL);
    let before = SystemTime::now();
    send(&host, one, b"x", 0).unwrap();
    let message = receive(&host, other, 9, ROOM, 0).unwrap();
    let after = SystemTime::now();
    let [Control::TimestampNs(came), Control::Ttl(64)] = message.messages()[..] else {
        panic!("{:?}", message.messages())
    };
    // Two clocks are read, one after the other.
    let slack = Duration::from_millis(500);
    let came = SystemTime::UNIX_EPOCH + came;
    assert!(came >= before - slack && came <= after + slack, "{came:?}");
    send(&host, one, b"x", 0).unwrap();
    let short = receive(&host, other, 9, 40, 0).unwrap();
    assert_eq!((short.messages().len(), short.flags), (1, MSG_CTRUNC));
}

#[test]
fn a_datagram_is_sent_with_its_own_marks() {
    let host = host();
    let (_, one, other) = pairs(&host).pop().unwrap();
    on(&host, other, SOL_IP, IP_RECVTTL);
    send_with(&host, one, b"x", &[Control::Ttl(7)]).unwrap();
    send(&host, one, b"x", 0).unwrap();
    let told = [(); 2].map(|()| receive(&host, other, 9, ROOM, 0).unwrap().messages());
    assert_eq!(told, [[Control::Ttl(7)], [Control::Ttl(64)]]);
}

/// What ioctl says of a socket: FIONREAD, SIOCOUTQ, SIOCATMARK.
fn queues(host: &Host, socket: i32) -> [Result<i32, Errno>; 3] {
    [FIONREAD, SIOCOUTQ, SIOCATMARK].map(|request| {
        let mut count = 77;
        ioctl(host, socket, request, &mut count).map(|()| count)
    })
}

#[test]
fn queues_are_counted() {
    const OPNOTSUPP: Result<i32, Errno> = Err(Errno::OPNOTSUPP);
    const NOTTY: Result<i32, Errno> = Err(Errno::NOTTY);
    const INVAL: Result<i32, Errno> = Err(Errno::INVAL);
    let host = host();
    for (domain, kind, mark) in [
        (AF_UNIX, SOCK_STREAM, Ok(0)),
        (AF_UNIX, SOCK_DGRAM, OPNOTSUPP),
        (AF_UNIX, SOCK_SEQPACKET, OPNOTSUPP),
        (AF_INET, SOCK_STREAM, Ok(0)),
        (AF_INET, SOCK_DGRAM, NOTTY),
    ] {
        let fresh = socket(&host, domain, kind, 0).unwrap();
        assert_eq!(queues(&host, fresh), [Ok(0), Ok(0), mark], "{domain} {kind}");
        assert_eq!(ioctl(&host, fresh, 0x1234, &mut 0), Err(Errno::NOTTY));
        ioctl(&host, fresh, FIONBIO, &mut 1).unwrap();
        assert_eq!(is_nonblocking(&host, fresh), Ok(true));
        ioctl(&host, fresh, FIONBIO, &mut 0).unwrap();
        assert_eq!(is_nonblocking(&host, fresh), Ok(false));
        if kind == SOCK_STREAM {
            let any = SockAddr::V4("127.0.0.1:0".parse().unwrap());
            bind(&host, fresh, &if domain == AF_UNIX { name("listener") } else { any }).unwrap();
            listen(&host, fresh, 1).unwrap();
            let out = if domain == AF_UNIX { Ok(0) } else { INVAL };
            assert_eq!(queues(&host, fresh), [INVAL, out, Ok(0)], "{domain} listens");
        }
    }
    for (kind, one, other) in pairs(&host) {
        send(&host, one, b"abc", 0).unwrap();
        send(&host, one, b"de", 0).unwrap();
        let [next, _, _] = queues(&host, other);
        assert_eq!(next, Ok(if matches!(kind, "udp" | "unix datagram") { 3 } else { 5 }), "{kind}");
        if kind.starts_with("unix") {
            assert_eq!(queues(&host, one)[1], Ok(1536), "{kind}: with what they are charged");
        }
    }
}

#[test]
fn the_mark_stands_before_urgent_data() {
    let host = host();
    let [one, other] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    send(&host, one, b"abcde", 0).unwrap();
    send(&host, one, b"Z", MSG_OOB).unwrap();
    assert_eq!(sockatmark(&host, other), Ok(false));
    assert_eq!(recv(&host, other, &mut [0; 5], 0), Ok(5));
    assert_eq!(sockatmark(&host, other), Ok(true));
}

#[test]
fn who_is_on_the_other_side() {
    let host = host();
    let own = own_credentials();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [one, _] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        let peer = getsockopt(&host, one, SOL_SOCKET, SO_PEERCRED).unwrap();
        let numbers = [own.pid.to_ne_bytes(), own.uid.to_ne_bytes(), own.gid.to_ne_bytes()].concat();
        assert_eq!(peer.as_bytes(), numbers, "{kind}");
    }
}

#[test]
fn errors_are_polled_and_read_one_by_one() {
    let host = host();
    let fd = socket(&host, AF_INET, SOCK_DGRAM, 0).unwrap();
    on(&host, fd, SOL_IP, IP_RECVERR);
    let closed = SockAddr::V4("127.0.0.1:9".parse().unwrap());
    sendto(&host, fd, b"hello", 0, Some(&closed)).unwrap();
    let mut polled = [PollFd::new(fd, PollMask::IN)];
    assert_eq!(poll(&host, &mut polled, 10_000), Ok(1));
    assert_eq!(polled[0].revents, PollMask::ERR);
    let report = receive(&host, fd, 3, ROOM, MSG_ERRQUEUE).unwrap();
    assert_eq!((report.len, report.address.as_ref()), (3, Some(&closed)));
    assert_eq!(report.flags, MSG_ERRQUEUE | MSG_TRUNC);
    let error = ExtendedError { errno: 111, origin: 2, kind: 3, code: 3, info: 0, data: 0 };
    let offender = "127.0.0.1:0".parse().unwrap();
    assert_eq!(report.messages(), [Control::ExtendedError4(error, Some(offender))]);
    assert_eq!(receive(&host, fd, 3, ROOM, MSG_ERRQUEUE).unwrap_err(), Errno::AGAIN);
    assert_eq!(poll(&host, &mut polled, 0), Ok(0));
}

#[test]
fn a_large_send_without_copies_counts_once() {
    within(PATIENCE, || {
        let host = host();
        let (_, one, other) = pairs(&host).into_iter().find(|pair| pair.0 == "tcp").unwrap();
        on(&host, one, SOL_SOCKET, SO_ZEROCOPY);
        let sender = {
            let host = host.clone();
            std::thread::spawn(move || send(&host, one, &vec![7; 1_000_000], MSG_ZEROCOPY))
        };
        assert_eq!(recv(&host, other, &mut vec![0; 1_000_000], MSG_WAITALL), Ok(1_000_000));
        assert_eq!(sender.join().unwrap(), Ok(1_000_000));
        let report = receive(&host, one, 3, ROOM, MSG_ERRQUEUE).unwrap();
        let done = ExtendedError { origin: 5, code: 1, ..ExtendedError::default() };
        assert_eq!((report.len, report.messages()), (0, vec![Control::ExtendedError4(done, None)]));
        assert_eq!(receive(&host, one, 3, ROOM, MSG_ERRQUEUE).unwrap_err(), Errno::AGAIN);
    });
}

#[test]
fn what_is_too_long_is_refused_without_a_copy() {
    within(PATIENCE, || {
        let host = host();
        // 64 GiB in all, of which no machine holds a copy; the pages of zeros are nobody's until they are written.
        let part = vec![0; 64 << 20];
        let parts: Vec<_> = (0..1024).map(|_| IoSlice::new(&part)).collect();
        let message = SendMessage { iov: &parts, ..Default::default() };
        for (kind, one, other) in pairs(&host).into_iter().filter(|pair| pair.0.starts_with("unix")) {
            let sent = sendmsg(&host, one, &message, MSG_DONTWAIT);
            if kind == "unix stream" {
                assert!(sent.is_ok_and(|sent| sent > 0), "{sent:?}");
                close(&host, one).unwrap();
                continue;
            }
            assert_eq!(sent, Err(Errno::MSGSIZE), "{kind}");
            close(&host, other).unwrap();
            assert_eq!(sendmsg(&host, one, &message, MSG_DONTWAIT), Err(Errno::MSGSIZE), "{kind}");
        }
    });
}
