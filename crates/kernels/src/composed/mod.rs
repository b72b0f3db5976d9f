//! The operations composed of Burn's own: the default of every backend, the path of dtypes other than f32, and
//! an independent reference in tests.
//!
//! Gradients are written out, because a backend's own methods know no autodiff.

mod attention;
mod attention_block;
mod conv2d;
mod elementwise;
mod group_norm;
mod joined;
mod linear;
mod matmul;
mod norm_conv;
mod upsample_conv;

pub(crate) use attention::{attention, attention_backward, spatial_self_attention, spatial_self_attention_backward};
pub(crate) use attention_block::attention_block;
pub(crate) use conv2d::{conv2d, conv2d_backward};
pub(crate) use elementwise::{
    adam_steps, add, add_channel_bias, concat_channels, silu, silu_backward, split_channels, sum_of_squares,
    sum_pixels, upsample_nearest_2x, upsample_nearest_2x_backward,
};
pub(crate) use group_norm::{group_norm, group_norm_backward};
pub(crate) use joined::{conv1x1_joined, conv1x1_joined_backward};
pub(crate) use linear::{linear, linear_backward};
pub(crate) use matmul::{contiguous, length_for_products};
pub(crate) use norm_conv::norm_conv2d;
pub(crate) use upsample_conv::{upsample_conv2d, upsample_conv2d_backward};
