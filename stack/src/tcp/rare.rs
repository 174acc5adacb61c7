//! What the options do that few connections have: a pace, a bound for what waits to be sent, a window that stays small.

use core::time::Duration;

use crate::time::Instant;

use super::config::{CongestionKind, Options};
use super::connection::{Connection, Event};
use super::recv::ack_policy::Owed;
use super::send::buffer::frame_size;
use super::send::pacing::{Pacer, UNPACED, burst};
use super::state::State;
use super::timers::Timer;

/// The largest frame, in bytes.
const LARGEST_BURST: u32 = 65_536;

/// So many of them may be on their way at once, and for no longer than this.
const TRAIN_BURSTS: u64 = 4;
const LONGEST_TRAIN: Duration = Duration::from_millis(1);

/// When data is acknowledged (TCP_QUICKACK).
///
/// ```
/// use tapsock_stack::tcp::rare::QuickAck;
///
/// assert_ne!(QuickAck::On, QuickAck::Off);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum QuickAck {
    /// At once, until the traffic looks like question and answer.
    On,
    /// What waits now at once, what comes later as if this had not been.
    Once,
    /// With an answer, or after a while.
    Off,
}

impl Connection {
    pub(super) fn pacer_for(options: &Options) -> Option<Box<Pacer>> {
        let paced = options.congestion == CongestionKind::Bbr || options.rare().max_pacing_rate != UNPACED;
        paced.then(Box::default)
    }

    /// Takes changed options.
    pub(super) fn apply_rare(&mut self) {
        self.recv.window.set_clamp(self.options.rare().window_clamp);
        if self.send.pacer.is_none() {
            self.send.pacer = Connection::pacer_for(&self.options);
        }
        self.timers.stop(Timer::Pacing);
        if self.is_writable() {
            self.events.add(Event::Writable);
        }
    }

    /// At how many bytes a second to send: as many as the option allows, and as the congestion window moves in a round trip,
    /// with room to grow. As Linux: twice that in slow start, else a fifth more.
    pub fn pacing_rate(&self) -> u64 {
        let most = self.options.rare().max_pacing_rate;
        let own = self.congestion.pacing_rate().unwrap_or_else(|| {
            let Some(rtt) = self.send.rtt.srtt().filter(|rtt| !rtt.is_zero()) else { return UNPACED };
            let window = self.congestion.window();
            let [starting, later] = self.options.rare().pacing_percent;
            let percent = if window < self.congestion.ssthresh() / 2 { starting } else { later };
            let segments = window.max(self.recovery.scoreboard.outstanding());
            let bytes = u128::from(segments) * u128::from(self.send.mss) * u128::from(percent) / 100;
            u64::try_from(bytes * 1_000_000_000 / rtt.as_nanos()).unwrap_or(UNPACED)
        });
        own.min(most)
    }

    /// For how long the largest frames that are sent at a time keep the link busy at that rate: what HyStart takes out of
    /// the length of a train.
    pub(super) fn burst_time(&self) -> Duration {
        let rate = self.pacing_rate().max(1);
        let nanos = u64::from(LARGEST_BURST) * TRAIN_BURSTS * 1_000_000_000 / rate;
        Duration::from_nanos(nanos).min(LONGEST_TRAIN)
    }

    /// Whether the next burst has to wait, and if so arms the timer for it.
    pub(super) fn waits_for_pace(&mut self, now: Instant) -> bool {
        match self.send.pacer.as_ref().and_then(|pacer| pacer.wait(now)) {
            Some(until) => {
                self.timers.set(Timer::Pacing, until);
                true
            }
            None => false,
        }
    }

    pub(super) fn note_pace(&mut self, now: Instant, bytes: u32, segments: u32) {
        if self.send.pacer.is_some() {
            let rate = self.pacing_rate();
            if let Some(pacer) = &mut self.send.pacer {
                pacer.on_sent(now, rate, bytes, segments);
            }
        }
    }

    /// Payload of the largest frame that may be sent at once, of which the link makes segments of `size`, if it can.
    pub(super) fn largest_burst(&self, size: u32) -> u32 {
        if self.is_sending_urgent() {
            return size;
        }
        let rate = self.pacing_rate();
        let least = self.congestion.burst_least().unwrap_or(self.options.rare().burst_least);
        let most = burst(rate, self.send.rtt.min_rtt(), size, least.into());
        // As Linux: half of the largest window that the peer has offered, so that acknowledgements keep coming.
        most.min(frame_size(size, self.send.window.max_wnd))
    }

    /// A number that differs from connection to connection.
    pub(super) fn dice(&self) -> u32 {
        let seed =
            u64::from(self.negotiated.timestamp_offset) << 32 | u64::from(self.send.window.una.value());
        (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// The program writes again. Where it left the path unused, it was what bounded the rate until now, as Linux sees it.
    pub(super) fn note_bound_by_program(&mut self) {
        let scoreboard = &self.recovery.scoreboard;
        let idle = self.unsent() < self.send.mss && self.congestion_room() > 0;
        if idle && scoreboard.lost() <= scoreboard.resending() {
            self.recovery.note_bound_by_program();
        }
    }

    pub(super) fn unsent(&self) -> u32 {
        self.send.queue.end().saturating_since(self.send.window.nxt)
    }

    /// Whether so little waits to be sent that a writer should be woken.
    pub(super) fn is_little_unsent(&self) -> bool {
        let limit = self.options.rare().not_sent_limit();
        limit.is_none_or(|limit| u64::from(self.unsent()) * 2 < u64::from(limit))
    }

    /// Something was sent for the first time: that may be what writers wait for.
    pub(super) fn note_less_unsent(&mut self) {
        if self.options.rare().not_sent_limit().is_some() && self.is_writable() {
            self.events.add(Event::Writable);
        }
    }

    /// The largest window that is offered, in bytes (TCP_WINDOW_CLAMP).
    pub fn window_clamp(&self) -> u32 {
        self.options.rare().window_clamp.unwrap_or(self.recv.window.full_space())
    }

    /// Whether acknowledgements go out at once (TCP_QUICKACK).
    pub fn is_acknowledging_quickly(&self) -> bool {
        !self.recv.acks.is_interactive()
    }

    /// Has acknowledgements go out at once, or not, until the traffic says otherwise. What waits goes now where everything
    /// that came was read. Source: tcp(7).
    pub fn acknowledge_quickly(&mut self, quick: QuickAck) {
        self.recv.acks.set_interactive(quick == QuickAck::Off);
        let open = matches!(self.state, State::Established | State::CloseWait);
        if quick != QuickAck::Off && open && self.recv.acks.owed() == Owed::Delayed {
            self.recv.acks.note_pushed();
            self.recv.acks.on_read(self.recv.window.nxt, self.recv.queue.is_empty());
            self.recv.acks.set_interactive(quick == QuickAck::Once);
        }
    }
}
