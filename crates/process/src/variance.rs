//! The variance of reverse steps: fixed by a rule, given as a table, or learned.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use sfumato_schedule::NoiseSchedule;

use crate::broadcast::check_shapes;

/// The fixed variance of `p(x_{t-1} | x_t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseVariance {
    /// `β̃_t`, exact when all data is one point (the lower bound on the true reverse entropy).
    #[default]
    FixedSmall,
    /// `β_t`, exact when data is standard normal (the upper bound).
    FixedLarge,
}

impl ReverseVariance {
    /// `log σ_t²` in nats, for `t` in `1..=T`; at `t = 1` both kinds use `log β̃_2`, as DDPM does.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn log_variance(self, schedule: &NoiseSchedule, t: usize) -> f64 {
        match self {
            Self::FixedLarge if t > 1 => schedule.beta(t).ln(),
            _ => schedule.posterior_log_variance(t),
        }
    }
}

/// How the second half of a network's output is read as a variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedVariance {
    /// Between `β̃_t` and `β_t` on a logarithmic scale: Nichol & Dhariwal (2021), Eq. 15. With the output `w`,
    /// `log σ² = frac · log β + (1 - frac) · log β̃`, `frac = (w + 1) / 2`; `w` may leave [-1, 1].
    Range,
    /// Any variance: `log σ² = log β_t + w`, with `w` cut to [-10, 10]. (The ablation of Nichol & Dhariwal reads `log σ²` itself; from
    /// `log β_t` on, a network that says nothing starts at a sensible variance, and a chain of fewer steps has its own.)
    Free,
}

impl LearnedVariance {
    /// Largest magnitude of [`Free`](Self::Free)'s `w`: far from every variance that fits, near enough that no float overflows.
    const LIMIT: f64 = 10.0;

    /// The network's word with what is beyond the limits cut off.
    pub(crate) fn in_range<B: Backend, const D: usize>(self, word: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Range => word,
            Self::Free => word.clamp(-Self::LIMIT, Self::LIMIT),
        }
    }

    /// The same of one value.
    pub(crate) fn value_in_range(self, word: f64) -> f64 {
        match self {
            Self::Range => word,
            Self::Free => word.clamp(-Self::LIMIT, Self::LIMIT),
        }
    }

    /// `log σ²` of step `t` as a function of the network's word.
    pub(crate) fn log_variance(self, schedule: &NoiseSchedule, t: usize) -> Affine {
        let [low, high] = [schedule.posterior_log_variance(t), schedule.beta(t).ln()];
        match self {
            Self::Range => Affine { slope: 0.5 * (high - low), offset: 0.5 * (high + low) },
            Self::Free => Affine { slope: 1.0, offset: high },
        }
    }
}

/// `slope · w + offset` of what a network says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    pub(crate) slope: f64,
    pub(crate) offset: f64,
}

/// The variance of the reverse steps of a model: fixed by a rule, or learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelVariance {
    /// [`ReverseVariance::FixedSmall`].
    #[default]
    FixedSmall,
    /// [`ReverseVariance::FixedLarge`].
    FixedLarge,
    /// [`LearnedVariance::Range`].
    LearnedRange,
    /// [`LearnedVariance::Free`].
    Learned,
}

impl From<ReverseVariance> for ModelVariance {
    fn from(rule: ReverseVariance) -> Self {
        match rule {
            ReverseVariance::FixedSmall => Self::FixedSmall,
            ReverseVariance::FixedLarge => Self::FixedLarge,
        }
    }
}

impl ModelVariance {
    /// The name in configuration files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedSmall => "fixed-small",
            Self::FixedLarge => "fixed-large",
            Self::LearnedRange => "learned-range",
            Self::Learned => "learned",
        }
    }

    /// The rule, where there is one.
    pub fn fixed(self) -> Option<ReverseVariance> {
        match self {
            Self::FixedSmall => Some(ReverseVariance::FixedSmall),
            Self::FixedLarge => Some(ReverseVariance::FixedLarge),
            Self::LearnedRange | Self::Learned => None,
        }
    }

    /// How the network's word is read, where it has one.
    pub fn learned(self) -> Option<LearnedVariance> {
        match self {
            Self::FixedSmall | Self::FixedLarge => None,
            Self::LearnedRange => Some(LearnedVariance::Range),
            Self::Learned => Some(LearnedVariance::Free),
        }
    }

    /// `log σ²` of step `t`; the slope is 0 where the variance is fixed.
    pub(crate) fn log_variance(self, schedule: &NoiseSchedule, t: usize) -> Affine {
        match (self.fixed(), self.learned()) {
            (Some(rule), _) => Affine { slope: 0.0, offset: rule.log_variance(schedule, t) },
            (None, learned) => learned.unwrap_or(LearnedVariance::Range).log_variance(schedule, t),
        }
    }
}

/// The variance of one reverse step of a batch.
#[derive(Clone, Debug)]
pub enum StepVariance<B: Backend, const D: usize> {
    /// `log σ²` in nats, the same everywhere.
    Fixed(f64),
    /// `log σ²` in nats for each element, `[batch, …]`, as the network says.
    Learned(Tensor<B, D>),
}

impl<B: Backend, const D: usize> StepVariance<B, D> {
    /// Noise of this variance from standard normal `z`, `[batch, …]`.
    ///
    /// # Panics
    /// If `z` is not of the shape of a learned variance.
    pub fn scale(&self, z: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Fixed(log_variance) => z * (0.5 * log_variance).exp(),
            Self::Learned(log_variance) => {
                check_shapes(("z", &z), ("the variance", log_variance));
                z * (log_variance.clone() * 0.5).exp()
            }
        }
    }
}

/// Where the variances of a chain come from.
#[derive(Clone, Debug)]
pub(crate) enum Variance {
    Fixed(ReverseVariance),
    /// `log σ_i²` of step `i` at `i - 1`.
    Table(Vec<f64>),
    /// The network says it.
    Learned(LearnedVariance),
}

/// Why a table of variances does not fit a chain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VarianceError {
    /// One value for each step is needed.
    #[error("a chain of {steps} steps needs as many log-variances, {found} were given")]
    Length {
        /// Steps of the chain.
        steps: usize,
        /// Values given.
        found: usize,
    },
    /// NaN or infinite.
    #[error("log-variances must be finite, but that of step {step} is {log_variance}")]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The value given for it.
        log_variance: f64,
    },
}
