//! Finding out by trying what the path takes (RFC 4821), where routers that drop what is too large say nothing of it. As
//! Linux: by default nothing is tried, by setting where nothing gets through any more, or always.
//!
//! Sizes are those of a segment's payload with its options: a packet less the headers of IP and TCP without options.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::time::Instant;

use super::connection::Connection;
use super::recovery::Phase;
use super::segment::Segment;
use super::seq::SeqNumber;
use super::seq_ranges::SeqRange;

/// The least congestion window with which a larger segment is tried.
const LEAST_WINDOW: u32 = 11;

/// Bytes of the timestamp option, padded.
const TIMESTAMPS_LEN: u16 = 12;

/// Whether larger segments are tried, and smaller ones sent where nothing gets through (`net.ipv4.tcp_mtu_probing`).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Probing {
    /// Never.
    #[default]
    Never,
    /// After nothing got through.
    BlackHole,
    /// From the start.
    Always,
}

/// How it is found out what a path takes.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::tcp::mtu_search::Probing;
///
/// let mut config = Config::default();
/// assert_eq!(config.tcp_options().rare().mtu.probing, Probing::Never);
/// config.set("net.ipv4.tcp_mtu_probing", "1").unwrap();
/// let options = config.tcp_options();
/// assert_eq!((options.rare().mtu.probing, options.rare().mtu.base), (Probing::BlackHole, 1024));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct MtuOptions {
    /// Whether at all.
    pub probing: Probing,
    /// The payload that any path is held to take, in bytes (`net.ipv4.tcp_base_mss`).
    pub base: u16,
    /// The least that it is held to take, whatever gets lost, in bytes (`net.ipv4.tcp_mtu_probe_floor`).
    pub floor: u16,
    /// The search ends where it is known to so many bytes (`net.ipv4.tcp_probe_threshold`).
    pub threshold: u16,
    /// After how many seconds it begins anew (`net.ipv4.tcp_probe_interval`).
    pub interval_secs: u32,
    /// For how many retransmissions nothing gets through before smaller segments are sent (`net.ipv4.tcp_retries1`).
    pub patience: u8,
}

impl MtuOptions {
    /// Linux's.
    pub const DEFAULT: MtuOptions = MtuOptions {
        probing: Probing::Never,
        base: 1024,
        floor: 48,
        threshold: 8,
        interval_secs: 600,
        patience: 3,
    };
}

/// The search of one connection.
//= RFC 4821 §7.2
#[derive(Clone, Debug)]
pub(super) struct MtuSearch {
    /// What is known to get through, or held to.
    low: u16,
    /// More than that does not.
    high: u16,
    /// The larger segment that is on its way.
    trial: Option<Trial>,
    since: Instant,
}

#[derive(Copy, Clone, Debug)]
struct Trial {
    range: SeqRange,
    size: u16,
}

impl MtuSearch {
    /// Whether the segment that was tried begins at `seq`.
    pub(super) fn tries_at(&self, seq: SeqNumber) -> bool {
        self.trial.is_some_and(|trial| trial.range.start() == seq)
    }

    /// The segment that was tried was lost, and nothing else with it: the path takes less.
    //= RFC 4821 §7.6.2
    pub(super) fn on_lost(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.high = trial.size - 1;
        }
    }

    /// Whatever was lost, it can't be told why.
    //= RFC 4821 §7.6.4
    pub(super) fn forget_trial(&mut self) {
        self.trial = None;
    }
}

impl Connection {
    fn new_search(&self, now: Instant) -> MtuSearch {
        let low = self.options.rare().mtu.base.saturating_add(self.options_len());
        let high = self.send.peer_mss.min(self.sizes.path);
        MtuSearch { low, high, trial: None, since: now }
    }

    /// Bytes of options that each segment has.
    pub(super) fn options_len(&self) -> u16 {
        if self.negotiated.timestamps.is_some() { TIMESTAMPS_LEN } else { 0 }
    }

    /// The handshake has told what the peer takes.
    pub(super) fn begin_search(&mut self, now: Instant) {
        if self.options.rare().mtu.probing == Probing::Always {
            self.recovery.begin_search(self.new_search(now));
        }
    }

    /// The most that is held to get through.
    pub(super) fn searched_size(&self) -> u16 {
        self.recovery.search().map_or(u16::MAX, |search| search.low)
    }

    /// The path is known to take no more than `size`.
    pub(super) fn bound_search(&mut self, size: u16) {
        if let Some(search) = self.recovery.search_mut() {
            search.high = search.high.min(size);
        }
    }

    /// Nothing has got through for a while: perhaps for the size of it.
    //= RFC 4821 §7.7
    pub(super) fn suspect_size(&mut self, now: Instant) {
        let MtuOptions { probing, base, floor, .. } = self.options.rare().mtu;
        if probing == Probing::Never {
            return;
        }
        let options = self.options_len();
        match self.recovery.search().map(|search| self.payload_of(search.low) as u16) {
            None => self.recovery.begin_search(self.new_search(now)),
            Some(size) => {
                let size = (size / 2).min(base).max(floor).max(self.options.min_send_mss);
                if let Some(search) = self.recovery.search_mut() {
                    search.low = size.saturating_add(options);
                }
            }
        }
        self.bound_search(self.sizes.path);
        self.update_mss();
    }

    /// What was tried has arrived: larger segments it is. The window lets as many bytes go as before.
    //= RFC 4821 §7.6.1
    pub(super) fn note_arrival_of_trial(&mut self, counters: &mut Counters) {
        let una = self.send.window.una;
        let options = u32::from(self.options_len());
        let Some(search) = self.recovery.search_mut() else { return };
        let Some(trial) = search.trial.take_if(|trial| trial.range.end().at_or_before(una)) else { return };
        search.low = trial.size;
        counters.bump(Counter::TcpExtTCPMTUPSuccess);
        let headers = self.header_len();
        let (before, after) = (self.send.mss + options + headers, u32::from(trial.size) + headers);
        self.congestion.set_window(self.congestion.window() * before / after);
        self.congestion.keep_threshold();
        self.update_mss();
    }

    /// Headers of IP and TCP without options, in bytes.
    fn header_len(&self) -> u32 {
        // The least MTU that all hosts take tells the family.
        if self.sizes.default > 536 { 60 } else { 40 }
    }

    /// Something is sent again: of a larger segment on its way nothing can be told.
    pub(super) fn forget_trial(&mut self) {
        if let Some(search) = self.recovery.search_mut() {
            search.forget_trial();
        }
    }

    /// A larger segment than others, where it is time to try one.
    //= RFC 4821 §7.3
    //= RFC 4821 §7.4
    pub(super) fn poll_trial(&mut self, now: Instant, counters: &mut Counters) -> Option<Trying> {
        let search = self.recovery.search()?;
        let window = self.congestion.window();
        let options = self.segment_options(now);
        let quiet = self.recovery.phase == Phase::Open && options.sack.is_empty();
        if search.trial.is_some() || !quiet || window < LEAST_WINDOW {
            return None;
        }
        let size = search.low + (search.high.max(search.low) - search.low) / 2;
        let len = self.payload_of(size);
        let needed = len + (self.recovery.reordering.degree() + 1) * self.send.mss;
        let is_over =
            size <= search.low || search.high.saturating_sub(search.low) < self.options.rare().mtu.threshold;
        if len > self.payload_of(search.high) || is_over {
            self.renew_search(now);
            return None;
        }
        let send = &self.send.window;
        if self.unsent() < needed || send.wnd < needed || self.next_record(self.unsent()) < len {
            return None;
        }
        let in_flight = self.recovery.in_flight();
        if send.usable() < needed || in_flight + 2 > window {
            // Until what is in flight is through, or at once where nothing is.
            return (in_flight > 0).then_some(Trying::Later);
        }
        let range = SeqRange::new(send.nxt, send.nxt + len)?;
        let size = len as u16 + self.options_len();
        let segment = self.send_new(now, (len, false), (len, len), options, counters)?;
        // As Linux: it stands for two.
        self.congestion.set_window(window - 1);
        if let Some(search) = self.recovery.search_mut() {
            search.trial = Some(Trial { range, size });
        }
        Some(Trying::Now(segment))
    }

    /// What the path takes is known: after a while that may have changed.
    //= RFC 4821 §7.6.4
    fn renew_search(&mut self, now: Instant) {
        let interval = Duration::from_secs(self.options.rare().mtu.interval_secs.into());
        let low = self.send.mss as u16 + self.options_len();
        // Whatever was learnt of the path may have changed, but not what the link takes.
        let high = self.send.peer_mss.min(self.sizes.advertised);
        if let Some(search) = self.recovery.search_mut()
            && now.saturating_since(search.since) >= interval
        {
            *search = MtuSearch { low, high, trial: None, since: now };
        }
    }
}

/// What is to be done about a larger segment.
#[derive(Debug)]
pub(super) enum Trying {
    /// It is sent now.
    Now(Segment),
    /// Nothing else goes before it, and it has to wait.
    Later,
}
