//! The four blocks of a pcapng file that a capture needs, little-endian.
//!
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>

use std::io::{self, Write};

use tapsock_stack::wire::offload::Medium;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;

const OPT_END: u16 = 0;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
/// 10⁻⁹ seconds.
const NANOSECONDS: u8 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;

/// Longest packet that the file's readers have to expect, as tcpdump has it.
const SNAP_LEN: u32 = 262_144;

/// Which way a packet went, by the values of `epb_flags`.
///
/// ```
/// use tapsock_driver::pcapng::Direction;
///
/// assert_eq!(Direction::Sent as u32, 2);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The link delivered it.
    Received = 1,
    /// The link was given it.
    Sent = 2,
}

/// One packet, in pieces.
pub(super) struct PacketBlock<'a> {
    pub(super) interface: u32,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) direction: Direction,
    pub(super) pieces: &'a mut dyn Iterator<Item = &'a [u8]>,
    /// The sum of the pieces' lengths.
    pub(super) len: usize,
}

/// The beginning of a file.
pub(super) fn section_header(application: &str) -> Vec<u8> {
    let mut body = Body::default();
    body.u32(BYTE_ORDER_MAGIC).u16(1).u16(0).u64(u64::MAX); // version 1.0, length unknown
    body.option(SHB_USERAPPL, application.as_bytes()).end().block(SECTION_HEADER)
}

/// Describes the next interface; the first has number 0.
pub(super) fn interface_description(name: &str, medium: Medium) -> Vec<u8> {
    let link_type = match medium {
        Medium::Ethernet => LINKTYPE_ETHERNET,
        Medium::Ip => LINKTYPE_RAW,
    };
    let mut body = Body::default();
    body.u16(link_type).u16(0).u32(SNAP_LEN);
    body.option(IF_NAME, name.as_bytes())
        .option(IF_TSRESOL, &[NANOSECONDS])
        .end()
        .block(INTERFACE_DESCRIPTION)
}

/// Says how many packets an interface saw, and how many of them are missing from the file.
pub(super) fn interface_statistics(interface: u32, time: u64, seen: u64, dropped: u64) -> Vec<u8> {
    let mut body = Body::default();
    body.u32(interface).time(time);
    body.option(ISB_IFRECV, &seen.to_le_bytes()).option(ISB_IFDROP, &dropped.to_le_bytes());
    body.end().block(INTERFACE_STATISTICS)
}

/// Writes a packet whole, without gathering it first.
pub(super) fn write_packet(out: &mut impl Write, packet: PacketBlock<'_>) -> io::Result<()> {
    let padding = packet.len.next_multiple_of(4) - packet.len;
    let mut tail = Body::default();
    tail.raw(&[0; 3][..padding]).option(EPB_FLAGS, &(packet.direction as u32).to_le_bytes()).end();
    let mut head = Body::default();
    head.u32(packet.interface).time(packet.time).u32(packet.len as u32).u32(packet.len as u32);
    let block_len = (12 + head.bytes.len() + packet.len + tail.bytes.len()) as u32;
    out.write_all(&ENHANCED_PACKET.to_le_bytes())?;
    out.write_all(&block_len.to_le_bytes())?;
    out.write_all(&head.bytes)?;
    for piece in packet.pieces {
        out.write_all(piece)?;
    }
    out.write_all(&tail.bytes)?;
    out.write_all(&block_len.to_le_bytes())
}

/// What stands between a block's two lengths.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
}

impl Body {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A timestamp: the upper half first.
    fn time(&mut self, nanos: u64) -> &mut Self {
        self.u32((nanos >> 32) as u32).u32(nanos as u32)
    }

    fn option(&mut self, code: u16, value: &[u8]) -> &mut Self {
        self.u16(code).u16(value.len() as u16).raw(value);
        let padding = value.len().next_multiple_of(4) - value.len();
        self.raw(&[0; 3][..padding])
    }

    fn end(&mut self) -> &mut Self {
        self.u16(OPT_END).u16(0)
    }

    fn block(&self, kind: u32) -> Vec<u8> {
        let len = (12 + self.bytes.len()) as u32;
        let mut block = Vec::with_capacity(len as usize);
        block.extend_from_slice(&kind.to_le_bytes());
        block.extend_from_slice(&len.to_le_bytes());
        block.extend_from_slice(&self.bytes);
        block.extend_from_slice(&len.to_le_bytes());
        block
    }
}
