//! What a segment brings: RFC 9293 §3.10.7.4's seventh and eighth step, data and the FIN behind it.

use crate::buf::Rope;
use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::connection::{Connection, Event, Holder};
use super::handshake::TIMESTAMPS_LEN;
use super::memory::Supply;
use super::recv::ack_policy::{Arrival, QUICK_ACKS};
use super::recv::compact;
use super::recv::reassembly::Last;
use super::segment::{Control, Segment};
use super::seq::SeqNumber;
use super::seq_ranges::SeqRange;
use super::state::State;

/// Bytes of a segment that is due that let the window grow, at least.
const LEAST_GROWING: usize = 128;

/// Blocks behind a gap beside the one that grows, whose reports may wait to be put together.
const REPORTED_TOGETHER: usize = 2;

impl Connection {
    /// The seventh and eighth step: the data, and the FIN behind it.
    pub(super) fn process_text(&mut self, now: Instant, mut segment: Segment, counters: &mut Counters) {
        if segment.is_empty() {
            return self.take_reduced(&segment);
        }
        if !self.state.can_receive() {
            self.process_text_after_fin(&segment, counters);
            return;
        }
        let nxt = self.recv.window.nxt;
        if !core::mem::take(&mut self.recv.foreseen) {
            // As Linux: what was to be reported, and waits, is forgotten for what comes next, unless that is as expected.
            self.recv.duplicate.on_reported();
        }
        let old = self.note_old(&segment, counters);
        if self.is_past_use(&segment, counters) {
            self.recv.acks.quicken(self.recv.window.remaining(), QUICK_ACKS);
            self.recv.acks.owe_now();
            return;
        }
        self.take_reduced(&segment);
        let len = segment.payload.len();
        segment.trim_front(nxt);
        let nobody_reads = self.holder == Holder::Nobody || self.recv.shut_down;
        if nobody_reads && self.state != State::Established && !segment.payload.is_empty() {
            counters.bump(Counter::TcpExtTCPAbortOnData);
            self.refuse_data(&segment);
            return;
        }
        if !self.has_room_for(&segment, counters) {
            return;
        }
        self.trim_behind_fin(&mut segment);
        if segment.payload.len() < len {
            compact(&mut segment.payload);
        }
        if segment.control == Some(Control::Fin) && self.recv.fin().is_none() {
            let fin = segment.end() - 1;
            self.recv.note_fin(fin);
            self.recv.reassembly.truncate(fin);
        }
        //= RFC 2883 §4.2 RULE-1
        if !old && let Some(held) = self.recv.reassembly.held_of(segment.seq, segment.end()) {
            self.note_twice(held.start(), held.end(), counters);
        }
        if segment.seq == nxt {
            self.take_in_order(now, segment, len);
        } else {
            self.take_out_of_order(segment, counters);
        }
        self.process_fin(now);
    }

    /// Whether a segment brings nothing that can be taken: what has come before, or what lies behind the window. As Linux: a
    /// segment that begins in the window is taken whole, and a FIN behind all data into a closed window too, for it needs no
    /// room.
    fn is_past_use(&self, segment: &Segment, counters: &mut Counters) -> bool {
        let window = &self.recv.window;
        if segment.end().at_or_before(window.nxt) {
            counters.bump(Counter::TcpExtDelayedACKLost);
            return true;
        }
        if window.remaining() > 0 {
            let beyond = segment.seq.at_or_after(window.edge());
            if beyond {
                counters.bump(Counter::TcpExtTCPOutOfWindow);
            }
            return beyond;
        }
        let lone_fin = segment.payload.is_empty() && segment.seq == window.nxt;
        if !lone_fin && segment.seq.at_or_before(window.nxt) {
            counters.bump(Counter::TcpExtTCPZeroWindowDrop);
        }
        !lone_fin
    }

    /// Whether there is memory for a segment. As Linux, where there is none for what is due the peer is told at once, by a
    /// closed window: it probes the window then for as long as it takes, and does not give up. Into an empty queue it is
    /// taken all the same.
    fn has_room_for(&mut self, segment: &Segment, counters: &mut Counters) -> bool {
        let len = segment.payload.len();
        if segment.seq != self.recv.window.nxt {
            let room = !self.recv.is_overrun() && self.supply != Supply::None;
            if !room {
                // As Linux: nothing is said of it, so that a flood is not answered.
                counters.bump(Counter::TcpExtTCPOFODrop);
            }
            return room;
        }
        // As Linux: what is due is taken into an empty queue even where the host has no memory, so that it goes on.
        let supply = match self.supply {
            Supply::None if self.recv.queue.is_empty() => Supply::Short,
            supply => supply,
        };
        if self.recv.make_room(self.advmss(), supply, counters) {
            return true;
        }
        self.recv.withhold();
        self.recv.acks.owe_now();
        let refused = len > 0 && !self.recv.queue.is_empty();
        if refused {
            counters.bump(Counter::TcpExtTCPRcvQDrop);
        }
        !refused
    }

    /// Nothing follows a FIN. Retransmissions of what came before it say that our acknowledgement was missed.
    fn process_text_after_fin(&mut self, segment: &Segment, counters: &mut Counters) {
        let nxt = self.recv.window.nxt;
        if segment.seq.at_or_after(nxt) {
            return counters.bump(Counter::TapsockTcpInAfterFin);
        }
        if (segment.seq + segment.payload.len() as u32).after(nxt) {
            counters.bump(Counter::TcpExtTCPAbortOnData);
            return self.refuse_data(segment);
        }
        self.note_old(segment, counters);
        self.recv.acks.owe_now();
    }

    /// What `segment` holds of numbers that have come already is to be reported, for its sender believed it to be lost. Says
    /// whether there is any.
    //= RFC 2883 §4
    //= RFC 2883 §4 RULE-1
    //= RFC 2883 §4 RULE-3
    pub(super) fn note_old(&mut self, segment: &Segment, counters: &mut Counters) -> bool {
        self.note_twice(segment.seq, segment.end().earliest(self.recv.window.nxt), counters)
    }

    //= RFC 2883 §4 RULE-1
    fn note_twice(&mut self, start: SeqNumber, end: SeqNumber, counters: &mut Counters) -> bool {
        let reports = self.negotiated.sack && self.options.rare().loss.dsack;
        let noted = reports && self.recv.duplicate.note(start, end);
        if noted {
            let old = start.before(self.recv.window.nxt);
            counters.bump(if old { Counter::TcpExtTCPDSACKOldSent } else { Counter::TcpExtTCPDSACKOfoSent });
        }
        noted
    }

    /// Nothing follows a FIN: bytes that claim to are dropped, and a second FIN elsewhere is none.
    fn trim_behind_fin(&self, segment: &mut Segment) {
        let Some(fin) = self.recv.fin() else { return };
        if segment.control == Some(Control::Fin) {
            if segment.end() - 1 == fin {
                return;
            }
            segment.control = None;
        }
        segment.trim_back(fin);
    }

    /// Takes what is due of a segment that brought `whole` bytes.
    fn take_in_order(&mut self, now: Instant, segment: Segment, whole: usize) {
        let (len, ends) = (segment.payload.len(), segment.control == Some(Control::Fin));
        if len > 0 {
            let arrival = self.arrival(&segment, whole);
            self.learn_share(&arrival, whole);
            self.recv.acks.on_data(now, arrival);
            self.take_marks(&segment);
        }
        self.deliver(segment.payload);
        if len > 0 {
            self.recv.rtt.on_data(now, self.recv.window.nxt, self.recv.window.told());
        }
        // As Linux: little data lets nothing grow.
        if len > 0 && whole >= LEAST_GROWING {
            self.grow_window(whole);
        }
        if ends {
            // As Linux: what came early lies behind the end, and leaves no gap that was filled.
            return;
        }
        let had_gap = !self.recv.reassembly.is_empty();
        while let Some(more) = self.recv.reassembly.take(self.recv.window.nxt) {
            self.deliver(more);
        }
        if had_gap && self.recv.reassembly.is_empty() {
            //= RFC 5681 §4.2
            self.recv.acks.owe_now();
        }
    }

    /// What a segment that brought `whole` bytes tells the policy of acknowledgements.
    fn arrival(&self, segment: &Segment, whole: usize) -> Arrival {
        Arrival {
            segment: segment.gso_size.map_or(whole as u32, u32::from),
            options: segment.options.emitted_len() as u32,
            usual_options: if self.negotiated.timestamps.is_some() { TIMESTAMPS_LEN } else { 0 },
            pushed: segment.push || segment.control == Some(Control::Fin),
            largest: self.advmss(),
            window: self.recv.window.remaining(),
            rto: self.send.rtt.rto(),
        }
    }

    /// A larger segment than before tells how much of the memory of such ones is payload.
    fn learn_share(&mut self, arrival: &Arrival, len: usize) {
        if arrival.segment > self.recv.acks.peer_mss() {
            self.recv.window.learn_share(len);
        }
    }

    /// Lets the window follow what came. As Linux: it opens as the peer makes use of it.
    fn grow_window(&mut self, len: usize) {
        let (largest, held) = (self.advmss(), self.recv.held());
        if self.supply >= Supply::Short {
            return;
        }
        if self.recv.window.grow(len, largest, self.recv.acks.peer_mss(), held) {
            self.recv.acks.note_growth();
        }
    }

    pub(super) fn deliver(&mut self, data: Rope) {
        if data.is_empty() {
            return;
        }
        self.recv.window.nxt += data.len() as u32;
        self.tally.bytes_received += data.len() as u64;
        self.recv.queue.append(data);
        self.note_got_through();
        self.events.add(Event::Readable);
    }

    //= RFC 9293 SHLD-31
    //= RFC 9293 MAY-13
    fn take_out_of_order(&mut self, segment: Segment, counters: &mut Counters) {
        counters.bump(Counter::TcpExtTCPOFOQueue);
        self.take_marks(&segment);
        let seldom = self.recovery.seldom_mut();
        seldom.out_of_order = seldom.out_of_order.wrapping_add(1);
        let len = segment.payload.len();
        // As Linux: what is reported together is no more than what a report has room for.
        let (start, end) = (segment.seq, segment.seq + len as u32);
        let touches = |block: SeqRange| block.start().at_or_before(end) && start.at_or_before(block.end());
        let others = self.recv.reassembly.recent().take_while(|block| !touches(*block)).count();
        let last = if segment.control == Some(Control::Fin) { Last::Yes } else { Last::No };
        if len > 0 {
            let arrival = self.arrival(&segment, len);
            self.learn_share(&arrival, len);
            self.recv.acks.measure(&arrival);
        }
        if self.recv.reassembly.insert(segment.seq, segment.payload, last).is_err() {
            // Nothing is said of it either.
            counters.bump(Counter::TcpExtTCPOFODrop);
            return;
        }
        if let Some(end) = self.recv.reassembly.end().filter(|_| self.holder == Holder::Application) {
            self.recv.window.reach_over_gap(end);
        }
        self.recv.acks.owe_late();
        if others >= REPORTED_TOGETHER {
            self.recv.acks.stop_compressing();
        }
        // As Linux: without SACK only acknowledgements that are all alike tell the peer of the gap.
        if self.negotiated.sack {
            self.grow_window(len);
        }
    }

    /// Takes the FIN, once all before it has come.
    //= RFC 9293 §3.10.7.4
    fn process_fin(&mut self, now: Instant) {
        if self.recv.fin() != Some(self.recv.window.nxt) {
            return;
        }
        self.recv.window.nxt += 1;
        self.tally.bytes_received += 1;
        self.recv.acks.owe_late();
        // As Linux: with the end nothing more is reported, not even what came twice.
        self.recv.reassembly.clear();
        self.recv.duplicate.on_reported();
        self.events.add(Event::Readable);
        self.events.add(Event::Ended);
        match self.state {
            State::Established => {
                self.state = State::CloseWait;
                self.recv.acks.set_interactive(true);
            }
            State::FinWait1 => {
                self.recv.acks.owe_now();
                self.state = State::Closing;
            }
            State::FinWait2 => {
                self.recv.acks.owe_now();
                self.enter_time_wait();
            }
            _ => {}
        }
        self.arm_keep_alive(now);
    }
}
