//! The attention block.

use super::filled;
use crate::cpu::{self, AttentionBlock, AttentionSaved, AttentionWeights};

/// [`cpu::attention_block`].
pub(crate) fn attention_block(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> Vec<f32> {
    // SAFETY: the kernel overwrites its output.
    unsafe { filled(s.len(), |y| cpu::attention_block(s, x, w, None, y)) }
}

/// The result of an attention block, and what its gradient needs, in the order of [`AttentionSaved`].
pub(crate) struct AttentionBlockSaved {
    pub(crate) y: Vec<f32>,
    pub(crate) saved: [Vec<f32>; 3],
}

/// [`cpu::attention_block`] that keeps what its gradient needs.
pub(crate) fn attention_block_saving(s: &AttentionBlock, x: &[f32], w: &AttentionWeights) -> AttentionBlockSaved {
    let [mut qkv, mut attended, mut softmax] = [const { Vec::new() }; 3];
    // SAFETY: the kernel overwrites its outputs.
    let y = unsafe {
        filled(s.len(), |y| {
            qkv = filled(s.qkv_len(), |qkv| {
                attended = filled(s.attended_len(), |attended| {
                    softmax = filled(s.softmax_len(), |softmax| {
                        let saved = AttentionSaved { qkv, attended, softmax };
                        cpu::attention_block(s, x, w, Some(saved), y);
                    });
                });
            });
        })
    };
    AttentionBlockSaved { y, saved: [qkv, attended, softmax] }
}

/// The gradients of an attention block, as [`cpu::AttentionBlockGradients`] has them.
pub(crate) struct AttentionBlockResults {
    pub(crate) x: Vec<f32>,
    pub(crate) norm: [Vec<f32>; 2],
    pub(crate) weight: [Vec<f32>; 4],
    pub(crate) bias: [Vec<f32>; 4],
}

/// [`cpu::attention_block_backward`].
pub(crate) fn attention_block_backward(
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
            let d = cpu::AttentionBlockGradients {
                x: x_gradient,
                norm: norm.each_mut().map(|d| &mut d[..]),
                weight: weight.each_mut().map(|d| &mut d[..]),
                bias: bias.each_mut().map(|d| &mut d[..]),
            };
            cpu::attention_block_backward(s, x, w, saved, dy, d);
        })
    };
    AttentionBlockResults { x: dx, norm, weight, bias }
}
