//! Products of strided matrices: packing, cutting, sharing out.

use super::{Left, PANEL, PackA, PackB, Product, group_count, multiply, pack_a, pack_b, packed_a_len};
use crate::isa::Isa;
use crate::scratch::{Shared, with};
use crate::sizes::{check_len, check_option, values};
use rayon::prelude::*;

/// Depth that is packed at a time: a panel of `B` is then 64 KiB.
const DEPTH: usize = 512;
/// Groups of rows of a task, at most.
const TASK_GROUPS: usize = 8;
/// Multiply-adds up to which one thread does everything: to wake others takes longer (a few microseconds).
const ALONE: usize = 1 << 20;

/// A matrix within a slice, element `(i, j)` at `i rs + j cs`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Where the elements are.
    pub values: &'a [f32],
    /// Distance of rows.
    pub rs: usize,
    /// Distance of columns.
    pub cs: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, rs: columns, cs: 1 }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { rs: self.cs, cs: self.rs, ..self }
    }

    pub(crate) fn holds(&self, m: usize, n: usize) -> bool {
        if m == 0 || n == 0 {
            return true;
        }
        let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        let last = last(m, self.rs).zip(last(n, self.cs)).and_then(|(row, column)| row.checked_add(column));
        last.is_some_and(|last| last < self.values.len())
    }
}

/// `C = A B + bias`: `a` is `m` × `k`, `b` is `k` × `n`, `c` is `m` × `n` with its rows one after the other, `bias` has
/// one value a column.
///
/// # Panics
/// If a slice is too short, or `c` or `bias` not exactly as long as it must be.
pub fn gemm(sizes: [usize; 3], a: Matrix, b: Matrix, bias: Option<&[f32]>, c: &mut [f32]) {
    gemm_on(Isa::current(), sizes, a, b, bias, c);
}

/// [`gemm`] with a given instruction set.
pub(crate) fn gemm_on(isa: Isa, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, bias: Option<&[f32]>, c: &mut [f32]) {
    assert!(
        a.holds(m, k),
        "gemm: {} values with strides {} and {} are no {m} × {k} matrix",
        a.values.len(),
        a.rs,
        a.cs
    );
    assert!(
        b.holds(k, n),
        "gemm: {} values with strides {} and {} are no {k} × {n} matrix",
        b.values.len(),
        b.rs,
        b.cs
    );
    check_len("gemm", "the result", c.len(), values("gemm", [m, n]));
    check_option("gemm", "the bias", bias, n);
    values("gemm", [k]);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        for row in c.chunks_exact_mut(n) {
            match bias {
                Some(bias) => row.copy_from_slice(bias),
                None => row.fill(0.0),
            }
        }
        return;
    }
    let c = Shared::new(c);
    with(k.min(DEPTH) * n.next_multiple_of(PANEL), |panels| {
        for k0 in (0..k).step_by(DEPTH) {
            let depth = (k - k0).min(DEPTH);
            let alone = m * n * depth <= ALONE;
            pack_panels(isa, b, [k0, depth, n], alone, panels);
            let a = Matrix { values: &a.values[k0 * a.cs..], ..a };
            // The bias is added with the first part of the depth, the others add to what is there.
            let bias = bias.filter(|_| k0 == 0);
            multiply_rows(isa, [m, n, depth], a, panels, bias, k0 > 0, c);
        }
    });
}

/// Runs tasks `0..tasks`, in this thread or in all.
fn for_each(tasks: usize, alone: bool, task: impl Fn(usize) + Send + Sync) {
    if alone {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Rows `k0..k0 + depth` of `b` into panels.
fn pack_panels(isa: Isa, b: Matrix, [k0, depth, n]: [usize; 3], alone: bool, panels: &mut [f32]) {
    let (values, out) = (Shared::read(b.values), Shared::new(panels));
    for_each(n.div_ceil(PANEL), alone, |j| {
        let pack = PackB {
            src: values.at(k0 * b.rs),
            rs: b.rs,
            cs: b.cs,
            k: depth,
            n0: j * PANEL,
            n1: n.min((j + 1) * PANEL),
            dst: out.at(j * PANEL * depth),
            panel: PANEL * depth,
        };
        // SAFETY: `gemm` checked the matrix; every task writes its own panel.
        unsafe { pack_b(isa, &pack) }
    });
}

fn multiply_rows(
    isa: Isa,
    [m, n, k]: [usize; 3],
    a: Matrix,
    panels: &[f32],
    bias: Option<&[f32]>,
    accumulate: bool,
    c: Shared,
) {
    let rows = isa.gemm_rows();
    let groups = group_count(m, rows);
    // Every value is computed by itself, so the tasks may depend on the number of threads.
    let per_task = groups.div_ceil(2 * rayon::current_num_threads()).clamp(1, TASK_GROUPS) * rows;
    let (values, panels) = (Shared::read(a.values), Shared::read(panels));
    let bias = Shared::read_option(bias);
    for_each(m.div_ceil(per_task), m * n * k <= ALONE, |i| {
        let (r0, r1) = (i * per_task, m.min((i + 1) * per_task));
        with(packed_a_len(r1 - r0, k), |packed| {
            // Written and read through one pointer.
            let packed = packed.as_mut_ptr();
            let pack = PackA { src: values.at(r0 * a.rs), rs: a.rs, cs: a.cs, m: r1 - r0, k, factor: 1.0, dst: packed };
            let product = Product {
                m: r1 - r0,
                n,
                k,
                a: Left::Packed(packed),
                groups: (0, group_count(r1 - r0, rows)),
                b: panels.at(0),
                c: c.at(r0 * n),
                cs: n,
                row_bias: std::ptr::null(),
                column_bias: bias.at(0),
                add: if accumulate { c.at(r0 * n) } else { std::ptr::null_mut() },
                is_long: false,
            };
            // SAFETY: `gemm` checked the matrices and `c`; every task writes its own rows.
            unsafe {
                pack_a(isa, &pack);
                multiply(isa, &product);
            }
        })
    });
}
