//! A figure with its interval.

use serde::Serialize;

/// The 97.5 % point of the standard normal distribution.
const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// A figure, its standard error, and the interval `value ± 1.96 standard errors`, which holds the truth in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// An estimate with the interval that its standard error gives.
    pub fn new(value: f64, standard_error: f64) -> Self {
        let half = TWO_SIDED_95 * standard_error;
        Self { value, standard_error, low: value - half, high: value + half }
    }

    /// A share of `n` that were drawn independently, with Wilson's interval, which has a width also where the share is 0 or 1.
    pub fn share(value: f64, n: usize) -> Self {
        let (n, z) = (n as f64, TWO_SIDED_95);
        let middle = (value + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (value * (1.0 - value) / n + (z / (2.0 * n)).powi(2)).sqrt();
        let standard_error = (value * (1.0 - value) / n).sqrt();
        Self { value, standard_error, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// The same with the interval cut to `low..=high`, beyond which the figure has no meaning.
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { low: self.low.max(low), high: self.high.min(high), ..self }
    }

    /// Whether the intervals of two estimates have a point in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// Mean and variance (with `n - 1`) of some numbers; the variance of fewer than two is 0.
pub(super) fn mean_and_variance(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, if n < 2.0 { 0.0 } else { squares / (n - 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_nothing_and_of_all_have_intervals_too() {
        let none = Estimate::share(0.0, 100);
        assert!(none.low < 1e-12 && (none.high - 0.03699).abs() < 1e-5, "{none:?}");
        let half = Estimate::share(0.5, 100);
        assert!((half.low - 0.40383).abs() < 1e-5 && (half.high - 0.59617).abs() < 1e-5, "{half:?}");
        assert!(Estimate::share(1.0, 10).high > 0.999_999);
    }
}
