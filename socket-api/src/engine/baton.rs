//! Who drives: the state of the baton, as a machine without a lock, a clock or a descriptor of its own.
//!
//! It stands under the shard lock. The holder alone sleeps on the link; `docs/LOCKS.md` tells the whole story.

use core::time::Duration;

use tapsock_stack::time::Instant;

/// Who holds the baton.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Holder {
    /// Nobody, since the time given. The background thread's timer runs.
    Free(Instant),
    /// The background thread, or the event loop that the host was put into.
    Background,
    /// A thread inside of a blocking call.
    Caller,
}

/// The two that can sleep on the link; each has a kick of its own, so that neither eats the other's.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// As [`Holder::Background`].
    Background,
    /// As [`Holder::Caller`].
    Caller,
}

/// What becomes of the baton when a caller leaves.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// It lies for the grace, in case the caller comes back; then the background thread takes it.
    Grace(Duration),
    /// The event loop that the host was put into has it at once.
    EventLoop,
}

/// What the background thread does when its timer fires.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Guard {
    /// It holds the baton now.
    Drive,
    /// The baton was used meanwhile: look again then.
    Again(Instant),
    /// A caller holds it, and sets the timer when it leaves.
    Sleep,
}

/// The baton.
pub(crate) struct Baton {
    holder: Holder,
    rest: Rest,
    /// Who sleeps on the link, and until when; `None` while the holder is awake.
    sleeper: Option<(Role, Option<Instant>)>,
    /// Whether the background thread's timer runs.
    guarded: bool,
    /// How often in a row the timer found the baton in use: the grace is doubled as often.
    busy: u32,
}

/// Doublings of the grace beside a busy caller, at most. Each firing costs that one a switch to the background thread
/// and back, where both run on one core.
const BUSIEST: u32 = 3;

impl Baton {
    /// The background holds it.
    pub(crate) fn new(rest: Rest) -> Self {
        Baton { holder: Holder::Background, rest, sleeper: None, guarded: false, busy: 0 }
    }

    pub(crate) fn holder(&self) -> Holder {
        self.holder
    }

    /// A caller takes it, unless another caller holds it. From the background it is taken even while that sleeps:
    /// it finds out when it wakes.
    #[must_use = "without the baton the caller parks"]
    pub(crate) fn take(&mut self) -> bool {
        if self.holder == Holder::Caller {
            return false;
        }
        self.holder = Holder::Caller;
        self.sleeper = None;
        true
    }

    /// The caller that holds it leaves. Returns when the background's timer is to fire, where it does not run yet.
    #[must_use = "the timer is to be set"]
    pub(crate) fn release(&mut self, now: Instant) -> Option<Instant> {
        debug_assert_eq!(self.holder, Holder::Caller);
        self.sleeper = None;
        match self.rest {
            Rest::EventLoop => {
                self.holder = Holder::Background;
                // It slept all the while, on a timer that may be out of date: the next deadline kicks it.
                self.sleeper = Some((Role::Background, None));
                None
            }
            Rest::Grace(grace) => {
                self.holder = Holder::Free(now);
                let fires = (!self.guarded).then(|| now + grace * (1 << self.busy));
                self.guarded = true;
                fires
            }
        }
    }

    /// The background's timer has fired.
    pub(crate) fn guard_fired(&mut self, now: Instant) -> Guard {
        self.guarded = false;
        match (self.holder, self.rest) {
            (Holder::Free(since), Rest::Grace(grace)) if now < since + grace => {
                self.guarded = true;
                self.busy = (self.busy + 1).min(BUSIEST);
                Guard::Again(since + grace * (1 << self.busy))
            }
            (Holder::Caller, _) => {
                self.busy = (self.busy + 1).min(BUSIEST);
                Guard::Sleep
            }
            _ => {
                self.busy = 0;
                self.holder = Holder::Background;
                Guard::Drive
            }
        }
    }

    /// The background was kicked: it takes the baton where that lies about.
    pub(crate) fn take_if_free(&mut self) {
        if let Holder::Free(_) = self.holder {
            self.holder = Holder::Background;
        }
    }

    /// The holder goes to sleep on the link until `until`.
    pub(crate) fn sleep(&mut self, role: Role, until: Option<Instant>) {
        self.sleeper = Some((role, until));
    }

    /// `role` has woken. Where another has taken the baton from it meanwhile, that one's sleep stays noted.
    pub(crate) fn awake(&mut self, role: Role) {
        if self.sleeper.is_some_and(|(sleeper, _)| sleeper == role) {
            self.sleeper = None;
        }
    }

    /// The stack's next deadline is `next`: who has to be kicked because it sleeps past it. At most once a sleep for
    /// one deadline.
    #[must_use = "the sleeper is to be kicked"]
    pub(crate) fn deadline(&mut self, next: Option<Instant>) -> Option<Role> {
        let (role, until) = self.sleeper?;
        let next = next?;
        if until.is_some_and(|until| until <= next) {
            return None;
        }
        self.sleeper = Some((role, Some(next)));
        Some(role)
    }

    /// Whom to kick so that somebody looks at the link and the outbox now: the sleeper, or the background where the
    /// baton lies about. A holder that is awake looks before it sleeps.
    pub(crate) fn to_kick(&self) -> Option<Role> {
        match (self.sleeper, self.holder) {
            (Some((role, _)), _) => Some(role),
            (None, Holder::Free(_)) => Some(Role::Background),
            (None, _) => None,
        }
    }

    /// Whether the caller that holds it sleeps on the link.
    pub(crate) fn caller_sleeps(&self) -> bool {
        matches!(self.sleeper, Some((Role::Caller, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_micros(500);

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_caller_that_comes_back_within_the_grace_sets_no_second_timer() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        assert!(baton.take());
        assert_eq!(baton.release(at(10)), Some(at(510)));
        for round in 1..40 {
            assert!(baton.take());
            assert_eq!(baton.release(at(10 + round * 10)), None);
        }
        assert_eq!(baton.guard_fired(at(510)), Guard::Again(at(1_400)), "twice the grace, for it was used");
        assert_eq!(baton.guard_fired(at(1_400)), Guard::Drive);
        assert_eq!(baton.holder(), Holder::Background);
    }

    #[test]
    fn the_background_sleeps_while_a_caller_drives_and_is_armed_when_it_leaves() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        assert!(baton.take());
        assert_eq!(baton.guard_fired(at(0)), Guard::Sleep);
        assert!(!baton.take(), "a second caller parks");
        assert_eq!(baton.release(at(100)), Some(at(1_100)), "twice the grace, for it was used");
        assert_eq!(baton.guard_fired(at(1_100)), Guard::Drive);
    }

    #[test]
    fn beside_a_busy_caller_the_background_looks_less_and_less_often() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        let mut now = 0;
        assert!(baton.take());
        for graces in [1, 2, 4, 8, 8] {
            assert_eq!(baton.release(at(now)), Some(at(now + graces * 500)));
            assert!(baton.take());
            now += graces * 500;
            assert_eq!(baton.guard_fired(at(now)), Guard::Sleep);
        }
        assert_eq!(baton.release(at(now)), Some(at(now + 4_000)));
        assert_eq!(baton.guard_fired(at(now + 4_000)), Guard::Drive);
        assert!(baton.take());
        assert_eq!(baton.release(at(9)), Some(at(509)), "it lay: the caller is not busy any more");
    }

    #[test]
    fn only_an_earlier_deadline_kicks_and_only_once() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        assert_eq!(baton.deadline(Some(at(1))), None, "nobody sleeps");
        baton.sleep(Role::Background, Some(at(1_000)));
        assert_eq!(baton.deadline(None), None);
        assert_eq!(baton.deadline(Some(at(1_000))), None);
        assert_eq!(baton.deadline(Some(at(900))), Some(Role::Background));
        assert_eq!(baton.deadline(Some(at(900))), None);
        baton.awake(Role::Background);
        assert_eq!(baton.deadline(Some(at(5))), None);
        baton.sleep(Role::Background, None);
        assert_eq!(baton.deadline(Some(at(5))), Some(Role::Background));
    }

    #[test]
    fn a_robbed_sleeper_does_not_wake_the_one_that_robbed_it() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        baton.sleep(Role::Background, None);
        assert!(baton.take());
        assert_eq!(baton.to_kick(), None, "the caller is awake");
        baton.sleep(Role::Caller, None);
        baton.awake(Role::Background);
        assert!(baton.caller_sleeps());
        assert_eq!(baton.to_kick(), Some(Role::Caller));
    }

    #[test]
    fn a_baton_that_lies_about_is_kicked_to_the_background() {
        let mut baton = Baton::new(Rest::Grace(GRACE));
        assert!(baton.take());
        assert!(baton.release(at(0)).is_some());
        assert_eq!(baton.to_kick(), Some(Role::Background));
        baton.take_if_free();
        assert_eq!(baton.holder(), Holder::Background);
    }

    #[test]
    fn an_event_loop_gets_the_baton_back_at_once_and_hears_of_the_next_deadline() {
        let mut baton = Baton::new(Rest::EventLoop);
        assert!(baton.take());
        assert_eq!(baton.release(at(0)), None);
        assert_eq!(baton.holder(), Holder::Background);
        assert_eq!(baton.deadline(Some(at(70))), Some(Role::Background));
    }
}
