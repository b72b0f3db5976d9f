//! A table of vectors.

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor, TensorData},
};
use sfumato_kernels::Backend;

use crate::params::{Builder, Init};

/// One learned vector for each of a number of classes.
#[derive(Module, Debug)]
pub struct Embedding<B: Backend> {
    /// The vectors, `[classes, dim]`.
    pub weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> Embedding<B> {
    /// A table for `classes` classes, standard normal as in torch.
    pub fn new(b: &mut Builder<B>, classes: usize, dim: usize) -> Self {
        Self { weight: b.param("weight", [classes, dim], Init::Normal(1.0)) }
    }

    /// Looks up one vector for each label.
    ///
    /// # Shapes
    /// - `labels`: `[batch]`, each below the number of classes
    /// - output: `[batch, dim]`
    pub fn forward(&self, labels: &[usize]) -> Tensor<B, 2> {
        look_up(self.weight.val(), labels)
    }
}

/// Rows `labels` of a table.
pub(crate) fn look_up<B: Backend>(table: Tensor<B, 2>, labels: &[usize]) -> Tensor<B, 2> {
    let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
    let count = labels.len();
    let labels = Tensor::<B, 1, Int>::from_data(TensorData::new(labels, [count]), &table.device());
    table.select(0, labels)
}
