//! Self-attention over pixels and its gradient, 32 queries at a time.
//!
//! With queries as columns, scores are panels `[keys][32]`: what the softmax of columns wants, and pairs of their rows are the B tiles of the next
//! product. So nothing is turned but keys and values, once a head, and the operands of the sums over queries.
//!
//! Queries, keys, values, the gradient of the result, probabilities and the gradient of the scores are rounded; scores, softmax and sums are f32.

use super::grid::Grid;
use super::memory::{self, Parts, Shared};
use super::panel::{self, BLOCK, block_len};
use super::tiles::Tiles;
use crate::attention::{SelfAttention, factor};
use crate::isa::Isa;
use crate::softmax::{Columns, softmax, softmax_gradient};
use rayon::prelude::*;

/// Steps of one call of the inner kernel; more of them lose time.
const STEPS: usize = 32;
/// Panels of queries whose turned probabilities are kept for the sums over queries, at most, and their bytes.
const PANELS: usize = 8;
const PANELS_BYTES: usize = 1 << 20;

/// Sizes of a head in blocks of 32, and in numbers of its operands.
#[derive(Clone, Copy)]
struct Head {
    tokens: usize,
    d: usize,
    /// Blocks of tokens and of channels.
    across: usize,
    high: usize,
    grid: Grid,
    factor: f32,
}

impl Head {
    fn new(s: &SelfAttention) -> Self {
        let (tokens, d) = (s.tokens, s.d);
        let [across, high] = [tokens, d].map(|size| size.div_ceil(BLOCK));
        Self { tokens, d, across, high, grid: Grid::new(1, 1, tokens, 1), factor: factor(d) }
    }

    /// Numbers of `tokens × channels` as a panel, and as rows.
    fn panel_len(&self) -> usize {
        self.high * block_len(&self.grid)
    }

    fn rows_len(&self) -> usize {
        self.high * self.across * 1024
    }

    /// Bytes from a channel's tokens to the next channel's in rows.
    fn row(&self) -> usize {
        self.across * BLOCK * 2
    }

    /// Planes `[d, tokens]` as a panel: A tiles of tokens.
    fn pack_panel(&self, x: &[f32], to: &mut [u16]) {
        for (b, to) in to.chunks_exact_mut(block_len(&self.grid)).enumerate() {
            // SAFETY: the block is this call's own.
            unsafe {
                panel::pack_image(&self.grid, &self.grid.all(), x, panel::planes(self.d, 0, b), 0, to.as_mut_ptr())
            };
        }
    }

    /// Planes as rows: A tiles of channels.
    fn pack_rows(&self, x: &[f32], to: &mut [u16]) {
        let width = self.across * BLOCK;
        let (there, rest) = to.split_at_mut(self.d * width);
        for (x, to) in x.chunks_exact(self.tokens).zip(there.chunks_exact_mut(width)) {
            // SAFETY: the processor has what it needs.
            #[cfg_attr(not(target_arch = "x86_64"), expect(unused_unsafe, reason = "there is plain code alone"))]
            unsafe {
                around!(round_row(x, to));
            }
        }
        rest.fill(0);
    }

    /// 32 queries of planes, from `i` on, as B tiles.
    fn pack_queries(&self, x: &[f32], i: usize, to: &mut [u16]) {
        pack_columns(&x[i..], [self.d, (self.tokens - i).min(BLOCK)], self.tokens, to);
    }

    /// `[tokens][32 queries]` from a panel of tokens and packed queries.
    fn scores(&self, tiles: &Tiles, tokens: &[u16], queries: &[u16], steps: &[usize], to: &mut [f32]) {
        debug_assert!(to.len() == self.across * 1024 && self.grid.line() >= self.across * BLOCK);
        for (j, to) in to.chunks_exact_mut(1024).enumerate() {
            let at = [0, 16].map(|half| tokens[(j * BLOCK + half) * BLOCK..].as_ptr());
            product(tiles, steps, at, 64, queries, to, false);
        }
    }

    /// Channels by 32 queries to planes, from rows and a panel `[tokens][32]` of f32.
    #[allow(clippy::too_many_arguments)] // two operands and where their product goes
    fn results(
        &self,
        tiles: &Tiles,
        rows: &[u16],
        (panel, packed): (&[f32], &mut [u16]),
        steps: &[usize],
        block: &mut [f32],
        to: Shared<f32>,
        i: usize,
    ) {
        pack_columns(panel, [self.tokens, BLOCK], BLOCK, packed);
        for c in 0..self.high {
            product(tiles, steps, self.channels(rows, c, 0), self.row(), packed, block, false);
            // SAFETY: these queries of the planes are the caller's.
            unsafe { self.write(block, c, i, to) };
        }
    }

    /// The two tiles of a block of channels in rows, from a query on.
    fn channels(&self, rows: &[u16], c: usize, i: usize) -> [*const u16; 2] {
        [0, 16].map(|half| rows[(c * BLOCK + half) * self.across * BLOCK + i..].as_ptr())
    }

    /// A block of channels by tokens from `i` on, to planes.
    ///
    /// # Safety
    /// Nobody else may use these tokens of the planes.
    unsafe fn write(&self, block: &[f32], c: usize, i: usize, to: Shared<f32>) {
        let width = (self.tokens - i).min(BLOCK);
        for (row, values) in block.chunks_exact(BLOCK).enumerate().take(self.d - c * BLOCK) {
            let at = to.at((c * BLOCK + row) * self.tokens + i);
            // SAFETY: the caller's contract; the channel is one of the head's.
            unsafe { at.copy_from_nonoverlapping(values.as_ptr(), width) };
        }
    }

    /// Bytes between the channels' blocks of a panel, and between the blocks of tokens of rows.
    fn steps(&self) -> [Vec<usize>; 2] {
        let panel = (0..self.high).map(|b| b * block_len(&self.grid) * 2).collect();
        [panel, (0..self.across).map(|b| b * BLOCK * 2).collect()]
    }
}

/// A block of 32 by 32, of any number of steps.
fn product(
    tiles: &Tiles,
    steps: &[usize],
    at: [*const u16; 2],
    stride: usize,
    packed: &[u16],
    to: &mut [f32],
    load: bool,
) {
    assert!(packed.len() >= steps.len() * 1024 && to.len() == 1024);
    for (i, steps) in steps.chunks(STEPS).enumerate() {
        let packed = packed[i * STEPS * 1024..].as_ptr();
        // SAFETY: the callers' operands have as many rows and steps; all scratch memory is aligned.
        unsafe { tiles.block::<false>(steps, at, stride, packed, to.as_mut_ptr(), load || i > 0) };
    }
}

/// A matrix of f32 as B tiles `[block of 32 rows][2 tiles of columns][16 pairs of rows][16 columns][2]`, with zeros after its `size`.
fn pack_columns(x: &[f32], [rows, width]: [usize; 2], stride: usize, to: &mut [u16]) {
    debug_assert_eq!(to.len(), rows.div_ceil(BLOCK) * 1024);
    for (b, to) in to.chunks_exact_mut(1024).enumerate() {
        let size = [(rows - b * BLOCK).min(BLOCK), width];
        // SAFETY: the processor has what it needs.
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_unsafe, reason = "there is plain code alone"))]
        unsafe {
            around!(columns(&x[b * BLOCK * stride..], size, stride, to));
        }
    }
}

/// `y = softmax(qᵀ k / sqrt(d)) v` of every head.
pub(crate) fn forward(s: &SelfAttention, qkv: &[f32], y: &mut [f32]) {
    let (head, isa, to) = (Head::new(s), Isa::current(), Shared::new(y));
    let (all, size) = (s.images * s.heads, s.d * s.tokens);
    if all == 0 {
        return;
    }
    let [of_panel, of_rows] = head.steps();
    // Few heads: their queries are shared out. Every query is computed by itself, so this may depend on the threads.
    let shares = (2 * rayon::current_num_threads()).div_ceil(all.max(1)).min(head.across);
    let halves = [head.panel_len(), head.rows_len(), head.high * 1024, head.across * 1024];
    let floats = [head.across * 1024, 1024];
    (0..all * shares).into_par_iter().with_max_len(1).for_each(|i| {
        let (i, share) = (i / shares, i % shares);
        let [q, k, v] = operands(s, qkv, i);
        memory::with(&halves, &floats, |mut parts| {
            let [keys, values, queries, packed] = halves.map(|len| parts.halves(len));
            let [p, block] = floats.map(|len| parts.floats(len));
            head.pack_panel(k, keys);
            head.pack_rows(v, values);
            let tiles = Tiles::new();
            for panel in head.across * share / shares..head.across * (share + 1) / shares {
                head.pack_queries(q, panel * BLOCK, queries);
                head.scores(&tiles, keys, queries, &of_panel, p);
                // SAFETY: the panel has as many rows.
                unsafe { softmax(isa, &head.columns(p, None)) };
                let to = Shared::from(to.at(i * size));
                head.results(&tiles, values, (p, &mut *packed), &of_rows, block, to, panel * BLOCK);
            }
        });
    });
}

/// Queries, keys and values of head `i` of all.
fn operands<'a>(s: &SelfAttention, qkv: &'a [f32], i: usize) -> [&'a [f32]; 3] {
    let size = s.d * s.tokens;
    [0, 1, 2].map(|part| &qkv[place(s, i, part)..][..size])
}

/// Where they begin.
fn place(s: &SelfAttention, i: usize, part: usize) -> usize {
    ((i / s.heads * 3 + part) * s.heads + i % s.heads) * s.d * s.tokens
}

impl Head {
    /// A panel for softmax, and for its gradient where there is one.
    fn columns(&self, p: &mut [f32], d: Option<&mut [f32]>) -> Columns {
        let none = std::ptr::null_mut();
        let d = d.map_or(none, <[f32]>::as_mut_ptr);
        Columns { p: p.as_mut_ptr(), d, statistics: none, keys: self.tokens, width: BLOCK, factor: self.factor }
    }

    /// Panels of queries of a block.
    fn block(&self) -> usize {
        (PANELS_BYTES / (self.across * 2048)).clamp(PANELS / 2, PANELS).min(self.across)
    }
}

/// The gradient of [`forward`], laid out like `qkv`.
pub(crate) fn backward(s: &SelfAttention, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
    let (head, isa, size, to) = (Head::new(s), Isa::current(), s.d * s.tokens, Shared::new(dqkv));
    let (of_turned, panel, rows) = (head.across * head.block() * 1024, head.panel_len(), head.rows_len());
    let halves = [panel, panel, rows, rows, rows, head.high * 1024, head.across * 1024, of_turned, of_turned];
    let sums = head.high * head.across * 1024;
    let floats = [head.across * 1024, head.across * 1024, 1024, sums, sums];
    (0..s.images * s.heads).into_par_iter().with_max_len(1).for_each(|i| {
        let to = [0, 1, 2].map(|part| Shared::from(to.at(place(s, i, part))));
        memory::with(&halves, &floats, |parts| {
            let dy = &dy[i * size..][..size];
            backward_head(isa, &head, operands(s, qkv, i), dy, to, parts, (&halves, &floats));
        });
    });
}

#[allow(clippy::too_many_arguments)] // operands and results of one head
fn backward_head(
    isa: Isa,
    head: &Head,
    [q, k, v]: [&[f32]; 3],
    dy: &[f32],
    [dq, dk, dv]: [Shared<f32>; 3],
    mut parts: Parts,
    (halves, floats): (&[usize; 9], &[usize; 5]),
) {
    let [of_panel, of_rows] = head.steps();
    let [keys, values, key_rows, query_rows, dy_rows, queries, packed, p_turned, d_turned] =
        halves.map(|len| parts.halves(len));
    let [p, d, block, dk_sums, dv_sums] = floats.map(|len| parts.floats(len));
    for (x, to) in [(k, &mut *keys), (v, &mut *values)] {
        head.pack_panel(x, to);
    }
    for (x, to) in [(k, &mut *key_rows), (q, &mut *query_rows), (dy, &mut *dy_rows)] {
        head.pack_rows(x, to);
    }
    let (tiles, long) = (Tiles::new(), head.block());
    for first in (0..head.across).step_by(long) {
        let panels = long.min(head.across - first);
        for panel in 0..panels {
            let i = (first + panel) * BLOCK;
            head.pack_queries(q, i, queries);
            head.scores(&tiles, keys, queries, &of_panel, p);
            head.pack_queries(dy, i, queries);
            head.scores(&tiles, values, queries, &of_panel, d);
            // SAFETY: the panels have as many rows.
            unsafe {
                softmax(isa, &head.columns(p, None));
                softmax_gradient(isa, &head.columns(p, Some(&mut *d)));
            }
            head.results(&tiles, key_rows, (d, &mut *packed), &of_rows, block, dq, i);
            for (from, to) in [(&*p, &mut *p_turned), (&*d, &mut *d_turned)] {
                for (j, from) in from.chunks_exact(1024).enumerate() {
                    let to = &mut to[(j * panels + panel) * 1024..][..1024];
                    // SAFETY: the processor has what it needs.
                    #[cfg_attr(
                        not(target_arch = "x86_64"),
                        expect(unused_unsafe, reason = "there is plain code alone")
                    )]
                    unsafe {
                        around!(turn_columns(from, to));
                    }
                }
            }
        }
        for (rows, turned, sums) in [(&*query_rows, &*d_turned, &mut *dk_sums), (&*dy_rows, &*p_turned, &mut *dv_sums)]
        {
            for (b, sums) in sums.chunks_exact_mut(1024).enumerate() {
                let (c, j) = (b / head.across, b % head.across);
                let at = head.channels(rows, c, first * BLOCK);
                product(&tiles, &of_rows[..panels], at, head.row(), &turned[j * panels * 1024..], sums, first > 0);
            }
        }
    }
    for (sums, to) in [(&*dk_sums, dk), (&*dv_sums, dv)] {
        for (b, sums) in sums.chunks_exact(1024).enumerate() {
            // SAFETY: the head's planes are this task's.
            unsafe { head.write(sums, b / head.across, b % head.across * BLOCK, to) };
        }
    }
}
