//! How much memory all connections of a host may take together, and what each of them gets where it is short.

use crate::counters::{Counter, Counters};
use crate::time::Instant;

/// Bytes of a page, in which memory is counted, as in Linux.
const PAGE: u64 = 4096;

/// What a connection may take in any case while the host is not at its limit, in pages (the first of Linux's `tcp_rmem` and
/// `tcp_wmem`).
const LEAST: u16 = 1;

/// So many bytes in pages. No buffer is larger than what that has room for: 256 MiB.
pub(crate) fn pages(bytes: u64) -> u16 {
    u16::try_from(bytes.div_ceil(PAGE)).unwrap_or(u16::MAX)
}

/// The memory of all connections of a host, in pages of 4 KiB (`net.ipv4.tcp_mem`).
///
/// What is charged is what Linux would charge: buffers with their overhead, received or to be sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Below this memory is not short any more.
    pub low: u32,
    /// Above it, it is: connections grow no more, and offer little.
    pub pressure: u32,
    /// More than this is not taken, but for what keeps connections going.
    pub high: u32,
}

/// What there is for one connection.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, PartialOrd)]
pub enum Supply {
    /// As much as it wants.
    #[default]
    Ample,
    /// What it may have, but it should not want more.
    Enough,
    /// The same, and it should want less.
    Short,
    /// Nothing.
    None,
}

/// The memory that all connections of a host take.
///
/// ```
/// use tapsock_stack::counters::{Counter, Counters};
/// use tapsock_stack::tcp::memory::{HostMemory, Limits, Supply};
/// use tapsock_stack::time::Instant;
///
/// let limits = Limits { low: 10, pressure: 20, high: 30 };
/// let (mut memory, mut counters) = (HostMemory::default(), Counters::default());
/// memory.change(Instant::ZERO, 0, 25, &limits, &mut counters);
/// assert_eq!(counters[Counter::TcpExtTCPMemoryPressures], 1);
/// assert_eq!(memory.supply(25, 1, &limits), Supply::Short, "it may have all there is");
/// assert_eq!(memory.supply(25, 100, &limits), Supply::None, "others want their share");
/// assert_eq!(memory.supply(0, 100, &limits), Supply::Short);
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostMemory {
    charged: u64,
    /// Since when memory is short.
    short_since: Option<Instant>,
}

impl HostMemory {
    /// Pages that are charged.
    pub fn charged(&self) -> u64 {
        self.charged
    }

    /// A connection that was charged `before` pages is charged `after`.
    pub fn change(
        &mut self,
        now: Instant,
        before: u16,
        after: u16,
        limits: &Limits,
        counters: &mut Counters,
    ) {
        self.charged = (self.charged + u64::from(after)).saturating_sub(before.into());
        match self.short_since {
            None if self.charged > limits.pressure.into() => {
                self.short_since = Some(now);
                counters.bump(Counter::TcpExtTCPMemoryPressures);
            }
            Some(since) if self.charged <= limits.low.into() => {
                self.short_since = None;
                let millis = u64::try_from(now.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
                counters[Counter::TcpExtTCPMemoryPressuresChrono] += millis;
            }
            _ => {}
        }
    }

    /// Whether nothing more may be taken.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.charged > limits.high.into()
    }

    /// What there is for one of `connections` that is charged `own` pages. As Linux: at the limit there is nothing for
    /// anybody; where memory is short, what is less than a fair share of it.
    pub fn supply(&self, own: u16, connections: usize, limits: &Limits) -> Supply {
        if self.is_full(limits) {
            return Supply::None;
        }
        if self.short_since.is_none() {
            return if self.charged <= limits.low.into() { Supply::Ample } else { Supply::Enough };
        }
        let fair = u64::from(limits.high) / (connections as u64).max(1);
        if own < LEAST || u64::from(own) < fair { Supply::Short } else { Supply::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_until_much_of_it_is_given_back() {
        let limits = Limits { low: 10, pressure: 20, high: 30 };
        let (mut memory, mut counters) = (HostMemory::default(), Counters::default());
        let mut set = |pages: u16, millis| {
            let (now, before) = (Instant::from_millis(millis), memory.charged() as u16);
            memory.change(now, before, pages, &limits, &mut counters);
            (memory.supply(pages, 1, &limits), counters[Counter::TcpExtTCPMemoryPressures])
        };
        assert_eq!(set(10, 0), (Supply::Ample, 0));
        assert_eq!(set(20, 0), (Supply::Enough, 0));
        assert_eq!(set(21, 5), (Supply::Short, 1));
        assert_eq!(set(31, 6), (Supply::None, 1));
        assert_eq!(set(11, 7), (Supply::Short, 1), "not yet");
        assert_eq!(set(10, 25), (Supply::Ample, 1));
        assert_eq!(counters[Counter::TcpExtTCPMemoryPressuresChrono], 20);
    }

    #[test]
    fn a_page_that_is_begun_counts() {
        assert_eq!([0, 1, 4096, 4097].map(pages), [0, 1, 1, 2]);
        assert_eq!(pages(1 << 40), u16::MAX);
    }
}
