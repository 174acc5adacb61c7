//! The halves of a [`TcpStream`](super::TcpStream).

use std::sync::Arc;

use super::TcpStream;
use super::split::{Reading, Writing};

/// What reads of a stream that was split by reference.
pub type ReadHalf<'a> = Reading<&'a TcpStream>;
/// What writes of a stream that was split by reference.
pub type WriteHalf<'a> = Writing<&'a TcpStream>;
/// What reads of a stream that was split for two tasks.
pub type OwnedReadHalf = Reading<Arc<TcpStream>>;
/// What writes of a stream that was split for two tasks. Dropping it ends that direction, as `shutdown` does.
pub type OwnedWriteHalf = Writing<Arc<TcpStream>>;
/// Halves of different streams.
pub type ReuniteError = super::split::ReuniteError<TcpStream>;
