//! Packets, as a script writes them: `< [ect0] S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>`.
//!
//! Sequence numbers are those of the script: each side's first is 0, and the runner adds what the handshake chose.

use std::net::IpAddr;

use super::{Name, Position};

/// A packet that goes to the stack or is expected of it.
///
/// ```
/// use tapsock_conformance::ast::{Action, Body, Direction, IpEcn};
/// use tapsock_conformance::parse;
///
/// let script = parse("s.pkt", "+0 > [ect0] P. 1:1001(1000) ack 1").unwrap();
/// let Action::Packet(packet) = &script.events[0].action else { panic!() };
/// assert_eq!((packet.direction, packet.ip.ecn), (Direction::Outbound, Some(IpEcn::Ect0)));
/// assert!(matches!(&packet.body, Body::Tcp(segment) if segment.sequence.length == 1000));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Where its `<` or `>` stands.
    pub at: Position,
    /// From whom to whom.
    pub direction: Direction,
    /// What it says of the IP header.
    pub ip: IpFields,
    /// What the IP header carries.
    pub body: Body,
}

/// From whom to whom a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: to the stack.
    Inbound,
    /// `>`: from the stack.
    Outbound,
}

/// What a script says of the IP header, in brackets or parentheses: `[ect0, flowlabel 0x10]`. What it doesn't say is
/// left to the default (inbound) or not looked at (outbound).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpFields {
    /// The two ECN bits.
    pub ecn: Option<IpEcn>,
    /// The whole of the type-of-service byte (IPv4), or of the traffic class (IPv6).
    pub tos: Option<u8>,
    /// IPv6's flow label, 20 bits.
    pub flow_label: Option<u32>,
    /// The time to live, or the hop limit.
    pub ttl: Option<u8>,
    /// `src 224.0.0.1`: another sender than the peer. This and what follows are only of packets that the stack gets.
    pub source: Option<IpAddr>,
    /// `dst 192.168.255.255`: another receiver than the stack's own address. The answer is expected as ever.
    pub destination: Option<IpAddr>,
    /// `ipopt 0x1e040000`: a word of options behind IPv4's header.
    pub option_word: Option<u32>,
    /// `ext 0x3c00010400000000`: an extension header of eight bytes behind IPv6's. The first byte is its own number, in place
    /// of what follows it.
    pub extension: Option<u64>,
    /// `part 0:1480`: of what the IP header carries only these bytes come, as a fragment.
    pub part: Option<Part>,
    /// `id 7`: the identification of the packet that a fragment is of; 1 where none is written.
    pub identification: Option<u32>,
    /// `parts 3`: the packet comes in so many fragments. This alone is of packets that the stack sends; where it is not
    /// written, they come whole.
    pub parts: Option<u8>,
    /// `badsum`: the checksum of what the IP header carries is wrong.
    pub wrong_sum: bool,
}

impl IpFields {
    /// Whether the script says nothing.
    pub fn is_empty(&self) -> bool {
        *self == IpFields::default()
    }
}

/// `part 0:1480`: bytes of what an IP header carries; where the first stand is a multiple of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where the first stands.
    pub start: u16,
    /// One past the last's.
    pub end: u16,
}

/// The ECN bits of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpEcn {
    /// `noecn`: 00.
    NoEcn,
    /// `ect0`: 10.
    Ect0,
    /// `ect1`: 01.
    Ect1,
    /// `ect01`: either; only of packets that the stack sends.
    Ect01,
    /// `ce`: 11.
    Ce,
}

/// What the IP header carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram.
    Udp(Udp),
    /// An ICMP message, or an ICMPv6 one where the script runs over IPv6.
    Icmp(Icmp),
}

/// `1234 > 8080`: ports, where a script has more than one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// Ports, if the script gives them.
    pub ports: Option<Ports>,
    /// The flags.
    pub flags: TcpFlags,
    /// Where its payload stands.
    pub sequence: SequenceRange,
    /// The acknowledgement number; `None` where no `ack` is written, then the header has 0.
    pub ack: Option<u32>,
    /// The window field as it stands in the header, unscaled. Always there in inbound segments; where an outbound one
    /// has none, any will do.
    pub window: Option<u16>,
    /// The urgent pointer; 0 where none is written.
    pub urgent: Option<u16>,
    /// The options.
    pub options: TcpOptions,
}

/// The flags of a TCP header.
///
/// ```
/// use tapsock_conformance::ast::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::SYN));
/// assert_eq!(flags.to_string(), "S.");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u16);

impl TcpFlags {
    /// `-`: none.
    pub const NONE: TcpFlags = TcpFlags(0);
    /// `F`.
    pub const FIN: TcpFlags = TcpFlags(1);
    /// `S`.
    pub const SYN: TcpFlags = TcpFlags(1 << 1);
    /// `R`.
    pub const RST: TcpFlags = TcpFlags(1 << 2);
    /// `P`.
    pub const PSH: TcpFlags = TcpFlags(1 << 3);
    /// `.`, after the letters.
    pub const ACK: TcpFlags = TcpFlags(1 << 4);
    /// `U`.
    pub const URG: TcpFlags = TcpFlags(1 << 5);
    /// `E` (RFC 3168 §6.1).
    pub const ECE: TcpFlags = TcpFlags(1 << 6);
    /// `W` (RFC 3168 §6.1).
    pub const CWR: TcpFlags = TcpFlags(1 << 7);
    /// `A` (accurate ECN, RFC 9768 §3.1.1).
    pub const AE: TcpFlags = TcpFlags(1 << 8);

    /// The flags with their letters, in the order in which they are written.
    pub const LETTERS: [(char, TcpFlags); 9] = [
        ('F', TcpFlags::FIN),
        ('S', TcpFlags::SYN),
        ('R', TcpFlags::RST),
        ('P', TcpFlags::PSH),
        ('U', TcpFlags::URG),
        ('E', TcpFlags::ECE),
        ('W', TcpFlags::CWR),
        ('A', TcpFlags::AE),
        ('.', TcpFlags::ACK),
    ];

    /// From the nine low bits of the header's thirteenth and fourteenth byte, as they stand there.
    pub fn from_bits(bits: u16) -> TcpFlags {
        TcpFlags(bits & 0x1ff)
    }

    /// As they stand in the header.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other`'s are set.
    pub fn contains(self, other: TcpFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Without `other`'s.
    #[must_use]
    pub fn without(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 & !other.0)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = TcpFlags;

    fn bitor(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, other: TcpFlags) {
        self.0 |= other.0;
    }
}

/// `1:1001(1000)`. The three agree: `end` is `start` plus `length`, modulo 2³².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceRange {
    /// The sequence number of the first byte.
    pub start: u32,
    /// One past the last byte's.
    pub end: u32,
    /// How many bytes of payload, below 64 KiB; a segment that offloading left whole is one packet.
    pub length: u16,
}

/// The options of a TCP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOptions {
    /// `<...>`: any.
    Any,
    /// These, in this order; none where the script has no angle brackets. They fill whole words of four bytes.
    Listed(Vec<TcpOption>),
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `nop`.
    Nop,
    /// `eol`: the end of the list.
    EndOfList,
    /// `mss 1460`.
    Mss(u16),
    /// `wscale 7` (RFC 7323 §2).
    WindowScale(u8),
    /// `sackOK` (RFC 2018 §2).
    SackPermitted,
    /// `sack 1:1001 2001:3001` (RFC 2018 §3): at least one block, and as many as forty bytes hold.
    Sack(Vec<SackBlock>),
    /// `TS val 100 ecr 200` (RFC 7323 §3).
    Timestamp {
        /// The sender's clock, in the ticks of `--tcp_ts_tick_usecs`.
        value: u32,
        /// What is echoed.
        echo: u32,
    },
    /// `FO`, `FO 3021b9d8`: a cookie, or the request for one (RFC 7413 §4.1.1).
    FastOpen(Vec<u8>),
    /// `FOEXP`, `FOEXP 3021b9d8`: the same by the experimental kind 254 and its magic number 0xF989.
    FastOpenExperimental(Vec<u8>),
    /// `md5 …`: a digest in 32 hexadecimal digits (RFC 2385).
    Md5([u8; 16]),
    /// `ECN e0b 1 ceb 0 e1b 1` (accurate ECN, RFC 9768 §3.2.3): one to three counters, in one of two orders.
    AccEcn(Vec<AccEcnField>),
    /// `hex 0500`: bytes as they are, of an option that is wrong or that nobody knows.
    Bytes(Vec<u8>),
}

impl TcpOption {
    /// How many bytes it has in the header.
    pub fn length(&self) -> usize {
        match self {
            TcpOption::Nop | TcpOption::EndOfList => 1,
            TcpOption::Mss(_) => 4,
            TcpOption::WindowScale(_) => 3,
            TcpOption::SackPermitted => 2,
            TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
            TcpOption::Timestamp { .. } => 10,
            TcpOption::FastOpen(cookie) => 2 + cookie.len(),
            TcpOption::FastOpenExperimental(cookie) => 4 + cookie.len(),
            TcpOption::Md5(_) => 18,
            TcpOption::AccEcn(fields) => 2 + 3 * fields.len(),
            TcpOption::Bytes(bytes) => bytes.len(),
        }
    }
}

/// A block of a `sack` option: sequence numbers of whom the option goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlock {
    /// The first byte's.
    pub left: u32,
    /// One past the last byte's.
    pub right: u32,
}

/// A counter of the accurate ECN option, 24 bits. `e0b` first is kind 172, `e1b` first kind 174; `ceb` stands second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccEcnField {
    /// `e0b`: bytes that came marked ECT(0).
    Ect0(u32),
    /// `e1b`: bytes that came marked ECT(1).
    Ect1(u32),
    /// `ceb`: bytes that came marked CE.
    Ce(u32),
}

/// `udp 1234 > 8080 (1000)`: a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Ports, if the script gives them.
    pub ports: Option<Ports>,
    /// How many bytes of payload.
    pub length: u16,
}

/// `icmp unreachable frag_needed mtu 1200 [1:1461(1460)]`: an ICMP message. Names are those of one family or of both;
/// [`icmp_number`](crate::symbols::icmp_number) has their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type.
    pub kind: Name,
    /// The code; 0 where none is written.
    pub code: Option<Name>,
    /// The next hop's MTU.
    pub mtu: Option<u32>,
    /// The identifier of an echo.
    pub id: Option<u16>,
    /// What of a packet of ours it quotes. Where nothing is written, a TCP segment with sequence number 0 that carries
    /// nothing.
    pub quoted: Option<Quoted>,
}

/// What an ICMP message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// `[1:1461(1460)]`: the headers of a TCP segment that the stack sent.
    Tcp(SequenceRange),
    /// `[udp (1000)]`: the headers of a datagram that the stack sent.
    Udp(u16),
    /// `[raw (56)]`: so many bytes, of an echo.
    Raw(u16),
}
