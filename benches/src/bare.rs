//! What the device itself can carry: a near end that speaks just enough TCP for the kernel to send to it, or to take what it
//! sends. It copies no payload, keeps nothing, and neither retransmits nor controls anything, so that no stack is faster.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock_driver::tap::Tap;
use tapsock_driver::{Link, RecvHalf, RecvSlot, SendHalf};
use tapsock_stack::buf::{Chunk, HeaderBlock, Rope};
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::{
    EtherType, EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header, TcpFlags, TcpHeader, TcpOptions,
};

use crate::lab::{Contender, Family, Side, address};
use crate::role::{Order, Outcome, Place, Role, Shape};
use crate::sys;

const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 11, 2]);
const MSS: u16 = 1460;
/// Bytes of a frame's payload: as many whole segments as a packet of 64 KiB holds.
const PAYLOAD: u32 = 44 * MSS as u32;
const SCALE: u8 = 7;
/// What it offers, in bytes shifted right by [`SCALE`]: 4 MiB.
const WINDOW: u16 = 1 << (22 - SCALE);
/// Frames that are written, or read, before it looks for acknowledgements, or sends one.
const TURN: usize = 8;
/// How long it looks before it sleeps.
const LOOK: Duration = Duration::from_micros(100);
/// How long it waits at most for whatever is to happen next.
const PATIENCE: Duration = Duration::from_secs(10);

/// The roles that it plays: bulk over one connection of IPv4.
pub(crate) fn plays(order: &Order) -> bool {
    let connects = matches!(order.place, Place::Connect(SocketAddr::V4(_)));
    order.shape == Shape::default() && connects && matches!(order.role, Role::Source | Role::Sink)
}

/// Does as ordered over `tap`.
pub(crate) fn run(tap: Tap, order: &Order) -> io::Result<Outcome> {
    let Place::Connect(SocketAddr::V4(to)) = order.place else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let cpu = sys::cpu_time();
    let mut wire = Wire::new(tap, to)?;
    wire.connect()?;
    let started = Instant::now();
    let bytes = if order.role == Role::Source { wire.source(order.time)? } else { wire.sink()? };
    let seconds = started.elapsed().as_secs_f64();
    Ok(Outcome { bytes, seconds, cpu: (sys::cpu_time() - cpu).as_secs_f64(), ..Outcome::default() })
}

/// One connection, and the device under it.
struct Wire {
    receive: Box<dyn RecvHalf>,
    send: Box<dyn SendHalf>,
    slot: RecvSlot,
    ours: SocketAddrV4,
    theirs: SocketAddrV4,
    /// The far end's station, as soon as it is known.
    station: EthernetAddress,
    /// The next number to send, the first unacknowledged, and the next expected.
    nxt: u32,
    una: u32,
    expected: u32,
    /// Bytes beyond `una` that the far end takes.
    window: u32,
    scale: u8,
    state: State,
    received: u64,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq, PartialOrd)]
enum State {
    Unknown,
    Opening,
    Open,
    /// The far end has ended its direction.
    Ended,
}

impl Wire {
    fn new(tap: Tap, theirs: SocketAddrV4) -> io::Result<Self> {
        let IpAddr::V4(host) = address(Contender::Device, Side::Near, Family::V4) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (receive, send) = Box::new(tap).split();
        Ok(Wire {
            receive,
            send,
            slot: RecvSlot::new(),
            ours: SocketAddrV4::new(host, 49_152 + theirs.port() % 10_000),
            theirs,
            station: EthernetAddress::BROADCAST,
            nxt: 1,
            una: 1,
            expected: 0,
            window: 0,
            scale: 0,
            state: State::Unknown,
            received: 0,
        })
    }

    /// Finds the far end, and opens the connection.
    fn connect(&mut self) -> io::Result<()> {
        self.ask(ArpOperation::Request, EthernetAddress::default(), *self.theirs.ip())?;
        self.until(|wire| wire.state > State::Unknown)?;
        let options = TcpOptions { mss: Some(MSS), window_scale: Some(SCALE), ..TcpOptions::default() };
        self.segment(TcpFlags::SYN, options, None)?;
        self.nxt += 1;
        self.until(|wire| wire.state > State::Opening)?;
        self.acknowledge()
    }

    /// Sends for `time`, as fast as the far end's window and the device allow.
    fn source(&mut self, time: Duration) -> io::Result<u64> {
        let started = Instant::now();
        let payload = Chunk::from(vec![0x5a; PAYLOAD as usize]);
        let mut sent = 0u64;
        while started.elapsed() < time {
            self.drain(usize::MAX)?;
            self.until(|wire| wire.room() >= PAYLOAD)?;
            for _ in 0..TURN {
                if self.room() < PAYLOAD {
                    break;
                }
                self.segment(TcpFlags::ACK, TcpOptions::default(), Some(&payload))?;
                self.nxt = self.nxt.wrapping_add(PAYLOAD);
                sent += u64::from(PAYLOAD);
            }
        }
        self.end()?;
        Ok(sent)
    }

    /// Receives until the far end ends.
    fn sink(&mut self) -> io::Result<u64> {
        while self.state < State::Ended {
            self.take_some(TURN)?;
            self.acknowledge()?;
        }
        self.end()?;
        Ok(self.received)
    }

    /// Ends this direction, and waits for the end of the other.
    fn end(&mut self) -> io::Result<()> {
        let mut flags = TcpFlags::FIN;
        flags.insert(TcpFlags::ACK);
        self.segment(flags, TcpOptions::default(), None)?;
        self.nxt = self.nxt.wrapping_add(1);
        self.until(|wire| wire.state == State::Ended && wire.una == wire.nxt)?;
        self.acknowledge()
    }

    fn room(&self) -> u32 {
        self.window.saturating_sub(self.nxt.wrapping_sub(self.una))
    }

    /// Takes what comes until `done`.
    fn until(&mut self, done: impl Fn(&Wire) -> bool) -> io::Result<()> {
        while !done(self) {
            self.take_some(usize::MAX)?;
        }
        Ok(())
    }

    /// Takes up to `most` frames, and sleeps until there are some; looks for a while first, since who never sleeps is not
    /// slowed by wake-ups.
    fn take_some(&mut self, most: usize) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < LOOK {
            if self.drain(most)? > 0 {
                return Ok(());
            }
        }
        let fd = self.receive.poll_fd().ok_or(io::ErrorKind::Unsupported)?;
        let time = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&time))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.drain(most).map(drop),
        }
    }

    /// Takes up to `most` frames that are there; returns how many there were.
    fn drain(&mut self, most: usize) -> io::Result<usize> {
        let mut count = 0;
        while count < most {
            match self.receive.receive(&mut self.slot) {
                Ok(frame) => self.take(&frame.bytes)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            count += 1;
        }
        Ok(count)
    }

    fn take(&mut self, frame: &[u8]) -> io::Result<()> {
        let Ok(ethernet) = EthernetHeader::parse(frame) else { return Ok(()) };
        let packet = &frame[EthernetHeader::LEN..];
        if ethernet.ether_type == EtherType::Arp {
            return self.take_arp(packet);
        }
        let Ok(ip) = Ipv4Header::parse(packet) else { return Ok(()) };
        if ethernet.ether_type != EtherType::Ipv4 || ip.protocol != IpProtocol::TCP {
            return Ok(());
        }
        let Ok(tcp) = TcpHeader::parse(&packet[ip.header_len.into()..]) else { return Ok(()) };
        if tcp.destination_port == self.ours.port() {
            let len = usize::from(ip.total_len) - usize::from(ip.header_len) - usize::from(tcp.header_len);
            self.take_segment(&tcp, len as u32)?;
        }
        Ok(())
    }

    fn take_segment(&mut self, tcp: &TcpHeader, len: u32) -> io::Result<()> {
        if tcp.flags.contains(TcpFlags::RST) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.una = tcp.acknowledgment;
        self.window = u32::from(tcp.window) << self.scale;
        if tcp.flags.contains(TcpFlags::SYN) {
            self.expected = tcp.sequence.wrapping_add(1);
            self.scale = tcp.options.window_scale.unwrap_or(0);
            self.state = State::Open;
        } else if tcp.sequence == self.expected {
            self.expected = self.expected.wrapping_add(len);
            self.received += u64::from(len);
            if tcp.flags.contains(TcpFlags::FIN) {
                self.expected = self.expected.wrapping_add(1);
                self.state = State::Ended;
            }
        }
        Ok(())
    }

    fn take_arp(&mut self, packet: &[u8]) -> io::Result<()> {
        let Ok(packet) = ArpPacket::parse(packet) else { return Ok(()) };
        if packet.sender_ip != *self.theirs.ip() {
            return Ok(());
        }
        self.station = packet.sender_hardware;
        if self.state == State::Unknown {
            self.state = State::Opening;
        }
        match packet.operation {
            ArpOperation::Request => self.ask(ArpOperation::Reply, packet.sender_hardware, packet.sender_ip),
            ArpOperation::Reply => Ok(()),
        }
    }

    fn ask(
        &mut self,
        operation: ArpOperation,
        hardware: EthernetAddress,
        target: Ipv4Addr,
    ) -> io::Result<()> {
        let packet = ArpPacket {
            operation,
            sender_hardware: HARDWARE,
            sender_ip: *self.ours.ip(),
            target_hardware: hardware,
            target_ip: target,
        };
        let mut headers = HeaderBlock::new();
        packet.prepend_to(&mut headers);
        self.transmit(headers, EtherType::Arp, None, None)
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        self.segment(TcpFlags::ACK, TcpOptions::default(), None)
    }

    fn segment(&mut self, flags: TcpFlags, options: TcpOptions, payload: Option<&Chunk>) -> io::Result<()> {
        let mut headers = HeaderBlock::new();
        let opens = flags.contains(TcpFlags::SYN);
        let header = TcpHeader {
            source_port: self.ours.port(),
            destination_port: self.theirs.port(),
            sequence: self.nxt,
            acknowledgment: self.expected,
            flags,
            window: if opens { u16::MAX } else { WINDOW },
            options,
            ..TcpHeader::default()
        };
        header.prepend_to(&mut headers);
        let len = headers.len() + payload.map_or(0, |payload| payload.len());
        let addresses = (IpAddr::V4(*self.ours.ip()), IpAddr::V4(*self.theirs.ip()));
        let offset = TcpHeader::CHECKSUM_OFFSET;
        let checksum = PartialChecksum::begin(&mut headers, offset, addresses, IpProtocol::TCP, len);
        let (source, destination) = (*self.ours.ip(), *self.theirs.ip());
        Ipv4Header {
            source,
            destination,
            protocol: IpProtocol::TCP,
            dont_fragment: true,
            ..Ipv4Header::default()
        }
        .prepend_to(len, &mut headers);
        self.transmit(headers, EtherType::Ipv4, Some(checksum), payload)
    }

    fn transmit(
        &mut self,
        mut headers: HeaderBlock,
        ether_type: EtherType,
        checksum: Option<PartialChecksum>,
        payload: Option<&Chunk>,
    ) -> io::Result<()> {
        EthernetHeader { destination: self.station, source: HARDWARE, ether_type }.prepend_to(&mut headers);
        let size = |_: &Chunk| Segmentation { kind: SegmentationKind::Tcp4, size: MSS };
        self.send.transmit(&Transmit {
            headers,
            payload: payload.cloned().map_or_else(Rope::new, Rope::from),
            checksum,
            segmentation: payload.map(size),
        })
    }
}
