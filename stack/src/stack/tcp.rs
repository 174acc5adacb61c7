//! The calls of TCP: what POSIX's come to in the core.

use core::net::SocketAddr;

use crate::buf::Rope;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::iface::{InterfaceId, Way};
use crate::ports::Reuse;
use crate::tcp::connection::{NotConnected, Push, ReadError, WriteError};
use crate::tcp::info::Info;
use crate::tcp::rare::QuickAck;
use crate::tcp::urgent::{Keeping, Urgency, UrgentError};
use crate::tcp::{Connection, Options, SharedOptions, Shutdown, State};
use crate::time::Instant;

use super::tcp_open::with_scope;
use super::tcp_table::{Hold, TcpId};
use super::{Changes, SocketId, Stack};

/// What becomes of a connection when its holder lets go.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Linger {
    /// What was written is sent, then FIN.
    Background,
    /// It is reset (SO_LINGER with a time of 0).
    Abort,
}

/// What connections still have to do.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Unfinished {
    /// Connections with data or a FIN that the peer has not acknowledged.
    pub connections: usize,
    /// Bytes of data among that.
    pub bytes: u64,
}

impl Stack {
    /// Sets the way of a connection's packets. Where none leads to the peer, nothing is sent until one does.
    pub fn set_tcp_way(&mut self, now: Instant, id: TcpId, way: Way) {
        if let Some(slot) = self.tcp.slot_mut(id).filter(|slot| slot.way != way) {
            slot.way = way;
            self.follow_way(now, id.index);
        }
    }

    /// Changes the options by which a connection shares its port (SO_REUSEADDR and SO_REUSEPORT set later). In TIME-WAIT
    /// those count that it had when that began.
    pub fn set_tcp_reuse(&mut self, id: TcpId, reuse: Reuse) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let Some(hold) = slot.hold.filter(|hold| hold.reuse != reuse) else { return };
        let changed = Hold { reuse, ..hold };
        slot.hold = Some(changed);
        let key = slot.key;
        hold.release(&mut self.ports, &key);
        changed.take(&mut self.ports, &key);
    }

    /// Looks for the way of a connection's packets.
    pub(super) fn follow_way(&mut self, now: Instant, index: u32) {
        let Some((key, way)) = self.tcp.at(index).map(|slot| (slot.key, slot.way)) else { return };
        let hop = self.hop_back(&key, way);
        let Some(slot) = self.tcp.at(index) else { return };
        slot.cut_off = hop.is_none();
        if let Some(hop) = hop {
            slot.set_hop(&hop);
            self.follow_path(now, index);
        }
    }

    /// The connection itself, to be asked.
    pub fn tcp(&self, id: TcpId) -> Option<&Connection> {
        self.tcp.slot(id).map(|slot| &slot.connection)
    }

    /// Our end of a connection.
    pub fn tcp_local(&self, id: TcpId) -> Option<SocketAddr> {
        self.tcp.slot(id).map(|slot| with_scope(slot.key.local(), &slot.hop()))
    }

    /// The peer's end of a connection.
    pub fn tcp_remote(&self, id: TcpId) -> Option<SocketAddr> {
        self.tcp.slot(id).map(|slot| with_scope(slot.key.remote(), &slot.hop()))
    }

    /// The headers of the SYN that has opened a connection, IP's and TCP's, once, where its listener keeps them
    /// (`TCP_SAVED_SYN`).
    pub fn tcp_take_saved_syn(&mut self, id: TcpId) -> Option<Box<[u8]>> {
        self.tcp.slot_mut(id)?.extras.as_mut()?.saved_syn.take()
    }

    /// Our timestamp clock as a connection shows it, in milliseconds (`TCP_TIMESTAMP`).
    pub fn tcp_timestamp(&self, now: Instant, id: TcpId) -> Option<u32> {
        self.tcp(id).map(|connection| connection.timestamp(now))
    }

    /// A picture of a connection (`TCP_INFO`).
    pub fn tcp_info(&self, id: TcpId) -> Option<Info> {
        self.tcp(id).map(Connection::info)
    }

    /// Room for writing, in bytes.
    pub fn tcp_free_space(&self, id: TcpId) -> usize {
        self.tcp(id).map_or(0, Connection::free_space)
    }

    /// Writes as much of `data` as there is room for; the rest is dropped. See [`Connection::write`].
    pub fn tcp_write(&mut self, now: Instant, id: TcpId, data: Rope) -> Result<usize, WriteError> {
        self.tcp_write_as(now, id, data, Urgency::Normal, Push::Now)
    }

    /// As [`tcp_write`](Stack::tcp_write), urgent, or with more to come.
    pub fn tcp_write_as(
        &mut self,
        now: Instant,
        id: TcpId,
        data: Rope,
        urgency: Urgency,
        push: Push,
    ) -> Result<usize, WriteError> {
        self.tcp.supply(id.index, &self.config.tcp_memory());
        let slot = self.tcp.slot_mut(id).ok_or(WriteError::BrokenPipe)?;
        let written = slot.connection.write_as(data, urgency, push)?;
        self.after_call(now, id);
        Ok(written)
    }

    /// Reads up to `max` bytes. See [`Connection::read`].
    pub fn tcp_read(&mut self, now: Instant, id: TcpId, max: usize) -> Result<Rope, ReadError> {
        let slot = self.tcp.slot_mut(id).ok_or(ReadError::NotConnected)?;
        let data = slot.connection.read(now, max)?;
        if slot.connection.owes_segment() {
            self.after_call(now, id);
        } else {
            self.tcp.charge(now, id.index, &self.config.tcp_memory(), &mut self.counters);
            self.tcp.arm(now, id.index);
        }
        Ok(data)
    }

    /// What [`tcp_read`](Stack::tcp_read) would give after `offset` more bytes, left in place.
    pub fn tcp_peek(&mut self, id: TcpId, offset: usize, max: usize) -> Result<Rope, ReadError> {
        self.tcp.slot_mut(id).ok_or(ReadError::NotConnected)?.connection.peek(offset, max)
    }

    /// Receives the urgent byte out of line. See [`Connection::read_urgent`].
    pub fn tcp_read_urgent(&mut self, id: TcpId, keeping: Keeping) -> Result<u8, UrgentError> {
        self.tcp.slot_mut(id).ok_or(UrgentError::NotConnected)?.connection.read_urgent(keeping)
    }

    /// See [`Connection::acknowledge_quickly`].
    pub fn tcp_acknowledge_quickly(&mut self, now: Instant, id: TcpId, quick: QuickAck) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.acknowledge_quickly(quick);
            self.after_call(now, id);
        }
    }

    /// Sends what waits for more. See [`Connection::flush`].
    pub fn tcp_flush(&mut self, now: Instant, id: TcpId) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.flush();
            self.after_call(now, id);
        }
    }

    /// Closes a direction. See [`Connection::shutdown`].
    pub fn tcp_shutdown(&mut self, now: Instant, id: TcpId, how: Shutdown) -> Result<(), NotConnected> {
        let slot = self.tcp.slot_mut(id).ok_or(NotConnected)?;
        let done = slot.connection.shutdown(how);
        self.after_call(now, id);
        done
    }

    /// Lets go of a connection; its id is unknown to the caller from now on.
    pub fn tcp_close(&mut self, now: Instant, id: TcpId, linger: Linger) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        // As Linux, which looks at what was not read first.
        let over = slot.connection.is_orphan() || slot.connection.state() == State::Closed;
        if linger == Linger::Abort && !over {
            let unread = slot.connection.readable() > 0;
            self.counters.bump(match unread {
                true => Counter::TcpExtTCPAbortOnClose,
                false => Counter::TcpExtTCPAbortOnData,
            });
        }
        self.let_go(now, id, linger);
    }

    pub(super) fn let_go(&mut self, now: Instant, id: TcpId, linger: Linger) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        if slot.connection.is_orphan() {
            return;
        }
        slot.counted = true;
        self.tcp.orphans += 1;
        let memory_full = self.tcp.memory.is_full(&self.config.tcp_memory());
        let too_many = self.tcp.orphans > self.config.tcp_max_orphans as usize;
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let too_large = memory_full && slot.connection.is_large_orphan();
        // As Linux, which asks only for those that a close leaves with something to do.
        let refused =
            linger == Linger::Background && slot.connection.outlives_close() && (too_many || too_large);
        if refused {
            self.counters.bump(Counter::TcpExtTCPAbortOnMemory);
        }
        match linger {
            Linger::Background if refused => slot.connection.close_and_abort(now, &mut self.counters),
            Linger::Background => slot.connection.close(now, &mut self.counters),
            Linger::Abort => slot.connection.abort(),
        }
        self.after_call(now, id);
    }

    /// The error that ended a connection, once.
    pub fn tcp_take_error(&mut self, id: TcpId) -> Option<SocketError> {
        self.tcp.slot_mut(id)?.connection.take_error()
    }

    /// The same, or else what the path complained of while the connection went on (SO_ERROR).
    pub fn tcp_take_any_error(&mut self, id: TcpId) -> Option<SocketError> {
        self.tcp.slot_mut(id)?.connection.take_any_error()
    }

    /// Changes a connection's options.
    //= RFC 9293 SHLD-21
    pub fn set_tcp_options(&mut self, now: Instant, id: TcpId, change: impl FnOnce(&mut Options)) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.set_options(change, now);
            self.after_call(now, id);
        }
    }

    /// Gives a connection other options.
    pub fn replace_tcp_options(&mut self, now: Instant, id: TcpId, options: SharedOptions) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let options = slot.connection.options().keep_route(options);
        let before = slot.connection.options().rare().ip_options;
        let resizes = options.rare().ip_options.len() != before.len();
        slot.connection.replace_options(options, now);
        if resizes {
            self.follow_path(now, id.index);
        }
        self.after_call(now, id);
    }

    /// What connections still have to do before the host may go.
    pub fn unfinished(&self) -> Unfinished {
        let mut sum = Unfinished::default();
        for (_, slot) in self.tcp.slots() {
            if slot.connection.is_unfinished() {
                sum.connections += 1;
                sum.bytes += slot.connection.unacknowledged() as u64;
            }
        }
        sum
    }

    /// Resets all connections.
    pub fn abort_all(&mut self, now: Instant) {
        let all: Vec<u32> = self.tcp.slots().map(|(index, _)| index).collect();
        for index in all {
            if let Some(slot) = self.tcp.at(index) {
                slot.connection.abort_for_all();
            }
            self.settle(now, index);
            self.tcp.mark_ready(index);
        }
    }

    pub(super) fn after_call(&mut self, now: Instant, id: TcpId) {
        self.settle(now, id.index);
        self.tcp.mark_ready(id.index);
    }

    /// Fails all connections over `interface`.
    pub(super) fn fail_connections(&mut self, now: Instant, interface: InterfaceId) {
        let over: Vec<u32> = self
            .tcp
            .slots()
            .filter(|(_, slot)| slot.interface() == interface)
            .map(|(index, _)| index)
            .collect();
        for index in over {
            if let Some(slot) = self.tcp.at(index)
                && slot.connection.state() != State::TimeWait
            {
                slot.connection.on_link_down();
            }
            self.settle(now, index);
        }
    }

    pub(super) fn tell_tcp(&mut self, index: u32, changes: Changes) {
        if let Some(id) = self.tcp.announce(index, changes) {
            self.events.push_back(SocketId::Tcp(id));
        }
    }
}
