//! Fused operations for diffusion networks, as an extension of Burn's backends.
//!
//! Burn's CPU backends lack some operations of a U-Net and do others slowly: the gradient of a convolution, group
//! normalisation, attention under autodiff, Adam. This crate adds them. Networks call its functions on ordinary Burn
//! tensors; the bound [`Backend`] picks the implementation:
//!
//! - **Flex and NdArray** (features `flex`, `ndarray`), f32: the slice kernels of the crate `sfumato-cpu`, with AVX-512, AVX2 or portable code chosen
//!   at run time, parallel over Rayon's pool. 3×3 convolutions use Winograd's algorithm (Lavin & Gray (2016),
//!   arXiv:1509.09308). Other dtypes, and every other backend: compositions of Burn's operations.
//! - **`Autodiff<B>`**: hand-written gradients that call the kernels of `B`.
//!
//! Results do not depend on the number of threads, bit for bit.
//!
//! # Map
//! | module | what lives there |
//! |---|---|
//! | `ops` | the functions of tensors, re-exported here: [`conv2d`], [`group_norm`], [`attention`], … |
//! | `backend` | [`Backend`] and [`AutodiffBackend`], the operations on primitives |
//! | `operands` | what those take and return: [`GroupNormOperands`], … |
//! | `composed` | the same in Burn's operations: the default, and the reference |
//! | `autodiff` | the gradients' place in Burn's graph |
//! | `kept_filters` | transformed weights that outlive a call, for sampling: [`KeptFilters`] |
//! | `scalar` | numbers that a device may still be computing: [`Scalar`] |
//! | `precision` | the numbers that convolutions and attention multiply: [`Precision`] |
//! | `host` | the bridge from Flex and NdArray tensors to the slice kernels of `sfumato-cpu` |
//!
//! # Example
//! ```
//! use burn::tensor::{Distribution, Tensor};
//! use sfumato_kernels::{Backend, Conv2dGeometry, NormActivation, conv2d, conv2d_add, group_norm};
//!
//! /// `x + conv(silu(norm(x)))`
//! fn block<B: Backend>(x: Tensor<B, 4>, weight: Tensor<B, 4>, bias: Tensor<B, 1>) -> Tensor<B, 4> {
//!     let [_, c, _, _] = x.dims();
//!     let (gamma, beta) = (bias.ones_like(), bias.zeros_like());
//!     let h = group_norm(x.clone(), gamma, beta, c / 4, 1e-5, NormActivation::Silu);
//!     conv2d_add(h, weight, Some(bias), x)
//! }
//!
//! # #[cfg(feature = "flex")] {
//! type B = burn::backend::Autodiff<burn::backend::Flex>;
//! let device = burn::backend::flex::FlexDevice;
//! let normal = Distribution::Normal(0.0, 1.0);
//! let x = Tensor::<B, 4>::random([2, 8, 7, 7], normal, &device).require_grad();
//! let weight = Tensor::<B, 4>::random([8, 8, 3, 3], normal, &device).require_grad();
//! let y = block(x.clone(), weight.clone(), Tensor::zeros([8], &device));
//! let small = conv2d(y, weight.clone(), None, Conv2dGeometry::DOWN);
//! assert_eq!(small.dims(), [2, 8, 4, 4]);
//! let gradients = small.square().sum().backward();
//! assert_eq!(weight.grad(&gradients).unwrap().dims(), [8, 8, 3, 3]);
//! # }
//! ```
#![forbid(unsafe_code)]

mod adam;
mod autodiff;
mod backend;
mod composed;
mod gradient;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod host;
mod kept_filters;
mod muon;
mod operands;
mod ops;
mod power_averages;
mod precision;
mod scalar;

pub use adam::{Adam, AdamOptions, StepNorm, ema_decay};
pub use backend::{AutodiffBackend, Backend};
pub use gradient::Gradient;
pub use kept_filters::KeptFilters;
pub use operands::{
    AdamPrimitives, AffineGradients, AttentionBlockGradients, AttentionBlockOperands, AttentionBlockOutput,
    GroupNormExtra, GroupNormGradients, GroupNormOperands, GroupNormOutput, JoinedGradients, NormConvGradients,
    NormConvOperands, WantedGradients,
};
pub use ops::{
    AdamOperands, AdamState, AdamStep, AttentionBlockParams, AttentionBlockSpec, Conv2dGeometry, GroupNormSpec,
    NormActivation, NormConvInput, NormConvParams, adam_steps, add_channel_bias, attention, attention_block,
    concat_channels, conv1x1_joined, conv2d, conv2d_add, group_norm, group_norm_biased, group_norm_joined,
    group_norm_scale_shift, linear, norm_conv2d, silu, spatial_self_attention, sum_of_squares, upsample_conv2d,
    upsample_nearest_2x, with_node_of,
};
pub use power_averages::{PowerAverages, power_decay};
pub use precision::Precision;
pub use scalar::Scalar;
