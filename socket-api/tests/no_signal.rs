//! MSG_NOSIGNAL: no call here ends the program, with it or without it, and the kernel's do without.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use rustix::net::SendFlags;
use tapsock::bsd::{self, AF_INET, AF_UNIX, MSG_NOSIGNAL, SHUT_WR, SOCK_SEQPACKET, SOCK_STREAM};
use tapsock::{Errno, Host, SockAddr};

/// Two ends, of which the first may send no more.
fn shut(host: &Host, domain: i32, kind: i32) -> [i32; 2] {
    let pair = if domain == AF_UNIX {
        bsd::socketpair(host, domain, kind, 0).unwrap()
    } else {
        let listener = bsd::socket(host, domain, kind, 0).unwrap();
        bsd::bind(host, listener, &SockAddr::V4("127.0.0.1:0".parse().unwrap())).unwrap();
        bsd::listen(host, listener, 1).unwrap();
        let client = bsd::socket(host, domain, kind, 0).unwrap();
        bsd::connect(host, client, &bsd::getsockname(host, listener).unwrap()).unwrap();
        [client, bsd::accept(host, listener).unwrap().0]
    };
    bsd::shutdown(host, pair[0], SHUT_WR).unwrap();
    pair
}

#[test]
fn a_send_that_comes_too_late_raises_no_signal() {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGPIPE as i32, raised.clone()).unwrap();
    let is_raised = || raised.swap(false, Ordering::SeqCst);

    // So does the kernel's.
    let (near, _far) = UnixStream::pair().unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    for (flags, signal) in [(SendFlags::empty(), true), (SendFlags::NOSIGNAL, false)] {
        assert_eq!(rustix::net::send(&near, b"x", flags), Err(Errno::PIPE));
        assert_eq!(is_raised(), signal);
    }

    let host = Host::builder().start().unwrap();
    for (domain, kind) in [(AF_INET, SOCK_STREAM), (AF_UNIX, SOCK_STREAM), (AF_UNIX, SOCK_SEQPACKET)] {
        let [near, _far] = shut(&host, domain, kind);
        for flags in [0, MSG_NOSIGNAL] {
            assert_eq!(bsd::send(&host, near, b"x", flags), Err(Errno::PIPE), "{domain} {kind}");
            assert!(!is_raised());
        }
        assert_eq!(bsd::write(&host, near, b"x"), Err(Errno::PIPE));
        assert!(!is_raised());
    }
}
