//! How long a run is, and what its learning rate does over that length.

use super::{LearningRateDecay, TrainConfig, TrainingConfig, check};
use crate::{
    PlanPoint, TrainError,
    learning_rate::planned_learning_rate,
    plan::{decay_progress, last_step},
    shards::Shards,
};

impl TrainingConfig {
    /// How a batch is cut.
    pub(crate) fn cut(&self) -> Shards {
        let examples = self.batch_size.max(1);
        Shards::new(examples, self.shards.clamp(1, examples))
    }

    /// Whether it is known how many steps fit into the time limit: the run then does these, without a limit.
    pub fn is_planned(&self) -> bool {
        self.plan.last().is_some_and(|point| point.steps.is_some())
    }
}

impl TrainConfig {
    /// The learning rate of step `step`, from 1.
    pub fn learning_rate(&self, step: u64) -> f64 {
        planned_learning_rate(&self.optimizer, &self.training.plan, step, self.training.steps)
    }

    /// The last step: as planned for the time that there is, else `training.steps`.
    pub fn last_step(&self) -> u64 {
        last_step(&self.training.plan, self.training.steps)
    }

    /// Lets a run that goes on after `step` with a time limit plan its end anew: the rate is held where it is until the time of a
    /// step is known, or begins at its full height where it has fallen to its end.
    pub fn plan_anew(&mut self, step: u64) {
        let ended = step >= self.last_step();
        let progress = if ended || step == 0 { 0.0 } else { self.decay_progress(step) };
        let plan = &mut self.training.plan;
        plan.retain(|point| point.after <= step);
        if self.optimizer.decay == LearningRateDecay::Constant || self.training.max_minutes == 0.0 {
            plan.clear();
        } else {
            plan.push(PlanPoint { after: step, progress, steps: None });
        }
    }

    /// How much of the learning rate's decay is done at step `step`, from 0 to 1.
    pub fn decay_progress(&self, step: u64) -> f64 {
        let TrainingConfig { plan, steps, .. } = &self.training;
        decay_progress(plan, self.optimizer.start_step + self.optimizer.warmup_steps, step, *steps)
    }
}

/// Checks what a run has written down itself, and somebody may have edited.
pub(super) fn check_plan(plan: &[PlanPoint]) -> Result<(), TrainError> {
    for (i, &PlanPoint { after, progress, steps }) in plan.iter().enumerate() {
        let rises = i == 0 || plan[i - 1].after <= after;
        check("training.plan.after", after, rises, "no less than in the entry before it")?;
        check("training.plan.progress", progress, (0.0..=1.0).contains(&progress), "a number in [0, 1]")?;
        let steps = steps.unwrap_or(u64::MAX);
        check("training.plan.steps", steps, steps >= after && steps > 0, "at least 1, and no less than after")?;
    }
    Ok(())
}
