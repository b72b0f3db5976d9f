//! The order in which a data set is visited: a pure function of (seed, draw number).
//!
//! Every epoch is a permutation, made by the swap-or-not shuffle: Hoang, Morris & Rogaway (2012), "An Enciphering
//! Scheme Based on a Card Shuffle", arXiv:1208.1176. It answers "which example is at position p" without a table, so a
//! run resumes at any draw at no cost, and threads or ranks can ask for any draw in any order.

use rand_chacha::rand_core::Rng;
use sfumato_random::{chacha20, word};

/// Rounds of the shuffle. The paper's bound needs a small multiple of log2(len); 90 is what Ethereum's consensus
/// specification settled on for lists of millions.
const ROUNDS: u64 = 90;

/// Visits a data set epoch by epoch, each epoch in an order of its own.
///
/// # Examples
/// ```
/// use sfumato_data::EpochSampler;
///
/// let sampler = EpochSampler::new(7, 10);
/// let mut first_epoch: Vec<usize> = (0..10).map(|draw| sampler.index(draw)).collect();
/// assert_eq!(sampler.epoch(25), 2);
/// first_epoch.sort();
/// assert_eq!(first_epoch, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSampler {
    seed: u64,
    len: u64,
}

impl EpochSampler {
    /// Sampler of a data set of `len` examples.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn new(seed: u64, len: usize) -> EpochSampler {
        assert!(len > 0, "an empty data set cannot be sampled");
        EpochSampler { seed, len: len as u64 }
    }

    /// Number of the epoch that `draw` belongs to, from 0.
    pub fn epoch(&self, draw: u64) -> u64 {
        draw / self.len
    }

    /// The example of draw number `draw` (from 0): entry `draw % len` of the permutation of epoch `draw / len`.
    pub fn index(&self, draw: u64) -> usize {
        shuffled(key(self.seed, b"order", self.epoch(draw)), self.len, draw % self.len)
    }

    /// Whether draw number `draw` is mirrored, with probability 1/2 and independently of the order.
    pub fn flip(&self, draw: u64) -> bool {
        mix(key(self.seed, b"flips", 0) ^ mix(draw)) & 1 == 1
    }
}

/// A fixed order of a data set, of which every beginning is an unbiased sample of the whole: what a score of a part of the data
/// is made on. Training's order of the same seed is another.
///
/// # Examples
/// ```
/// use sfumato_data::Subset;
///
/// let subset = Subset::new(3, 10);
/// let mut all: Vec<usize> = (0..10).map(|place| subset.index(place)).collect();
/// all.sort();
/// assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subset {
    key: u64,
    len: u64,
}

impl Subset {
    /// The order of `len` examples that belongs to a seed.
    pub fn new(seed: u64, len: usize) -> Subset {
        Subset { key: key(seed, b"parts", 0), len: len as u64 }
    }

    /// The example at a place of the order.
    ///
    /// # Panics
    /// If `place` is not below the number of examples.
    pub fn index(&self, place: usize) -> usize {
        assert!((place as u64) < self.len, "place {place} of {} examples", self.len);
        shuffled(self.key, self.len, place as u64)
    }
}

/// All examples of `len` in a fixed order, of which the first are held out. It is another than that of [`Subset`], so that a score of a part
/// of the training data is not one of held-out examples.
pub(super) fn held_out_order(seed: u64, len: usize) -> impl Iterator<Item = usize> {
    let key = key(seed, b"holds", 0);
    (0..len as u64).map(move |place| shuffled(key, len as u64, place))
}

/// Where the shuffle of `key` puts place `x` of `len`.
fn shuffled(key: u64, len: u64, mut x: u64) -> usize {
    for round in 0..ROUNDS {
        // One round pairs every x with pivot - x and swaps the pair or not, by one pseudo-random bit of the pair.
        let pivot = mix(key ^ mix(2 * round)) % len;
        let partner = (pivot + len - x) % len;
        let pair = x.max(partner);
        if mix(mix(key ^ mix(2 * round + 1)) ^ pair) & 1 == 1 {
            x = partner;
        }
    }
    x as usize
}

/// A pseudo-random 64-bit key for one purpose and epoch.
fn key(seed: u64, purpose: &[u8; 5], epoch: u64) -> u64 {
    chacha20([seed, word(purpose), 0, 0], epoch).next_u64()
}

/// The output function of SplitMix64: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators".
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // First outputs of the reference implementation (Vigna's splitmix64.c) with state 1234567.
        let state = |n: u64| 1_234_567u64.wrapping_add(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(n));
        assert_eq!(mix(state(0)), 6_457_827_717_110_365_317);
        assert_eq!(mix(state(1)), 3_203_168_211_198_807_973);
    }

    proptest! {
        #[test]
        fn every_epoch_visits_every_example_once(seed: u64, len in 1usize..300, epoch in 0u64..1_000_000) {
            let sampler = EpochSampler::new(seed, len);
            let mut seen = vec![false; len];
            for draw in epoch * len as u64..(epoch + 1) * len as u64 {
                prop_assert_eq!(sampler.epoch(draw), epoch);
                prop_assert!(!std::mem::replace(&mut seen[sampler.index(draw)], true));
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ_and_a_new_sampler_repeats() {
        let order = |seed, epoch: u64| -> Vec<usize> {
            let sampler = EpochSampler::new(seed, 1000);
            (epoch * 1000..(epoch + 1) * 1000).map(|draw| sampler.index(draw)).collect()
        };
        let fixed_points = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        let identity: Vec<usize> = (0..1000).collect();
        assert_eq!(order(3, 1), order(3, 1));
        for (a, b) in [(order(3, 0), order(3, 1)), (order(3, 0), order(4, 0)), (order(3, 0), identity)] {
            // The number of agreements of two random permutations is Poisson(1): 8 or more has probability 1e-5.
            assert!(fixed_points(&a, &b) < 8);
        }
    }

    #[test]
    fn every_order_of_five_examples_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        let sampler = EpochSampler::new(11, 5);
        let epochs = 12_000;
        for epoch in 0..epochs {
            let order: Vec<usize> = (0..5).map(|p| sampler.index(epoch * 5 + p)).collect();
            *counts.entry(order).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 120);
        let expected = epochs as f64 / 120.0;
        let chi2: f64 = counts.values().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
        // Chi-squared with 119 degrees of freedom: mean 119, standard deviation 15.4; 190 has probability 3e-5.
        assert!(chi2 < 190.0, "{chi2}");
    }

    #[test]
    fn neighbours_in_the_data_are_scattered_over_the_epoch() {
        // Mean of |index(i+1) - index(i)| of a uniform permutation is (n+1)/3, with deviation 0.24·n/sqrt(n).
        let n = 10_000;
        let sampler = EpochSampler::new(0, n);
        let order: Vec<f64> = (0..n as u64).map(|draw| sampler.index(draw) as f64).collect();
        let mean = order.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f64>() / (n - 1) as f64;
        assert!((mean - n as f64 / 3.0).abs() < 5.0 * 0.24 * (n as f64).sqrt(), "{mean}");
    }

    #[test]
    fn half_of_the_draws_are_flipped_independently_of_position_and_seed() {
        let (a, b) = (EpochSampler::new(1, 100), EpochSampler::new(2, 100));
        let n = 40_000u64;
        let flips = (0..n).filter(|&draw| a.flip(draw)).count() as f64;
        let agree = (0..n).filter(|&draw| a.flip(draw) == b.flip(draw)).count() as f64;
        let again = (0..n - 100).filter(|&draw| a.flip(draw) == a.flip(draw + 100)).count() as f64;
        // Binomial(n, 1/2) has a standard deviation of 100.
        for count in [flips, agree, again + 50.0] {
            assert!((count - n as f64 / 2.0).abs() < 500.0, "{count}");
        }
    }
}
