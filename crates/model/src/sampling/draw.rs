//! The drawing, batch by batch.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::Backend;
use sfumato_nets::Network;
use sfumato_process::{
    Denoiser, NoiseSource, SeededNoise,
    noise::{From, normal},
    sampler::{self, Inpainting, Observer, SampleError, in_the_middle, walk, walk_from},
};

use super::{Noise, Origin, Pictures, SamplePlan, denoiser::with_denoiser};

/// What an observer of [`draw`] sees after each step of each batch.
#[derive(Debug)]
pub struct Progress<'a, B: Backend, const D: usize> {
    /// Index of the batch's first sample.
    pub first: usize,
    /// Steps done in this batch, `1..=total`.
    pub done: usize,
    /// Steps of the chain.
    pub total: usize,
    /// The state, `[batch, …]`.
    pub x: &'a Tensor<B, D>,
    /// The prediction of the clean data, `[batch, …]`.
    pub x_0: &'a Tensor<B, D>,
}

/// Draws the samples of `plan`, one after the other in the result.
///
/// # Errors
/// [`SampleError`] from the noise, or if `observe` stops the chain.
pub fn draw<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress<'_, B, D>) -> ControlFlow<()>,
) -> Result<Vec<f32>, SampleError> {
    let mut samples = Vec::with_capacity((plan.num - plan.first) * plan.shape.iter().product::<usize>());
    let mut keep = |batch: Vec<f32>| {
        samples.extend(batch);
        ControlFlow::Continue(())
    };
    draw_batches(net, plan, device, observe, &mut keep)?;
    Ok(samples)
}

/// The same, batch by batch: each finished one goes to `keep`, in order, which may say that these are enough.
///
/// # Errors
/// As [`draw`]; the batches before were kept.
pub fn draw_batches<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress<'_, B, D>) -> ControlFlow<()>,
    keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
) -> Result<(), SampleError> {
    let _kept = sfumato_kernels::KeptFilters::new();
    let seeded;
    let source: &dyn NoiseSource = match &plan.noise {
        Noise::Seeded(seed) => {
            seeded = SeededNoise::new(*seed);
            &seeded
        }
        Noise::Recorded(noise) => noise,
        Noise::Own(noise) => *noise,
    };
    for first in (plan.first..plan.num).step_by(plan.batch_size) {
        let mut batch_shape = [plan.batch_size.min(plan.num - first); D];
        batch_shape[1..].copy_from_slice(&plan.shape);
        let mut observer = |state: sampler::State<'_, B, D>| {
            observe(Progress { first, done: state.done, total: state.total, x: state.x, x_0: state.x_0 })
        };
        let noise = From { noise: source, first };
        let batch = Batch { plan, first, shape: batch_shape, device };
        let x = with_denoiser(net, plan, first..first + batch_shape[0], |denoiser| {
            batch.walk(denoiser, &noise, &mut observer)
        })?;
        let x = x.into_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32");
        if keep(x).is_break() {
            break;
        }
    }
    Ok(())
}

/// The samples that are drawn at a time.
struct Batch<'a, B: Backend, const D: usize> {
    plan: &'a SamplePlan<'a>,
    first: usize,
    /// `[batch, …]`.
    shape: [usize; D],
    device: &'a B::Device,
}

impl<B: Backend, const D: usize> Batch<'_, B, D> {
    fn walk(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
        observer: &mut Observer<'_, B, D>,
    ) -> Result<Tensor<B, D>, SampleError> {
        let sampler = &self.plan.sampler;
        match self.plan.origin {
            Origin::Noise => walk(&mut sampler.stepper(), denoiser, noise, self.shape, self.device, observer),
            Origin::Picture { pictures, .. } => {
                let mut stepper = sampler.stepper();
                let skipped = self.plan.origin.skipped(sampler.steps());
                let epsilon = normal(noise, 0, self.shape, self.device)?;
                let level = sampler.levels_before()[skipped];
                let x = in_the_middle(&*stepper, skipped, level, self.tensor(pictures), epsilon);
                walk_from(&mut stepper, denoiser, noise, (skipped, x), observer)
            }
            Origin::Known { pictures, keep, resampling } => {
                let (known, keep) = (self.tensor(pictures), self.tensor(keep));
                let levels = sampler.levels_before();
                Inpainting { sampler: &|| sampler.stepper(), levels: &levels, known, keep, resampling }
                    .draw(denoiser, noise, observer)
            }
        }
    }

    /// The pictures of the batch's samples.
    fn tensor(&self, pictures: Pictures<'_>) -> Tensor<B, D> {
        Tensor::from_data(TensorData::new(pictures.of_samples(self.first, self.shape[0]), self.shape), self.device)
    }
}
