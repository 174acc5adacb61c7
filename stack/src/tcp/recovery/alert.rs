//! What an acknowledgement means for recovery: the state machine of losses, as Linux runs it.

use core::time::Duration;

use crate::counters::Counter;
use crate::tcp::config::LossOptions;
use crate::tcp::congestion::{AckSample, Delivery};
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::delivery::Delivered;
use super::prr::Arrival;
use super::tlp::{Answer, Verdict};
use super::{Phase, Recovery, Reduced, Resend, Scene, undo};

/// The least time before what a peer took back is sent again.
const RENEGED_WAIT: Duration = Duration::from_millis(10);

/// What an acknowledgement says.
#[derive(Copy, Clone, Debug)]
pub(in crate::tcp) struct News {
    /// Whether it acknowledges anything new.
    pub(in crate::tcp) advanced: bool,
    /// Whether its segment holds data.
    pub(in crate::tcp) data: bool,
    /// Whether its window is to be believed.
    pub(in crate::tcp) window: bool,
    /// Whether it tells of a mark of a router's.
    pub(in crate::tcp) echo: bool,
    /// What it delivered.
    pub(in crate::tcp) delivered: Delivered,
    /// Segments in flight before it.
    pub(in crate::tcp) in_flight: u32,
    /// The round trip of the last segment that it is for.
    pub(in crate::tcp) round_trip: Option<Duration>,
    /// Segments that it reports as received twice.
    pub(in crate::tcp) duplicate: u32,
    /// Whether the probe is among those.
    pub(in crate::tcp) duplicate_probe: bool,
}

impl News {
    /// Whether it acknowledged whole segments.
    fn acked(&self) -> bool {
        self.delivered.acked > 0
    }

    /// Whether it may be what a receiver answers to a segment that is not the next.
    fn may_be_duplicate(&self) -> bool {
        !(self.data || self.window || self.acked())
    }

    /// Whether it is one.
    //= RFC 5681 §2
    //= RFC 6675 §5 MUST-3
    pub(super) fn is_duplicate(&self) -> bool {
        !self.advanced && self.may_be_duplicate() && self.duplicate == 0
    }
}

/// What is to become of the timer of retransmission.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(in crate::tcp) enum Rearm {
    /// It runs on.
    Keep,
    /// It begins anew, as a probe or as a time-out.
    Anew,
    /// Losses are to be looked for again at this time.
    Reorder(Instant),
    /// The peer took back a report: it times out at this time.
    TimeOut(Instant),
}

impl Recovery {
    /// Takes an acknowledgement: finds losses, moves between phases, and lets the window shrink or grow.
    //= RFC 6675 §5 MUST-4
    //= RFC 6675 §5 MUST-6
    pub(in crate::tcp) fn on_ack(&mut self, scene: &mut Scene<'_>, news: &News) -> Rearm {
        let (delivered_before, lost_before) = (self.delivered, self.lost());
        self.resend = Resend::Hold;
        self.count_delivered(scene, news);
        self.learn_order(scene, news);
        let mut rearm = self.progress(news);
        if self.probe.is_out() {
            self.judge_probe(scene, news);
        }
        let dubious = news.may_be_duplicate()
            || news.delivered.sacked
            || news.duplicate > 0
            || news.echo
            || self.phase != Phase::Open;
        if dubious {
            self.alert(scene, news, &mut rearm);
        }
        let delivered = self.delivered.wrapping_sub(delivered_before);
        scene.counters[Counter::TcpExtTCPDelivered] += u64::from(delivered);
        let lost = self.lost().wrapping_sub(lost_before);
        self.control(scene, news, Arrival { delivered, advanced: news.advanced, lost });
        rearm
    }

    /// Takes the reports of an acknowledgement that came late. It moves no window.
    pub(in crate::tcp) fn on_late_ack(&mut self, scene: &mut Scene<'_>, news: &News) -> Rearm {
        self.resend = Resend::Hold;
        self.count_delivered(scene, news);
        self.learn_order(scene, news);
        let mut rearm = Rearm::Keep;
        self.alert(scene, news, &mut rearm);
        rearm
    }

    /// Takes an acknowledgement that came while nothing is in flight: what it reports may show that a reduction, or a
    /// probe, was needless.
    pub(in crate::tcp) fn on_idle_ack(&mut self, scene: &mut Scene<'_>, news: &News) {
        if news.duplicate > 0 {
            self.on_late_ack(scene, news);
        }
        if self.probe.is_out() {
            self.judge_probe(scene, news);
        }
    }

    fn count_delivered(&mut self, scene: &mut Scene<'_>, news: &News) {
        let delivered = if scene.sack {
            news.delivered.segments + news.duplicate
        } else {
            self.eat_duplicates(scene, news.delivered.acked);
            0
        };
        self.delivered = self.delivered.wrapping_add(delivered);
    }

    /// Learns from what was delivered how the path reorders.
    //= RFC 8985 §6.2
    fn learn_order(&mut self, scene: &mut Scene<'_>, news: &News) {
        if !scene.sack {
            return;
        }
        let may = self.phase != Phase::Loss || self.undo().marker().is_some() || news.acked();
        let highest = self.scoreboard.highest_sacked().unwrap_or(scene.una);
        if let Some(low) = news.delivered.reordered_from().filter(|_| may) {
            self.note_late(scene, low, highest, Counter::TcpExtTCPSACKReorder);
        }
        self.rack.on_delivered(&news.delivered);
        if let Some(sent) = news.delivered.newest
            && scene.options.detection & LossOptions::STATIC_WINDOW == 0
        {
            self.rack.adapt(sent.progress.delivered, self.delivered);
        }
    }

    fn note_late(&mut self, scene: &mut Scene<'_>, low: SeqNumber, high: SeqNumber, counter: Counter) {
        let most = scene.options.max_reordering.into();
        if self.reordering.on_late(low, high, scene.mss, most) {
            let seldom = self.seldom_mut();
            seldom.reordered = seldom.reordered.saturating_add(1);
            scene.counters.bump(counter);
        }
    }

    /// Whether the timer begins anew. As Linux: a report of what was sent after the first segment was sent last does not
    /// put off the time-out of that one.
    fn progress(&self, news: &News) -> Rearm {
        let earlier = news.delivered.reported.zip(self.scoreboard.oldest());
        let earlier = earlier.is_some_and(|(reported, oldest)| reported.first < oldest);
        if news.acked() || earlier { Rearm::Anew } else { Rearm::Keep }
    }

    /// A probe that was needed shows that one segment was lost, though nothing else tells: the window comes down.
    //= RFC 8985 §7.4.2
    //= RFC 8985 §7.4.2 MUST-1
    fn judge_probe(&mut self, scene: &mut Scene<'_>, news: &News) {
        let empty = !news.advanced && news.may_be_duplicate() && !news.delivered.sacked;
        let answer = Answer { ack: scene.una, duplicate: news.duplicate_probe, empty };
        if self.probe.judge(&answer) == Verdict::Repaired {
            self.begin_reduction(scene);
            self.phase = Phase::Reduction;
            self.finish_reduction(scene);
            self.settle(scene);
            scene.counters.bump(Counter::TcpExtTCPLossProbeRecovery);
        }
    }

    fn alert(&mut self, scene: &mut Scene<'_>, news: &News, rearm: &mut Rearm) {
        if news.echo && self.undo().marker().is_some() {
            // The path is full whatever was lost.
            self.undo_mut().keep_threshold(0);
        }
        if news.advanced && self.scoreboard.is_reneged() {
            let wait = (scene.rtt.srtt / 2).max(RENEGED_WAIT);
            *rearm = Rearm::TimeOut(scene.now + wait);
            return;
        }
        if self.phase == Phase::Open {
            self.note_nothing_resent();
        } else if scene.una.at_or_after(self.high_seq) && !self.pass_end(scene) {
            return;
        }
        let go_on = match self.phase {
            Phase::Recovery => self.go_on_recovering(scene, news, rearm),
            Phase::Loss => self.go_on_after_timeout(scene, news, rearm),
            _ => self.watch(scene, news, rearm),
        };
        if go_on {
            self.resend = Resend::Lost;
        }
    }

    /// Everything that was sent before the phase began is acknowledged. Says whether the acknowledgement has more to say.
    //= RFC 6675 §5 MUST-5
    fn pass_end(&mut self, scene: &mut Scene<'_>) -> bool {
        match self.phase {
            // As Linux: something above it has to be acknowledged.
            Phase::Reduction if scene.una != self.high_seq => {
                self.finish_reduction(scene);
                self.phase = Phase::Open;
            }
            Phase::Recovery => {
                if !scene.sack {
                    self.duplicates = 0;
                }
                if self.leave_recovery(scene) == Leaving::Held {
                    return false;
                }
                self.finish_reduction(scene);
            }
            _ => {}
        }
        true
    }

    fn go_on_recovering(&mut self, scene: &mut Scene<'_>, news: &News, rearm: &mut Rearm) -> bool {
        if !news.advanced {
            if !scene.sack {
                self.add_duplicates(scene, news.is_duplicate().into());
            }
        } else if self.undo_in_part(scene) {
            return false;
        }
        if self.undo_needless(scene) {
            self.open_if_settled(scene, news);
        }
        self.find_losses(scene, news, rearm);
        if self.phase != Phase::Recovery {
            if self.scoreboard.lost() == 0 {
                return false;
            }
            self.enter_recovery(scene, news.echo);
        }
        true
    }

    fn go_on_after_timeout(&mut self, scene: &mut Scene<'_>, news: &News, rearm: &mut Rearm) -> bool {
        let resend = self.judge_timeout(scene, news);
        let repeated = self.find_losses(scene, news, rearm);
        if self.phase == Phase::Open || repeated {
            return self.watch(scene, news, rearm);
        }
        self.resend = resend;
        false
    }

    /// Outside of recovery: looks for losses, and enters it where there is one.
    fn watch(&mut self, scene: &mut Scene<'_>, news: &News, rearm: &mut Rearm) -> bool {
        if !scene.sack {
            if news.advanced {
                self.duplicates = 0;
            }
            self.add_duplicates(scene, news.is_duplicate().into());
        }
        if self.phase <= Phase::Disorder {
            self.undo_needless(scene);
        }
        self.find_losses(scene, news, rearm);
        if self.scoreboard.lost() == 0 {
            self.open_if_settled(scene, news);
            return false;
        }
        if self.phase < Phase::Reduction && self.lost_trial(scene) {
            return true;
        }
        self.enter_recovery(scene, news.echo);
        true
    }

    /// Whether it is a larger segment than others that was lost. It is sent again in smaller ones, and the window stays.
    //= RFC 4821 §7.6.2
    pub(super) fn lost_trial(&mut self, scene: &mut Scene<'_>) -> bool {
        let una = scene.una;
        let Some(search) = self.search_mut().filter(|search| search.tries_at(una)) else {
            return false;
        };
        search.on_lost();
        scene.counters.bump(Counter::TcpExtTCPMTUPFail);
        // It stood for two.
        scene.congestion.set_window(scene.congestion.window() + 1);
        if self.scoreboard.lose_larger(scene.mss).total() + self.scoreboard.lost() > 0 {
            self.on_loss_without_congestion(scene);
        }
        true
    }

    /// Holds to be lost what must be. Says whether a retransmission was among it.
    //= RFC 8985 §4 MUST-1
    fn find_losses(&mut self, scene: &mut Scene<'_>, news: &News, rearm: &mut Rearm) -> bool {
        if self.scoreboard.is_empty() {
            return false;
        }
        if !scene.sack {
            self.lose_by_duplicates(scene, news.advanced);
            return false;
        }
        if !self.rack.take_advanced() {
            return false;
        }
        let window = self.reordering_window(scene);
        let found = self.rack.detect(scene.now, &mut self.scoreboard, window);
        self.note_losses(scene, found.losses);
        if let Some(again) = found.again {
            *rearm = Rearm::Reorder(again);
        }
        found.losses.repeated > 0
    }

    /// Begins fast recovery: the window shrinks once, whatever is lost until it ends.
    //= RFC 5681 §3.2
    //= RFC 6675 §5
    //= RFC 9438 §4.6 MUST-1
    pub(super) fn enter_recovery(&mut self, scene: &mut Scene<'_>, marked: bool) {
        let counter =
            if scene.sack { Counter::TcpExtTCPSackRecovery } else { Counter::TcpExtTCPRenoRecovery };
        scene.counters.bump(counter);
        self.begin_undo(scene.una);
        self.undo_mut().keep_threshold(0);
        if !self.is_reducing() {
            let threshold = self.current_threshold(scene.congestion);
            self.undo_mut().keep_threshold(if marked { 0 } else { threshold });
            self.begin_reduction(scene);
        }
        self.phase = Phase::Recovery;
    }

    /// Where the window may, it grows; where it is coming down, it does.
    fn control(&mut self, scene: &mut Scene<'_>, news: &News, arrival: Arrival) {
        if self.model(scene, news, arrival) {
            return;
        }
        if self.is_reducing() {
            self.shrink(scene, arrival);
            scene.congestion.on_recovering(arrival.delivered);
            return;
        }
        // As Linux: on a path that reorders, what arrives out of order counts too.
        let reorders = self.reordering.degree() > scene.options.reordering.into();
        if news.acked() || reorders && news.delivered.sacked {
            scene.congestion.on_ack(&AckSample { now: scene.now, acked: arrival.delivered });
        }
    }

    /// Tells the model of the path what was delivered, where there is one. Says whether it has set the window.
    fn model(&mut self, scene: &mut Scene<'_>, news: &News, arrival: Arrival) -> bool {
        let (delivered, lost_total) = (self.delivered, self.lost());
        let Arrival { delivered: acked, lost, .. } = arrival;
        let newest = news.delivered.newest;
        let rate = self.rate.on_ack(scene.now, (delivered, acked), newest, scene.rtt.known_min());
        if !scene.congestion.governs() {
            return false;
        }
        // As Linux: a lone segment may have waited for a second one.
        let late = acked == 1 && rate.is_some_and(|rate| rate.prior_delivered.wrapping_add(1) == delivered);
        let sample = Delivery {
            now: scene.now,
            delivered,
            acked,
            lost_total,
            lost,
            prior_in_flight: news.in_flight,
            in_flight: self.in_flight(),
            phase: self.phase,
            rate,
            rtt: news.round_trip,
            late,
            srtt: scene.rtt.known_srtt(),
            mss: scene.mss,
            due: scene.due,
            dice: scene.dice,
        };
        if scene.congestion.on_delivery(&sample) {
            self.note_bound_by_program();
        }
        true
    }

    /// Open where nothing is reported, lost or sent again, else in disorder.
    pub(super) fn settle(&mut self, scene: &mut Scene<'_>) {
        let whole = self.reported() == 0 && self.scoreboard.lost() == 0 && !self.scoreboard.has_resent();
        let phase = if whole { Phase::Open } else { Phase::Disorder };
        if self.phase != phase {
            (self.phase, self.high_seq) = (phase, scene.nxt);
        }
    }

    fn open_if_settled(&mut self, scene: &mut Scene<'_>, news: &News) {
        if !self.scoreboard.has_resent() {
            self.note_nothing_resent();
        }
        if news.echo {
            self.reduce_for_mark(scene);
        }
        if self.phase != Phase::Reduction {
            self.settle(scene);
        }
    }

    /// All that was in flight when recovery began is acknowledged. Where that came of the first transmissions, the
    /// reduction is undone.
    //= RFC 4015 §3.2
    pub(super) fn leave_recovery(&mut self, scene: &mut Scene<'_>) -> Leaving {
        if self.undo().is_justified(self.answer(scene)) {
            let lossy = self.phase == Phase::Loss;
            scene.counters.bump(if lossy { Counter::TcpExtTCPLossUndo } else { Counter::TcpExtTCPFullUndo });
            self.take_back(scene);
        } else {
            self.rack.on_recovered();
        }
        if self.is_held(scene) {
            return Leaving::Held;
        }
        self.phase = Phase::Open;
        Leaving::Done
    }

    /// A SYN-ACK that was lost twice has arrived.
    pub(in crate::tcp) fn end_loss(&mut self, scene: &mut Scene<'_>) {
        self.undo_mut().forget();
        (self.phase, self.high_seq) = (Phase::Open, scene.nxt);
    }

    /// Without SACK, duplicates of what was sent again would seem to be of what follows: the phase ends with the first
    /// acknowledgement beyond.
    //= RFC 6582 §3.2
    pub(super) fn is_held(&mut self, scene: &Scene<'_>) -> bool {
        let held = scene.una == self.high_seq && !scene.sack;
        if held && !self.scoreboard.has_resent() {
            self.note_nothing_resent();
        }
        held
    }

    /// What the acknowledgement is to the recovery.
    pub(super) fn answer(&self, scene: &Scene<'_>) -> undo::Answer {
        undo::Answer { echo: scene.echo, past: !scene.sack && scene.una.at_or_after(self.high_seq) }
    }

    /// Window and threshold are what they were before the reduction.
    pub(super) fn take_back(&mut self, scene: &mut Scene<'_>) {
        if let Some(ssthresh) = self.undo_mut().take() {
            if ssthresh > scene.congestion.ssthresh() {
                self.reduced = Some(Reduced::Undone);
            }
            scene.congestion.undo(ssthresh);
        }
        self.rack.on_undone();
    }

    /// Part of what was held to be lost was late. Says whether nothing more is to be sent again for now.
    //= RFC 4015 §3.2
    fn undo_in_part(&mut self, scene: &mut Scene<'_>) -> bool {
        if self.undo().marker().is_none() || !self.undo().is_late(self.answer(scene)) {
            return false;
        }
        let highest = if self.duplicates > 0 { scene.nxt } else { scene.una };
        let highest = self.scoreboard.highest_sacked().unwrap_or(highest);
        self.note_late(scene, scene.prior_una, highest, Counter::TcpExtTCPTSReorder);
        if self.scoreboard.resending() > 0 {
            return true;
        }
        if !self.scoreboard.has_resent() {
            self.note_nothing_resent();
        }
        self.scoreboard.lose_nothing();
        self.take_back(scene);
        scene.counters.bump(Counter::TcpExtTCPPartialUndo);
        self.settle(scene);
        false
    }

    /// The peer had all that was sent again.
    //= RFC 3708 §2
    fn undo_needless(&mut self, scene: &mut Scene<'_>) -> bool {
        if !self.undo().is_needless() {
            return false;
        }
        self.rack.on_undone_by_reports();
        self.take_back(scene);
        scene.counters.bump(Counter::TcpExtTCPDSACKUndo);
        true
    }
}

/// Whether a recovery is over.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Leaving {
    Done,
    /// Not before more is acknowledged.
    Held,
}
