//! Samplers over the best steps, and with variances other than the model's.

use sfumato_schedule::NoiseSchedule;

use super::{DdimConvention, SampleOptions, Sampler, SamplerChoice, SamplerKind, registry};
use crate::{ModelError, pipeline::Pipeline};

/// Refuses what the sampler does not have, and a fit that is not there.
///
/// # Errors
/// [`ModelError::Value`], [`ModelError::Fit`].
pub(super) fn check(options: &SampleOptions<'_>, model: &Pipeline, choice: &SamplerChoice) -> Result<(), ModelError> {
    let kind = choice.kind;
    let wrong = |option, value: &str, reason: String| Err(ModelError::Value { option, value: value.into(), reason });
    match options.variance {
        Some(rule) if kind != SamplerKind::Ddpm => {
            return wrong("variance", rule.name(), format!("only ddpm has it, and the sampler is {kind}"));
        }
        _ => {}
    }
    if options.best_steps && !matches!(kind, SamplerKind::Ddpm | SamplerKind::Ddim) {
        let reason = "the best steps are those of the chain that ddpm and ddim walk";
        return wrong("spacing", "best", format!("{reason}, and the sampler is {kind}"));
    }
    if options.best_steps && choice.ddim == Some(DdimConvention::Diffusers) {
        let reason = "its steps lead T/S steps down, whichever is visited next; the best steps are for --spacing best with ddim \
                      consistent";
        return wrong("ddim", "diffusers", reason.into());
    }
    if needs_fit(options) {
        model.fit()?;
    }
    Ok(())
}

fn needs_fit(options: &SampleOptions<'_>) -> bool {
    options.best_steps || options.variance.is_some_and(|rule| rule.fixed().is_none())
}

/// The sampler of `choice` with what `options` say of steps and variance.
///
/// # Errors
/// [`ModelError::Fit`], [`ModelError::Model`].
pub(super) fn sampler(
    options: &SampleOptions<'_>,
    model: &Pipeline,
    choice: &SamplerChoice,
    schedule: &NoiseSchedule,
) -> Result<Sampler, ModelError> {
    let scheduler = &model.spec.scheduler;
    let fit = if needs_fit(options) { Some(model.fit()?) } else { None };
    let sampler = match &fit {
        Some(fit) if options.best_steps => {
            let count = choice.steps.unwrap_or(choice.kind.info().usual_steps.min(schedule.steps()));
            let steps = fit.best_steps(model, options.variance, count)?;
            let ddim = choice.ddim.or((choice.kind == SamplerKind::Ddim).then_some(DdimConvention::Consistent));
            registry::resolve_over(&SamplerChoice { ddim, ..*choice }, &steps, scheduler, schedule)
        }
        _ => choice.resolve_on(scheduler, schedule),
    };
    let sampler = sampler.or_else(|error| model.unusable(&error.to_string()))?;
    let chain = sampler.chain().clone();
    let chain = match (options.variance, &fit) {
        (Some(rule), _) if rule.fixed().is_some() => chain.with_variance(rule.fixed().unwrap_or_default()),
        (Some(rule), Some(fit)) => fit.sampling_chain(model, chain, rule)?,
        _ => chain,
    };
    Ok(sampler.with_chain(|_| chain))
}
