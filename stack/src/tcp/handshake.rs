//! Opening a connection: SYN-SENT, SYN-RECEIVED by simultaneous open, and what both sides agree on.

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::config::Options;
use super::connection::{Connection, Event, Negotiated, Opening, TimestampState};
use super::recv::window::ReceiveWindow;
use super::segment::{Control, Segment, UnscaledWindow, WindowScale};
use super::seq::SeqNumber;
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
    /// When our SYN-ACK was sent, where it was sent once.
    pub sent_at: Option<Instant>,
}

/// The window of a SYN or SYN-ACK: never scaled, and whole segments.
//= RFC 7323 §2.2
pub(super) fn syn_window(options: &Options, mss: u16) -> UnscaledWindow {
    let space = (options.receive_buffer / 2).min(u16::MAX.into());
    let mss = u32::from(mss.max(1));
    UnscaledWindow(if space > mss { (space / mss * mss) as u16 } else { space as u16 })
}

/// The options of a SYN, or of a SYN-ACK that answers one with `offered`.
//= RFC 9293 MUST-14
//= RFC 9293 SHLD-5
pub(super) fn syn_options(
    options: &Options,
    advertised: u16,
    timestamp: Timestamps,
    offered: Option<&TcpOptions>,
) -> TcpOptions {
    let taken = |ours: bool, theirs: fn(&TcpOptions) -> bool| ours && offered.is_none_or(theirs);
    let scale = ReceiveWindow::scale_for(options.receive_buffer, options.receive_buffer_max);
    TcpOptions {
        mss: Some(options.max_segment.map_or(advertised, |bound| bound.min(advertised))),
        window_scale: taken(options.window_scaling, |o| o.window_scale.is_some()).then_some(scale.shift()),
        sack_permitted: taken(options.sack, |o| o.sack_permitted),
        timestamps: taken(options.timestamps, |o| o.timestamps.is_some()).then_some(timestamp),
        ..TcpOptions::default()
    }
}

impl Connection {
    /// A connection whose handshake is done but for its first segment: `segment`, the peer's acknowledgement of our
    /// SYN, is to be given to [`on_segment`](Connection::on_segment) next.
    pub fn accept(now: Instant, accepted: Accepted, options: Options) -> Self {
        let mut connection = Connection::new(accepted.opening, options);
        let iss = accepted.opening.iss;
        connection.send.window.nxt = iss + 1;
        connection.send.last_sent = accepted.sent_at.unwrap_or(now);
        connection.negotiate(now, accepted.irs, &accepted.offered);
        if let (Some(recent), Some(timestamps)) = (accepted.recent, &mut connection.negotiated.timestamps) {
            *timestamps = TimestampState { recent, recent_at: now };
        }
        connection.recv.window.offered(accepted.edge);
        connection.send.window.start(accepted.irs, iss + 1, accepted.window.0.into());
        connection.establish(now, iss + 1, accepted.sent_at);
        connection
    }

    /// Takes what the peer's SYN says.
    pub(super) fn negotiate(&mut self, now: Instant, irs: SeqNumber, offered: &TcpOptions) {
        let options = &self.options;
        let timestamps = offered.timestamps.filter(|_| options.timestamps);
        self.negotiated = Negotiated {
            sack: options.sack && offered.sack_permitted,
            timestamps: timestamps.map(|stamp| TimestampState { recent: stamp.value, recent_at: now }),
            ..self.negotiated
        };
        match offered.window_scale.filter(|_| options.window_scaling) {
            Some(shift) => self.send.window.scale = WindowScale::clamped(shift),
            None => self.recv.window.scale = WindowScale::clamped(0),
        }
        self.send.peer_mss = offered.mss.unwrap_or(self.sizes.default);
        self.update_mss();
        self.recv.window.start(irs + 1);
        self.recv.acks.on_ack_sent(irs + 1);
    }

    /// Our SYN is acknowledged.
    pub(super) fn establish(&mut self, now: Instant, ack: SeqNumber, sent_at: Option<Instant>) {
        self.state = State::Established;
        self.send.window.una = ack;
        self.send.retries = 0;
        self.send.small_end = ack;
        self.send.flight_end = ack;
        self.timers.stop(Timer::Retransmit);
        self.pending.syn = false;
        if let Some(sent_at) = sent_at {
            self.send.rtt.sample(now.saturating_since(sent_at));
        }
        self.send.rtt.reset_backoff();
        self.arm_keep_alive(now);
        self.events.add(Event::Connected);
        self.events.add(Event::Writable);
    }

    /// A segment in SYN-SENT. Gives it back where it holds data to be taken in ESTABLISHED.
    //= RFC 9293 §3.10.7.3
    pub(super) fn on_segment_syn_sent(
        &mut self,
        now: Instant,
        mut segment: Segment,
        counters: &mut Counters,
    ) -> Option<Segment> {
        // First, the ACK: what acknowledges something else than our SYN is answered by a reset, which the owner sends.
        let acceptable = segment.ack.is_none_or(|ack| ack == self.send.window.nxt);
        if !acceptable {
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
        if segment.control != Some(Control::Syn) {
            return None;
        }
        let sent_at = (self.send.retries == 0).then_some(self.send.last_sent);
        self.negotiate(now, segment.seq, &segment.options);
        self.send.window.start(
            segment.seq,
            segment.ack.unwrap_or(self.send.window.una),
            segment.window.0.into(),
        );
        match segment.ack {
            Some(ack) => {
                self.establish(now, ack, sent_at);
                self.recv.acks.owe_now();
                segment.trim_front(segment.seq + 1);
                (!segment.is_empty()).then_some(segment)
            }
            //= RFC 9293 MUST-10
            None => {
                self.state = State::SynReceived;
                self.pending.syn = true;
                None
            }
        }
    }

    /// The SYN of SYN-SENT, or the SYN-ACK of SYN-RECEIVED, where it is due.
    pub(super) fn poll_syn(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if !self.pending.syn {
            return None;
        }
        self.pending.syn = false;
        let answers = self.state == State::SynReceived;
        let echo = self.negotiated.timestamps.filter(|_| answers).map_or(0, |stamp| stamp.recent);
        let timestamp = Timestamps { value: self.timestamp(now), echo };
        let offered = TcpOptions {
            window_scale: Some(0).filter(|_| self.send.window.scale.shift() > 0 || !answers),
            sack_permitted: self.negotiated.sack,
            timestamps: self.negotiated.timestamps.map(|_| timestamp),
            ..TcpOptions::default()
        };
        let window = syn_window(&self.options, self.sizes.advertised);
        self.recv.window.offered(self.recv.window.nxt + u32::from(window.0));
        if self.send.retries > 0 {
            counters.bump(Counter::TcpRetransSegs);
            counters.bump(Counter::TcpExtTCPSynRetrans);
        } else {
            counters.bump(Counter::TcpOutSegs);
        }
        self.send.last_sent = now;
        self.timers.set(Timer::Retransmit, now + self.send.rtt.rto());
        let options =
            syn_options(&self.options, self.sizes.advertised, timestamp, answers.then_some(&offered));
        Some(Segment {
            ack: answers.then_some(self.recv.window.nxt),
            control: Some(Control::Syn),
            window,
            options,
            ..Segment::new(self.send.window.nxt - 1)
        })
    }
}
