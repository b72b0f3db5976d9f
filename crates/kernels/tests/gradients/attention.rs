//! Attention of tokens and of pixels.

use super::*;

struct Attention {
    n: usize,
    m: usize,
    d: usize,
    d_v: usize,
}
impl Attention {
    fn split<B: Burn>(&self, x: &[Tensor<B, 1>]) -> [Tensor<B, 4>; 3] {
        let Self { n, m, d, d_v } = *self;
        // Heads as a network makes them: [batch, n, heads, d] with the middle axes exchanged.
        let q = x[0].clone().reshape([2, n, 3, d]).swap_dims(1, 2);
        let k = x[1].clone().reshape([2, m, 3, d]).swap_dims(1, 2);
        [q, k, x[2].clone().reshape([2, 3, m, d_v])]
    }
}
impl Op for Attention {
    fn inputs(&self) -> Vec<usize> {
        let Self { n, m, d, d_v } = *self;
        vec![6 * n * d, 6 * m * d, 6 * m * d_v]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [q, k, v] = self.split(x);
        flat(attention(q, k, v))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [q, k, v] = self.split(x);
        flat(attended(q, k, v))
    }
}

struct SpatialAttention {
    heads: usize,
    /// Channels of queries.
    inner: usize,
}
impl Op for SpatialAttention {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * self.inner * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(spatial_self_attention(image(&x[0], [2, 3 * self.inner, 5, 7], false), self.heads))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let d = self.inner / self.heads;
        let [q, k, v] = [0, 1, 2].map(|i: usize| {
            let x: Tensor<B, 4> = image(&x[0], [2, 3 * self.inner, 5, 7], false);
            x.narrow(1, self.inner * i, self.inner).reshape([2, self.heads, d, 35]).swap_dims(2, 3)
        });
        flat(attended(q, k, v).swap_dims(2, 3))
    }
}

#[test]
fn spatial_self_attention_matches() {
    check(SpatialAttention { heads: 1, inner: 6 });
    check(SpatialAttention { heads: 3, inner: 6 });
    // The softmax of large numbers would make what is rounded larger.
    check_bf16(Scaled(SpatialAttention { heads: 1, inner: 17 }, 0.5), &[0]);
    check_bf16(Scaled(SpatialAttention { heads: 2, inner: 40 }, 0.5), &[0]);
}

#[test]
fn attention_matches() {
    for (n, m, d, d_v) in [(5, 5, 8, 8), (49, 49, 16, 16), (7, 19, 3, 5), (1, 2, 1, 1)] {
        check(Attention { n, m, d, d_v });
    }
}
