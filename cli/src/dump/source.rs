//! Frames read from a capture: pcapng, or the older pcap.

use std::io::{self, Read};

use pcap_parser::pcapng::{EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode};
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use tapsock_driver::pcapng::Direction;
use tapsock_stack::wire::offload::Medium;

/// The largest block of a capture, in bytes: some times a frame of 64 KiB.
const BLOCK_MAX: usize = 1 << 20;
/// The most interfaces of a capture.
const INTERFACES_MAX: usize = 1024;

/// A frame of a capture.
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
                Err(_) => return Err(bad("a block is broken")),
            }
        }
    }

    /// Whether there is more.
    fn refill(&mut self) -> io::Result<bool> {
        let before = self.reader.data().len();
        if before >= BLOCK_MAX {
            return Err(bad("a block is longer than any frame"));
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

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
