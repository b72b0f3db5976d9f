//! Attention in the graph. The probabilities are computed again by the gradient: kept, they would be the largest
//! tensors of the network.

use crate::{Backend, Precision};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::tensor::ops::FloatTensor;

pub(super) fn attention<B: Backend, C: CheckpointStrategy>(
    q: FloatTensor<Autodiff<B, C>>,
    k: FloatTensor<Autodiff<B, C>>,
    v: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 3> for Step {
        type State = [FloatTensor<B>; 3];
        fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = grads.consume::<B>(&ops.node);
            let [q, k, v] = ops.state;
            let gradients = B::fused_attention_backward(q, k, v, grad);
            for (parent, d) in ops.parents.into_iter().zip(gradients) {
                if let Some(parent) = parent {
                    grads.register::<B>(parent.id, d);
                }
            }
        }
    }
    let nodes = [&q, &k, &v].map(|x| x.node.clone());
    let qkv = [q, k, v].map(|x| x.primitive);
    let [q, k, v] = qkv.clone();
    let y = B::fused_attention(q, k, v);
    match Step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(qkv, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

pub(super) fn spatial_self_attention<B: Backend, C: CheckpointStrategy>(
    qkv: FloatTensor<Autodiff<B, C>>,
    heads: usize,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 1> for Step {
        type State = (FloatTensor<B>, usize, Precision);
        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let (qkv, heads, precision) = ops.state;
            unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                precision.with(|| B::fused_spatial_self_attention_backward(qkv, grad, heads))
            });
        }
    }
    let y = B::fused_spatial_self_attention(qkv.primitive.clone(), heads);
    match Step.prepare::<C>([qkv.node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((qkv.primitive, heads, Precision::current()), y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
