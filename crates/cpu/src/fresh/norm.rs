//! Group normalisation.

use super::{filled, zeros};
use crate::{Affine, GroupNorm, NormGradients, NormInput, Statistics};

/// [`group_norm`](crate::group_norm): the result, `[n, c, hw]`, mean and `rstd`, `[n, groups]`.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm(s: &GroupNorm, x: NormInput, affine: Affine) -> [Vec<f32>; 3] {
    s.check_input(&x, &affine);
    let (mut mean, mut rstd) = (zeros(s.n * s.groups), zeros(s.n * s.groups));
    // SAFETY: the kernel overwrites its output.
    let y = unsafe { filled(s.len(), |y| crate::group_norm(s, x, affine, y, &mut mean, &mut rstd)) };
    [y, mean, rstd]
}

/// The gradients of a group normalisation, as [`NormGradients`] has them.
#[derive(Debug)]
pub struct NormResults {
    /// That of `x`, in its shape.
    pub x: Vec<f32>,
    /// That of `skip`, in its shape.
    pub skip: Vec<f32>,
    /// That of the bias, `[n, c]`, or empty.
    pub bias: Vec<f32>,
    /// That of the scale for every image, `[n, c]`.
    pub scale: Vec<f32>,
    /// That of the offset for every image, `[n, c]`.
    pub offset: Vec<f32>,
}

/// [`group_norm_backward`](crate::group_norm_backward); the gradient of the bias is empty where there is no bias.
///
/// # Panics
/// If a length does not fit or the groups do not divide the channels.
pub fn group_norm_backward(
    s: &GroupNorm,
    x: NormInput,
    statistics: Statistics,
    affine: Affine,
    dy: &[f32],
    add: [Option<&[f32]>; 2],
) -> NormResults {
    s.check_backward(&x, statistics, &affine, dy, add);
    // SAFETY: the kernel overwrites its outputs.
    unsafe { NormResults::filled(s, x, |d| crate::group_norm_backward(s, x, statistics, affine, dy, add, d)) }
}

impl NormResults {
    /// What `fill` writes.
    ///
    /// # Safety
    /// `fill` must write the gradients of `x` and `skip` and read nothing of them before.
    pub(super) unsafe fn filled(s: &GroupNorm, x: NormInput, fill: impl FnOnce(NormGradients)) -> Self {
        let channels = s.n * s.c;
        let (mut scale, mut offset, mut bias) = (zeros(channels), zeros(channels), zeros(x.bias.len()));
        let mut skip = Vec::new();
        // SAFETY: the caller's contract.
        let dx = unsafe {
            filled(x.x.len(), |dx| {
                skip = filled(x.skip.len(), |skip| {
                    let (bias, scale, offset) = (&mut bias[..], &mut scale[..], &mut offset[..]);
                    fill(NormGradients { x: dx, skip, bias, scale, offset, y: &mut [] });
                });
            })
        };
        Self { x: dx, skip, bias, scale, offset }
    }
}
