//! Inputs of several operations, whose gradients are added up.

use super::*;

/// Two residual connections from the same tensor: what the second has left is there when the first comes.
struct Skipped;

const SHAPE: [usize; 4] = [2, 6, 5, 7];

impl Op for Skipped {
    fn inputs(&self) -> Vec<usize> {
        vec![SHAPE.iter().product(), 9 * 6 * 6, 6]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (input, weight) = (image(&x[0], SHAPE, false), x[1].clone().reshape([6, 6, 3, 3]));
        let step = |y| conv2d_add(y, weight.clone(), Some(x[2].clone()), input.clone());
        flat(step(step(input.clone())))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (input, weight) = (image(&x[0], SHAPE, false), x[1].clone().reshape([6, 6, 3, 3]));
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let step = |y| burn_conv2d(y, weight.clone(), Some(x[2].clone()), options()) + input.clone();
        flat(step(step(input.clone())))
    }
}

/// The same embedding mapped by several blocks.
struct Embedding;

impl Op for Embedding {
    fn inputs(&self) -> Vec<usize> {
        vec![5 * 7, 3 * 7, 3 * 7, 3]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([5, 7]);
        let map = |i: usize, bias| linear(input.clone(), x[i].clone().reshape([3, 7]), bias);
        flat(map(1, Some(x[3].clone())) * map(2, None) + map(1, None))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([5, 7]);
        let map = |i: usize| input.clone().matmul(x[i].clone().reshape([3, 7]).transpose());
        flat((map(1) + x[3].clone().reshape([1, 3])) * map(2) + map(1))
    }
}

#[test]
fn gradients_of_residual_connections_add_up() {
    check(Skipped);
    check_without_some(&Skipped, |i| i != 0);
}

#[test]
fn gradients_of_linear_maps_of_one_input_add_up() {
    check(Embedding);
    check_without_some(&Embedding, |i| i != 0);
}
