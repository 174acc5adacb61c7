//! UDP: what a socket keeps ([`UdpSocket`]), and which socket a datagram is for ([`UdpTable`]).

mod demux;
mod mailbox;
mod queue;
mod segmentation;
mod socket;

pub use demux::{Arrival, UdpId, UdpTable};
pub use mailbox::Mailbox;
pub(crate) use queue::SendAccount;
pub use segmentation::{MAX_SEGMENTS, SegmentError, segment_size};
pub use socket::{Datagram, Delivery, Merged, OVERHEAD, PortChoice, RecvError, UdpSocket};
