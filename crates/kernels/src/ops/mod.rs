//! The operations as functions of Burn tensors: shape checks, then one call of the backend.

mod adam;
mod attention;
mod attention_block;
mod channel_bias;
mod concat;
mod conv2d;
mod group_norm;
mod leaf;
mod linear;
mod norm_conv;
mod silu;
mod sum_of_squares;
mod upsample;

pub use adam::{AdamOperands, AdamState, AdamStep, adam_steps};
pub use attention::{attention, spatial_self_attention};
pub use attention_block::{AttentionBlockParams, AttentionBlockSpec, attention_block};
pub use channel_bias::add_channel_bias;
pub use concat::concat_channels;
pub use conv2d::{Conv2dGeometry, conv1x1_joined, conv2d, conv2d_add};
pub use group_norm::{
    GroupNormSpec, NormActivation, group_norm, group_norm_biased, group_norm_joined, group_norm_scale_shift,
};
pub use leaf::with_node_of;
pub use linear::linear;
pub use norm_conv::{NormConvInput, NormConvParams, norm_conv2d};
pub use silu::silu;
pub use sum_of_squares::sum_of_squares;
pub use upsample::{upsample_conv2d, upsample_nearest_2x};

use burn::tensor::{Tensor, TensorPrimitive, backend::Backend, ops::FloatTensor};

/// The primitive of a float tensor.
pub(crate) fn primitive<B: Backend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}

/// The tensor of a float primitive; `D` must be its rank.
pub(crate) fn tensor<B: Backend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}
