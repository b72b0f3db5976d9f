//! Group normalisation in the graph; the statistics of the forward pass are kept.

use super::take_registered;
use crate::{Backend, GroupNormExtra, GroupNormOperands, GroupNormSpec};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, gamma, beta, then what makes it a variant.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    statistics: [FloatTensor<B>; 2],
    operands: GroupNormOperands<B>,
    spec: GroupNormSpec,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let for_x = take_registered::<B, _, N>(grads, &ops, 0, &grad);
        let for_skip = match ops.state.operands.extra {
            GroupNormExtra::Skip(_) => take_registered::<B, _, N>(grads, &ops, 3, &grad),
            _ => None,
        };
        let s = ops.state;
        let d = B::fused_group_norm_backward(grad, [for_x, for_skip], s.x, s.statistics, s.operands, s.spec);
        let extra = match d.extra {
            GroupNormExtra::None => [None, None],
            GroupNormExtra::Bias(d) | GroupNormExtra::Skip(d) => [Some(d), None],
            GroupNormExtra::ScaleShift(scale, shift) => [Some(scale), Some(shift)],
        };
        let gradients = [Some(d.x), Some(d.gamma), Some(d.beta)].into_iter().chain(extra);
        for (parent, d) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(d)) = (parent, d) {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn group_norm<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    operands: GroupNormOperands<Autodiff<B, C>>,
    spec: GroupNormSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let GroupNormOperands { gamma, beta, extra } = &operands;
    match extra {
        GroupNormExtra::None => run::<B, C, 3>([&x, gamma, beta], &operands, spec),
        GroupNormExtra::Bias(extra) | GroupNormExtra::Skip(extra) => {
            run::<B, C, 4>([&x, gamma, beta, extra], &operands, spec)
        }
        GroupNormExtra::ScaleShift(scale, shift) => run::<B, C, 5>([&x, gamma, beta, scale, shift], &operands, spec),
    }
}

fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
    operands: &GroupNormOperands<Autodiff<B, C>>,
    spec: GroupNormSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let x = parents[0].primitive.clone();
    let GroupNormOperands { gamma, beta, extra } = operands.clone();
    let operands = GroupNormOperands {
        gamma: gamma.primitive,
        beta: beta.primitive,
        extra: extra.map::<B>(|operand| operand.primitive),
    };
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let out = B::fused_group_norm_with_stats(x.clone(), operands.clone(), spec);
            let state = State { x, statistics: [out.mean, out.rstd], operands, spec };
            prep.finish(state, out.y)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::fused_group_norm(x, operands, spec)),
    }
}
