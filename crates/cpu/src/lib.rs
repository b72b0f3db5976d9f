//! Slice kernels, usable without Burn: contiguous f32 slices in, contiguous f32 slices out.
//!
//! All are parallel over the current Rayon pool, choose their instruction set at run time ([`Isa`]), check sizes and lengths
//! before they touch memory, and overwrite the whole output whatever it held. Sizes whose product is more than any memory holds
//! are refused by a panic, as lengths are that do not fit. Results do not depend on the number of
//! threads; they differ between instruction sets by rounding.
//!
//! Kernels are fastest when called from inside the pool (`rayon::scope`, `ThreadPool::install`): from outside, every
//! parallel region must first wake it.

#![deny(unsafe_op_in_unsafe_fn)]

mod adam;
mod attention;
mod attention_block;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod awake;
mod conv;
mod elementwise;
pub mod fresh;
mod gemm;
mod images;
mod isa;
mod linear;
mod norm;
mod norm_conv;
mod pixels;
mod portable;
mod resample;
mod scratch;
mod simd;
mod sizes;
mod softmax;
mod sum_of_squares;
pub mod winograd;

pub use adam::{AdamConstants, AdamSlices, adam};
pub use attention::{Attention, SelfAttention, attention, attention_backward, self_attention, self_attention_backward};
pub use attention_block::{
    AttentionBlock, AttentionBlockGradients, AttentionSaved, AttentionWeights, attention_block,
    attention_block_backward,
};
pub use conv::{
    Conv2d, JoinedConv1x1, conv1x1_joined, conv1x1_joined_backward, conv1x1_joined_backward_input,
    conv1x1_joined_backward_weight, conv2d, conv2d_backward, conv2d_backward_input, conv2d_backward_weight,
};
pub use conv::{is_winograd, kept_tile};
pub use elementwise::{add, silu, silu_backward, sum_images, sum_pixels};
pub use gemm::{Matrix, gemm};
pub use isa::Isa;
pub use linear::{linear, linear_backward_input, linear_backward_weight, sum_rows};
pub use norm::{Affine, GroupNorm, NormGradients, NormInput, Statistics, group_norm, group_norm_backward};
pub use norm_conv::{NormConv, NormConvGradients, norm_conv, norm_conv_backward};
pub use resample::{add_channel_bias, concat, part, upsample_nearest_2x, upsample_nearest_2x_backward};
pub use scratch::{release_scratch, scratch_bytes};
pub use sum_of_squares::sum_of_squares;
