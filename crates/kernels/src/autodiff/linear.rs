//! Affine maps in the graph.

use super::register;
use crate::{Backend, WantedGradients};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, weight, then the bias, if any.
#[derive(Debug)]
struct Step;

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    /// Input and weight.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state.clone();
        let tracked = |i: usize| ops.parents.get(i).and_then(|parent| parent.as_ref());
        let wanted =
            WantedGradients { x: tracked(0).is_some(), weight: tracked(1).is_some(), bias: tracked(2).is_some() };
        let d = B::fused_linear_backward(x, weight, grad, wanted);
        for (i, d) in [d.x, d.weight, d.bias].into_iter().enumerate() {
            if let Some(d) = d {
                register::<B, _, N>(grads, &ops, i, d);
            }
        }
    }
}

pub(super) fn linear<B: Backend, C: CheckpointStrategy>(
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
    let inner = |i: usize| parents.get(i).map(|parent| parent.primitive.clone());
    let (x, weight) = (parents[0].primitive.clone(), parents[1].primitive.clone());
    let y = B::fused_linear(x.clone(), weight.clone(), inner(2));
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish([x, weight], y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
