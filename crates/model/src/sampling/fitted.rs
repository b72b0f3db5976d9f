//! Samplers over the best steps, and with variances other than the model's.

use sfumato_process::VarianceRule;
use sfumato_schedule::NoiseSchedule;

use super::{DdimConvention, SampleOptions, Sampler, SamplerChoice, SamplerKind, registry};
use crate::{ModelError, fitted::ModelFit, pipeline::Pipeline};

/// Refuses what the sampler does not have, and reads the fit where it is needed.
///
/// # Errors
/// [`ModelError::Value`], [`ModelError::Fit`].
pub(super) fn check(
    options: &SampleOptions<'_>,
    model: &Pipeline,
    choice: &SamplerChoice,
) -> Result<Option<ModelFit>, ModelError> {
    let kind = choice.kind;
    let wrong = |option, value: &str, reason: String| Err(ModelError::Value { option, value: value.into(), reason });
    if let Some(rule) = options.variance.filter(|_| kind != SamplerKind::Ddpm) {
        return wrong("variance", rule.name(), format!("only ddpm has it, and the sampler is {kind}"));
    }
    if options.best_steps && !matches!(kind, SamplerKind::Ddpm | SamplerKind::Ddim) {
        let reason = "the best steps are those of the chain that ddpm and ddim walk";
        return wrong("spacing", "best", format!("{reason}, and the sampler is {kind}"));
    }
    if options.best_steps && choice.ddim == Some(DdimConvention::Diffusers) {
        let reason =
            "each of its steps goes T/S steps down, wherever the next one is; --spacing best takes --ddim consistent";
        return wrong("ddim", "diffusers", reason.into());
    }
    let needs_fit = options.best_steps || options.variance.is_some_and(VarianceRule::needs_fit);
    Ok(needs_fit.then(|| model.fit_with(options.clip)).transpose()?)
}

/// The sampler of `choice` over the steps that are best by `fit`.
///
/// # Errors
/// [`ModelError::Fit`], [`ModelError::Model`].
pub(super) fn over_best_steps(
    options: &SampleOptions<'_>,
    model: &Pipeline,
    choice: &SamplerChoice,
    schedule: &NoiseSchedule,
    fit: &ModelFit,
) -> Result<Sampler, ModelError> {
    let count = choice.steps.unwrap_or(choice.kind.info().usual_steps.min(schedule.steps()));
    let steps = fit.best_steps(model, options.variance, count)?;
    let ddim = choice.ddim.or((choice.kind == SamplerKind::Ddim).then_some(DdimConvention::Consistent));
    let choice = SamplerChoice { ddim, ..*choice };
    registry::resolve_over(&choice, &steps, &model.spec.scheduler, schedule)
        .or_else(|error| model.unusable(&error.to_string()))
}
