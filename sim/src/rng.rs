//! The one source of randomness: seeded, small, the same on every machine.

/// A generator of the xoshiro256** family, seeded through SplitMix64.
///
/// Every element of a network has one of its own, forked from the seed of the simulation, so that an element more
/// doesn't change the dice of its neighbours.
///
/// ```
/// use tapsock_sim::rng::Rng;
///
/// let (mut a, mut b) = (Rng::new(7), Rng::new(7));
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.below(10) < 10);
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole sequence is given by `seed`.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        Rng { state: core::array::from_fn(|_| split_mix(&mut mix)) }
    }

    /// A generator of its own for the part numbered `stream`: a function of this one's next value and `stream`.
    pub fn fork(&mut self, stream: u64) -> Rng {
        Rng::new(self.next_u64() ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A number from 0 to `bound` − 1, evenly spread; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with a probability of `percent` in a hundred.
    pub fn percent(&mut self, percent: f64) -> bool {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit * 100.0 < percent
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_out_as_asked() {
        let mut rng = Rng::new(1);
        let hits = (0..100_000).filter(|_| rng.percent(3.0)).count();
        assert!((2_700..3_300).contains(&hits), "{hits} of 100000 at 3 %");
        assert!((0..1_000).all(|_| rng.percent(100.0)));
        assert!((0..1_000).all(|_| !rng.percent(0.0)));
        let mean = (0..10_000).map(|_| rng.below(100)).sum::<u64>() / 10_000;
        assert!((45..55).contains(&mean), "mean {mean} of 0..100");
    }

    #[test]
    fn forks_differ() {
        let mut rng = Rng::new(1);
        let (mut a, mut b) = (rng.fork(0), rng.fork(1));
        assert_ne!(a.next_u64(), b.next_u64());
    }
}
