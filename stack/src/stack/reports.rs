//! Reports of errors, to the sockets that ask for them.

use core::net::SocketAddr;

use crate::counters::Counter;
use crate::error_queue::{ErrorDelivery, ErrorQueue, Queued, Report};
use crate::time::Instant;
use crate::udp::UdpId;

use super::tcp_table::TcpId;
use super::{Changes, SocketId, Stack};

impl Stack {
    /// Takes the oldest report of a UDP socket (`MSG_ERRQUEUE`).
    pub fn udp_take_report(&mut self, id: UdpId) -> Option<Report> {
        self.udp.socket_mut(id)?.mail.take_report()
    }

    /// Takes the oldest report of a connection (`MSG_ERRQUEUE`).
    pub fn tcp_take_report(&mut self, id: TcpId) -> Option<Report> {
        let slot = self.tcp.slot_mut(id)?;
        slot.extras.as_mut()?.reports.pop(slot.connection.pending_error())
    }

    /// Takes all reports of a connection: its holder lets go of it, but not of them.
    pub fn tcp_take_reports(&mut self, id: TcpId) -> Option<ErrorQueue> {
        let extras = self.tcp.slot_mut(id)?.extras.as_mut()?;
        (!extras.reports.is_empty()).then(|| core::mem::take(&mut extras.reports))
    }

    /// Forgets the reports of errors of a connection.
    pub fn tcp_drop_reports(&mut self, id: TcpId) {
        if let Some(extras) = self.tcp.slot_mut(id).and_then(|slot| slot.extras.as_mut()) {
            extras.reports.drop_errors();
        }
    }

    /// Whether a report waits.
    pub fn tcp_has_reports(&self, id: TcpId) -> bool {
        let extras = self.tcp.slot(id).and_then(|slot| slot.extras.as_ref());
        extras.is_some_and(|extras| !extras.reports.is_empty())
    }

    /// Notes that the send `number` with `MSG_ZEROCOPY` is done: its bytes were copied.
    pub fn tcp_report_zero_copy(&mut self, now: Instant, id: TcpId, number: u32) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        slot.extras.get_or_insert_default().reports.push_zero_copy(number, now);
        self.tell_tcp(id.index, Changes::ERROR);
    }

    /// The same of a UDP socket.
    pub fn udp_report_zero_copy(&mut self, now: Instant, id: UdpId, number: u32) {
        if let Some(socket) = self.udp.socket_mut(id) {
            socket.mail.report_zero_copy(number, now);
            self.tell(SocketId::Udp(id), Changes::ERROR);
        }
    }

    /// Adds a report to a connection's, which share its receive buffer.
    pub(super) fn report_to_tcp(&mut self, index: u32, report: Report) {
        let Some(slot) = self.tcp.at(index).filter(|slot| !slot.connection.is_orphan()) else { return };
        let room = slot.connection.options().receive_buffer as usize;
        if slot.extras.get_or_insert_default().reports.push(report, room) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell_tcp(index, Changes::ERROR);
    }

    /// Adds a report to a UDP socket's.
    pub(super) fn report_to_udp(&mut self, id: UdpId, report: Report) {
        let Some(socket) = self.udp.socket_mut(id) else { return };
        if socket.mail.report(report) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell(SocketId::Udp(id), Changes::ERROR);
    }

    /// Tells a UDP socket that asks for it why a datagram to `to` was not sent.
    pub(super) fn report_too_long(
        &mut self,
        now: Instant,
        id: UdpId,
        to: SocketAddr,
        mtu: usize,
        unfragmented: bool,
    ) {
        let Some(socket) = self.udp.socket_mut(id) else { return };
        if let SocketAddr::V6(to) = to
            && unfragmented
        {
            socket.mail.narrow_path = Some((to, u32::try_from(mtu).unwrap_or(u32::MAX)));
        }
        if socket.error_delivery.of(to.ip()) == ErrorDelivery::All {
            // As Linux, whose IPv4 names the port of the peer that the socket is connected to.
            let port = if to.is_ipv4() { socket.remote().map_or(0, |peer| peer.port()) } else { to.port() };
            self.report_to_udp(id, Report::too_long(SocketAddr::new(to.ip(), port), mtu, now));
        }
    }
}
