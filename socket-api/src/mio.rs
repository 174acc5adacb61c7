//! Sockets as event sources of mio's: `tapsock`'s feature `mio`.
//!
//! Each is registered by its mirror (see [`HasMirror`]), which is made then. As with mio's own types, a socket is to be
//! set not to wait first, and after an event is to be used until it says `WouldBlock`: the next event comes when something
//! has come since.
//!
//! ```
//! use mio::{Events, Interest, Poll, Token};
//! use tapsock::Host;
//! use tapsock::net::{TcpListener, TcpStream};
//!
//! let host = Host::builder().start()?;
//! let mut listener = TcpListener::bind(&host, "127.0.0.1:0")?;
//! listener.set_nonblocking(true)?;
//! let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
//! poll.registry().register(&mut listener, Token(7), Interest::READABLE)?;
//!
//! let client = TcpStream::connect(&host, listener.local_addr()?)?;
//! poll.poll(&mut events, None)?;
//! assert!(events.iter().all(|event| event.token() == Token(7) && event.is_readable()));
//! assert_eq!(listener.accept()?.1, client.local_addr()?);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use ::mio::event::Source;
use ::mio::unix::SourceFd;
use ::mio::{Interest, Registry, Token};

use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::pollable::{HasMirror, Pollable};
use crate::socket::Socket;
use crate::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream};

/// Implements it for types that have a mirror, of which `$fd` makes a number.
macro_rules! source {
    ($([$($generic:tt)*] $type:ty, $fd:expr;)*) => {
        $(impl $($generic)* Source for $type {
            fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
                SourceFd(&$fd(self)?).register(registry, token, interests)
            }

            fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
                SourceFd(&$fd(self)?).reregister(registry, token, interests)
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                SourceFd(&$fd(self)?).deregister(registry)
            }
        })*
    };
}

source! {
    [] Socket, number;
    [] TcpStream, number;
    [] TcpListener, number;
    [] UdpSocket, number;
    [] UnixStream, number;
    [] UnixListener, number;
    [] UnixDatagram, number;
    [] UnixSeqpacket, number;
    [] UnixSeqpacketListener, number;
    [<S: HasMirror>] Pollable<S>, number_of_pollable;
}

/// The number of a socket's mirror. Errors: EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn number(socket: &impl HasMirror) -> io::Result<i32> {
    Ok(socket.poll_fd()?.as_raw_fd())
}

fn number_of_pollable<S: HasMirror>(socket: &Pollable<S>) -> io::Result<i32> {
    Ok(socket.as_fd().as_raw_fd())
}
