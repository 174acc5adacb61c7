//! Segments on their way in: RFC 9293 §3.10.7.4 as named steps.

use core::time::Duration;

use crate::buf::Rope;
use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;

use super::congestion::{AckSample, CongestionControl, Limit};
use super::connection::{Connection, Event, Fin, Holder, TimestampState};
use super::recovery::rack::RoundTrip;
use super::recovery::scoreboard::Delivered;
use super::recovery::{DUP_THRESHOLD, Phase};
use super::recv::ack_policy::{DELAY, Owed};
use super::segment::{Control, Segment};
use super::send::window::WindowUpdate;
use super::seq::SeqNumber;
use super::seq_ranges::SeqRange;
use super::state::State;
use super::timers::Timer;

/// The least time between two answers to segments that are not acceptable, as Linux's `tcp_invalid_ratelimit`.
//= RFC 5961 §7
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);

/// How long a timestamp of the peer is believed.
//= RFC 7323 §5.5
const TIMESTAMP_LIFE: Duration = Duration::from_secs(24 * 24 * 3600);

/// Whether a step lets the next one see the segment.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "a dropped segment must not reach the next step"]
enum Verdict {
    Continue,
    Drop,
}

impl Connection {
    /// Takes a segment of the peer's.
    //= RFC 9293 §3.10.7.4
    pub fn on_segment(&mut self, now: Instant, segment: Segment, counters: &mut Counters) {
        let mut segment = segment;
        match self.state {
            State::Closed | State::TimeWait => return,
            State::SynSent => match self.on_segment_syn_sent(now, segment, counters) {
                Some(rest) => segment = rest,
                None => return,
            },
            _ => {
                if self.check(now, &segment, counters) == Verdict::Drop {
                    return;
                }
            }
        }
        self.send.probes = 0;
        self.arm_keep_alive(now);
        if self.process_ack(now, &segment, counters) == Verdict::Drop {
            return;
        }
        self.process_text(now, segment, counters);
        if self.recv.acks.owed() == Owed::Delayed && !self.timers.is_set(Timer::DelayedAck) {
            self.timers.set(Timer::DelayedAck, now + DELAY);
        }
    }

    /// The checks that come before anything is believed: timestamp, sequence number, RST, SYN, and the ACK flag.
    fn check(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) -> Verdict {
        let reset = segment.control == Some(Control::Rst);
        if !reset && self.is_too_old(now, segment) {
            counters.bump(Counter::TcpExtPAWSEstab);
            self.challenge(now, segment, counters);
            return Verdict::Drop;
        }
        if !self.is_acceptable(segment) {
            counters.bump(Counter::TcpExtTCPOutOfWindow);
            if !reset {
                self.challenge(now, segment, counters);
            }
            return Verdict::Drop;
        }
        if reset {
            self.on_reset(now, segment, counters);
            return Verdict::Drop;
        }
        //= RFC 5961 §4.2
        if segment.control == Some(Control::Syn) && !self.is_simultaneous(segment) {
            counters.bump(Counter::TcpExtTCPSYNChallenge);
            self.challenge(now, segment, counters);
            return Verdict::Drop;
        }
        let Some(ack) = segment.ack else {
            // The peer's SYN once more: it has not seen our SYN-ACK.
            self.pending.syn |= self.state == State::SynReceived;
            return Verdict::Drop;
        };
        if self.state == State::SynReceived {
            return self.on_ack_of_syn(now, segment, ack);
        }
        Verdict::Continue
    }

    /// Whether this is the SYN that we know, with or without an acknowledgement of ours, in a simultaneous open.
    //= RFC 9293 §3.5
    fn is_simultaneous(&self, segment: &Segment) -> bool {
        self.state == State::SynReceived && segment.seq + 1 == self.recv.window.nxt
    }

    /// PAWS: whether the segment's timestamp is older than what we have seen.
    //= RFC 7323 §5.3
    fn is_too_old(&self, now: Instant, segment: &Segment) -> bool {
        let (Some(state), Some(stamp)) = (self.negotiated.timestamps, segment.options.timestamps) else {
            return false;
        };
        let older = (stamp.value.wrapping_sub(state.recent) as i32) < 0;
        older && now.saturating_since(state.recent_at) < TIMESTAMP_LIFE
    }

    /// Whether any part of the segment lies in the window. As Linux, this lets pass what overlaps bytes received
    /// since our last acknowledgement.
    //= RFC 9293 §3.4
    pub(super) fn is_acceptable(&self, segment: &Segment) -> bool {
        let window = &self.recv.window;
        segment.end().at_or_after(self.recv.acks.acknowledged()) && segment.seq.at_or_before(window.edge())
    }

    //= RFC 9293 §3.10.7.4
    //= RFC 5961 §3.2
    fn on_reset(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) {
        if segment.seq != self.recv.window.nxt {
            self.challenge(now, segment, counters);
            return;
        }
        let error = match self.state {
            State::SynReceived => SocketError::ConnectionRefused,
            State::Established => {
                counters.bump(Counter::TcpEstabResets);
                SocketError::ConnectionReset
            }
            // As Linux: the peer had sent all, so what failed is our writing.
            State::CloseWait => {
                counters.bump(Counter::TcpEstabResets);
                SocketError::BrokenPipe
            }
            _ => SocketError::ConnectionReset,
        };
        self.fail(error);
    }

    /// Answers a segment that can't be right with what we expect, but not too often.
    pub(super) fn challenge(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) {
        let limited = segment.payload.is_empty() || segment.control == Some(Control::Syn);
        if limited {
            let recent = self.pending.last_challenge;
            if recent.is_some_and(|at| now.saturating_since(at) < CHALLENGE_INTERVAL) {
                counters.bump(Counter::TcpExtTCPACKSkippedChallenge);
                return;
            }
            self.pending.last_challenge = Some(now);
        }
        counters.bump(Counter::TcpExtTCPChallengeACK);
        self.recv.acks.owe_now();
    }

    /// Our SYN of a simultaneous open is acknowledged, or something is that we never sent.
    fn on_ack_of_syn(&mut self, now: Instant, segment: &Segment, ack: SeqNumber) -> Verdict {
        if ack != self.send.window.nxt {
            return Verdict::Drop;
        }
        self.establish(now, ack, self.syn_sent());
        let wnd = self.send.window.scale.scale(segment.window);
        self.send.window.start(segment.seq, ack, wnd);
        self.remember_timestamp(now, segment);
        Verdict::Continue
    }

    //= RFC 7323 §4.3
    fn remember_timestamp(&mut self, now: Instant, segment: &Segment) {
        let acknowledged = self.recv.acks.acknowledged();
        if let (Some(state), Some(stamp)) = (&mut self.negotiated.timestamps, segment.options.timestamps)
            && segment.seq.at_or_before(acknowledged)
        {
            *state = TimestampState { recent: stamp.value, recent_at: now };
        }
    }

    /// The fifth check: what the segment acknowledges.
    fn process_ack(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) -> Verdict {
        let Some(ack) = segment.ack else {
            return Verdict::Drop;
        };
        let window = &mut self.send.window;
        let oldest = window.una - window.max_wnd;
        //= RFC 5961 §5.2
        if ack.after(window.nxt) || ack.before(oldest) {
            counters.bump(Counter::TcpExtTCPAckOutOfRange);
            self.challenge(now, segment, counters);
            return Verdict::Drop;
        }
        if ack.before(window.una) {
            return Verdict::Continue;
        }
        self.remember_timestamp(now, segment);
        let window = &mut self.send.window;
        let update = window.update(segment.seq, ack, segment.window);
        if update == WindowUpdate::Changed && window.wnd > 0 {
            self.send.persist_backoff = 0;
            self.timers.stop(Timer::Persist);
        }
        //= RFC 9293 MUST-37
        if self.send.window.wnd == 0 && self.send.retries > 0 {
            // It took its window back, and says so: it is not silent.
            self.send.first_retry = now;
        }
        let waiting = !self.recovery.scoreboard.is_empty();
        //= RFC 5681 §2
        let duplicate =
            waiting && ack == self.send.window.una && segment.is_empty() && update == WindowUpdate::Unchanged;
        let known = self.highest_known();
        let mut delivered = self.take_sack(segment, ack);
        let advanced = ack.after(self.send.window.una);
        if advanced {
            delivered.merge(self.take_ack(ack));
            self.sample_round_trip(now, segment, &delivered);
            self.rearm_retransmission(now);
        }
        if waiting {
            self.recover(now, &delivered, known, Signal { duplicate, advanced }, counters);
        }
        self.after_ack(now, advanced);
        if self.state == State::Closed { Verdict::Drop } else { Verdict::Continue }
    }

    /// The number after the highest that the peer is known to have.
    fn highest_known(&self) -> SeqNumber {
        let una = self.send.window.una;
        self.recovery.scoreboard.highest_sacked().map_or(una, |highest| highest.latest(una))
    }

    /// Takes the SACK blocks. Those below the acknowledgement, or beyond what was sent, say nothing of use.
    //= RFC 2018 §3
    fn take_sack(&mut self, segment: &Segment, ack: SeqNumber) -> Delivered {
        let mut delivered = Delivered::default();
        if !self.negotiated.sack {
            return delivered;
        }
        for &(left, right) in &segment.options.sack {
            let (left, right) = (SeqNumber::new(left), SeqNumber::new(right));
            if left.before(ack) || right.after(self.send.window.nxt) {
                continue;
            }
            if let Some(range) = SeqRange::new(left, right) {
                delivered.merge(self.recovery.scoreboard.on_sack(range));
            }
        }
        delivered
    }

    /// Everything before `ack` has arrived.
    fn take_ack(&mut self, ack: SeqNumber) -> Delivered {
        let delivered = self.recovery.scoreboard.acknowledge(ack);
        self.send.queue.acknowledge(ack);
        self.send.window.una = ack;
        self.send.retries = 0;
        self.soft_error = None;
        // Kept close behind, or after 2^31 bytes it would seem to lie ahead.
        self.send.small_end = self.send.small_end.latest(ack);
        delivered
    }

    /// After the sample, for that may have ended the doubling.
    //= RFC 6298 §5.2
    //= RFC 6298 §5.3
    fn rearm_retransmission(&mut self, now: Instant) {
        if self.recovery.scoreboard.is_empty() {
            self.timers.stop(Timer::Retransmit);
        } else {
            self.timers.set(Timer::Retransmit, now + self.send.rtt.rto());
        }
    }

    /// Karn's rule: what was sent twice gives no sample, but an echoed timestamp does.
    //= RFC 9293 MUST-18
    //= RFC 6298 §3
    //= RFC 7323 §4.1
    fn sample_round_trip(&mut self, now: Instant, segment: &Segment, delivered: &Delivered) {
        let Some(sent) = delivered.latest else { return };
        if !sent.resent {
            self.send.rtt.sample(now.saturating_since(sent.at));
        } else if let (Some(_), Some(stamp)) = (self.negotiated.timestamps, segment.options.timestamps)
            && stamp.echo != 0
        {
            let millis = self.timestamp(now).wrapping_sub(stamp.echo);
            if millis < i32::MAX as u32 {
                self.send.rtt.sample(Duration::from_millis(millis.max(1).into()));
            }
        } else {
            return;
        }
        self.send.rtt.reset_backoff();
    }

    fn round_trip(&self) -> RoundTrip {
        let srtt = self.send.rtt.srtt().unwrap_or(Duration::from_secs(1));
        RoundTrip { min: self.send.rtt.min_rtt().unwrap_or(srtt), srtt }
    }

    /// Looks for losses, enters and leaves recovery, and lets the congestion window grow.
    fn recover(
        &mut self,
        now: Instant,
        delivered: &Delivered,
        known: SeqNumber,
        signal: Signal,
        counters: &mut Counters,
    ) {
        let rtt = self.round_trip();
        self.recovery.rack.on_delivered(now, delivered, rtt, Some(known));
        if signal.advanced
            && self.recovery.until().is_some_and(|until| self.send.window.una.at_or_after(until))
        {
            self.recovery.phase = Phase::Open;
            self.recovery.duplicates = 0;
        }
        if self.negotiated.sack {
            self.detect_losses(now);
        } else {
            self.count_duplicates(signal);
        }
        if self.recovery.phase == Phase::Open && self.recovery.scoreboard.lost() > 0 {
            self.enter_recovery(now, counters);
        }
        if signal.advanced && !matches!(self.recovery.phase, Phase::Recovery { .. }) {
            let slow_start = self.congestion.window() < self.congestion.ssthresh();
            let small = self.congestion.window() / 2 < self.send.peak_flight;
            let limited = self.send.held_by_congestion || (slow_start && small);
            let limit = if limited { Limit::Congestion } else { Limit::Other };
            let sample = AckSample { now, acked: delivered.bytes, srtt: self.send.rtt.srtt(), limit };
            self.congestion.on_ack(&sample);
        }
    }

    /// Marks what was lost by time, where anything hints at a loss, and arms the timer for what is in doubt.
    pub(super) fn detect_losses(&mut self, now: Instant) {
        let recovery = &mut self.recovery;
        if recovery.scoreboard.sacked() == 0 && recovery.phase == Phase::Open {
            self.timers.stop(Timer::Reorder);
            return;
        }
        let rtt = self.round_trip();
        let recovery = &mut self.recovery;
        let in_recovery = recovery.phase != Phase::Open;
        match recovery.rack.detect(now, &mut recovery.scoreboard, rtt, self.send.mss, in_recovery) {
            Some(again) => self.timers.set(Timer::Reorder, again),
            None => self.timers.stop(Timer::Reorder),
        }
    }

    /// Reno's way for peers without SACK: three duplicates, then one segment for each partial acknowledgement.
    //= RFC 6582 §3.2
    fn count_duplicates(&mut self, signal: Signal) {
        let recovery = &mut self.recovery;
        if signal.advanced {
            recovery.duplicates = 0;
            if matches!(recovery.phase, Phase::Recovery { .. }) {
                recovery.scoreboard.lose_front(self.send.mss);
                self.pending.resend = true;
            }
        } else if signal.duplicate {
            recovery.duplicates = recovery.duplicates.saturating_add(1);
            //= RFC 5681 §3.2
            if recovery.duplicates == DUP_THRESHOLD && recovery.phase == Phase::Open {
                recovery.scoreboard.lose_front(self.send.mss);
            }
        }
    }

    /// Begins fast recovery: the window shrinks once, whatever is lost until it ends.
    //= RFC 5681 §3.2
    pub(super) fn enter_recovery(&mut self, now: Instant, counters: &mut Counters) {
        self.recovery.phase = Phase::Recovery { until: self.send.window.nxt };
        self.congestion.on_congestion(now);
        self.pending.resend = true;
        counters.bump(if self.negotiated.sack {
            Counter::TcpExtTCPSackRecovery
        } else {
            Counter::TcpExtTCPRenoRecovery
        });
    }

    /// What an acknowledgement means for the state: our FIN may be through.
    fn after_ack(&mut self, now: Instant, advanced: bool) {
        if !advanced {
            return;
        }
        if self.is_writable() {
            self.events.add(Event::Writable);
        }
        let finished = self.send.fin == Fin::Sent && self.send.window.una == self.send.queue.end() + 1;
        if !finished {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.arm_fin_wait2(now);
            }
            State::Closing => self.enter_time_wait(),
            State::LastAck => self.enter_closed(),
            _ => {}
        }
    }

    /// The seventh and eighth step: the data, and the FIN behind it.
    fn process_text(&mut self, now: Instant, mut segment: Segment, counters: &mut Counters) {
        if segment.is_empty() {
            return;
        }
        if !self.state.can_receive() {
            // Retransmissions of what the peer sent before its FIN: it has missed our acknowledgement.
            self.recv.acks.owe_now();
            return;
        }
        let nxt = self.recv.window.nxt;
        // As Linux: a FIN behind all data is taken into a closed window too, for it needs no room.
        let lone_fin = segment.payload.is_empty() && segment.seq == nxt;
        let beyond = segment.seq.at_or_after(self.recv.window.edge()) && !lone_fin;
        if segment.end().at_or_before(nxt) || beyond {
            self.recv.acks.quicken();
            self.recv.acks.owe_now();
            return;
        }
        segment.trim_front(nxt);
        let nobody_reads = self.holder == Holder::Nobody || self.recv.shut_down;
        if nobody_reads && self.state != State::Established && !segment.payload.is_empty() {
            counters.bump(Counter::TcpExtTCPAbortOnData);
            self.reset();
            return;
        }
        if segment.seq == nxt && self.recv.is_overrun_by(segment.payload.len()) {
            // As Linux: what came early gives way to what is due, or the gap would never be filled.
            counters[Counter::TcpExtOfoPruned] += u64::from(!self.recv.reassembly.is_empty());
            self.recv.reassembly.clear();
        }
        if self.recv.is_overrun_by(segment.payload.len()) {
            counters.bump(Counter::TcpExtTCPRcvQDrop);
            self.recv.acks.owe_now();
            return;
        }
        if !lone_fin {
            segment.trim_back(self.recv.window.edge());
        }
        self.trim_behind_fin(&mut segment);
        if segment.control == Some(Control::Fin) {
            let fin = segment.end() - 1;
            self.recv.fin = Some(fin);
            self.recv.reassembly.truncate(fin);
        }
        if segment.seq == nxt {
            self.take_in_order(segment);
        } else {
            self.take_out_of_order(segment, counters);
        }
        self.process_fin(now);
    }

    /// Nothing follows a FIN: bytes that claim to are dropped, and a second FIN elsewhere is none.
    fn trim_behind_fin(&self, segment: &mut Segment) {
        let Some(fin) = self.recv.fin else { return };
        if segment.control == Some(Control::Fin) {
            if segment.end() - 1 == fin {
                return;
            }
            segment.control = None;
        }
        segment.trim_back(fin);
    }

    fn take_in_order(&mut self, segment: Segment) {
        let size = segment.gso_size.map_or(segment.payload.len() as u32, u32::from);
        let size = size.min(self.sizes.advertised.into());
        self.deliver(segment.payload);
        while let Some(more) = self.recv.reassembly.take(self.recv.window.nxt) {
            self.deliver(more);
            //= RFC 5681 §4.2
            self.recv.acks.owe_now();
        }
        self.recv.acks.on_data(size, self.recv.window.nxt);
        if !self.recv.reassembly.is_empty() {
            self.recv.acks.owe_now();
        }
    }

    fn deliver(&mut self, data: Rope) {
        if data.is_empty() {
            return;
        }
        self.recv.window.nxt += data.len() as u32;
        self.recv.queue.append(data);
        self.events.add(Event::Readable);
    }

    //= RFC 9293 SHLD-31
    fn take_out_of_order(&mut self, segment: Segment, counters: &mut Counters) {
        counters.bump(Counter::TcpExtTCPOFOQueue);
        if self.recv.reassembly.insert(segment.seq, segment.payload).is_err() {
            counters.bump(Counter::TcpExtTCPOFODrop);
        }
        self.recv.acks.quicken();
        self.recv.acks.owe_now();
    }

    /// Takes the FIN, once all before it has come.
    //= RFC 9293 §3.10.7.4
    fn process_fin(&mut self, now: Instant) {
        if self.recv.fin != Some(self.recv.window.nxt) {
            return;
        }
        self.recv.window.nxt += 1;
        self.recv.acks.owe_now();
        self.events.add(Event::Readable);
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(),
            _ => {}
        }
        self.arm_keep_alive(now);
    }
}

/// What kind of acknowledgement came.
#[derive(Copy, Clone, Debug)]
struct Signal {
    duplicate: bool,
    advanced: bool,
}
