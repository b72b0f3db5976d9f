//! Muon: steps along the momentum with all its singular values made alike.
//!
//! Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; its step is scaled to the size of Adam's by Liu et al. (2025),
//! arXiv:2502.16982, §2.2, so that one learning rate serves both.

use burn::tensor::Tensor;

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

/// One step of a parameter that is a matrix of `rows × columns`. The second moment stays as it is.
///
/// # Formula
/// `g = grad · grad_scale`, `m = μ m + (1 - μ) g`, `u = μ m + (1 - μ) g` (Nesterov's),
/// `param = param · (1 - lr · weight_decay) - lr · √max(rows, columns) · orthogonal(u)`, and the average as in
/// [`adam_steps`](crate::adam_steps).
pub(crate) fn muon_step<B: Backend>(
    operands: AdamOperands<B>,
    [rows, columns]: [usize; 2],
    by: &AdamStep,
) -> (Tensor<B, 1>, AdamState<B>) {
    let AdamOperands { param, grad, state: AdamState { m, v, ema } } = operands;
    let grad = grad * (by.grad_scale * (1.0 - MOMENTUM));
    let m = m * MOMENTUM + grad.clone();
    let ahead = m.clone() * MOMENTUM + grad;
    let length = SIZE * (rows.max(columns) as f64).sqrt();
    let direction = orthogonal(ahead.reshape([rows, columns])).reshape([rows * columns]);
    let param = param * (1.0 - by.lr * by.weight_decay) - direction * (by.lr * length);
    let ema = match (ema, by.ema_decay) {
        (Some(ema), Some(decay)) => Some(ema.clone() + (param.clone() - ema) * (1.0 - decay)),
        (ema, _) => ema,
    };
    (param, AdamState { m, v, ema })
}

/// A matrix with the singular vectors of `x`, and singular values of about 1.
///
/// # Formula
/// `X = x / ‖x‖`; five times `X = a X + (b A + c A²) X` with `A = X Xᵀ`: each singular value `s` becomes `a s + b s³ + c s⁵`.
pub(crate) fn orthogonal<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, columns] = x.dims();
    // The smaller product costs less.
    if rows > columns {
        return orthogonal(x.transpose()).transpose();
    }
    let norm = x.clone().square().sum().sqrt().clamp_min(1e-12).reshape([1, 1]);
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
