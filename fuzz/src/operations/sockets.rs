//! The programs' side: what was written and read on each connection.

use core::net::{IpAddr, SocketAddr};

use tapsock_stack::buf::Rope;
use tapsock_stack::error::SocketError;
use tapsock_stack::stack::{Stack, TcpId};
use tapsock_stack::tcp::connection::{ReadError, Shutdown, WriteError};
use tapsock_stack::time::Instant;

/// A connection with what its program knows of it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: TcpId,
    pub(super) host: usize,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) written: u64,
    pub(super) read: u64,
    /// The peer's end was read.
    pub(super) ended: bool,
    /// The program still holds it.
    pub(super) held: bool,
    /// Its program shut down reading, so that what comes is lost.
    pub(super) deaf: bool,
    pub(super) error: Option<SocketError>,
    /// Whether what is read is what the peer's program wrote. Not where others forge segments.
    pub(super) trusted: bool,
}

impl Socket {
    pub(super) fn new(stack: &Stack, host: usize, id: TcpId) -> Option<Self> {
        Some(Socket {
            id,
            host,
            local: stack.tcp_local(id)?,
            remote: stack.tcp_remote(id)?,
            written: 0,
            read: 0,
            ended: false,
            held: true,
            deaf: false,
            error: None,
            trusted: true,
        })
    }

    /// Whether `other` may be the other end.
    pub(super) fn mirrors(&self, other: &Socket) -> bool {
        (self.local, self.remote) == (other.remote, other.local)
    }

    /// Writes up to `len` bytes of its stream.
    pub(super) fn write(&mut self, stack: &mut Stack, now: Instant, len: usize) {
        let len = len.min(stack.tcp_free_space(self.id));
        let data = Rope::from(stream(self.local, self.remote, self.written, len));
        match stack.tcp_write(now, self.id, data) {
            Ok(count) => {
                assert_eq!(count, len, "there was room");
                self.written += count as u64;
            }
            Err(WriteError::Socket(error)) => self.error = Some(error),
            Err(WriteError::NotConnected | WriteError::BrokenPipe) => {}
        }
    }

    /// Reads up to `max` bytes. Says whether there may be more.
    pub(super) fn read(&mut self, stack: &mut Stack, now: Instant, max: usize) -> bool {
        let readable = stack.tcp(self.id).map_or(0, |connection| connection.readable());
        match stack.tcp_read(now, self.id, max) {
            Ok(data) if data.is_empty() => {
                assert!(readable == 0 || max == 0, "{readable} bytes are not given");
                self.ended |= max > 0;
                false
            }
            Ok(data) => {
                // As on Linux, what comes after reading was shut down can be read.
                assert!(!self.ended || self.deaf, "data behind the end");
                // A read ends at the mark of urgent data, which only forged segments have here.
                assert!(data.len() <= readable.min(max), "more than there is");
                if self.trusted {
                    assert_eq!(data.len(), readable.min(max));
                    let expected = stream(self.remote, self.local, self.read, data.len());
                    assert!(data.to_vec() == expected, "other bytes than were written, at {}", self.read);
                }
                self.read += data.len() as u64;
                true
            }
            Err(ReadError::Socket(error)) => {
                self.error = Some(error);
                false
            }
            Err(ReadError::WouldBlock | ReadError::NotConnected) => false,
        }
    }

    pub(super) fn shutdown(&mut self, stack: &mut Stack, now: Instant, how: Shutdown) {
        let done = stack.tcp_shutdown(now, self.id, how);
        if done.is_ok() && how != Shutdown::Write {
            self.deaf = true;
        }
    }
}

/// What the program at `from` writes to the one at `to`: each stream has bytes of its own at each place.
fn stream(from: SocketAddr, to: SocketAddr, offset: u64, len: usize) -> Vec<u8> {
    let family = match from.ip() {
        IpAddr::V4(_) => 17,
        IpAddr::V6(_) => 91,
    };
    let salt = u64::from(from.port()) * 7 + u64::from(to.port()) * 3 + family;
    (offset..offset + len as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16)).wrapping_add(salt) as u8).collect()
}
