//! Frames in words: a line as tcpdump(8) has it, an object of JSON, and filters of them. Feature `print`.
//!
//! Whatever the bytes of a frame are, what is printed of it is no longer than [`text_max`] says.

mod filter;
mod icmp;
mod json;
mod line;
mod packet;

pub use filter::{End, Filter};
pub use line::{ServiceName, Style, text_max};
pub use packet::{Layer, Packet};
