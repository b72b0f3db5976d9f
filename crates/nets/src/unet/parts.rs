//! How many examples go through a network at a time where nothing has to be kept for a gradient.
//!
//! Every operation reads what the one before it wrote: faster from the caches than from memory, which speaks for few examples.
//! It also reads its weights, once for all examples, which speaks for many.

use super::UNet2DConfig;

/// What the best number of examples depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartSize {
    /// Channels into and out of the widest operation at full resolution.
    channels: usize,
    /// Bytes of all weights.
    weights: usize,
}

/// Weights may have as many times the bytes of the widest operation. Measured: an image of ddpm-cifar10-32 (143 MB of weights,
/// 2 MB an image) costs least in batches of 32, a few hundredths more in batches of 16 and a tenth more in batches of 64.
const WEIGHTS_PER_ACTIVATION: usize = 2;

impl PartSize {
    pub(super) fn new(config: &UNet2DConfig) -> Self {
        let first = config.block_out_channels[0];
        let below = config.block_out_channels.get(1).copied().unwrap_or(first);
        // The decoder's first operation there: what comes from below beside a skip connection, to the first level's channels.
        Self { channels: 2 * first + below, weights: config.num_params() as usize * size_of::<f32>() }
    }

    /// Examples of `pixels` pixels that are best computed together where the caches hold `cache` bytes.
    pub(super) fn examples(&self, pixels: usize, cache: usize) -> usize {
        let example = (self.channels * pixels * size_of::<f32>()).max(1);
        (cache / example).max(self.weights / WEIGHTS_PER_ACTIVATION / example).max(1)
    }
}

/// The number of parts of a batch, of about `examples` examples each.
pub(super) fn parts(batch: usize, examples: usize) -> usize {
    // No part is less than half as large as that.
    (batch as f64 / examples as f64).round().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_close_to_the_size_asked_for() {
        assert_eq!([1, 16, 23, 24, 64, 100].map(|batch| parts(batch, 16)), [1, 1, 1, 2, 4, 6]);
        assert_eq!([1, 2, 5].map(|batch| parts(batch, 1)), [1, 2, 5]);
    }

    #[test]
    fn caches_bound_the_parts_of_small_networks_and_weights_those_of_large_ones() {
        let small = PartSize { channels: 128, weights: 6_400_000 };
        assert_eq!(small.examples(28 * 28, 2 * (7 << 19)), 18);
        assert_eq!(small.examples(128 * 128, 2 * (7 << 19)), 1);
        let large = PartSize { channels: 512, weights: 143_000_000 };
        assert_eq!(large.examples(32 * 32, 2 * (7 << 19)), 34);
    }
}
