//! The error queue of a stream socket, which outlives its connections.

use tapsock_stack::error_queue::Report;
use tapsock_stack::stack::{Stack, TcpId};

use super::TcpSocket;
use crate::errno::ToErrno;
use crate::socket::Call;

impl TcpSocket {
    /// Takes the oldest report: what earlier connections left comes first.
    pub(super) fn take_report(&mut self, call: &mut Call<'_>) -> Option<Report> {
        let Some(reports) = &mut self.reports else {
            return call.stack.tcp_take_report(self.connection_id()?);
        };
        let mut next = None;
        let report = reports.pop(&mut next)?;
        if next.is_some() || report.cause.pending_error().is_some() {
            self.error = next.map(|error| error.errno());
        }
        self.reports.take_if(|reports| reports.is_empty());
        Some(report)
    }

    /// The connection goes, and its reports stay.
    pub(super) fn keep_reports(&mut self, call: &mut Call<'_>, id: TcpId) {
        let Some(later) = call.stack.tcp_take_reports(id) else { return };
        self.reports.get_or_insert_default().append(*later);
    }

    /// Forgets all reports.
    pub(crate) fn drop_reports(&mut self, call: &mut Call<'_>) {
        self.reports = None;
        if let Some(id) = self.connection_id() {
            call.stack.tcp_take_reports(id);
        }
    }

    /// Whether the next call fails for what happened earlier.
    pub(crate) fn has_pending_error(&self, stack: &Stack) -> bool {
        let connection = self.connection_id().and_then(|id| stack.tcp(id));
        self.error.is_some() || connection.is_some_and(|connection| connection.has_error())
    }
}
