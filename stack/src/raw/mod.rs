//! Raw sockets: what one keeps ([`RawSocket`]), which of them a packet is for ([`RawTable`]), and packets that their
//! senders wrote themselves.

mod packet;
mod socket;
mod table;

pub(crate) use packet::{checksummed, with_header_v4, with_header_v6};
pub use socket::{Headers, RawSocket, TypeFilter};
pub use table::{RawId, RawTable};
