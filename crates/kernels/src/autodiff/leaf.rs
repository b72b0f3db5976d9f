//! Leaves that stay the same in the graph while their values change.
//!
//! Burn gives every new leaf a graph of its own, and an operation whose parents are of different graphs joins them by moving
//! all nodes of one into the other. With new leaves after each update a network pays for that layer by layer, serially. A leaf
//! that a gradient has reached once is no longer part of any graph: an operation on it joins nothing.

use crate::Backend;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::ops::FloatTensor;

pub(super) fn with_node_of<B: Backend, C: CheckpointStrategy>(
    value: FloatTensor<Autodiff<B, C>>,
    leaf: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    assert!(leaf.node.parents.is_empty(), "only a leaf can have another value: this tensor was computed from others");
    FloatTensor::<Autodiff<B, C>> { primitive: value.primitive, ..leaf }
}
