//! The links of tapsock: how frames get from a device to the protocol core and back.
//!
//! A [`Link`] comes apart into a [`RecvHalf`] and a [`SendHalf`], neither of which ever blocks:
//!
//! | link | to | offloads |
//! |---|---|---|
//! | [`tap::Tap`] | the kernel, through /dev/net/tun | 64 KiB frames, partial checksums |
//! | [`packet::PacketLink`] | the kernel, through a veth pair | the same |
//! | [`unix::UnixLink`] | another process, slirp4netns | as both ends agree |
//! | [`stream::StreamLink`] | passt, QEMU | none |
//! | [`memory::MemoryLink`], [`memory::MemoryPort`] | other stacks of this process | the same |
//!
//! [`Namespace`] makes a network that an ordinary user may do with as root may; [`auto`] picks the best link that
//! this process may use; [`pcapng::Capture`] writes down what passes over any of them.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod auto;
pub mod drops;
mod error;
mod gather;
mod kernel_end;
pub mod link;
pub mod memory;
pub mod namespace;
pub mod packet;
pub mod pcapng;
#[cfg(feature = "tun-tap")]
mod plain;
pub mod pool;
#[cfg(feature = "print")]
pub mod print;
mod rtnl;
pub mod stream;
mod sys;
pub mod tap;
pub mod unix;
pub mod usernet;

pub use drops::{DropReason, LinkDrops};
pub use error::OpenError;
pub use kernel_end::{IPV6_MIN_MTU, KernelEnd, KernelRoute};
pub use link::{Link, RecvHalf, RecvSlot, SendHalf};
pub use namespace::Namespace;
pub use rtnl::Device;
pub use sys::with_signals_blocked;
