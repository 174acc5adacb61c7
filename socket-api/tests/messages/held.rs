//! Calls of several steps go on with their socket when its number is given to another, as on Linux, where they hold the
//! file.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::thread;

use tapsock::bsd::*;
use tapsock::{Errno, Host};

use super::common::{PATIENCE, within};
use super::host;

/// More than lies in a socket's queue.
const MUCH: usize = 1 << 20;

/// Begins `call`, which sends `MUCH` and more in several steps, gives its number to another socket meanwhile, and
/// receives: (what the call said, bytes that its own peer got, what is there for the peer of the other).
fn with_another_at_its_number<T: Send + 'static>(
    call: impl FnOnce(&Host, i32) -> Result<T, Errno> + Send + 'static,
) -> (Result<T, Errno>, usize, Result<usize, Errno>) {
    let host = host();
    let [here, there] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let [other, others_peer] = socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    // So it stays open.
    let kept = dup(&host, here).unwrap();
    let caller = thread::spawn({
        let host = host.clone();
        move || call(&host, here)
    });
    let mut bytes = vec![0; MUCH];
    // It has begun, and can't have ended.
    let mut received = recv(&host, there, &mut bytes[..1], 0).unwrap();
    assert_eq!(dup2(&host, other, here), Ok(here));
    let receiver = thread::spawn({
        let host = host.clone();
        move || {
            while let Ok(count @ 1..) = recv(&host, there, &mut bytes, 0) {
                received += count;
            }
            received
        }
    });
    let outcome = caller.join().unwrap();
    shutdown(&host, kept, SHUT_WR).unwrap();
    let strayed = recv(&host, others_peer, &mut [0; 16], MSG_DONTWAIT);
    (outcome, receiver.join().unwrap(), strayed)
}

#[test]
fn sendmmsg_goes_on_with_its_socket() {
    within(PATIENCE, || {
        let outcome = with_another_at_its_number(|host, socket| {
            let much = vec![1; MUCH];
            let iovs = [[IoSlice::new(&much)], [IoSlice::new(b"rest")]];
            let messages = [0, 1].map(|index| SendMessage { iov: &iovs[index], ..SendMessage::default() });
            sendmmsg(host, socket, &messages, 0)
        });
        assert_eq!(outcome, (Ok(vec![MUCH, 4]), MUCH + 4, Err(Errno::AGAIN)));
    });
}

#[test]
fn sendfile_goes_on_with_its_socket() {
    within(PATIENCE, || {
        let outcome = with_another_at_its_number(|host, socket| {
            let zero = File::open("/dev/zero").unwrap();
            sendfile(host, socket, zero.as_fd(), None, MUCH)
        });
        assert_eq!(outcome, (Ok(MUCH), MUCH, Err(Errno::AGAIN)));
    });
}
