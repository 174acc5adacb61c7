//! What went over the wire: a hash over all of it, and the last frames as lines in the manner of tcpdump.

use core::fmt;
use core::hash::Hasher as _;
use core::net::{IpAddr, SocketAddr};
use std::collections::{HashMap, VecDeque};

use siphasher::sip::SipHasher13;
use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::offload::Medium;
use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};

use crate::packet::{IpPacket, Network, Packet, TcpPacket, Transport};

/// Frames kept to be printed when a run fails.
pub const TAIL: usize = 50;

/// Connections whose initial sequence numbers are kept, so that lines show relative numbers.
const MAX_CONNECTIONS: usize = 65_536;

/// What happened to a frame.
///
/// ```
/// use tapsock_sim::trace::{Event, Trace};
/// use tapsock_stack::{buf::Frame, time::Instant, wire::offload::Medium};
///
/// let mut trace = Trace::new(Medium::Ip);
/// trace.record(Instant::ZERO, "loss", Event::Dropped, &Frame::from(vec![0; 20]));
/// assert_eq!(trace.to_string(), "0.000000 loss x malformed, length 20\n");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A host sent it.
    Sent,
    /// A host received it.
    Received,
    /// An element dropped it, or nobody was plugged in.
    Dropped,
}

/// The trace of a run: every frame that a host sent or received and every one that was dropped.
///
/// Two runs with the same seed have the same [`Trace::hash`].
///
/// ```
/// use tapsock_sim::trace::{Event, Trace};
/// use tapsock_stack::{buf::Frame, time::Instant, wire::offload::Medium};
///
/// let mut trace = Trace::new(Medium::Ip);
/// trace.record(Instant::from_millis(5), "client", Event::Sent, &Frame::from(vec![0; 20]));
/// assert_eq!(trace.frames(), 1);
/// assert!(trace.to_string().starts_with("0.005000 client >"));
/// ```
pub struct Trace {
    medium: Medium,
    hash: SipHasher13,
    frames: u64,
    tail: VecDeque<Record>,
    isns: HashMap<(SocketAddr, SocketAddr), u32>,
    echo: Echo,
}

/// Whether lines are printed as they come.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Echo {
    /// Only the last, and only after a failure.
    Quiet,
    /// All, to standard error.
    Aloud,
}

struct Record {
    at: Instant,
    name: String,
    event: Event,
    frame: Frame,
}

impl Trace {
    /// An empty trace of frames that begin as `medium` says. With `TAPSOCK_SIM_TRACE` in the environment it prints
    /// as it goes.
    pub fn new(medium: Medium) -> Self {
        let echo = match std::env::var_os("TAPSOCK_SIM_TRACE") {
            Some(_) => Echo::Aloud,
            None => Echo::Quiet,
        };
        Trace {
            medium,
            hash: SipHasher13::new(),
            frames: 0,
            tail: VecDeque::with_capacity(TAIL),
            isns: HashMap::new(),
            echo,
        }
    }

    /// Adds a frame that the node `name` sent, received or dropped.
    pub fn record(&mut self, at: Instant, name: &str, event: Event, frame: &Frame) {
        self.frames += 1;
        self.hash.write_u64(at.as_nanos());
        self.hash.write(name.as_bytes());
        self.hash.write_u8(event as u8);
        self.hash.write_u8(frame.checksum as u8);
        self.hash.write_u16(frame.gso_size.unwrap_or(0));
        self.hash.write(&frame.bytes);
        if event == Event::Sent {
            self.note_isn(frame);
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        let record = Record { at, name: name.into(), event, frame: frame.clone() };
        if self.echo == Echo::Aloud {
            eprintln!("{}", self.line(&record));
        }
        self.tail.push_back(record);
    }

    /// How many frames were recorded.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// A hash over all records so far: times, names, bytes.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// SYNs are at the start of a connection and rare: only they are parsed here, by a look at one byte first.
    fn note_isn(&mut self, frame: &Frame) {
        if frame.bytes.len() > 128 || self.isns.len() >= MAX_CONNECTIONS {
            return;
        }
        let packet = Packet::parse(&frame.bytes, self.medium);
        if let (true, Some(ends), Some(tcp)) = (packet.is_syn(), packet.tcp_ends(), packet.tcp()) {
            self.isns.insert(ends, tcp.header.sequence);
        }
    }

    fn line(&self, record: &Record) -> String {
        let nanos = record.at.as_nanos();
        let (secs, micros) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000);
        let sign = match record.event {
            Event::Sent => ">",
            Event::Received => "<",
            Event::Dropped => "x",
        };
        let gso = record.frame.gso_size.map_or(String::new(), |size| format!(", gso {size}"));
        let checksum = match record.frame.checksum {
            Checksum::Valid => ", csum offloaded",
            Checksum::Invalid => ", csum wrong",
            Checksum::Unverified => "",
        };
        format!("{secs}.{micros:06} {} {sign} {}{gso}{checksum}", record.name, self.describe(&record.frame))
    }

    fn describe(&self, frame: &Frame) -> String {
        let packet = Packet::parse(&frame.bytes, self.medium);
        let len = frame.bytes.len();
        match &packet.network {
            Network::Ip(ip) => match (packet.tcp_ends(), packet.tcp()) {
                (Some(ends), Some(tcp)) => self.describe_tcp(ends, tcp),
                _ => describe_ip(ip, &frame.bytes),
            },
            Network::Arp(offset) => describe_arp(frame.bytes.get(*offset..).unwrap_or_default()),
            Network::Other => format!("ethertype unknown, length {len}"),
            Network::Malformed => format!("malformed, length {len}"),
        }
    }

    fn describe_tcp(&self, ends: (SocketAddr, SocketAddr), tcp: &TcpPacket) -> String {
        let header = &tcp.header;
        let base = self.isns.get(&ends).copied().unwrap_or(0);
        let peer_base = self.isns.get(&(ends.1, ends.0)).copied().unwrap_or(0);
        let sequence = header.sequence.wrapping_sub(base);
        let mut line = format!(
            "{} {}.{} > {}.{}: Flags [{}], seq {sequence}",
            family(ends.0.ip()),
            ends.0.ip(),
            ends.0.port(),
            ends.1.ip(),
            ends.1.port(),
            flag_letters(header.flags)
        );
        if tcp.sequence_len() > 0 {
            line += &format!(":{}", sequence.wrapping_add(tcp.sequence_len()));
        }
        if header.flags.contains(TcpFlags::ACK) {
            line += &format!(", ack {}", header.acknowledgment.wrapping_sub(peer_base));
        }
        let (window, options, len) = (header.window, describe_options(header, peer_base), tcp.payload.len());
        line + &format!(", win {window}{options}, length {len}")
    }
}

impl fmt::Display for Trace {
    /// The last frames, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tail.iter().try_for_each(|record| writeln!(f, "{}", self.line(record)))
    }
}

fn flag_letters(flags: TcpFlags) -> String {
    const LETTERS: [(TcpFlags, char); 8] = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::URG, 'U'),
        (TcpFlags::ECE, 'E'),
        (TcpFlags::CWR, 'W'),
        (TcpFlags::ACK, '.'),
    ];
    LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect()
}

fn describe_options(header: &TcpHeader, peer_base: u32) -> String {
    let options = &header.options;
    let mut words = Vec::new();
    words.extend(options.mss.map(|mss| format!("mss {mss}")));
    words.extend(options.sack_permitted.then(|| "sackOK".to_string()));
    words.extend(options.timestamps.map(|ts| format!("TS val {} ecr {}", ts.value, ts.echo)));
    words.extend(options.window_scale.map(|scale| format!("wscale {scale}")));
    words.extend(options.sack.iter().map(|&(left, right)| {
        format!("sack {{{}:{}}}", left.wrapping_sub(peer_base), right.wrapping_sub(peer_base))
    }));
    match words.is_empty() {
        true => String::new(),
        false => format!(", options [{}]", words.join(",")),
    }
}

fn describe_ip(ip: &IpPacket, bytes: &[u8]) -> String {
    let (family, source, destination) = (family(ip.source), ip.source, ip.destination);
    let transport = bytes.get(ip.transport_range.clone()).unwrap_or_default();
    let len = transport.len();
    let what = match &ip.transport {
        Transport::Udp(udp) => {
            let (from, to) = (udp.source_port, udp.destination_port);
            return format!(
                "{family} {source}.{from} > {destination}.{to}: UDP, length {}",
                len.saturating_sub(8)
            );
        }
        Transport::Other if matches!(ip.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6) => {
            let [kind, code] = *transport.first_chunk().unwrap_or(&[0, 0]);
            format!("{}, code {code}", icmp_name(ip.protocol, kind))
        }
        Transport::Fragment => format!("fragment of {}", ip.protocol),
        Transport::Tcp(_) | Transport::Malformed => format!("malformed {}", ip.protocol),
        Transport::Other => ip.protocol.to_string(),
    };
    format!("{family} {source} > {destination}: {what}, length {len}")
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP",
        IpAddr::V6(_) => "IP6",
    }
}

fn describe_arp(bytes: &[u8]) -> String {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        operation,
        _,
        _,
        _,
        _,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        _,
        _,
        _,
        _,
        _,
        _,
        t0,
        t1,
        t2,
        t3,
        ..,
    ] = *bytes
    else {
        return "ARP, truncated".into();
    };
    match operation {
        1 => format!("ARP, Request who-has {t0}.{t1}.{t2}.{t3} tell {s0}.{s1}.{s2}.{s3}"),
        2 => format!("ARP, Reply {s0}.{s1}.{s2}.{s3} is here"),
        other => format!("ARP, operation {other}"),
    }
}

fn icmp_name(protocol: IpProtocol, kind: u8) -> String {
    let name = match (protocol, kind) {
        (IpProtocol::ICMP, 0) | (IpProtocol::ICMPV6, 129) => "echo reply",
        (IpProtocol::ICMP, 8) | (IpProtocol::ICMPV6, 128) => "echo request",
        (IpProtocol::ICMP, 3) | (IpProtocol::ICMPV6, 1) => "unreachable",
        (IpProtocol::ICMPV6, 2) => "packet too big",
        (IpProtocol::ICMP, 11) | (IpProtocol::ICMPV6, 3) => "time exceeded",
        (IpProtocol::ICMPV6, 135) => "neighbor solicitation",
        (IpProtocol::ICMPV6, 136) => "neighbor advertisement",
        _ => return format!("ICMP type {kind}"),
    };
    format!("ICMP {name}")
}
