//! Group normalisation.

use super::bridge::{HostTensor, read_option};
use crate::ops::{GroupNormSpec, NormActivation};
use crate::{GroupNormExtra, GroupNormGradients, GroupNormOperands, GroupNormOutput};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{Affine, GroupNorm, NormInput, Statistics, fresh};
use std::borrow::Cow;

pub(super) fn sizes<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &T,
    extra: &GroupNormExtra<B>,
    spec: GroupNormSpec,
) -> GroupNorm {
    let shape = x.shape();
    let further = match extra {
        GroupNormExtra::Skip(skip) => skip.shape()[1],
        _ => 0,
    };
    GroupNorm {
        n: shape[0],
        c: shape[1] + further,
        hw: shape[2] * shape[3],
        groups: spec.groups,
        eps: spec.eps as f32,
        silu: spec.activation == NormActivation::Silu,
    }
}

type Values<'a> = Cow<'a, [f32]>;

/// The values of all operands; those that are not there are empty.
pub(super) struct Operands<'a> {
    x: Values<'a>,
    skip: Values<'a>,
    bias: Values<'a>,
    gamma: Values<'a>,
    beta: Values<'a>,
    /// Of an embedding.
    scale: Option<Values<'a>>,
    /// `gamma (1 + scale)` and `beta (1 + scale) + shift` of every image and channel.
    modulated: Option<(Vec<f32>, Vec<f32>)>,
}

impl<'a> Operands<'a> {
    pub(super) fn read<T: HostTensor + 'a, B: Backend<FloatTensorPrimitive = T>>(
        x: &'a T,
        with: &'a GroupNormOperands<B>,
    ) -> Option<Self> {
        let none = || Cow::Borrowed(&[][..]);
        let (x, gamma, beta) = (x.read()?, with.gamma.read()?, with.beta.read()?);
        let mut all = Self { x, skip: none(), bias: none(), gamma, beta, scale: None, modulated: None };
        match &with.extra {
            GroupNormExtra::None => {}
            GroupNormExtra::Bias(bias) => all.bias = bias.read()?,
            GroupNormExtra::Skip(skip) => all.skip = skip.read()?,
            GroupNormExtra::ScaleShift(scale, shift) => {
                let (scale, shift) = (scale.read()?, shift.read()?);
                let (gamma, beta, c) = (&all.gamma, &all.beta, all.gamma.len());
                let scales = (0..scale.len()).map(|i| gamma[i % c] * (1.0 + scale[i]));
                let offsets = (0..scale.len()).map(|i| beta[i % c] * (1.0 + scale[i]) + shift[i]);
                all.modulated = Some((scales.collect(), offsets.collect()));
                all.scale = Some(scale);
            }
        }
        Some(all)
    }

    pub(super) fn input(&self) -> NormInput<'_> {
        NormInput { x: &self.x, skip: &self.skip, bias: &self.bias }
    }

    pub(super) fn affine(&self) -> Affine<'_> {
        match &self.modulated {
            Some((scale, offset)) => Affine { scale, offset },
            None => Affine { scale: &self.gamma, offset: &self.beta },
        }
    }
}

pub(super) fn group_norm<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    with: &GroupNormOperands<B>,
    spec: GroupNormSpec,
) -> Option<GroupNormOutput<B>> {
    let s = sizes(x, &with.extra, spec);
    let operands = Operands::read(x, with)?;
    let [y, mean, rstd] = fresh::group_norm(&s, operands.input(), operands.affine());
    let (shape, statistics) = (x.shape(), Shape::new([s.n, s.groups]));
    Some(GroupNormOutput {
        y: T::build(y, Shape::new([s.n, s.c, shape[2], shape[3]])),
        mean: T::build(mean, statistics.clone()),
        rstd: T::build(rstd, statistics),
    })
}

pub(super) fn group_norm_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    grad: &FloatTensor<B>,
    accumulate: &[Option<FloatTensor<B>>; 2],
    x: &FloatTensor<B>,
    [mean, rstd]: &[FloatTensor<B>; 2],
    with: &GroupNormOperands<B>,
    spec: GroupNormSpec,
) -> Option<GroupNormGradients<B>> {
    let s = sizes(x, &with.extra, spec);
    let (operands, dy) = (Operands::read(x, with)?, grad.read()?);
    let (mean, rstd) = (mean.read()?, rstd.read()?);
    let add = [read_option(accumulate[0].as_ref())?, read_option(accumulate[1].as_ref())?];
    let statistics = Statistics { mean: &mean, rstd: &rstd };
    let add = [add[0].as_deref(), add[1].as_deref()];
    let d = fresh::group_norm_backward(&s, operands.input(), statistics, operands.affine(), &dy, add);
    Some(gradients(&s, x, with, &operands, d))
}

/// Of the operands, from those of the effective scale and offset: the chain rule on `[n, c]` values.
pub(super) fn gradients<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    s: &GroupNorm,
    x: &FloatTensor<B>,
    with: &GroupNormOperands<B>,
    operands: &Operands,
    d: fresh::NormResults,
) -> GroupNormGradients<B> {
    let fresh::NormResults { x: dx, skip: d_skip, bias: d_bias, scale: d_scale, offset: d_offset } = d;
    let scale = operands.scale.as_deref();
    let per_channel = |d: &[f32]| T::build(sum_images(d, s.c, scale), Shape::new([s.c]));
    let (gamma, beta) = (per_channel(&d_scale), per_channel(&d_offset));
    let per_image = Shape::new([s.n, s.c]);
    let extra = match &with.extra {
        GroupNormExtra::None => GroupNormExtra::None,
        GroupNormExtra::Bias(_) => GroupNormExtra::Bias(T::build(d_bias, per_image)),
        GroupNormExtra::Skip(skip) => GroupNormExtra::Skip(T::build(d_skip, skip.shape())),
        GroupNormExtra::ScaleShift(..) => {
            let d = |i: usize| d_scale[i] * operands.gamma[i % s.c] + d_offset[i] * operands.beta[i % s.c];
            let of_scale = T::build((0..s.n * s.c).map(d).collect(), per_image.clone());
            GroupNormExtra::ScaleShift(of_scale, T::build(d_offset, per_image))
        }
    };
    GroupNormGradients { x: T::build(dx, x.shape()), gamma, beta, extra }
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
