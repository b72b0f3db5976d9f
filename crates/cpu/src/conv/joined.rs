//! The 1×1 convolution of channels that lie in two tensors, whose weight has columns for both.

use super::gradients::{Gradients, gradients};
use super::lowered::{Images, Lowered};
use super::product::convolve;
use super::taps::{Grid, Table, Tap};
use super::{pointwise, weight};
use crate::bf16;
use crate::elementwise::sum_images_on;
use crate::gemm::Matrix;
use crate::isa::Isa;
use crate::scratch::with;
use crate::sizes::{check_len, check_option, values};

/// In messages.
const NAME: &str = "conv1x1_joined";

/// Sizes of a 1×1 convolution of channels in two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinedConv1x1 {
    /// Images.
    pub n: usize,
    /// Input channels in either tensor.
    pub c: [usize; 2],
    /// Output channels.
    pub k: usize,
    /// Pixels of an image.
    pub pixels: usize,
}

impl JoinedConv1x1 {
    /// Values of input `i`.
    pub fn input_len(&self, i: usize) -> usize {
        values(NAME, [self.n, self.c[i], self.pixels])
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        values(NAME, [self.n, self.k, self.pixels])
    }

    /// Values of the weight.
    pub fn weight_len(&self) -> usize {
        values(NAME, [self.k, self.columns()])
    }

    /// Columns of the weight.
    fn columns(&self) -> usize {
        // Too many are refused with the weight's length.
        self.c[0].saturating_add(self.c[1])
    }

    /// The first column of input `i`.
    fn column(&self, i: usize) -> usize {
        [0, self.c[0]][i]
    }

    /// Panics unless inputs, output and weight are so long.
    #[track_caller]
    pub(crate) fn check(&self, inputs: [usize; 2], output: usize, weight: usize) {
        check_len(NAME, "the weight", weight, self.weight_len());
        check_len(NAME, "the output", output, self.output_len());
        inputs.iter().enumerate().for_each(|(i, &input)| check_len(NAME, "an input", input, self.input_len(i)));
    }

    /// Panics unless what is added to the gradients of the inputs is as long as they are, and the bias as it must be.
    #[track_caller]
    pub(crate) fn check_options(&self, add: [Option<&[f32]>; 2], bias: Option<&[f32]>) {
        add.iter().enumerate().for_each(|(i, &add)| check_option(NAME, "what is added", add, self.input_len(i)));
        check_option(NAME, "the bias, or its gradient,", bias, self.k);
    }

    /// The sizes for bf16, where it is chosen and pays.
    fn in_bf16(&self) -> Option<bf16::Sizes> {
        bf16::Sizes { n: self.n, h: 1, w: self.pixels, c: self.c, k: self.k, taps: 1, strided: None }.chosen()
    }

    fn table(&self) -> Table {
        let width = self.pixels;
        let grid = Grid { rows: 1, columns: width, step: 1, height: 1, width };
        Table::new(&grid, &[Tap { dy: 0, dx: 0 }])
    }

    fn images<'a>(&self, values: &'a [f32], channels: usize) -> Images<'a> {
        Images { values, n: self.n, channels, stride: self.pixels }
    }
}

/// `y = weight [x[0], x[1]] + bias` in every pixel.
///
/// # Shapes
/// `x[i]: [n, c[i], pixels]`, `weight: [k, c[0] + c[1]]`, `bias: [k]`, `y: [n, k, pixels]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined(s: &JoinedConv1x1, x: [&[f32]; 2], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    s.check(x.map(<[f32]>::len), y.len(), weight.len());
    s.check_options([None, None], bias);
    if y.is_empty() {
        return;
    }
    if let Some(sizes) = s.in_bf16() {
        return bf16::forward(&sizes, x, weight, bias, None, y);
    }
    let images = [0, 1].map(|i| s.images(x[i], s.c[i]));
    let matrix = Matrix::rows(weight, s.columns());
    convolve(Isa::current(), &Lowered { images, table: &s.table(), m: s.k, matrix, bias, add: None }, y);
}

/// Input gradients of [`conv1x1_joined`], plus `add[i]` (in the shape of `dx[i]`).
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined_backward_input(
    s: &JoinedConv1x1,
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    dx: [&mut [f32]; 2],
) {
    backward_input(Isa::current(), s, dy, weight, add, dx);
}

fn backward_input(
    isa: Isa,
    s: &JoinedConv1x1,
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    dx: [&mut [f32]; 2],
) {
    s.check(dx.each_ref().map(|dx| dx.len()), dy.len(), weight.len());
    s.check_options(add, None);
    if dx.iter().all(|dx| dx.is_empty()) {
        return;
    }
    if let Some(sizes) = s.in_bf16() {
        return bf16::backward(&sizes, [&[]; 2], dy, weight, add, Some(dx), None);
    }
    let table = s.table();
    let images = [s.images(dy, s.k), Images::NONE];
    for (i, dx) in dx.into_iter().enumerate() {
        let matrix = Matrix { values: weight.get(s.column(i)..).unwrap_or(&[]), rs: 1, cs: s.columns() };
        convolve(isa, &Lowered { images, table: &table, m: s.c[i], matrix, bias: None, add: add[i] }, dx);
    }
}

/// All gradients of [`conv1x1_joined`]: those of [`conv1x1_joined_backward_input`] and [`conv1x1_joined_backward_weight`],
/// of small matrices in one pass over the pixels.
///
/// # Panics
/// If a length does not fit.
#[allow(clippy::too_many_arguments)] // operands and results of one operation
pub fn conv1x1_joined_backward(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    dx: [&mut [f32]; 2],
    dw: &mut [f32],
    mut db: Option<&mut [f32]>,
) {
    s.check(x.map(<[f32]>::len), dy.len(), weight.len());
    dx.iter().zip(x).for_each(|(dx, x)| check_len(NAME, "dx", dx.len(), x.len()));
    s.check_options(add, db.as_deref());
    check_len(NAME, "dw", dw.len(), weight.len());
    let (isa, [dx0, dx1]) = (Isa::current(), dx);
    if let Some(sizes) = s.in_bf16() {
        bf16::backward(&sizes, x, dy, weight, add, Some([dx0, dx1]), Some(dw));
        if let Some(db) = db {
            sum_images_on(isa, dy, s.n, s.k, db);
        }
        return;
    }
    let known = Gradients { n: s.n, pixels: s.pixels, c: s.c, k: s.k, x, dy, weight, add };
    if gradients(isa, &known, [&mut *dx0, &mut *dx1], dw, db.as_deref_mut()) {
        return;
    }
    backward_input(isa, s, dy, weight, add, [dx0, dx1]);
    backward_weight(isa, s, x, dy, Some(dw), db);
}

/// Weight gradient `dw: [k, c[0] + c[1]]` and bias gradient `db: [k]` of [`conv1x1_joined`], whichever are wanted.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined_backward_weight(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    dw: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
) {
    backward_weight(Isa::current(), s, x, dy, dw, db);
}

fn backward_weight(
    isa: Isa,
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    mut dw: Option<&mut [f32]>,
    mut db: Option<&mut [f32]>,
) {
    s.check(x.map(<[f32]>::len), dy.len(), dw.as_ref().map_or_else(|| s.weight_len(), |dw| dw.len()));
    s.check_options([None, None], db.as_deref());
    if let (Some(dw), Some(sizes)) = (&mut dw, s.in_bf16()) {
        bf16::backward(&sizes, x, dy, &[], [None; 2], None, Some(dw));
    } else if let Some(dw) = dw {
        if dy.is_empty() {
            dw.fill(0.0);
        }
        for i in if dy.is_empty() { 0..0 } else { 0..2 } {
            let sizes = [s.n, s.pixels, s.k, s.c[i]];
            let columns = (s.column(i), s.columns());
            if pointwise::backward_weight(isa, x[i], dy, sizes, dw, columns, db.as_deref_mut()) {
                db = None;
                continue;
            }
            with(s.k * s.c[i], |part| {
                weight::backward_weight(isa, s.images(x[i], s.c[i]), &s.table(), s.k, dy, part);
                for (k, row) in part.chunks_exact(s.c[i].max(1)).enumerate() {
                    dw[k * columns.1 + columns.0..][..s.c[i]].copy_from_slice(row);
                }
            });
        }
    }
    if let Some(db) = db {
        sum_images_on(isa, dy, s.n, s.k, db);
    }
}
