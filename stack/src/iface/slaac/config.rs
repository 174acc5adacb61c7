//! Settings of autoconfiguration.

use core::time::Duration;

/// What an interface takes from routers, and how it makes its addresses: Linux's settings of the same names.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// assert!(Config::default().autoconf_config().accept_ra);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct AutoconfConfig {
    /// Whether advertisements of routers are heeded at all.
    pub accept_ra: bool,
    /// … as default routers.
    pub accept_ra_defrtr: bool,
    /// … for the prefixes.
    pub accept_ra_pinfo: bool,
    /// … for the MTU.
    pub accept_ra_mtu: bool,
    /// The least hop limit that is taken.
    pub accept_ra_min_hop_limit: u8,
    /// … for which of the routers goes first.
    pub accept_ra_rtr_pref: bool,
    /// The longest prefix of a route that is taken, in bits; 0 takes a default route only.
    pub accept_ra_rt_info_max_plen: u8,
    /// Whether addresses are made of prefixes.
    pub autoconf: bool,
    /// Whether addresses are looked for on the link before they are used: 0 no, 1 yes, 2 and IPv6 is given up where
    /// somebody has the link-local one that follows from the station.
    pub accept_dad: u8,
    /// How often they are looked for.
    pub dad_transmits: u8,
    /// Whether the questions bear a nonce.
    pub enhanced_dad: bool,
    /// Questions to routers; [`UNTIL_ANSWERED`](Self::UNTIL_ANSWERED) sets no bound.
    pub router_solicitations: u32,
    /// The longest time before the first.
    pub router_solicitation_delay: Duration,
    /// The time between the first two; each further one is twice as long.
    pub router_solicitation_interval: Duration,
    /// The longest time between two; zero sets no bound.
    pub router_solicitation_max_interval: Duration,
    /// How addresses are made: 0 from the station, 1 the same but no link-local one, 2 and 3 by a secret.
    pub addr_gen_mode: u8,
    /// The secret.
    pub stable_secret: Option<u128>,
    /// Temporary addresses: 0 none, 1 there are, 2 they go first.
    pub use_tempaddr: u8,
    /// How long one is valid.
    pub temp_valid: Duration,
    /// How long one is preferred.
    pub temp_preferred: Duration,
    /// By how much at most that is shortened at random.
    pub max_desync: Duration,
    /// How often another identifier is tried.
    pub regen_max_retry: u8,
    /// Addresses that are made, at the most.
    pub max_addresses: usize,
    /// The time between two questions.
    pub retrans: Duration,
}

impl AutoconfConfig {
    /// The mode in which an interface gets no link-local address.
    pub const NO_LINK_LOCAL: u8 = 1;

    /// Routers are asked until one answers.
    pub const UNTIL_ANSWERED: u32 = u32::MAX;

    /// The time after the next question, where it was `before` after the last. `jitter` is the part by which it is longer.
    //= RFC 7559 §2
    pub(super) fn backed_off(&self, before: Duration, jitter: f64) -> Duration {
        // None at all is no bound (RFC 8415 §15).
        let longest = match self.router_solicitation_max_interval {
            Duration::ZERO => NO_BOUND,
            longest => longest,
        };
        let next = before.mul_f64(2.0 + jitter);
        if next > longest { longest.mul_f64(1.0 + jitter) } else { next }
    }

    /// Whether addresses are looked for before they are used.
    pub fn detects_duplicates(&self) -> bool {
        self.accept_dad > 0 && self.dad_transmits > 0
    }
}

/// The time between two questions to routers where no other is the longest.
const NO_BOUND: Duration = Duration::from_secs(365 * 24 * 3600);
