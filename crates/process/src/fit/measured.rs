//! The numbers of a pass over data.

use serde::{Deserialize, Serialize};
use sfumato_schedule::{LevelLoss, NoiseSchedule};

use super::{FitError, decoder};
use crate::bound::Decoder;

/// What was measured, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `L_0` of the last leap.
    pub decoder: Decoder,
    /// Examples.
    pub examples: u64,
    /// `E x_0²`, averaged over dimensions: it decides `L_T`.
    pub mean_square: f64,
    /// The measured steps, from 1 to T.
    pub nodes: Vec<Node>,
}

/// What was measured at one step of the trained chain. Standard errors are over the examples, noise included; none for a single one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The step.
    pub t: usize,
    /// `log (ᾱ_t / (1 - ᾱ_t))` of the schedule that it was measured with.
    pub log_snr: f64,
    /// `E‖x_0 - x̂_0‖²/d`, the prediction clipped if the chain clips.
    pub error: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_se: Option<f64>,
    /// `m_t = E‖ε̂‖²/d`, of the noise that follows from the same prediction.
    ///
    /// Measured as `1 - E(‖ε‖² - ‖ε̂‖²)/d` with the very noise that was added: the same in expectation, since `E‖ε‖² = d`, and near
    /// pure noise, where `ε̂ ≈ ε`, about a hundred times as exact for a small picture.
    pub noise_norm: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_norm_se: Option<f64>,
    /// The same of the network's own prediction, not clipped.
    pub raw_noise_norm: f64,
    /// The decoder's mean `-log p(x_0 | x_t)` in nats for one dimension, at variances that the schedule decides; of the discretised
    /// decoder, at steps that have more signal than noise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decoder: Vec<f64>,
}

impl Measured {
    /// The loss of the noise at each measured level, for a [`LossCurve`](sfumato_schedule::LossCurve): `‖ε - ε̂‖²/d = SNR ‖x_0 - x̂_0‖²/d`.
    ///
    /// The mean square over examples is the square of the mean and the variance, which is the squared standard error times the number of
    /// examples. It holds the noise of one evaluation where an example had one draw, and less of it where it had several.
    pub fn level_losses(&self) -> Vec<LevelLoss> {
        let level = |node: &Node| {
            let variance = node.error_se.map_or(0.0, |error| error * error * self.examples as f64);
            let snr = node.log_snr.exp();
            let root_mean_square = snr * (node.error * node.error + variance).sqrt();
            LevelLoss { log_snr: node.log_snr, mean: snr * node.error, root_mean_square }
        };
        self.nodes.iter().map(level).collect()
    }

    /// Checks the numbers, which may come from a file, against the schedule.
    pub(super) fn check(&self, schedule: &NoiseSchedule) -> Result<(), FitError> {
        let total = schedule.steps();
        let mut before = 0;
        for (place, node) in self.nodes.iter().enumerate() {
            let fits = if place == 0 { node.t == 1 } else { before < node.t && node.t <= total };
            if !fits {
                return Err(FitError::Steps { total, place, found: node.t });
            }
            before = node.t;
            node.check(self.decoder, schedule)?;
        }
        if before != total {
            return Err(FitError::Steps { total, place: self.nodes.len(), found: 0 });
        }
        not_negative("the mean of x_0²", 0, self.mean_square)
    }
}

impl Node {
    fn check(&self, kind: Decoder, schedule: &NoiseSchedule) -> Result<(), FitError> {
        not_negative("the error", self.t, self.error)?;
        not_negative("the norm of the noise", self.t, self.noise_norm)?;
        not_negative("the norm of the raw noise", self.t, self.raw_noise_norm)?;
        let expected = decoder::knots(kind, schedule, self.t).len();
        if self.decoder.len() != expected {
            return Err(FitError::Decoder { t: self.t, found: self.decoder.len(), expected });
        }
        self.decoder.iter().try_for_each(|&nats| not_negative("the decoder's term", self.t, nats))
    }
}

fn not_negative(what: &'static str, t: usize, value: f64) -> Result<(), FitError> {
    // Not the opposite comparison: a NaN is no measurement either.
    let valid = value.is_finite() && value >= 0.0;
    if valid { Ok(()) } else { Err(FitError::Value { what, t, value }) }
}
