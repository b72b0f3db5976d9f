//! The five kinds of blocks, under torchvision's names: paths side by side whose channels are joined.

use burn::tensor::Tensor;
use sfumato_kernels::Backend;

use super::conv::{Conv, Source, max3, mean3};

/// Convolutions one after the other.
type Path<B> = Vec<Conv<B>>;

fn along<B: Backend>(path: &[Conv<B>], x: &Tensor<B, 4>) -> Tensor<B, 4> {
    path.iter().fold(x.clone(), |x, conv| conv.forward(x))
}

/// A block: paths of convolutions, a path behind a pooling, and how the pooling is done.
#[derive(Debug)]
pub(super) struct Block<B: Backend> {
    paths: Vec<Path<B>>,
    /// Two convolutions side by side at the end of a path (of the second and the third, in the last blocks).
    forks: Vec<[Conv<B>; 2]>,
    pool: Pool,
    pooled: Path<B>,
}

/// What the last path of a block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// The mean, at the same size.
    Mean,
    /// The maximum, at the same size.
    Max,
    /// The maximum, at half the size.
    Halve,
}

impl<B: Backend> Block<B> {
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let forked = self.paths.len() - self.forks.len();
        let mut joined = Vec::new();
        for (place, path) in self.paths.iter().enumerate() {
            let h = along(path, &x);
            match place.checked_sub(forked) {
                Some(fork) => joined.extend(self.forks[fork].iter().map(|conv| conv.forward(h.clone()))),
                None => joined.push(h),
            }
        }
        let pooled = match self.pool {
            Pool::Mean => mean3(x),
            Pool::Max => max3(x, 1, 1),
            Pool::Halve => max3(x, 2, 0),
        };
        joined.push(along(&self.pooled, &pooled));
        Tensor::cat(joined, 1)
    }
}

/// `InceptionA`: 1×1, 5×5 and twice 3×3 pixels.
pub(super) fn a<B: Backend>(s: &mut Source<'_, B>, before: usize, pooled: usize) -> Block<B> {
    let paths = vec![
        vec![s.same("branch1x1", before, 64, [1, 1])],
        vec![s.same("branch5x5_1", before, 48, [1, 1]), s.same("branch5x5_2", 48, 64, [5, 5])],
        vec![
            s.same("branch3x3dbl_1", before, 64, [1, 1]),
            s.same("branch3x3dbl_2", 64, 96, [3, 3]),
            s.same("branch3x3dbl_3", 96, 96, [3, 3]),
        ],
    ];
    Block { paths, forks: Vec::new(), pool: Pool::Mean, pooled: vec![s.same("branch_pool", before, pooled, [1, 1])] }
}

/// `InceptionB`: to half the size.
pub(super) fn b<B: Backend>(s: &mut Source<'_, B>, before: usize) -> Block<B> {
    let paths = vec![
        vec![s.valid("branch3x3", before, 384, 3, 2)],
        vec![
            s.same("branch3x3dbl_1", before, 64, [1, 1]),
            s.same("branch3x3dbl_2", 64, 96, [3, 3]),
            s.valid("branch3x3dbl_3", 96, 96, 3, 2),
        ],
    ];
    Block { paths, forks: Vec::new(), pool: Pool::Halve, pooled: Vec::new() }
}

/// `InceptionC`: 7×7 pixels as rows and columns, with `width` channels within.
pub(super) fn c<B: Backend>(s: &mut Source<'_, B>, before: usize, width: usize) -> Block<B> {
    let paths = vec![
        vec![s.same("branch1x1", before, 192, [1, 1])],
        vec![
            s.same("branch7x7_1", before, width, [1, 1]),
            s.same("branch7x7_2", width, width, [1, 7]),
            s.same("branch7x7_3", width, 192, [7, 1]),
        ],
        vec![
            s.same("branch7x7dbl_1", before, width, [1, 1]),
            s.same("branch7x7dbl_2", width, width, [7, 1]),
            s.same("branch7x7dbl_3", width, width, [1, 7]),
            s.same("branch7x7dbl_4", width, width, [7, 1]),
            s.same("branch7x7dbl_5", width, 192, [1, 7]),
        ],
    ];
    Block { paths, forks: Vec::new(), pool: Pool::Mean, pooled: vec![s.same("branch_pool", before, 192, [1, 1])] }
}

/// `InceptionD`: to half the size again.
pub(super) fn d<B: Backend>(s: &mut Source<'_, B>, before: usize) -> Block<B> {
    let paths = vec![
        vec![s.same("branch3x3_1", before, 192, [1, 1]), s.valid("branch3x3_2", 192, 320, 3, 2)],
        vec![
            s.same("branch7x7x3_1", before, 192, [1, 1]),
            s.same("branch7x7x3_2", 192, 192, [1, 7]),
            s.same("branch7x7x3_3", 192, 192, [7, 1]),
            s.valid("branch7x7x3_4", 192, 192, 3, 2),
        ],
    ];
    Block { paths, forks: Vec::new(), pool: Pool::Halve, pooled: Vec::new() }
}

/// `InceptionE`: paths that fork into a row and a column.
pub(super) fn e<B: Backend>(s: &mut Source<'_, B>, before: usize, pool: Pool) -> Block<B> {
    let paths = vec![
        vec![s.same("branch1x1", before, 320, [1, 1])],
        vec![s.same("branch3x3_1", before, 384, [1, 1])],
        vec![s.same("branch3x3dbl_1", before, 448, [1, 1]), s.same("branch3x3dbl_2", 448, 384, [3, 3])],
    ];
    let mut fork =
        |name: &str| [s.same(&format!("{name}a"), 384, 384, [1, 3]), s.same(&format!("{name}b"), 384, 384, [3, 1])];
    let forks = vec![fork("branch3x3_2"), fork("branch3x3dbl_3")];
    Block { paths, forks, pool, pooled: vec![s.same("branch_pool", before, 192, [1, 1])] }
}
