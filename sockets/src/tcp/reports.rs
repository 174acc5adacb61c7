//! The error queue of a stream socket, which outlives its connections.

use rustix::io::Errno;
use tapsock_stack::error_queue::{ErrorQueue, Report};
use tapsock_stack::stack::{CountFrom, Stack, TcpId};
use tapsock_stack::tcp::State;

use super::TcpSocket;
use crate::beside::{self, Stamps};
use crate::errno::ToErrno;
use crate::socket::Call;

impl TcpSocket {
    /// Takes the oldest report: what earlier connections left comes first.
    pub(super) fn take_report(&mut self, call: &mut Call<'_>) -> Option<Report> {
        let Some(reports) = self.own_reports() else {
            return call.stack.tcp_take_report(self.connection_id()?);
        };
        let mut next = None;
        let report = reports.pop(&mut next)?;
        if next.is_some() || report.cause.pending_error().is_some() {
            self.error = next.map(|error| error.errno());
        }
        self.tidy();
        Some(report)
    }

    /// Those that earlier connections left, where there are some.
    fn own_reports(&mut self) -> Option<&mut ErrorQueue> {
        self.aside.as_mut().map(|aside| &mut aside.reports).filter(|reports| !reports.is_empty())
    }

    /// The connection goes, and its reports stay.
    pub(super) fn keep_reports(&mut self, call: &mut Call<'_>, id: TcpId) {
        let Some(later) = call.stack.tcp_take_reports(id) else { return };
        self.aside.get_or_insert_default().reports.append(later);
    }

    /// Tells that a send is done, where it is to be told (MSG_ZEROCOPY): its bytes were copied.
    pub(crate) fn report_zero_copy(&self, call: &mut Call<'_>, flags: i32) {
        if let Some(id) = self.connection_id()
            && let Some(number) = call.zero_copy(flags)
        {
            call.stack.tcp_report_zero_copy(call.now, id, number);
        }
    }

    /// When the last byte came that was read, or that is `ahead` bytes after it, where options ask for that.
    pub(super) fn stamps(&self, call: &mut Call<'_>, id: TcpId, ahead: usize) -> Stamps {
        let arrived = call.stack.tcp_arrival(id, ahead);
        arrived.map_or([None, None], |at| beside::stamps(call.options(), at))
    }

    /// Numbers the sends from now on (SO_TIMESTAMPING). Errors: EINVAL where nothing is connected.
    pub(crate) fn count_sends(&self, call: &mut Call<'_>, from: CountFrom) -> Result<(), Errno> {
        let open = |id: &TcpId| call.stack.tcp(*id).is_some_and(|one| one.state() != State::Closed);
        let id = self.connection_id().filter(open).ok_or(Errno::INVAL)?;
        call.stack.tcp_count_sends(id, from);
        Ok(())
    }

    /// Forgets the reports of errors.
    pub(crate) fn drop_reports(&mut self, call: &mut Call<'_>) {
        if let Some(reports) = self.own_reports() {
            reports.drop_errors();
        }
        self.tidy();
        if let Some(id) = self.connection_id() {
            call.stack.tcp_drop_reports(id);
        }
    }

    /// Whether the next call fails for what happened earlier.
    pub(crate) fn has_pending_error(&self, stack: &Stack) -> bool {
        let connection = self.connection_id().and_then(|id| stack.tcp(id));
        self.error.is_some() || connection.is_some_and(|connection| connection.has_error())
    }
}
