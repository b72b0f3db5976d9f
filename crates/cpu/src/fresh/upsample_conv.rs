//! Upsampling, then convolution.

use super::{filled, zeros};
use crate::winograd::{self, UpsampleConv3x3, check_upsampled, check_upsampled_backward};

/// [`winograd::upsample_conv3x3`]: `[n, k, 2h, 2w]`.
///
/// # Panics
/// If a length does not fit.
pub fn upsample_conv3x3(s: &UpsampleConv3x3, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let len = s.output_len();
    check_upsampled(s, x, w, bias, len);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |y| winograd::upsample_conv3x3(s, x, w, bias, y)) }
}

/// [`winograd::upsample_conv3x3_backward`]: the gradients of input, weight and bias, in their shapes.
///
/// # Panics
/// If a length does not fit.
pub fn upsample_conv3x3_backward(
    s: &UpsampleConv3x3,
    x: &[f32],
    dy: &[f32],
    w: &[f32],
    add: Option<&[f32]>,
) -> [Vec<f32>; 3] {
    check_upsampled_backward(s, [x, dy, w], add);
    let (mut dw, mut db) = (Vec::new(), zeros(s.k));
    // SAFETY: the kernel overwrites its outputs.
    let dx = unsafe {
        filled(s.input_len(), |dx| {
            dw = filled(s.weight_len(), |dw| winograd::upsample_conv3x3_backward(s, x, dy, w, add, dx, dw, &mut db));
        })
    };
    [dx, dw, db]
}
