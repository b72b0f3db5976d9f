//! The optimizer of a run.

use serde::{Deserialize, Serialize};
use sfumato_kernels::AdamOptions;

use super::{check, is_zero};
use crate::TrainError;

/// Adam, or Muon and Adam, with linear warm-up, global-norm clipping and an exponential moving average of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// What moves the weights.
    #[serde(skip_serializing_if = "OptimizerMethod::is_adam")]
    pub method: OptimizerMethod,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises linearly from 0.
    pub warmup_steps: u64,
    /// What the learning rate does after the warm-up.
    pub decay: LearningRateDecay,
    /// Step after which warm-up and decay begin: 0, or where the run went on with another learning rate.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_step: u64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay (AdamW); 0 is Adam.
    pub weight_decay: f64,
    /// The gradient's global norm is cut to this; 0 leaves it.
    pub clip_norm: f64,
    /// Ceiling of the moving average's decay; at step `s` (from 0) it is `min(ema_decay, (1 + s) / (10 + s))`.
    pub ema_decay: f64,
}

/// What moves the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerMethod {
    /// Adam.
    #[default]
    Adam,
    /// Muon for the matrices between the network's ends, Adam for everything else.
    Muon,
}

impl OptimizerMethod {
    fn is_adam(&self) -> bool {
        *self == Self::Adam
    }
}

/// Smallest side of a matrix that Muon moves: a smaller one has few directions to make alike.
const SMALLEST_SIDE: usize = 16;
/// Layers that Adam moves in any case, as Jordan et al. (2024) do: the first, the last, and tables.
const ENDS: [&str; 3] = ["conv_in", "conv_out", "class_embedding"];

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRateDecay {
    /// Stays.
    #[default]
    Constant,
    /// Falls to 0 at the last step along half a cosine.
    Cosine,
}

impl Default for OptimizerConfig {
    /// Ho et al. (2020), Appendix B: Adam, 2e-4, 5000 steps of warm-up, norm 1, EMA 0.9999.
    fn default() -> Self {
        Self {
            method: OptimizerMethod::Adam,
            learning_rate: 2e-4,
            warmup_steps: 5000,
            decay: LearningRateDecay::Constant,
            start_step: 0,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            ema_decay: 0.9999,
        }
    }
}

impl OptimizerConfig {
    /// The constants of Adam.
    pub fn adam(&self) -> AdamOptions {
        let &Self { beta_1, beta_2, epsilon, weight_decay, clip_norm, ema_decay, .. } = self;
        AdamOptions { beta_1, beta_2, epsilon, weight_decay, clip_norm, ema_decay }
    }

    /// Which of a network's parameters Muon moves, in order; none where there is no Muon.
    pub(crate) fn matrices<'a>(&self, parameters: impl Iterator<Item = (&'a str, &'a [usize])>) -> Option<Vec<bool>> {
        let moves = |(name, shape): (&str, &[usize])| match shape {
            [rows, columns @ ..] if !columns.is_empty() => {
                (*rows).min(columns.iter().product()) >= SMALLEST_SIDE && !ENDS.iter().any(|end| name.starts_with(end))
            }
            _ => false,
        };
        (self.method == OptimizerMethod::Muon).then(|| parameters.map(moves).collect())
    }

    /// Refuses values outside their ranges.
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let &Self { learning_rate, beta_1, beta_2, epsilon, weight_decay, clip_norm, ema_decay, .. } = self;
        let (positive, not_negative) = (|x: f64| x > 0.0 && x.is_finite(), |x: f64| x >= 0.0 && x.is_finite());
        check("optimizer.learning_rate", learning_rate, positive(learning_rate), "a number above 0")?;
        check("optimizer.beta_1", beta_1, (0.0..1.0).contains(&beta_1), "a number in [0, 1)")?;
        check("optimizer.beta_2", beta_2, (0.0..1.0).contains(&beta_2), "a number in [0, 1)")?;
        check("optimizer.epsilon", epsilon, positive(epsilon), "a number above 0")?;
        check("optimizer.weight_decay", weight_decay, not_negative(weight_decay), "0 or a number above it")?;
        check("optimizer.clip_norm", clip_norm, not_negative(clip_norm), "0 (no clipping) or a number above it")?;
        check("optimizer.ema_decay", ema_decay, (0.0..1.0).contains(&ema_decay), "a number in [0, 1)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muon_moves_the_matrices_between_the_ends() {
        let parameters: [(&str, &[usize]); 8] = [
            ("conv_in.weight", &[32, 27, 1, 1]),
            ("conv_in.bias", &[32]),
            ("time_embedding.linear_1.weight", &[128, 32]),
            ("class_embedding.weight", &[101, 128]),
            ("down_blocks.0.resnets.0.conv1.weight", &[32, 32, 3, 3]),
            ("narrow.weight", &[8, 64, 3, 3]),
            ("down_blocks.0.resnets.0.norm1.weight", &[32]),
            ("conv_out.weight", &[32, 64, 3, 3]),
        ];
        let which = |method| OptimizerConfig { method, ..OptimizerConfig::default() }.matrices(parameters.into_iter());
        assert_eq!(which(OptimizerMethod::Adam), None);
        let moved = [false, false, true, false, true, false, false, false];
        assert_eq!(which(OptimizerMethod::Muon), Some(moved.to_vec()));
    }
}
