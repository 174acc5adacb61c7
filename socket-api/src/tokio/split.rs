//! Streams in halves: by reference for one task, owned for two.

use core::fmt;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::error::Error;
use std::io::{self, IoSlice};
use std::sync::Arc;

use ::tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

/// A stream, as its halves use it.
#[allow(async_fn_in_trait, reason = "it is sealed")]
pub trait Stream: fmt::Debug {
    /// What its addresses are.
    type Address;
    #[doc(hidden)]
    fn poll_read_shared(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
    #[doc(hidden)]
    fn poll_write_shared(&self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    #[doc(hidden)]
    fn poll_ready_shared(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> + Send;
    #[doc(hidden)]
    fn try_read_shared(&self, into: &mut [u8]) -> io::Result<usize>;
    #[doc(hidden)]
    fn try_write_shared(&self, data: &[u8]) -> io::Result<usize>;
    #[doc(hidden)]
    fn peek_shared(&self, into: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    #[doc(hidden)]
    fn end_writing(&self) -> io::Result<()>;
    #[doc(hidden)]
    fn addresses(&self) -> [io::Result<Self::Address>; 2];
}

/// How a half has its stream.
pub trait Share: Deref<Target: Stream> {
    /// Whether the half that writes ends its direction when it is dropped.
    #[doc(hidden)]
    const IS_OWNED: bool;
}

impl<S: Stream> Share for &S {
    const IS_OWNED: bool = false;
}

impl<S: Stream> Share for Arc<S> {
    const IS_OWNED: bool = true;
}

/// The half of a stream that reads.
#[derive(Debug)]
pub struct Reading<P: Share>(P);

/// The half of a stream that writes. Where it is owned, dropping it ends that direction, as `shutdown` does.
#[derive(Debug)]
pub struct Writing<P: Share> {
    stream: Option<P>,
    ends_on_drop: bool,
}

/// Halves of different streams.
#[derive(Debug)]
pub struct ReuniteError<S: Stream>(
    /// What reads.
    pub Reading<Arc<S>>,
    /// What writes.
    pub Writing<Arc<S>>,
);

impl<S: Stream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of different streams")
    }
}

impl<S: Stream> Error for ReuniteError<S> {}

pub(super) fn split<P: Share + Clone>(stream: P) -> (Reading<P>, Writing<P>) {
    (Reading(stream.clone()), Writing { stream: Some(stream), ends_on_drop: P::IS_OWNED })
}

impl<P: Share> Reading<P> {
    /// Waits until the half is ready for something of `interest`, and tells for what.
    ///
    /// # Errors
    /// None.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.poll_ready_shared(interest).await
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// None.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Reads what there is, without waiting.
    ///
    /// # Errors
    /// WouldBlock; ConnectionReset (ECONNRESET).
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read_shared(into)
    }

    /// What the next read would give, left in place.
    ///
    /// # Errors
    /// ConnectionReset (ECONNRESET).
    pub async fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.peek_shared(into).await
    }

    /// The stream's own address.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<<P::Target as Stream>::Address> {
        let [local, _] = self.0.addresses();
        local
    }

    /// The peer's address.
    ///
    /// # Errors
    /// NotConnected (ENOTCONN).
    pub fn peer_addr(&self) -> io::Result<<P::Target as Stream>::Address> {
        let [_, peer] = self.0.addresses();
        peer
    }
}

impl<S: Stream> Reading<Arc<S>> {
    /// The stream again.
    ///
    /// # Errors
    /// Both halves, where they are of different streams.
    pub fn reunite(self, other: Writing<Arc<S>>) -> Result<S, ReuniteError<S>> {
        other.reunite(self)
    }
}

impl<P: Share + Unpin> AsyncRead for Reading<P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_shared(cx, into)
    }
}

impl<P: Share> Writing<P> {
    fn stream(&self) -> &P::Target {
        // It is taken out by what consumes the half.
        self.stream.as_ref().expect("the half is whole")
    }

    /// Waits until the half is ready for something of `interest`, and tells for what.
    ///
    /// # Errors
    /// None.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.stream().poll_ready_shared(interest).await
    }

    /// Waits until there is room to write.
    ///
    /// # Errors
    /// None.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Writes what there is room for, without waiting.
    ///
    /// # Errors
    /// WouldBlock; BrokenPipe (EPIPE), ConnectionReset (ECONNRESET).
    pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        self.stream().try_write_shared(data)
    }

    /// The stream's own address.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<<P::Target as Stream>::Address> {
        let [local, _] = self.stream().addresses();
        local
    }

    /// The peer's address.
    ///
    /// # Errors
    /// NotConnected (ENOTCONN).
    pub fn peer_addr(&self) -> io::Result<<P::Target as Stream>::Address> {
        let [_, peer] = self.stream().addresses();
        peer
    }
}

impl<S: Stream> Writing<Arc<S>> {
    /// The stream again.
    ///
    /// # Errors
    /// Both halves, where they are of different streams.
    pub fn reunite(mut self, other: Reading<Arc<S>>) -> Result<S, ReuniteError<S>> {
        if !core::ptr::eq(self.stream(), &*other.0) {
            return Err(ReuniteError(other, self));
        }
        drop(self.stream.take());
        Ok(Arc::into_inner(other.0).expect("a stream has two halves"))
    }

    /// Drops it without ending the direction.
    pub fn forget(mut self) {
        self.ends_on_drop = false;
    }
}

impl<P: Share> Drop for Writing<P> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| self.ends_on_drop) {
            // The connection may be over already.
            let _ = stream.end_writing();
        }
    }
}

impl<P: Share + Unpin> AsyncWrite for Writing<P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write_shared(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_shared(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.stream().end_writing();
        if ended.is_ok() {
            self.ends_on_drop = false;
        }
        Poll::Ready(ended)
    }
}
