//! The 1×1 convolution of channels in two tensors, in the graph.

use super::take_registered;
use crate::{Backend, Precision, WantedGradients};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: both inputs, weight, then the bias, if any.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: [FloatTensor<B>; 2],
    weight: FloatTensor<B>,
    precision: Precision,
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let accumulate = [0, 1].map(|i| take_registered::<B, _, N>(grads, &ops, i, &grad));
        let tracked = |i: usize| ops.parents.get(i).is_some_and(|parent| parent.is_some());
        let wanted = WantedGradients { x: tracked(0) || tracked(1), weight: tracked(2), bias: tracked(3) };
        let State { x, weight, precision } = ops.state;
        let d = precision.with(|| B::fused_conv1x1_joined_backward(x, weight, grad, accumulate, wanted));
        let [a, b] = d.x.map_or([None, None], |x| x.map(Some));
        for (parent, d) in ops.parents.into_iter().zip([a, b, d.weight, d.bias]) {
            if let (Some(parent), Some(d)) = (parent, d) {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn conv1x1<B: Backend, C: CheckpointStrategy>(
    [a, b]: [FloatTensor<Autodiff<B, C>>; 2],
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
) -> FloatTensor<Autodiff<B, C>> {
    match &bias {
        None => run::<B, C, 3>([&a, &b, &weight]),
        Some(bias) => run::<B, C, 4>([&a, &b, &weight, bias]),
    }
}

fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let inner = |i: usize| parents[i].primitive.clone();
    let (x, weight) = ([inner(0), inner(1)], inner(2));
    let bias = parents.get(3).map(|bias| bias.primitive.clone());
    let y = B::fused_conv1x1_joined(x.clone(), weight.clone(), bias);
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(State { x, weight, precision: Precision::current() }, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
