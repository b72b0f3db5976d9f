//! Two models on the same examples: what the difference is, how well it is known, and whether that is enough.
//!
//! How hard an example is differs far more from example to example than two models differ on it. A difference that is taken example by
//! example, with the same noise, does not hold that spread: its standard error is a small part of what two separate sets would give.
//!
//! The criterion: one model is better if the 95 % interval of the mean difference, by Student's t, does not hold 0.

use std::fmt;

use serde::Serialize;
use sfumato_process::bound::{ExampleTerms, Mean, Moments};

use crate::student::two_sided_95;

/// One of two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// What the differences say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every difference is exactly 0.
    Equal,
    /// The interval does not hold 0: this side has the smaller mean, which of a bound is the better.
    Better(Side),
    /// The interval holds 0, or a single pair gives none.
    Unknown,
}

/// Numbers of two models for the same examples, pair by pair.
///
/// # Formula
/// With `d_i = b_i - a_i`: the mean `d̄`, its standard error `s = √(Σ (d_i - d̄)²/(n - 1)/n)`, and the interval
/// `d̄ ± t s` with the 97.5 % point `t` of Student's distribution with `n - 1` degrees of freedom.
///
/// # Examples
/// ```
/// use sfumato_evaluate::{Paired, Side, Verdict};
///
/// // The examples differ by hundreds, the models by about two.
/// let a = [100.0, 300.0, 500.0, 250.0];
/// let b = [98.0, 297.5, 498.5, 248.0];
/// let paired = Paired::new(&a, &b).expect("four pairs");
/// assert_eq!((paired.difference.mean, paired.verdict()), (-2.0, Verdict::Better(Side::B)));
/// assert!(paired.unpaired_standard_error() > Some(100.0) && paired.difference.standard_error < Some(0.25));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Of the first model alone.
    pub a: Mean,
    /// Of the second alone.
    pub b: Mean,
    /// Of second minus first.
    pub difference: Mean,
    /// Pearson's correlation, in [-1, 1]; none if a side has no spread.
    pub correlation: Option<f64>,
}

impl Paired {
    /// Compares `b[i]` with `a[i]` for each `i`; none without pairs.
    ///
    /// # Panics
    /// If the lists differ in length.
    pub fn new(a: &[f64], b: &[f64]) -> Option<Self> {
        assert_eq!(a.len(), b.len(), "each number needs its partner");
        let mut moments = [Moments::default(); 3];
        for (&a, &b) in a.iter().zip(b) {
            let [first, second, difference] = &mut moments;
            first.push(a);
            second.push(b);
            difference.push(b - a);
        }
        let [first, second, difference] = moments.map(|moments| moments.mean());
        let (first, second) = (first?, second?);
        let products: f64 = a.iter().zip(b).map(|(a, b)| (a - first.mean) * (b - second.mean)).sum();
        let n = first.count as f64;
        let spread = first.standard_error.zip(second.standard_error).map(|(a, b)| a * b * n * (n - 1.0));
        let correlation = spread.filter(|&spread| spread > 0.0).map(|spread| (products / spread).clamp(-1.0, 1.0));
        Some(Self { a: first, b: second, difference: difference?, correlation })
    }

    /// The same in bits for each of `dimensions`, if it was in nats for all of them.
    pub fn bits_per_dim(self, dimensions: usize) -> Self {
        let bits = |mean: Mean| mean.bits_per_dim(dimensions);
        Self { a: bits(self.a), b: bits(self.b), difference: bits(self.difference), ..self }
    }

    /// The 95 % interval of the mean difference, `[low, high]`; none of a single pair.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let Mean { mean, standard_error, count } = self.difference;
        standard_error.map(|error| {
            let half = two_sided_95(count - 1) * error;
            [mean - half, mean + half]
        })
    }

    /// The standard error that the difference would have if each model had been scored on examples of its own.
    pub fn unpaired_standard_error(&self) -> Option<f64> {
        self.a.standard_error.zip(self.b.standard_error).map(|(a, b)| a.hypot(b))
    }

    /// Which model is better, by Student's 95 % interval; see [`Verdict`].
    pub fn verdict(&self) -> Verdict {
        let Mean { mean, standard_error, .. } = self.difference;
        match self.interval() {
            _ if mean == 0.0 && standard_error.unwrap_or(0.0) == 0.0 => Verdict::Equal,
            Some([low, _]) if low > 0.0 => Verdict::Better(Side::A),
            Some([_, high]) if high < 0.0 => Verdict::Better(Side::B),
            _ => Verdict::Unknown,
        }
    }

    /// The fewest examples of which a mean difference as large as this one, with a spread as large, has an interval without 0.
    ///
    /// None if the difference is 0 or so small that no number of examples would do, or if nothing is known of its spread. A difference that truly is so large then has even chances to
    /// be told; with twice as many examples four in five.
    pub fn examples_needed(&self) -> Option<u64> {
        let Mean { mean, standard_error, count } = self.difference;
        let deviation = standard_error? * (count as f64).sqrt();
        let ratio = (deviation / mean.abs()).powi(2);
        if !ratio.is_finite() {
            return None;
        }
        let enough = |n: u64| two_sided_95(n - 1).powi(2) * ratio < n as f64;
        let mut high = 2;
        while !enough(high) {
            high = high.checked_mul(2)?;
        }
        let mut low = high / 2; // not enough, or 1
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if enough(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

/// The parts of the bound of two models, in nats for a whole example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedBound {
    /// `L_T`.
    pub prior: Paired,
    /// `Σ L_{t-1}` over `t = 2, …, S`.
    pub diffusion: Paired,
    /// `L_0`.
    pub decoder: Paired,
    /// The sum of the three.
    pub total: Paired,
}

impl PairedBound {
    /// Compares the terms of the second model with those of the first, example by example; none without examples.
    ///
    /// # Panics
    /// If the two are not of the same examples, in the same order.
    pub fn new(a: &[ExampleTerms], b: &[ExampleTerms]) -> Option<Self> {
        let ids = |terms: &[ExampleTerms]| terms.iter().map(|terms| terms.example).collect::<Vec<_>>();
        assert_eq!(ids(a), ids(b), "the examples are not the same");
        let pair = |part: fn(&ExampleTerms) -> f64| {
            let column = |terms: &[ExampleTerms]| terms.iter().map(part).collect::<Vec<_>>();
            Paired::new(&column(a), &column(b))
        };
        Some(Self {
            prior: pair(|terms| terms.prior)?,
            diffusion: pair(|terms| terms.diffusion)?,
            decoder: pair(|terms| terms.decoder)?,
            total: pair(ExampleTerms::total)?,
        })
    }
}
