//! `p_θ(x_0 | x_1)`: the last step, from a Gaussian to the data.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use sfumato_schedule::probability::{LikelihoodCdf, ProbabilityError, discretized_log_likelihood, level_from_value};

/// What the Gaussian of the last reverse step says about data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// The probability of one of 256 levels `k/127.5 - 1` in every dimension: Ho et al. (2020), Eq. 13.
    Discretized(LikelihoodCdf),
    /// The density, for continuous data. It may exceed 1, and its negative logarithm be negative.
    Gaussian,
}

impl Decoder {
    /// Whether `L_0` is the logarithm of a probability, so that the bound is one on the code length of the data.
    pub fn is_discrete(self) -> bool {
        matches!(self, Self::Discretized(_))
    }

    /// `-ln p(x)` for one dimension, where the last step is `N(mean, e^log_variance)`; nats.
    ///
    /// # Formula
    /// [`discretized_log_likelihood`], or `½ (ln 2π + log_variance + (x - mean)² e^{-log_variance})`.
    ///
    /// # Errors
    /// [`ProbabilityError::NotALevel`] if the likelihood is discretised and `x` is no level.
    ///
    /// # Examples
    /// ```
    /// use sfumato_process::bound::Decoder;
    ///
    /// let nats = Decoder::Gaussian.nll(0.5, 0.5, 0.0)?;
    /// assert!((nats - 0.5 * std::f64::consts::TAU.ln()).abs() < 1e-15);
    /// assert!(Decoder::Discretized(Default::default()).nll(0.5, 0.5, 0.0).is_err());
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn nll(self, x: f64, mean: f64, log_variance: f64) -> Result<f64, ProbabilityError> {
        match self {
            Self::Discretized(cdf) => {
                Ok(-discretized_log_likelihood(level_from_value(x)?, mean, 0.5 * log_variance, cdf))
            }
            Self::Gaussian => Ok(0.5 * (TAU.ln() + log_variance + (x - mean).powi(2) * (-log_variance).exp())),
        }
    }
}
