//! Attention in the graph. The probabilities are computed again by the gradient: kept, they would be the largest
//! tensors of the network.

use crate::Backend;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Attention of tokens, or of the pixels of images with so many heads.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tokens,
    Spatial { heads: usize },
}

impl Kind {
    fn forward<B: Backend>(self, [q, k, v]: [FloatTensor<B>; 3]) -> FloatTensor<B> {
        match self {
            Self::Tokens => B::fused_attention(q, k, v),
            Self::Spatial { heads } => B::fused_spatial_attention(q, k, v, heads),
        }
    }

    fn backward<B: Backend>(self, [q, k, v]: [FloatTensor<B>; 3], grad: FloatTensor<B>) -> [FloatTensor<B>; 3] {
        match self {
            Self::Tokens => B::fused_attention_backward(q, k, v, grad),
            Self::Spatial { heads } => B::fused_spatial_attention_backward(q, k, v, grad, heads),
        }
    }
}

#[derive(Debug)]
struct Step;

impl<B: Backend> Backward<B, 3> for Step {
    type State = ([FloatTensor<B>; 3], Kind);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (qkv, kind) = ops.state;
        let gradients = kind.backward::<B>(qkv, grad);
        for (parent, d) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn attention<B: Backend, C: CheckpointStrategy>(
    q: FloatTensor<Autodiff<B, C>>,
    k: FloatTensor<Autodiff<B, C>>,
    v: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    run::<B, C>([q, k, v], Kind::Tokens)
}

pub(super) fn spatial_attention<B: Backend, C: CheckpointStrategy>(
    q: FloatTensor<Autodiff<B, C>>,
    k: FloatTensor<Autodiff<B, C>>,
    v: FloatTensor<Autodiff<B, C>>,
    heads: usize,
) -> FloatTensor<Autodiff<B, C>> {
    run::<B, C>([q, k, v], Kind::Spatial { heads })
}

fn run<B: Backend, C: CheckpointStrategy>(
    qkv: [FloatTensor<Autodiff<B, C>>; 3],
    kind: Kind,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [0, 1, 2].map(|i: usize| qkv[i].node.clone());
    let qkv = qkv.map(|x| x.primitive);
    let y = kind.forward::<B>(qkv.clone());
    match Step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((qkv, kind), y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
