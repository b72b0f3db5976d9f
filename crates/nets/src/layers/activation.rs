//! Activation functions of diffusers' `act_fn`.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};
use sfumato_kernels as kernels;

/// An elementwise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// `x · sigmoid(x)`, also called swish. The only one with a fused kernel.
    #[default]
    #[serde(alias = "swish")]
    Silu,
    /// `x · tanh(ln(1 + e^x))`.
    Mish,
    /// `x · Φ(x)` with the exact normal distribution function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Applies the function to each element.
    pub fn forward<B: kernels::Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Silu => kernels::silu(x),
            Self::Mish => activation::mish(x),
            Self::Gelu => activation::gelu(x),
            Self::Relu => activation::relu(x),
        }
    }
}
