//! The 1×1 convolution of channels in two tensors.

use super::filled;
use crate::JoinedConv1x1;

/// [`conv1x1_joined`](crate::conv1x1_joined): `[n, k, pixels]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined(s: &JoinedConv1x1, x: [&[f32]; 2], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let len = s.output_len();
    s.check(x.map(<[f32]>::len), len, weight.len());
    s.check_options([None, None], bias);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |y| crate::conv1x1_joined(s, x, weight, bias, y)) }
}

/// [`conv1x1_joined_backward`](crate::conv1x1_joined_backward): the gradients of both inputs, and that of the weight, in their shapes;
/// that of the bias goes into `db: [k]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined_backward(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
    db: Option<&mut [f32]>,
) -> ([Vec<f32>; 2], Vec<f32>) {
    s.check(x.map(<[f32]>::len), dy.len(), weight.len());
    s.check_options(add, db.as_deref());
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

/// [`conv1x1_joined_backward_input`](crate::conv1x1_joined_backward_input): the gradients of both inputs, in their shapes.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined_backward_input(
    s: &JoinedConv1x1,
    dy: &[f32],
    weight: &[f32],
    add: [Option<&[f32]>; 2],
) -> [Vec<f32>; 2] {
    let lens = [0, 1].map(|i| s.input_len(i));
    s.check(lens, dy.len(), weight.len());
    s.check_options(add, None);
    let mut second = Vec::new();
    // SAFETY: the kernel overwrites its outputs.
    let first = unsafe {
        filled(lens[0], |first| {
            second = filled(lens[1], |second| {
                crate::conv1x1_joined_backward_input(s, dy, weight, add, [first, second]);
            });
        })
    };
    [first, second]
}

/// [`conv1x1_joined_backward_weight`](crate::conv1x1_joined_backward_weight): `[k, c[0] + c[1]]`; the gradient of the bias goes into
/// `db: [k]`.
///
/// # Panics
/// If a length does not fit.
pub fn conv1x1_joined_backward_weight(
    s: &JoinedConv1x1,
    x: [&[f32]; 2],
    dy: &[f32],
    db: Option<&mut [f32]>,
) -> Vec<f32> {
    let len = s.weight_len();
    s.check(x.map(<[f32]>::len), dy.len(), len);
    s.check_options([None, None], db.as_deref());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |dw| crate::conv1x1_joined_backward_weight(s, x, dy, Some(dw), db)) }
}
