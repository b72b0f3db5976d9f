//! What a caller asks for, and whether the model can do it: settled before any weight is read.

use sfumato_process::VarianceRule;
use sfumato_schedule::NoiseSchedule;

use super::{
    Classes, Guidance, GuidanceInterval, Noise, Origin, SamplePlan, Sampler, SamplerChoice, SamplerInfo, SamplerKind,
    fitted, guidance, origin,
};
use crate::{
    ModelError,
    fitted::{ModelFit, Placement},
    pipeline::{Labels, Pipeline, SamplingDefaults},
};

/// Samples drawn at a time if nothing is said.
const BATCH: usize = 64;

/// What to draw. Everything that is left open comes from the model's scheduler.
#[derive(Clone, Debug)]
pub struct SampleOptions<'a> {
    /// Number of samples.
    pub num: usize,
    /// Which sampler; none for the one that the model's scheduler stands for, or the nearest that exists here.
    pub sampler: Option<SamplerKind>,
    /// Its steps and its own options; the `kind` in it counts where `sampler` is none and the scheduler says nothing.
    pub choice: SamplerChoice,
    /// Whether the steps of ddpm and ddim are those with the least bound, in place of a spacing: it takes a [fit](crate::fitted).
    pub best_steps: bool,
    /// Variance of ddpm in place of the model's; all but the fixed ones take a [fit](crate::fitted).
    pub variance: Option<VarianceRule>,
    /// Whether predictions of the clean data are kept in range as the model says; without, [`Model::encode`](crate::Model::encode) can be undone.
    pub clip: bool,
    /// Where the noise comes from.
    pub noise: Noise<'a>,
    /// What the samples are made from.
    pub origin: Origin<'a>,
    /// The class of all samples; none for all classes in turn.
    pub class: Option<usize>,
    /// Weight of classifier-free guidance: 1 is none.
    pub guidance: f64,
    /// The noise levels at which there is guidance; none for all.
    pub guidance_interval: Option<GuidanceInterval>,
    /// Height and width of images in pixels; none for those in the model's configuration.
    pub image_size: Option<[usize; 2]>,
    /// Index of the first sample.
    pub first: usize,
    /// Samples at a time; the samples do not depend on it.
    pub batch_size: usize,
}

impl SampleOptions<'_> {
    /// `num` samples with seed 0, and everything else as the model says.
    pub fn new(num: usize) -> Self {
        Self {
            num,
            sampler: None,
            choice: SamplerChoice::new(SamplerKind::Ddpm),
            best_steps: false,
            variance: None,
            clip: true,
            noise: Noise::Seeded(0),
            origin: Origin::Noise,
            class: None,
            guidance: 1.0,
            guidance_interval: None,
            image_size: None,
            first: 0,
            batch_size: BATCH,
        }
    }
}

impl<'a> SampleOptions<'a> {
    /// Places the steps: by a spacing, or as the model's fit says.
    pub fn place(&mut self, placement: Placement) {
        self.best_steps = placement == Placement::Best;
        self.choice.spacing = match placement {
            Placement::By(spacing) => Some(spacing),
            Placement::Best => None,
        };
    }

    /// The sampler and its options, with the kind that the model's scheduler stands for where none was asked for.
    pub fn choice(&self, model: &Pipeline) -> SamplerChoice {
        let kind = self.sampler.unwrap_or_else(|| model.spec.scheduler.nearest_sampler());
        SamplerChoice { kind, ..self.choice }
    }

    /// Every step and every class settled.
    ///
    /// # Errors
    /// [`ModelError::Value`] for what no such model takes, [`ModelError::Unfit`] for what this one does not,
    /// [`ModelError::Model`] if it cannot be sampled as it is, [`ModelError::Noise`] for recorded noise that is not enough.
    pub fn plan(&self, model: &Pipeline) -> Result<SamplePlan<'a>, ModelError> {
        let (choice, fit) = self.checked(model)?;
        let shape = model.example_shape(self.image_size)?;
        let sampler = self.sampler_of(model, &choice, fit.as_ref())?;
        let sampler = if self.clip { sampler } else { sampler.with_chain(|chain| chain.with_clip(false)) };
        let classes = match (self.class, model.labels()?) {
            (Some(class), _) => Classes::Only(class),
            (None, Labels::Below(classes)) => Classes::Cycle(classes),
            (None, _) => Classes::None,
        };
        let (weight, interval) = (self.guidance, self.guidance_interval);
        let guidance = model.spec.facts.null_class.map(|null_class| Guidance { weight, null_class, interval });
        origin::check(&self.origin, &shape)?;
        let (noise, origin, num) = (self.noise.clone(), self.origin, self.first + self.num);
        let (first, batch_size) = (self.first, self.batch_size.max(1));
        let plan = SamplePlan { shape, sampler, noise, origin, classes, guidance, first, num, batch_size };
        // Before the first step, not where the recording ends.
        plan.check_noise()?;
        Ok(plan)
    }

    /// The sampler over its steps, with the variance that was asked for.
    fn sampler_of(
        &self,
        model: &Pipeline,
        choice: &SamplerChoice,
        fit: Option<&ModelFit>,
    ) -> Result<Sampler, ModelError> {
        let scheduler = &model.spec.scheduler;
        let schedule = scheduler.noise_schedule()?;
        let sampler = match fit {
            Some(fit) if self.best_steps => fitted::over_best_steps(self, model, choice, &schedule, fit)?,
            _ => choice
                .resolve_on(scheduler, &schedule)
                .or_else(|error| model.unusable(&format!("{}: {error}", no_such_steps(&scheduler.sampling))))?,
        };
        match (self.variance.map(|rule| (rule, rule.fixed())), fit) {
            (Some((_, Some(fixed))), _) => Ok(sampler.with_chain(|chain| chain.with_variance(fixed))),
            (Some((rule, None)), Some(fit)) => {
                let chain = fit.sampling_chain(model, sampler.chain().clone(), rule)?;
                Ok(sampler.with_chain(|_| chain))
            }
            _ => Ok(sampler),
        }
    }

    /// Compares what is asked for with the model.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), but for the noise and the size.
    pub fn check(&self, model: &Pipeline) -> Result<SamplerChoice, ModelError> {
        self.checked(model).map(|(choice, _)| choice)
    }

    /// The same, with the fit where it is needed: to know that it is of these weights, all of them are read.
    fn checked(&self, model: &Pipeline) -> Result<(SamplerChoice, Option<ModelFit>), ModelError> {
        let choice = self.choice(model);
        check_choice(&choice, &model.spec.scheduler.noise_schedule()?)?;
        let fit = fitted::check(self, model, &choice)?;
        model.check_channels()?;
        let value =
            |option, value: String, reason: &str| ModelError::Value { option, value, reason: reason.to_owned() };
        if self.num == 0 {
            return Err(value("num", "0".into(), "expected at least 1"));
        }
        if !(self.guidance.is_finite() && self.guidance >= 0.0) {
            return Err(value("guidance", self.guidance.to_string(), "expected a finite number of at least 0"));
        }
        if let Some(interval) = self.guidance_interval {
            let reason = match interval.is_valid() {
                false => guidance::EXPECTED,
                true if self.guidance == 1.0 => "there is no guidance to limit; its weight is 1",
                true => "",
            };
            if !reason.is_empty() {
                return Err(value("guidance-interval", interval.to_string(), reason));
            }
        }
        let unfit = |option, value: String, reason| Err(ModelError::Unfit { option, value, reason });
        let dir = model.dir().display();
        match (self.class, model.labels()?) {
            (Some(class), Labels::None) => unfit("class", class.to_string(), format!("{dir} is not class-conditional")),
            (None, Labels::Any) => model
                .unusable("the model knows any number as a class (class_embed_type timestep); say which with --class"),
            (Some(class), Labels::Below(classes)) if class >= classes => {
                let reason = format!("the model in {dir} knows the classes 0 to {}", classes.saturating_sub(1));
                unfit("class", class.to_string(), reason)
            }
            (_, labels) if self.guidance != 1.0 && model.spec.facts.null_class.is_none() => {
                let reason = match labels {
                    // One with a name for every class has none for "any".
                    Labels::Below(classes) if classes > 1 && model.spec.facts.class_names.len() < classes => format!(
                        "the model in {dir} does not say which of its classes stands for \"any\"; if its last one does, \
                         --null-class {} says so",
                        classes - 1
                    ),
                    _ => format!("{dir} was not trained for guidance"),
                };
                unfit("guidance", self.guidance.to_string(), reason)
            }
            _ => Ok((choice, fit)),
        }
    }
}

/// Refuses options that another sampler has, and steps that the schedule does not have.
fn check_choice(choice: &SamplerChoice, schedule: &NoiseSchedule) -> Result<(), ModelError> {
    let (kind, total) = (choice.kind, schedule.steps());
    let wrong = |option, value: String, reason: String| Err(ModelError::Value { option, value, reason });
    if let Some(steps) = choice.steps.filter(|steps| !(1..=total).contains(steps)) {
        let reason = format!("the model's schedule has {total} steps, so 1 to {total} are possible");
        return wrong("steps", steps.to_string(), reason);
    }
    if !(0.0..=1.0).contains(&choice.eta) {
        return wrong("eta", choice.eta.to_string(), "expected a number from 0 to 1".into());
    }
    let ddim = kind == SamplerKind::Ddim;
    if choice.eta > 0.0 && !ddim {
        return wrong("eta", choice.eta.to_string(), format!("only ddim has it, and the sampler is {kind}"));
    }
    if let Some(whose) = choice.ddim.filter(|_| !ddim) {
        return wrong("ddim", whose.name().into(), format!("only ddim has it, and the sampler is {kind}"));
    }
    let having = |has: fn(&SamplerInfo) -> bool| {
        let names: Vec<&str> = SamplerKind::all().filter(has).map(|info| info.name).collect();
        format!("only {} have it, and the sampler is {kind}", names.join(", "))
    };
    if let Some(order) = choice.order.filter(|_| !kind.info().has_orders) {
        return wrong("order", u8::from(order).to_string(), having(|info| info.has_orders));
    }
    if let Some(karras) = choice.karras.filter(|_| !kind.info().visits_levels) {
        return wrong("karras", karras.to_string(), having(|info| info.visits_levels));
    }
    Ok(())
}

/// Why a schedule may lack steps that it seems to have.
fn no_such_steps(defaults: &SamplingDefaults) -> String {
    let &SamplingDefaults { steps_offset, lambda_min, .. } = defaults;
    let lambda_min = if lambda_min.is_finite() { format!(", lambda_min_clipped {lambda_min}") } else { String::new() };
    format!("no such steps with the scheduler's steps_offset {steps_offset}{lambda_min}")
}
