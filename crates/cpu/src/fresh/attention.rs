//! Attention.

use super::filled;
use crate::{Attention, SelfAttention};

/// [`attention`](crate::attention()): `[heads, n, d_v]`.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention(s: &Attention, qkv: [&[f32]; 3]) -> Vec<f32> {
    let len = s.output_len();
    s.check(qkv.map(<[f32]>::len), len);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(len, |y| crate::attention(s, qkv, y)) }
}

/// [`attention_backward`](crate::attention_backward): the gradients of `q`, `k` and `v`, in their shapes.
///
/// # Panics
/// If a length does not fit, or there are no keys.
pub fn attention_backward(s: &Attention, qkv @ [q, k, v]: [&[f32]; 3], dy: &[f32]) -> [Vec<f32>; 3] {
    s.check(qkv.map(<[f32]>::len), dy.len());
    let (mut dk, mut dv) = (Vec::new(), Vec::new());
    // SAFETY: the kernel overwrites its outputs.
    let dq = unsafe {
        filled(q.len(), |dq| {
            dk = filled(k.len(), |dk| {
                dv = filled(v.len(), |dv| crate::attention_backward(s, qkv, dy, [dq, dk, dv]));
            });
        })
    };
    [dq, dk, dv]
}

/// [`self_attention`](crate::self_attention): `[images, heads, d, tokens]`.
///
/// # Panics
/// If a length does not fit, or there are no pixels.
pub fn self_attention(s: &SelfAttention, qkv: &[f32]) -> Vec<f32> {
    s.check(qkv.len(), qkv.len() / 3);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(qkv.len() / 3, |y| crate::self_attention(s, qkv, y)) }
}

/// [`self_attention_backward`](crate::self_attention_backward): the gradient of `qkv`, in its shape.
///
/// # Panics
/// If a length does not fit, or there are no pixels.
pub fn self_attention_backward(s: &SelfAttention, qkv: &[f32], dy: &[f32]) -> Vec<f32> {
    s.check(qkv.len(), dy.len());
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(qkv.len(), |dqkv| crate::self_attention_backward(s, qkv, dy, dqkv)) }
}
