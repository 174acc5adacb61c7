//! What an acknowledgement says: RFC 9293 §3.10.7.4's fifth check, what was lost, and how much may be in flight.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::congestion::{AckSample, CongestionControl, Limit};
use super::connection::{Connection, Event, Fin};
use super::input::Verdict;
use super::recovery::delivery::Delivered;
use super::recovery::rack::RoundTrip;
use super::recovery::{DUP_THRESHOLD, Phase};
use super::segment::Segment;
use super::send::window::WindowUpdate;
use super::seq::SeqNumber;
use super::seq_ranges::SeqRange;
use super::state::State;
use super::timers::Timer;

impl Connection {
    /// The fifth check: what the segment acknowledges.
    pub(super) fn process_ack(
        &mut self,
        now: Instant,
        segment: &Segment,
        counters: &mut Counters,
    ) -> Verdict {
        let Some(ack) = segment.ack else {
            return Verdict::Drop;
        };
        let window = &mut self.send.window;
        let oldest = window.una - window.max_wnd;
        //= RFC 9293 MAY-12
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
        let update = window.update(segment.seq, ack, window.size_of(segment));
        if update == WindowUpdate::Changed && window.wnd > 0 {
            self.send.persist_backoff = 0;
            self.timers.stop(Timer::Persist);
        }
        //= RFC 9293 MUST-37
        //= RFC 9293 MUST-35
        //= RFC 9293 SHLD-17
        if self.send.window.wnd == 0 && self.send.retries > 0 {
            // It took its window back, and says so: it is not silent.
            self.send.first_retry = now;
        }
        // As Linux: what was held back for more waits no longer than until the peer is heard of.
        self.pending.hold &= !segment.is_empty() && ack == self.send.window.una;
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
        self.after_ack(now, advanced, counters);
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
    pub(super) fn take_ack(&mut self, ack: SeqNumber) -> Delivered {
        let delivered = self.recovery.scoreboard.acknowledge(ack);
        self.tally.bytes_acked += u64::from(ack.saturating_since(self.send.window.una));
        self.send.queue.acknowledge(ack);
        self.send.window.una = ack;
        self.acknowledge_urgent(ack);
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
            self.send.rtt.sample(now, now.saturating_since(sent.at));
        } else if let (Some(_), Some(stamp)) = (self.negotiated.timestamps, segment.options.timestamps)
            && stamp.echo != 0
        {
            let millis = self.timestamp(now).wrapping_sub(stamp.echo);
            if millis < i32::MAX as u32 {
                self.send.rtt.sample(now, Duration::from_millis(millis.max(1).into()));
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
    fn after_ack(&mut self, now: Instant, advanced: bool, counters: &mut Counters) {
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
                self.arm_fin_wait2(now, counters);
            }
            State::Closing => self.enter_time_wait(),
            State::LastAck => self.enter_closed(),
            _ => {}
        }
    }
}

/// What kind of acknowledgement came.
#[derive(Copy, Clone, Debug)]
struct Signal {
    duplicate: bool,
    advanced: bool,
}
