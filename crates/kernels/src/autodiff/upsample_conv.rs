//! Upsampling and convolution in the graph: only the input before the upsampling is kept. The bias is a parent only where it is there.

use super::take_registered;
use crate::{Backend, Precision, WantedGradients};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, weight, then the bias, if any.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    precision: Precision,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let accumulate = take_registered::<B, _, N>(grads, &ops, 0, &grad);
        let parent = |i: usize| ops.parents.get(i).and_then(Option::as_ref);
        let (x, weight, bias) = (parent(0), parent(1), parent(2));
        let wanted = WantedGradients { x: x.is_some(), weight: weight.is_some(), bias: bias.is_some() };
        let State { x: input, weight: kernel, precision } = ops.state;
        let d = precision.with(|| B::fused_upsample_conv2d_backward(input, kernel, grad, accumulate, wanted));
        for (parent, d) in [(x, d.x), (weight, d.weight), (bias, d.bias)] {
            if let (Some(parent), Some(d)) = (parent, d) {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn upsample_conv2d<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
) -> FloatTensor<Autodiff<B, C>> {
    match &bias {
        None => run::<B, C, 2>([&x, &weight]),
        Some(bias) => run::<B, C, 3>([&x, &weight, bias]),
    }
}

fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let inner = |i: usize| parents[i].primitive.clone();
    let y = B::fused_upsample_conv2d(inner(0), inner(1), (N > 2).then(|| inner(2)));
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let precision = Precision::current();
            prep.finish(State { x: inner(0), weight: inner(1), precision }, y)
        }
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
