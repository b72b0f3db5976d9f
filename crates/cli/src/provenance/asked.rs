//! From what a call asks for to the [`Settings`] that decide its samples.

use std::path::Path;

use anyhow::{Context, Result};
use sfumato_files::file_sha256;
use sfumato_kernels::Precision;
use sfumato_model::fitted::Placement;
use sfumato_model::pipeline::Pipeline;
use sfumato_model::sampling::{Classes, GuidanceInterval, SamplePlan, SamplerChoice};
use sfumato_process::VarianceRule;

use super::{ClassSetting, ModelSums, Settings};
use crate::args::OneOrMany;

/// What a call asks for, as far as its plan does not say it.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) placement: Option<Placement>,
    pub(crate) variance: Option<VarianceRule>,
    /// Height and width.
    pub(crate) image_size: Option<[usize; 2]>,
    pub(crate) guidance: OneOrMany<f64>,
    pub(crate) guidance_interval: Option<GuidanceInterval>,
    pub(crate) null_class: Option<usize>,
    /// None with recorded noise.
    pub(crate) seed: Option<OneOrMany<u64>>,
    pub(crate) clip: bool,
    pub(crate) precision: Precision,
    /// The file of recorded noise.
    pub(crate) noise: Option<&'a Path>,
}

impl Asked<'_> {
    /// The settings of a call without pictures, with what was left open as the model fills it in.
    ///
    /// # Errors
    /// If a file with a checksum cannot be read.
    pub(crate) fn settings(
        &self,
        model: &Pipeline,
        sums: &ModelSums,
        choice: &SamplerChoice,
        plan: &SamplePlan<'_>,
    ) -> Result<Settings> {
        let defaults = &model.spec.scheduler.sampling;
        let spacing = self.placement.unwrap_or(choice.spacing.unwrap_or(defaults.spacing).into());
        let fitted = spacing == Placement::Best || self.variance.is_some_and(VarianceRule::needs_fit);
        let ddim = plan.sampler.ddim();
        Ok(Settings {
            sampler: choice.kind,
            steps: match spacing {
                Placement::Best => plan.sampler.steps(),
                // Its own walk may be shorter.
                Placement::By(_) => choice.count(&model.spec.scheduler).unwrap_or(plan.sampler.steps()),
            },
            spacing: spacing.name().to_owned(),
            variance: self.variance.map(|rule| rule.name().to_owned()),
            fit_sha256: fitted.then(|| sha256(&model.fit_path())).transpose()?,
            eta: ddim.map(|options| options.eta),
            ddim: ddim.map(|options| if options.keep_epsilon { "diffusers" } else { "consistent" }.to_owned()),
            order: plan.sampler.order().map(Into::into),
            karras: choice.kind.info().visits_levels.then(|| choice.karras.unwrap_or(defaults.karras)),
            image_size: self.other_size(model),
            class: match plan.classes {
                Classes::None => None,
                Classes::Cycle(classes) => Some(ClassSetting::Turns(format!("0 to {}", classes.saturating_sub(1)))),
                Classes::Only(class) | Classes::Path { from: class, .. } => Some(ClassSetting::One(class)),
            },
            guidance: plan.guidance.map(|_| self.guidance.clone()),
            guidance_interval: plan.guidance.and(self.guidance_interval).map(|interval| interval.to_string()),
            null_class: self.null_class,
            seed: self.seed.clone(),
            clip: (!self.clip).then_some(false),
            precision: (self.precision != Precision::F32).then_some(self.precision),
            pictures: None,
            noise_sha256: self.noise.map(sha256).transpose()?,
            model: sums.clone(),
        })
    }

    /// The size that was asked for, where it is not the model's own.
    fn other_size(&self, model: &Pipeline) -> Option<[usize; 2]> {
        let asked = self.image_size?;
        let own = model.example_shape(None).ok();
        (own.as_deref().and_then(|shape| shape.get(1..)) != Some(&asked)).then_some(asked)
    }
}

fn sha256(path: &Path) -> Result<String> {
    file_sha256(path).with_context(|| format!("cannot read {}", path.display()))
}
