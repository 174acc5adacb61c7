//! Segments and errors that somebody else makes up.

use tapsock_stack::tcp::SeqNumber;
use tapsock_stack::wire::icmp::TimeExceededCode;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message, ParameterProblemCode};
use tapsock_stack::wire::{EthernetHeader, TcpFlags, TcpHeader, TcpOptions, Timestamps};

use super::scenario::{Complaint, Forged};
use super::watch::{Direction, Watch, reversed};
use crate::craft::{Family, Path};

/// Bytes between two SACK blocks' numbers, so that small numbers reach all of a flight.
const SACK_STEP: u32 = 97;

/// A segment in the direction `direction`, near to what its receiver expects.
pub(super) fn segment(forged: &Forged, direction: Direction, watch: &Watch) -> TcpHeader {
    let (source, destination) = direction;
    let sender = watch.half(&direction);
    let receiver = watch.half(&reversed(direction));
    let zero = SeqNumber::new(0);
    let expected = receiver.and_then(|half| half.ack).or(sender.map(|half| half.end)).unwrap_or(zero);
    let edge = receiver.and_then(|half| half.edge).filter(|_| forged.seq_from_window);
    let seq = near(edge.unwrap_or(expected), forged.seq);
    let sent = receiver.map_or(zero, |half| half.end);
    let una = sender.and_then(|half| half.ack).unwrap_or(sent);
    let mut options = TcpOptions {
        mss: forged.mss,
        window_scale: forged.scale,
        sack_permitted: forged.mss.is_some(),
        ..TcpOptions::default()
    };
    let stamp = sender.and_then(|half| half.timestamp).unwrap_or(0);
    options.timestamps = forged.timestamp.map(|delta| Timestamps {
        value: stamp.wrapping_add_signed(delta.into()),
        echo: receiver.and_then(|half| half.timestamp).unwrap_or(0),
    });
    for (from, len) in forged.sack.iter().flatten() {
        let left = una + u32::from(*from) * SACK_STEP;
        options.sack.push((left.value(), (left + u32::from(*len)).value()));
    }
    TcpHeader {
        source_port: source.port(),
        destination_port: destination.port(),
        sequence: seq.value(),
        acknowledgment: near(sent, forged.ack).value(),
        flags: TcpFlags(forged.flags),
        window: forged.window,
        urgent_pointer: forged.window,
        options,
        header_len: 0,
    }
}

fn near(number: SeqNumber, delta: i16) -> SeqNumber {
    SeqNumber::new(number.value().wrapping_add_signed(delta.into()))
}

/// An error about `frame`, which host `to` has sent, in the name of host 2.
pub(super) fn complaint(complaint: Complaint, frame: &[u8], to: usize) -> Option<Vec<u8>> {
    let quote = frame.get(EthernetHeader::LEN..)?;
    match quote.first()? >> 4 {
        4 => {
            let message = match complaint {
                Complaint::Unreachable { code } => {
                    Icmpv4Message::DestinationUnreachable { code: icmpv4::UnreachableCode(code % 16), mtu: 0 }
                }
                Complaint::TooBig { mtu } => Icmpv4Message::DestinationUnreachable {
                    code: icmpv4::UnreachableCode::FRAGMENTATION_NEEDED,
                    mtu,
                },
                Complaint::TimeExceeded => Icmpv4Message::TimeExceeded { code: TimeExceededCode::IN_TRANSIT },
                Complaint::ParameterProblem => Icmpv4Message::ParameterProblem { code: 0, pointer: 9 },
            };
            Some(Path::between(2, to, Family::V4).icmpv4(message, &quote[..quote.len().min(60)]))
        }
        6 => {
            let message = match complaint {
                Complaint::Unreachable { code } => {
                    Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode(code % 8) }
                }
                Complaint::TooBig { mtu } => Icmpv6Message::PacketTooBig { mtu: mtu.into() },
                Complaint::TimeExceeded => Icmpv6Message::TimeExceeded { code: TimeExceededCode::IN_TRANSIT },
                Complaint::ParameterProblem => Icmpv6Message::ParameterProblem {
                    code: ParameterProblemCode::ERRONEOUS_FIELD,
                    pointer: 9,
                },
            };
            Some(Path::between(2, to, Family::V6).icmpv6(message, &quote[..quote.len().min(100)]))
        }
        _ => None,
    }
}
