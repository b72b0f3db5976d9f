//! How often training visits each noise level.

use std::fmt;

use sfumato_schedule::{NoiseSchedule, probability::Gaussian};

use super::{TimesError, levels::masses};
use crate::named::{ParameterError, check};

/// How often training visits each step: the density `p_t` that steps are drawn with.
///
/// It changes how noisy a gradient is, not what it is on average: a loss is divided by `T p_t`, so that it counts what
/// [`Weight`](crate::objective::Weight) says. With `λ = ln SNR` and `σ = √((1 - ᾱ)/ᾱ)`, so that `λ = -2 ln σ`:
///
/// | density | `p_t` | source |
/// | --- | --- | --- |
/// | `Uniform` | `1 / T` | Ho et al. (2020), Algorithm 1 |
/// | `Stratified` | the same, with `(u + i/B) mod 1` for example `i` of a batch of `B` in place of independent numbers | Kingma et al. (2021), arXiv:2107.00630, the low-discrepancy sampler |
/// | `Importance` | in proportion to the root of the mean of a step's last ten squared losses ([`ImportanceTimes`](super::ImportanceTimes)) | Nichol & Dhariwal (2021), arXiv:2102.09672, Eq. 18 |
/// | `LogNormal` | `ln σ ~ N(mean, deviation²)` | Karras et al. (2022), arXiv:2206.00364, Table 1 |
/// | `Laplace` | `λ ~ Laplace(mean, scale)` | Hang et al. (2024), arXiv:2407.03297 |
///
/// A step has the mass of the last two between the middles to its neighbours in `λ`, and all steps together have 1.
///
/// # Examples
/// ```
/// use sfumato_process::times::{Density, TimeSampler};
/// use sfumato_schedule::ScheduleConfig;
///
/// let schedule = ScheduleConfig::default().build()?;
/// let times = TimeSampler::new(Density::LOG_NORMAL, &schedule)?;
/// let draw = times.draw(0.5); // the median: ln σ = -1.2
/// assert!((schedule.log_snr(draw.t) - 2.4).abs() < 0.02);
/// assert!((draw.weight * 1000.0 * times.probability(draw.t) - 1.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Density {
    /// Every step as often as any other, independently.
    #[default]
    Uniform,
    /// Every step as often as any other, evenly spread over each batch.
    Stratified,
    /// In proportion to the root of the mean of a step's last ten squared losses.
    Importance {
        /// Whether the numbers that steps are drawn with are evenly spread over each batch.
        strata: bool,
    },
    /// `ln σ ~ N(mean, deviation²)`.
    LogNormal {
        /// Mean of `ln σ`.
        mean: f64,
        /// Standard deviation of `ln σ`.
        deviation: f64,
        /// What the two densities of noise levels have in common.
        options: LevelOptions,
    },
    /// `λ ~ Laplace(mean, scale)`.
    Laplace {
        /// Mean of `λ`.
        mean: f64,
        /// Mean distance of `λ` from its mean.
        scale: f64,
        /// What the two densities of noise levels have in common.
        options: LevelOptions,
    },
}

/// What densities of noise levels have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelOptions {
    /// Share of the draws that are uniform, so that `1 / (T p_t)` is at most its inverse.
    pub uniform_share: f64,
    /// Whether the numbers that steps are drawn with are evenly spread over each batch.
    pub strata: bool,
    /// Whether losses are divided by `T p_t`. If not, the density is a weight too, as in the papers.
    pub unbiased: bool,
}

impl LevelOptions {
    /// The share is that of Nichol & Dhariwal's importance sampling.
    pub const USUAL: Self = Self { uniform_share: 0.001, strata: false, unbiased: true };
}

impl Density {
    /// That of Nichol & Dhariwal (2021).
    pub const IMPORTANCE: Self = Self::Importance { strata: false };
    /// That of Karras et al. (2022).
    pub const LOG_NORMAL: Self = Self::LogNormal { mean: -1.2, deviation: 1.2, options: LevelOptions::USUAL };
    /// That of Hang et al. (2024).
    pub const LAPLACE: Self = Self::Laplace { mean: 0.0, scale: 0.5, options: LevelOptions::USUAL };

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Stratified => "stratified",
            Self::Importance { .. } => "importance",
            Self::LogNormal { .. } => "log-normal",
            Self::Laplace { .. } => "laplace",
        }
    }

    /// Whether the numbers that steps are drawn with are evenly spread over each batch.
    pub fn is_stratified(self) -> bool {
        match self {
            Self::Uniform => false,
            Self::Stratified => true,
            Self::Importance { strata } => strata,
            Self::LogNormal { options, .. } | Self::Laplace { options, .. } => options.strata,
        }
    }

    /// Whether losses count what the weight says, on average: whether they are divided by `T p_t` where that is not 1.
    pub fn is_unbiased(self) -> bool {
        match self {
            Self::LogNormal { options, .. } | Self::Laplace { options, .. } => options.unbiased,
            _ => true,
        }
    }

    /// Checks the parameters against their ranges.
    ///
    /// # Errors
    /// [`ParameterError`] with the first that is out of range.
    pub fn check(self) -> Result<(), ParameterError> {
        let (mean, width, name, options) = match self {
            Self::Uniform | Self::Stratified | Self::Importance { .. } => return Ok(()),
            Self::LogNormal { mean, deviation, options } => (mean, deviation, "deviation", options),
            Self::Laplace { mean, scale, options } => (mean, scale, "scale", options),
        };
        check("mean", mean, true, "a number")?;
        check(name, width, width > 0.0, "a number above 0")?;
        let share = options.uniform_share;
        match options.unbiased {
            // A step that is never drawn cannot be made up for.
            true => check("uniform_share", share, share > 0.0 && share <= 1.0, "a number above 0, up to 1"),
            false => check("uniform_share", share, (0.0..=1.0).contains(&share), "a number from 0 to 1"),
        }
    }

    /// `p_1, …, p_T`, for a density that depends on the schedule alone and is not uniform.
    pub(super) fn probabilities(self, schedule: &NoiseSchedule) -> Result<Option<Vec<f64>>, TimesError> {
        self.check()?;
        let (mut masses, options) = match self {
            Self::Uniform | Self::Stratified | Self::Importance { .. } => return Ok(None),
            Self::LogNormal { mean, deviation, options } => {
                let normal = Gaussian::new(mean, deviation * deviation).map_err(|_| TimesError::NoMass)?;
                (masses(schedule, |low, high| normal.log_interval(-high / 2.0, -low / 2.0).exp()), options)
            }
            Self::Laplace { mean, scale, options } => {
                (masses(schedule, |low, high| laplace_interval((low - mean) / scale, (high - mean) / scale)), options)
            }
        };
        let total: f64 = masses.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(TimesError::NoMass);
        }
        let uniform = options.uniform_share / masses.len() as f64;
        masses.iter_mut().for_each(|mass| *mass = (1.0 - options.uniform_share) * (*mass / total) + uniform);
        Ok(Some(masses))
    }
}

/// `P(low < X <= high)` for `X ~ Laplace(0, 1)`, without differences of numbers near 1.
fn laplace_interval(low: f64, high: f64) -> f64 {
    if low >= 0.0 {
        0.5 * (-low).exp() * -(low - high).exp_m1()
    } else if high <= 0.0 {
        laplace_interval(-high, -low)
    } else {
        -0.5 * (low.exp_m1() + (-high).exp_m1())
    }
}

impl fmt::Display for Density {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let (mean, width, name, options) = match self {
            Self::Uniform | Self::Stratified | Self::Importance { strata: false } => return Ok(()),
            Self::Importance { strata: true } => return write!(f, " (strata)"),
            Self::LogNormal { mean, deviation, options } => (mean, deviation, "deviation", options),
            Self::Laplace { mean, scale, options } => (mean, scale, "scale", options),
        };
        write!(f, " (mean {mean}, {name} {width}")?;
        let LevelOptions { uniform_share, strata, unbiased } = *options;
        if uniform_share != LevelOptions::USUAL.uniform_share {
            write!(f, ", uniform_share {uniform_share}")?;
        }
        write!(f, "{}{})", if strata { ", strata" } else { "" }, if unbiased { "" } else { ", not unbiased" })
    }
}
