//! Probabilities of the steps of a chain.

/// `p_1, …, p_T` and their quantile function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepTable {
    /// `p_1 + … + p_t` at `t - 1`.
    cumulative: Vec<f64>,
}

impl StepTable {
    /// The table of `p_1, …, p_T`, which add up to 1.
    pub(super) fn new(probabilities: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let running = probabilities.map(|p| {
            sum += p;
            sum
        });
        Self { cumulative: running.collect() }
    }

    /// The step whose share of [0, 1) `u` lies in.
    pub(super) fn quantile(&self, u: f64) -> usize {
        self.cumulative.partition_point(|&sum| sum <= u).min(self.cumulative.len() - 1) + 1
    }

    /// `p_t`.
    pub(super) fn probability(&self, t: usize) -> f64 {
        let below = if t == 1 { 0.0 } else { self.cumulative[t - 2] };
        self.cumulative[t - 1] - below
    }
}
