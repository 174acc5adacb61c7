//! What a receiver asks to be told beside the data.

use super::{Domain, Subject};
use crate::constants::*;

/// A set of such things.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Told(u16);

impl Told {
    /// SO_TIMESTAMP.
    pub(crate) const STAMP: Told = Told(1);
    /// SO_TIMESTAMPNS.
    pub(crate) const STAMP_NANOS: Told = Told(1 << 1);
    /// SO_RXQ_OVFL.
    pub(crate) const OVERFLOW: Told = Told(1 << 2);
    /// IP_PKTINFO.
    pub(crate) const PACKET_INFO: Told = Told(1 << 3);
    /// IP_RECVTTL.
    pub(crate) const TTL: Told = Told(1 << 4);
    /// IP_RECVTOS.
    pub(crate) const TOS: Told = Told(1 << 5);
    /// IP_RECVORIGDSTADDR.
    pub(crate) const DESTINATION: Told = Told(1 << 6);
    /// IP_RECVOPTS.
    pub(crate) const OPTIONS: Told = Told(1 << 14);
    /// IP_RETOPTS.
    pub(crate) const RETURN_OPTIONS: Told = Told(1 << 15);
    /// IPV6_RECVPKTINFO.
    pub(crate) const PACKET_INFO6: Told = Told(1 << 7);
    /// IPV6_RECVHOPLIMIT.
    pub(crate) const HOP_LIMIT: Told = Told(1 << 8);
    /// IPV6_RECVTCLASS.
    pub(crate) const TRAFFIC_CLASS: Told = Told(1 << 9);
    /// IPV6_RECVPATHMTU.
    pub(crate) const NARROW_PATH: Told = Told(1 << 11);
    /// IPV6_FLOWINFO.
    pub(crate) const FLOW: Told = Told(1 << 13);
    /// TCP_INQ.
    pub(crate) const UNREAD: Told = Told(1 << 12);
    /// IPV6_RECVORIGDSTADDR.
    pub(crate) const DESTINATION6: Told = Told(1 << 10);

    /// What an option asks for; `None` where it is another option. As on Linux, a stream takes them all, and tells time only.
    pub(crate) fn named(subject: Subject, level: i32, name: i32) -> Option<Told> {
        let v6 = subject.domain == Domain::V6;
        Some(match (level, name) {
            (SOL_SOCKET, SO_TIMESTAMP) => Told::STAMP,
            (SOL_SOCKET, SO_TIMESTAMPNS) => Told::STAMP_NANOS,
            (SOL_SOCKET, SO_RXQ_OVFL) => Told::OVERFLOW,
            (SOL_IP, _) if !subject.has_v4_options() => return None,
            (SOL_IP, IP_PKTINFO) => Told::PACKET_INFO,
            (SOL_IP, IP_RECVTTL) => Told::TTL,
            (SOL_IP, IP_RECVTOS) => Told::TOS,
            (SOL_IP, IP_RECVOPTS) => Told::OPTIONS,
            (SOL_IP, IP_RETOPTS) => Told::RETURN_OPTIONS,
            (SOL_IP, IP_RECVORIGDSTADDR) => Told::DESTINATION,
            (SOL_IPV6, IPV6_RECVPKTINFO) if v6 => Told::PACKET_INFO6,
            (SOL_IPV6, IPV6_RECVHOPLIMIT) if v6 => Told::HOP_LIMIT,
            (SOL_IPV6, IPV6_RECVTCLASS) if v6 => Told::TRAFFIC_CLASS,
            (SOL_IPV6, IPV6_FLOWINFO) if v6 => Told::FLOW,
            (SOL_IPV6, IPV6_RECVPATHMTU) if v6 => Told::NARROW_PATH,
            (SOL_IPV6, IPV6_RECVORIGDSTADDR) if v6 => Told::DESTINATION6,
            _ => return None,
        })
    }

    /// Whether all of `what` is asked for.
    pub(crate) fn contains(self, what: Told) -> bool {
        self.0 & what.0 == what.0
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Asks for `what`, or no more. Time is told in one unit only: socket(7).
    pub(super) fn set(&mut self, what: Told, on: bool) {
        let stamps = Told::STAMP.0 | Told::STAMP_NANOS.0;
        if what.0 & stamps != 0 {
            self.0 &= !stamps;
        }
        self.0 = if on { self.0 | what.0 } else { self.0 & !what.0 };
    }
}
