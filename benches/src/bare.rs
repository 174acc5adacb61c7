//! What the device itself can carry: a near end that speaks just enough TCP for the kernel to send to it, or to take what it
//! sends. It neither retransmits nor controls anything, and has one thread for all its connections.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock_driver::pool::Pool;
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
use crate::talk::fairness;

const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 11, 2]);
const MSS: u16 = 1460;
/// Bytes of a frame's payload: as many whole segments as a packet of 64 KiB holds.
const PAYLOAD: u32 = 44 * MSS as u32;
/// Bytes that a program has in its hands.
const PROGRAMS: usize = 128 << 10;
const SCALE: u8 = 7;
/// What it offers in all, in bytes, and each connection at the most: what is under way stays within the caches where many send.
const OFFERED: usize = 16 << 20;
const OFFERED_MOST: usize = 4 << 20;
/// A connection is told of what has come after so many bytes, or when there is no more.
const TOLD: u32 = 4 * PAYLOAD;
/// Frames that are written, or read, before it looks for acknowledgements, or sends one.
const TURN: usize = 8;
/// How long it looks before it sleeps.
const LOOK: Duration = Duration::from_micros(100);
/// How long it waits at most for whatever is to happen next.
const PATIENCE: Duration = Duration::from_secs(10);

/// The roles that it plays: bulk over connections of IPv4.
pub(crate) fn plays(order: &Order) -> bool {
    let connects = matches!(order.place, Place::Connect(SocketAddr::V4(_)));
    let shape = Shape { streams: order.shape.streams, ..Shape::default() };
    order.shape == shape && connects && matches!(order.role, Role::Source | Role::Sink)
}

/// What becomes of payload.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    /// The same bytes are sent again and again, and nobody looks at what is received.
    Untouched,
    /// It is copied from a program's hands into a frame's buffer, which is kept until it is acknowledged, or out of one: what
    /// whoever may have to send it again, or has calls that take bytes, can't do without.
    CopiedOnce,
}

/// Does as ordered over `tap`.
pub(crate) fn run(tap: Tap, order: &Order, payload: Payload) -> io::Result<Outcome> {
    let Place::Connect(SocketAddr::V4(to)) = order.place else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let cpu = sys::cpu_time();
    let mut wire = Wire::new(tap, to, order.shape.streams, payload)?;
    wire.connect()?;
    let started = Instant::now();
    let shares = if order.role == Role::Source { wire.source(order.time)? } else { wire.sink()? };
    let seconds = started.elapsed().as_secs_f64();
    let cpu = (sys::cpu_time() - cpu).as_secs_f64();
    let fairness = fairness(&shares.iter().map(|share| *share as f64).collect::<Vec<_>>());
    Ok(Outcome { bytes: shares.iter().sum(), seconds, cpu, fairness, ..Outcome::default() })
}

/// One connection.
struct Flow {
    ours: u16,
    /// The next number to send, the first unacknowledged, the next expected, and up to where the far end was told of it.
    nxt: u32,
    una: u32,
    expected: u32,
    told: u32,
    /// Bytes beyond `una` that the far end takes.
    window: u32,
    scale: u8,
    state: State,
    /// Bytes sent or received.
    moved: u64,
    /// What has been sent and is to be kept until then, with the numbers that follow.
    kept: VecDeque<(u32, Chunk)>,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq, PartialOrd)]
enum State {
    Opening,
    Open,
    /// The far end has ended its direction.
    Ended,
}

impl Flow {
    fn new(ours: u16) -> Self {
        Flow {
            ours,
            nxt: 1,
            una: 1,
            expected: 0,
            told: 0,
            window: 0,
            scale: 0,
            state: State::Opening,
            moved: 0,
            kept: VecDeque::new(),
        }
    }

    fn room(&self) -> u32 {
        self.window.saturating_sub(self.nxt.wrapping_sub(self.una))
    }

    fn untold(&self) -> u32 {
        self.expected.wrapping_sub(self.told)
    }

    fn take(&mut self, tcp: &TcpHeader, len: u32) -> io::Result<()> {
        if tcp.flags.contains(TcpFlags::RST) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.una = tcp.acknowledgment;
        while self.kept.front().is_some_and(|(end, _)| end.wrapping_sub(self.una).cast_signed() <= 0) {
            self.kept.pop_front();
        }
        self.window = u32::from(tcp.window) << self.scale;
        if tcp.flags.contains(TcpFlags::SYN) {
            self.expected = tcp.sequence.wrapping_add(1);
            self.scale = tcp.options.window_scale.unwrap_or(0);
            self.state = State::Open;
        } else if tcp.sequence == self.expected {
            self.expected = self.expected.wrapping_add(len);
            self.moved += u64::from(len);
            if tcp.flags.contains(TcpFlags::FIN) {
                self.expected = self.expected.wrapping_add(1);
                self.state = State::Ended;
            }
        }
        Ok(())
    }
}

/// The connections, and the device under them.
struct Wire {
    receive: Box<dyn RecvHalf>,
    send: Box<dyn SendHalf>,
    slot: RecvSlot,
    host: Ipv4Addr,
    theirs: SocketAddrV4,
    /// The far end's station, as soon as it is known.
    station: Option<EthernetAddress>,
    /// By their ports, which follow one another.
    flows: Vec<Flow>,
    /// What each offers, shifted right by [`SCALE`].
    window: u16,
    payload: Payload,
    pool: Pool,
    /// What the program sends from, or receives into, and the bytes of it that hold what was received last.
    programs: Vec<u8>,
    filled: usize,
}

impl Wire {
    fn new(tap: Tap, theirs: SocketAddrV4, streams: usize, payload: Payload) -> io::Result<Self> {
        let contender = match payload {
            Payload::Untouched => Contender::Device,
            Payload::CopiedOnce => Contender::Copying,
        };
        let IpAddr::V4(host) = address(contender, Side::Near, Family::V4) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (receive, send) = Box::new(tap).split();
        let port = 49_152 + theirs.port() % 10_000;
        Ok(Wire {
            receive,
            send,
            slot: RecvSlot::new(),
            host,
            theirs,
            station: None,
            flows: (port..).take(streams).map(Flow::new).collect(),
            window: ((OFFERED / streams).min(OFFERED_MOST) >> SCALE) as u16,
            payload,
            pool: Pool::new(),
            programs: vec![0x5a; PROGRAMS],
            filled: 0,
        })
    }

    /// Finds the far end, and opens the connections.
    fn connect(&mut self) -> io::Result<()> {
        self.ask(ArpOperation::Request, EthernetAddress::default(), *self.theirs.ip())?;
        self.until(|wire| wire.station.is_some())?;
        for flow in 0..self.flows.len() {
            let options = TcpOptions { mss: Some(MSS), window_scale: Some(SCALE), ..TcpOptions::default() };
            self.segment(flow, TcpFlags::SYN, options, None)?;
            self.flows[flow].nxt += 1;
            self.until(|wire| wire.flows[flow].state > State::Opening)?;
            self.acknowledge(flow)?;
        }
        Ok(())
    }

    /// Sends for `time`, as fast as the far end's windows and the device allow, in turn.
    fn source(&mut self, time: Duration) -> io::Result<Vec<u64>> {
        let started = Instant::now();
        let untouched = Chunk::from(vec![0x5a; PAYLOAD as usize]);
        while started.elapsed() < time {
            self.until(|wire| wire.flows.iter().any(|flow| flow.room() >= PAYLOAD))?;
            for number in 0..self.flows.len() {
                self.drain(usize::MAX)?;
                for _ in 0..TURN {
                    if self.flows[number].room() < PAYLOAD {
                        break;
                    }
                    let payload = match self.payload {
                        Payload::Untouched => untouched.clone(),
                        Payload::CopiedOnce => self.pool.copy_from(&self.programs[..PAYLOAD as usize]),
                    };
                    self.segment(number, TcpFlags::ACK, TcpOptions::default(), Some(&payload))?;
                    let flow = &mut self.flows[number];
                    flow.nxt = flow.nxt.wrapping_add(PAYLOAD);
                    flow.moved += u64::from(PAYLOAD);
                    if self.payload == Payload::CopiedOnce {
                        flow.kept.push_back((flow.nxt, payload));
                    }
                }
            }
        }
        self.end()
    }

    /// Receives until the far end ends.
    fn sink(&mut self) -> io::Result<Vec<u64>> {
        while self.flows.iter().any(|flow| flow.state < State::Ended) {
            let told = if self.take_some(TURN)? < TURN { 1 } else { TOLD };
            for flow in 0..self.flows.len() {
                if self.flows[flow].untold() >= told {
                    self.acknowledge(flow)?;
                }
            }
        }
        self.end()
    }

    /// Ends this direction, and waits for the end of the other. Returns what each has moved.
    fn end(&mut self) -> io::Result<Vec<u64>> {
        let mut flags = TcpFlags::FIN;
        flags.insert(TcpFlags::ACK);
        for number in 0..self.flows.len() {
            self.segment(number, flags, TcpOptions::default(), None)?;
            self.flows[number].nxt = self.flows[number].nxt.wrapping_add(1);
        }
        let is_over = |flow: &Flow| flow.state == State::Ended && flow.una == flow.nxt;
        self.until(|wire| wire.flows.iter().all(is_over))?;
        (0..self.flows.len()).try_for_each(|flow| self.acknowledge(flow))?;
        Ok(self.flows.iter().map(|flow| flow.moved).collect())
    }

    /// Takes what comes until `done`.
    fn until(&mut self, done: impl Fn(&Wire) -> bool) -> io::Result<()> {
        while !done(self) {
            self.take_some(usize::MAX)?;
        }
        Ok(())
    }

    /// Takes up to `most` frames, and sleeps until there are some; looks for a while first, since who never sleeps is not
    /// slowed by wake-ups. Returns how many there were.
    fn take_some(&mut self, most: usize) -> io::Result<usize> {
        let started = Instant::now();
        while started.elapsed() < LOOK {
            let taken = self.drain(most)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        let fd = self.receive.poll_fd().ok_or(io::ErrorKind::Unsupported)?;
        let time = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&time))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.drain(most),
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
        let number = tcp.destination_port.wrapping_sub(self.flows[0].ours);
        if let Some(flow) = self.flows.get_mut(usize::from(number)) {
            let (headers, all) =
                (usize::from(ip.header_len) + usize::from(tcp.header_len), usize::from(ip.total_len));
            flow.take(&tcp, (all - headers) as u32)?;
            if self.payload == Payload::CopiedOnce {
                self.hand_over(&packet[headers..all]);
            }
        }
        Ok(())
    }

    /// Copies what was received into the program's hands.
    fn hand_over(&mut self, payload: &[u8]) {
        if self.filled + payload.len() > self.programs.len() {
            self.filled = 0;
        }
        self.programs[self.filled..][..payload.len()].copy_from_slice(payload);
        self.filled += payload.len();
    }

    fn take_arp(&mut self, packet: &[u8]) -> io::Result<()> {
        let Ok(packet) = ArpPacket::parse(packet) else { return Ok(()) };
        if packet.sender_ip != *self.theirs.ip() {
            return Ok(());
        }
        self.station = Some(packet.sender_hardware);
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
            sender_ip: self.host,
            target_hardware: hardware,
            target_ip: target,
        };
        let mut headers = HeaderBlock::new();
        packet.prepend_to(&mut headers);
        self.transmit(headers, EtherType::Arp, None, None)
    }

    fn acknowledge(&mut self, flow: usize) -> io::Result<()> {
        self.flows[flow].told = self.flows[flow].expected;
        self.segment(flow, TcpFlags::ACK, TcpOptions::default(), None)
    }

    fn segment(
        &mut self,
        flow: usize,
        flags: TcpFlags,
        options: TcpOptions,
        payload: Option<&Chunk>,
    ) -> io::Result<()> {
        let mut headers = HeaderBlock::new();
        let (opens, flow) = (flags.contains(TcpFlags::SYN), &self.flows[flow]);
        let header = TcpHeader {
            source_port: flow.ours,
            destination_port: self.theirs.port(),
            sequence: flow.nxt,
            acknowledgment: flow.expected,
            flags,
            window: if opens { u16::MAX } else { self.window },
            options,
            ..TcpHeader::default()
        };
        header.prepend_to(&mut headers);
        let len = headers.len() + payload.map_or(0, |payload| payload.len());
        let addresses = (IpAddr::V4(self.host), IpAddr::V4(*self.theirs.ip()));
        let offset = TcpHeader::CHECKSUM_OFFSET;
        let checksum = PartialChecksum::begin(&mut headers, offset, addresses, IpProtocol::TCP, len);
        let (source, destination) = (self.host, *self.theirs.ip());
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
        let destination = self.station.unwrap_or(EthernetAddress::BROADCAST);
        EthernetHeader { destination, source: HARDWARE, ether_type }.prepend_to(&mut headers);
        let size = |_: &Chunk| Segmentation { kind: SegmentationKind::Tcp4, size: MSS };
        self.send.transmit(&Transmit {
            headers,
            payload: payload.cloned().map_or_else(Rope::new, Rope::from),
            checksum,
            segmentation: payload.map(size),
        })
    }
}
