//! Group normalisation.

use super::bridge::HostTensor;
use crate::cpu::{self, Affine, GroupNorm, Statistics, filled};
use crate::ops::{GroupNormSpec, NormActivation};
use crate::{GroupNormAffine, GroupNormGradients, GroupNormOutput};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use std::borrow::Cow;

fn sizes<T: HostTensor>(x: &T, spec: GroupNormSpec) -> GroupNorm {
    let shape = x.shape();
    GroupNorm {
        n: shape[0],
        c: shape[1],
        hw: shape[2] * shape[3],
        groups: spec.groups,
        eps: spec.eps as f32,
        silu: spec.activation == NormActivation::Silu,
    }
}

/// The affine map's values: `gamma`, `beta`, and `scale`, if any.
struct Values<'a> {
    gamma: Cow<'a, [f32]>,
    beta: Cow<'a, [f32]>,
    scale: Option<Cow<'a, [f32]>>,
    /// `gamma (1 + scale)` and `beta (1 + scale) + shift` of every image and channel.
    modulated: Option<(Vec<f32>, Vec<f32>)>,
}

impl<'a> Values<'a> {
    fn read<T: HostTensor + 'a, B: Backend<FloatTensorPrimitive = T>>(affine: &'a GroupNormAffine<B>) -> Option<Self> {
        let (gamma, beta) = (affine.gamma.read()?, affine.beta.read()?);
        let Some((scale, shift)) = &affine.scale_shift else {
            return Some(Self { gamma, beta, scale: None, modulated: None });
        };
        let (scale, shift) = (scale.read()?, shift.read()?);
        let c = gamma.len();
        let scales = (0..scale.len()).map(|i| gamma[i % c] * (1.0 + scale[i]));
        let offsets = (0..scale.len()).map(|i| beta[i % c] * (1.0 + scale[i]) + shift[i]);
        let modulated = Some((scales.collect(), offsets.collect()));
        Some(Self { gamma, beta, scale: Some(scale), modulated })
    }

    fn affine(&self) -> Affine<'_> {
        match &self.modulated {
            Some((scale, offset)) => Affine { scale, offset },
            None => Affine { scale: &self.gamma, offset: &self.beta },
        }
    }
}

pub(super) fn group_norm<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    affine: &GroupNormAffine<B>,
    spec: GroupNormSpec,
) -> Option<GroupNormOutput<B>> {
    let s = sizes(x, spec);
    let (input, values) = (x.read()?, Values::read(affine)?);
    let (mut mean, mut rstd) = (vec![0.0; s.n * s.groups], vec![0.0; s.n * s.groups]);
    let y = filled(input.len(), |y| cpu::group_norm(&s, &input, values.affine(), y, &mut mean, &mut rstd));
    let statistics = Shape::new([s.n, s.groups]);
    Some(GroupNormOutput {
        y: T::build(y, x.shape()),
        mean: T::build(mean, statistics.clone()),
        rstd: T::build(rstd, statistics),
    })
}

pub(super) fn group_norm_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    grad: &FloatTensor<B>,
    accumulate: Option<&FloatTensor<B>>,
    x: &FloatTensor<B>,
    [mean, rstd]: [&FloatTensor<B>; 2],
    affine: &GroupNormAffine<B>,
    spec: GroupNormSpec,
) -> Option<GroupNormGradients<B>> {
    let s = sizes(x, spec);
    let (input, dy, values) = (x.read()?, grad.read()?, Values::read(affine)?);
    let (mean, rstd) = (mean.read()?, rstd.read()?);
    let add = super::bridge::read_option(accumulate)?;
    let statistics = Statistics { mean: &mean, rstd: &rstd };
    let (mut d_scale, mut d_offset) = (vec![0.0; s.n * s.c], vec![0.0; s.n * s.c]);
    let dx = filled(input.len(), |dx| {
        cpu::group_norm_backward(
            &s,
            &input,
            statistics,
            values.affine(),
            &dy,
            add.as_deref(),
            dx,
            &mut d_scale,
            &mut d_offset,
        )
    });
    // d_scale and d_offset are of the effective scale and offset; the rest is the chain rule on [n, c] values.
    let per_channel = |d: &[f32]| T::build(sum_images(d, s.c, values.scale.as_deref()), Shape::new([s.c]));
    let (gamma, beta) = (per_channel(&d_scale), per_channel(&d_offset));
    let scale_shift = values.scale.is_some().then(|| {
        let d = |i: usize| d_scale[i] * values.gamma[i % s.c] + d_offset[i] * values.beta[i % s.c];
        let shape = Shape::new([s.n, s.c]);
        let of_scale = T::build((0..s.n * s.c).map(d).collect(), shape.clone());
        (of_scale, T::build(d_offset.clone(), shape))
    });
    Some(GroupNormGradients { x: T::build(dx, x.shape()), gamma, beta, scale_shift })
}

/// Sums over the images of `d: [n, c]`, each value times `1 + scale` of its image and channel where there is a scale.
fn sum_images(d: &[f32], c: usize, scale: Option<&[f32]>) -> Vec<f32> {
    let mut sums = vec![0.0; c];
    for (image, d) in d.chunks_exact(c).enumerate() {
        match scale {
            None => sums.iter_mut().zip(d).for_each(|(sum, d)| *sum += d),
            Some(scale) => {
                let factors = scale[image * c..].iter().map(|scale| 1.0 + scale);
                sums.iter_mut().zip(d).zip(factors).for_each(|((sum, d), factor)| *sum += d * factor);
            }
        }
    }
    sums
}
