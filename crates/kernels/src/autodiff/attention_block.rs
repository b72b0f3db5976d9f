//! The attention block in the graph: one step where the backend has a gradient for all of it, else those of its parts.

use crate::ops::AttentionBlockSpec;
use crate::{AttentionBlockOperands, Backend, composed};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

/// Parents: input, four weights, four biases, then scale and offset of the norm, if there is one.
#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend> {
    x: FloatTensor<B>,
    operands: AttentionBlockOperands<B>,
    spec: AttentionBlockSpec,
    saved: [FloatTensor<B>; 3],
}

impl<B: Backend, const N: usize> Backward<B, N> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let State { x, operands, spec, saved } = ops.state;
        let d = B::fused_attention_block_backward(x, operands, spec, saved, grad);
        let gradients = [d.x].into_iter().chain(d.weight).chain(d.bias).chain(d.norm.into_iter().flatten());
        for (parent, d) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, d);
            }
        }
    }
}

pub(super) fn attention_block<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    operands: AttentionBlockOperands<Autodiff<B, C>>,
    spec: AttentionBlockSpec,
) -> FloatTensor<Autodiff<B, C>> {
    let [a, b, c, d] = &operands.weight;
    let [e, f, g, h] = &operands.bias;
    let done = match &operands.norm {
        None => run::<B, C, 9>([&x, a, b, c, d, e, f, g, h], &operands, spec),
        Some([i, j]) => run::<B, C, 11>([&x, a, b, c, d, e, f, g, h, i, j], &operands, spec),
    };
    done.unwrap_or_else(|| composed::attention_block::<Autodiff<B, C>>(x, operands, spec))
}

/// `None` where the backend has no gradient for the whole.
fn run<B: Backend, C: CheckpointStrategy, const N: usize>(
    parents: [&FloatTensor<Autodiff<B, C>>; N],
    operands: &AttentionBlockOperands<Autodiff<B, C>>,
    spec: AttentionBlockSpec,
) -> Option<FloatTensor<Autodiff<B, C>>> {
    let nodes = parents.map(|parent| parent.node.clone());
    let x = parents[0].primitive.clone();
    let operands = AttentionBlockOperands {
        norm: operands.norm.clone().map(|norm| norm.map(|x| x.primitive)),
        weight: operands.weight.clone().map(|x| x.primitive),
        bias: operands.bias.clone().map(|x| x.primitive),
    };
    Some(match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let out = B::fused_attention_block_saving(x.clone(), operands.clone(), spec)?;
            prep.finish(State { x, operands, spec, saved: out.saved }, out.y)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::fused_attention_block(x, operands, spec)),
    })
}
