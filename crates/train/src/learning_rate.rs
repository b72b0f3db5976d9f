//! The learning rate as a pure function of the step, so that a resumed run goes on as if it had never stopped.

use crate::{
    PlanPoint,
    config::{LearningRateDecay, OptimizerConfig},
    plan::decay_progress,
};

/// Learning rate of step `step` (from 1) of a run of `steps`.
///
/// Rises linearly to `learning_rate` at step `warmup_steps`; then stays, or falls to 0 after the last step along half a cosine.
/// Where the run went on with another rate at `start_step`, both are counted from there.
pub fn learning_rate(config: &OptimizerConfig, step: u64, steps: u64) -> f64 {
    planned_learning_rate(config, &[], step, steps)
}

/// As [`learning_rate`], where `plan` decides at which step the cosine ends.
pub fn planned_learning_rate(config: &OptimizerConfig, plan: &[PlanPoint], step: u64, steps: u64) -> f64 {
    let (warmup, done) = (config.warmup_steps, step.saturating_sub(config.start_step));
    if done < warmup {
        return config.learning_rate * done as f64 / warmup as f64;
    }
    match config.decay {
        LearningRateDecay::Constant => config.learning_rate,
        LearningRateDecay::Cosine => {
            let progress = decay_progress(plan, config.start_step + warmup, step, steps);
            config.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(decay: LearningRateDecay) -> OptimizerConfig {
        OptimizerConfig { learning_rate: 0.5, warmup_steps: 10, decay, ..OptimizerConfig::default() }
    }

    #[test]
    fn the_warm_up_is_linear_and_reaches_the_full_rate_at_its_last_step() {
        let config = config(LearningRateDecay::Constant);
        assert_eq!(learning_rate(&config, 1, 100), 0.05);
        assert_eq!(learning_rate(&config, 5, 100), 0.25);
        assert_eq!(learning_rate(&config, 10, 100), 0.5);
        assert_eq!(learning_rate(&config, 100, 100), 0.5);
    }

    #[test]
    fn the_cosine_falls_from_the_full_rate_almost_to_zero_and_stays_positive() {
        let config = config(LearningRateDecay::Cosine);
        let rates: Vec<f64> = (10..=100).map(|step| learning_rate(&config, step, 100)).collect();
        assert_eq!(rates[0], 0.5);
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(rates[90] > 0.0 && rates[90] < 1e-3, "{}", rates[90]);
    }

    #[test]
    fn a_run_shorter_than_its_warm_up_and_one_without_are_fine() {
        let short = config(LearningRateDecay::Cosine);
        assert_eq!(learning_rate(&short, 5, 5), 0.25);
        let none = OptimizerConfig { warmup_steps: 0, ..config(LearningRateDecay::Constant) };
        assert_eq!(learning_rate(&none, 1, 5), 0.5);
    }

    #[test]
    fn a_rate_that_starts_later_is_the_same_curve_moved() {
        for decay in [LearningRateDecay::Constant, LearningRateDecay::Cosine] {
            let (first, later) = (config(decay), OptimizerConfig { start_step: 40, ..config(decay) });
            for step in 1..=60 {
                assert_eq!(learning_rate(&later, 40 + step, 100), learning_rate(&first, step, 60));
            }
        }
    }
}
