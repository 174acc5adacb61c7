//! What becomes of a connection after something happened to it: news, deadlines, TIME-WAIT, its end.

use core::mem;

use crate::counters::Counter;
use crate::demux::{FlowKey, Target};
use crate::tcp::State;
use crate::tcp::connection::Event;
use crate::tcp::time_wait::TimeWait;
use crate::time::Instant;

use super::tcp_table::{Hold, Marks};
use super::{Changes, Stack};

impl Stack {
    /// Who has the tuple `key`.
    pub(super) fn find(&self, key: &FlowKey) -> Option<Target> {
        self.tcp.find(&self.demux, key)
    }

    /// Gives the tuple `key` to `target`, which has it as its key.
    pub(super) fn own(&mut self, key: &FlowKey, target: Target) {
        let Stack { demux, tcp, .. } = self;
        demux.insert(key, target, |target| tcp.key_of(target));
    }

    /// Frees the tuple `key`, where it is `target`'s.
    pub(super) fn disown(&mut self, key: &FlowKey, target: Target) {
        let Stack { demux, tcp, .. } = self;
        demux.remove(key, target, |target| tcp.key_of(target));
    }

    /// Brings the tables in line with a connection after something happened to it: events, the end, the wheel.
    pub(super) fn settle(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let mut changes = Changes::NONE;
        while let Some(event) = slot.connection.poll_event() {
            changes |= match event {
                Event::Readable => Changes::ARRIVAL,
                Event::Writable => Changes::ROOM,
                Event::Connected | Event::Ended | Event::Closed => Changes::STATE,
                Event::Torn => {
                    self.counters.bump(Counter::TcpEstabResets);
                    Changes::NONE
                }
            };
        }
        if !changes.is_empty() && !slot.connection.is_orphan() {
            self.tell_tcp(index, changes);
        }
        self.take_fast_open_news(now, index);
        self.tcp.charge(now, index, &self.config.tcp_memory(), &mut self.counters);
        let Some(slot) = self.tcp.at(index) else { return };
        let state = slot.connection.state();
        if !slot.connection.outlives_close() {
            self.discount_orphan(index);
        }
        let Some(slot) = self.tcp.at(index) else { return };
        match state {
            State::TimeWait if slot.owns_tuple && !slot.connection.owes_segment() => {
                self.lay_to_rest(now, index)
            }
            // Let go after the record took the tuple: nothing is left to hold.
            State::TimeWait if !slot.owns_tuple && slot.connection.is_orphan() => {
                self.forget_orphan(now, index)
            }
            State::Closed if slot.connection.is_finished() => self.bury(now, index),
            _ => self.tcp.arm(now, index),
        }
    }

    /// A connection is over: its tuple and port are free, and its place too where nobody holds it.
    fn bury(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let (key, hold, owned) = (slot.key, slot.hold.take(), slot.owns_tuple);
        slot.owns_tuple = false;
        let orphan = slot.connection.is_orphan();
        if owned {
            self.disown(&key, Target::Connection(index));
        }
        self.release(hold, &key);
        if orphan {
            self.forget_orphan(now, index);
        }
    }

    fn forget_orphan(&mut self, now: Instant, index: u32) {
        self.discount_orphan(index);
        self.tcp.discharge(now, index, &self.config.tcp_memory(), &mut self.counters);
        self.tcp.remove(index);
    }

    /// A connection that nobody holds is over, or as good as that: others may have its place among those.
    fn discount_orphan(&mut self, index: u32) {
        if self.tcp.at(index).is_some_and(|slot| mem::take(&mut slot.counted)) {
            self.tcp.orphans -= 1;
        }
    }

    /// A connection enters TIME-WAIT: a record takes the tuple and the port. The connection stays for its holder.
    //= RFC 9293 MUST-13
    fn lay_to_rest(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let (key, way, hold) = (slot.key, slot.way, slot.hold.take());
        let record = TimeWait::new(&slot.connection);
        let marks = Marks::of(slot.connection.options());
        let orphan = slot.connection.is_orphan();
        slot.owns_tuple = false;
        if self.tcp.resting_count() < self.config.tcp_max_tw_buckets as usize {
            let end = now + self.config.tcp_timewait_len;
            let rest = self.tcp.rest(record, key, way, hold, marks, end);
            self.own(&key, Target::TimeWait(rest));
        } else {
            self.counters.bump(Counter::TcpExtTCPTimeWaitOverflow);
            self.disown(&key, Target::Connection(index));
            self.release(hold, &key);
        }
        if orphan {
            self.forget_orphan(now, index);
        }
    }

    pub(super) fn end_rest(&mut self, index: u32) {
        if let Some((key, hold)) = self.tcp.resting(index).map(|resting| (resting.key, resting.hold)) {
            self.disown(&key, Target::TimeWait(index));
            self.tcp.wake(index);
            self.release(hold, &key);
        }
    }

    pub(super) fn release(&mut self, hold: Option<Hold>, key: &FlowKey) {
        if let Some(hold) = hold {
            hold.release(&mut self.ports, key);
        }
    }

    pub(super) fn handle_tcp_timeouts(&mut self, now: Instant) {
        while let Some(index) = self.tcp.pop_expired(now) {
            self.tcp.supply(index, &self.config.tcp_memory());
            let (orphans, most) = (self.tcp.orphans, self.config.tcp_max_orphans as usize);
            if let Some(slot) = self.tcp.at(index) {
                if slot.connection.is_one_too_many(now, orphans, most) {
                    self.counters.bump(Counter::TcpExtTCPAbortOnMemory);
                    slot.connection.abort();
                }
                slot.connection.on_timeout(now, &mut self.counters);
                slot.connection.rest(now);
                //= RFC 9293 MUST-20
                if slot.connection.retries() >= self.config.tcp_retries1.max(1) {
                    self.neighbors.doubt(now, slot.interface(), slot.next_hop());
                }
            }
            self.settle(now, index);
            self.tcp.mark_ready(index);
        }
        self.resend_syn_acks(now);
        while let Some(index) = self.tcp.pop_rested(now) {
            self.counters.bump(Counter::TcpExtTW);
            self.end_rest(index);
        }
    }
}
