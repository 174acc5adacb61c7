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
        self.udp.socket_mut(id)?.take_report()
    }

    /// Takes the oldest report of a connection (`MSG_ERRQUEUE`).
    pub fn tcp_take_report(&mut self, id: TcpId) -> Option<Report> {
        let slot = self.tcp.slot_mut(id)?;
        let report = slot.reports.as_mut()?.pop(slot.connection.pending_error());
        slot.reports.take_if(|reports| reports.is_empty());
        report
    }

    /// Takes all reports of a connection: its holder lets go of it, but not of them.
    pub fn tcp_take_reports(&mut self, id: TcpId) -> Option<Box<ErrorQueue>> {
        self.tcp.slot_mut(id)?.reports.take()
    }

    /// Whether a report waits.
    pub fn tcp_has_reports(&self, id: TcpId) -> bool {
        self.tcp.slot(id).is_some_and(|slot| slot.reports.is_some())
    }

    /// Adds a report to a connection's, which share its receive buffer.
    pub(super) fn report_to_tcp(&mut self, index: u32, report: Report) {
        let Some(slot) = self.tcp.at(index).filter(|slot| !slot.connection.is_orphan()) else { return };
        let room = slot.connection.options().receive_buffer as usize;
        let reports = slot.reports.get_or_insert_default();
        if reports.push(report, room) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell_tcp(index, Changes::ERROR);
    }

    /// Tells a UDP socket that asks for it why a datagram to `to` was not sent.
    pub(super) fn report_too_long(&mut self, now: Instant, id: UdpId, to: SocketAddr, mtu: usize) {
        let Some(socket) = self.udp.socket_mut(id) else { return };
        if socket.error_delivery.of(to.ip()) != ErrorDelivery::All {
            return;
        }
        // As Linux, whose IPv4 names the port of the peer that the socket is connected to.
        let port = if to.is_ipv4() { socket.remote().map_or(0, |peer| peer.port()) } else { to.port() };
        let report = Report::too_long(SocketAddr::new(to.ip(), port), mtu, now);
        if socket.report(report) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell(SocketId::Udp(id), Changes::ERROR);
    }
}
