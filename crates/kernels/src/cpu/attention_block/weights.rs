//! Weights, packed once for all images.

use super::merged::Merged;
use super::{AttentionBlock, AttentionWeights};
use crate::cpu::gemm::{Left, PackA, pack_a, packed_a_len};
use crate::cpu::isa::Isa;
use std::borrow::Cow;

/// Left operands of the products with pixels.
pub(super) struct Packed {
    /// To queries, keys and values, `[3 inner, c]`, of merged maps to queries, `[c, c]`; or for the gradient its transpose.
    qkv: Vec<f32>,
    /// The output, `[c, inner]`, or for the gradient its transpose.
    out: Vec<f32>,
    /// `[3 inner]` or `[c]`, and `[c]`.
    bias: [Vec<f32>; 2],
}

impl Packed {
    pub(super) fn new(isa: Isa, s: &AttentionBlock, w: &AttentionWeights, backward: bool) -> Self {
        let (c, inner) = (s.c, s.inner());
        let (qkv, out, bias) = if s.is_merged() {
            let Merged { weight: [query, out], bias } = Merged::new(s, w);
            (query, Cow::Owned(out), bias)
        } else {
            (w.weight[..3].concat(), Cow::Borrowed(w.weight[3]), [w.bias[..3].concat(), w.bias[3].to_vec()])
        };
        let rows = qkv.len() / c;
        let (qkv, out) = if backward {
            (pack(isa, &qkv, [1, c], [c, rows]), pack(isa, &out, [1, inner], [inner, c]))
        } else {
            (pack(isa, &qkv, [c, 1], [rows, c]), pack(isa, &out, [inner, 1], [c, inner]))
        };
        Self { qkv, out, bias }
    }

    pub(super) fn qkv(&self) -> Left {
        Left::Packed(self.qkv.as_ptr())
    }

    pub(super) fn out(&self) -> Left {
        Left::Packed(self.out.as_ptr())
    }

    /// Of [`Self::qkv`] and [`Self::out`].
    pub(super) fn bias(&self) -> [*const f32; 2] {
        self.bias.each_ref().map(|bias| bias.as_ptr())
    }
}

/// An `m` × `k` matrix, element `(i, j)` at `i rs + j cs`.
fn pack(isa: Isa, values: &[f32], [rs, cs]: [usize; 2], [m, k]: [usize; 2]) -> Vec<f32> {
    assert!(values.len() == m * k);
    let mut to = vec![0.0; packed_a_len(m, k)];
    let pack = PackA { src: values.as_ptr(), rs, cs, m, k, factor: 1.0, dst: to.as_mut_ptr() };
    // SAFETY: the lengths were checked.
    unsafe { pack_a(isa, &pack) };
    to
}
