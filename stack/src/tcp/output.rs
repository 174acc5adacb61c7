//! Segments on their way out: what to send next, and whether now.

use crate::counters::{Counter, Counters};
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::congestion::CongestionControl;
use super::connection::{Connection, Fin};
use super::recovery::Phase;
use super::recv::ack_policy::Owed;
use super::segment::{Control, Segment};
use super::seq_ranges::SeqRange;
use super::state::State;
use super::timers::Timer;

/// What a burst must reach of the smaller of the two windows before it goes out while others are in flight: a
/// few large frames cost far less than many small ones.
const BURST_SHARE: u32 = 3;

impl Connection {
    /// The next segment to be sent, with up to `max_payload` bytes where the link cuts it, or `None` where there is
    /// nothing to be sent now. `gso_size` is set where it stands for several.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        max_payload: usize,
        counters: &mut Counters,
    ) -> Option<Segment> {
        if self.pending.reset {
            return self.poll_reset(now, counters);
        }
        match self.state {
            State::Closed => None,
            State::SynSent => self.poll_syn(now, counters),
            State::SynReceived if !self.pending.syn && self.may_send_early() => {
                self.poll_new(now, max_payload, counters).or_else(|| self.poll_ack(now, counters))
            }
            State::SynReceived => self.poll_syn(now, counters).or_else(|| self.poll_ack(now, counters)),
            _ => self
                .poll_resend(now, max_payload, counters)
                .or_else(|| self.poll_new(now, max_payload, counters))
                .or_else(|| self.poll_probe(now, counters))
                .or_else(|| self.poll_ack(now, counters)),
        }
    }

    /// Bytes in flight, as far as we can tell. A peer without SACK reports a segment by each duplicate.
    fn in_flight(&self) -> u32 {
        let reported = self.recovery.duplicates.saturating_mul(self.send.mss);
        let reported = if self.negotiated.sack { 0 } else { reported };
        self.recovery.scoreboard.in_flight().saturating_sub(reported)
    }

    /// Bytes that the congestion window lets go.
    fn congestion_room(&self) -> u32 {
        self.congestion.window().saturating_sub(self.in_flight())
    }

    /// Payload of a full segment that carries what `options` holds beside timestamps.
    fn payload_size(&self, options: &TcpOptions) -> u32 {
        let sack = if options.sack.is_empty() { 0 } else { 4 + 8 * options.sack.len() as u32 };
        self.send.mss.saturating_sub(sack).max(1)
    }

    /// What was lost, the oldest first.
    //= RFC 9293 SHLD-16
    //= RFC 9293 MAY-7
    fn poll_resend(&mut self, now: Instant, max_payload: usize, counters: &mut Counters) -> Option<Segment> {
        let lost = self.recovery.scoreboard.next_lost()?;
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        if self.waits_for_pace(now) {
            return None;
        }
        let room = self.congestion_room();
        //= RFC 6675 §5
        if room < size && self.in_flight() > 0 && !self.pending.resend {
            return None;
        }
        self.pending.resend = false;
        let max_payload = self.largest_burst(size, max_payload);
        let most = (max_payload / size * size).min(room / size * size).max(size);
        let with_fin = lost.end().after(self.send.queue.end());
        let data = (lost.len() - u32::from(with_fin)).min(most);
        let complete = data + u32::from(with_fin) == lost.len();
        let range = SeqRange::new(lost.start(), lost.start() + data + u32::from(with_fin && complete))?;
        self.recovery.scoreboard.on_resent(range, size as u16, now);
        let counter = match self.recovery.phase {
            Phase::Loss { .. } => Counter::TcpExtTCPSlowStartRetrans,
            Phase::Open | Phase::Recovery { .. } => Counter::TcpExtTCPFastRetrans,
        };
        let count = u64::from(data.div_ceil(size).max(1));
        counters[counter] += count;
        counters[Counter::TcpRetransSegs] += count;
        self.note_pace(now, data, count as u32);
        Some(self.data_segment(now, range, size, options, counters))
    }

    /// Data that was never sent, and the FIN behind it.
    fn poll_new(&mut self, now: Instant, max_payload: usize, counters: &mut Counters) -> Option<Segment> {
        let unsent = self.send.queue.end().saturating_since(self.send.window.nxt);
        let fin = self.send.fin == Fin::Queued;
        if unsent == 0 && !fin || self.recovery.scoreboard.is_full() || self.waits_for_pace(now) {
            return None;
        }
        self.restart_after_idle(now);
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        let max_payload = if self.answers_mark() { size } else { self.largest_burst(size, max_payload) };
        let Some(len) = self.sendable(unsent, size, max_payload) else {
            self.arm_persist(now);
            return None;
        };
        // A FIN has a number, which must fit the window as a byte's does.
        let with_fin = fin && len == unsent && self.send.window.usable() > len;
        if len == 0 && !with_fin {
            self.arm_persist(now);
            return None;
        }
        let nxt = self.send.window.nxt;
        let range = SeqRange::new(nxt, nxt + len + u32::from(with_fin))?;
        self.send.window.nxt = range.end();
        if with_fin {
            self.send.fin = Fin::Sent;
        }
        if len % size != 0 {
            self.send.small_end = nxt + len;
        }
        self.recovery.scoreboard.on_sent(range, size as u16, now);
        self.pending.push_small = false;
        self.pending.flush &= range.end().before(self.send.queue.end());
        self.note_flight();
        let count = len.div_ceil(size).max(1);
        counters[Counter::TcpOutSegs] += u64::from(count);
        self.note_pace(now, len, count);
        self.note_less_unsent();
        let mut segment = self.data_segment(now, range, size, options, counters);
        segment.ecn = self.ecn_flags(len > 0);
        Some(segment)
    }

    /// How much of `unsent` may go now, in segments of `size`; `None` where it is better to wait. Zero means that a
    /// FIN may go alone.
    //= RFC 9293 MUST-38
    //= RFC 9293 SHLD-7
    //= RFC 9293 SHLD-27
    //= RFC 9293 SHLD-28
    //= RFC 9293 MAY-16
    fn sendable(&mut self, unsent: u32, size: u32, max_payload: u32) -> Option<u32> {
        let window = self.send.window.usable();
        let congestion = self.congestion_room();
        let limit = window.min(congestion);
        let burst = (max_payload / size).max(1) * size;
        let fin = self.send.fin == Fin::Queued;
        self.send.held_by_congestion = congestion < window.min(unsent);
        if unsent <= limit && unsent <= burst {
            let tail = unsent % size;
            let go = tail == 0 || fin || self.may_send_small();
            let len = if go { unsent } else { unsent - tail };
            return (len > 0 || (fin && unsent == 0)).then_some(len);
        }
        let full = limit.min(burst) / size * size;
        if full > 0 {
            let waits = self.waits_for_burst(full, burst);
            return (!waits).then_some(full);
        }
        // Less than a segment fits the window: only half of the largest window ever seen is worth a segment.
        let forced = self.pending.push_small || window >= self.send.window.max_wnd.div_ceil(2);
        let idle = self.recovery.scoreboard.is_empty();
        (window > 0 && window <= congestion && forced && idle).then_some(window.min(unsent).min(burst))
    }

    /// Nagle's rule in Minshall's form: a small segment waits while another small one is unacknowledged.
    //= RFC 9293 MUST-17
    //= RFC 9293 SHLD-7
    //= RFC 9293 MUST-60
    fn may_send_small(&self) -> bool {
        if self.pending.push_small || self.pending.flush || self.is_sending_urgent() {
            return true;
        }
        if self.options.cork || self.pending.hold {
            return false;
        }
        self.options.no_delay || self.send.small_end.at_or_before(self.send.window.una)
    }

    /// Whether to wait until the windows let a larger burst go. Something is in flight, so an acknowledgement comes.
    fn waits_for_burst(&self, len: u32, burst: u32) -> bool {
        if len >= burst || self.recovery.phase != Phase::Open || self.recovery.scoreboard.is_empty() {
            return false;
        }
        let window = self.congestion.window().min(self.send.window.wnd);
        len < window / BURST_SHARE
    }

    /// Remembers how much of the congestion window was used in this flight.
    fn note_flight(&mut self) {
        let flight = self.recovery.scoreboard.in_flight();
        let window = &self.send.window;
        if flight > self.send.peak_flight || self.send.flight_end.at_or_before(window.una) {
            self.send.peak_flight = flight;
            self.send.flight_end = window.nxt;
        }
    }

    //= RFC 5681 §4.1
    fn restart_after_idle(&mut self, now: Instant) {
        let rto = self.send.rtt.rto();
        let idle = now.saturating_since(self.send.last_sent);
        if self.options.slow_start_after_idle && self.recovery.scoreboard.is_empty() && idle > rto {
            let timeouts = idle.as_nanos() / rto.as_nanos().max(1);
            self.congestion.on_idle(u32::try_from(timeouts).unwrap_or(u32::MAX));
            self.send.last_sent = now;
        }
    }

    /// The segment of `range`, which lies in the send queue, cut in parts of `size`.
    fn data_segment(
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
        self.send.last_sent = now;
        if !self.timers.is_set(Timer::Retransmit) {
            //= RFC 6298 §5.1
            self.timers.set(Timer::Retransmit, now + self.send.rtt.rto());
        }
        self.timers.stop(Timer::Persist);
        self.send.persist_backoff = 0;
        //= RFC 9293 MUST-58
        self.recv.acks.on_data_sent(now);
        let mut segment = self.acknowledging(range.start(), options, counters);
        segment.control = fin.then_some(Control::Fin);
        //= RFC 9293 MUST-61
        segment.push = len > 0 && (range.start() + len).at_or_after(self.send.queue.end());
        segment.payload = payload;
        segment.gso_size = (len > size).then_some(size as u16);
        segment
    }

    /// Arms the probe of a window too small for what waits, where nothing in flight will bring news of it.
    //= RFC 9293 MUST-36
    fn arm_persist(&mut self, now: Instant) {
        if self.recovery.scoreboard.is_empty() && !self.timers.is_set(Timer::Persist) {
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
        Some(self.acknowledging(self.send.window.nxt, options, counters))
    }

    /// A segment at `seq` that acknowledges all we have, and offers the window.
    //= RFC 9293 MUST-59
    fn acknowledging(
        &mut self,
        seq: super::SeqNumber,
        options: TcpOptions,
        counters: &mut Counters,
    ) -> Segment {
        let nxt = self.recv.window.nxt;
        let window = match self.state {
            // A SYN-ACK that follows can't offer more.
            State::SynReceived => self.recv.window.repeat(),
            _ => self.recv.window.offer(self.recv.held(), self.recv.acks.peer_mss()),
        };
        counters[Counter::TcpExtTCPAckCompressed] += u64::from(self.recv.acks.on_ack_sent(nxt));
        self.timers.stop(Timer::DelayedAck);
        let urgent = self.urgent_pointer(seq);
        let ecn = self.ecn_flags(false);
        Segment { ecn, ack: Some(nxt), urgent, window, options, ..Segment::new(seq) }
    }

    /// Timestamps and SACK blocks, as agreed.
    //= RFC 7323 §3.2
    //= RFC 2018 §4
    pub(super) fn segment_options(&self, now: Instant) -> TcpOptions {
        let mut options = TcpOptions::default();
        if let Some(state) = self.negotiated.timestamps {
            options.timestamps = Some(Timestamps { value: self.timestamp(now), echo: state.recent });
        }
        if self.negotiated.sack {
            let most = if options.timestamps.is_some() { 3 } else { 4 };
            let blocks = self.recv.reassembly.recent().take(most);
            options.sack.extend(blocks.map(|block| (block.start().value(), block.end().value())));
        }
        options
    }
}
