//! Finding out what was lost, and what to do about it.
//!
//! [`Scoreboard`](scoreboard::Scoreboard) knows of every segment in flight when it was sent and what the peer said of
//! it; [`Rack`](rack::Rack) tells from the times what was lost, a [`Probe`](tlp::Probe) finds a lost tail,
//! [`Prr`](prr::Prr) brings the window down, [`Undo`](undo::Undo) takes back what was in error. [`Recovery`] ties
//! them: `alert` has what an acknowledgement means, `rto` what a time-out does.

use core::time::Duration;

use crate::counters::Counters;
use crate::tcp::config::LossOptions;
use crate::tcp::congestion::Congestion;
use crate::tcp::ecn::Marks;
use crate::tcp::mtu_search::MtuSearch;
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

pub mod delivery;
pub mod prr;
pub mod rack;
pub mod rate;
pub mod reordering;
pub mod scoreboard;
pub mod timeouts;
pub mod tlp;
pub mod undo;

mod alert;
mod dsack;
mod duplicates;
mod losses;
mod record;
mod rto;
mod table;

use prr::Prr;
use rack::{Rack, RoundTrip};
use rate::DeliveryRate;
use reordering::Reordering;
use scoreboard::{Losses, Scoreboard, Sending};
use timeouts::Timeouts;
use tlp::Probe;
use undo::Undo;

pub(super) use alert::{News, Rearm};
pub(super) use dsack::Standing;

/// What the sender is doing about losses: Linux's `tcpi_ca_state`.
///
/// ```
/// use tapsock_stack::tcp::recovery::Phase;
///
/// assert!(Phase::Disorder < Phase::Recovery);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, PartialOrd)]
pub enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// The peer reports something behind a hole, or twice.
    Disorder,
    /// The window is coming down though nothing is lost.
    Reduction,
    /// Fast recovery, until everything sent before it began is acknowledged.
    Recovery,
    /// After a retransmission time-out, until everything sent before it is acknowledged.
    Loss,
}

/// What may be sent now.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Resend {
    /// New data, but nothing again.
    Hold,
    /// What was lost, and new data after it.
    Lost,
    /// New data, to see whether a time-out was in error; what was lost only where there is none.
    NewFirst,
}

/// The recovery state of a connection.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    /// SND.NXT when the phase began: its acknowledgement ends a recovery.
    pub(super) high_seq: SeqNumber,
    pub(super) scoreboard: Scoreboard,
    pub(super) rack: Rack,
    pub(super) reordering: Reordering,
    pub(super) probe: Probe,
    /// Boxed on first use: most connections never lose anything.
    episode: Option<Box<Episode>>,
    /// Duplicate acknowledgements, as segments that have arrived, where the peer does not send SACK.
    pub(super) duplicates: u32,
    pub(super) resend: Resend,
    /// Whether the time-out may turn out to have been in error (F-RTO).
    frto: bool,
    /// What the peer is to be told of a reduction, since this was asked last.
    reduced: Option<Reduced>,
    /// Segments delivered since the connection began.
    pub(super) delivered: u32,
    pub(super) rate: DeliveryRate,
}

/// What became of the window, as a peer that marks is told.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Reduced {
    /// It has begun to shrink.
    Begun,
    /// That was taken back.
    Undone,
}

/// What few connections have: a recovery, a search, and something to be counted of the kind.
#[derive(Clone, Debug, Default)]
struct Episode {
    undo: Undo,
    prr: Prr,
    seldom: Seldom,
    /// What the path takes, where that is searched; boxed, for by default it is not.
    search: Option<Box<MtuSearch>>,
}

/// What few connections have to count, since they began.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Seldom {
    /// Bytes sent again.
    bytes_resent: u64,
    /// Retransmission time-outs.
    pub(super) timeouts: Timeouts,
    /// Segments sent again.
    pub(super) resent: u32,
    /// Segments held to be lost.
    lost: u32,
    /// How often the path was seen to reorder.
    pub(super) reordered: u32,
    /// Segments reported to have been received twice.
    pub(super) duplicates: u32,
    /// Segments delivered by acknowledgements that tell of a mark.
    pub(super) delivered_marked: u32,
    /// What came with marks, or could have got one.
    pub(super) marks: Marks,
    /// Segments that came behind a gap.
    pub(super) out_of_order: u32,
}

/// What recovery is to know of the connection at one moment, and what it acts on.
pub(super) struct Scene<'a> {
    pub(super) now: Instant,
    /// SND.UNA before the acknowledgement, and after.
    pub(super) prior_una: SeqNumber,
    pub(super) una: SeqNumber,
    pub(super) nxt: SeqNumber,
    pub(super) mss: u32,
    pub(super) sack: bool,
    pub(super) rtt: RoundTrip,
    /// The timestamp that the acknowledgement echoes, as our clock's milliseconds.
    pub(super) echo: Option<u32>,
    /// Whether there is new data that the peer's window has room for.
    pub(super) has_new: bool,
    /// When the pace lets the next segment go.
    pub(super) due: Instant,
    /// A random number.
    pub(super) dice: u32,
    pub(super) options: LossOptions,
    pub(super) congestion: &'a mut Congestion,
    pub(super) counters: &'a mut Counters,
}

impl Recovery {
    pub(super) fn new(options: &LossOptions) -> Self {
        Recovery {
            phase: Phase::Open,
            high_seq: SeqNumber::new(0),
            scoreboard: Scoreboard::new(),
            rack: Rack::new(),
            reordering: Reordering::new(options.reordering.into()),
            probe: Probe::default(),
            episode: None,
            duplicates: 0,
            resend: Resend::Hold,
            frto: false,
            reduced: None,
            delivered: 0,
            rate: DeliveryRate::default(),
        }
    }

    /// The handshake is done, and `una` is the first number of data: the SYN was delivered.
    pub(super) fn begin(&mut self, una: SeqNumber) {
        if self.phase == Phase::Open {
            self.high_seq = una;
        }
        self.delivered += 1;
    }

    fn undo(&self) -> &Undo {
        self.episode.as_ref().map_or(&Undo::NONE, |episode| &episode.undo)
    }

    fn undo_mut(&mut self) -> &mut Undo {
        &mut self.episode.get_or_insert_default().undo
    }

    /// No retransmission waits for an answer.
    fn note_nothing_resent(&mut self) {
        if let Some(episode) = &mut self.episode {
            episode.undo.on_nothing_resent();
        }
    }

    fn prr_mut(&mut self) -> &mut Prr {
        &mut self.episode.get_or_insert_default().prr
    }

    /// Segments in flight, as far as we can tell. A peer without SACK reports a segment by each duplicate.
    //= RFC 6675 §4 MUST-2
    //= RFC 5681 §3.2 MUST-2
    pub(super) fn in_flight(&self) -> u32 {
        self.scoreboard.in_flight().saturating_sub(self.duplicates)
    }

    /// Segments reported to have arrived behind a hole.
    pub(super) fn reported(&self) -> u32 {
        self.scoreboard.sacked() + self.duplicates
    }

    /// Whether the window is coming down.
    pub(super) fn is_reducing(&self) -> bool {
        matches!(self.phase, Phase::Reduction | Phase::Recovery)
    }

    /// How the next segment is sent, as the scoreboard shall know it.
    pub(super) fn sending(&mut self, now: Instant, size: u16) -> Sending {
        if self.scoreboard.is_empty() {
            self.rate.begin_flight(now);
        }
        Sending { now, size, burst: 0, progress: self.rate.progress(self.delivered) }
    }

    /// The program has given too little to send: until what is in flight is delivered, it is what bounds the rate.
    pub(super) fn note_bound_by_program(&mut self) {
        self.rate.limit_until(self.delivered.wrapping_add(self.in_flight()));
    }

    /// The search for what the path takes, where there is one.
    pub(super) fn search(&self) -> Option<&MtuSearch> {
        self.episode.as_ref()?.search.as_deref()
    }

    /// The same, to go on with.
    pub(super) fn search_mut(&mut self) -> Option<&mut MtuSearch> {
        self.episode.as_mut()?.search.as_deref_mut()
    }

    /// Begins one.
    pub(super) fn begin_search(&mut self, search: MtuSearch) {
        self.episode.get_or_insert_default().search = Some(Box::new(search));
    }

    /// `segments` of new data were sent.
    pub(super) fn on_new_sent(&mut self, segments: u32) {
        if self.is_reducing() {
            self.prr_mut().on_sent(segments);
        }
    }

    /// `segments` that were lost were sent again.
    pub(super) fn on_resent(&mut self, now: Instant, segments: u32) {
        let seldom = self.seldom_mut();
        seldom.resent = seldom.resent.wrapping_add(segments);
        self.undo_mut().on_resent(segments, now.as_millis() as u32);
        if self.is_reducing() {
            self.prr_mut().on_sent(segments);
        }
    }

    /// Bytes sent again since the connection began.
    pub(super) fn bytes_resent(&self) -> u64 {
        self.seldom().map_or(0, |seldom| seldom.bytes_resent)
    }

    /// `bytes` were sent again.
    pub(super) fn note_bytes_resent(&mut self, bytes: usize) {
        self.seldom_mut().bytes_resent += bytes as u64;
    }

    /// What few connections have to count; `None` where nothing of the kind has happened.
    pub(super) fn seldom(&self) -> Option<&Seldom> {
        self.episode.as_ref().map(|episode| &episode.seldom)
    }

    /// How often the path was seen to reorder.
    fn reordered(&self) -> u32 {
        self.seldom().map_or(0, |seldom| seldom.reordered)
    }

    /// The same, to be counted.
    pub(super) fn seldom_mut(&mut self) -> &mut Seldom {
        &mut self.episode.get_or_insert_default().seldom
    }

    /// A recovery from time-outs is over, if there was one.
    pub(super) fn end_timeouts(&mut self, now: Instant) {
        if let Some(episode) = &mut self.episode {
            episode.seldom.timeouts.on_recovered(now);
        }
    }

    /// Forgets what was in flight, but not what is counted.
    pub(super) fn finish(&mut self, options: &LossOptions) {
        let (delivered, seldom) = (self.delivered, self.seldom().copied());
        *self = Recovery { delivered, ..Recovery::new(options) };
        self.episode = seldom.map(|seldom| Box::new(Episode { seldom, ..Episode::default() }));
    }

    /// A probe was sent, up to `nxt`.
    pub(super) fn on_probe_sent(&mut self, nxt: SeqNumber, resent: bool) {
        if resent {
            let seldom = self.seldom_mut();
            seldom.resent = seldom.resent.wrapping_add(1);
        }
        self.probe.on_sent(nxt, resent);
    }

    /// How long before it was overtaken a segment must have been sent to be lost.
    //= RFC 8985 §6.2
    //= RFC 2018 §5.1 MUST-1
    fn reordering_window(&self, scene: &Scene<'_>) -> Duration {
        let no_threshold = scene.options.detection & LossOptions::NO_DUPLICATE_THRESHOLD != 0;
        let many = self.reported() >= self.reordering.degree() && !no_threshold;
        if self.reordered() == 0 && (self.phase >= Phase::Recovery || many) {
            return Duration::ZERO;
        }
        self.rack.reordering_window(scene.rtt)
    }

    /// Segments held to be lost since the connection began.
    fn lost(&self) -> u32 {
        self.seldom().map_or(0, |seldom| seldom.lost)
    }

    fn note_losses(&mut self, scene: &mut Scene<'_>, losses: Losses) {
        if losses.total() > 0 {
            let seldom = self.seldom_mut();
            seldom.lost = seldom.lost.wrapping_add(losses.total());
        }
        scene.counters[crate::counters::Counter::TcpExtTCPLostRetransmit] += u64::from(losses.repeated);
    }

    /// The threshold that a time-out or a recovery is to restore where it was in error.
    fn current_threshold(&self, congestion: &Congestion) -> u32 {
        if self.is_reducing() { congestion.ssthresh() } else { congestion.kept_threshold() }
    }

    /// The window is to come down.
    fn begin_reduction(&mut self, scene: &mut Scene<'_>) {
        self.high_seq = scene.nxt;
        self.probe.forget();
        *self.prr_mut() = Prr::default();
        self.reduced = Some(Reduced::Begun);
        scene.congestion.reduce();
    }

    /// What became of the window since this was asked last.
    pub(super) fn take_reduced(&mut self) -> Option<Reduced> {
        self.reduced.take()
    }

    /// The peer tells of a mark: the window is to come down, though nothing was lost.
    //= RFC 3168 §6.1.2
    fn reduce_for_mark(&mut self, scene: &mut Scene<'_>) {
        self.undo_mut().keep_threshold(0);
        if self.phase < Phase::Reduction {
            self.undo_mut().forget();
            self.begin_reduction(scene);
            self.phase = Phase::Reduction;
        }
    }

    /// The window is down.
    fn finish_reduction(&mut self, scene: &mut Scene<'_>) {
        if self.phase == Phase::Reduction || self.undo().marker().is_some() {
            scene.congestion.finish_reduction();
        }
    }

    fn begin_undo(&mut self, una: SeqNumber) {
        let probes = u32::from(self.probe.is_resent());
        let resending = self.scoreboard.resending() + probes;
        self.undo_mut().begin(una, resending);
    }

    /// What is lost is to be sent again at once, but not for want of room: the path takes smaller segments, or the peer
    /// does not take data in a SYN. As in Linux the window stays.
    pub(super) fn on_loss_without_congestion(&mut self, scene: &mut Scene<'_>) {
        if self.phase != Phase::Loss {
            self.high_seq = scene.nxt;
            scene.congestion.keep_threshold();
            self.undo_mut().forget();
            self.phase = Phase::Loss;
        }
        self.resend = Resend::Lost;
    }

    /// Looks for losses by time, as the reordering timer wants.
    //= RFC 8985 §6.3
    pub(super) fn on_reorder_timeout(&mut self, scene: &mut Scene<'_>) {
        let before = self.lost();
        let window = self.reordering_window(scene);
        let found = self.rack.detect(scene.now, &mut self.scoreboard, window);
        self.note_losses(scene, found.losses);
        if found.losses.total() > 0 {
            if self.phase < Phase::Reduction && self.lost_trial(scene) {
                return;
            }
            if self.phase != Phase::Recovery {
                self.enter_recovery(scene, false);
                self.shrink(
                    scene,
                    prr::Arrival { delivered: 1, advanced: false, lost: self.lost().wrapping_sub(before) },
                );
            }
            self.resend = Resend::Lost;
        }
    }

    fn shrink(&mut self, scene: &mut Scene<'_>, arrival: prr::Arrival) {
        let congestion = &mut scene.congestion;
        if arrival.delivered > 0 && !congestion.governs() {
            let (prior, ssthresh) = (congestion.prior_window(), congestion.ssthresh());
            let way = prr::Way { prior, ssthresh, in_flight: self.in_flight() };
            congestion.set_window(self.prr_mut().window(way, arrival));
        }
    }
}
