//! The way back: from pictures to the noise that a deterministic sampler makes them from.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::Backend;
use sfumato_nets::Network;
use sfumato_process::sampler::{self, Inversion, Rule, SampleError, Stepper};

use super::{Pictures, Progress, SamplePlan, Sampler, SamplerKind, denoiser::with_denoiser};
use crate::ModelError;

/// How pictures become noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    rule: Rule,
    /// Times that the slope of each step is looked at again where the step leads: 0 is the inversion of Song, Meng & Ermon (2021), and each
    /// one brings it closer to the sampler's inverse.
    refinements: usize,
}

impl Encoding {
    /// The inversion of a sampler.
    ///
    /// # Errors
    /// [`ModelError::Value`] for one that is not deterministic, or that looks at several steps at once.
    pub fn of(kind: SamplerKind, sampler: &Sampler, refinements: usize) -> Result<Self, ModelError> {
        let refused = |reason: &str| {
            Err(ModelError::Value { option: "sampler", value: kind.to_string(), reason: reason.to_owned() })
        };
        let rule = match kind {
            SamplerKind::Ddim if sampler.ddim().is_some_and(|options| options.eta > 0.0) => {
                return refused("with eta above 0 it adds noise, which no picture tells; eta 0 can be inverted");
            }
            SamplerKind::Ddim | SamplerKind::Euler => Rule::Euler,
            SamplerKind::Heun => Rule::Trapezoid,
            _ => return refused("only ddim, euler and heun can be inverted"),
        };
        let encoding = Self { rule, refinements };
        let levels = sampler.levels_before();
        match Inversion::new(sampler.chain(), &levels, rule, refinements) {
            Ok(_) => Ok(encoding),
            Err(error) => refused(&error.to_string()),
        }
    }
}

/// The noise of `pictures`, which are the samples of `plan`, one after the other: what [`draw`](fn@super::draw) makes the pictures from again, as
/// entry 0 of recorded noise. Each finished batch goes to `keep`, in order.
///
/// # Errors
/// [`SampleError::Stopped`] if `observe` stops.
///
/// # Panics
/// If the sampler of the plan is not the one that `encoding` was made for, and visits a level twice.
pub fn encode_batches<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    (plan, encoding): (&SamplePlan<'_>, Encoding),
    pictures: Pictures<'_>,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress<'_, B, D>) -> ControlFlow<()>,
    keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
) -> Result<(), SampleError> {
    let _kept = sfumato_kernels::KeptFilters::new();
    let levels = plan.sampler.levels_before();
    let inversion = Inversion::new(plan.sampler.chain(), &levels, encoding.rule, encoding.refinements);
    let inversion = inversion.expect("levels that were looked at when the encoding was made");
    let stepper: Box<dyn Stepper<B, D> + '_> = plan.sampler.stepper();
    // From the state with its variance preserved to the numbers that the sampler starts from.
    let scale = (stepper.view_scale(0) * stepper.start_scale()).recip();
    for first in (plan.first..plan.num).step_by(plan.batch_size) {
        let mut shape = [plan.batch_size.min(plan.num - first); D];
        shape[1..].copy_from_slice(&plan.shape);
        let mut observer = |state: sampler::State<'_, B, D>| {
            observe(Progress { first, done: state.done, total: state.total, x: state.x, x_0: state.x_0 })
        };
        let x_0 = Tensor::from_data(TensorData::new(pictures.of_samples(first, shape[0]), shape), device);
        let x_t = with_denoiser(net, plan, first..first + shape[0], |denoiser| {
            inversion.encode(denoiser, x_0, &mut observer)
        })?;
        let noise = (x_t * scale).into_data().convert::<f32>().into_vec().expect("the data was just converted to f32");
        if keep(noise).is_break() {
            break;
        }
    }
    Ok(())
}
