//! The retransmission time-out, and finding out that it was in error (F-RTO, RFC 5682).

use crate::counters::Counter;

use crate::tcp::seq::SeqNumber;

use super::alert::News;
use super::{Phase, Recovery, Reduced, Resend, Scene};

impl Recovery {
    /// The retransmission time-out passed, after `retries` in a row.
    //= RFC 5681 §3.1
    //= RFC 6298 §5.4
    //= RFC 6675 §5.1 MUST-2
    //= RFC 6675 §5.1 MUST-3
    //= RFC 6675 §5.1 MUST-4
    //= RFC 6675 §5.1 MUST-5
    //= RFC 5682 §2.1 MUST-2
    //= RFC 5682 §3.1 MUST-2
    pub(in crate::tcp) fn on_timeout(&mut self, scene: &mut Scene<'_>, retries: u8) {
        self.count_timeout(scene, retries);
        let fresh = self.phase < Phase::Recovery;
        self.lose_by_timeout(scene);
        let due = self.phase <= Phase::Disorder
            || self.high_seq.at_or_before(scene.una)
            || self.phase == Phase::Loss && retries == 0;
        if due {
            let threshold = self.current_threshold(scene.congestion);
            self.undo_mut().keep_threshold(threshold);
            scene.congestion.reduce();
            self.begin_undo(scene.una);
        }
        scene.congestion.on_timeout(self.in_flight());
        if self.phase <= Phase::Disorder && self.scoreboard.sacked() >= scene.options.reordering.into() {
            self.reordering.on_missed_loss(scene.options.reordering.into());
        }
        (self.phase, self.high_seq) = (Phase::Loss, scene.nxt);
        self.probe.forget();
        self.reduced = Some(Reduced::Begun);
        //= RFC 5682 §3.1
        self.frto = scene.options.frto && (fresh || retries > 0);
        self.resend = Resend::Lost;
    }

    fn count_timeout(&self, scene: &mut Scene<'_>, retries: u8) {
        if retries > 0 {
            return;
        }
        let reported = self.scoreboard.sacked() + self.duplicates > 0;
        let counter = match (self.phase, scene.sack) {
            (Phase::Recovery, true) => Counter::TcpExtTCPSackRecoveryFail,
            (Phase::Recovery, false) => Counter::TcpExtTCPRenoRecoveryFail,
            (Phase::Loss, _) => Counter::TcpExtTCPLossFailures,
            (phase, sack) if phase == Phase::Disorder || reported => {
                if sack {
                    Counter::TcpExtTCPSackFailures
                } else {
                    Counter::TcpExtTCPRenoFailures
                }
            }
            _ => return,
        };
        scene.counters.bump(counter);
    }

    /// Holds everything to be lost but what was sent so lately that it has had no time to arrive. Where the peer took
    /// back its report of the first segment, no report of it is believed any more.
    //= RFC 2018 §8
    //= RFC 2018 §5 MUST-1
    fn lose_by_timeout(&mut self, scene: &mut Scene<'_>) {
        let reneged = self.scoreboard.is_reneged();
        if reneged {
            scene.counters.bump(Counter::TcpExtTCPSACKReneging);
            self.scoreboard.forget_reports();
        }
        self.duplicates = 0;
        let rack = &self.rack;
        let now = scene.now;
        let losses = self.scoreboard.lose_with_front(|sent| reneged || rack.is_overdue(now, &sent));
        self.note_losses(scene, losses);
    }

    /// An acknowledgement after a time-out: whether that was in error, or is over.
    //= RFC 5682 §3.1
    //= RFC 5682 §2.1 MUST-1
    //= RFC 5682 §3.1 MUST-1
    pub(super) fn judge_timeout(&mut self, scene: &mut Scene<'_>, news: &News) -> Resend {
        let recovered = scene.una.at_or_after(self.high_seq);
        if news.advanced && self.undo_timeout(scene, false) {
            return Resend::Hold;
        }
        if self.frto {
            // Something that was sent before it, and once, has arrived: step 3.b.
            let original = news.delivered.original && (scene.sack || !news.delivered.resent_acked);
            if original && self.undo_timeout(scene, true) {
                return Resend::Hold;
            }
            if scene.nxt.after(self.high_seq) {
                // Step 3.a: the loss was real.
                self.frto &= !(news.delivered.sacked || news.is_duplicate());
            } else if news.advanced && !recovered {
                // Step 2.b: new data shows whether what was sent before it arrives.
                self.high_seq = scene.nxt;
                if scene.has_new {
                    return Resend::NewFirst;
                }
                self.frto = false;
            }
        }
        if recovered {
            self.leave_recovery(scene);
            return Resend::Hold;
        }
        if !scene.sack {
            if scene.nxt.after(self.high_seq) && news.is_duplicate() {
                self.add_duplicates(scene, 1);
            } else if news.advanced {
                self.duplicates = 0;
            }
        }
        Resend::Lost
    }

    /// Takes the reduction back where the time-out was in error, as F-RTO found, or as an echoed timestamp or reports of
    /// duplicates tell.
    fn undo_timeout(&mut self, scene: &mut Scene<'_>, found: bool) -> bool {
        if !found && !self.undo().is_justified(self.answer(scene)) {
            return false;
        }
        self.scoreboard.lose_nothing();
        self.take_back(scene);
        scene.counters.bump(Counter::TcpExtTCPLossUndo);
        if found {
            scene.counters.bump(Counter::TcpExtTCPSpuriousRTOs);
        }
        if !self.is_held(scene) && (found || scene.sack) {
            self.phase = Phase::Open;
        }
        true
    }

    /// F-RTO sent new data, or had none: SND.NXT is `nxt` now. Says whether what was lost may go.
    pub(in crate::tcp) fn after_new(&mut self, nxt: SeqNumber) -> bool {
        let sent = nxt.after(self.high_seq);
        self.frto &= sent;
        self.resend = if sent { Resend::Hold } else { Resend::Lost };
        !sent
    }
}
