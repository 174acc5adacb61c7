//! Opening a connection: SYN-SENT, SYN-RECEIVED by simultaneous open, and what both sides agree on.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::config::Options;
use super::connection::{Connection, Event, Holder, Negotiated, Opening, TimestampState};
use super::recovery::timeouts::Timeouts;
use super::recv::ack_policy::{LONGEST_DELAY, QUICK_ACKS};
use super::recv::window::ReceiveWindow;
use super::segment::{Control, Segment, UnscaledWindow, WindowScale};
use super::send::Fin;
use super::seq::SeqNumber;
use super::shared_options::SharedOptions;
use super::state::State;
use super::timers::Timer;

/// A handshake that a listener has brought to its end: what the new connection starts from.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Our side.
    pub opening: Opening,
    /// The peer's initial sequence number.
    pub irs: SeqNumber,
    /// What the peer's SYN offered.
    pub offered: TcpOptions,
    /// The peer's latest timestamp.
    pub recent: Option<u32>,
    /// The window of the peer's SYN.
    pub window: UnscaledWindow,
    /// The right edge that our SYN-ACK offered.
    pub edge: SeqNumber,
    /// The scale that our SYN-ACK offered, whatever the options say by now.
    pub scale: WindowScale,
    /// Whether both sides take marks of congestion.
    pub ecn: bool,
    /// When our SYN-ACK was sent.
    pub sent: SynSent,
}

/// What is known of the SYN that was acknowledged.
#[derive(Copy, Clone, Debug)]
pub enum SynSent {
    /// It was sent once, at this time: its acknowledgement measures the round trip.
    Once(Instant),
    /// It was sent again because nothing came back in time.
    Again {
        /// How often.
        retries: u8,
        /// When it was sent first.
        since: Instant,
    },
    /// It was sent again, because the peer's own came again: nothing is known to be lost.
    Repeated,
    /// Nothing was kept of it.
    Forgotten,
}

/// When our SYN follows the reset of an older connection, which the peer still believed in.
const SYN_AFTER_RESET: Duration = Duration::from_millis(8);

/// No link but those in memory takes larger segments, in bytes.
const LARGEST_OF_A_WIRE: u32 = 9000;

/// Bytes of the timestamp option, padded.
pub(super) const TIMESTAMPS_LEN: u32 = 12;

/// What a side is willing to agree on.
#[derive(Copy, Clone, Debug)]
pub(super) struct Willing {
    pub(super) sack: bool,
    pub(super) timestamps: bool,
    pub(super) window_scaling: bool,
}

impl Willing {
    pub(super) fn of(options: &Options) -> Self {
        let Options { sack, timestamps, window_scaling, .. } = *options;
        Willing { sack, timestamps, window_scaling }
    }

    /// What both are willing to do.
    pub(super) fn and(self, offered: &TcpOptions) -> Willing {
        Willing {
            sack: self.sack && offered.sack_permitted,
            timestamps: self.timestamps && offered.timestamps.is_some(),
            window_scaling: self.window_scaling && offered.window_scale.is_some(),
        }
    }
}

/// The scale of our windows, which fits the largest receive buffer that there may be.
pub(super) fn window_scale(options: &Options) -> WindowScale {
    let rare = options.rare();
    let largest = options.receive_buffer_max.max(Some(rare.window_room));
    // As Linux: of a buffer that was asked for, only so much is ever offered as its bytes are worth in a window.
    let fixed = options.receive_buffer_max.is_none() && rare.window_room == 0;
    let clamp = if fixed {
        Some(rare.window_clamp.unwrap_or(u32::MAX).min(options.receive_buffer / 2))
    } else {
        rare.window_clamp
    };
    ReceiveWindow::scale_for(options.receive_buffer, largest, clamp)
}

/// The window of a SYN or SYN-ACK: never scaled, and as much of the first window as the field has room for.
//= RFC 7323 §2.2
//= RFC 7323 §2.2 MUST-3
pub(super) fn syn_window(options: &Options, mss: u16, timestamps: bool) -> UnscaledWindow {
    UnscaledWindow(u16::try_from(first_window(options, mss, timestamps)).unwrap_or(u16::MAX))
}

/// The window that a connection begins with, in bytes: whole segments, each without its timestamps where both sides use
/// them. `mss` is what the SYN announces. As Linux.
fn first_window(options: &Options, mss: u16, timestamps: bool) -> u32 {
    let clamp = options.rare().window_clamp.unwrap_or(u32::MAX);
    let space = (options.receive_buffer / 2).min(clamp);
    let mss = u32::from(mss.max(1));
    // Where one segment alone fits, as on `lo`, it would close the window: unlike in Linux that keeps the room of its options.
    let lone = space < 2 * mss && mss > LARGEST_OF_A_WIRE;
    let stamps = if timestamps && !lone { TIMESTAMPS_LEN } else { 0 };
    let mss = mss.saturating_sub(stamps).max(1);
    let space = options.rare().first_offer.map_or(space, |segments| space.min(u32::from(segments) * mss));
    if space > mss { space / mss * mss } else { space }
}

/// The options of a SYN or SYN-ACK.
//= RFC 9293 MUST-14
//= RFC 9293 SHLD-5
//= RFC 9293 MUST-65
//= RFC 9293 MAY-3
pub(super) fn syn_options(
    willing: Willing,
    mss: u16,
    scale: WindowScale,
    timestamp: Timestamps,
) -> TcpOptions {
    TcpOptions {
        mss: Some(mss),
        window_scale: willing.window_scaling.then_some(scale.shift()),
        sack_permitted: willing.sack,
        timestamps: willing.timestamps.then_some(timestamp),
        ..TcpOptions::default()
    }
}

/// The segment size that a SYN announces, where the link takes `advertised`. What is set later changes nothing, as in Linux.
pub(super) fn announced_mss(options: &Options, advertised: u16) -> u16 {
    options.max_segment.map_or(advertised, |bound| bound.min(advertised))
}

impl Connection {
    /// A connection whose handshake is done but for its first segment: `segment`, the peer's acknowledgement of our
    /// SYN, is to be given to [`on_segment`](Connection::on_segment) next.
    pub fn accept(now: Instant, accepted: Accepted, options: impl Into<SharedOptions>) -> Self {
        let mut connection = Connection::new(accepted.opening, options.into());
        connection.holder = Holder::Listener;
        let iss = accepted.opening.iss;
        connection.send.window.nxt = iss + 1;
        connection.recv.window.scale = accepted.scale;
        let all = Willing { sack: true, timestamps: true, window_scaling: true };
        connection.negotiate(now, accepted.irs, &accepted.offered, all);
        // As Linux, which begins with what the path is known to take; an active open begins with less.
        connection.begin_search(now);
        if let (Some(recent), Some(timestamps)) = (accepted.recent, &mut connection.negotiated.timestamps) {
            *timestamps = TimestampState::new(recent, now);
        }
        connection.recv.window.offered(connection.first_edge(&accepted));
        connection.ecn.agreed = accepted.ecn;
        connection.send.window.start(accepted.irs, accepted.window.0.into());
        // As Linux: the segment that ends the handshake offers the first window that counts for the largest one.
        connection.send.window.max_wnd = 0;
        connection.establish(now, iss + 1, accepted.sent);
        connection.recv.acks.on_shaken(now);
        // As Linux: the SYN counts.
        connection.tally.segs_in = 1;
        connection.send.last_sent = now;
        connection.recv.opening = true;
        if let SynSent::Again { retries, since } = accepted.sent {
            let seldom = connection.recovery.seldom_mut();
            seldom.resent = retries.into();
            seldom.timeouts = Timeouts::after_syn_ack(now, retries, since);
        }
        connection
    }

    /// The right edge that the connection begins with: that of the SYN-ACK, or what its field had no room for.
    fn first_edge(&self, accepted: &Accepted) -> SeqNumber {
        let nxt = accepted.irs + 1;
        if accepted.edge.saturating_since(nxt) < u16::MAX.into() {
            return accepted.edge;
        }
        let mss = announced_mss(&self.options, self.sizes.advertised);
        nxt + first_window(&self.options, mss, self.negotiated.timestamps.is_some()).max(u16::MAX.into())
    }

    /// The largest payload that the peer's segments have, as our SYN has told it, in bytes, without timestamps.
    pub(super) fn advmss(&self) -> u32 {
        let stamps = if self.negotiated.timestamps.is_some() { TIMESTAMPS_LEN } else { 0 };
        u32::from(self.sizes.advertised).saturating_sub(stamps).max(1)
    }

    /// Takes what the peer's SYN says.
    //= RFC 7323 §2.2 MUST-1
    //= RFC 7323 §2.2 MUST-2
    //= RFC 7323 §2.3 MUST-2
    //= RFC 7323 §2.3 MUST-3
    //= RFC 7323 §2.3 MUST-4
    pub(super) fn negotiate(&mut self, now: Instant, irs: SeqNumber, offered: &TcpOptions, willing: Willing) {
        let agreed = willing.and(offered);
        let timestamps = offered.timestamps.filter(|_| agreed.timestamps);
        self.negotiated = Negotiated {
            sack: agreed.sack,
            window_scaling: agreed.window_scaling,
            timestamps: timestamps.map(|stamp| TimestampState::new(stamp.value, now)),
            ..self.negotiated
        };
        match offered.window_scale.filter(|_| agreed.window_scaling) {
            Some(shift) => self.send.window.scale = WindowScale::clamped(shift),
            None => self.recv.window.scale = WindowScale::clamped(0),
        }
        let bound = self.options.max_segment.unwrap_or(u16::MAX);
        self.send.peer_mss = offered.mss.unwrap_or(self.sizes.default).min(bound);
        self.update_mss();
        self.recv.window.start(irs + 1);
        self.recv.acks.on_ack_sent(irs + 1);
    }

    /// Before the SYN is sent: the peer's last time stamp of an earlier connection, which it echoes, as in Linux.
    pub fn recall_stamp(&mut self, now: Instant, recent: u32) {
        if self.options.timestamps {
            self.negotiated.timestamps = Some(TimestampState::new(recent, now));
        }
    }

    /// Our SYN is acknowledged. Where the program has shut down writing meanwhile, our FIN may follow.
    //= RFC 6298 §5.7
    //= RFC 6298 §5.7 MUST-1
    //= RFC 5681 §3.1 MUST-6
    //= RFC 5681 §3.1 MUST-7
    pub(super) fn establish(&mut self, now: Instant, ack: SeqNumber, sent: SynSent) {
        self.state = if self.send.fin == Fin::No { State::Established } else { State::FinWait1 };
        self.send.window.una = ack;
        self.tally.last_ack = now;
        self.send.retries = 0;
        self.send.small_end = self.send.small_end.latest(ack);
        self.recovery.begin(ack);
        self.congestion.usage.begin(now, self.send.window.nxt);
        self.timers.stop(Timer::Retransmit);
        self.settle_early(false);
        self.pending.syn = false;
        match sent {
            SynSent::Once(at) => self.send.rtt.sample(now, now.saturating_since(at)),
            SynSent::Again { retries, .. } => {
                self.recovery.end_timeouts(now);
                self.send.rtt.distrust();
                // As Linux: once may be by chance.
                //= RFC 5681 §3.1
                if retries > 1 {
                    self.congestion.on_lost_syn();
                }
            }
            SynSent::Repeated => self.send.rtt.distrust(),
            SynSent::Forgotten => {}
        }
        self.send.rtt.reset_backoff();
        self.congestion.on_open(self.send.rtt.srtt(), self.send.mss);
        let mss = self.send.mss.min(self.advmss());
        self.recv.acks.start(mss, self.recv.window.remaining());
        self.recv.window.begin(now, self.advmss());
        if !self.recovery.scoreboard.is_empty() {
            self.timers.set(Timer::Retransmit, now + self.send.rtt.rto());
        }
        self.arm_keep_alive(now);
        self.events.add(Event::Connected);
        self.events.add(Event::Writable);
    }

    /// A segment in SYN-SENT. Gives it back where it holds data to be taken in ESTABLISHED. As Linux: that is what answers a
    /// fast open; other data and FIN behind a SYN have to come again.
    //= RFC 9293 §3.10.7.3
    //= RFC 5961 §3.2 MUST-5
    pub(super) fn on_segment_syn_sent(
        &mut self,
        now: Instant,
        mut segment: Segment,
        counters: &mut Counters,
    ) -> Option<Segment> {
        // First, the ACK: what acknowledges something else than our SYN is answered by a reset, which the owner sends.
        if !self.acknowledges_syn(&segment) {
            if segment.ack == Some(self.send.window.nxt) {
                counters.bump(Counter::TcpExtPAWSActive);
            }
            // As Linux: a reset of another connection clears the way as well, though nothing answers it.
            if segment.control == Some(Control::Rst) {
                self.on_refused(now, &segment);
            }
            return None;
        }
        // Second, the reset.
        if segment.control == Some(Control::Rst) {
            if segment.ack.is_some() {
                counters.bump(Counter::TcpAttemptFails);
                self.fail(SocketError::ConnectionRefused);
            }
            return None;
        }
        // Fourth, the SYN.
        if segment.control != Some(Control::Syn) || self.is_held() {
            counters.bump(Counter::TapsockTcpInNoSyn);
            return None;
        }
        let sent = self.syn_sent();
        self.agree_on_ecn(&segment);
        self.negotiate(now, segment.seq, &segment.options, Willing::of(&self.options));
        self.begin_search(now);
        let window = first_window(&self.options, self.sizes.advertised, false);
        self.recv.window.offered(self.recv.window.nxt + window);
        self.send.window.start(segment.seq, segment.window.0.into());
        self.update_mss();
        match segment.ack {
            Some(ack) => {
                self.establish(now, self.send.queue.base(), sent);
                // As Linux: the SYN of who connects counts, that of who accepts does not.
                counters.bump(Counter::TcpExtTCPDelivered);
                self.recv.acks.on_shaken(now);
                self.send.syn_counts = true;
                self.on_fast_open_answer(now, &segment, ack, sent, counters);
                self.acknowledge_syn(now);
                let takes_data = self.is_fast_open_client();
                segment.trim_front(segment.seq + 1);
                if segment.fin_behind_syn {
                    segment.control = Some(Control::Fin);
                }
                (takes_data && !segment.is_empty()).then_some(segment)
            }
            //= RFC 9293 MUST-10
            None => {
                self.state = State::SynReceived;
                self.pending.syn = true;
                None
            }
        }
    }

    /// A segment is answered by a reset ([`is_refused`](Connection::is_refused)). As Linux: where the peer believed in an
    /// older connection, that clears the way for our SYN, which need not wait for its timer.
    pub fn on_refused(&mut self, now: Instant, segment: &Segment) {
        let of_another = segment.ack.is_some_and(|ack| !self.covers_syn(ack));
        if self.state == State::SynSent && of_another && self.send.retries == 0 {
            self.timers.set(Timer::Retransmit, now + SYN_AFTER_RESET);
        }
    }

    /// The handshake's last acknowledgement goes at once, but where data is expected to go with it.
    fn acknowledge_syn(&mut self, now: Instant) {
        if self.options.late_acks || self.options.rare().defer_accept > 0 || self.pending.writer {
            // As Linux: what was set before holds for this one alone.
            self.recv.acks.quicken(self.recv.window.remaining(), QUICK_ACKS);
            self.recv.acks.owe_late();
            self.timers.set(Timer::DelayedAck, now + LONGEST_DELAY);
        } else {
            self.recv.acks.owe_now();
        }
    }

    /// Whether what the segment acknowledges, where it does, is our SYN, and the timestamp that it echoes one of those
    /// that the SYN bore.
    //= RFC 7323 §3.2 MUST-3
    pub(super) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        let Some(ack) = segment.ack else { return true };
        let echo = segment.options.timestamps.map_or(0, |stamp| stamp.echo);
        let echoes = echo == 0 || !self.options.timestamps || {
            let (first, last) = (self.timestamp(self.send.first_retry), self.timestamp(self.send.last_sent));
            echo.wrapping_sub(first) <= last.wrapping_sub(first)
        };
        self.covers_syn(ack) && echoes
    }

    /// Whether `ack` acknowledges our SYN, and nothing that was never sent.
    pub(super) fn covers_syn(&self, ack: SeqNumber) -> bool {
        ack.after(self.send.window.una) && ack.at_or_before(self.send.window.nxt)
    }

    /// What is known of our own SYN.
    pub(super) fn syn_sent(&self) -> SynSent {
        match self.send.retries {
            0 if self.was_syn_doubled() => SynSent::Repeated,
            // Data may have gone out since.
            0 if self.is_early() => SynSent::Once(self.send.first_retry),
            0 => SynSent::Once(self.send.last_sent),
            retries => SynSent::Again { retries, since: self.send.first_retry },
        }
    }

    /// The SYN of SYN-SENT, or the SYN-ACK of SYN-RECEIVED, where it is due.
    pub(super) fn poll_syn(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if !self.pending.syn {
            return None;
        }
        self.pending.syn = false;
        let answers = self.state == State::SynReceived;
        // Before an answer they are an earlier connection's.
        let stamps = self.negotiated.timestamps;
        let echo = stamps.map_or(0, |stamp| stamp.recent);
        let timestamp = Timestamps { value: self.timestamp(now), echo };
        // As Linux: where SYNs cross, the SYN-ACK offers what the SYN did, whatever the peer's has said.
        // One that was opened by a fast open answers with what was agreed.
        let willing = if answers && self.is_early() {
            let Negotiated { sack, window_scaling, timestamps, .. } = self.negotiated;
            Willing { sack, timestamps: timestamps.is_some(), window_scaling }
        } else {
            Willing::of(&self.options)
        };
        let window = first_window(&self.options, self.sizes.advertised, stamps.is_some());
        self.recv.window.offered(self.recv.window.nxt + window);
        let window = UnscaledWindow(u16::try_from(self.recv.window.remaining()).unwrap_or(u16::MAX));
        if self.send.retries > 0 {
            self.recovery.seldom_mut().resent += 1;
            counters.bump(Counter::TcpRetransSegs);
            counters.bump(Counter::TcpExtTCPSynRetrans);
        } else {
            counters.bump(Counter::TcpOutSegs);
        }
        self.send.last_sent = now;
        let due = now + self.send.rtt.rto();
        let due = if answers { due } else { self.bounded(due, self.send.first_retry) };
        self.timers.set(Timer::Retransmit, due);
        // The scale was fixed when the connection was made: the peer may have seen it in an earlier SYN.
        let mut options = syn_options(willing, self.sizes.advertised, self.recv.window.scale, timestamp);
        let (fast_open, payload) = self.load_syn(now);
        options.fast_open = fast_open;
        Some(Segment {
            ack: answers.then_some(self.recv.window.nxt),
            control: Some(Control::Syn),
            window,
            ecn: self.syn_ecn(),
            options,
            payload,
            ..Segment::new(self.send.window.una)
        })
    }
}
