//! A capture that is known whole before it is written: of a run in virtual time.

use std::io::{self, Write};

use tapsock_stack::wire::offload::Medium;

use super::blocks::{self, Direction, PacketBlock};

/// A packet of a capture that is written at once.
///
/// ```
/// use tapsock_driver::pcapng::{Direction, WholePacket};
///
/// let packet = WholePacket { nanos: 1_000, direction: Direction::Sent, bytes: &[0x45] };
/// assert_eq!(packet.bytes.len(), 1);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct WholePacket<'a> {
    /// Its time, in nanoseconds since 1970.
    pub nanos: u64,
    /// Which way it went.
    pub direction: Direction,
    /// All bytes, from the link's header on.
    pub bytes: &'a [u8],
}

/// Writes a capture of one interface.
///
/// ```
/// use tapsock_driver::pcapng::{Direction, WholePacket, write_whole};
/// use tapsock_stack::wire::offload::Medium;
///
/// let mut file = Vec::new();
/// let packets = [WholePacket { nanos: 0, direction: Direction::Sent, bytes: &[0x45; 20] }];
/// write_whole(&mut file, "tun0", Medium::Ip, &packets)?;
/// assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of write(2).
pub fn write_whole(
    out: &mut impl Write,
    interface: &str,
    medium: Medium,
    packets: &[WholePacket<'_>],
) -> io::Result<()> {
    out.write_all(&blocks::section_header(concat!("tapsock ", env!("CARGO_PKG_VERSION"))))?;
    out.write_all(&blocks::interface_description(interface, medium))?;
    for packet in packets {
        let block = PacketBlock {
            interface: 0,
            time: packet.nanos,
            direction: packet.direction,
            pieces: &mut std::iter::once(packet.bytes),
            len: packet.bytes.len(),
        };
        blocks::write_packet(out, block)?;
    }
    out.flush()
}
