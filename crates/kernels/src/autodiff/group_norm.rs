//! Group normalisation in the graph; the statistics of the forward pass are kept.

use super::take_registered;
use crate::{Backend, GroupNormAffine, GroupNormSpec};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, gamma, beta, then scale and shift, if any.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    mean: FloatTensor<B>,
    rstd: FloatTensor<B>,
    affine: GroupNormAffine<B>,
    spec: GroupNormSpec,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let accumulate = take_registered::<B, _, N>(grads, &ops, 0, &grad);
        let s = ops.state;
        let d = B::fused_group_norm_backward(grad, accumulate, s.x, s.mean, s.rstd, s.affine, s.spec);
        let (scale, shift) = d.scale_shift.unzip();
        let gradients = [Some(d.x), Some(d.gamma), Some(d.beta), scale, shift];
        for (parent, d) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(d)) = (parent, d) {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn group_norm<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    affine: GroupNormAffine<Autodiff<B, C>>,
    spec: GroupNormSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let GroupNormAffine { gamma, beta, scale_shift } = &affine;
    match scale_shift {
        None => run::<B, C, 3>([&x, gamma, beta], spec),
        Some((scale, shift)) => run::<B, C, 5>([&x, gamma, beta, scale, shift], spec),
    }
}

fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
    spec: GroupNormSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let inner = |i: usize| parents.get(i).map(|parent| parent.primitive.clone());
    let x = parents[0].primitive.clone();
    let affine = GroupNormAffine {
        gamma: parents[1].primitive.clone(),
        beta: parents[2].primitive.clone(),
        scale_shift: inner(3).zip(inner(4)),
    };
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let out = B::fused_group_norm_with_stats(x.clone(), affine.clone(), spec);
            let state = State { x, mean: out.mean, rstd: out.rstd, affine, spec };
            prep.finish(state, out.y)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::fused_group_norm(x, affine, spec)),
    }
}
