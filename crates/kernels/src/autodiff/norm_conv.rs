//! Normalisation and convolution in the graph: one step where the backend has a gradient for both, else those of its parts.

use super::{register, take_registered};
use crate::{Backend, GroupNormExtra, GroupNormOperands, GroupNormSpec, NormConvOperands, Precision, composed};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, gamma, beta, weight, bias, then what makes the norm a variant, then the residual, if any.
#[derive(Debug)]
struct Step;

/// Position of the first parent that need not be there.
const FURTHER: usize = 5;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    statistics: [FloatTensor<B>; 2],
    /// Without the residual.
    operands: NormConvOperands<B>,
    spec: GroupNormSpec,
    precision: Precision,
    /// Position of the residual among the parents.
    residual: Option<usize>,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        // The residual first: should it be the input as well, its gradient is then added by the kernel.
        if let Some(residual) = ops.state.residual {
            register::<B, _, N>(grads, &ops, residual, grad.clone());
        }
        let for_x = take_registered::<B, _, N>(grads, &ops, 0, &grad);
        let for_skip = match ops.state.operands.norm.extra {
            GroupNormExtra::Skip(_) => take_registered::<B, _, N>(grads, &ops, FURTHER, &grad),
            _ => None,
        };
        let s = ops.state;
        let d = s
            .precision
            .with(|| B::fused_norm_conv2d_backward(grad, [for_x, for_skip], s.x, s.statistics, s.operands, s.spec));
        let extra = match d.norm.extra {
            GroupNormExtra::None => [None, None],
            GroupNormExtra::Bias(d) | GroupNormExtra::Skip(d) => [Some(d), None],
            GroupNormExtra::ScaleShift(scale, shift) => [Some(scale), Some(shift)],
        };
        let always = [d.norm.x, d.norm.gamma, d.norm.beta, d.weight, d.bias];
        // The residual comes after these.
        let gradients = always.into_iter().chain(extra.into_iter().flatten());
        for (parent, d) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn norm_conv2d<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    operands: NormConvOperands<Autodiff<B, C>>,
    spec: GroupNormSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let NormConvOperands { norm: GroupNormOperands { gamma, beta, extra }, weight, bias, residual } = &operands;
    let done = match (extra, residual) {
        (GroupNormExtra::None, None) => run::<B, C, 5>([&x, gamma, beta, weight, bias], &operands, spec),
        (GroupNormExtra::None, Some(r)) => run::<B, C, 6>([&x, gamma, beta, weight, bias, r], &operands, spec),
        (GroupNormExtra::Bias(e) | GroupNormExtra::Skip(e), None) => {
            run::<B, C, 6>([&x, gamma, beta, weight, bias, e], &operands, spec)
        }
        (GroupNormExtra::Bias(e) | GroupNormExtra::Skip(e), Some(r)) => {
            run::<B, C, 7>([&x, gamma, beta, weight, bias, e, r], &operands, spec)
        }
        (GroupNormExtra::ScaleShift(e, f), None) => {
            run::<B, C, 7>([&x, gamma, beta, weight, bias, e, f], &operands, spec)
        }
        (GroupNormExtra::ScaleShift(e, f), Some(r)) => {
            run::<B, C, 8>([&x, gamma, beta, weight, bias, e, f, r], &operands, spec)
        }
    };
    done.unwrap_or_else(|| composed::norm_conv2d::<Autodiff<B, C>>(x, operands, spec))
}

/// `None` where the backend has no gradient for the whole.
fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
    operands: &NormConvOperands<Autodiff<B, C>>,
    spec: GroupNormSpec,
) -> Option<FloatTensor<Autodiff<B, C>>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let x = parents[0].primitive.clone();
    let NormConvOperands { norm: GroupNormOperands { gamma, beta, extra }, weight, bias, residual } = operands.clone();
    let mut operands = NormConvOperands {
        norm: GroupNormOperands {
            gamma: gamma.primitive,
            beta: beta.primitive,
            extra: extra.map::<B>(|operand| operand.primitive),
        },
        weight: weight.primitive,
        bias: bias.primitive,
        residual: residual.map(|residual| residual.primitive),
    };
    Some(match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let out = B::fused_norm_conv2d_with_stats(x.clone(), operands.clone(), spec)?;
            let residual = operands.residual.take().map(|_| N - 1);
            let (statistics, precision) = ([out.mean, out.rstd], Precision::current());
            prep.finish(State { x, statistics, operands, spec, precision, residual }, out.y)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::fused_norm_conv2d(x, operands, spec)),
    })
}
