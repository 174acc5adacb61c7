//! Frames read from a capture: pcapng, or the older pcap. Feature `pcapng-read`.

use std::io::{self, Read};

use pcap_parser::pcapng::{EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode};
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use tapsock_stack::wire::offload::Medium;

use super::Direction;

/// The largest block of a capture, in bytes: some times a frame of 64 KiB.
const BLOCK_MAX: usize = 1 << 20;
/// The most interfaces of a capture.
const INTERFACES_MAX: usize = 1024;

/// A frame of a capture. See [`Source`] for an example.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Nanoseconds since 1970.
    pub nanos: u64,
    /// The interface's name.
    pub interface: String,
    /// What the bytes begin with.
    pub medium: Medium,
    /// Which way it went, where that is known; otherwise as if it had come.
    pub direction: Direction,
    /// What was kept of it.
    pub bytes: Vec<u8>,
}

/// A capture that is being read.
///
/// ```
/// use tapsock_driver::pcapng::read::Source;
///
/// // A pcap file with its header and no frame.
/// let mut header = vec![0; 24];
/// header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
/// (header[4], header[6], header[20]) = (2, 4, 1);
/// let mut source = Source::new(Box::new(std::io::Cursor::new(header)))?;
/// assert!(source.next_frame()?.is_none());
/// # std::io::Result::Ok(())
/// ```
pub struct Source {
    reader: Box<dyn PcapReaderIterator + Send>,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Debug)]
struct Interface {
    name: String,
    /// `None`: of a kind that is not understood.
    medium: Option<Medium>,
    /// Units a second.
    resolution: u64,
    /// Seconds to be added.
    offset: i64,
}

impl Source {
    /// Begins to read.
    ///
    /// # Errors
    /// InvalidData where it is no capture, and those of read(2).
    pub fn new(from: Box<dyn Read + Send>) -> io::Result<Source> {
        let reader = create_reader(BLOCK_MAX, from).map_err(|error| match error {
            PcapError::Eof => bad("it is empty"),
            PcapError::ReadError => io::Error::other("it can't be read"),
            _ => bad("it is neither pcapng nor pcap"),
        })?;
        Ok(Source { reader, interfaces: Vec::new() })
    }

    /// The next frame of a kind that is understood; `None` at the end.
    ///
    /// # Errors
    /// InvalidData where what comes is broken, UnexpectedEof where it ends within a block.
    pub fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.reader.next() {
                Ok((len, block)) => {
                    let frame = take(&mut self.interfaces, &block)?;
                    self.reader.consume(len);
                    if frame.is_some() {
                        return Ok(frame);
                    }
                }
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    if !self.refill()? {
                        return Ok(None);
                    }
                }
                Err(PcapError::UnexpectedEof) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(PcapError::BufferTooSmall) => return Err(too_long()),
                Err(_) => return Err(bad("a block is broken")),
            }
        }
    }

    /// Whether there is more.
    fn refill(&mut self) -> io::Result<bool> {
        let before = self.reader.data().len();
        if before >= BLOCK_MAX {
            return Err(too_long());
        }
        self.reader.refill().map_err(|_| io::Error::other("it can't be read"))?;
        match self.reader.data().len() > before {
            true => Ok(true),
            false if before == 0 => Ok(false),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn take(interfaces: &mut Vec<Interface>, block: &PcapBlockOwned<'_>) -> io::Result<Option<Frame>> {
    match block {
        // A section begins anew.
        PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            if interfaces.len() >= INTERFACES_MAX {
                return Err(bad("it has too many interfaces"));
            }
            interfaces.push(described(description));
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface =
                interfaces.get(packet.if_id as usize).ok_or_else(|| bad("a packet has no interface"))?;
            let time = (u64::from(packet.ts_high) << 32) | u64::from(packet.ts_low);
            return Ok(interface.frame(interface.nanos(time), direction(packet), packet.packet_data()));
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let interface = interfaces.first().ok_or_else(|| bad("a packet has no interface"))?;
            return Ok(interface.frame(0, Direction::Received, packet.packet_data()));
        }
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            let medium = medium(header.network);
            *interfaces = vec![Interface { name: String::new(), medium, resolution, offset: 0 }];
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first().ok_or_else(|| bad("a packet has no interface"))?;
            let part = u64::from(packet.ts_usec) * (1_000_000_000 / interface.resolution);
            let nanos = u64::from(packet.ts_sec) * 1_000_000_000 + part;
            return Ok(interface.frame(nanos, Direction::Received, packet.data));
        }
        PcapBlockOwned::NG(_) => {}
    }
    Ok(None)
}

fn described(description: &InterfaceDescriptionBlock<'_>) -> Interface {
    Interface {
        name: description.if_name().and_then(Result::ok).unwrap_or_default().to_owned(),
        medium: medium(description.linktype),
        resolution: description.ts_resolution().filter(|units| *units > 0).unwrap_or(1_000_000),
        offset: description.ts_offset(),
    }
}

/// Which way it went (`epb_flags`).
fn direction(packet: &EnhancedPacketBlock<'_>) -> Direction {
    let flags = packet.options.iter().find(|option| option.code == OptionCode(2));
    match flags.and_then(|option| option.value.first()).map(|bits| bits & 3) {
        Some(2) => Direction::Sent,
        _ => Direction::Received,
    }
}

fn medium(kind: Linktype) -> Option<Medium> {
    // Bare IP has several numbers (tcpdump.org/linktypes.html): RAW, IPV4, IPV6, and RAW as OpenBSD has it.
    match kind.0 {
        1 => Some(Medium::Ethernet),
        101 | 228 | 229 | 12 | 14 => Some(Medium::Ip),
        _ => None,
    }
}

impl Interface {
    fn frame(&self, nanos: u64, direction: Direction, bytes: &[u8]) -> Option<Frame> {
        let medium = self.medium?;
        Some(Frame { nanos, interface: self.name.clone(), medium, direction, bytes: bytes.to_vec() })
    }

    fn nanos(&self, time: u64) -> u64 {
        let nanos = u128::from(time) * 1_000_000_000 / u128::from(self.resolution);
        let offset = i128::from(self.offset) * 1_000_000_000;
        u64::try_from(i128::try_from(nanos).unwrap_or(i128::MAX).saturating_add(offset).max(0))
            .unwrap_or(u64::MAX)
    }
}

fn too_long() -> io::Error {
    bad("a block is longer than any frame")
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of pcapng, whose length stands before and behind it.
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    }

    /// A capture with so many interfaces, of Ethernet.
    fn capture(interfaces: usize) -> Vec<u8> {
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let interface = block(1, &[1, 0, 0, 0, 0, 0, 0, 0]);
        [block(0x0a0d_0d0a, &section), interface.repeat(interfaces)].concat()
    }

    /// A frame of the first interface, which needs no padding.
    fn packet(len: usize) -> Vec<u8> {
        let len = (len as u32).to_le_bytes();
        let head = [&[0; 12][..], &len, &len].concat();
        block(6, &[head, vec![7; u32::from_le_bytes(len) as usize]].concat())
    }

    /// The lengths of the frames, and how it ends.
    fn read(bytes: Vec<u8>) -> (Vec<usize>, io::Result<()>) {
        let mut source = Source::new(Box::new(io::Cursor::new(bytes))).unwrap();
        let mut lengths = Vec::new();
        loop {
            match source.next_frame() {
                Ok(Some(frame)) => lengths.push(frame.bytes.len()),
                Ok(None) => return (lengths, Ok(())),
                Err(error) => return (lengths, Err(error)),
            }
        }
    }

    #[test]
    fn a_capture_has_so_many_interfaces_and_no_more() {
        let (lengths, end) = read([capture(INTERFACES_MAX), packet(60)].concat());
        assert!(lengths == [60] && end.is_ok(), "{end:?}");
        let (_, end) = read(capture(INTERFACES_MAX + 1));
        assert!(end.unwrap_err().to_string().contains("too many interfaces"));
        // A section has its own.
        let two = [capture(INTERFACES_MAX), capture(INTERFACES_MAX), packet(60)].concat();
        assert!(read(two).1.is_ok());
    }

    #[test]
    fn a_block_is_so_long_and_no_longer() {
        // The header of a block and of a packet, and the length behind.
        let most = BLOCK_MAX - 32;
        let (lengths, end) = read([capture(1), packet(most - 1024), packet(60)].concat());
        assert!(lengths == [most - 1024, 60] && end.is_ok(), "{end:?}");
        let (lengths, end) = read([capture(1), packet(60), packet(most + 4), packet(60)].concat());
        assert_eq!(lengths, [60]);
        let error = end.unwrap_err().to_string();
        assert!(error.contains("longer than any frame"), "{error}");
        // One that says so, and ends.
        let lie = [&6u32.to_le_bytes()[..], &u32::MAX.to_le_bytes(), &[0; 100]].concat();
        assert!(read([capture(1), lie].concat()).1.is_err());
    }
}
