//! How fast what is sent is delivered (draft-cheng-iccrg-delivery-rate-estimation-02): what came between the sending of a
//! segment and its acknowledgement, by the longer of the times in which that was sent and in which it was delivered.

use core::time::Duration;

use crate::time::Instant;

use super::delivery::{Progress, Sent};

/// Segments delivered in a time.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::recovery::rate::Rate;
///
/// let rate = Rate { segments: 20, time: Duration::from_millis(10), by_program: false };
/// assert_eq!(rate.bytes_a_second(1000), 2_000_000);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many.
    pub segments: u32,
    /// In what time.
    pub time: Duration,
    /// Whether the program, not the path, bounded what was sent.
    pub by_program: bool,
}

impl Rate {
    /// Bytes a second, with segments of `size` bytes.
    pub fn bytes_a_second(&self, size: u32) -> u64 {
        let bytes = u128::from(self.segments) * u128::from(size) * 1_000_000_000;
        u64::try_from(bytes / self.time.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    fn is_faster(&self, other: &Rate) -> bool {
        u128::from(self.segments) * other.time.as_nanos() >= u128::from(other.segments) * self.time.as_nanos()
    }
}

/// What an acknowledgement tells of the rate.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct RateSample {
    /// Segments that were delivered when the latest of those was sent that it delivers.
    pub prior_delivered: u32,
    /// The rate; `None` where the time is shorter than a round trip can be.
    pub rate: Option<Rate>,
}

/// The clocks of a connection's deliveries.
///
/// ```
/// use tapsock_stack::tcp::recovery::rate::DeliveryRate;
/// use tapsock_stack::time::Instant;
///
/// let mut rate = DeliveryRate::default();
/// rate.begin_flight(Instant::from_micros(7));
/// assert_eq!(rate.progress(3).at, 7);
/// assert_eq!(rate.last(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct DeliveryRate {
    /// When something was delivered last, and when the first of that was sent, in microseconds that wrap around.
    at: u32,
    began: u32,
    /// Until so many segments are delivered, the program is the limit; 0: it is not.
    limited_until: u32,
    /// The last rate that the path was the limit of, or a faster one; no segments: none yet.
    segments: u32,
    /// In what time, in microseconds; the highest bit: whether the program was the limit.
    micros: u32,
}

/// See [`DeliveryRate::micros`].
const BY_PROGRAM: u32 = 1 << 31;

impl DeliveryRate {
    /// Something is sent, and nothing is in flight.
    pub fn begin_flight(&mut self, now: Instant) {
        (self.at, self.began) = (micros_of(now), micros_of(now));
    }

    /// Where the connection stands, `delivered` segments being delivered.
    pub const fn progress(&self, delivered: u32) -> Progress {
        let DeliveryRate { at, began, .. } = *self;
        Progress { delivered, at, began, by_program: self.is_by_program() }
    }

    /// Whether what is sent now is bounded by the program.
    pub const fn is_by_program(&self) -> bool {
        self.limited_until != 0
    }

    /// The program gave too little: that holds until `delivered` segments are.
    pub fn limit_until(&mut self, delivered: u32) {
        self.limited_until = delivered.max(1);
    }

    /// Takes an acknowledgement by which `delivered` segments are delivered in all, `fresh` of them now, the latest of those
    /// being `newest`. The path's round trip takes `min_rtt` at least.
    pub fn on_ack(
        &mut self,
        now: Instant,
        (delivered, fresh): (u32, u32),
        newest: Option<Sent>,
        min_rtt: Option<Duration>,
    ) -> Option<RateSample> {
        if self.limited_until != 0 && (delivered.wrapping_sub(self.limited_until) as i32) > 0 {
            self.limited_until = 0;
        }
        let now = micros_of(now);
        if fresh > 0 {
            self.at = now;
        }
        let Sent { last, progress, .. } = newest?;
        let sent_at = micros_of(last.at);
        self.began = sent_at;
        let sending = sent_at.wrapping_sub(progress.began);
        let micros = sending.max(now.wrapping_sub(progress.at));
        let segments = delivered.wrapping_sub(progress.delivered);
        let time = Duration::from_micros(micros.into());
        let credible = micros > 0 && min_rtt.is_none_or(|min| time >= min);
        let rate = Rate { segments, time, by_program: progress.by_program };
        let rate = credible.then_some(rate);
        if let Some(rate) = rate
            && self.last().is_none_or(|last| !rate.by_program || rate.is_faster(&last))
        {
            let mark = if rate.by_program { BY_PROGRAM } else { 0 };
            (self.segments, self.micros) = (segments, micros.min(BY_PROGRAM - 1) | mark);
        }
        Some(RateSample { prior_delivered: progress.delivered, rate })
    }

    /// The last rate that the path was the limit of, or a faster one where the program was (`tcpi_delivery_rate`).
    pub fn last(&self) -> Option<Rate> {
        let DeliveryRate { segments, micros, .. } = *self;
        let time = Duration::from_micros((micros & !BY_PROGRAM).into());
        (segments > 0).then_some(Rate { segments, time, by_program: micros & BY_PROGRAM != 0 })
    }
}

fn micros_of(now: Instant) -> u32 {
    now.as_micros() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::recovery::delivery::Transmission;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn sent(at: u64, progress: Progress) -> Option<Sent> {
        let last = Transmission { at: ms(at), ..Transmission::default() };
        Some(Sent { last, resent: false, progress })
    }

    #[test]
    fn a_burst_is_as_fast_as_its_acknowledgements() {
        let mut rate = DeliveryRate::default();
        rate.begin_flight(ms(100));
        let first = rate.progress(5);
        let min = Some(Duration::from_millis(20));
        let sample = rate.on_ack(ms(120), (7, 2), sent(100, first), min).unwrap();
        assert_eq!(sample.prior_delivered, 5);
        assert_eq!((sample.rate.unwrap().segments, sample.rate.unwrap().time.as_millis()), (2, 20));
        // Sent at once, delivered over ten milliseconds.
        let second = rate.progress(7);
        assert_eq!((second.at, second.began), (120_000, 100_000));
        let sample = rate.on_ack(ms(130), (15, 8), sent(100, first), min).unwrap();
        assert_eq!(sample.rate.unwrap().bytes_a_second(1000), 333_333);
    }

    #[test]
    fn acknowledgements_that_come_together_are_no_faster_than_what_was_sent() {
        let mut rate = DeliveryRate::default();
        rate.begin_flight(ms(0));
        let progress = rate.progress(0);
        // The last of it was sent 50 ms after the first, and all was acknowledged at 60 ms.
        let last = Progress { at: 55_000, ..progress };
        let sample = rate.on_ack(ms(60), (10, 10), sent(50, last), Some(Duration::from_millis(5))).unwrap();
        assert_eq!(sample.rate.unwrap().time.as_millis(), 50);
        let sample = rate.on_ack(ms(60), (10, 0), sent(0, progress), Some(Duration::from_millis(61)));
        assert_eq!(sample.unwrap().rate, None, "no round trip is so short");
    }

    #[test]
    fn what_the_program_bounds_counts_only_where_it_is_faster() {
        let mut rate = DeliveryRate::default();
        rate.begin_flight(ms(0));
        let free = rate.progress(0);
        rate.on_ack(ms(10), (10, 10), sent(0, free), None);
        rate.limit_until(13);
        let bounded = rate.progress(10);
        assert!(bounded.by_program);
        rate.on_ack(ms(20), (12, 2), sent(10, bounded), None);
        assert_eq!(rate.last().unwrap().segments, 10);
        rate.on_ack(ms(30), (40, 28), sent(20, Progress { at: 20_000, began: 20_000, ..bounded }), None);
        assert_eq!((rate.last().unwrap().segments, rate.last().unwrap().by_program), (30, true));
        assert!(!rate.is_by_program(), "what followed was delivered");
    }
}
