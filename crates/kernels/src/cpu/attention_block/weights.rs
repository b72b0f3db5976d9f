//! Weights, packed once for all images.

use super::{AttentionBlock, AttentionWeights};
use crate::cpu::gemm::{Left, PackA, pack_a, packed_a_len};
use crate::cpu::isa::Isa;
use crate::cpu::scratch::Shared;

/// Left operands of the products with pixels.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    /// To queries, keys and values, `[3 inner, c]`, or for the gradient its transpose.
    qkv: Shared,
    /// The output, `[c, inner]`, or for the gradient its transpose.
    out: Shared,
    /// `[3 inner]`
    bias: Shared,
}

impl Packed {
    /// Floats of scratch.
    pub(super) fn len(s: &AttentionBlock) -> usize {
        let (c, inner) = (s.c, s.inner());
        // Joined, and packed; that of the output; the biases.
        2 * packed_a_len(3 * inner, c) + packed_a_len(c, inner) + 3 * inner
    }

    /// Packs into `scratch`, `[len]`.
    pub(super) fn new(isa: Isa, s: &AttentionBlock, w: &AttentionWeights, backward: bool, scratch: &mut [f32]) -> Self {
        let (c, inner) = (s.c, s.inner());
        assert!(scratch.len() >= Self::len(s));
        let (joined, rest) = scratch.split_at_mut(3 * inner * c);
        let (qkv, rest) = rest.split_at_mut(3 * inner * c);
        let (out, bias) = rest.split_at_mut(inner * c);
        for i in 0..3 {
            joined[i * inner * c..][..inner * c].copy_from_slice(w.weight[i]);
            bias[i * inner..][..inner].copy_from_slice(w.bias[i]);
        }
        if backward {
            pack(isa, joined, [1, c], [c, 3 * inner], qkv);
            pack(isa, w.weight[3], [1, inner], [inner, c], out);
        } else {
            pack(isa, joined, [c, 1], [3 * inner, c], qkv);
            pack(isa, w.weight[3], [inner, 1], [c, inner], out);
        }
        let [qkv, out, bias] = [qkv, out, bias].map(Shared::new);
        Self { qkv, out, bias }
    }

    pub(super) fn qkv(&self) -> Left {
        Left::Packed(self.qkv.at(0))
    }

    pub(super) fn out(&self) -> Left {
        Left::Packed(self.out.at(0))
    }

    pub(super) fn qkv_bias(&self) -> *const f32 {
        self.bias.at(0)
    }
}

/// An `m` × `k` matrix, element `(i, j)` at `i rs + j cs`.
fn pack(isa: Isa, values: &[f32], [rs, cs]: [usize; 2], [m, k]: [usize; 2], to: &mut [f32]) {
    assert!(values.len() == m * k && to.len() >= packed_a_len(m, k));
    let pack = PackA { src: values.as_ptr(), rs, cs, m, k, factor: 1.0, dst: to.as_mut_ptr() };
    // SAFETY: the lengths were checked.
    unsafe { pack_a(isa, &pack) }
}
