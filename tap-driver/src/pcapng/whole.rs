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
    let mut writer = PacketWriter::new(out);
    writer.interface(interface, medium)?;
    packets.iter().try_for_each(|packet| writer.write(interface, medium, packet))?;
    writer.finish()
}

/// Writes a capture packet by packet.
///
/// ```
/// use tapsock_driver::pcapng::{Direction, PacketWriter, WholePacket};
/// use tapsock_stack::wire::offload::Medium;
///
/// let mut file = Vec::new();
/// let mut writer = PacketWriter::new(&mut file);
/// let packet = WholePacket { nanos: 0, direction: Direction::Sent, bytes: &[0x45; 20] };
/// writer.write("tun0", Medium::Ip, &packet)?;
/// writer.finish()?;
/// assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct PacketWriter<W> {
    out: W,
    /// Those that were described, in the order of their numbers.
    interfaces: Vec<(String, Medium)>,
    begun: bool,
}

impl<W: Write> PacketWriter<W> {
    /// Writes to `out`, which should collect what it is given.
    pub fn new(out: W) -> Self {
        PacketWriter { out, interfaces: Vec::new(), begun: false }
    }

    /// Writes a packet of an interface.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub fn write(&mut self, interface: &str, medium: Medium, packet: &WholePacket<'_>) -> io::Result<()> {
        let block = PacketBlock {
            interface: self.interface(interface, medium)?,
            time: packet.nanos,
            direction: packet.direction,
            pieces: &mut std::iter::once(packet.bytes),
            len: packet.bytes.len(),
        };
        blocks::write_packet(&mut self.out, block)
    }

    /// Writes what is held back. A capture without packets has its beginning nevertheless.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub fn finish(mut self) -> io::Result<()> {
        self.begin()?;
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.out.write_all(&blocks::section_header(concat!("tapsock ", env!("CARGO_PKG_VERSION"))))?;
        }
        Ok(())
    }

    /// The number of an interface, which is described where it is new.
    fn interface(&mut self, name: &str, medium: Medium) -> io::Result<u32> {
        let known = self.interfaces.iter().position(|(known, its)| known == name && *its == medium);
        if let Some(number) = known {
            return Ok(number as u32);
        }
        self.begin()?;
        self.out.write_all(&blocks::interface_description(name, medium))?;
        self.interfaces.push((name.to_owned(), medium));
        Ok(self.interfaces.len() as u32 - 1)
    }
}
