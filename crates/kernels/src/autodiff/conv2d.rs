//! Convolution in the graph. Bias and residual are parents only where they are there.

use super::{register, take_registered};
use crate::{Backend, Conv2dGeometry, Precision, WantedGradients};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, weight, then the bias and the residual, if any.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    geometry: Conv2dGeometry,
    precision: Precision,
    /// Position among the parents.
    bias: Option<usize>,
    residual: Option<usize>,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let tracked = |i: Option<usize>| i.and_then(|i| ops.parents[i].as_ref());
        // The residual first: should it be the input as well, its gradient is then added by the kernel.
        if let Some(residual) = ops.state.residual {
            register::<B, _, N>(grads, &ops, residual, grad.clone());
        }
        let (x, weight, bias) = (tracked(Some(0)), tracked(Some(1)), tracked(ops.state.bias));
        let wanted = WantedGradients { x: x.is_some(), weight: weight.is_some(), bias: bias.is_some() };
        let accumulate = take_registered::<B, _, N>(grads, &ops, 0, &grad);
        let State { x: input, weight: kernel, geometry, precision, .. } = ops.state.clone();
        let d = precision.with(|| B::fused_conv2d_backward(input, kernel, grad, accumulate, geometry, wanted));
        for (parent, d) in [(x, d.x), (weight, d.weight), (bias, d.bias)] {
            if let (Some(parent), Some(d)) = (parent, d) {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn conv2d<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
    residual: Option<FloatTensor<Autodiff<B, C>>>,
    geometry: Conv2dGeometry,
) -> FloatTensor<Autodiff<B, C>> {
    match (&bias, &residual) {
        (None, None) => run::<B, C, 2>([&x, &weight], None, None, geometry),
        (Some(b), None) => run::<B, C, 3>([&x, &weight, b], Some(2), None, geometry),
        (None, Some(r)) => run::<B, C, 3>([&x, &weight, r], None, Some(2), geometry),
        (Some(b), Some(r)) => run::<B, C, 4>([&x, &weight, b, r], Some(2), Some(3), geometry),
    }
}

fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
    bias: Option<usize>,
    residual: Option<usize>,
    geometry: Conv2dGeometry,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let inner = |i: usize| parents[i].primitive.clone();
    let y = B::fused_conv2d(inner(0), inner(1), bias.map(inner), residual.map(inner), geometry);
    let prep = Backward::<B, N>::prepare::<C>(Step, nodes);
    match prep.compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let precision = Precision::current();
            let state = State { x: inner(0), weight: inner(1), geometry, precision, bias, residual };
            prep.finish(state, y)
        }
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
