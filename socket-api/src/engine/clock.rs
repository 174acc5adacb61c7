//! The clock that the core is told: `CLOCK_MONOTONIC`, the same for all hosts of a process.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};
use tapsock_stack::time::Instant;

/// The time now. No system call (vDSO).
pub(crate) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// How long after 1970 the clock began to run, as the system's time of the day has it now.
pub(crate) fn epoch() -> Duration {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.saturating_sub(now().saturating_since(Instant::ZERO))
}

/// `duration` as ppoll and timerfd want it; what does not fit is cut to the longest that does.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_forward_and_agrees_with_the_standard_clock() {
        let (ours, theirs) = (now(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(5));
        let (elapsed, expected) = (now().saturating_since(ours), theirs.elapsed());
        assert!(elapsed >= Duration::from_millis(5) && elapsed <= expected + Duration::from_millis(1));
    }

    #[test]
    fn a_duration_that_does_not_fit_is_cut() {
        assert_eq!(timespec(Duration::MAX).tv_sec, i64::MAX);
        assert_eq!(timespec(Duration::from_micros(1_500)).tv_nsec, 1_500_000);
    }
}
