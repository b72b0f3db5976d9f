//! The drawing, batch by batch.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sfumato_kernels::Backend;
use sfumato_nets::{Call, Guided, Network};
use sfumato_process::{
    Denoiser, NoiseSource, SeededNoise,
    levels::Sigmas,
    noise::From,
    sampler::{self, SampleError, walk},
};

use super::{Classes, Guidance, Noise, SamplePlan, guidance::Within};

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
    let sigmas = Sigmas::of(plan.sampler.chain().trained_schedule());
    for first in (plan.first..plan.num).step_by(plan.batch_size) {
        let mut batch_shape = [plan.batch_size.min(plan.num - first); D];
        batch_shape[1..].copy_from_slice(&plan.shape);
        let classes: Option<Vec<usize>> = match plan.classes {
            Classes::None => None,
            Classes::Cycle(classes) => Some((first..first + batch_shape[0]).map(|n| n % classes.max(1)).collect()),
            Classes::Only(class) => Some(vec![class; batch_shape[0]]),
        };
        let mut observer = |state: sampler::State<'_, B, D>| {
            observe(Progress { first, done: state.done, total: state.total, x: state.x, x_0: state.x_0 })
        };
        let noise = From { noise: source, first };
        let mut walk = |denoiser: &dyn Denoiser<B, D>| {
            walk(&mut plan.sampler.stepper(), denoiser, &noise, batch_shape, device, &mut observer)
        };
        let plain = Call { net, classes: classes.as_deref(), dropout: None };
        let x = match (plan.guidance, &classes) {
            (Some(Guidance { weight, null_class, interval }), Some(classes)) => {
                let guided = Guided { net, classes, null_class, weight };
                match interval {
                    Some(interval) => walk(&Within { guided: &guided, plain: &plain, interval, sigmas: &sigmas }),
                    None => walk(&guided),
                }
            }
            _ => walk(&plain),
        }?;
        let x = x.into_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32");
        if keep(x).is_break() {
            break;
        }
    }
    Ok(())
}
