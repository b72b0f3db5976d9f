//! Weights, packed once for all images.

use super::merged::Merged;
use super::{AttentionBlock, AttentionWeights};
use crate::gemm::{Left, PANEL, PackA, pack_a, packed_a_len};
use crate::isa::Isa;
use crate::panel::{Panel, PanelMut};

/// Left operands of the products with pixels, of merged maps right ones.
pub(super) struct Packed {
    /// To queries, keys and values, `[3 inner, c]`, or for the gradient its transpose; of merged maps to queries, the transpose of
    /// `[c, c]`, or for the gradient itself.
    qkv: Vec<f32>,
    /// The output, `[c, inner]`, or for the gradient its transpose; of merged maps the other way round.
    out: Vec<f32>,
    /// `[3 inner]` and `[c]`; of merged maps `[c]` both, and zeros up to whole panels.
    bias: [Vec<f32>; 2],
}

impl Packed {
    pub(super) fn new(isa: Isa, s: &AttentionBlock, w: &AttentionWeights, backward: bool) -> Self {
        let (c, inner) = (s.c, s.inner());
        if s.is_merged() {
            let Merged { weight, bias } = Merged::new(isa, s, w);
            let strides = if backward { [c, 1] } else { [1, c] };
            let [qkv, out] = weight.map(|weight| pack_panels(isa, &weight, strides, c));
            let bias = bias.map(|mut bias| {
                bias.resize(s.wide_channels(), 0.0);
                bias
            });
            return Self { qkv, out, bias };
        }
        let (qkv, out) = (w.weight[..3].concat(), w.weight[3]);
        let rows = qkv.len() / c;
        let (qkv, out) = if backward {
            (pack(isa, &qkv, [1, c], [c, rows]), pack(isa, out, [1, inner], [inner, c]))
        } else {
            (pack(isa, &qkv, [c, 1], [rows, c]), pack(isa, out, [inner, 1], [c, inner]))
        };
        Self { qkv, out, bias: [w.bias[..3].concat(), w.bias[3].to_vec()] }
    }

    /// Of merged maps to queries and from the attended image.
    pub(super) fn panels(&self) -> [Panel; 2] {
        [Panel::new(&self.qkv, PANEL), Panel::new(&self.out, PANEL)]
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

/// A square matrix of `c` rows, element `(i, j)` at `i rs + j cs`, as a right operand.
fn pack_panels(isa: Isa, values: &[f32], strides: [usize; 2], c: usize) -> Vec<f32> {
    assert!(values.len() == c * c);
    let mut to = vec![0.0; c * c.next_multiple_of(PANEL)];
    // SAFETY: the lengths were checked.
    unsafe { super::pack(isa, Panel::new(values, c), strides, [c, c], PanelMut::new(&mut to, PANEL), c * PANEL) };
    to
}
