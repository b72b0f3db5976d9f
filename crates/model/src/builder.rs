//! A drawing in the making.

use std::ops::ControlFlow;

use sfumato_kernels::Backend;
use sfumato_process::{
    NoiseSource, RecordedNoise, VarianceRule,
    sampler::{Resampling, SolverOrder},
};

use crate::{
    Model, ModelError, Samples,
    fitted::Placement,
    sampling::{DdimConvention, GuidanceInterval, Noise, Origin, Pictures, SampleOptions, SamplePlan, SamplerKind},
};

/// How samples are drawn: everything that is not said comes from the model's scheduler. [`Model::sample`] starts one.
#[must_use = "nothing is drawn before `draw`"]
#[derive(Clone, Debug)]
pub struct Sampling<'a, B: Backend> {
    model: &'a Model<B>,
    options: SampleOptions<'a>,
}

impl<'a, B: Backend> Sampling<'a, B> {
    pub(crate) fn new(model: &'a Model<B>, num: usize) -> Self {
        Self { model, options: SampleOptions::new(num) }
    }

    /// Which sampler.
    pub fn sampler(mut self, sampler: SamplerKind) -> Self {
        self.options.sampler = Some(sampler);
        self
    }

    /// Steps of the sampler, from 1 to those of the model's schedule.
    pub fn steps(mut self, steps: usize) -> Self {
        self.options.choice.steps = Some(steps);
        self
    }

    /// How the steps are placed among the schedule's: by a [`Spacing`](crate::Spacing), or, of ddpm and ddim, as the model's
    /// [fit](crate::fitted) says ([`Placement::Best`]).
    pub fn spacing(mut self, placement: impl Into<Placement>) -> Self {
        self.options.place(placement.into());
        self
    }

    /// Variance of ddpm in place of the model's: fixed, or of the model's [fit](crate::fitted).
    pub fn variance(mut self, variance: impl Into<VarianceRule>) -> Self {
        self.options.variance = Some(variance.into());
        self
    }

    /// Noise of DDIM, from 0 (deterministic) to 1.
    pub fn eta(mut self, eta: f64) -> Self {
        self.options.choice.eta = eta;
        self
    }

    /// Whose DDIM.
    pub fn ddim(mut self, whose: DdimConvention) -> Self {
        self.options.choice.ddim = Some(whose);
        self
    }

    /// Order of DPM-Solver++ and UniPC.
    pub fn order(mut self, order: SolverOrder) -> Self {
        self.options.choice.order = Some(order);
        self
    }

    /// Whether the solvers visit noise levels after Karras et al. (2022).
    pub fn karras(mut self, karras: bool) -> Self {
        self.options.choice.karras = Some(karras);
        self
    }

    /// Leaves predictions of the clean data out of range as they are, in place of what the model says.
    pub fn unclipped(mut self) -> Self {
        self.options.clip = false;
        self
    }

    /// Starts from pictures in place of noise, with so much noise that the last `strength` of the steps are left, in (0, 1]: SDEdit.
    pub fn from_pictures(mut self, pictures: Pictures<'a>, strength: f64) -> Self {
        self.options.origin = Origin::Picture { pictures, strength };
        self
    }

    /// Keeps the known part of pictures (1 in `keep`, and 0 where they are drawn): RePaint.
    pub fn inpaint(mut self, pictures: Pictures<'a>, keep: Pictures<'a>, resampling: Resampling) -> Self {
        self.options.origin = Origin::Known { pictures, keep, resampling };
        self
    }

    /// Seed of the noise: sample `n` of a seed is the same whatever the batch size, the number of threads, or (up to rounding) the backend.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.noise = Noise::Seeded(seed);
        self
    }

    /// Recorded numbers in place of random ones.
    pub fn recorded_noise(mut self, noise: RecordedNoise<'a>) -> Self {
        self.options.noise = Noise::Recorded(noise);
        self
    }

    /// A source of noise of one's own.
    pub fn noise(mut self, noise: &'a dyn NoiseSource) -> Self {
        self.options.noise = Noise::Own(noise);
        self
    }

    /// The class of all samples, for a class-conditional model; all classes in turn if nothing is said.
    pub fn class(mut self, class: usize) -> Self {
        self.options.class = Some(class);
        self
    }

    /// Weight of classifier-free guidance: 1 is none, above it samples are pushed more strongly towards their class.
    pub fn guidance(mut self, weight: f64) -> Self {
        self.options.guidance = weight;
        self
    }

    /// The noise levels at which there is guidance, `low < σ <= high`, `σ` noise over signal; `high` may be infinite. Without it all are.
    pub fn guidance_interval(mut self, low: f64, high: f64) -> Self {
        self.options.guidance_interval = Some(GuidanceInterval { low, high });
        self
    }

    /// Height and width of images in pixels.
    pub fn image_size(mut self, height: usize, width: usize) -> Self {
        self.options.image_size = Some([height, width]);
        self
    }

    /// Index of the first sample: those before it are there already.
    pub fn starting_at(mut self, first: usize) -> Self {
        self.options.first = first;
        self
    }

    /// Samples at a time: memory against speed, the samples do not depend on it.
    pub fn batch_size(mut self, size: usize) -> Self {
        self.options.batch_size = size;
        self
    }

    /// Every step settled, without drawing anything.
    ///
    /// # Errors
    /// As [`SampleOptions::plan`].
    pub fn plan(&self) -> Result<SamplePlan<'a>, ModelError> {
        self.options.plan(self.model.pipeline())
    }

    /// Draws the samples.
    ///
    /// # Errors
    /// [`ModelError`]: options that do not suit the model, or noise that is not enough.
    pub fn draw(&self) -> Result<Samples, ModelError> {
        let plan = self.plan()?;
        let mut values = Vec::new();
        let mut keep = |batch: Vec<f32>| {
            values.extend(batch);
            ControlFlow::Continue(())
        };
        self.model.draw(&plan, &mut |_| ControlFlow::Continue(()), &mut keep)?;
        Ok(Samples::new(&plan.shape, values))
    }
}
