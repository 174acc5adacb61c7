//! Trying again what may pass by itself.

use std::time::{Duration, Instant};

use clap::Args;

use super::status;
use crate::ping::parse_seconds;

/// The first wait, unless told; each that follows is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LAST_WAIT: Duration = Duration::from_secs(600);

/// The options of it.
#[derive(Args, Clone, Debug, Default)]
pub struct Retry {
    /// Try again this many times after a time-out, and where the status is 408, 429, 500, 502, 503 or 504
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    retry: u32,
    /// Seconds before each further try; 0: 1, 2, 4 … 600
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    retry_delay: Option<f64>,
    /// Seconds after which there is no further try; 0: any number
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    retry_max_time: Option<f64>,
    /// Try again too where the connection is refused
    #[arg(long)]
    retry_connrefused: bool,
    /// Try again after any error
    #[arg(long)]
    retry_all_errors: bool,
}

/// The tries of one document.
#[derive(Debug)]
pub struct Tries<'a> {
    retry: &'a Retry,
    made: u32,
    begin: Instant,
}

/// How a try ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// The status that the command would have.
    pub exit: u8,
    /// The server's, where it said one.
    pub http: u16,
    /// Whether the connection was refused.
    pub refused: bool,
}

impl Retry {
    /// None made yet.
    pub fn tries(&self) -> Tries<'_> {
        Tries { retry: self, made: 0, begin: Instant::now() }
    }
}

impl Tries<'_> {
    /// How long to wait before the next one, where there is to be one.
    pub fn next(&mut self, ending: Ending) -> Option<Duration> {
        let Retry { retry, retry_delay, retry_max_time, .. } = *self.retry;
        if self.made >= retry || !self.may_pass(ending) {
            return None;
        }
        let given = retry_delay.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
        let wait =
            given.unwrap_or_else(|| (FIRST_WAIT * 2_u32.saturating_pow(self.made.min(10))).min(LAST_WAIT));
        let limit = retry_max_time.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
        if limit.is_some_and(|limit| self.begin.elapsed() + wait > limit) {
            return None;
        }
        self.made += 1;
        Some(wait)
    }

    fn may_pass(&self, ending: Ending) -> bool {
        let transient = matches!(ending.http, 408 | 429 | 500 | 502 | 503 | 504);
        transient
            || ending.exit == status::TIMED_OUT
            || ending.refused && self.retry.retry_connrefused
            || ending.exit != 0 && self.retry.retry_all_errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Ending = Ending { exit: 7, http: 0, refused: true };
    const BUSY: Ending = Ending { exit: 0, http: 503, refused: false };

    #[test]
    fn what_may_pass_is_tried_again_and_later_each_time() {
        let retry = Retry { retry: 3, ..Retry::default() };
        let mut tries = retry.tries();
        assert_eq!(tries.next(REFUSED), None);
        let waits = [0; 4].map(|_| tries.next(BUSY).map(|wait| wait.as_secs()));
        assert_eq!(waits, [Some(1), Some(2), Some(4), None]);
        let all = Retry { retry_connrefused: true, retry_delay: Some(0.5), ..retry.clone() };
        assert_eq!(all.tries().next(REFUSED), Some(Duration::from_millis(500)));
        let short = Retry { retry_max_time: Some(0.5), ..retry };
        assert_eq!(short.tries().next(BUSY), None);
        assert_eq!(Retry::default().tries().next(BUSY), None);
    }
}
