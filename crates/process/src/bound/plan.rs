//! What an estimate evaluates: which steps, how often, with which noise.

use super::{BoundNoise, Decoder, Strata};

/// How the sum over steps and the expectation over noise are estimated.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// `L_0`.
    pub decoder: Decoder,
    /// Which steps stand for which.
    pub strata: Strata,
    /// Draws of noise for each example and stratum, at least 1.
    pub draws: usize,
    /// Where the noise comes from.
    pub noise: BoundNoise<'a>,
    /// Seed of the choice of steps within strata.
    pub seed: u64,
}

/// One evaluation of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Index of the example, from 0.
    pub example: usize,
    /// Step of the chain, `1..=S`; in continuous time 1 is the decoder, and `i + 2` stands for stratum `i` of the levels.
    pub step: usize,
    /// Entry of the noise ([`BoundNoise`]).
    pub entry: usize,
    /// What the term counts in the example's total: the width of the stratum over the number of draws.
    pub weight: f64,
}

impl Plan<'_> {
    /// The evaluations for one example, in order.
    pub fn points(&self, example: usize) -> impl Iterator<Item = Point> + '_ {
        let draws = self.draws;
        let steps = self.strata.steps();
        (0..draws).flat_map(move |draw| {
            self.strata.choose(self.seed, example, draw).map(move |(step, width)| Point {
                example,
                step,
                entry: draw * steps + step - 1,
                weight: width as f64 / draws as f64,
            })
        })
    }

    /// Number of evaluations for one example.
    pub fn points_per_example(&self) -> usize {
        self.strata.len() * self.draws
    }
}
