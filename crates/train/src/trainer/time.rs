//! The time limit of a run in progress, and what it has planned for it.

use sfumato_kernels::AutodiffBackend;

use super::Session;
use crate::{
    PlanPoint, TrainConfig, TrainError, Watch,
    config::LearningRateDecay,
    learning_rate::planned_learning_rate,
    plan::{Planner, last_step},
};

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// The configuration with the plan as it is now.
    pub(super) fn config(&self) -> TrainConfig {
        let mut config = self.run.config.clone();
        config.training.plan.clone_from(&self.plan);
        config
    }

    pub(super) fn last_step(&self) -> u64 {
        last_step(&self.plan, self.run.config.training.steps)
    }

    /// The learning rate of step `step`.
    pub(super) fn rate(&self, step: u64) -> f64 {
        let config = self.run.config;
        planned_learning_rate(&config.optimizer, &self.plan, step, config.training.steps)
    }

    /// Seconds that there are. A run that goes on with a plan has no limit: it does the steps that were planned.
    pub(super) fn limit(&self) -> f64 {
        let training = &self.run.config.training;
        if training.max_minutes > 0.0 && !training.is_planned() { training.max_minutes * 60.0 } else { f64::INFINITY }
    }

    /// Holds the learning rate until it is known how many steps fit into the time limit.
    pub(super) fn begin_planning(&mut self) {
        let (config, step) = (self.run.config, self.state.step);
        if config.optimizer.decay == LearningRateDecay::Constant || self.limit() == f64::INFINITY {
            return;
        }
        if self.plan.is_empty() {
            let mut config = self.config();
            config.plan_anew(step);
            self.plan = config.training.plan;
        }
        let warm = config.optimizer.start_step + config.optimizer.warmup_steps;
        self.planner = Some(Planner::new(self.limit(), step, warm, config.training.steps));
    }

    /// Compares the time with the plan. A new plan is written down before the next step: a run that is resumed has it too.
    pub(super) fn follow_time(&mut self, began: f64, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let step = self.state.step;
        let seconds = self.state.seconds - began;
        let Some(planned) = self.planner.as_mut().and_then(|planner| planner.observe(step, seconds)) else {
            return Ok(());
        };
        let progress = self.config().decay_progress(step);
        self.plan.push(PlanPoint { after: step, progress, steps: Some(planned.steps) });
        if self.run.ranks.leads() {
            self.run.dir.write_config(&self.config())?;
        }
        watch.planned(&planned);
        Ok(())
    }
}
