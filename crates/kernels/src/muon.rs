//! Muon: steps along the momentum with all its singular values made alike.
//!
//! Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; its step is scaled to the size of Adam's by Liu et al. (2025),
//! arXiv:2502.16982, §2.2, so that one learning rate serves both.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::composed::{contiguous, length_for_products};
use crate::{AdamOperands, AdamState, AdamStep, Backend, linear};

/// Decay of the momentum, of the published method.
const MOMENTUM: f64 = 0.95;
/// Root mean square of a step in units of the learning rate. Liu et al. (2025), Eq. 4, have 0.2 for long trainings;
/// the first step of Adam has 1.
const SIZE: f64 = 1.0;
/// Iterations of [`orthogonal`], and the quintic's coefficients, of the published method: they bring every singular value that is not tiny near 1
/// (0.7 to 1.2) in few iterations, and never settle at 1 exactly.
const ITERATIONS: usize = 5;
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// A matrix of zeros stays one.
const SMALLEST_NORM: f64 = 1e-12;

/// A parameter that is a matrix, with its gradient and state, and its rows and columns.
pub(crate) type Matrix<B> = (AdamOperands<B>, [usize; 2]);

/// One step of every parameter that is a matrix. The second moments stay as they are.
///
/// On the CPU backends each matrix is made orthogonal by itself, with the kernels of this crate. Elsewhere all matrices of a size are
/// together, since a device launches a kernel for every operation however small it is.
///
/// # Formula
/// `g = grad · grad_scale`, `m = μ m + (1 - μ) g`, `u = μ m + (1 - μ) g` (Nesterov's),
/// `param = param · (1 - lr · weight_decay) - lr · √max(rows, columns) · orthogonal(u)`, and the average as in
/// [`adam_steps`](crate::adam_steps).
pub(crate) fn muon_steps<B: Backend>(all: Vec<Matrix<B>>, by: &AdamStep) -> Vec<(Tensor<B, 1>, AdamState<B>)> {
    if B::is_on_host() {
        let step = |matrix| {
            let (matrix, ahead) = Moving::of(matrix, by);
            matrix.along(orthogonal(ahead), by)
        };
        return all.into_iter().map(step).collect();
    }
    let (all, ahead): (Vec<_>, Vec<_>) = all.into_iter().map(|matrix| Moving::of(matrix, by)).unzip();
    all.into_iter().zip(orthogonal_together(ahead)).map(|(matrix, direction)| matrix.along(direction, by)).collect()
}

/// A parameter and its state, whose momentum has moved already.
struct Moving<B: Backend> {
    param: Tensor<B, 1>,
    state: AdamState<B>,
    size: [usize; 2],
}

impl<B: Backend> Moving<B> {
    /// Moves the momentum: the matrix, and where the momentum will be.
    fn of((operands, size): Matrix<B>, by: &AdamStep) -> (Self, Tensor<B, 2>) {
        let AdamOperands { param, grad, state: AdamState { m, v, ema } } = operands;
        let grad = grad * (by.grad_scale * (1.0 - MOMENTUM));
        let m = m * MOMENTUM + grad.clone();
        let ahead = m.clone() * MOMENTUM + grad;
        (Self { param, state: AdamState { m, v, ema }, size }, ahead.reshape(size))
    }

    /// The parameter and its state after a step along `direction`.
    fn along(self, direction: Tensor<B, 2>, by: &AdamStep) -> (Tensor<B, 1>, AdamState<B>) {
        let Self { param, state: AdamState { m, v, ema }, size: [rows, columns] } = self;
        let length = SIZE * (rows.max(columns) as f64).sqrt();
        let direction = direction.reshape([rows * columns]);
        let param = param * (1.0 - by.lr * by.weight_decay) - direction * (by.lr * length);
        let ema = match (ema, by.ema_decay) {
            (Some(ema), Some(decay)) => Some(ema.clone() + (param.clone() - ema) * (1.0 - decay)),
            (ema, _) => ema,
        };
        (param, AdamState { m, v, ema })
    }
}

/// A matrix with the singular vectors of `x`, and singular values of about 1.
///
/// # Formula
/// `X = x / ‖x‖`; five times `X = a X + (b A + c A²) X` with `A = X Xᵀ`: each singular value `s` becomes `a s + b s³ + c s⁵`.
fn orthogonal<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, columns] = x.dims();
    // The smaller product costs less.
    if rows > columns {
        return orthogonal(x.transpose()).transpose();
    }
    let norm = x.clone().square().sum().sqrt().clamp_min(SMALLEST_NORM).reshape([1, 1]);
    let mut x = x / norm;
    let [a, b, c] = QUINTIC;
    for _ in 0..ITERATIONS {
        // `linear` is `x · weightᵀ`, whose bits do not depend on the number of threads; the polynomial is symmetric.
        let square = linear(x.clone(), x.clone(), None);
        let polynomial = square.clone() * b + linear(square.clone(), square, None) * c;
        x = x.clone() * a + linear(x.transpose(), polynomial, None).transpose();
    }
    x
}

/// [`orthogonal`] of each of `all`: those of a size, and those that are such when turned, as one stack.
fn orthogonal_together<B: Backend>(all: Vec<Tensor<B, 2>>) -> Vec<Tensor<B, 2>> {
    let mut sizes: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
    for (place, x) in all.iter().enumerate() {
        let [rows, columns] = x.dims();
        sizes.entry([rows.min(columns), rows.max(columns)]).or_default().push(place);
    }
    let turned = |x: Tensor<B, 2>| {
        let [rows, columns] = x.dims();
        if rows > columns { x.transpose() } else { x }
    };
    let mut directions: Vec<Option<Tensor<B, 2>>> = vec![None; all.len()];
    for ([rows, columns], places) in sizes {
        // Zeros around a matrix stay zeros, and every product of the iterations has an inner dimension that needs no more of them.
        let size = [places.len(), length_for_products(rows), length_for_products(columns)];
        let like = &all[places[0]];
        let mut stack = Tensor::<B, 3>::zeros(size, (&like.device(), like.dtype()));
        for (i, &place) in places.iter().enumerate() {
            let x = turned(all[place].clone()).unsqueeze();
            stack = stack.slice_assign([i..i + 1, 0..rows, 0..columns], x);
        }
        let stack = orthogonal_stack(stack);
        for (i, &place) in places.iter().enumerate() {
            let direction = stack.clone().slice([i..i + 1, 0..rows, 0..columns]).reshape([rows, columns]);
            let back = all[place].dims() != [rows, columns];
            directions[place] = Some(if back { direction.transpose() } else { direction });
        }
    }
    directions.into_iter().flatten().collect()
}

/// [`orthogonal`] of each matrix of `x: [n, rows, columns]`, whose lengths are those of [`length_for_products`] and `rows <= columns`.
fn orthogonal_stack<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let norm = x.clone().square().sum_dim(2).sum_dim(1).sqrt().clamp_min(SMALLEST_NORM);
    let mut x = x / norm;
    let [a, b, c] = QUINTIC;
    for _ in 0..ITERATIONS {
        let square = x.clone().matmul(contiguous(x.clone().swap_dims(1, 2)));
        let polynomial = square.clone() * b + square.clone().matmul(square) * c;
        x = x.clone() * a + polynomial.matmul(x);
    }
    x
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::{
        backend::{Flex, flex::FlexDevice},
        tensor::{Distribution, Tolerance},
    };
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn matrices_together_are_what_each_is_alone(
            sizes in prop::collection::vec((1_usize..12, 1_usize..12, 1_usize..3), 1..5)
        ) {
            let all: Vec<Tensor<Flex, 2>> = sizes
                .iter()
                .flat_map(|&(rows, columns, times)| std::iter::repeat_n([rows, columns], times))
                .map(|size| Tensor::random(size, Distribution::Normal(0.0, 1.0), &FlexDevice))
                .collect();
            let together = orthogonal_together(all.clone());
            prop_assert_eq!(together.len(), all.len());
            for (together, x) in together.into_iter().zip(all) {
                let alone = orthogonal(x).into_data();
                together.into_data().assert_approx_eq::<f32>(&alone, Tolerance::absolute(2e-5));
            }
        }
    }
}
