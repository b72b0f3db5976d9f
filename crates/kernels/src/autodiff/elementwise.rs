//! Operations whose gradient needs at most their own input.

use crate::Backend;
use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{
    base::Checkpointer, retro_forward::RetroForward, state::BackwardStates, strategy::CheckpointStrategy,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::tensor::{TensorMetadata, ops::FloatTensor};
use std::marker::PhantomData;

pub(super) fn silu<B: Backend, C: CheckpointStrategy>(x: FloatTensor<Autodiff<B, C>>) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 1> for Step {
        type State = NodeId;
        fn backward(self, ops: Ops<NodeId, 1>, grads: &mut Gradients, states: &mut Checkpointer) {
            let x: FloatTensor<B> = states.retrieve_node_output(ops.state);
            unary::<B, _>(ops.parents, ops.node, grads, |grad| B::fused_silu_backward(x, grad));
        }
    }
    /// Computes the output again where the checkpointing strategy dropped it.
    #[derive(Debug)]
    struct Recompute<B>(NodeId, PhantomData<B>);
    impl<B: Backend> RetroForward for Recompute<B> {
        fn forward(&self, states: &mut BackwardStates, out: NodeId) {
            let x = states.get_state::<FloatTensor<B>>(&self.0);
            states.save(out, B::fused_silu(x));
        }
    }
    let prep = Step
        .prepare::<C>([x.node.clone()])
        .memory_bound()
        .retro_forward(Recompute::<B>(x.node.id, PhantomData))
        .parents([&x]);
    match prep.stateful() {
        OpsKind::Tracked(mut prep) => {
            let state = prep.checkpoint(&x);
            prep.finish(state, B::fused_silu(x.primitive))
        }
        OpsKind::UnTracked(prep) => prep.finish(B::fused_silu(x.primitive)),
    }
}

pub(super) fn add_channel_bias<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 2> for Step {
        type State = ();
        fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = grads.consume::<B>(&ops.node);
            let [x, bias] = ops.parents;
            if let Some(bias) = bias {
                grads.register::<B>(bias.id, B::fused_sum_pixels(grad.clone()));
            }
            if let Some(x) = x {
                grads.register::<B>(x.id, grad);
            }
        }
    }
    let nodes = [x.node.clone(), bias.node.clone()];
    let y = B::fused_add_channel_bias(x.primitive, bias.primitive);
    Step.prepare::<C>(nodes).compute_bound().stateless(y)
}

pub(super) fn upsample_nearest_2x<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 1> for Step {
        type State = ();
        fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            unary::<B, _>(ops.parents, ops.node, grads, |grad| B::fused_upsample_nearest_2x_backward(grad));
        }
    }
    let y = B::fused_upsample_nearest_2x(x.primitive);
    Step.prepare::<C>([x.node]).compute_bound().stateless(y)
}

pub(super) fn concat_channels<B: Backend, C: CheckpointStrategy>(
    a: FloatTensor<Autodiff<B, C>>,
    b: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Step;
    impl<B: Backend> Backward<B, 2> for Step {
        /// Channels of the first operand.
        type State = usize;
        fn backward(self, ops: Ops<usize, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = grads.consume::<B>(&ops.node);
            let parts = B::fused_split_channels(grad, ops.state);
            for (parent, part) in ops.parents.into_iter().zip(parts) {
                if let Some(parent) = parent {
                    grads.register::<B>(parent.id, part);
                }
            }
        }
    }
    let channels = a.primitive.shape()[1];
    let nodes = [a.node.clone(), b.node.clone()];
    let y = B::fused_concat_channels(a.primitive, b.primitive);
    match Step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(channels, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
