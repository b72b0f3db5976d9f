//! Which chain: how many steps, which, and with which variances.

use sfumato_process::{Chain, fit::VarianceRule};

use super::{FitFileError, ModelFit, Placement};
use crate::{ModelError, Spacing, leading, pipeline::Pipeline};

/// A chain of a model that is scored; what is left open is as the model was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainChoice {
    /// Its steps; none for all.
    pub steps: Option<usize>,
    /// Which they are.
    pub placement: Placement,
    /// Its variances; none for the model's.
    pub variance: Option<VarianceRule>,
}

impl ChainChoice {
    /// Whether it takes the model's fit.
    pub fn needs_fit(&self) -> bool {
        self.placement == Placement::Best || self.variance.is_some_and(VarianceRule::needs_fit)
    }

    /// The chain.
    ///
    /// # Errors
    /// [`ModelError::Value`] for a number of steps that the schedule does not have, [`ModelError::Fit`] if it takes a fit and there is
    /// none, [`ModelError::Schedule`].
    pub fn of(&self, model: &Pipeline) -> Result<Chain, ModelError> {
        let scheduler = &model.spec.scheduler;
        let schedule = scheduler.noise_schedule()?;
        let total = schedule.steps();
        let count = self.steps.unwrap_or(total);
        if !(1..=total).contains(&count) {
            let reason = format!("the chain has {total} steps, so 1 to {total} are possible");
            return Err(ModelError::Value { option: "steps", value: count.to_string(), reason });
        }
        let fit = self.needs_fit().then(|| model.fit()).transpose()?;
        let steps = match (self.placement, &fit) {
            (Placement::By(Spacing::Leading), _) => leading(total, count, scheduler.sampling.steps_offset)?,
            (Placement::By(spacing), _) => spacing.timesteps(total, count)?,
            (Placement::Best, Some(fit)) => fit.best_steps(model, self.variance, count)?,
            (Placement::Best, None) => model.fit()?.best_steps(model, self.variance, count)?,
        };
        let chain = scheduler.chain(&schedule, &steps)?;
        match (self.variance.map(|rule| (rule, rule.fixed())), &fit) {
            (Some((rule, None)), Some(fit)) => {
                let all = fit.fit.log_variances(rule, &steps).map_err(|source| fit.error(source))?;
                Ok(chain.with_log_variances(all).or_else(|error| model.unusable(&error.to_string()))?)
            }
            (Some((_, Some(fixed))), _) => Ok(chain.with_variance(fixed)),
            _ => Ok(chain),
        }
    }
}

impl ModelFit {
    /// The best `count` steps of the model's chain with the variances of `rule`; none for the model's own.
    ///
    /// # Errors
    /// [`ModelError::Fit`] if there is no such chain, or the variances are the network's.
    pub fn best_steps(
        &self,
        model: &Pipeline,
        rule: Option<VarianceRule>,
        count: usize,
    ) -> Result<Vec<usize>, ModelError> {
        model.check_fittable()?;
        let own = model.spec.scheduler.variance.fixed().unwrap_or_default();
        let rule = rule.unwrap_or(own.into());
        Ok(self.fit.best_chain(rule, count).map_err(|source| self.error(source))?)
    }

    /// The chain as it samples: with the variances of `rule`, the last noise of pictures cut
    /// ([`Fit::sampling_log_variances`](sfumato_process::fit::Fit::sampling_log_variances)).
    ///
    /// # Errors
    /// [`ModelError::Fit`] if the chain is not of the schedule that the model was fitted with.
    pub fn sampling_chain(&self, model: &Pipeline, chain: Chain, rule: VarianceRule) -> Result<Chain, ModelError> {
        let all = self.fit.sampling_log_variances(rule, chain.original_steps()).map_err(|source| self.error(source))?;
        chain.with_log_variances(all).or_else(|error| model.unusable(&error.to_string()))
    }

    fn error(&self, source: sfumato_process::fit::FitError) -> FitFileError {
        FitFileError::Fit { path: self.path.clone(), source }
    }
}
