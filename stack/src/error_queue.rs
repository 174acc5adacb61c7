//! What a socket is told beside its data: the errors that its packets brought about, one by one (`MSG_ERRQUEUE`).
//!
//! A pending error says that something went wrong; a [`Report`] says with which packet, and who says so. Any socket may
//! have an [`ErrorQueue`]: its owner makes the reports and shows them.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use crate::buf::Rope;
use crate::error::SocketError;
use crate::iface::InterfaceId;
use crate::ip::icmp::{Complaint, Teller};
use crate::time::Instant;
use crate::wire::icmp::{Extensions, Quoted};

/// Bytes that a report is charged beside its payload: what Linux 6.18 charges for a short buffer.
pub const OVERHEAD: usize = 832;

/// One thing that a socket is told.
///
/// ```
/// use tapsock_stack::error::SocketError;
/// use tapsock_stack::error_queue::{Cause, Report};
/// use tapsock_stack::time::Instant;
///
/// let to = "10.0.0.2:53".parse().unwrap();
/// let report = Report::too_long(to, 1280, Instant::ZERO);
/// assert_eq!(report.cause, Cause::Local { error: SocketError::MessageTooLong, info: 1280 });
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub cause: Cause,
    /// Of the packet that it happened to, what followed the headers, as far as it is known.
    pub payload: Rope,
    /// Where that packet was to go.
    pub destination: Option<SocketAddr>,
    /// When it was heard of.
    pub at: Instant,
}

/// What a report is about.
///
/// ```
/// use tapsock_stack::error::SocketError;
/// use tapsock_stack::error_queue::Cause;
///
/// let cause = Cause::Local { error: SocketError::MessageTooLong, info: 1280 };
/// assert_eq!(cause.pending_error(), None, "the call itself has said so");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Cause {
    /// This host refused to send it (`SO_EE_ORIGIN_LOCAL`).
    Local {
        /// Why.
        error: SocketError,
        /// What the path takes, in bytes.
        info: u32,
    },
    /// An ICMP message came (`SO_EE_ORIGIN_ICMP`, `SO_EE_ORIGIN_ICMP6`).
    Icmp(IcmpCause),
    /// The caller's memory is free again after sends with `MSG_ZEROCOPY`: their bytes were copied
    /// (`SO_EE_ORIGIN_ZEROCOPY`, `SO_EE_CODE_ZEROCOPY_COPIED`). Sends are counted from 0 on, modulo 2³².
    ZeroCopy {
        /// The first of them.
        first: u32,
        /// The last.
        last: u32,
    },
    /// The time of a send (`SO_EE_ORIGIN_TIMESTAMPING`), which is the report's.
    Stamp {
        /// What happened to it then.
        kind: StampKind,
        /// Which send it was, where sends are counted; else 0.
        id: u32,
    },
}

/// What happened to a send at the time of its stamp: Linux's `SCM_TSTAMP_*`.
///
/// ```
/// use tapsock_stack::error_queue::StampKind;
///
/// assert_eq!(StampKind::Acknowledged as u32, 2);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum StampKind {
    /// It went to the link.
    Sent = 0,
    /// It went into the queue for the link.
    Scheduled = 1,
    /// The peer acknowledged all of it.
    Acknowledged = 2,
}

/// An ICMP message that complains of a packet.
///
/// ```
/// use tapsock_stack::error::SocketError;
/// use tapsock_stack::error_queue::IcmpCause;
/// use tapsock_stack::iface::InterfaceId;
///
/// let closed_port = IcmpCause {
///     error: SocketError::ConnectionRefused,
///     kind: 3,
///     code: 3,
///     info: 0,
///     offender: "10.0.0.2".parse().unwrap(),
///     to: "10.0.0.1".parse().unwrap(),
///     interface: InterfaceId::LOOPBACK,
///     hop_limit: 64,
///     traffic_class: 0xc0,
///     extensions: None,
/// };
/// assert!(closed_port.offender.is_ipv4());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct IcmpCause {
    /// What it means for the socket.
    pub error: SocketError,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// What the path takes, in bytes, or where a header makes no sense.
    pub info: u32,
    /// Who sent it.
    pub offender: IpAddr,
    /// The address of ours that it came to.
    pub to: IpAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit with which it came.
    pub hop_limit: u8,
    /// TOS or traffic class with which it came.
    pub traffic_class: u8,
    /// What it tells behind the packet that it quotes: at the end of the report's payload.
    pub extensions: Option<Extensions>,
}

impl Cause {
    /// The error that a call on the socket fails with while the report is the next: one that came by ICMP.
    pub fn pending_error(&self) -> Option<SocketError> {
        match self {
            Cause::Icmp(icmp) => Some(icmp.error),
            Cause::Local { .. } | Cause::ZeroCopy { .. } | Cause::Stamp { .. } => None,
        }
    }
}

impl Report {
    /// A complaint about the packet `quoted`, of which `header_len` bytes are the transport's header. `port` is the one
    /// it was sent to, where it has one.
    pub fn of_complaint(
        complaint: &Complaint,
        quoted: &Quoted<'_>,
        header_len: usize,
        port: u16,
        at: Instant,
    ) -> Self {
        let teller = complaint.teller.unwrap_or(Teller::ourselves(quoted.source));
        let payload = quoted.transport.get(header_len..).unwrap_or_default();
        let mut destination = SocketAddr::new(quoted.destination, port);
        if let SocketAddr::V6(v6) = &mut destination
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(teller.interface.index());
        }
        let cause = IcmpCause {
            error: complaint.error,
            kind: complaint.kind,
            code: complaint.code,
            info: complaint.info,
            offender: teller.address,
            to: teller.to,
            interface: teller.interface,
            hop_limit: teller.hop_limit,
            traffic_class: teller.traffic_class,
            extensions: complaint.extensions,
        };
        Report { cause: Cause::Icmp(cause), payload: Rope::from(payload), destination: Some(destination), at }
    }

    /// A packet to `destination` was not sent: the path takes no more than `mtu` bytes.
    pub fn too_long(destination: SocketAddr, mtu: usize, at: Instant) -> Self {
        let info = u32::try_from(mtu).unwrap_or(u32::MAX);
        let cause = Cause::Local { error: SocketError::MessageTooLong, info };
        Report { cause, payload: Rope::new(), destination: Some(destination), at }
    }

    /// A send was stamped. `payload` shows which, as far as its sender wants that.
    pub fn stamp(kind: StampKind, id: u32, payload: Rope, at: Instant) -> Self {
        Report { cause: Cause::Stamp { kind, id }, payload, destination: None, at }
    }

    fn charge(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

/// Which ICMP errors a socket hears of.
///
/// ```
/// use tapsock_stack::error_queue::ErrorDelivery;
///
/// assert_eq!(ErrorDelivery::default(), ErrorDelivery::HardWhenConnected);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ErrorDelivery {
    /// Those that are for good, and only where the socket is connected.
    #[default]
    HardWhenConnected,
    /// All, each with a report (`IP_RECVERR`, `IPV6_RECVERR`).
    All,
}

/// The same of one socket, which may speak both families.
///
/// ```
/// use tapsock_stack::error_queue::{ErrorDeliveries, ErrorDelivery};
///
/// let v4_only = ErrorDeliveries { v4: ErrorDelivery::All, ..ErrorDeliveries::default() };
/// assert_eq!(v4_only.of("10.0.0.2".parse().unwrap()), ErrorDelivery::All);
/// assert_eq!(v4_only.of("fd00::2".parse().unwrap()), ErrorDelivery::HardWhenConnected);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct ErrorDeliveries {
    /// Of IPv4's.
    pub v4: ErrorDelivery,
    /// Of IPv6's.
    pub v6: ErrorDelivery,
}

impl ErrorDeliveries {
    /// Of those about packets to `peer`.
    pub fn of(self, peer: IpAddr) -> ErrorDelivery {
        if peer.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// Whether a queue had room.
///
/// ```
/// use tapsock_stack::error_queue::Queued;
///
/// assert_ne!(Queued::Kept, Queued::Dropped);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "what was dropped is to be counted"]
pub enum Queued {
    /// It had.
    Kept,
    /// It had not: `TapsockErrorQueueDrops`.
    Dropped,
}

/// The reports that a socket has not read yet. The receive buffer bounds it, together with what waits to be received.
///
/// ```
/// use tapsock_stack::error_queue::{ErrorQueue, Queued, Report};
/// use tapsock_stack::time::Instant;
///
/// let mut queue = ErrorQueue::default();
/// let report = || Report::too_long("10.0.0.2:53".parse().unwrap(), 1280, Instant::ZERO);
/// assert_eq!(queue.push(report(), 1_000), Queued::Kept);
/// assert_eq!(queue.push(report(), 1_000), Queued::Dropped);
/// assert!(queue.pop(&mut None).is_some());
/// assert!(queue.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ErrorQueue {
    reports: VecDeque<Report>,
    charged: usize,
}

impl ErrorQueue {
    /// Whether there is nothing to be told.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// What the reports are charged, in bytes, of the socket's receive buffer.
    pub fn charged(&self) -> usize {
        self.charged
    }

    /// Adds a report, where all together are charged less than `room` bytes, as on Linux.
    pub fn push(&mut self, report: Report, room: usize) -> Queued {
        let charged = self.charged + report.charge();
        if charged >= room {
            return Queued::Dropped;
        }
        self.charged = charged;
        self.reports.push_back(report);
        Queued::Kept
    }

    /// Notes that the send `number` with `MSG_ZEROCOPY` is done, where it can in the report of the sends before it, as
    /// Linux does. There is always room: between two such reports stands another.
    pub fn push_zero_copy(&mut self, number: u32, at: Instant) {
        if let Some(Report { cause: Cause::ZeroCopy { first, last }, .. }) = self.reports.back_mut()
            && last.wrapping_add(1) == number
            && number != *first
        {
            *last = number;
            return;
        }
        let cause = Cause::ZeroCopy { first: number, last: number };
        let report = Report { cause, payload: Rope::new(), destination: None, at };
        self.charged += report.charge();
        self.reports.push_back(report);
    }

    /// Takes the oldest report. The socket's `pending` error becomes that of the next one, as on Linux: who reads the
    /// queue has heard of the error.
    pub fn pop(&mut self, pending: &mut Option<SocketError>) -> Option<Report> {
        let report = self.reports.pop_front()?;
        self.charged -= report.charge();
        if self.reports.is_empty() {
            self.reports = VecDeque::new();
        }
        match self.reports.front().and_then(|next| next.cause.pending_error()) {
            Some(next) => *pending = Some(next),
            None if report.cause.pending_error().is_some() => *pending = None,
            None => {}
        }
        Some(report)
    }

    /// Takes over what `later` holds, behind what is here.
    pub fn append(&mut self, mut later: ErrorQueue) {
        self.charged += later.charged;
        self.reports.append(&mut later.reports);
    }

    /// Forgets the reports of errors: nobody asks for them any more. As on Linux, what is told of sends that went well
    /// stays.
    pub fn drop_errors(&mut self) {
        self.reports.retain(|report| matches!(report.cause, Cause::ZeroCopy { .. } | Cause::Stamp { .. }));
        self.reports.shrink_to_fit();
        self.charged = self.reports.iter().map(Report::charge).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_without_copies_are_told_of_together() {
        let mut queue = ErrorQueue::default();
        let mut zero_copy = |numbers: &[u32]| {
            numbers.iter().for_each(|number| queue.push_zero_copy(*number, Instant::ZERO));
            core::iter::from_fn(|| queue.pop(&mut None)).map(|report| report.cause).collect::<Vec<_>>()
        };
        let range = |first, last| Cause::ZeroCopy { first, last };
        assert_eq!(zero_copy(&[0, 1, 2]), [range(0, 2)]);
        assert_eq!(zero_copy(&[3, 5, 6]), [range(3, 3), range(5, 6)]);
        assert_eq!(zero_copy(&[u32::MAX, 0]), [range(u32::MAX, 0)]);
    }

    fn refused(error: SocketError) -> Report {
        let cause = IcmpCause {
            error,
            kind: 3,
            code: 3,
            info: 0,
            offender: "10.0.0.2".parse().unwrap(),
            to: "10.0.0.1".parse().unwrap(),
            interface: InterfaceId::LOOPBACK,
            hop_limit: 64,
            traffic_class: 0,
            extensions: None,
        };
        Report { cause: Cause::Icmp(cause), payload: Rope::new(), destination: None, at: Instant::ZERO }
    }

    #[test]
    fn reading_moves_the_pending_error_on() {
        let (one, two) = (SocketError::ConnectionRefused, SocketError::HostUnreachable);
        let mut queue = ErrorQueue::default();
        let local = Report::too_long("10.0.0.2:53".parse().unwrap(), 1280, Instant::ZERO);
        for report in [refused(one), refused(two), local.clone(), local] {
            assert_eq!(queue.push(report, 100_000), Queued::Kept);
        }
        assert_eq!(queue.charged(), 4 * OVERHEAD);
        let mut pending = Some(two);
        for left in [Some(two), None, None, None] {
            assert!(queue.pop(&mut pending).is_some());
            assert_eq!(pending, left);
        }
        assert!(queue.pop(&mut pending).is_none());
        // What the queue has not brought it does not take.
        pending = Some(SocketError::NetworkDown);
        assert!(queue.pop(&mut pending).is_none());
        assert_eq!((pending, queue.charged()), (Some(SocketError::NetworkDown), 0));
    }
}
