//! Where the variances of a reverse chain come from.

use serde::{Deserialize, Serialize};

use crate::ReverseVariance;

/// The variance of `p(x_s | x_t)`, the same in every dimension.
///
/// With `β̃` the posterior's variance and `w` the weight of `x_0` in its mean, for the leap from `t` to `s`
/// ([`NoiseSchedule::leap`](sfumato_schedule::NoiseSchedule::leap)):
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VarianceRule {
    /// `β̃`: [`ReverseVariance::FixedSmall`].
    FixedSmall,
    /// `β`: [`ReverseVariance::FixedLarge`].
    FixedLarge,
    /// `β̃ + w² c_t`, `c_t = (1 - ᾱ_t)/ᾱ_t (1 - m_t)` cut to [0, 1]: Bao et al. (2022), arXiv:2201.06503. The best one for a perfect
    /// network. The last leap, to clean data, has `c_t`.
    Analytic,
    /// `β̃ + w² E‖x_0 - x̂_0‖²/d`: the least of the bound's term for the network as it is (Bao et al. 2022, arXiv:2206.07309, for imperfect
    /// means). The last leap has the variance at which the measured decoder's term is least.
    Optimal,
}

impl VarianceRule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FixedSmall, Self::FixedLarge, Self::Analytic, Self::Optimal];

    /// The name in files and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedSmall => "fixed-small",
            Self::FixedLarge => "fixed-large",
            Self::Analytic => "analytic",
            Self::Optimal => "optimal",
        }
    }

    /// Whether it is known from a fit alone.
    pub fn needs_fit(self) -> bool {
        self.fixed().is_none()
    }

    /// The formula of the schedule, where it is that and no fit is needed.
    pub fn fixed(self) -> Option<ReverseVariance> {
        match self {
            Self::FixedSmall => Some(ReverseVariance::FixedSmall),
            Self::FixedLarge => Some(ReverseVariance::FixedLarge),
            Self::Analytic | Self::Optimal => None,
        }
    }
}

impl From<ReverseVariance> for VarianceRule {
    fn from(rule: ReverseVariance) -> Self {
        match rule {
            ReverseVariance::FixedSmall => Self::FixedSmall,
            ReverseVariance::FixedLarge => Self::FixedLarge,
        }
    }
}
