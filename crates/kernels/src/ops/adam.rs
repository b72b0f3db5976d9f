//! Adam, Kingma & Ba (2014), arXiv:1412.6980, Algorithm 1, with decoupled weight decay
//! (Loshchilov & Hutter (2017), arXiv:1711.05101) and an exponential moving average of the weights.

use super::{primitive, tensor};
use crate::{AdamPrimitives, Backend};
use burn::tensor::Tensor;

/// The constants of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment, in `[0, 1)`.
    pub beta_1: f64,
    /// Decay of the second moment, in `[0, 1)`.
    pub beta_2: f64,
    /// Added to the square root of the bias-corrected second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; 0 is plain Adam.
    pub weight_decay: f64,
    /// Number of this update, from 1: the exponent of the bias corrections.
    pub step: u64,
    /// The gradient is multiplied by this first (clipping by a global norm).
    pub grad_scale: f64,
    /// Decay of the moving average of the weights; unused where the state has none.
    pub ema_decay: Option<f64>,
}

/// What Adam remembers of a parameter.
#[derive(Clone, Debug)]
pub struct AdamState<B: Backend> {
    /// First moment of the gradient, `[n]`.
    pub m: Tensor<B, 1>,
    /// Second moment of the gradient, `[n]`.
    pub v: Tensor<B, 1>,
    /// Moving average of the parameter, `[n]`.
    pub ema: Option<Tensor<B, 1>>,
}

/// One update of a flattened parameter in one pass over memory, with the arithmetic of `torch.optim.Adam` and
/// `AdamW`. Not differentiable: on an autodiff backend the results are constants.
///
/// # Formula
/// `g = grad · grad_scale`, `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
/// `param = param · (1 - lr · weight_decay) - lr · (m / (1 - β₁^step)) / (sqrt(v / (1 - β₂^step)) + epsilon)`,
/// `ema = d · ema + (1 - d) · param` with `d = ema_decay`.
///
/// # Panics
/// If the lengths differ or `step` is 0.
pub fn adam_step<B: Backend>(
    param: Tensor<B, 1>,
    grad: Tensor<B, 1>,
    state: AdamState<B>,
    by: &AdamStep,
) -> (Tensor<B, 1>, AdamState<B>) {
    let n = param.dims();
    let ema_fits = state.ema.as_ref().is_none_or(|ema| ema.dims() == n);
    assert!(
        grad.dims() == n && state.m.dims() == n && state.v.dims() == n && ema_fits,
        "adam_step: gradient {:?}, moments {:?} and {:?} and the average must be as long as the parameter, {n:?}",
        grad.dims(),
        state.m.dims(),
        state.v.dims()
    );
    assert!(by.step > 0, "adam_step: steps are counted from 1");
    let new = B::fused_adam_step(
        primitive(grad),
        AdamPrimitives {
            param: primitive(param),
            m: primitive(state.m),
            v: primitive(state.v),
            ema: state.ema.map(primitive),
        },
        by,
    );
    let state = AdamState { m: tensor(new.m), v: tensor(new.v), ema: new.ema.map(tensor) };
    (tensor(new.param), state)
}
