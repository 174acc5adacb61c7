//! Segments on their way out: what to send next, and whether now.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::congestion::{Flight, Start};
use super::connection::{Connection, Filling};
use super::loss_timer::Since;
use super::mtu_search::Trying;
use super::recovery::scoreboard::Sending;
use super::recovery::{Phase, Resend};
use super::recv::ack_policy::Owed;
use super::segment::{Control, Segment};
use super::send::busy::Wait;
use super::send::{Fin, Judging};
use super::seq_ranges::SeqRange;
use super::state::State;
use super::timers::Timer;

/// Frames of fewer segments are not worth waiting for.
const LARGE_BURST: u32 = 16;

/// Where bursts are not to be a share of the window, one of so many segments is large enough.
const DEFERRED_SEGMENTS: u32 = 3;

/// A program that writes without a pause may make larger bursts.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// An acknowledgement that is further away is not waited for, however much more it would let go at once.
const NEAR: Duration = Duration::from_millis(1);

impl Connection {
    /// The next segment to be sent, with up to `max_payload` bytes where the link cuts it, or `None` where there is
    /// nothing to be sent now. `gso_size` is set where it stands for several.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        max_payload: usize,
        counters: &mut Counters,
    ) -> Option<Segment> {
        let segment = if self.pending.reset {
            self.poll_reset(now, counters)
        } else {
            let segment = self.poll_by_state(now, max_payload, counters);
            segment.or_else(|| self.poll_farewell(now, counters))
        };
        if let Some(segment) = &segment {
            self.note_sent(segment);
        }
        segment
    }

    fn poll_by_state(
        &mut self,
        now: Instant,
        max_payload: usize,
        counters: &mut Counters,
    ) -> Option<Segment> {
        match self.state {
            State::Closed => None,
            State::SynSent => self.poll_syn(now, counters),
            State::SynReceived if !self.pending.syn && self.may_send_early() => {
                self.poll_new(now, max_payload, counters).or_else(|| self.poll_ack(now, counters))
            }
            State::SynReceived => self.poll_syn(now, counters).or_else(|| self.poll_ack(now, counters)),
            _ => self
                .poll_tail_probe(now, counters)
                .or_else(|| self.poll_resend(now, max_payload, counters))
                .or_else(|| self.poll_new(now, max_payload, counters))
                .or_else(|| self.poll_resend_after_new(now, max_payload, counters))
                .or_else(|| self.poll_probe(now, counters))
                .or_else(|| self.poll_ack(now, counters)),
        }
    }

    /// Segments that the congestion window lets go.
    //= RFC 5681 §2 MUST-1
    //= RFC 5681 §3 MUST-2
    pub(super) fn congestion_room(&self) -> u32 {
        self.congestion.window().saturating_sub(self.recovery.in_flight())
    }

    /// Payload of a full segment that carries what `options` holds beside timestamps.
    pub(super) fn payload_size(&self, options: &TcpOptions) -> u32 {
        self.payload_beside(options.sack.len())
    }

    /// Payload of a full segment, were it sent now.
    pub(super) fn current_payload(&self) -> u32 {
        self.payload_beside(if self.negotiated.sack { self.reports().count() } else { 0 })
    }

    fn payload_beside(&self, blocks: usize) -> u32 {
        let sack = if blocks == 0 { 0 } else { 4 + 8 * blocks as u32 };
        self.send.mss.saturating_sub(sack).max(1)
    }

    /// What an acknowledgement reports beside what comes in order.
    //= RFC 2883 §4
    fn reports(&self) -> impl Iterator<Item = SeqRange> {
        let most = if self.negotiated.timestamps.is_some() { 3 } else { 4 };
        self.recv.duplicate.range().into_iter().chain(self.recv.reassembly.recent()).take(most)
    }

    /// F-RTO tries new data first. Where there is none, what was lost goes as after any time-out.
    //= RFC 5682 §3.1
    fn poll_resend_after_new(
        &mut self,
        now: Instant,
        max_payload: usize,
        counters: &mut Counters,
    ) -> Option<Segment> {
        if self.recovery.resend == Resend::NewFirst && self.recovery.after_new(self.send.window.nxt) {
            return self.poll_resend(now, max_payload, counters);
        }
        None
    }

    /// Data that was never sent, and the FIN behind it.
    fn poll_new(&mut self, now: Instant, max_payload: usize, counters: &mut Counters) -> Option<Segment> {
        let segment = self.next_new(now, max_payload, counters);
        if segment.is_some() {
            self.send.judging = Judging::Due;
        } else {
            self.judge_window(now);
            self.note_wait(now);
        }
        segment
    }

    fn next_new(&mut self, now: Instant, max_payload: usize, counters: &mut Counters) -> Option<Segment> {
        self.send.held = false;
        self.restart_after_idle(now);
        let unsent = self.send.queue.end().saturating_since(self.send.window.nxt);
        let fin = self.send.fin == Fin::Queued;
        if unsent == 0 && !fin || self.recovery.scoreboard.is_full() || self.waits_for_pace(now) {
            return None;
        }
        match self.poll_trial(now, counters) {
            Some(Trying::Now(segment)) => return Some(segment),
            Some(Trying::Later) => return None,
            None => {}
        }
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        let burst = self.largest_burst(size);
        let max_payload = burst.min(u32::try_from(max_payload).unwrap_or(u32::MAX));
        let Some(len) = self.sendable(now, self.next_record(unsent), size, max_payload) else {
            self.arm_persist(now);
            return None;
        };
        // A FIN has a number, which must fit the window as a byte's does.
        let with_fin = fin && len == unsent && self.send.window.usable() > len;
        if len == 0 && !with_fin {
            self.arm_persist(now);
            return None;
        }
        if !fin && unsent - len < size && self.waits_to_fill(len, size, max_payload) {
            if core::mem::replace(&mut self.pending.filling, Filling::Waits) == Filling::May {
                counters.bump(Counter::TcpExtTCPAutoCorking);
            }
            return None;
        }
        let burst = burst.min(self.burst_share().saturating_mul(size));
        self.send_new(now, (len, with_fin), (size, burst), options, counters)
    }

    /// How many segments a burst has at the most, whatever the pace. As Linux: at least two bursts make a window, so that
    /// acknowledgements keep coming.
    pub(super) fn burst_share(&self) -> u32 {
        (self.congestion.window() / 2).max(1)
    }

    /// How much of `unsent` belongs to the record that is next.
    pub(super) fn next_record(&self, unsent: u32) -> u32 {
        let nxt = self.send.window.nxt;
        self.send.records.next_end(nxt).map_or(unsent, |end| unsent.min(end.saturating_since(nxt)))
    }

    /// New data for the probe of a lost tail, whatever the congestion window, Nagle's rule and the pace say.
    //= RFC 8985 §7.3
    pub(super) fn poll_forced(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        let unsent = self.send.queue.end().saturating_since(self.send.window.nxt);
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        let len = self.next_record(unsent).min(size);
        if len == 0 || len > self.send.window.usable() || self.recovery.scoreboard.is_full() {
            return None;
        }
        let fin = self.send.fin == Fin::Queued;
        let with_fin = fin && len == unsent && self.send.window.usable() > len;
        self.send_new(now, (len, with_fin), (size, size), options, counters)
    }

    /// Sends `len` bytes that were never sent, and the FIN behind them or not, in segments of `size` bytes and as part of a
    /// burst of `burst` bytes at the most.
    pub(super) fn send_new(
        &mut self,
        now: Instant,
        (len, with_fin): (u32, bool),
        (size, burst): (u32, u32),
        options: TcpOptions,
        counters: &mut Counters,
    ) -> Option<Segment> {
        let nxt = self.send.window.nxt;
        let range = SeqRange::new(nxt, nxt + len + u32::from(with_fin))?;
        let alone = self.recovery.scoreboard.is_empty();
        if self.recovery.in_flight() == 0 {
            self.begin_sending(now);
        }
        self.send.window.nxt = range.end();
        let sending = Sending { burst, ..self.recovery.sending(now, size as u16) };
        if with_fin {
            self.send.fin = Fin::Sent;
            self.recovery.scoreboard.on_sent_with_fin(range, sending);
        } else {
            self.recovery.scoreboard.on_sent(range, sending);
        }
        if !len.is_multiple_of(size) {
            self.send.small_end = nxt + len;
        }
        let probes = core::mem::take(&mut self.pending.push_small);
        self.pending.flush &= range.end().before(self.send.queue.end());
        let count = len.div_ceil(size).max(1);
        self.recovery.on_new_sent(count);
        if probes {
            // As Linux: the probe of a window is pushed, and a time-out watches it.
            self.recovery.scoreboard.note_pushed(range.end());
            self.arm_timeout(now, Since::Now);
        } else {
            self.watch_new(now, alone);
        }
        counters[Counter::TcpOutSegs] += u64::from(count);
        self.note_pace(now, len, count);
        self.note_less_unsent();
        self.refill_last_frame();
        let mut segment = self.data_segment(now, range, size, options, counters);
        segment.ecn = self.ecn_flags(len > 0);
        Some(segment)
    }

    /// Something is sent, and nothing is in flight.
    fn begin_sending(&mut self, now: Instant) {
        let start = Start {
            now,
            idle: now.saturating_since(self.send.last_sent),
            by_program: self.recovery.rate.is_by_program(),
            srtt: self.send.rtt.srtt(),
            mss: self.send.mss,
            dice: self.dice(),
        };
        self.congestion.on_start(&start);
    }

    /// How much of `unsent` may go now, in segments of `size`; `None` where it is better to wait. Zero means that a
    /// FIN may go alone.
    //= RFC 9293 MUST-38
    //= RFC 9293 SHLD-7
    //= RFC 9293 SHLD-27
    //= RFC 9293 SHLD-28
    //= RFC 9293 MAY-16
    //= RFC 5681 §2 MUST-1
    //= RFC 6675 §4 MUST-5
    fn sendable(&mut self, now: Instant, unsent: u32, size: u32, max_payload: u32) -> Option<u32> {
        let window = self.send.window.usable();
        let congestion = self.congestion_room().saturating_mul(size);
        let limit = window.min(congestion);
        let burst = (max_payload / size).clamp(1, self.burst_share()) * size;
        // What another record follows can't grow.
        let followed = self.send.queue.end().after(self.send.window.nxt + unsent);
        let fin = self.send.fin == Fin::Queued && !followed;
        if unsent <= limit && unsent <= burst {
            let tail = unsent % size;
            // As Linux: several segments may grow to a larger burst, the last word to none.
            if unsent > size
                && !fin
                && !followed
                && self.waits_for_burst(now, limit, max_payload / size * size)
            {
                self.send.held = congestion < window;
                return None;
            }
            let go = tail == 0 || fin || followed || self.may_send_small();
            let len = if go { unsent } else { unsent - tail };
            // A FIN alone wants room for a segment as others do.
            return (len > 0 || (fin && unsent == 0 && congestion > 0)).then_some(len);
        }
        let full = limit.min(burst) / size * size;
        if full > 0 {
            // As Linux: the window is filled to its end where a small segment may go.
            let filled = window < burst.min(congestion)
                && self.frame_end(self.send.window.nxt).after(self.send.window.right_edge())
                && self.may_send_small();
            let full = if filled { window } else { full };
            let waits = self.waits_for_burst(now, limit, max_payload / size * size);
            self.send.held = waits && congestion < window;
            return (!waits).then_some(full);
        }
        // Less than a segment fits the window, which is less than half of the largest one ever seen: not worth a segment.
        let idle = self.recovery.scoreboard.is_empty();
        (window > 0 && window <= congestion && self.pending.push_small && idle)
            .then_some(window.min(unsent).min(burst))
    }

    /// Nagle's rule in Minshall's form: a small segment waits while another small one is unacknowledged.
    //= RFC 9293 MUST-17
    //= RFC 9293 SHLD-7
    //= RFC 9293 MUST-60
    fn may_send_small(&self) -> bool {
        if self.pending.push_small || self.pending.flush || self.is_sending_urgent() {
            return true;
        }
        // As Linux: F-RTO can't tell whether the time-out was in error before new data is out, be it little.
        if self.recovery.resend == Resend::NewFirst {
            return true;
        }
        if self.options.cork || self.pending.hold {
            return false;
        }
        self.options.no_delay || self.send.small_end.at_or_before(self.send.window.una)
    }

    /// Whether the last `len` bytes wait for more to be written, that a frame of `burst` bytes may be full. A frame costs a
    /// link the same whatever it holds.
    ///
    /// Linux does so while the device still has what was sent before (`net.ipv4.tcp_autocorking`). Here the device has it at
    /// once; but on a short path the acknowledgement of two full frames is always near, and lets go what waits.
    fn waits_to_fill(&self, len: u32, size: u32, burst: u32) -> bool {
        let sent = self.send.window.nxt.saturating_since(self.send.window.una);
        let near = |rtt: Option<Duration>| rtt.is_some_and(|rtt| rtt < LONGEST_PAUSE);
        let rare = self.options.rare();
        self.pending.filling != Filling::No
            && len < burst / size * size
            && burst >= LARGE_BURST * size
            && sent >= 2 * burst
            && near(self.send.rtt.min_rtt())
            && near(self.send.rtt.srtt())
            && self.recovery.phase == Phase::Open
            && rare.autocork
            && rare.not_sent_limit().is_none()
            && !(self.options.no_delay
                || self.pending.push_small
                || self.pending.flush
                || self.is_sending_urgent())
    }

    /// Whether to wait until the windows let a larger burst than of `limit` bytes go. As Linux: not where that is a third
    /// of the window or a full burst, not after a pause, and not where the acknowledgement of what is in flight is
    /// still far.
    fn waits_for_burst(&self, now: Instant, limit: u32, burst: u32) -> bool {
        if limit >= burst || self.recovery.phase >= Phase::Recovery {
            return false;
        }
        let Some(oldest) = self.recovery.scoreboard.oldest() else { return false };
        let paused = now.saturating_since(self.send.last_sent) > LONGEST_PAUSE;
        let srtt = self.send.rtt.srtt().unwrap_or_default();
        let far = srtt.saturating_sub(now.saturating_since(oldest)) > NEAR.min(srtt / 2);
        if paused || far {
            return false;
        }
        let window = self.congestion.window().saturating_mul(self.send.mss).min(self.send.window.wnd);
        match u32::from(self.options.rare().burst_share) {
            0 => limit <= DEFERRED_SEGMENTS * self.send.mss,
            share => limit < window / share,
        }
    }

    /// Once a burst is out, or held back: whether the congestion window was the limit.
    fn judge_window(&mut self, now: Instant) {
        let unsent = self.send.queue.end().after(self.send.window.nxt);
        let in_flight = self.recovery.in_flight();
        let full = self.send.held || in_flight >= self.congestion.window();
        let due = match self.send.judging {
            Judging::Due => true,
            Judging::IfFull => full && unsent,
            Judging::Never => false,
        };
        if !due {
            return;
        }
        self.send.judging = Judging::IfFull;
        let window = &self.send.window;
        // As Linux: a program that waits for room in the buffer is not what the window waits for.
        let lowers = self.options.slow_start_after_idle
            && self.recovery.phase == Phase::Open
            && !self.congestion.governs()
            && self.free_space() > 0;
        let flight = Flight {
            now,
            outstanding: self.recovery.scoreboard.outstanding(),
            una: window.una,
            nxt: window.nxt,
            patience: lowers.then(|| self.send.rtt.rto()),
            initial: self.options.rare().initial_window(),
        };
        self.congestion.note_use(&flight, full);
    }

    /// Nothing more can be sent now: notes what is in the way, as Linux sees it.
    fn note_wait(&mut self, now: Instant) {
        let unsent = self.unsent();
        let open = matches!(self.state, State::Established | State::CloseWait);
        let wait = if unsent == 0 && self.recovery.scoreboard.is_empty() {
            Wait::Idle
        } else if self.congestion_room() == 0 {
            Wait::Path
        } else if unsent > 0 && self.send.window.usable() < unsent.min(self.send.mss) {
            Wait::Peer
        } else if unsent == 0 && self.send.starved && open {
            Wait::Buffer
        } else {
            Wait::Path
        };
        if wait != Wait::Idle || self.send.ledger.is_some() {
            self.send.ledger.get_or_insert_default().busy.note(now, wait);
        }
    }

    /// Begins slowly where what was written, or what a new window lets go, follows an idle time. As Linux, which does not ask
    /// while the window stays closed.
    //= RFC 5681 §4.1
    fn restart_after_idle(&mut self, now: Instant) {
        let asked = core::mem::take(&mut self.pending.idle_check);
        let rto = self.send.rtt.rto();
        let idle = now.saturating_since(self.send.last_sent);
        let due =
            asked && self.options.slow_start_after_idle && self.recovery.scoreboard.is_empty() && idle > rto;
        if due && !core::mem::replace(&mut self.send.restarted, true) {
            let initial = self.options.rare().initial_window();
            self.congestion.on_idle(now, idle, rto, initial);
        }
    }

    /// The segment of `range`, which lies in the send queue, cut in parts of `size`.
    pub(super) fn data_segment(
        &mut self,
        now: Instant,
        range: SeqRange,
        size: u32,
        options: TcpOptions,
        counters: &mut Counters,
    ) -> Segment {
        let payload = self.send.queue.slice(range.start(), range.len() as usize);
        let len = payload.len() as u32;
        let fin = range.end().after(self.send.queue.end());
        (self.send.last_sent, self.send.restarted) = (now, false);
        self.timers.stop(Timer::Persist);
        self.send.persist_backoff = 0;
        //= RFC 9293 MUST-58
        self.recv.acks.on_data_sent(now);
        let mut segment = self.acknowledging(range.start(), options, counters);
        segment.control = fin.then_some(Control::Fin);
        //= RFC 9293 MUST-61
        // As Linux also on what the link cuts, so that its pieces are not held back for more.
        let (end, written) = (range.start() + len, self.send.queue.end());
        let scoreboard = &mut self.recovery.scoreboard;
        let marked = self.send.records.take_push(end);
        if marked || end.at_or_after(written) && self.send.pushed == written {
            scoreboard.note_pushed(range.end());
        }
        let pushed = scoreboard.is_pushed(range.end()) || self.send.records.has_end(end);
        segment.push = len > size || len > 0 && pushed;
        segment.payload = payload;
        segment.gso_size = (len > size).then_some(size as u16);
        segment
    }

    /// Arms the probe of a window too small for what waits, where nothing in flight will bring news of it.
    //= RFC 9293 MUST-36
    fn arm_persist(&mut self, now: Instant) {
        let unwatched = self.recovery.scoreboard.is_empty() && self.state.is_synchronized();
        if unwatched && !self.timers.is_set(Timer::Persist) {
            self.timers.set(Timer::Persist, now + self.persist_wait());
        }
    }

    /// An empty segment that the peer must answer, for it lies before what it expects.
    fn poll_probe(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if !self.pending.probe {
            return None;
        }
        if self.take_urgent_probe() {
            counters.bump(Counter::TcpOutSegs);
            let options = self.segment_options(now);
            return Some(self.acknowledging(self.send.window.una, options, counters));
        }
        self.pending.probe = false;
        counters.bump(Counter::TcpOutSegs);
        let options = self.segment_options(now);
        Some(self.acknowledging(self.send.window.una - 1, options, counters))
    }

    fn poll_ack(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if self.recv.acks.owed() != Owed::Now {
            return None;
        }
        counters.bump(Counter::TcpOutSegs);
        let options = self.segment_options(now);
        Some(self.acknowledging(self.send.window.believed_seq(), options, counters))
    }

    /// A segment at `seq` that acknowledges all we have, and offers the window.
    //= RFC 9293 MUST-59
    //= RFC 7323 §2.3 MUST-6
    pub(super) fn acknowledging(
        &mut self,
        seq: super::SeqNumber,
        options: TcpOptions,
        counters: &mut Counters,
    ) -> Segment {
        let nxt = self.recv.window.nxt;
        self.recv.look_for_room(self.advmss(), self.supply);
        let told = self.recv.window.told();
        let window = match self.state {
            // A SYN-ACK that follows can't offer more.
            State::SynReceived => self.recv.window.repeat(),
            _ => self.recv.window.offer(self.recv.held(), self.recv.acks.peer_mss()),
        };
        match window.0 {
            0 if told > 0 => counters.bump(Counter::TcpExtTCPToZeroWindowAdv),
            1.. if told == 0 => counters.bump(Counter::TcpExtTCPFromZeroWindowAdv),
            _ => {}
        }
        counters[Counter::TcpExtTCPAckCompressed] += u64::from(self.recv.acks.on_ack_sent(nxt));
        self.timers.stop(Timer::DelayedAck);
        self.recv.duplicate.on_reported();
        let urgent = self.urgent_pointer(seq);
        let ecn = self.ecn_flags(false);
        Segment { ecn, ack: Some(nxt), urgent, window, options, ..Segment::new(seq) }
    }

    /// Timestamps and SACK blocks, as agreed.
    //= RFC 7323 §3.2
    //= RFC 2018 §4
    //= RFC 7323 §3.2 MUST-1
    //= RFC 7323 §3.2 MUST-4
    //= RFC 2018 §2 MUST-1
    //= RFC 2018 §3 RULE-1
    //= RFC 2018 §3 RULE-2
    //= RFC 2018 §4 MUST-1
    //= RFC 2018 §4 MUST-2
    //= RFC 2018 §8 MUST-1
    //= RFC 2883 §3 MUST-1
    //= RFC 2883 §4 RULE-4
    //= RFC 2883 §4 RULE-5
    pub(super) fn segment_options(&self, now: Instant) -> TcpOptions {
        let mut options = TcpOptions::default();
        if let Some(state) = self.negotiated.timestamps {
            options.timestamps = Some(Timestamps { value: self.timestamp(now), echo: state.recent });
        }
        if self.negotiated.sack {
            options.sack.extend(self.reports().map(|block| (block.start().value(), block.end().value())));
        }
        options
    }
}
