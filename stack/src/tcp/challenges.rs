//! How many challenges all connections of a host send together (RFC 5961 §7).

use crate::random::Random;
use crate::time::Instant;

/// The setting that bounds nothing, as in Linux.
pub const UNLIMITED: u32 = i32::MAX as u32;

/// What is left of one second.
///
/// How much that is differs from second to second, from half of the limit to one and a half: a limit that is always the same
/// tells whoever counts answers what others are sent (CVE-2016-5696).
///
/// ```
/// use tapsock_stack::random::Random;
/// use tapsock_stack::tcp::challenges::Challenges;
/// use tapsock_stack::time::Instant;
///
/// let (mut challenges, mut random) = (Challenges::default(), Random::new(1));
/// assert!(challenges.may_send(Instant::ZERO, 100, &mut random));
/// let mut sent = 0;
/// while challenges.may_send(Instant::from_secs(5), 100, &mut random) {
///     challenges.on_sent();
///     sent += 1;
/// }
/// assert!((50..150).contains(&sent));
/// assert!(challenges.may_send(Instant::from_secs(6), 100, &mut random));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    second: Option<u64>,
    left: u32,
}

impl Challenges {
    /// Whether another one may be sent, where `limit` a second may.
    //= RFC 5961 §7
    pub fn may_send(&mut self, now: Instant, limit: u32, random: &mut Random) -> bool {
        if limit == UNLIMITED {
            return true;
        }
        let second = Some(now.as_secs());
        if self.second != second {
            let half = limit.div_ceil(2);
            (self.second, self.left) = (second, half + random.below(limit.max(1).into()) as u32);
        }
        self.left > 0
    }

    /// One was sent.
    pub fn on_sent(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}
