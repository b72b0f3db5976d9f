//! `softmax(q kᵀ / sqrt(d)) v` and its gradients, 32 queries at a time.
//!
//! The scores of 32 queries are computed as a panel `[keys][32]`: just what the softmax of columns wants, and the packed
//! operand of the next product. The panel stays in the L1 cache; the gradient computes it again. Keys and values are read
//! where they are: a tile needs only a few numbers of them a step.

mod backward;
pub(super) mod packed;

pub use backward::{attention_backward, self_attention_backward};

use super::bf16;
use super::gemm::PANEL;
use super::isa::Isa;
use super::scratch::{Shared, with};
use super::simd::L;
use super::sizes::{check_len, values};
use super::softmax::{Columns, softmax};
use packed::{Strided, cut, fetch, pack_right, product, product_to};
use rayon::prelude::*;

/// Sizes of an attention of tokens, `[heads, tokens, size]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Images times heads.
    pub heads: usize,
    /// Queries.
    pub n: usize,
    /// Keys and values.
    pub m: usize,
    /// Size of a query and a key.
    pub d: usize,
    /// Size of a value.
    pub d_v: usize,
}

/// Sizes of a self-attention over the pixels of images: `[images, 3, heads, d, tokens]`, that is queries, keys and values
/// as a 1×1 convolution to three times the channels leaves them; results `[images, heads, d, tokens]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SelfAttention {
    /// Images.
    pub images: usize,
    /// Heads of an image.
    pub heads: usize,
    /// Pixels of an image.
    pub tokens: usize,
    /// Channels of a head.
    pub d: usize,
}

/// Where a head's `tokens × size` matrix lies.
#[derive(Clone, Copy)]
struct Operand {
    values: Shared,
    /// Floats from one image, and one head of it, to the next.
    image: usize,
    head: usize,
    /// Distance of tokens, and of the numbers of one.
    rs: usize,
    cs: usize,
}

impl Operand {
    /// `[heads, tokens, size]`
    fn tokens(values: Shared, tokens: usize, size: usize) -> Self {
        Self { values, image: tokens * size, head: 0, rs: size, cs: 1 }
    }

    /// Part `part` of `[images, parts, heads, d, tokens]`.
    fn pixels(values: Shared, s: &SelfAttention, part: usize, parts: usize) -> Self {
        let head = s.d * s.tokens;
        let values = Shared::from(values.at(part * s.heads * head));
        Self { values, image: parts * s.heads * head, head, rs: 1, cs: s.tokens }
    }

    fn matrix(&self, [image, head]: [usize; 2]) -> Strided {
        Strided { at: self.values.at(image * self.image + head * self.head), rs: self.rs, cs: self.cs }
    }
}

/// Sizes of every head, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    images: usize,
    heads: usize,
    n: usize,
    m: usize,
    d: usize,
    d_v: usize,
}

impl Sizes {
    fn factor(&self) -> f32 {
        factor(self.d)
    }

    /// Image and head of the `i`-th of all heads.
    fn place(&self, i: usize) -> [usize; 2] {
        [i / self.heads, i % self.heads]
    }
}

impl Attention {
    /// Values of the result.
    pub(crate) fn output_len(&self) -> usize {
        values("attention", [self.heads, self.n, self.d_v])
    }

    /// Panics unless the lengths of queries, keys, values and the result fit.
    pub(crate) fn check(&self, [q, k, v]: [usize; 3], y: usize) -> Sizes {
        let Self { heads, n, m, d, d_v } = *self;
        for (name, len, sizes) in
            [("q", q, [heads, n, d]), ("k", k, [heads, m, d]), ("v", v, [heads, m, d_v]), ("y", y, [heads, n, d_v])]
        {
            check_len("attention", name, len, values("attention", sizes));
        }
        assert!(m > 0 && d > 0, "attention: there must be keys, and they must have a size");
        Sizes { images: heads, heads: 1, n, m, d, d_v }
    }

    fn operands(&self, [q, k, v]: [Shared; 3]) -> [Operand; 3] {
        [(q, self.n, self.d), (k, self.m, self.d), (v, self.m, self.d_v)].map(|(x, n, d)| Operand::tokens(x, n, d))
    }
}

impl SelfAttention {
    /// Panics unless the lengths of queries, keys and values together and of the result fit.
    pub(crate) fn check(&self, qkv: usize, y: usize) -> Sizes {
        let Self { images, heads, tokens, d } = *self;
        let what = "self_attention";
        check_len(what, "y", y, values(what, [images, heads, d, tokens]));
        check_len(what, "qkv", qkv, 3 * y);
        assert!(tokens > 0 && d > 0, "attention: there must be keys, and they must have a size");
        Sizes { images, heads, n: tokens, m: tokens, d, d_v: d }
    }

    fn operands(&self, qkv: Shared) -> [Operand; 3] {
        [0, 1, 2].map(|part| Operand::pixels(qkv, self, part, 3))
    }
}

/// `y = softmax(q kᵀ / sqrt(d)) v`; `q` has `n` tokens of size `d`, `k` and `v` have `m`, `y` has `n` of size `d_v`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention(s: &Attention, qkv: [&[f32]; 3], y: &mut [f32]) {
    let sizes = s.check(qkv.map(<[f32]>::len), y.len());
    let y = Operand::tokens(Shared::new(y), s.n, s.d_v);
    forward(Isa::current(), &sizes, s.operands(qkv.map(Shared::read)), y);
}

/// [`attention`] of the pixels of images.
///
/// # Panics
/// If a length does not fit, or there are no pixels.
pub fn self_attention(s: &SelfAttention, qkv: &[f32], y: &mut [f32]) {
    let sizes = s.check(qkv.len(), y.len());
    if bf16::is_attention_chosen(s.d) {
        return bf16::attention::forward(s, qkv, y);
    }
    let y = Operand::pixels(Shared::new(y), s, 0, 1);
    forward(Isa::current(), &sizes, s.operands(Shared::read(qkv)), y);
}

fn forward(isa: Isa, s: &Sizes, [q, k, v]: [Operand; 3], y: Operand) {
    let panels = s.n.div_ceil(PANEL);
    let all = s.images * s.heads;
    // Few heads: their queries are shared out. Every query is computed by itself, so this may depend on the threads.
    let shares = (2 * rayon::current_num_threads()).div_ceil(all.max(1)).min(panels);
    let len = PANEL * (s.d + s.m + s.d_v);
    (0..all * shares).into_par_iter().with_max_len(1).for_each(|i| {
        let (place, share) = (s.place(i / shares), i % shares);
        with(len, |mut scratch| {
            // With queries as columns, all operands are transposed.
            let (q_columns, y_columns) = (q.matrix(place).transposed(), y.matrix(place).transposed());
            let (keys, values) = (k.matrix(place), v.matrix(place).transposed());
            let next = s.place((i / shares + 1).min(all - 1));
            let mine = panels * share / shares..panels * (share + 1) / shares;
            // SAFETY: `check` saw the lengths; every task writes its own queries.
            unsafe {
                let (q_panel, p) = (cut(&mut scratch, PANEL * s.d), cut(&mut scratch, PANEL * s.m));
                for panel in mine.clone() {
                    let part = [panel - mine.start, mine.len()];
                    for (x, len) in [(q, s.n * s.d), (k, s.m * s.d), (v, s.m * s.d_v), (y, s.n * s.d_v)] {
                        fetch(isa, x.matrix(next), len, part);
                    }
                    let j = panel * PANEL;
                    let width = (s.n - j).min(PANEL);
                    pack_right(isa, q_columns.columns_from(j), [s.d, width], q_panel);
                    product(isa, [s.m, vectors(width), s.d], keys.left(), q_panel, p.as_mut_ptr(), PANEL, false);
                    softmax(isa, &columns(s, width, p));
                    product_to(isa, [s.d_v, width, s.m], values.left(), p, y_columns.columns_from(j), scratch);
                }
            }
        })
    });
}

/// `1 / sqrt(d)`, what scores are multiplied by.
pub(super) fn factor(d: usize) -> f32 {
    (1.0 / (d as f64).sqrt()) as f32
}

/// Columns of whole vectors.
pub(super) fn vectors(width: usize) -> usize {
    width.next_multiple_of(L)
}

fn columns(s: &Sizes, width: usize, p: &mut [f32]) -> Columns {
    let none = std::ptr::null_mut();
    Columns { p: p.as_mut_ptr(), d: none, statistics: none, keys: s.m, width, factor: s.factor() }
}
