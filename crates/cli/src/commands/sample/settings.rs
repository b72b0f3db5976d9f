//! From a call to the [`Settings`] that decide its samples.

use anyhow::Result;
use sfumato_model::{
    pipeline::Pipeline,
    sampling::{SamplePlan, SamplerChoice},
};

use crate::{
    args::SampleArgs,
    provenance::{Asked, ModelSums, Settings},
};

/// The settings of a call, with what was left open as the model fills it in.
pub(super) fn of(
    args: &SampleArgs,
    model: &Pipeline,
    sums: &ModelSums,
    choice: &SamplerChoice,
    plan: &SamplePlan<'_>,
) -> Result<Settings> {
    let asked = Asked {
        placement: args.spacing,
        variance: args.variance.map(Into::into),
        image_size: args.image_size.map(|size| size.0),
        guidance: args.guidance.clone(),
        guidance_interval: args.guidance_interval,
        null_class: args.null_class,
        seed: args.noise.is_none().then(|| args.all_seeds()),
        clip: !args.no_clip,
        precision: args.machine.precision(),
        noise: args.noise.as_deref(),
    };
    asked.settings(model, sums, choice, plan)
}
