//! Leaves brought together in one graph, before Burn does it at a higher price.
//!
//! Burn gives every leaf a graph of its own. An operation whose parents are of different graphs joins them: one of them, whichever
//! its hash map lists first, takes over the nodes of the others. In a network every layer brings new leaves, its
//! parameters, so that the nodes of the whole network so far are moved again and again, serially. Joined as a tree, every leaf is
//! moved twice or three times.

use crate::Backend;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::tensor::ops::FloatTensor;

/// Graphs that are joined at a time.
const PARENTS: usize = 16;

/// An operation that no loss depends on. Its node is freed with the next gradient.
#[derive(Debug)]
struct Join;

impl<B: Backend> Backward<B, PARENTS> for Join {
    type State = ();

    fn backward(self, _: Ops<(), PARENTS>, _: &mut Gradients, _: &mut Checkpointer) {}
}

pub(super) fn join<B: Backend, C: CheckpointStrategy>(leaves: &[FloatTensor<Autodiff<B, C>>]) {
    let mut level: Vec<_> = leaves.iter().filter(|leaf| leaf.is_tracked()).cloned().collect();
    while level.len() > 1 {
        let join = |tensors: &[FloatTensor<Autodiff<B, C>>]| {
            let parents = std::array::from_fn(|i| tensors[i.min(tensors.len() - 1)].node.clone());
            let value = tensors[0].primitive.clone();
            Backward::<B, PARENTS>::prepare::<C>(Join, parents).compute_bound().stateless(value)
        };
        level = level.chunks(PARENTS).map(join).collect();
    }
}
