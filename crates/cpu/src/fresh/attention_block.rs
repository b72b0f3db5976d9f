//! The attention block.

use super::{filled, zeros};
use crate::{AttentionBlock, AttentionBlockGradients, AttentionSaved, AttentionWeights};

/// [`attention_block`](crate::attention_block()): `[n, c, pixels]`.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or there are no channels or pixels.
pub fn attention_block(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> Vec<f32> {
    s.check(x, w);
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.len(), |y| crate::attention_block(s, x, w, None, y)) }
}

/// The result of an attention block, and what its gradient needs.
#[derive(Debug)]
pub struct AttentionBlockSaved {
    /// The result, `[n, c, pixels]`.
    pub y: Vec<f32>,
    /// In the order of [`AttentionSaved`].
    pub saved: [Vec<f32>; 3],
}

/// [`attention_block`](crate::attention_block()) that keeps what its gradient needs.
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or there are no channels or pixels.
pub fn attention_block_saving(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> AttentionBlockSaved {
    s.check(x, w);
    let [mut qkv, mut attended, mut softmax] = [const { Vec::new() }; 3];
    // SAFETY: the kernel overwrites its outputs.
    let y = unsafe {
        filled(s.len(), |y| {
            qkv = filled(s.qkv_len(), |qkv| {
                attended = filled(s.attended_len(), |attended| {
                    softmax = filled(s.softmax_len(), |softmax| {
                        let saved = AttentionSaved { qkv, attended, softmax };
                        crate::attention_block(s, x, w, Some(saved), y);
                    });
                });
            });
        })
    };
    AttentionBlockSaved { y, saved: [qkv, attended, softmax] }
}

/// The gradients of an attention block, as [`AttentionBlockGradients`] has them.
#[derive(Debug)]
pub struct AttentionBlockResults {
    /// That of the input, `[n, c, pixels]`.
    pub x: Vec<f32>,
    /// Those of the norm's scale and offset, `[c]`; empty where there is no norm.
    pub norm: [Vec<f32>; 2],
    /// Those of the weights, in the order and shapes of [`AttentionWeights`].
    pub weight: [Vec<f32>; 4],
    /// Those of the biases, likewise.
    pub bias: [Vec<f32>; 4],
}

/// [`attention_block_backward`](crate::attention_block_backward), from the `saved` values of [`attention_block_saving`].
///
/// # Panics
/// If a length does not fit, the groups do not divide the channels, or there are no channels or pixels.
pub fn attention_block_backward(
    s: &AttentionBlock,
    x: &[f32],
    w: &AttentionWeights,
    saved: [&[f32]; 3],
    dy: &[f32],
) -> AttentionBlockResults {
    s.check_backward(x, w, saved, dy);
    let norm_len = if w.norm.is_some() { s.c } else { 0 };
    let mut norm = [zeros(norm_len), zeros(norm_len)];
    let [mut weight, mut bias] = [w.weight, w.bias].map(|all| all.map(|values| zeros(values.len())));
    // SAFETY: the kernel overwrites its outputs.
    let dx = unsafe {
        filled(s.len(), |x_gradient| {
            let d = AttentionBlockGradients {
                x: x_gradient,
                norm: norm.each_mut().map(|d| &mut d[..]),
                weight: weight.each_mut().map(|d| &mut d[..]),
                bias: bias.each_mut().map(|d| &mut d[..]),
            };
            crate::attention_block_backward(s, x, w, saved, dy, d);
        })
    };
    AttentionBlockResults { x: dx, norm, weight, bias }
}
