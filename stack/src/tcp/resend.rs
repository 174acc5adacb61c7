//! What is sent once more: what was lost, and the probe for a lost tail.

use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::connection::Connection;
use super::loss_timer::Since;
use super::recovery::{Phase, Resend};
use super::segment::Segment;
use super::send::Fin;
use super::seq_ranges::SeqRange;
use super::timers::Timer;

impl Connection {
    /// What was lost, the oldest first.
    //= RFC 9293 SHLD-16
    //= RFC 9293 MAY-7
    //= RFC 6675 §5 MUST-7
    //= RFC 8985 §9.3 MUST-1
    //= RFC 6675 §4 MUST-8
    pub(super) fn poll_resend(
        &mut self,
        now: Instant,
        max_payload: usize,
        counters: &mut Counters,
    ) -> Option<Segment> {
        if self.recovery.resend != Resend::Lost && !self.pending.resend {
            return None;
        }
        let lost = self.recovery.scoreboard.next_lost()?;
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        // As Linux: the first segment after a time-out goes whatever the pace.
        if !self.pending.resend && self.waits_for_pace(now) {
            return None;
        }
        //= RFC 6675 §5
        let room = if self.pending.resend { 1 } else { self.congestion_room() };
        let most = self.resend_limit(lost, size, room, max_payload)?;
        let record = self.send.records.next_end(lost.start());
        let most = record.map_or(most, |end| most.min(end.saturating_since(lost.start())));
        let lost = self.join_lost(lost, size.min(most));
        let range = self.cut(lost, most)?;
        let timed_out = core::mem::take(&mut self.pending.resend);
        self.forget_trial();
        let sending = self.recovery.sending(now, size as u16);
        let count = self.recovery.scoreboard.on_resent(range, sending);
        self.recovery.on_resent(now, count);
        if !timed_out {
            counters[match self.recovery.phase {
                Phase::Loss => Counter::TcpExtTCPSlowStartRetrans,
                _ => Counter::TcpExtTCPFastRetrans,
            }] += u64::from(count);
            if range.start() == self.send.window.una && !self.timers.is_set(Timer::Reorder) {
                self.arm_timeout(now, Since::Now);
            }
        }
        counters[Counter::TcpRetransSegs] += u64::from(count);
        self.note_pace(now, range.len(), count);
        let segment = self.data_segment(now, range, size, options, counters);
        self.recovery.note_bytes_resent(segment.payload.len());
        Some(segment)
    }

    /// How many bytes of `lost` may go, in segments of `size`, where `room` segments may be in flight more. Of what the
    /// peer's window has no room for any more, only the first segment goes: it is a probe as well.
    fn resend_limit(&self, lost: SeqRange, size: u32, room: u32, max_payload: usize) -> Option<u32> {
        if room == 0 {
            return None;
        }
        let burst = self.largest_burst(size).min(u32::try_from(max_payload).unwrap_or(u32::MAX));
        let burst = (burst / size).max(1);
        let most = room.min(burst).saturating_mul(size);
        let window = self.send.window.right_edge().saturating_since(lost.start());
        match window {
            0 if lost.start() == self.send.window.una => Some(size),
            0 => None,
            _ if window >= most.min(lost.len()) => Some(most),
            _ if window >= size => Some(window / size * size),
            _ => Some(window),
        }
    }

    /// What of a segment that is sent again fits the peer's window; all of the first one where nothing does, for that asks for
    /// the window as well.
    fn within_window(&self, range: SeqRange) -> Option<SeqRange> {
        let edge = self.send.window.right_edge();
        if edge.after(range.start()) {
            return SeqRange::new(range.start(), range.end().earliest(edge));
        }
        (range.start() == self.send.window.una).then_some(range)
    }

    /// `lost`, and the small segments behind it as far as one of `most` bytes has room for them and the peer's window: what
    /// was written in small pieces need not go again in as many segments.
    fn join_lost(&mut self, lost: SeqRange, most: u32) -> SeqRange {
        if lost.len() >= most {
            return lost;
        }
        let (start, written) = (lost.start(), self.send.queue.end());
        let full = start + most;
        let limit = if self.send.fin == Fin::Sent && written.at_or_before(full) { written + 1 } else { full };
        let limit = limit.earliest(self.send.window.right_edge());
        let end = self.recovery.scoreboard.join_small(start, limit);
        end.and_then(|end| SeqRange::new(start, end)).unwrap_or(lost)
    }

    /// The first `most` bytes of `range`, and the FIN where it follows them.
    fn cut(&self, range: SeqRange, most: u32) -> Option<SeqRange> {
        let fin = u32::from(range.end().after(self.send.queue.end()));
        let data = range.len() - fin;
        let end = if data <= most { range.end() } else { range.start() + most };
        SeqRange::new(range.start(), end)
    }

    /// The probe for a lost tail: new data where there is some, or the last segment again.
    //= RFC 8985 §7.3
    //= RFC 8985 §7.3 MUST-4
    pub(super) fn poll_tail_probe(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if !core::mem::take(&mut self.pending.tail_probe) {
            return None;
        }
        if let Some(segment) = self.poll_forced(now, counters) {
            self.note_probe(now, false, counters);
            return Some(segment);
        }
        let range = self.recovery.scoreboard.tail()?;
        let options = self.segment_options(now);
        let size = self.payload_size(&options);
        // The tail may be longer than what fits beside our own reports: as Linux, its beginning goes then.
        let range = self.cut(range, size)?;
        let range = self.within_window(range)?;
        self.forget_trial();
        let sending = self.recovery.sending(now, size as u16);
        self.recovery.scoreboard.on_probed(range, sending);
        counters.bump(Counter::TcpRetransSegs);
        self.note_probe(now, true, counters);
        let segment = self.data_segment(now, range, size, options, counters);
        self.recovery.note_bytes_resent(segment.payload.len());
        Some(segment)
    }
}
