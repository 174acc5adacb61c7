//! What happens when time passes: retransmission, probes, delayed acknowledgements, and giving up.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;

use super::congestion::UNLIMITED;
use super::connection::{Connection, Holder};
use super::loss_timer::Since;
use super::memory::Supply;
use super::recv::ack_policy::Owed;
use super::send::{Fin, Judging};
use super::state::State;
use super::timers::Timer;

/// Retransmissions of an orphan where the setting is 0, as in Linux.
const ORPHAN_RETRIES: u8 = 8;

/// The base of Linux's reckoning of how long a number of retries takes.
const RETRY_BASE: Duration = Duration::from_millis(200);

/// The same of SYNs.
const SYN_BASE: Duration = Duration::from_secs(1);

/// How long `retries` doublings from `base` take, none longer than `most`.
fn time_of_retries(base: Duration, retries: u8, most: Duration) -> Duration {
    (0..=u32::from(retries)).map(|n| base.saturating_mul(1 << n.min(20)).min(most)).sum()
}

/// Doublings of the wait between probes of a closed window, whatever the settings.
const MAX_PERSIST_BACKOFF: u8 = 16;

/// A stream with fewer segments in flight is thin, and for so many time-outs it is treated as one.
const THIN_SEGMENTS: u32 = 4;
const THIN_RETRIES: u8 = 6;

impl Connection {
    /// Does what is due at `now`.
    pub fn on_timeout(&mut self, now: Instant, counters: &mut Counters) {
        if self.timers.take_expired(Timer::Retransmit, now) {
            match self.state {
                State::SynSent | State::SynReceived => self.on_syn_timeout(now, counters),
                _ => self.on_retransmission_timeout(now, counters),
            }
        }
        if self.timers.take_expired(Timer::Reorder, now) {
            let una = self.send.window.una;
            let (recovery, mut scene) = self.scene(now, una, None, counters);
            recovery.on_reorder_timeout(&mut scene);
            if !self.recovery.scoreboard.is_empty() {
                self.arm_timeout(now, Since::Sent);
            }
        }
        if self.timers.take_expired(Timer::Probe, now) {
            self.on_probe_timeout(now);
        }
        if self.timers.take_expired(Timer::DelayedAck, now) && self.recv.acks.owed() == Owed::Delayed {
            let rto = self.send.rtt.rto();
            if self.recv.acks.on_delay_passed(rto) {
                counters.bump(Counter::TcpExtDelayedACKs);
            }
        }
        if self.timers.take_expired(Timer::Persist, now) {
            self.on_persist(now, counters);
        }
        if self.timers.take_expired(Timer::KeepAlive, now) {
            self.on_keep_alive(now, counters);
        }
        // What waited for it is looked for by whoever asks for segments next.
        self.timers.take_expired(Timer::Pacing, now);
        if self.timers.take_expired(Timer::FinWait2, now) {
            self.enter_closed();
        }
    }

    //= RFC 9293 MUST-22
    fn on_syn_timeout(&mut self, now: Instant, counters: &mut Counters) {
        // As Linux: the first SYNs of an active open follow each other at even distances, and count apart.
        let (linear, most) = match self.state {
            State::SynSent => (self.options.syn_linear_timeouts, self.options.syn_retries),
            // As Linux: once more where the connection is in use already.
            _ => (0, self.options.synack_retries.saturating_add(u8::from(self.is_early()))),
        };
        let waited = now.saturating_since(self.send.first_retry);
        // As Linux, which also reckons how long so many doublings would have taken.
        let spent =
            self.send.retries > 0 && waited >= time_of_retries(SYN_BASE, most, self.longest_timeout());
        let too_long = spent || self.options.rare().user_timeout.is_some_and(|limit| waited >= limit);
        let hopeless = self.send.retries >= most.saturating_add(linear) || too_long;
        self.look_for_black_hole(hopeless);
        if hopeless {
            counters.bump(Counter::TcpAttemptFails);
            self.give_up(counters);
            return;
        }
        counters.bump(Counter::TcpExtTCPTimeouts);
        self.count_timeout(now, self.send.retries, counters);
        self.send.retries += 1;
        if self.is_early() && self.send.retries == 2 {
            self.enter_loss_of_syn_ack(now, counters);
        }
        if self.send.retries > linear {
            self.send.rtt.back_off();
        }
        self.pending.syn = true;
    }

    //= RFC 9293 MUST-19
    //= RFC 6298 §5.4
    //= RFC 5681 §3.1
    fn on_retransmission_timeout(&mut self, now: Instant, counters: &mut Counters) {
        if self.recovery.scoreboard.is_empty() {
            return;
        }
        let hopeless = self.is_hopeless(now);
        self.look_for_black_hole(hopeless);
        if hopeless {
            self.give_up(counters);
            return;
        }
        if self.is_out_of_memory(counters) {
            return;
        }
        counters.bump(Counter::TcpExtTCPTimeouts);
        let (una, retries) = (self.send.window.una, self.send.retries);
        self.count_timeout(now, retries, counters);
        if retries == 0 {
            self.send.first_retry = now;
        } else if now.saturating_since(self.send.first_retry)
            >= time_of_retries(RETRY_BASE, self.options.rare().mtu.patience, self.longest_timeout())
        {
            self.suspect_size(now);
        }
        let (recovery, mut scene) = self.scene(now, una, None, counters);
        recovery.on_timeout(&mut scene, retries);
        self.pending.resend = true;
        self.send.judging = Judging::Never;
        self.pending.tail_probe = false;
        self.send.retries = retries.saturating_add(1);
        if self.is_thin() {
            self.send.rtt.reset_backoff();
        } else {
            self.send.rtt.back_off();
        }
        let next = self.bounded(now + self.send.rtt.rto(), self.send.first_retry);
        self.timers.set(Timer::Retransmit, next);
    }

    /// Whether nobody holds it, it has to try again at `now`, and the host has more such connections (`orphans`) than it
    /// may (`most`). As in Linux it counts for more where nothing was sent for long, or the path complains.
    pub fn is_one_too_many(&self, now: Instant, orphans: usize, most: usize) -> bool {
        let is_due =
            [Timer::Retransmit, Timer::Persist].into_iter().any(|timer| self.timers.at(timer) <= now);
        let silent = now.saturating_since(self.send.last_sent) > 2 * self.longest_timeout();
        let weight = u32::from(silent) + u32::from(self.soft_error.is_some());
        self.is_orphan() && is_due && orphans << weight > most
    }

    /// Counts a time-out after `retries` in a row. What follows gets another flow label, for the path of this one may be
    /// broken.
    fn count_timeout(&mut self, now: Instant, retries: u8, counters: &mut Counters) {
        self.recovery.seldom_mut().timeouts.on_timeout(now, retries == 0);
        counters.bump(Counter::TcpExtTcpTimeoutRehash);
    }

    /// Whether the host has no memory for what nobody holds any more; it is reset then.
    fn is_out_of_memory(&mut self, counters: &mut Counters) -> bool {
        let out = self.holder == Holder::Nobody && self.supply == Supply::None && self.is_large_orphan();
        if out {
            counters.bump(Counter::TcpExtTCPAbortOnMemory);
            self.reset();
        }
        out
    }

    /// Whether so little is in flight that longer and longer time-outs would spare the path nothing. As in Linux that
    /// holds for six of them, and not before the first loss.
    fn is_thin(&self) -> bool {
        self.options.rare().loss.thin_linear
            && self.recovery.scoreboard.outstanding() < THIN_SEGMENTS
            && self.send.retries <= THIN_RETRIES
            && self.congestion.ssthresh() < UNLIMITED
    }

    /// `deadline`, or the end of the user's patience, which began at `since`.
    pub(super) fn bounded(&self, deadline: Instant, since: Instant) -> Instant {
        self.options.rare().user_timeout.map_or(deadline, |limit| deadline.min(since + limit))
    }

    /// How often what waits for an acknowledgement was sent again in vain.
    pub fn retries(&self) -> u8 {
        self.send.retries
    }

    /// How often something is tried again for a connection that nobody holds, where `wait` lies between two tries. As
    /// Linux: by default not once more when that is as long as it may be.
    fn orphan_retries(&self, wait: Duration) -> u8 {
        match self.options.orphan_retries {
            0 if wait < self.longest_timeout() => ORPHAN_RETRIES,
            retries => retries,
        }
    }

    /// Whether the peer has been silent for longer than the settings allow.
    //= RFC 9293 MUST-20
    //= RFC 9293 MUST-21
    fn is_hopeless(&self, now: Instant) -> bool {
        if self.send.retries == 0 {
            return false;
        }
        let in_vain = now.saturating_since(self.send.first_retry);
        if let Some(limit) = self.options.rare().user_timeout {
            return in_vain >= limit;
        }
        let longest = self.longest_timeout();
        if self.holder == Holder::Nobody {
            return in_vain >= time_of_retries(RETRY_BASE, self.orphan_retries(self.send.rtt.rto()), longest);
        }
        //= RFC 9293 MUST-37
        //= RFC 9293 MUST-35
        //= RFC 9293 SHLD-17
        if self.send.window.wnd == 0 {
            // It took its window back, and as long as it says so it is not silent.
            let silent = now.saturating_since(self.tally.last_ack);
            return silent > longest * 2 && in_vain > longest * 2;
        }
        in_vain >= time_of_retries(RETRY_BASE, self.options.retries, longest)
    }

    fn longest_timeout(&self) -> Duration {
        Duration::from_millis(self.options.rto_max_ms.into())
    }

    fn give_up(&mut self, counters: &mut Counters) {
        counters.bump(Counter::TcpExtTCPAbortOnTimeout);
        let error = self.soft_error.take().unwrap_or(SocketError::TimedOut);
        self.fail(error);
    }

    /// The peer's window has been too small for a time-out: ask for it again.
    //= RFC 9293 MUST-36
    //= RFC 9293 MUST-37
    //= RFC 9293 SHLD-29
    //= RFC 9293 SHLD-30
    fn on_persist(&mut self, now: Instant, counters: &mut Counters) {
        if self.is_probing_hopeless(now) {
            self.give_up(counters);
            return;
        }
        if self.is_out_of_memory(counters) {
            return;
        }
        counters.bump(Counter::TcpExtTCPWinProbe);
        if self.send.persist_backoff == 0 {
            // As Linux: patience begins with the first probe, not with the wait before.
            self.send.first_retry = now;
        }
        let window = self.send.window.usable();
        if window > 0 && self.recovery.scoreboard.is_empty() {
            // As Linux: what asks is the data that fits, pushed, and from then on that is waited for.
            self.pending.push_small = true;
            let nxt = self.send.window.nxt;
            self.send.pushed = self.send.pushed.latest(self.frame_end(nxt).earliest(self.send.queue.end()));
            (self.send.probes, self.send.persist_backoff) = (0, 0);
            return;
        }
        self.pending.probe = true;
        self.probe_urgent();
        self.send.probes = self.send.probes.saturating_add(1);
        // As Linux: no more often than it would be sent again.
        if self.send.persist_backoff < self.options.retries.min(MAX_PERSIST_BACKOFF) {
            self.send.persist_backoff += 1;
        }
        let next = self.bounded(now + self.persist_wait(), self.send.first_retry);
        self.timers.set(Timer::Persist, next);
    }

    /// The time between two probes of a closed window: doubled for each, whether it was answered or not.
    pub(super) fn persist_wait(&self) -> Duration {
        let wait = self.send.rtt.rto().saturating_mul(1 << self.send.persist_backoff);
        wait.min(Duration::from_millis(self.options.rto_max_ms.into()))
    }

    /// Whether probing a closed window is in vain. A peer that answers may keep it closed for ever, but not to a
    /// connection that nobody holds.
    fn is_probing_hopeless(&self, now: Instant) -> bool {
        let patience = self.options.rare().user_timeout;
        if self.send.persist_backoff > 0
            && patience.is_some_and(|limit| now.saturating_since(self.send.first_retry) >= limit)
        {
            return true;
        }
        if self.holder != Holder::Nobody {
            return self.send.probes >= self.options.retries;
        }
        let most = self.orphan_retries(self.persist_wait());
        self.send.probes >= most
    }

    //= RFC 9293 MUST-26
    //= RFC 9293 MUST-29
    //= RFC 9293 SHLD-12
    //= RFC 9293 MAY-5
    fn on_keep_alive(&mut self, now: Instant, counters: &mut Counters) {
        let keep_alive = self.options.keep_alive;
        let interval = Duration::from_secs(keep_alive.interval_secs.into());
        // Data in flight, or a closed window, is watched by a timer of its own.
        if !self.send.queue.is_empty() || self.send.fin == Fin::Queued || !self.recovery.scoreboard.is_empty()
        {
            let idle = Duration::from_secs(keep_alive.idle_secs.into());
            self.timers.set(Timer::KeepAlive, now + idle);
            return;
        }
        let silent = now.saturating_since(self.tally.last_ack.max(self.recv.acks.last_arrival()));
        // The user's patience stands in place of the count: tcp(7).
        let hopeless = match self.options.rare().user_timeout {
            Some(limit) => self.send.probes > 0 && silent >= limit,
            None => self.send.probes >= keep_alive.probes,
        };
        if hopeless {
            counters.bump(Counter::TcpExtTCPAbortOnTimeout);
            let error = self.soft_error.take().unwrap_or(SocketError::TimedOut);
            self.reset_with(error);
            return;
        }
        counters.bump(Counter::TcpExtTCPKeepAlive);
        self.send.probes += 1;
        self.pending.probe = true;
        self.timers.set(Timer::KeepAlive, now + interval);
    }
}
