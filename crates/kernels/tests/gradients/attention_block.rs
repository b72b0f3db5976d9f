//! The attention block of a U-Net.

use super::*;

struct Block {
    x: [usize; 4],
    groups: Option<usize>,
    heads: usize,
    inner: usize,
}
impl Block {
    /// Queries and keys share a bias: that of the keys alone has no gradient but rounding errors.
    fn maps<B: Burn>(&self, x: &[Tensor<B, 1>]) -> ([Tensor<B, 2>; 4], [Tensor<B, 1>; 4]) {
        let ([_, c, _, _], inner) = (self.x, self.inner);
        let weight = [1, 2, 3].map(|i: usize| x[i].clone().reshape([c, inner]).transpose());
        let [q, k, v] = weight;
        let biases = [5, 5, 6, 7].map(|i: usize| x[i].clone());
        ([q, k, v, x[4].clone().reshape([c, inner])], biases)
    }
}
impl Op for Block {
    fn inputs(&self) -> Vec<usize> {
        let ([_, c, _, _], inner) = (self.x, self.inner);
        let mut all = vec![self.x.iter().product(), c * inner, c * inner, c * inner, c * inner, inner, inner, c];
        all.extend(self.groups.into_iter().flat_map(|_| [c, c]));
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (weight, bias) = self.maps(x);
        let norm = self.groups.map(|_| [x[8].clone(), x[9].clone()]);
        let input = image(&x[0], self.x, true);
        let spec = AttentionBlockSpec { heads: self.heads, groups: self.groups.unwrap_or(1), eps: 1e-5 };
        // Used again, so that its gradients meet
        flat(attention_block(input.clone(), AttentionBlockParams { norm, weight, bias }, spec) * input)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, h, w] = self.x;
        let (heads, inner) = (self.heads, self.inner);
        let input: Tensor<B, 4> = image(&x[0], self.x, true);
        let normed = match self.groups {
            Some(groups) => {
                normalised(input.clone(), groups) * x[8].clone().reshape([1, c, 1, 1])
                    + x[9].clone().reshape([1, c, 1, 1])
            }
            None => input.clone(),
        };
        let (weight, bias) = self.maps(x);
        let map = |i: usize, x: Tensor<B, 3>| {
            let [out, _] = weight[i].dims();
            weight[i].clone().unsqueeze::<3>().matmul(x) + bias[i].clone().reshape([1, out, 1])
        };
        let [q, k, v] = [0, 1, 2].map(|i| {
            let x = map(i, normed.clone().reshape([n, c, h * w]));
            x.reshape([n, heads, inner / heads, h * w]).swap_dims(2, 3)
        });
        let attended = attended(q, k, v).swap_dims(2, 3).reshape([n, inner, h * w]);
        flat((map(3, attended).reshape([n, c, h, w]) + input.clone()) * input)
    }
}

#[test]
fn attention_block_matches() {
    // Computed image by image, with and without the probabilities kept
    for (groups, heads, inner) in [(Some(3), 2, 4), (None, 1, 33), (Some(2), 1, 3)] {
        check(Block { x: [9, 6, 10, 11], groups, heads, inner });
    }
    // In its parts
    check(Block { x: [3, 6, 5, 7], groups: Some(2), heads: 2, inner: 10 });
    check(Block { x: [1, 4, 3, 3], groups: None, heads: 1, inner: 4 });
    // The softmax of large numbers would make what is rounded larger.
    let block = Block { x: [3, 20, 5, 7], groups: Some(2), heads: 2, inner: 16 };
    check_bf16(Scaled(block, 0.3), &[1, 3, 5]);
}

/// The gradient of the whole is computed, and given to those who want a part of it.
#[test]
fn attention_block_without_some_gradients_has_the_others() {
    check_without_some(&Block { x: [9, 6, 10, 11], groups: Some(3), heads: 2, inner: 4 }, |i| i == 0 || i == 4);
}
