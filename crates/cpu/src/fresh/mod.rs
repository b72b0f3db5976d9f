//! The kernels with results in new memory, which is not cleared first: to write zeros would take a good part of the time of a kernel
//! that memory bounds.

mod attention;
mod attention_block;
mod conv;
mod joined;
mod linear;
mod moves;
mod norm;
mod norm_conv;
mod upsample_conv;

pub use attention::{attention, attention_backward, self_attention, self_attention_backward};
pub use attention_block::{
    AttentionBlockResults, AttentionBlockSaved, attention_block, attention_block_backward, attention_block_saving,
};
pub use conv::{conv2d, conv2d_backward, conv2d_backward_input, conv2d_backward_weight, conv3x3_filtered};
pub use joined::{
    conv1x1_joined, conv1x1_joined_backward, conv1x1_joined_backward_input, conv1x1_joined_backward_weight,
};
pub use linear::{linear, linear_backward_input, linear_backward_weight, sum_rows};
pub use moves::{
    add_channel_bias, concat, part, silu, silu_backward, sum_pixels, upsample_nearest_2x, upsample_nearest_2x_backward,
};
pub use norm::{NormResults, group_norm, group_norm_backward};
pub use norm_conv::{norm_conv, norm_conv_backward, norm_conv_bf16, norm_conv_bf16_backward};
pub use upsample_conv::{upsample_conv3x3, upsample_conv3x3_backward};

use super::awake::keep_awake;

/// An empty vector with room for `n` floats.
///
/// # Panics
/// If there is no memory for them. Sizes whose slices are short can ask for a large result, as where there are no channels to convolve.
#[track_caller]
fn with_room(n: usize) -> Vec<f32> {
    let mut values = Vec::new();
    let room = values.try_reserve_exact(n);
    assert!(room.is_ok(), "a result of {n} values is more than any memory holds");
    values
}

/// `n` zeros.
fn zeros(n: usize) -> Vec<f32> {
    let mut values = with_room(n);
    values.resize(n, 0.0);
    values
}

/// A vector of `n` floats that `fill` writes. More kernels are expected to follow: idle threads stay awake for a while.
///
/// # Safety
/// `fill` must write every value and read none before it is written. The kernels of this crate do so, whatever the sizes, or panic:
/// they are tested with outputs that held guard values before.
unsafe fn filled(n: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    keep_awake();
    let mut values = with_room(n);
    let spare = &mut values.spare_capacity_mut()[..n];
    // SAFETY: same layout; the slice is only written to, as the caller promises.
    let spare = unsafe { &mut *(std::ptr::from_mut(spare) as *mut [f32]) };
    fill(spare);
    // SAFETY: the capacity is at least `n`, and `fill` has written all of it.
    unsafe { values.set_len(n) };
    values
}
