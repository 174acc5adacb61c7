//! ICMP of both versions: the errors that we send, and what those that we receive mean.

use core::net::{IpAddr, Ipv4Addr};

use crate::buf::{HeaderBlock, Rope};
use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::iface::InterfaceId;
use crate::wire::icmp::{Echo, Extensions};
use crate::wire::icmpv4::{self, Icmpv4Message};
use crate::wire::icmpv6::{self, Icmpv6Message, ParameterProblemCode};
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, icmp};

use super::input::Packet;

/// An error that we send.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// Nobody listens at the port.
    PortUnreachable,
    /// Nobody here speaks the protocol.
    ProtocolUnreachable,
    /// An IPv6 header makes no sense.
    ParameterProblem {
        /// How.
        code: ParameterProblemCode,
        /// Where, in bytes.
        pointer: u32,
    },
    /// An option of an IPv4 header makes no sense.
    OptionProblem {
        /// Where, in bytes.
        pointer: u8,
    },
    /// Not all fragments of the packet came in time.
    ReassemblyTimeExceeded,
    /// The packet may not pass another router.
    TimeExceeded,
    /// There is no way on.
    NoWay(NoWay),
    /// The packet is larger than the next link takes, and must not be cut.
    TooBig {
        /// What it takes, in bytes.
        mtu: u32,
    },
    /// Another router of the link is nearer, or the host is on it. IPv4's; IPv6's is neighbour discovery's.
    Redirect {
        /// The router, or the host.
        gateway: Ipv4Addr,
    },
}

/// Why a packet does not go on.
///
/// ```
/// use tapsock_stack::ip::icmp::{ErrorKind, NoWay};
///
/// assert_eq!(ErrorKind::NoWay(NoWay::Host).icmpv4_type(), 3);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum NoWay {
    /// No route leads there.
    Route,
    /// The host, or the router that leads to it, does not answer.
    Host,
    /// A route says that there is no way.
    Refused,
    /// A route says that it is forbidden.
    Prohibited,
    /// The source means nothing on the link that leads there.
    BeyondScope,
    /// The next hop of a strict source route is on no link of ours.
    SourceRoute,
}

impl NoWay {
    /// As Linux 6.18 has them.
    //= RFC 1812 §5.2.7.1
    const fn code_v4(self) -> icmpv4::UnreachableCode {
        match self {
            NoWay::Route | NoWay::BeyondScope => icmpv4::UnreachableCode::NETWORK,
            NoWay::Host | NoWay::Refused => icmpv4::UnreachableCode::HOST,
            NoWay::Prohibited => icmpv4::UnreachableCode::FILTERED,
            NoWay::SourceRoute => icmpv4::UnreachableCode::SOURCE_ROUTE_FAILED,
        }
    }

    //= RFC 4443 §3.1
    const fn code_v6(self) -> icmpv6::UnreachableCode {
        match self {
            NoWay::Route | NoWay::Refused | NoWay::SourceRoute => icmpv6::UnreachableCode::NO_ROUTE,
            NoWay::Host => icmpv6::UnreachableCode::ADDRESS,
            NoWay::Prohibited => icmpv6::UnreachableCode::PROHIBITED,
            NoWay::BeyondScope => icmpv6::UnreachableCode::BEYOND_SCOPE,
        }
    }
}

impl ErrorKind {
    /// The type of ICMP's message, over IPv4.
    pub const fn icmpv4_type(self) -> u8 {
        match self {
            ErrorKind::PortUnreachable | ErrorKind::ProtocolUnreachable => 3,
            ErrorKind::NoWay(_) | ErrorKind::TooBig { .. } => 3,
            ErrorKind::Redirect { .. } => 5,
            ErrorKind::ReassemblyTimeExceeded | ErrorKind::TimeExceeded => 11,
            ErrorKind::ParameterProblem { .. } | ErrorKind::OptionProblem { .. } => 12,
        }
    }

    /// The same over IPv6.
    pub const fn icmpv6_type(self) -> u8 {
        match self {
            ErrorKind::PortUnreachable | ErrorKind::NoWay(_) => 1,
            ErrorKind::TooBig { .. } => 2,
            ErrorKind::ReassemblyTimeExceeded | ErrorKind::TimeExceeded => 3,
            ErrorKind::ProtocolUnreachable
            | ErrorKind::ParameterProblem { .. }
            | ErrorKind::OptionProblem { .. } => 4,
            ErrorKind::Redirect { .. } => 137,
        }
    }

    /// Whether it is about a packet for somebody else, which did not come to its end here.
    pub const fn is_of_router(self) -> bool {
        matches!(
            self,
            ErrorKind::TimeExceeded
                | ErrorKind::NoWay(_)
                | ErrorKind::TooBig { .. }
                | ErrorKind::Redirect { .. }
        )
    }
}

/// What an error that we received means for a socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// The error for the socket; `None` for a path MTU alone.
    pub error: SocketError,
    /// Whether trying again is in vain.
    pub hardness: Hardness,
    /// What the path takes, in bytes, where the complaint is about that.
    pub mtu: Option<usize>,
    /// Whether a half-open connection is given up for it, as Linux 6.18 does.
    pub ends_half_open: bool,
    /// Whether a router says that it has no way to the host.
    //= RFC 6069 §3
    pub no_way: bool,
    /// The ICMP message's type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// What the path takes, in bytes, or where a header makes no sense.
    pub info: u32,
    /// Whose message it was; `None` for our own.
    pub teller: Option<Teller>,
    /// What it tells beside the packet that it quotes.
    pub extensions: Option<Extensions>,
}

/// The packet that a complaint came in.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Teller {
    /// Who complains.
    pub address: IpAddr,
    /// The address of ours that it came to.
    pub to: IpAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit with which it came.
    pub hop_limit: u8,
    /// TOS or traffic class with which it came.
    pub traffic_class: u8,
}

impl Teller {
    /// This host, which complains as a router would: to its own address, with the precedence of what routers send.
    pub fn ourselves(address: IpAddr) -> Self {
        let (interface, hop_limit) = (InterfaceId::LOOPBACK, 64);
        Teller { address, to: address, interface, hop_limit, traffic_class: INTERNETWORK_CONTROL }
    }

    /// Whoever sent `packet`.
    pub fn of(packet: &Packet) -> Self {
        Teller {
            address: packet.source,
            to: packet.destination,
            interface: packet.interface,
            hop_limit: packet.hop_limit,
            traffic_class: packet.traffic_class,
        }
    }
}

/// The precedence of ICMP errors.
// RFC 1812 §4.3.2.5.
pub(crate) const INTERNETWORK_CONTROL: u8 = 0xc0;

impl Complaint {
    /// The neighbour `target` did not answer: what a router would say of a host that it can't reach.
    pub fn no_neighbor(target: IpAddr) -> Self {
        let (error, hardness) = (SocketError::HostUnreachable, Hardness::Soft);
        // "Host unreachable", and ICMPv6's "address unreachable".
        let (kind, code) = if target.is_ipv4() { (3, 1) } else { (1, 3) };
        let (ends_half_open, no_way) = (target.is_ipv4(), false);
        let (mtu, teller, extensions) = (None, None, None);
        Complaint { error, hardness, mtu, ends_half_open, no_way, kind, code, info: 0, teller, extensions }
    }
}

/// Whether an error is for good (RFC 1122 §4.2.3.9).
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Hardness {
    /// It may pass.
    Soft,
    /// Trying again is in vain.
    Hard,
}

/// Whether `packet` may be answered with an error: it is no error itself, was meant for us alone, and says who sent
/// it. `to_us_alone` is the caller's knowledge of the destination.
//= RFC 1122 §3.2.2
//= RFC 4443 §2.4
//= RFC 1122 §3.2.2 MUST-4
//= RFC 1122 §3.2.2 MUST-5
//= RFC 1122 §3.2.2 MUST-6
//= RFC 1122 §3.2.2 MUST-8
//= RFC 4443 §2.4 MUST-5
pub fn may_answer(packet: &Packet, to_us_alone: bool) -> bool {
    let source_is_one = match packet.source {
        IpAddr::V4(source) => !source.is_unspecified() && !source.is_multicast() && !source.is_broadcast(),
        IpAddr::V6(source) => !source.is_unspecified() && !source.is_multicast(),
    };
    let later = packet.fragment.is_some_and(|fragment| fragment.offset != 0);
    if later && packet.source.is_ipv4() {
        return false;
    }
    let kind = packet.payload.first().copied();
    // Over the other IP these are protocols like any other.
    let is_error = match (packet.protocol, packet.source) {
        (IpProtocol::ICMP, IpAddr::V4(_)) => kind.is_none_or(icmpv4::is_error),
        // Of a first fragment without a header nobody can say: as Linux, its sender is told.
        (IpProtocol::ICMPV6, IpAddr::V6(_)) => kind.map_or(packet.fragment.is_none(), icmpv6::is_error),
        _ => false,
    };
    to_us_alone && source_is_one && !is_error
}

/// The error about `packet`, from the ICMP header on, to be sent from `source` with `options` bytes of IPv4's options.
//= RFC 1122 §3.2.2.1 SHLD-1
//= RFC 1122 §3.2.2.5 SHLD-1
//= RFC 1122 §3.2.2 MUST-2
//= RFC 4443 §2.4 MUST-4
pub fn error(
    kind: ErrorKind,
    packet: &Packet,
    source: IpAddr,
    options: usize,
    counters: &mut Counters,
) -> Option<Transmit> {
    let mut headers = HeaderBlock::new();
    let payload = match (source, packet.source) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let (message, counter) = message_v4(kind)?;
            let quote = icmpv4::quote(&packet.whole, options);
            message.prepend_to(&quote, &mut headers);
            counters.bump(Counter::IcmpOutMsgs);
            counters.bump(counter);
            quote
        }
        (IpAddr::V6(source), IpAddr::V6(to)) => {
            let (message, counter) = message_v6(kind, packet.protocol_offset)?;
            let quote = icmpv6::quote(&packet.whole);
            message.prepend_to(source, to, &quote, &mut headers);
            counters.bump(Counter::Icmp6OutMsgs);
            counters.bump(counter);
            quote
        }
        _ => return None,
    };
    Some(Transmit { headers, payload, checksum: None, segmentation: None })
}

/// IPv4's message of an error, and the counter of it; `None` for what IPv4 does not have.
fn message_v4(kind: ErrorKind) -> Option<(Icmpv4Message, Counter)> {
    let unreachable =
        |code, mtu| (Icmpv4Message::DestinationUnreachable { code, mtu }, Counter::IcmpOutDestUnreachs);
    let exceeded = |code| (Icmpv4Message::TimeExceeded { code }, Counter::IcmpOutTimeExcds);
    Some(match kind {
        ErrorKind::PortUnreachable => unreachable(icmpv4::UnreachableCode::PORT, 0),
        ErrorKind::ProtocolUnreachable => unreachable(icmpv4::UnreachableCode::PROTOCOL, 0),
        ErrorKind::NoWay(why) => unreachable(why.code_v4(), 0),
        //= RFC 1191 §4
        ErrorKind::TooBig { mtu } => {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            unreachable(icmpv4::UnreachableCode::FRAGMENTATION_NEEDED, mtu)
        }
        ErrorKind::ReassemblyTimeExceeded => exceeded(icmp::TimeExceededCode::REASSEMBLY),
        ErrorKind::TimeExceeded => exceeded(icmp::TimeExceededCode::IN_TRANSIT),
        //= RFC 1122 §3.2.2.5
        ErrorKind::OptionProblem { pointer } => {
            (Icmpv4Message::ParameterProblem { code: 0, pointer }, Counter::IcmpOutParmProbs)
        }
        //= RFC 1812 §5.2.7.2
        ErrorKind::Redirect { gateway } => {
            let (kind, code, rest) = (icmpv4::REDIRECT, REDIRECT_FOR_HOST, gateway.octets());
            (Icmpv4Message::Other { kind, code, rest }, Counter::IcmpOutRedirects)
        }
        ErrorKind::ParameterProblem { .. } => return None,
    })
}

/// The same of IPv6. `protocol_at` is where the number of a packet's protocol stands.
fn message_v6(kind: ErrorKind, protocol_at: u32) -> Option<(Icmpv6Message, Counter)> {
    let unreachable = |code| (Icmpv6Message::DestinationUnreachable { code }, Counter::Icmp6OutDestUnreachs);
    let problem =
        |code, pointer| (Icmpv6Message::ParameterProblem { code, pointer }, Counter::Icmp6OutParmProblems);
    let exceeded = |code| (Icmpv6Message::TimeExceeded { code }, Counter::Icmp6OutTimeExcds);
    Some(match kind {
        ErrorKind::PortUnreachable => unreachable(icmpv6::UnreachableCode::PORT),
        ErrorKind::NoWay(why) => unreachable(why.code_v6()),
        ErrorKind::ProtocolUnreachable => problem(ParameterProblemCode::UNKNOWN_NEXT_HEADER, protocol_at),
        ErrorKind::ParameterProblem { code, pointer } => problem(code, pointer),
        //= RFC 4443 §3.2
        ErrorKind::TooBig { mtu } => (Icmpv6Message::PacketTooBig { mtu }, Counter::Icmp6OutPktTooBigs),
        ErrorKind::ReassemblyTimeExceeded => exceeded(icmp::TimeExceededCode::REASSEMBLY),
        //= RFC 4443 §3.3
        ErrorKind::TimeExceeded => exceeded(icmp::TimeExceededCode::IN_TRANSIT),
        ErrorKind::OptionProblem { .. } | ErrorKind::Redirect { .. } => return None,
    })
}

/// Code of a redirect that is about one host.
const REDIRECT_FOR_HOST: u8 = 1;

/// An echo request or reply from the ICMP header on, with `body` behind it.
pub fn echo(
    kind: EchoKind,
    echo: Echo,
    source: IpAddr,
    to: IpAddr,
    body: Rope,
    counters: &mut Counters,
) -> Option<Transmit> {
    let mut headers = HeaderBlock::new();
    match (source, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let (message, counter) = match kind {
                EchoKind::Request => (Icmpv4Message::EchoRequest(echo), Counter::IcmpOutEchos),
                EchoKind::Reply { code } => {
                    let (kind, rest) = (icmpv4::ECHO_REPLY, echo.to_bytes());
                    (Icmpv4Message::Other { kind, code, rest }, Counter::IcmpOutEchoReps)
                }
            };
            message.prepend_to(&body, &mut headers);
            counters.bump(Counter::IcmpOutMsgs);
            counters.bump(counter);
        }
        (IpAddr::V6(source), IpAddr::V6(to)) => {
            let (message, counter) = match kind {
                EchoKind::Request => (Icmpv6Message::EchoRequest(echo), Counter::Icmp6OutEchos),
                EchoKind::Reply { code } => {
                    let (kind, rest) = (icmpv6::ECHO_REPLY, echo.to_bytes());
                    (Icmpv6Message::Other { kind, code, rest }, Counter::Icmp6OutEchoReplies)
                }
            };
            message.prepend_to(source, to, &body, &mut headers);
            counters.bump(Counter::Icmp6OutMsgs);
            counters.bump(counter);
        }
        _ => return None,
    }
    Some(Transmit { headers, payload: body, checksum: None, segmentation: None })
}

/// The answer of IPv4 to a timestamp request, from the ICMP header on: what the request was named and said, and `time`,
/// which is when it came and when this goes.
pub fn timestamp_reply(named: [u8; 4], asked: [u8; 4], time: u32, counters: &mut Counters) -> Transmit {
    let time = time.to_be_bytes();
    let payload = Rope::from([asked, time, time].concat());
    let mut headers = HeaderBlock::new();
    Icmpv4Message::Other { kind: TIMESTAMP_REPLY, code: 0, rest: named }.prepend_to(&payload, &mut headers);
    counters.bump(Counter::IcmpOutMsgs);
    counters.bump(Counter::IcmpOutTimestampReps);
    Transmit { headers, payload, checksum: None, segmentation: None }
}

const TIMESTAMP_REPLY: u8 = 14;

/// Which of the two echo messages.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum EchoKind {
    /// "Answer me."
    Request,
    /// The answer.
    Reply {
        /// Its code.
        code: u8,
    },
}

/// What an ICMP error means, as Linux's `icmp_err_convert` has it. `None` for what is no error, or says nothing.
//= RFC 9293 MUST-55
//= RFC 1122 §3.2.2.1
//= RFC 1122 §3.2.2.1 MUST-1
//= RFC 1122 §3.2.2.4 MUST-1
//= RFC 1122 §3.2.2.5 MUST-1
pub fn complaint_v4(message: &Icmpv4Message) -> Option<Complaint> {
    let soft = Complaint {
        error: SocketError::HostUnreachable,
        hardness: Hardness::Soft,
        mtu: None,
        ends_half_open: true,
        no_way: false,
        kind: 3,
        code: 0,
        info: 0,
        teller: None,
        extensions: None,
    };
    Some(match *message {
        Icmpv4Message::DestinationUnreachable { code, mtu } => {
            let (error, hardness) = unreachable_v4(code.0);
            let mtu = (code.0 == 4).then_some(mtu);
            let info = mtu.unwrap_or(0).into();
            let (mtu, no_way) = (mtu.map(usize::from), code.0 <= 1);
            Complaint { error, hardness, mtu, ends_half_open: no_way, no_way, code: code.0, info, ..soft }
        }
        Icmpv4Message::TimeExceeded { code } => Complaint { kind: 11, code: code.0, ..soft },
        Icmpv4Message::ParameterProblem { code, pointer } => {
            let (error, hardness) = (SocketError::Protocol, Hardness::Hard);
            Complaint { error, hardness, kind: 12, code, info: pointer.into(), ..soft }
        }
        _ => return None,
    })
}

fn unreachable_v4(code: u8) -> (SocketError, Hardness) {
    match code {
        0 | 11 => (SocketError::NetworkUnreachable, Hardness::Soft),
        2 => (SocketError::ProtocolUnreachable, Hardness::Hard),
        3 => (SocketError::ConnectionRefused, Hardness::Hard),
        // Hard for datagrams: the same one again would not come through either.
        4 => (SocketError::MessageTooLong, Hardness::Hard),
        5 => (SocketError::SourceRouteFailed, Hardness::Soft),
        6 | 9 => (SocketError::NetworkUnreachable, Hardness::Hard),
        7 => (SocketError::HostDown, Hardness::Hard),
        8 => (SocketError::HostIsolated, Hardness::Hard),
        10 | 13..=15 => (SocketError::HostUnreachable, Hardness::Hard),
        _ => (SocketError::HostUnreachable, Hardness::Soft),
    }
}

/// The same for ICMPv6, as Linux's `icmpv6_err_convert` has it.
//= RFC 4443 §3.1
//= RFC 4443 §3.1 MUST-3
//= RFC 4443 §3.2 MUST-2
//= RFC 4443 §3.3 MUST-2
//= RFC 4443 §3.4 MUST-2
pub fn complaint_v6(message: &Icmpv6Message) -> Option<Complaint> {
    let soft = Complaint {
        error: SocketError::HostUnreachable,
        hardness: Hardness::Soft,
        mtu: None,
        ends_half_open: false,
        no_way: false,
        kind: 1,
        code: 0,
        info: 0,
        teller: None,
        extensions: None,
    };
    Some(match *message {
        Icmpv6Message::DestinationUnreachable { code } => {
            let (error, hardness) = unreachable_v6(code.0);
            let (ends_half_open, no_way) = (hardness == Hardness::Hard, code.0 == 0);
            Complaint { error, hardness, ends_half_open, no_way, code: code.0, ..soft }
        }
        Icmpv6Message::PacketTooBig { mtu } => {
            let (error, hardness) = (SocketError::MessageTooLong, Hardness::Hard);
            Complaint { error, hardness, mtu: Some(mtu as usize), kind: 2, info: mtu, ..soft }
        }
        Icmpv6Message::TimeExceeded { code } => Complaint { kind: 3, code: code.0, ..soft },
        Icmpv6Message::ParameterProblem { code, pointer } => {
            let (error, hardness) = (SocketError::Protocol, Hardness::Hard);
            Complaint { error, hardness, ends_half_open: true, kind: 4, code: code.0, info: pointer, ..soft }
        }
        // An error that nobody knows goes to who sent what it quotes all the same.
        //= RFC 4443 §2.4 MUST-2
        Icmpv6Message::Other { kind, code, rest } if kind < icmpv6::ECHO_REQUEST => {
            let info = u32::from_be_bytes(rest);
            Complaint { error: SocketError::Protocol, kind, code, info, ..soft }
        }
        _ => return None,
    })
}

fn unreachable_v6(code: u8) -> (SocketError, Hardness) {
    match code {
        0 => (SocketError::NetworkUnreachable, Hardness::Soft),
        1 | 5 | 6 => (SocketError::PermissionDenied, Hardness::Hard),
        2 | 3 => (SocketError::HostUnreachable, Hardness::Soft),
        4 => (SocketError::ConnectionRefused, Hardness::Hard),
        _ => (SocketError::Protocol, Hardness::Hard),
    }
}

/// The bytes that an error quotes: what follows its own header.
pub fn quoted_bytes(payload: &[u8]) -> &[u8] {
    payload.get(icmp::ICMP_HEADER_LEN..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    //= RFC 6069 §3, type=test
    #[test]
    fn what_says_that_there_is_no_way_is_told_from_other_refusals() {
        let v4 = |code| {
            let message =
                Icmpv4Message::DestinationUnreachable { code: icmpv4::UnreachableCode(code), mtu: 0 };
            complaint_v4(&message).is_some_and(|complaint| complaint.no_way)
        };
        let v6 = |code| {
            let message = Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode(code) };
            complaint_v6(&message).is_some_and(|complaint| complaint.no_way)
        };
        assert_eq!((0..16).filter(|code| v4(*code)).collect::<Vec<u8>>(), [0, 1]);
        assert_eq!((0..8).filter(|code| v6(*code)).collect::<Vec<u8>>(), [0]);
    }
}
