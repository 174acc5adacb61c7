//! The sockets for tokio's tasks: `tapsock`'s feature `tokio`.
//!
//! They have the names and the methods of `tokio::net`, and each takes the [`Host`](crate::Host) that it is of. Tasks are
//! woken by the engine itself, in the thread that brought the change about: there is no descriptor and no thread a
//! socket, and no driver of tokio's, so they work in any executor, and in a runtime without `enable_io`.
//!
//! No task drives the stack while it waits, for that would keep its thread from the others. A call that finds nothing reads
//! the link once, and then it is the host's own thread that drives, or another that blocks in a call of its own; or, with
//! [`Driver::External`](crate::Driver), whoever waits for [`Host::as_fd`](crate::Host::as_fd) and then calls
//! [`Host::turn`](crate::Host::turn), be it a thread or a task.
//!
//! ```
//! use tapsock::Host;
//! use tapsock::tokio::{TcpListener, TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # fn main() -> std::io::Result<()> {
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! runtime.block_on(async {
//!     let host = Host::builder().start()?;
//!     let listener = TcpListener::bind(&host, "127.0.0.1:0").await?;
//!     let mut client = TcpStream::connect(&host, listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!     client.write_all(b"hello").await?;
//!     let mut bytes = [0; 5];
//!     server.read_exact(&mut bytes).await?;
//!     assert_eq!(&bytes, b"hello");
//!     Ok(())
//! })
//! # }
//! ```

mod datagram;
mod io;
mod local;
mod look_up;
mod split;
mod stream;
mod udp;

pub mod tcp;
pub mod unix;

pub use datagram::UnixDatagram;
pub use local::{UnixListener, UnixStream};
pub use stream::{TcpListener, TcpStream};
pub use udp::UdpSocket;

/// Blocking sockets become tasks' sockets, as by `from_std`.
macro_rules! try_from {
    ($($name:ident: $base:ty),* $(,)?) => {
        $(impl TryFrom<$base> for $name {
            type Error = std::io::Error;

            fn try_from(socket: $base) -> std::io::Result<Self> {
                Self::from_std(socket)
            }
        })*
    };
}

try_from! {
    TcpStream: crate::net::TcpStream,
    TcpListener: crate::net::TcpListener,
    UdpSocket: crate::net::UdpSocket,
    UnixStream: crate::unix::UnixStream,
    UnixListener: crate::unix::UnixListener,
    UnixDatagram: crate::unix::UnixDatagram,
}

/// What all have that carry data: readiness, and calls of one's own.
macro_rules! data_methods {
    ($base:ty) => {
        /// Makes it of a blocking one, which is set not to wait. It needs no runtime.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn from_std(socket: $base) -> io::Result<Self> {
            Ok(Self { io: Io::new(socket)? })
        }

        /// The blocking one. It is still set not to wait.
        ///
        /// # Errors
        /// None.
        pub fn into_std(self) -> io::Result<$base> {
            Ok(self.io.into_inner())
        }

        /// Waits until the socket is ready for something of `interest`, and tells for what. An end of the stream and an
        /// error are readiness, too.
        ///
        /// # Errors
        /// None: errors are told by the call that follows.
        pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
            self.io.ready(interest).await
        }

        /// Waits until there is something to receive.
        ///
        /// # Errors
        /// None.
        pub async fn readable(&self) -> io::Result<()> {
            self.io.ready(Interest::READABLE).await.map(drop)
        }

        /// Waits until there is room to send.
        ///
        /// # Errors
        /// None.
        pub async fn writable(&self) -> io::Result<()> {
            self.io.ready(Interest::WRITABLE).await.map(drop)
        }

        /// Does `attempt`, a call on the socket that never waits, and learns from a `WouldBlock` that it is not ready.
        ///
        /// # Errors
        /// Those of `attempt`.
        pub fn try_io<R>(
            &self,
            interest: Interest,
            attempt: impl FnOnce() -> io::Result<R>,
        ) -> io::Result<R> {
            self.io.try_io(direction(interest), |_| attempt())
        }

        /// Does `attempt` again and again until it does not say `WouldBlock`, and waits in between.
        ///
        /// # Errors
        /// Those of `attempt`.
        pub async fn async_io<R>(
            &self,
            interest: Interest,
            mut attempt: impl FnMut() -> io::Result<R>,
        ) -> io::Result<R> {
            self.io.async_io(direction(interest), |_| attempt()).await
        }

        /// The error that happened since it was asked for last (`SO_ERROR`).
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn take_error(&self) -> io::Result<Option<io::Error>> {
            self.io.socket().take_error()
        }
    };
}

/// What datagram sockets have, whose addresses are `$address`.
macro_rules! datagram_methods {
    ($base:ty, $address:ty) => {
        data_methods!($base);

        /// Sends one datagram to the peer; waits while there is no room.
        ///
        /// # Errors
        /// Those of [`send_to`](Self::send_to); without a peer EDESTADDRREQ (UDP) or NotConnected (ENOTCONN, local).
        pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
            self.io.async_io(Direction::Write, |socket| socket.send(data)).await
        }

        /// As [`send`](Self::send), without waiting.
        ///
        /// # Errors
        /// WouldBlock, and those of `send`.
        pub fn try_send(&self, data: &[u8]) -> io::Result<usize> {
            self.io.try_io(Direction::Write, |socket| socket.send(data))
        }

        /// Receives one datagram; what does not fit is lost.
        ///
        /// # Errors
        /// What its peer is the cause of: ConnectionRefused (ECONNREFUSED) where a UDP datagram was refused,
        /// ConnectionReset (ECONNRESET) where a local peer has turned away.
        pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
            self.io.async_io(Direction::Read, |socket| socket.recv(into)).await
        }

        /// As [`recv`](Self::recv), without waiting.
        ///
        /// # Errors
        /// WouldBlock, and those of `recv`.
        pub fn try_recv(&self, into: &mut [u8]) -> io::Result<usize> {
            self.io.try_io(Direction::Read, |socket| socket.recv(into))
        }

        /// Receives one datagram and its sender's address; what does not fit is lost.
        ///
        /// # Errors
        /// Those of [`recv`](Self::recv).
        pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, $address)> {
            self.io.async_io(Direction::Read, |socket| socket.recv_from(into)).await
        }

        /// As [`recv_from`](Self::recv_from), without waiting.
        ///
        /// # Errors
        /// WouldBlock, and those of `recv_from`.
        pub fn try_recv_from(&self, into: &mut [u8]) -> io::Result<(usize, $address)> {
            self.io.try_io(Direction::Read, |socket| socket.recv_from(into))
        }

        /// Waits until there is something to receive. One task at a time, the last that asked.
        ///
        /// # Errors
        /// None.
        pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.io.poll_direction(Direction::Read, cx)
        }

        /// Waits until there is room to send. One task at a time, the last that asked.
        ///
        /// # Errors
        /// None.
        pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.io.poll_direction(Direction::Write, cx)
        }

        /// As [`send`](Self::send). One task at a time, the last that asked.
        ///
        /// # Errors
        /// Those of `send`.
        pub fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.io.poll_io(Direction::Write, cx, |socket| socket.send(data))
        }

        /// As [`recv`](Self::recv). One task at a time, the last that asked.
        ///
        /// # Errors
        /// Those of `recv`.
        pub fn poll_recv(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let room = into.initialize_unfilled();
            let len = ready!(self.io.poll_io(Direction::Read, cx, |socket| socket.recv(room)))?;
            into.advance(len);
            Poll::Ready(Ok(()))
        }

        /// As [`recv_from`](Self::recv_from). One task at a time, the last that asked.
        ///
        /// # Errors
        /// Those of `recv_from`.
        pub fn poll_recv_from(
            &self,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<$address>> {
            let room = into.initialize_unfilled();
            let (len, from) = ready!(self.io.poll_io(Direction::Read, cx, |socket| socket.recv_from(room)))?;
            into.advance(len);
            Poll::Ready(Ok(from))
        }

        /// The socket's own address.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn local_addr(&self) -> io::Result<$address> {
            self.io.socket().local_addr()
        }

        /// The address that it is connected to.
        ///
        /// # Errors
        /// NotConnected (ENOTCONN).
        pub fn peer_addr(&self) -> io::Result<$address> {
            self.io.socket().peer_addr()
        }
    };
}

/// What streams have.
macro_rules! stream_methods {
    ($name:ident, $base:ty, $halves:ident, $address:ty) => {
        impl $name {
            data_methods!($base);

            /// Waits until there is something to read. One task at a time, the last that asked.
            ///
            /// # Errors
            /// None.
            pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.io.poll_direction(Direction::Read, cx)
            }

            /// Waits until there is room to write. One task at a time, the last that asked.
            ///
            /// # Errors
            /// None.
            pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.io.poll_direction(Direction::Write, cx)
            }

            /// Reads what there is, without waiting.
            ///
            /// # Errors
            /// WouldBlock; ConnectionReset (ECONNRESET).
            pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
                self.io.try_io(Direction::Read, |mut socket| socket.read(into))
            }

            /// As [`try_read`](Self::try_read), into several places.
            ///
            /// # Errors
            /// Those of `try_read`.
            pub fn try_read_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.io.try_io(Direction::Read, |mut socket| socket.read_vectored(into))
            }

            /// Writes what there is room for, without waiting.
            ///
            /// # Errors
            /// WouldBlock; BrokenPipe (EPIPE), ConnectionReset (ECONNRESET).
            pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
                self.io.try_io(Direction::Write, |mut socket| socket.write(data))
            }

            /// As [`try_write`](Self::try_write), from several places.
            ///
            /// # Errors
            /// Those of `try_write`.
            pub fn try_write_vectored(&self, data: &[IoSlice<'_>]) -> io::Result<usize> {
                self.io.try_io(Direction::Write, |mut socket| socket.write_vectored(data))
            }

            /// A half that reads and one that writes, for one task.
            pub fn split(&mut self) -> ($halves::ReadHalf<'_>, $halves::WriteHalf<'_>) {
                split(&*self)
            }

            /// A half that reads and one that writes, for a task each. Dropping the one that writes ends that direction.
            pub fn into_split(self) -> ($halves::OwnedReadHalf, $halves::OwnedWriteHalf) {
                split(Arc::new(self))
            }

            /// What the next read would give, left in place.
            ///
            /// # Errors
            /// ConnectionReset (ECONNRESET).
            pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
                self.io.async_io(Direction::Read, |socket| socket.peek(into)).await
            }

            /// The stream's own address.
            ///
            /// # Errors
            /// EBADF after the host was shut down.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.io.socket().local_addr()
            }

            /// The peer's address.
            ///
            /// # Errors
            /// NotConnected (ENOTCONN).
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.io.socket().peer_addr()
            }
        }

        impl Stream for $name {
            type Address = $address;

            fn poll_read_shared(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                if into.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                let room = into.initialize_unfilled();
                let len = ready!(self.io.poll_io(Direction::Read, cx, |mut socket| socket.read(room)))?;
                into.advance(len);
                Poll::Ready(Ok(()))
            }

            fn poll_write_shared(
                &self,
                cx: &mut Context<'_>,
                data: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_io(Direction::Write, cx, |mut socket| match data {
                    [only] => socket.write(only),
                    parts => socket.write_vectored(parts),
                })
            }

            fn poll_ready_shared(
                &self,
                interest: Interest,
            ) -> impl Future<Output = io::Result<Ready>> + Send {
                self.ready(interest)
            }

            fn try_read_shared(&self, into: &mut [u8]) -> io::Result<usize> {
                self.try_read(into)
            }

            fn try_write_shared(&self, data: &[u8]) -> io::Result<usize> {
                self.try_write(data)
            }

            fn peek_shared(&self, into: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.peek(into)
            }

            fn end_writing(&self) -> io::Result<()> {
                match self.io.socket().shutdown(Shutdown::Write) {
                    // As in tokio: that the peer has reset it meanwhile is for reads and writes to tell.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    ended => ended,
                }
            }

            fn addresses(&self) -> [io::Result<$address>; 2] {
                [self.local_addr(), self.peer_addr()]
            }
        }

        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                into: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.poll_read_shared(cx, into)
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_shared(cx, &[IoSlice::new(data)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_shared(cx, data)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.end_writing())
            }
        }
    };
}

use {data_methods, datagram_methods, stream_methods};
