//! What a socket sends and receives.

use std::io::{self, IoSlice, IoSliceMut};

use bytes::Bytes;
use tapsock_sockets::constants::*;
use tapsock_stack::buf::Rope;

use super::Socket;
use crate::SockAddr;
use crate::bsd::{self, ReceivedMessage, RecvMessage, SendMessage};
use crate::description::{Kind, unix};
use crate::local::Source;

impl Socket {
    /// Sends `data`, to the peer: send(2). On a stream that waits, all of it.
    ///
    /// # Errors
    /// EPIPE, WouldBlock, EMSGSIZE, EDESTADDRREQ, ENOTCONN, and what came back for earlier data.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with_flags(data, 0)
    }

    /// As [`send`](Socket::send), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP.
    pub fn send_with_flags(&self, data: &[u8], flags: i32) -> io::Result<usize> {
        self.send_parts(&[IoSlice::new(data)], flags, None)
    }

    /// As [`send`](Socket::send), urgent (`MSG_OOB`).
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP where the protocol has no such thing.
    pub fn send_out_of_band(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with_flags(data, MSG_OOB)
    }

    /// As [`send`](Socket::send), to an address.
    ///
    /// # Errors
    /// Those of `send`, and those that come of the address.
    pub fn send_to(&self, data: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.send_to_with_flags(data, address, 0)
    }

    /// As [`send_to`](Socket::send_to), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn send_to_with_flags(&self, data: &[u8], address: &SockAddr, flags: i32) -> io::Result<usize> {
        self.send_parts(&[IoSlice::new(data)], flags, Some(address))
    }

    /// As [`send`](Socket::send), from several places.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_parts(parts, 0, None)
    }

    /// As [`send_to`](Socket::send_to), from several places.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn send_to_vectored(&self, parts: &[IoSlice<'_>], address: &SockAddr) -> io::Result<usize> {
        self.send_parts(parts, 0, Some(address))
    }

    /// As [`send_vectored`](Socket::send_vectored), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send_with_flags`.
    pub fn send_vectored_with_flags(&self, parts: &[IoSlice<'_>], flags: i32) -> io::Result<usize> {
        self.send_parts(parts, flags, None)
    }

    /// As [`send_to_vectored`](Socket::send_to_vectored), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn send_to_vectored_with_flags(
        &self,
        parts: &[IoSlice<'_>],
        address: &SockAddr,
        flags: i32,
    ) -> io::Result<usize> {
        self.send_parts(parts, flags, Some(address))
    }

    /// Sends a message with all that belongs to it, with `MSG_…`: see [`bsd::sendmsg`].
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use tapsock::Host;
    /// use tapsock::bsd::{RecvMessage, SendMessage};
    /// use tapsock::socket::{Domain, Socket, Type};
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = Socket::pair(&host, Domain::UNIX, Type::SEQPACKET, None)?;
    /// let parts = [IoSlice::new(b"one "), IoSlice::new(b"record")];
    /// a.sendmsg(&SendMessage { iov: &parts, ..SendMessage::default() }, 0)?;
    ///
    /// let mut bytes = [0; 16];
    /// let mut message = RecvMessage { iov: &mut [IoSliceMut::new(&mut bytes)], control_room: 0 };
    /// assert_eq!(b.recvmsg(&mut message, 0)?.len, 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`bsd::sendmsg`].
    pub fn sendmsg(&self, message: &SendMessage<'_>, flags: i32) -> io::Result<usize> {
        Ok(bsd::message::send_on(self.host(), &self.description, message, flags | MSG_NOSIGNAL)?)
    }

    fn send_parts(&self, parts: &[IoSlice<'_>], flags: i32, address: Option<&SockAddr>) -> io::Result<usize> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.send_message(*fd, parts, &[], flags | MSG_NOSIGNAL, address)?,
            Kind::Local(local) => {
                let to = address.map(unix).transpose()?;
                local.send_message(Source::several(parts), flags, to, Vec::new(), None)?
            }
        })
    }

    /// As [`send`](Socket::send), without a copy: the bytes are held until they are gone, or acknowledged.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tapsock::Host;
    /// use tapsock::socket::{Domain, Socket, Type};
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = Socket::pair(&host, Domain::UNIX, Type::STREAM, None)?;
    /// let sent = Bytes::from(vec![7; 50_000]);
    /// a.send_bytes(sent.clone())?;
    /// assert_eq!(b.recv_bytes()?.as_ptr(), sent.as_ptr());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP on a local socket that is no stream.
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.send_rope(*fd, Rope::from(data), MSG_NOSIGNAL, None)?,
            Kind::Local(local) => local.send_rope(Rope::from(data))?,
        })
    }

    /// Receives what lies in one piece, without a copy; the next datagram, or what came together. Nothing stands for the
    /// end of a stream. The bytes keep their buffer from being used again: who keeps them for long copies them.
    ///
    /// # Errors
    /// Those of [`recv`](Socket::recv); EOPNOTSUPP on a local socket that is no stream.
    pub fn recv_bytes(&self) -> io::Result<Bytes> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.receive_piece(*fd)?.0,
            Kind::Local(local) => local.receive_piece()?.into_bytes(),
        })
    }

    /// Receives into `into`: recv(2). Nothing stands for the end of a stream.
    ///
    /// # Errors
    /// WouldBlock, ENOTCONN, and what came back for data that was sent.
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, 0)
    }

    /// As [`recv`](Socket::recv), with `MSG_…`. With `MSG_TRUNC` it says how long a datagram was.
    ///
    /// # Errors
    /// Those of `recv`; EOPNOTSUPP, EINVAL.
    pub fn recv_with_flags(&self, into: &mut [u8], flags: i32) -> io::Result<usize> {
        Ok(self.receive(&mut [IoSliceMut::new(into)], flags)?.0)
    }

    /// As [`recv`](Socket::recv), of what is urgent (`MSG_OOB`).
    ///
    /// # Errors
    /// EINVAL where nothing is; EOPNOTSUPP.
    pub fn recv_out_of_band(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, MSG_OOB)
    }

    /// As [`recv`](Socket::recv), and leaves it there (`MSG_PEEK`).
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, MSG_PEEK)
    }

    /// As [`recv`](Socket::recv), into several places.
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn recv_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        Ok(self.receive(into, 0)?.0)
    }

    /// As [`recv`](Socket::recv), with the sender's address: of a datagram. What has none shows [`SockAddr::Unspec`].
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(into, 0)
    }

    /// As [`recv_from`](Socket::recv_from), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn recv_from_with_flags(&self, into: &mut [u8], flags: i32) -> io::Result<(usize, SockAddr)> {
        self.recv_from_vectored_with_flags(&mut [IoSliceMut::new(into)], flags)
    }

    /// As [`recv_from`](Socket::recv_from), and leaves it there (`MSG_PEEK`).
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(into, MSG_PEEK)
    }

    /// The sender of the next datagram, which stays.
    ///
    /// # Errors
    /// Those of [`recv_from`](Socket::recv_from).
    pub fn peek_sender(&self) -> io::Result<SockAddr> {
        Ok(self.peek_from(&mut [0])?.1)
    }

    /// As [`recv_vectored`](Socket::recv_vectored), with `MSG_…`.
    ///
    /// # Errors
    /// Those of [`recv_with_flags`](Socket::recv_with_flags).
    pub fn recv_vectored_with_flags(&self, into: &mut [IoSliceMut<'_>], flags: i32) -> io::Result<usize> {
        Ok(self.receive(into, flags)?.0)
    }

    /// As [`recv_from`](Socket::recv_from), into several places.
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn recv_from_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_vectored_with_flags(into, 0)
    }

    /// As [`recv_from_vectored`](Socket::recv_from_vectored), with `MSG_…`.
    ///
    /// # Errors
    /// Those of [`recv_from_with_flags`](Socket::recv_from_with_flags).
    pub fn recv_from_vectored_with_flags(
        &self,
        into: &mut [IoSliceMut<'_>],
        flags: i32,
    ) -> io::Result<(usize, SockAddr)> {
        let (len, from) = self.receive(into, flags)?;
        Ok((len, from.unwrap_or(SockAddr::Unspec(None))))
    }

    /// Receives a message with all that belongs to it, with `MSG_…`: see [`bsd::recvmsg`].
    ///
    /// # Errors
    /// Those of [`bsd::recvmsg`].
    pub fn recvmsg(&self, message: &mut RecvMessage<'_, '_>, flags: i32) -> io::Result<ReceivedMessage> {
        Ok(bsd::message::receive_on(self.host(), &self.description, message, flags)?)
    }

    fn receive(&self, into: &mut [IoSliceMut<'_>], flags: i32) -> io::Result<(usize, Option<SockAddr>)> {
        let told = |len, full_len| if flags & MSG_TRUNC != 0 { full_len } else { len };
        match self.kind() {
            Kind::Inet(shard, fd) => {
                let received = shard.receive_message(*fd, into, flags)?;
                Ok((told(received.len, received.full_len), received.from))
            }
            Kind::Local(local) => {
                let received = local.receive_parts(into, flags)?;
                Ok((told(received.len, received.full_len), received.from.map(SockAddr::Unix)))
            }
        }
    }
}
