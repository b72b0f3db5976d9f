//! Weights as B tiles: `[block of 32 outputs][block of 32 inputs][tap][2 tiles][16 pairs of inputs][16 outputs][2]`.

use super::panel::{blocks, columns};
use rayon::prelude::*;
use std::ops::Range;

/// Where the weights of a block of outputs and a block of inputs lie.
pub(super) struct Source {
    pub(super) inputs: Range<usize>,
    pub(super) outputs: Range<usize>,
    /// From one input to the next, and from one output to the next.
    pub(super) strides: [usize; 2],
    pub(super) taps: usize,
    /// Whether the taps are in the opposite order.
    turned: bool,
}

impl Source {
    #[cfg(all(test, target_arch = "x86_64"))]
    pub(super) fn for_tests(
        inputs: Range<usize>,
        outputs: Range<usize>,
        strides: [usize; 2],
        taps: usize,
        turned: bool,
    ) -> Self {
        Self { inputs, outputs, strides, taps, turned }
    }

    /// The tap of the weight that tap `tap` of the tiles has.
    pub(super) fn tap(&self, tap: usize) -> usize {
        if self.turned { self.taps - 1 - tap } else { tap }
    }
}

/// Numbers of the tiles.
pub(super) fn tiles_len(outputs: [usize; 2], inputs: [usize; 2], taps: usize) -> usize {
    blocks(outputs) * blocks(inputs) * taps * 1024
}

/// For `w: [outputs, inputs, taps]`, the forward convolution.
pub(super) fn forward(w: &[f32], outputs: usize, inputs: [usize; 2], taps: usize, tiles: &mut [u16]) {
    let strides = [taps, inputs.iter().sum::<usize>() * taps];
    fill(w, [outputs, 0], inputs, strides, taps, false, tiles);
}

/// For the gradient for the input of that convolution, whose inputs are its outputs.
pub(super) fn turned(w: &[f32], outputs: [usize; 2], inputs: usize, taps: usize, tiles: &mut [u16]) {
    let strides = [outputs.iter().sum::<usize>() * taps, taps];
    fill(w, outputs, [inputs, 0], strides, taps, true, tiles);
}

fn fill(
    w: &[f32],
    outputs: [usize; 2],
    inputs: [usize; 2],
    strides: [usize; 2],
    taps: usize,
    turned: bool,
    tiles: &mut [u16],
) {
    debug_assert_eq!(tiles.len(), tiles_len(outputs, inputs, taps));
    let wide_inputs = blocks(inputs);
    tiles.par_chunks_exact_mut(taps * 1024).enumerate().for_each(|(i, to)| {
        let (inputs, outputs) = (columns(inputs, i % wide_inputs), columns(outputs, i / wide_inputs));
        let by = Source { inputs, outputs, strides, taps, turned };
        // SAFETY: the processor has what it needs.
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_unsafe, reason = "there is plain code alone"))]
        unsafe {
            around!(fill(w, to, &by));
        }
    });
}
