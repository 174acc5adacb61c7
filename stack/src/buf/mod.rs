//! Bytes: the buffer of a frame, a part of it by reference, and queues of such parts.

pub mod frame;
pub mod rope;

pub use frame::{Checksum, Chunk, Frame, FrameBuf, HEADER_BLOCK_LEN, HeaderBlock};
pub use rope::Rope;
