//! The halves of a [`UnixStream`](super::UnixStream).

use std::sync::Arc;

use super::UnixStream;
use super::split::{Reading, Writing};

/// What reads of a stream that was split by reference.
pub type ReadHalf<'a> = Reading<&'a UnixStream>;
/// What writes of a stream that was split by reference.
pub type WriteHalf<'a> = Writing<&'a UnixStream>;
/// What reads of a stream that was split for two tasks.
pub type OwnedReadHalf = Reading<Arc<UnixStream>>;
/// What writes of a stream that was split for two tasks. Dropping it ends that direction, as `shutdown` does.
pub type OwnedWriteHalf = Writing<Arc<UnixStream>>;
/// Halves of different streams.
pub type ReuniteError = super::split::ReuniteError<UnixStream>;
