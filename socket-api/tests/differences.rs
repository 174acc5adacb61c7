//! What is not as on Linux where calls wait, as `docs/sockets/differences.tsv` says.

mod common;

use std::thread;

use common::{PATIENCE, within};
use tapsock::bsd::{
    self, AF_UNIX, MSG_DONTWAIT, SHUT_RDWR, SO_BINDTODEVICE, SO_MARK, SO_PRIORITY, SO_RXQ_OVFL,
    SO_TIMESTAMPING, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};
use tapsock::{Errno, Host, SockAddr};
use tapsock_sockets::UnixAddr;

/// A local socket with a name.
fn named(host: &Host, kind: i32) -> (i32, SockAddr) {
    let socket = bsd::socket(host, AF_UNIX, kind, 0).unwrap();
    bsd::bind(host, socket, &SockAddr::Unix(UnixAddr::UNNAMED)).unwrap();
    (socket, bsd::getsockname(host, socket).unwrap())
}

#[test]
fn a_shutdown_ends_what_waits_for_a_local_socket() {
    within(PATIENCE, || {
        let host = Host::builder().start().unwrap();
        let (listener, name) = named(&host, SOCK_STREAM);
        bsd::listen(&host, listener, 0).unwrap();
        let first = bsd::socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        bsd::connect(&host, first, &name).unwrap();
        let client = bsd::socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
        let connecting = {
            let host = host.clone();
            thread::spawn(move || bsd::connect(&host, client, &name))
        };
        let (receiver, name) = named(&host, SOCK_DGRAM);
        let sender = bsd::socket(&host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
        bsd::connect(&host, sender, &name).unwrap();
        while bsd::send(&host, sender, b"x", MSG_DONTWAIT).is_ok() {}
        let sending = {
            let host = host.clone();
            thread::spawn(move || bsd::send(&host, sender, b"x", 0))
        };
        // Both wait then, in all likelihood; the test holds without it too.
        thread::sleep(std::time::Duration::from_millis(20));
        for socket in [listener, receiver] {
            bsd::shutdown(&host, socket, SHUT_RDWR).unwrap();
        }
        assert_eq!(connecting.join().unwrap(), Err(Errno::CONNREFUSED));
        assert_eq!(sending.join().unwrap(), Err(Errno::PIPE));
    });
}

#[test]
fn what_has_no_packets_has_no_options_of_them() {
    let host = Host::builder().privileged().start().unwrap();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let socket = bsd::socket(&host, AF_UNIX, kind, 0).unwrap();
        for option in [SO_TIMESTAMPING, SO_PRIORITY, SO_MARK, SO_BINDTODEVICE, SO_RXQ_OVFL] {
            let set = bsd::setsockopt(&host, socket, SOL_SOCKET, option, &1i32.to_ne_bytes());
            assert_eq!(set, Err(Errno::NOPROTOOPT), "{kind} {option}");
        }
    }
}

/// SO_SNDBUFFORCE acts on them; on what is charged to its sender another size has no effect, and the program is told so.
#[test]
fn the_buffer_of_local_receivers_is_not_forced() {
    let ordinary = Host::builder().start().unwrap();
    let privileged = Host::builder().privileged().start().unwrap();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for (host, said) in [(&ordinary, Err(Errno::PERM)), (&privileged, Ok(()))] {
            let socket = bsd::socket(host, AF_UNIX, kind, 0).unwrap();
            let set = |option| bsd::setsockopt(host, socket, SOL_SOCKET, option, &1i32.to_ne_bytes());
            assert_eq!(set(bsd::SO_RCVBUFFORCE), Err(Errno::NOPROTOOPT));
            assert_eq!(set(bsd::SO_SNDBUFFORCE), said);
        }
    }
}

#[test]
fn no_signal_tells_of_readiness() {
    let host = Host::builder().start().unwrap();
    let socket = bsd::socket(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    assert_eq!(bsd::fcntl(&host, socket, bsd::F_SETFL, bsd::O_ASYNC), Err(Errno::INVAL));
}
