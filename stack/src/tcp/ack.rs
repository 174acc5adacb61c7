//! What an acknowledgement says: RFC 9293 §3.10.7.4's fifth check, what was lost, and how much may be in flight.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::congestion::RttSample;
use super::connection::{Connection, Event, Holder};
use super::input::Verdict;
use super::recovery::delivery::{Delivered, Known, Span};
use super::recovery::rack::RoundTrip;
use super::recovery::{News, Phase, Recovery, Scene, Standing};
use super::segment::Segment;
use super::send::Fin;
use super::send::window::WindowUpdate;
use super::seq::SeqNumber;
use super::seq_ranges::{MAX_SACK_BLOCKS, SeqRange};
use super::state::State;
use super::timers::Timer;

impl Connection {
    /// The fifth check: what the segment acknowledges.
    //= RFC 5961 §5.2 MUST-1
    //= RFC 5961 §5.2 MUST-2
    pub(super) fn process_ack(
        &mut self,
        now: Instant,
        segment: &Segment,
        counters: &mut Counters,
    ) -> Verdict {
        let Some(ack) = segment.ack else {
            return Verdict::Drop;
        };
        let window = &self.send.window;
        // As Linux: no earlier than what the peer's window could hold, nor than what was ever sent.
        let behind = u64::from(window.max_wnd).min(self.bytes_acked()) as u32;
        let oldest = window.una - behind;
        //= RFC 9293 MAY-12
        //= RFC 5961 §5.2
        if ack.after(window.nxt) || ack.before(oldest) {
            counters.bump(Counter::TcpExtTCPAckOutOfRange);
            self.challenge(now, counters);
            return Verdict::Drop;
        }
        if ack.before(window.una) {
            self.process_late_ack(now, segment, ack, counters);
            return Verdict::Continue;
        }
        if segment.is_empty() {
            counters.bump(Counter::TcpExtTCPPureAcks);
        }
        self.send.probes = 0;
        self.remember_timestamp(now, segment);
        let window = &mut self.send.window;
        let wnd = window.size_of(segment);
        let newer = window.is_newer(segment.seq, ack, wnd);
        let largest = window.max_wnd;
        let update = window.update(segment.seq, ack, wnd);
        let grows = window.max_wnd > largest;
        self.pending.idle_check |= update == WindowUpdate::Changed;
        if update == WindowUpdate::Changed && window.wnd > 0 {
            self.send.persist_backoff = 0;
            self.timers.stop(Timer::Persist);
        }
        match (grows, largest) {
            // As Linux: the window that ends the handshake is heeded before the search for the path's size begins.
            (true, 0) => self.send.mss = self.send.mss.min(self.most_of_window()),
            (true, _) => self.update_mss(),
            _ => {}
        }
        // As Linux: what was held back for more waits no longer than until the peer is heard of.
        // (But for data that is as expected, and acknowledges nothing new.)
        self.pending.hold &= self.recv.foreseen && !segment.is_empty() && ack == self.send.window.una;
        let advanced = ack.after(self.send.window.una);
        let prior_una = self.send.window.una;
        if !self.recovery.scoreboard.is_empty() {
            let mut news = self.news(now, segment);
            (news.advanced, news.window) = (advanced, newer);
            self.take_sack(segment, ack, &mut news, counters);
            self.take_ack(ack, &mut news.delivered);
            self.note_arrival_of_trial(counters);
            news.round_trip = self.sample_round_trip(now, segment, &news.delivered, counters);
            let (before, delivered) = (self.recovery.phase, self.recovery.delivered);
            let (recovery, mut scene) = self.scene(now, prior_una, Some(segment), counters);
            let rearm = recovery.on_ack(&mut scene, &news);
            if before == Phase::Loss && self.recovery.phase != Phase::Loss {
                self.send.retries = 0;
                self.recovery.end_timeouts(now);
            }
            self.count_marked(&news, delivered, counters);
            self.rearm_loss_timer(now, rearm);
        } else if !segment.options.sack.is_empty() || self.recovery.probe.is_out() {
            self.take_idle_ack(now, segment, ack, newer, counters);
        }
        self.after_ack(now, advanced.then_some(segment), counters);
        // As Linux: where our FIN was all that was waited for, nothing more of the segment is looked at.
        if matches!(self.state, State::Closed | State::TimeWait) { Verdict::Drop } else { Verdict::Continue }
    }

    /// What was delivered since there were `before`, where the acknowledgement tells of a mark (`tcpi_delivered_ce`).
    fn count_marked(&mut self, news: &News, before: u32, counters: &mut Counters) {
        let delivered = self.recovery.delivered.wrapping_sub(before);
        if news.echo && delivered > 0 {
            let seldom = self.recovery.seldom_mut();
            seldom.delivered_marked = seldom.delivered_marked.wrapping_add(delivered);
            counters[Counter::TcpExtTCPDeliveredCE] += u64::from(delivered);
        }
    }

    /// An acknowledgement that was overtaken by a later one. Its reports may still tell something.
    fn process_late_ack(&mut self, now: Instant, segment: &Segment, ack: SeqNumber, counters: &mut Counters) {
        if segment.options.sack.is_empty() || !self.negotiated.sack {
            return;
        }
        let mut news = self.news(now, segment);
        news.window = true;
        self.take_sack(segment, ack, &mut news, counters);
        let una = self.send.window.una;
        let (recovery, mut scene) = self.scene(now, una, Some(segment), counters);
        let rearm = recovery.on_late_ack(&mut scene, &news);
        self.rearm_loss_timer(now, rearm);
    }

    /// Nothing is in flight, but the peer may report what it received twice, or answer a probe.
    fn take_idle_ack(
        &mut self,
        now: Instant,
        segment: &Segment,
        ack: SeqNumber,
        newer: bool,
        counters: &mut Counters,
    ) {
        let mut news = self.news(now, segment);
        news.window = newer;
        self.take_sack(segment, ack, &mut news, counters);
        let (recovery, mut scene) = self.scene(now, ack, Some(segment), counters);
        recovery.on_idle_ack(&mut scene, &news);
    }

    /// What is known before the reports of `segment` are looked at.
    pub(super) fn news(&self, now: Instant, segment: &Segment) -> News {
        let una = self.send.window.una;
        let highest = self.recovery.scoreboard.highest_sacked().map_or(una, |highest| highest.latest(una));
        let known = Known {
            now,
            min_rtt: self.round_trip().min,
            highest,
            high_seq: self.recovery.high_seq,
            echo: self.echo_of(segment),
        };
        News {
            advanced: false,
            data: !segment.is_empty(),
            window: false,
            echo: self.is_echo(segment),
            delivered: Delivered::new(known),
            in_flight: self.recovery.in_flight(),
            round_trip: None,
            duplicate: 0,
            duplicate_probe: false,
        }
    }

    /// The timestamp that `segment` echoes, by our clock.
    pub(super) fn echo_of(&self, segment: &Segment) -> Option<u32> {
        let stamp = segment.options.timestamps.filter(|stamp| stamp.echo != 0)?;
        self.negotiated.timestamps.map(|_| stamp.echo.wrapping_sub(self.negotiated.timestamp_offset))
    }

    /// Recovery, and what it is to know now, where `segment` came, if any.
    pub(super) fn scene<'a>(
        &'a mut self,
        now: Instant,
        prior_una: SeqNumber,
        segment: Option<&Segment>,
        counters: &'a mut Counters,
    ) -> (&'a mut Recovery, Scene<'a>) {
        let window = &self.send.window;
        let unsent = self.send.queue.end().after(window.nxt) || self.send.fin == Fin::Queued;
        let scene = Scene {
            now,
            prior_una,
            una: window.una,
            nxt: window.nxt,
            mss: self.send.mss,
            sack: self.negotiated.sack,
            rtt: self.round_trip(),
            echo: segment.and_then(|segment| self.echo_of(segment)),
            has_new: unsent && window.usable() > 0,
            due: self.send.pacer.as_ref().map_or(now, |pacer| pacer.due(now)),
            dice: self.dice(),
            options: self.options.rare().loss,
            congestion: &mut self.congestion,
            counters,
        };
        (&mut self.recovery, scene)
    }

    /// Takes the SACK blocks. The first may tell what was received twice. Those below the acknowledgement, or beyond
    /// what was sent, say nothing of use, nor do those that begin with it: they would have been acknowledged.
    //= RFC 2018 §3
    //= RFC 2883 §4
    //= RFC 2883 §5 MUST-1
    fn take_sack(&mut self, segment: &Segment, ack: SeqNumber, news: &mut News, counters: &mut Counters) {
        if !self.negotiated.sack {
            return;
        }
        let mut ranges: ArrayVec<SeqRange, MAX_SACK_BLOCKS> = ArrayVec::new();
        let blocks = segment.options.sack.iter();
        let blocks = blocks.map(|&(left, right)| (SeqNumber::new(left), SeqNumber::new(right)));
        let mut second = blocks.clone().skip(1);
        let mut first = true;
        for (left, right) in blocks {
            let inside =
                |(outer, end): (SeqNumber, SeqNumber)| left.at_or_after(outer) && right.at_or_before(end);
            let old = first && left.before(ack);
            let twice = old || first && second.next().is_some_and(inside);
            first = false;
            let Some(range) = SeqRange::new(left, right).filter(|_| right.at_or_before(self.send.window.nxt))
            else {
                counters.bump(Counter::TcpExtTCPSACKDiscard);
                continue;
            };
            if twice {
                self.take_duplicate(range, old, news, counters);
            } else if left.at_or_before(ack) && right.after(ack) {
                counters.bump(Counter::TcpExtTCPSACKDiscard);
            }
            if left.after(ack) {
                // As they lie: what arrived first tells of reordering only where it lies behind what was known before.
                let place = ranges.partition_point(|other| other.start().before(left));
                ranges.insert(place, range);
            }
        }
        for range in ranges {
            self.recovery.scoreboard.on_sack(range, &mut news.delivered);
        }
    }

    fn take_duplicate(&mut self, range: SeqRange, old: bool, news: &mut News, counters: &mut Counters) {
        counters.bump(if old { Counter::TcpExtTCPDSACKRecv } else { Counter::TcpExtTCPDSACKOfoRecv });
        let Connection { send, recovery, .. } = self;
        let standing = Standing { una: send.window.una, max_wnd: send.window.max_wnd, mss: send.mss };
        let duplicate = recovery.on_duplicate_report(range, &standing, counters);
        (news.duplicate, news.duplicate_probe) = (duplicate.segments, duplicate.probe);
    }

    /// Everything before `ack` has arrived.
    //= RFC 2018 §8 MUST-4
    //= RFC 6675 §4 MUST-1
    pub(super) fn take_ack(&mut self, ack: SeqNumber, delivered: &mut Delivered) {
        if ack == self.send.window.una {
            return;
        }
        self.recovery.scoreboard.acknowledge(ack, delivered);
        self.tally.bytes_acked += u64::from(ack.saturating_since(self.send.window.una));
        self.send.queue.acknowledge(ack);
        self.send.records.acknowledge(ack);
        self.send.window.una = ack;
        self.acknowledge_urgent(ack);
        self.send.retries = 0;
        self.soft_error = None;
        // Kept close behind, or after 2^31 bytes it would seem to lie ahead.
        self.send.small_end = self.send.small_end.latest(ack);
    }

    /// The round trip of what was just delivered. Karn's rule: what was sent twice gives no sample, but an echoed
    /// timestamp does. As in Linux the time-out follows the oldest segment of it, the minimum the latest.
    //= RFC 9293 MUST-18
    //= RFC 6298 §3
    //= RFC 7323 §4.1
    //= RFC 6298 §3 MUST-1
    //= RFC 6298 §3 MUST-2
    //= RFC 6298 §3 MUST-3
    fn sample_round_trip(
        &mut self,
        now: Instant,
        segment: &Segment,
        delivered: &Delivered,
        counters: &mut Counters,
    ) -> Option<Duration> {
        let in_order = delivered.in_order.filter(|_| !delivered.resent_acked);
        let stamped = || {
            let echo = self.echo_of(segment).filter(|_| delivered.acked > 0)?;
            let millis = (now.as_millis() as u32).wrapping_sub(echo);
            let rtt = Duration::from_millis(millis.max(1).into());
            (millis < i32::MAX as u32).then_some((rtt, rtt))
        };
        let span = |span: Span| (now.saturating_since(span.first), now.saturating_since(span.last));
        let sample = match (in_order.map(span), delivered.reported.map(span)) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (one, other) => one.or(other).or_else(stamped),
        };
        let (first, last) = sample?;
        let (una, nxt) = (self.send.window.una, self.send.window.nxt);
        self.send.rtt.sample_min(now, last);
        self.send.rtt.sample_in_flight(first, una, nxt);
        self.send.rtt.reset_backoff();
        let paced = self.send.pacer.is_some();
        let rtt = RttSample { now, rtt: last, una, nxt, burst: self.burst_time(), paced };
        self.congestion.on_round_trip(&rtt, counters);
        Some(last)
    }

    fn round_trip(&self) -> RoundTrip {
        let unknown = RoundTrip::UNKNOWN;
        RoundTrip {
            min: self.send.rtt.min_rtt().unwrap_or(unknown.min),
            srtt: self.send.rtt.srtt().unwrap_or(unknown.srtt),
        }
    }

    /// What an acknowledgement means for the state: our FIN may be through.
    fn after_ack(&mut self, now: Instant, advancing: Option<&Segment>, counters: &mut Counters) {
        let Some(segment) = advancing else { return };
        self.grow_buffer();
        if self.is_writable() {
            self.send.starved = false;
            self.events.add(Event::Writable);
        }
        let finished = self.send.fin == Fin::Sent && self.send.window.una == self.send.queue.end() + 1;
        if !finished {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                // As Linux: an orphan that is not to wait is a connection that is gone.
                if self.holder == Holder::Nobody && self.options.fin_timeout_secs.is_none() {
                    counters.bump(Counter::TcpExtTCPAbortOnData);
                    return self.refuse_data(segment);
                }
                self.arm_fin_wait2(now, counters);
            }
            State::Closing => self.enter_time_wait(),
            State::LastAck => self.enter_closed(),
            _ => {}
        }
    }
}
