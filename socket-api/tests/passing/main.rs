//! What messages of local sockets pass to each other, and that nothing stays open, or in memory, that nobody holds.

#[path = "../common/mod.rs"]
mod common;

mod left;
mod rights;
mod rings;

use std::io::{IoSlice, IoSliceMut};

use tapsock::bsd::*;
use tapsock::{Driver, Errno, Host};

/// Room for as many rights as a message carries.
const ROOM: usize = 253 * 4 + 16;

fn host() -> Host {
    Host::builder().start().unwrap()
}

/// A host without a thread: all that it allocates and frees, this thread does.
fn alone() -> Host {
    Host::builder().driver(Driver::External).start().unwrap()
}

fn send_rights(host: &Host, socket: i32, data: &[u8], rights: &[Right<'_>]) -> Result<usize, Errno> {
    let iov = [IoSlice::new(data)];
    sendmsg(host, socket, &SendMessage { iov: &iov, rights, ..SendMessage::default() }, MSG_DONTWAIT)
}

fn receive(host: &Host, socket: i32, control_room: usize, flags: i32) -> Result<ReceivedMessage, Errno> {
    let mut bytes = [0; 64];
    let mut iov = [IoSliceMut::new(&mut bytes)];
    recvmsg(host, socket, &mut RecvMessage { iov: &mut iov, control_room }, flags | MSG_DONTWAIT)
}

/// Passes `what` through `by`, and gives up its own id.
fn give(host: &Host, by: i32, what: i32) {
    assert_eq!(send_rights(host, by, b"x", &[Right::Id(what)]), Ok(1));
    close(host, what).unwrap();
}

/// Whether the peer of `socket` is gone.
fn is_lonely(host: &Host, socket: i32) -> bool {
    let mut fds = [PollFd::new(socket, PollMask::NONE)];
    poll(host, &mut fds, 0).unwrap();
    fds[0].revents.intersects(PollMask::HUP)
}
