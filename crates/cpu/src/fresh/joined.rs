//! The 1×1 convolution of channels in two tensors.

use super::filled;
use crate::JoinedConv1x1;

/// [`crate::conv1x1_joined`].
pub fn conv1x1_joined(s: &JoinedConv1x1, x: [&[f32]; 2], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.output_len(), |y| crate::conv1x1_joined(s, x, weight, bias, y)) }
}

/// [`crate::conv1x1_joined_backward`]: the gradients of both inputs, and that of the weight.
pub fn conv1x1_joined_backward(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    db: Option<&mut [f32]>,
) -> ([Vec<f32>; 2], Vec<f32>) {
    let (mut second, mut dw) = (Vec::new(), Vec::new());
    // SAFETY: the kernel overwrites its outputs.
    let first = unsafe {
        filled(s.input_len(0), |first| {
            second = filled(s.input_len(1), |second| {
                dw = filled(s.weight_len(), |dw| {
                    crate::conv1x1_joined_backward(s, x, dy, weight, add, [first, second], dw, db);
                });
            });
        })
    };
    ([first, second], dw)
}

/// [`crate::conv1x1_joined_backward_input`].
pub fn conv1x1_joined_backward_input(
    s: &JoinedConv1x1,
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
) -> [Vec<f32>; 2] {
    let mut second = Vec::new();
    // SAFETY: the kernel overwrites its outputs.
    let first = unsafe {
        filled(s.input_len(0), |first| {
            second = filled(s.input_len(1), |second| {
                crate::conv1x1_joined_backward_input(s, dy, weight, add, [first, second]);
            });
        })
    };
    [first, second]
}

/// [`crate::conv1x1_joined_backward_weight`].
pub fn conv1x1_joined_backward_weight(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    db: Option<&mut [f32]>,
) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.weight_len(), |dw| crate::conv1x1_joined_backward_weight(s, x, dy, Some(dw), db)) }
}
