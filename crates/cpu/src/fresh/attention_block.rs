//! The attention block.

use super::filled;
use crate::{AttentionBlock, AttentionSaved, AttentionWeights};

/// [`crate::attention_block`].
pub fn attention_block(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.len(), |y| crate::attention_block(s, x, w, None, y)) }
}

/// The result of an attention block, and what its gradient needs, in the order of [`AttentionSaved`].
pub struct AttentionBlockSaved {
    pub y: Vec<f32>,
    pub saved: [Vec<f32>; 3],
}

/// [`crate::attention_block`] that keeps what its gradient needs.
pub fn attention_block_saving(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> AttentionBlockSaved {
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

/// The gradients of an attention block, as [`crate::AttentionBlockGradients`] has them.
pub struct AttentionBlockResults {
    pub x: Vec<f32>,
    pub norm: [Vec<f32>; 2],
    pub weight: [Vec<f32>; 4],
    pub bias: [Vec<f32>; 4],
}

/// [`crate::attention_block_backward`].
pub fn attention_block_backward(
    s: &AttentionBlock,
    x: &[f32],
    w: &AttentionWeights,
    saved: [&[f32]; 3],
    dy: &[f32],
) -> AttentionBlockResults {
    let zeros = |len: usize| vec![0.0; len];
    let norm_len = if w.norm.is_some() { s.c } else { 0 };
    let mut norm = [zeros(norm_len), zeros(norm_len)];
    let [mut weight, mut bias] = [w.weight, w.bias].map(|all| all.map(|values| zeros(values.len())));
    // SAFETY: the kernel overwrites its outputs.
    let dx = unsafe {
        filled(s.len(), |x_gradient| {
            let d = crate::AttentionBlockGradients {
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
