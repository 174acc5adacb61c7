//! How much lies in the queues of a connection.

use tapsock_stack::stack::{Stack, TcpId};
use tapsock_stack::tcp::{Connection, State};

use super::TcpSocket;
use crate::socket::Call;

/// Whether there is as much to read as `low_water` asks for (SO_RCVLOWAT), or as much as there will be.
pub(super) fn is_readable(connection: &Connection, low_water: usize) -> bool {
    let readable = connection.readable();
    if readable == 0 || readable >= low_water {
        return readable > 0;
    }
    // Linux: where the window is about to close, nobody waits for what can't come.
    connection.is_read_closed() || connection.has_error() || connection.is_receive_full()
}

impl TcpSocket {
    /// Whether a call that may wait has less than it asks for.
    pub(super) fn waits_for_more(&self, call: &Call<'_>, id: TcpId, max: usize, flags: i32) -> bool {
        let low_water = max.min(call.options().low_water as usize);
        low_water > 1
            && !self.receive_shut
            && call.waits_to_receive(flags)
            && call
                .stack
                .tcp(id)
                .is_some_and(|connection| connection.readable() > 0 && !is_readable(connection, low_water))
    }

    /// Bytes that can be read (FIONREAD).
    pub(crate) fn unread(&self, stack: &Stack) -> usize {
        self.connection_id().and_then(|id| stack.tcp(id)).map_or(0, |connection| connection.readable())
    }

    /// Bytes that the peer has not acknowledged, sent or not (SIOCOUTQ).
    pub(crate) fn unacknowledged(&self, stack: &Stack) -> usize {
        let info = self.connection_id().and_then(|id| stack.tcp_info(id));
        info.filter(|info| !matches!(info.state, State::Closed | State::SynSent))
            .map_or(0, |info| info.unacked as usize + info.notsent as usize)
    }
}
