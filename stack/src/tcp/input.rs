//! Segments on their way in: RFC 9293 §3.10.7.4 as named steps.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;

use super::connection::{Connection, TimestampState};
use super::recv::ack_policy::{QUICK_ACKS, Situation};
use super::segment::{Control, Segment};
use super::send::Judging;
use super::seq::SeqNumber;
use super::state::State;
use super::timers::Timer;

/// How long a timestamp of the peer is believed.
//= RFC 7323 §5.5
const TIMESTAMP_LIFE: Duration = Duration::from_secs(24 * 24 * 3600);

/// By how many ticks of its sender's clock a timestamp may go back, as in Linux: for hosts that read it before they
/// put their segments in order.
const TIMESTAMP_SLACK: i32 = 1;

/// The part of a round trip for which reports of gaps wait to be put together: the peer notices nothing of it.
const GAP_SHARE: u32 = 20;

/// Whether a step lets the next one see the segment.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "a dropped segment must not reach the next step"]
pub(super) enum Verdict {
    Continue,
    Drop,
}

impl Connection {
    /// Takes a segment of the peer's.
    //= RFC 9293 §3.10.7.4
    pub fn on_segment(&mut self, now: Instant, segment: Segment, counters: &mut Counters) {
        self.count_in(now, &segment);
        self.note_news();
        match self.state {
            State::Closed | State::TimeWait => return counters.bump(Counter::TapsockTcpInClosed),
            State::SynSent => {
                // What the SYN's acknowledgement and window mean was taken with it.
                let Some(rest) = self.on_segment_syn_sent(now, segment, counters) else { return };
                self.process_urgent(&rest);
                self.process_text(now, rest, counters);
            }
            _ => {
                if self.check(now, &segment, counters) == Verdict::Drop {
                    return;
                }
                self.arm_keep_alive(now);
                self.recv.foreseen = self.is_foreseen(&segment);
                let echoes = self.tells_by_echo(&segment);
                if self.process_ack(now, &segment, counters) == Verdict::Drop {
                    return;
                }
                if echoes {
                    self.measure_echo(now, &segment);
                }
                self.answer_echo();
                self.process_urgent(&segment);
                self.process_text(now, segment, counters);
            }
        }
        self.decide_on_ack(now);
    }

    /// Whether a segment is what follows the one before it, with nothing new but its data, and leaves no gap (Linux's header
    /// prediction).
    fn is_foreseen(&self, segment: &Segment) -> bool {
        segment.seq == self.recv.window.nxt
            && segment.control.is_none()
            && segment.urgent.is_none()
            && !segment.ecn.echo
            && !segment.ecn.reduced
            && segment.options.sack.is_empty()
            && self.recv.reassembly.is_empty()
            && self.send.window.size_of(segment) == self.send.window.wnd
    }

    /// Something came, or was written: what is sent next tells of the use of the window.
    pub(super) fn note_news(&mut self) {
        if self.send.judging == Judging::Never {
            self.send.judging = Judging::IfFull;
        }
        self.recovery.scoreboard.part_here();
    }

    fn count_in(&mut self, now: Instant, segment: &Segment) {
        let (tally, len) = (&mut self.tally, segment.payload.len() as u32);
        let count = segment.gso_size.map_or(1, |size| len.div_ceil(u32::from(size).max(1)).max(1));
        tally.segs_in = tally.segs_in.wrapping_add(count);
        if len > 0 {
            tally.data_segs_in = tally.data_segs_in.wrapping_add(count);
        }
        if segment.ack.is_some() {
            tally.last_ack = now;
        }
        self.count_marks(segment, count);
    }

    /// Whether the timestamp that a segment echoes is looked at. As Linux: not in the handshake, and not of acknowledgements
    /// that tell nothing else.
    fn tells_by_echo(&mut self, segment: &Segment) -> bool {
        let first = core::mem::take(&mut self.recv.opening);
        let quiet = segment.is_empty()
            && segment.options.sack.is_empty()
            && self.recv.reassembly.is_empty()
            && self.send.window.size_of(segment) == self.send.window.wnd;
        self.state == State::Established && !first && !quiet
    }

    /// A segment of the peer's full size tells the round trip by the timestamp that it echoes.
    fn measure_echo(&mut self, now: Instant, segment: &Segment) {
        if let Some(echo) = self.echo_of(segment) {
            let full = segment.end() - segment.seq >= self.recv.acks.peer_mss() as i32;
            self.recv.rtt.on_echo(now.as_millis() as u32, echo, full, self.recv.queue.is_empty());
        }
    }

    /// The round trip as the receiver knows it, and no longer than the sender does. As Linux: none, where the receiver does
    /// not know it.
    fn receiver_round_trip(&self) -> Duration {
        let known = self.recv.rtt.estimate().unwrap_or_default();
        self.send.rtt.srtt().map_or(known, |rtt| rtt.min(known))
    }

    /// Whether what is owed to the peer goes now, or when.
    fn decide_on_ack(&mut self, now: Instant) {
        let mss = self.recv.acks.peer_mss();
        // As Linux, which looks at the window where more than a segment waits.
        if self.recv.acks.waiting(self.recv.window.nxt) > mss {
            self.recv.look_for_room(self.advmss(), self.supply);
        }
        let situation = Situation {
            nxt: self.recv.window.nxt,
            edge_advances: self.recv.window.may_follow(self.recv.held(), mss),
            has_gap: !self.recv.reassembly.is_empty(),
            sack: self.negotiated.sack,
            rtt: self.send.rtt.srtt(),
            gap_wait: self.receiver_round_trip() / GAP_SHARE,
            compress: (self.options.compressed_acks, self.options.rare().loss.compression),
        };
        let reports_gap = situation.has_gap;
        let Some(delay) = self.recv.acks.decide(situation) else { return };
        let due = self.timers.at(Timer::DelayedAck);
        // As Linux: what is due within a quarter of the wait need not wait for that.
        if !reports_gap && due <= now + delay / 4 {
            self.recv.acks.owe_now();
        } else if now + delay < due {
            self.timers.set(Timer::DelayedAck, now + delay);
        }
    }

    /// The checks that come before anything is believed: timestamp, sequence number, RST, SYN, and the ACK flag.
    //= RFC 5961 §3.2 MUST-2
    //= RFC 5961 §3.2 MUST-3
    //= RFC 5961 §3.2 MUST-4
    //= RFC 5961 §4.2 MUST-1
    //= RFC 5961 §4.2 MUST-2
    //= RFC 7323 §5.2 MUST-2
    fn check(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) -> Verdict {
        let reset = segment.control == Some(Control::Rst);
        // As Linux: what acknowledges nothing is not looked at, but for a reset and a SYN.
        //= RFC 9293 §3.10.7.4
        if segment.ack.is_none() && !matches!(segment.control, Some(Control::Rst | Control::Syn)) {
            counters.bump(Counter::TapsockTcpInNoAck);
            return Verdict::Drop;
        }
        if !reset && self.check_timestamp(now, segment, counters) == Verdict::Drop {
            return Verdict::Drop;
        }
        if reset && self.is_resetting(segment) {
            self.on_reset(counters);
            return Verdict::Drop;
        }
        if let Some(counter) = self.unacceptable(segment) {
            counters.bump(counter);
            if !reset {
                self.answer_unacceptable(now, segment, Counter::TcpExtTCPACKSkippedSeq, counters);
            }
            return Verdict::Drop;
        }
        if reset {
            self.doubt_way_on_reset();
            self.challenge(now, counters);
            return Verdict::Drop;
        }
        if self.is_early_syn(segment) {
            self.answer_syn_again(now, counters);
            return Verdict::Drop;
        }
        //= RFC 5961 §4.2
        if segment.control == Some(Control::Syn) && !self.is_simultaneous(segment) {
            self.challenge_syn(now, counters);
            return Verdict::Drop;
        }
        //= RFC 9293 §3.10.7.4
        let Some(ack) = segment.ack else {
            counters.bump(Counter::TapsockTcpInNoAck);
            return Verdict::Drop;
        };
        if self.state == State::SynReceived {
            return self.on_ack_of_syn(now, segment, ack, counters);
        }
        Verdict::Continue
    }

    /// Whether this is the peer's SYN-ACK of a simultaneous open. As Linux: it holds no data, and where the SYN comes
    /// again without an acknowledgement the peer is told what we expect, for our SYN-ACK has a timer of its own.
    //= RFC 9293 §3.5
    fn is_simultaneous(&self, segment: &Segment) -> bool {
        self.state == State::SynReceived && segment.ack.is_some() && segment.end() == self.recv.window.nxt
    }

    /// PAWS: drops a segment whose timestamp is older than what we have seen.
    //= RFC 7323 §5.3
    //= RFC 7323 §3.2 MUST-5
    //= RFC 7323 §3.2 MUST-6
    //= RFC 7323 §5.3 MUST-1
    //= RFC 7323 §5.3 MUST-2
    //= RFC 7323 §5.3 MUST-3
    fn check_timestamp(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) -> Verdict {
        let (Some(state), Some(stamp)) = (self.negotiated.timestamps, segment.options.timestamps) else {
            return Verdict::Continue;
        };
        let age = state.age_of(stamp.value);
        if age <= TIMESTAMP_SLACK || state.is_outlived(now) {
            return Verdict::Continue;
        }
        if segment.control.is_none() && segment.ack.is_some() && segment.payload.is_empty() {
            // As Linux: acknowledgements that the network has put behind others are not answered, for two hosts that
            // both sent such would answer each other for ever.
            if segment.seq.before(self.recv.window.nxt) {
                counters.bump(Counter::TcpExtPAWSOldAck);
                return Verdict::Drop;
            }
            if self.is_overtaken_ack(segment, age) {
                return Verdict::Continue;
            }
        }
        counters.bump(Counter::TcpExtPAWSEstab);
        self.answer_unacceptable(now, segment, Counter::TcpExtTCPACKSkippedPAWS, counters);
        Verdict::Drop
    }

    /// Whether a bare acknowledgement says nothing new, and is older by no more than a time-out of the peer's clock,
    /// which may be a fifth faster than ours.
    fn is_overtaken_ack(&self, segment: &Segment, age_ms: i32) -> bool {
        let send = &self.send.window;
        segment.ack == Some(send.una)
            && segment.seq == self.recv.window.nxt
            && !send.is_newer(segment.seq, send.una, send.size_of(segment))
            && u128::from(age_ms.unsigned_abs()) * 10 <= self.send.rtt.rto().as_millis() * 12
    }

    /// Where a segment has no business here, what counts it. As Linux, this lets pass what overlaps bytes received since our
    /// last acknowledgement, and into an empty queue what begins in the window, however far it reaches.
    //= RFC 9293 §3.4
    //= RFC 7323 §2.4 MUST-2
    fn unacceptable(&self, segment: &Segment) -> Option<Counter> {
        let window = &self.recv.window;
        if segment.end().before(self.recv.acks.acknowledged()) {
            return Some(Counter::TcpExtTCPOutOfWindow);
        }
        let limit = window.nxt + window.remaining();
        let fin = u32::from(segment.control == Some(Control::Fin));
        let begins_beyond = segment.seq.after(limit);
        let beyond = (segment.end() - fin).after(limit) && (begins_beyond || !self.recv.queue.is_empty());
        beyond.then_some(Counter::TcpExtBeyondWindow)
    }

    pub(super) fn is_acceptable(&self, segment: &Segment) -> bool {
        self.unacceptable(segment).is_none()
    }

    /// Whether a reset has the number that the peer knows us to expect. As Linux, that may be the end of the highest
    /// block that we report, and the number of its FIN, whose acknowledgement it may have missed.
    //= RFC 5961 §3.2
    //= RFC 5961 §3.2 MUST-1
    fn is_resetting(&self, segment: &Segment) -> bool {
        let nxt = self.recv.window.nxt;
        let after_fin = matches!(self.state, State::CloseWait | State::LastAck | State::Closing);
        let reported = self.negotiated.sack.then(|| self.recv.reassembly.reported_end()).flatten();
        segment.seq == nxt || after_fin && segment.seq + 1 == nxt || reported == Some(segment.seq)
    }

    //= RFC 9293 §3.10.7.4
    //= RFC 9293 MUST-11
    //= RFC 9293 SHLD-2
    //= RFC 5961 §4.2 MUST-3
    fn on_reset(&mut self, counters: &mut Counters) {
        let error = match self.state {
            // As Linux: the peer had sent all, so what failed is our writing.
            State::CloseWait => SocketError::BrokenPipe,
            State::SynReceived => {
                counters.bump(Counter::TcpAttemptFails);
                SocketError::ConnectionReset
            }
            _ => SocketError::ConnectionReset,
        };
        self.settle_early(true);
        self.fail(error);
    }

    /// Asks whoever sent what can't be right to prove that it is the peer, by what it answers; not too often, for it may
    /// be somebody who looks for the numbers.
    //= RFC 5961 §7
    pub(super) fn challenge(&mut self, now: Instant, counters: &mut Counters) {
        if self.may_answer(now, Counter::TcpExtTCPACKSkippedChallenge, counters) && !self.mute {
            counters.bump(Counter::TcpExtTCPChallengeACK);
            self.recv.acks.owe_now();
        }
    }

    fn challenge_syn(&mut self, now: Instant, counters: &mut Counters) {
        counters.bump(Counter::TcpExtTCPSYNChallenge);
        self.challenge(now, counters);
    }

    /// Answers a segment out of the window, or from the past, with what we expect. As Linux: where it brings something
    /// its sender is to hear at once that it is no use, and where that is old the sender has missed our acknowledgement, so
    /// the next go at once; others are answered no more often than `skipped` counts.
    fn answer_unacceptable(
        &mut self,
        now: Instant,
        segment: &Segment,
        skipped: Counter,
        counters: &mut Counters,
    ) {
        if segment.control == Some(Control::Syn) {
            return self.challenge_syn(now, counters);
        }
        self.note_old(segment, counters);
        if !segment.is_empty() && segment.seq.before(self.recv.window.nxt) {
            counters.bump(Counter::TcpExtDelayedACKLost);
            self.recv.acks.quicken(self.recv.window.remaining(), QUICK_ACKS);
        }
        if !segment.is_empty() || self.may_answer(now, skipped, counters) {
            self.recv.acks.owe_now();
        }
    }

    /// Whether the last answer to what can't be right is long enough ago; where not, `skipped` counts.
    fn may_answer(&mut self, now: Instant, skipped: Counter, counters: &mut Counters) -> bool {
        let at = (now.as_millis() as u32).wrapping_add(1);
        let passed = self.tally.challenged.map(|last| at.wrapping_sub(last.get()));
        let may = passed.is_none_or(|passed| passed >= self.options.invalid_ratelimit_ms.into());
        if may {
            self.tally.challenged = NonZeroU32::new(at);
        } else {
            counters.bump(skipped);
        }
        may
    }

    /// The SYN that has opened the connection came again: our SYN-ACK was lost, or is late.
    fn answer_syn_again(&mut self, now: Instant, counters: &mut Counters) {
        self.pending.syn |= self.may_answer(now, Counter::TcpExtTCPACKSkippedSynRecv, counters);
    }

    /// Our SYN of a simultaneous open is acknowledged, or something is that we never sent.
    fn on_ack_of_syn(
        &mut self,
        now: Instant,
        segment: &Segment,
        ack: SeqNumber,
        counters: &mut Counters,
    ) -> Verdict {
        if !self.covers_syn(ack) {
            return Verdict::Drop;
        }
        self.send.syn_counts = !self.is_early();
        self.establish(now, self.send.queue.base(), self.syn_sent());
        self.leave_loss_of_syn_ack(now, segment, counters);
        let wnd = self.send.window.size_of(segment);
        self.send.window.start(segment.seq, wnd);
        self.remember_timestamp(now, segment);
        Verdict::Continue
    }

    //= RFC 7323 §4.3
    //= RFC 7323 §3.2 MUST-2
    //= RFC 7323 §4.3 MUST-1
    //= RFC 7323 §5.2 MUST-1
    //= RFC 7323 §5.2 MUST-3
    pub(super) fn remember_timestamp(&mut self, now: Instant, segment: &Segment) {
        let acknowledged = self.recv.acks.acknowledged();
        if let (Some(state), Some(stamp)) = (&mut self.negotiated.timestamps, segment.options.timestamps)
            && segment.seq.at_or_before(acknowledged)
            && (state.age_of(stamp.value) <= 0 || state.is_outlived(now))
        {
            *state = TimestampState::new(stamp.value, now);
        }
    }
}

impl TimestampState {
    pub(super) fn new(recent: u32, now: Instant) -> Self {
        TimestampState { recent, recent_secs: NonZeroU32::MIN.saturating_add(now.as_secs() as u32) }
    }

    /// By how much `value` is older than the latest, in ticks of the peer's clock; negative where it is newer.
    fn age_of(&self, value: u32) -> i32 {
        age_of_stamp(self.recent, value)
    }

    /// Whether the latest is so old that the peer's clock may have come round since.
    fn is_outlived(&self, now: Instant) -> bool {
        (now.as_secs() + 1).saturating_sub(self.recent_secs.get().into()) >= TIMESTAMP_LIFE.as_secs()
    }
}

/// By how much a time stamp of `value` is older than `recent`, in ticks of the peer's clock; negative where it is newer.
/// As Linux: a latest stamp of zero says nothing, for there are SYNs that bear it whatever their sender's clock.
pub(super) fn age_of_stamp(recent: u32, value: u32) -> i32 {
    if recent == 0 { 0 } else { recent.wrapping_sub(value) as i32 }
}
