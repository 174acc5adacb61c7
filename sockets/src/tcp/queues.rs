//! How much lies in the queues of a connection.

use tapsock_stack::stack::{Stack, TcpId};
use tapsock_stack::tcp::{Connection, State};

use super::TcpSocket;
use crate::constants::{MSG_PEEK, MSG_WAITALL};
use crate::socket::Call;

/// Whether there is as much to read as `low_water` asks for (SO_RCVLOWAT), or as much as there will be.
pub(super) fn is_readable(connection: &Connection, low_water: usize) -> bool {
    let readable = connection.readable();
    // Linux: an urgent byte that a read passes over does not count.
    if readable == 0 || readable >= low_water.saturating_add(connection.hidden()) {
        return readable > 0;
    }
    // Linux: where the window is about to close, nobody waits for what can't come.
    connection.is_read_closed() || connection.has_error() || connection.is_receive_full()
}

impl TcpSocket {
    /// Whether a call that may wait has less than it asks for.
    pub(super) fn waits_for_more(&self, call: &Call<'_>, id: TcpId, max: usize, flags: i32) -> bool {
        const WHOLE: i32 = MSG_WAITALL | MSG_PEEK;
        let low_water = if flags & WHOLE == WHOLE { usize::MAX } else { call.options().low_water as usize };
        let wanted = max.min(low_water);
        if wanted <= 1 || self.receive_shut || !call.waits_to_receive(flags) {
            return false;
        }
        let Some(connection) = call.stack.tcp(id) else { return false };
        let start = if flags & MSG_PEEK != 0 { call.options().peek_start() } else { 0 };
        let part = connection.readable_part(start, wanted);
        // An urgent byte ends a read, and what can't come is not waited for.
        let ends = connection.bytes_to_mark() == Some(part.end)
            || connection.is_read_closed()
            || connection.has_error()
            || connection.is_receive_full();
        !part.is_empty() && part.len() < wanted && !ends
    }

    /// How much to ask for, so that it comes in one piece: as much as lies in one, but no less than SO_RCVLOWAT.
    pub(crate) fn piece(&self, stack: &Stack, low_water: u32) -> usize {
        let connection = self.connection_id().and_then(|id| stack.tcp(id));
        connection.map_or(1, Connection::readable_piece).max(low_water as usize)
    }

    /// Bytes that can be read (FIONREAD).
    pub(crate) fn unread(&self, stack: &Stack) -> usize {
        self.connection_id()
            .and_then(|id| stack.tcp(id))
            .map_or(0, |connection| connection.readable_to_mark())
    }

    /// Whether the next byte to be read is urgent (SIOCATMARK).
    pub(crate) fn is_at_mark(&self, stack: &Stack) -> bool {
        self.connection_id().and_then(|id| stack.tcp(id)).is_some_and(Connection::is_at_mark)
    }

    /// Bytes that the peer has not acknowledged, sent or not (SIOCOUTQ).
    pub(crate) fn unacknowledged(&self, stack: &Stack) -> usize {
        let info = self.connection_id().and_then(|id| stack.tcp_info(id));
        info.filter(|info| !matches!(info.state, State::Closed | State::SynSent)).map_or(0, |info| {
            info.unacked_bytes as usize + info.notsent as usize + usize::from(info.fin_waits)
        })
    }

    /// Bytes that were not sent yet (SIOCOUTQNSD).
    pub(crate) fn unsent(&self, stack: &Stack) -> usize {
        let info = self.connection_id().and_then(|id| stack.tcp_info(id));
        info.filter(|info| !matches!(info.state, State::Closed | State::SynSent))
            .map_or(0, |info| info.notsent as usize)
    }

    /// What is charged of the receive buffer, and its size in bytes: unless it was fixed, a connection's grows. Source:
    /// tcp(7), `tcp_rmem`.
    pub(crate) fn receive_memory(&self, call: &Call<'_>) -> (usize, usize) {
        let connection = self.connection_id().and_then(|id| call.stack.tcp(id));
        connection.map_or((0, call.options().tcp.receive_buffer as usize), Connection::receive_memory)
    }

    /// The send buffer in bytes (SO_SNDBUF): unless it was fixed, a connection's grows. Source: tcp(7), `tcp_wmem`.
    pub(crate) fn send_buffer(&self, call: &Call<'_>) -> usize {
        let connection = self.connection_id().and_then(|id| call.stack.tcp(id));
        connection.map_or(call.options().tcp.send_buffer as usize, Connection::send_capacity)
    }
}
