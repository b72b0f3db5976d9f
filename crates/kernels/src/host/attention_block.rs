//! The attention block.

use super::bridge::HostTensor;
use crate::ops::AttentionBlockSpec;
use crate::precision::in_bf16;
use crate::{AttentionBlockGradients, AttentionBlockOperands, AttentionBlockOutput};
use burn::tensor::{Shape, backend::Backend, ops::FloatTensor};
use sfumato_cpu::{Affine, AttentionBlock, AttentionWeights, fresh};
use std::borrow::Cow;

/// Sizes, where there is something to compute.
fn sizes<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &T,
    with: &AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
) -> Option<AttentionBlock> {
    let (shape, inner) = (x.shape(), with.weight[0].shape()[0]);
    let (n, c, pixels) = (shape[0], shape[1], shape[2] * shape[3]);
    let AttentionBlockSpec { heads, groups, eps } = spec;
    let groups = if with.norm.is_some() { groups } else { 0 };
    let s = AttentionBlock { n, c, pixels, heads, d: inner / heads, groups, eps: eps as f32 };
    (!s.is_empty() && s.d > 0).then_some(s)
}

/// The values of all operands.
struct Operands<'a> {
    norm: Option<[Cow<'a, [f32]>; 2]>,
    weight: Vec<Cow<'a, [f32]>>,
    bias: Vec<Cow<'a, [f32]>>,
}

impl<'a> Operands<'a> {
    fn read<T: HostTensor + 'a, B: Backend<FloatTensorPrimitive = T>>(
        with: &'a AttentionBlockOperands<B>,
    ) -> Option<Self> {
        let all = |tensors: &'a [T; 4]| tensors.iter().map(T::read).collect::<Option<Vec<_>>>();
        let norm = match &with.norm {
            Some([gamma, beta]) => Some([gamma.read()?, beta.read()?]),
            None => None,
        };
        Some(Self { norm, weight: all(&with.weight)?, bias: all(&with.bias)? })
    }

    fn slices(&self) -> AttentionWeights<'_> {
        AttentionWeights {
            norm: self.norm.as_ref().map(|[scale, offset]| Affine { scale, offset }),
            weight: [0, 1, 2, 3].map(|i| &self.weight[i][..]),
            bias: [0, 1, 2, 3].map(|i| &self.bias[i][..]),
        }
    }
}

/// `None` also where the parts are faster one by one, as in bf16.
pub(super) fn attention_block<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &T,
    with: &AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
) -> Option<T> {
    let s = sizes(x, with, spec).filter(|s| s.forward_pays() && !in_bf16(s.c, s.heads * s.d))?;
    let (values, operands) = (x.read()?, Operands::read(with)?);
    Some(T::build(fresh::attention_block(&s, &values, &operands.slices()), x.shape()))
}

/// `None` also where the gradients of the parts are faster one by one, as in bf16.
pub(super) fn attention_block_saving<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &T,
    with: &AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
) -> Option<AttentionBlockOutput<B>> {
    let s = sizes(x, with, spec).filter(|s| s.backward_pays() && !in_bf16(s.c, s.heads * s.d))?;
    let (values, operands) = (x.read()?, Operands::read(with)?);
    let fresh::AttentionBlockSaved { y, saved } = fresh::attention_block_saving(&s, &values, &operands.slices());
    let saved = saved.map(|values| {
        let len = values.len();
        T::build(values, Shape::new([len]))
    });
    Some(AttentionBlockOutput { y: T::build(y, x.shape()), saved })
}

pub(super) fn attention_block_backward<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    x: &FloatTensor<B>,
    with: &AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
    saved: &[FloatTensor<B>; 3],
    grad: &FloatTensor<B>,
) -> Option<AttentionBlockGradients<B>> {
    let s = sizes(x, with, spec)?;
    let (values, operands, dy) = (x.read()?, Operands::read(with)?, grad.read()?);
    let [qkv, attended, softmax] = saved;
    let (qkv, attended, softmax) = (qkv.read()?, attended.read()?, softmax.read()?);
    let w = operands.slices();
    let fresh::AttentionBlockResults { x: dx, norm: [gamma, beta], weight, bias } =
        fresh::attention_block_backward(&s, &values, &w, [&qkv, &attended, &softmax], &dy);
    let build = |values: Vec<f32>, like: &T| T::build(values, like.shape());
    let mut like = with.weight.iter();
    let weight = weight.map(|d| build(d, like.next().expect("four weights")));
    let mut like = with.bias.iter();
    let bias = bias.map(|d| build(d, like.next().expect("four biases")));
    let norm = with.norm.as_ref().map(|[a, b]| [build(gamma, a), build(beta, b)]);
    Some(AttentionBlockGradients { x: build(dx, x), norm, weight, bias })
}
