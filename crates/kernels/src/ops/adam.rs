//! Adam, Kingma & Ba (2014), arXiv:1412.6980, Algorithm 1, with decoupled weight decay
//! (Loshchilov & Hutter (2017), arXiv:1711.05101) and an exponential moving average of the weights.

use super::{primitive, tensor};
use crate::{AdamPrimitives, Backend};
use burn::tensor::{Tensor, ops::FloatTensor};

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

/// What one update of a parameter takes; all tensors are of one length.
#[derive(Clone, Debug)]
pub struct AdamOperands<B: Backend> {
    /// The flattened parameter, `[n]`.
    pub param: Tensor<B, 1>,
    /// Its gradient, `[n]`.
    pub grad: Tensor<B, 1>,
    /// What Adam remembers of it.
    pub state: AdamState<B>,
}

/// One update of every parameter of a network, with the arithmetic of `torch.optim.Adam` and `AdamW`: the new parameters and states,
/// in the order of `all`. Not differentiable: on an autodiff backend the results are constants.
///
/// On the CPU backends, if all tensors are f32, it is one pass over memory and one parallel region for all parameters; what nobody
/// else holds is overwritten in place.
///
/// # Formula
/// `g = grad · grad_scale`, `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
/// `param = param · (1 - lr · weight_decay) - lr · (m / (1 - β₁^step)) / (sqrt(v / (1 - β₂^step)) + epsilon)`,
/// `ema = ema + (1 - d) · (param - ema)` with `d = ema_decay`.
///
/// The average of weights that stay the same is these weights, to the bit. A step towards them is lost where it is less than the
/// rounding of the average itself: in f32 and with a decay of 0.9999, an average stops up to 6e-4 of its size short of weights that
/// have come to rest after it.
///
/// # Panics
/// If the lengths of a parameter's tensors differ, or `step` is 0.
pub fn adam_steps<B: Backend>(all: Vec<AdamOperands<B>>, by: &AdamStep) -> Vec<(Tensor<B, 1>, AdamState<B>)> {
    assert!(by.step > 0, "adam_steps: steps are counted from 1");
    let new = B::fused_adam_steps(all.into_iter().map(checked).collect(), by);
    let state = |m, v, ema: Option<_>| AdamState { m: tensor(m), v: tensor(v), ema: ema.map(tensor) };
    new.into_iter().map(|new| (tensor(new.param), state(new.m, new.v, new.ema))).collect()
}

/// The primitives of the gradient and of the rest.
fn checked<B: Backend>(operands: AdamOperands<B>) -> (FloatTensor<B>, AdamPrimitives<B>) {
    let AdamOperands { param, grad, state } = operands;
    let n = param.dims();
    let ema_fits = state.ema.as_ref().is_none_or(|ema| ema.dims() == n);
    assert!(
        grad.dims() == n && state.m.dims() == n && state.v.dims() == n && ema_fits,
        "adam_steps: gradient {:?}, moments {:?} and {:?} and the average must be as long as the parameter, {n:?}",
        grad.dims(),
        state.m.dims(),
        state.v.dims()
    );
    let old = AdamPrimitives {
        param: primitive(param),
        m: primitive(state.m),
        v: primitive(state.v),
        ema: state.ema.map(primitive),
    };
    (primitive(grad), old)
}
