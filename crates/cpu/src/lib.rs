//! Slice kernels of diffusion networks: contiguous f32 slices in, contiguous f32 slices out. No tensors, no Burn.
//!
//! This is the only crate of the workspace with `unsafe`: every other one forbids it, but for the program's allocator. Every function
//! that can be called from outside is safe. It checks sizes and lengths before it touches memory. Sizes whose product is more than any
//! memory holds are refused by a panic, as lengths are that do not fit.
//!
//! All kernels are parallel over the current Rayon pool, use the instruction set of the thread that calls them ([`Isa::current`]), and
//! overwrite the whole output whatever it held. Results do not depend on the number of threads; they differ between instruction sets by rounding.
//!
//! Kernels are fastest when called from inside the pool (`rayon::scope`, `ThreadPool::install`): from outside, every
//! parallel region must first wake it.
//!
//! # Map
//! | module | what lives there |
//! |---|---|
//! | `conv` | convolutions with any kernel, stride and padding: [`conv2d`]; 1×1 over the channels of two inputs: [`conv1x1_joined`] |
//! | [`winograd`] | 3×3 convolutions by Winograd's algorithm, also behind upsampling; transformed filters |
//! | `norm`, `norm_conv` | group normalisation with SiLU: [`group_norm`]; the 3×3 convolution behind it: [`norm_conv()`] |
//! | `attention`, `attention_block` | attention of tokens and of pixels: [`attention()`], [`self_attention`]; a U-Net's whole block: [`attention_block()`] |
//! | `gemm`, `linear` | products of matrices: [`gemm()`]; affine maps: [`linear()`] |
//! | `elementwise`, `resample`, `softmax` | SiLU, sums; upsampling, joining and parting channels; the softmax of columns |
//! | `adam`, `sum_of_squares` | an optimizer's update of all parameters, and the squared norm of their gradients |
//! | [`fresh`] | the same kernels with results in new vectors, whose memory is not cleared first |
//! | `precision`, `bf16` | the choice of the numbers that convolutions and attention multiply: [`Precision`]; those of bf16 |
//! | `isa`, `simd` | the choice of the instruction set, and the trait of vectors that kernels are written in |
//! | `portable`, `avx2`, `avx512` | vectors of one instruction set each |
//! | `scratch`, `awake` | memory that threads keep, and threads that stay awake, from one kernel to the next |
//! | `sizes`, `images`, `pixels` | checked products of sizes; ranges of a batch; pixels of channels side by side |
//! | `panel` | matrices in memory that tasks share: pointers that know how far they reach |
//!
//! # An instruction set of one's own
//! It takes three files: its vectors in a file like `avx2.rs`, a line for it in each part of `isa.rs`, where the compiler names those that are
//! missing, and the module here. Tests run every instruction set that the machine has.
//!
//! # Example
//! ```
//! use sfumato_cpu::{Conv2d, conv2d, fresh};
//!
//! let s = Conv2d { n: 2, c: 8, k: 16, h: 7, w: 5, side: 3, stride: 1, padding: [1; 4] };
//! let (x, weight, bias) = (vec![0.5; s.input_len()], vec![0.1; s.weight_len()], vec![1.0; s.k]);
//! let mut y = vec![0.0; s.output_len()];
//! conv2d(&s, &x, &weight, Some(&bias), None, &mut y);
//! assert_eq!(y, fresh::conv2d(&s, &x, &weight, Some(&bias), None));
//! ```
#![deny(unsafe_op_in_unsafe_fn)]

mod adam;
mod attention;
mod attention_block;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod awake;
mod bf16;
mod conv;
mod elementwise;
pub mod fresh;
mod gemm;
mod images;
mod isa;
mod linear;
mod norm;
mod norm_conv;
mod panel;
mod pixels;
mod portable;
mod precision;
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
pub use bf16::is_bf16;
pub use conv::{
    Conv2d, JoinedConv1x1, conv1x1_joined, conv1x1_joined_backward, conv1x1_joined_backward_input,
    conv1x1_joined_backward_weight, conv2d, conv2d_backward, conv2d_backward_input, conv2d_backward_weight,
    is_winograd, kept_tile,
};
pub use elementwise::{add, silu, silu_backward, sum_images, sum_pixels};
pub use gemm::{Matrix, gemm};
pub use isa::Isa;
pub use linear::{linear, linear_backward_input, linear_backward_weight, sum_rows};
pub use norm::{Affine, GroupNorm, NormGradients, NormInput, Statistics, group_norm, group_norm_backward};
pub use norm_conv::{
    NormConv, NormConvGradients, norm_conv, norm_conv_backward, norm_conv_bf16, norm_conv_bf16_backward,
};
pub use precision::Precision;
pub use resample::{add_channel_bias, concat, part, upsample_nearest_2x, upsample_nearest_2x_backward};
pub use scratch::{release_scratch, scratch_bytes};
pub use sum_of_squares::sum_of_squares;
