//! The one timer that watches what is in flight. As in Linux it is a time-out, a probe for a lost tail, or the end of
//! the reordering window: setting one ends the others.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::connection::Connection;
use super::recovery::{Phase, Rearm, tlp};
use super::timers::Timer;

/// From where the time-out is counted.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Since {
    /// Now: something was acknowledged.
    Now,
    /// The time when the first segment was sent last: a probe, or a look for losses, does not put it off.
    Sent,
}

impl Connection {
    /// Does what an acknowledgement means for the timer.
    pub(super) fn rearm_loss_timer(&mut self, now: Instant, rearm: Rearm) {
        match rearm {
            _ if self.recovery.scoreboard.is_empty() => self.stop_loss_timer(),
            Rearm::Keep => {}
            Rearm::Anew => self.watch_flight(now),
            Rearm::Reorder(at) => self.timers.set(Timer::Reorder, at),
            Rearm::TimeOut(at) => self.timers.set(Timer::Retransmit, at),
        }
    }

    fn stop_loss_timer(&mut self) {
        for timer in [Timer::Retransmit, Timer::Probe, Timer::Reorder] {
            self.timers.stop(timer);
        }
    }

    /// Something was acknowledged: what is in flight is watched anew.
    //= RFC 6298 §5.2
    //= RFC 6298 §5.3
    //= RFC 6298 §5 MUST-1
    fn watch_flight(&mut self, now: Instant) {
        if self.recovery.scoreboard.is_empty() {
            self.stop_loss_timer();
        } else if !self.arm_probe(now, Since::Now) {
            let since = if self.is_watched_otherwise() { Since::Sent } else { Since::Now };
            self.arm_timeout(now, since);
        }
    }

    /// New data was sent, the first of it where `alone`.
    //= RFC 6298 §5.1
    //= RFC 8985 §7.2
    pub(super) fn watch_new(&mut self, now: Instant, alone: bool) {
        // Before the handshake is done, our SYN-ACK is watched, and nothing else.
        if !self.state.is_synchronized() {
            return;
        }
        if alone {
            self.arm_timeout(now, Since::Now);
        } else if self.timers.is_set(Timer::Probe) {
            self.arm_timeout(now, Since::Sent);
        }
        self.arm_probe(now, Since::Sent);
    }

    /// Whether the flight is watched by something else than a time-out.
    pub(super) fn is_watched_otherwise(&self) -> bool {
        self.timers.is_set(Timer::Probe) || self.timers.is_set(Timer::Reorder)
    }

    /// Arms the time-out.
    pub(super) fn arm_timeout(&mut self, now: Instant, since: Since) {
        let rto = self.send.rtt.rto();
        let at = match since {
            Since::Now => now + rto,
            Since::Sent => (self.recovery.scoreboard.oldest().unwrap_or(now) + rto).max(now),
        };
        self.timers.set(Timer::Retransmit, at);
    }

    /// Arms the probe for a lost tail, where one may be sent, no later than the time-out would be, which counts from
    /// `since`. Says whether it did.
    //= RFC 8985 §7.2
    fn arm_probe(&mut self, now: Instant, since: Since) -> bool {
        let quiet =
            self.state.is_synchronized() && matches!(self.recovery.phase, Phase::Open | Phase::Reduction);
        let scoreboard = &self.recovery.scoreboard;
        if !self.options.rare().loss.probes() || !self.negotiated.sack || !quiet || scoreboard.is_empty() {
            return false;
        }
        let rto_min = Duration::from_millis(self.options.rto_min_ms.into());
        let rtt = &self.send.rtt;
        let at = now + tlp::wait(rtt.srtt(), scoreboard.outstanding() == 1, rto_min);
        let sent = scoreboard.oldest().unwrap_or(now);
        let timeout =
            rtt.rto() + if since == Since::Now { now } else { sent }.saturating_since(Instant::ZERO);
        let timeout = Instant::ZERO + timeout;
        let at = if timeout > now { at.min(timeout) } else { at };
        self.timers.set(Timer::Probe, at);
        true
    }

    /// The probe is due: it goes out as soon as something may be sent.
    //= RFC 8985 §7.3
    //= RFC 8985 §7.3 MUST-2
    //= RFC 8985 §7.3 MUST-3
    pub(super) fn on_probe_timeout(&mut self, now: Instant) {
        if self.recovery.scoreboard.is_empty() {
            return;
        }
        // One for each tail: where it is out already, the time-out follows.
        self.pending.tail_probe = !self.recovery.probe.is_out();
        let since = if self.pending.tail_probe { Since::Now } else { Since::Sent };
        self.arm_timeout(now, since);
    }

    /// A probe was sent.
    //= RFC 8985 §7.3 MUST-5
    pub(super) fn note_probe(&mut self, now: Instant, resent: bool, counters: &mut Counters) {
        self.recovery.on_probe_sent(self.send.window.nxt, resent);
        counters.bump(Counter::TcpExtTCPLossProbes);
        self.arm_timeout(now, Since::Now);
    }
}
