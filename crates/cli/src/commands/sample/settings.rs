//! From a call to the [`Settings`] that decide its samples.

use std::path::Path;

use anyhow::{Context, Result};
use sfumato_files::file_sha256;
use sfumato_model::fitted::Placement;
use sfumato_model::pipeline::Pipeline;
use sfumato_model::sampling::{Classes, SamplePlan, SamplerChoice};
use sfumato_process::VarianceRule;

use crate::{
    args::SampleArgs,
    provenance::{ClassSetting, ModelSums, Settings},
};

/// The settings of a call, with what was left open as the model fills it in.
pub(super) fn of(
    args: &SampleArgs,
    model: &Pipeline,
    sums: &ModelSums,
    choice: &SamplerChoice,
    plan: &SamplePlan<'_>,
) -> Result<Settings> {
    let defaults = &model.spec.scheduler.sampling;
    let spacing = args.spacing.unwrap_or(choice.spacing.unwrap_or(defaults.spacing).into());
    let variance = args.variance.map(VarianceRule::from);
    let fitted = spacing == Placement::Best || variance.is_some_and(VarianceRule::needs_fit);
    let ddim = plan.sampler.ddim();
    Ok(Settings {
        sampler: choice.kind,
        steps: match spacing {
            Placement::Best => plan.sampler.steps(),
            // Its own walk may be shorter.
            Placement::By(_) => choice.count(&model.spec.scheduler).unwrap_or(plan.sampler.steps()),
        },
        spacing: spacing.name().to_owned(),
        variance: variance.map(|rule| rule.name().to_owned()),
        fit_sha256: fitted.then(|| sha256(&model.fit_path())).transpose()?,
        eta: ddim.map(|options| options.eta),
        ddim: ddim.map(|options| if options.keep_epsilon { "diffusers" } else { "consistent" }.to_owned()),
        order: plan.sampler.order().map(Into::into),
        karras: choice.kind.info().visits_levels.then(|| choice.karras.unwrap_or(defaults.karras)),
        image_size: image_size(args, model),
        class: match plan.classes {
            Classes::None => None,
            Classes::Cycle(classes) => Some(ClassSetting::Turns(format!("0 to {}", classes.saturating_sub(1)))),
            Classes::Only(class) | Classes::Path { from: class, .. } => Some(ClassSetting::One(class)),
        },
        guidance: plan.guidance.map(|_| args.guidance.clone()),
        guidance_interval: plan.guidance.and(args.guidance_interval).map(|interval| interval.to_string()),
        null_class: args.null_class,
        seed: args.noise.is_none().then(|| args.all_seeds()),
        clip: args.no_clip.then_some(false),
        pictures: None,
        noise_sha256: args.noise.as_deref().map(sha256).transpose()?,
        model: sums.clone(),
    })
}

/// The size that was asked for, where it is not the model's own.
fn image_size(args: &SampleArgs, model: &Pipeline) -> Option<[usize; 2]> {
    let asked = args.image_size?.0;
    let own = model.example_shape(None).ok();
    (own.as_deref().and_then(|shape| shape.get(1..)) != Some(&asked)).then_some(asked)
}

fn sha256(path: &Path) -> Result<String> {
    file_sha256(path).with_context(|| format!("cannot read {}", path.display()))
}
