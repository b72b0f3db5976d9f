//! The network as the samples of a plan call it: with their classes, and guidance.

use std::ops::Range;

use sfumato_kernels::Backend;
use sfumato_nets::{Call, Guided, Network, Path};
use sfumato_process::{Denoiser, levels::Sigmas};

use super::{Classes, Guidance, SamplePlan, guidance::Within};

/// Hands over the denoiser of some samples of a plan.
pub(super) fn with_denoiser<B: Backend, N: Network<B, D>, T, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    samples: Range<usize>,
    with: impl FnOnce(&dyn Denoiser<B, D>) -> T,
) -> T {
    let classes: Vec<usize> = match plan.classes {
        Classes::None => return with(&Call { net, classes: None, dropout: None }),
        Classes::Path { from, to, frames } => return along_path(net, plan, (from, to, frames), samples, with),
        Classes::Cycle(classes) => samples.map(|n| n % classes.max(1)).collect(),
        Classes::Only(class) => vec![class; samples.len()],
    };
    let plain = Call { net, classes: Some(&classes), dropout: None };
    let Some(Guidance { weight, null_class, interval }) = plan.guidance else { return with(&plain) };
    within(plan, interval, &Guided { net, classes: &classes, null_class, weight }, &plain, with)
}

/// The same of samples that lead from one class to another.
fn along_path<B: Backend, N: Network<B, D>, T, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    (from, to, frames): (usize, usize, usize),
    samples: Range<usize>,
    with: impl FnOnce(&dyn Denoiser<B, D>) -> T,
) -> T {
    let last = frames.saturating_sub(1).max(1) as f64;
    let weights: Vec<f64> = samples.map(|n| (n % frames.max(1)) as f64 / last).collect();
    let plain = Path { net, from, to, weights: &weights, guidance: None };
    let Some(Guidance { weight, null_class, interval }) = plan.guidance else { return with(&plain) };
    let guided = Path { net, from, to, weights: &weights, guidance: Some((null_class, weight)) };
    within(plan, interval, &guided, &plain, with)
}

/// The denoiser with guidance, where there is any.
fn within<B: Backend, T, const D: usize>(
    plan: &SamplePlan<'_>,
    interval: Option<super::GuidanceInterval>,
    guided: &dyn Denoiser<B, D>,
    plain: &dyn Denoiser<B, D>,
    with: impl FnOnce(&dyn Denoiser<B, D>) -> T,
) -> T {
    match interval {
        None => with(guided),
        Some(interval) => {
            let sigmas = Sigmas::of(plan.sampler.chain().trained_schedule());
            with(&Within { guided, plain, interval, sigmas: &sigmas })
        }
    }
}
