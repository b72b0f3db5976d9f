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

    /// Of these numbers, whatever network they are of.
    #[cfg(test)]
    pub(super) fn of(channels: usize, weights: usize) -> Self {
        Self { channels, weights }
    }

    /// Examples of `pixels` pixels that are best computed together where the caches hold `cache` bytes.
    pub(super) fn examples(&self, pixels: usize, cache: usize) -> usize {
        let example = self.channels.saturating_mul(pixels).saturating_mul(size_of::<f32>()).max(1);
        (cache / example).max(self.weights / WEIGHTS_PER_ACTIVATION / example).max(1)
    }
}

/// Examples of each part of a batch, of about `examples` each; the last part may have fewer.
pub(super) fn part_len(batch: usize, examples: usize) -> usize {
    // No part but the last is less than half as large as that.
    let parts = (batch as f64 / examples as f64).round().max(1.0) as usize;
    batch.div_ceil(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_close_to_the_size_asked_for() {
        assert_eq!([1, 16, 23, 24, 64, 100].map(|batch| part_len(batch, 16)), [1, 16, 23, 12, 16, 17]);
        assert_eq!([1, 2, 5].map(|batch| part_len(batch, 1)), [1, 1, 1]);
    }

    #[test]
    fn parts_of_any_size_cover_every_batch() {
        for batch in 1..200 {
            for examples in (1..=batch + 1).chain([1 << 20, usize::MAX]) {
                let part = part_len(batch, examples);
                assert!((1..=batch).contains(&part), "{batch} images, about {examples} at a time: {part}");
                assert!(part <= examples.saturating_mul(2), "{batch} images, about {examples} at a time: {part}");
            }
        }
    }

    #[test]
    fn no_cache_and_an_endless_one_give_parts_too() {
        let sizes = PartSize { channels: 384, weights: 6_400_000 };
        assert!(sizes.examples(1, 0) >= 1);
        assert_eq!(sizes.examples(1 << 30, 0), 1);
        assert_eq!(sizes.examples(usize::MAX, usize::MAX), 1);
        assert!(sizes.examples(1, usize::MAX) > 1 << 40);
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
