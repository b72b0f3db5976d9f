//! Dropout whose mask is addressed, not drawn from hidden state.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand::Rng;
use sfumato_random::{chacha8, word};

/// Address of the dropout masks of one training step.
///
/// The mask of an example is a pure function of (seed, step, layer, example): the same whatever the batch size, the
/// number of ranks, the thread or the backend.
///
/// ```
/// use sfumato_nets::layers::DropoutKey;
/// let key = DropoutKey::new(7, 1200);
/// let second_half_of_the_batch = key.starting_at(64);
/// assert_eq!(second_half_of_the_batch.first_example, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Training step.
    pub step: u64,
    /// Position of the first example of this batch within the step's whole batch.
    pub first_example: u64,
}

impl DropoutKey {
    /// The masks of `step` in a run with `seed`, for a batch that starts at example 0.
    pub fn new(seed: u64, step: u64) -> Self {
        Self { seed, step, first_example: 0 }
    }

    /// The same masks for a part of the batch that starts at example `first_example`.
    pub fn starting_at(self, first_example: u64) -> Self {
        Self { first_example, ..self }
    }
}

/// Sets a fraction of all elements to zero and scales the rest up to keep the mean: Srivastava et al. (2014).
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    probability: f64,
    layer: u32,
}

impl Dropout {
    /// Dropout of each element with `probability` in [0, 1), as dropout layer number `layer` of its network.
    pub fn new(probability: f64, layer: u32) -> Self {
        Self { probability, layer }
    }

    /// Whether it changes anything at `key`.
    pub fn is_active(&self, key: Option<DropoutKey>) -> bool {
        key.is_some() && self.probability > 0.0
    }

    /// Applies the mask at `key`; the identity if there is no key or the probability is 0.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, …]`
    pub fn forward<B: Backend, const D: usize>(&self, x: Tensor<B, D>, key: Option<DropoutKey>) -> Tensor<B, D> {
        match key {
            Some(key) if self.probability > 0.0 => {
                let shape = x.dims();
                let mask = self.mask(key, shape[0], shape[1..].iter().product());
                let (device, dtype) = (x.device(), x.dtype());
                x * Tensor::from_data(TensorData::new(mask, shape), (&device, dtype))
            }
            _ => x,
        }
    }

    /// Factors 0 or `1 / (1 - p)` for `batch` examples of `count` elements.
    fn mask(&self, key: DropoutKey, batch: usize, count: usize) -> Vec<f32> {
        let words = [key.seed, key.step, u64::from(self.layer), word(b"dropout")];
        let dropped_below = (self.probability * 2f64.powi(32)).round() as u64;
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mut mask = Vec::with_capacity(batch * count);
        for example in 0..batch as u64 {
            let mut rng = chacha8(words, key.first_example + example);
            mask.extend((0..count).map(|_| if u64::from(rng.next_u32()) < dropped_below { 0.0 } else { kept }));
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_functions_of_their_address() {
        let (dropout, key) = (Dropout::new(0.25, 3), DropoutKey::new(1, 2));
        let mask = dropout.mask(key, 4, 100);
        assert_eq!(mask, dropout.mask(key, 4, 100));
        assert_eq!(
            mask[200..],
            dropout.mask(key.starting_at(2), 2, 100),
            "a half of the batch has its half of the mask"
        );
        assert_ne!(mask, Dropout::new(0.25, 4).mask(key, 4, 100));
        assert_ne!(mask, dropout.mask(DropoutKey::new(1, 3), 4, 100));
        assert_ne!(mask, dropout.mask(DropoutKey::new(2, 2), 4, 100));
        assert_ne!(mask[..100], mask[100..200]);
    }

    #[test]
    fn the_fraction_dropped_is_the_probability_and_the_mean_is_kept() {
        let mask = Dropout::new(0.1, 0).mask(DropoutKey::new(5, 0), 10, 10_000);
        let dropped = mask.iter().filter(|&&factor| factor == 0.0).count() as f64 / 1e5;
        // Four standard errors of a binomial fraction.
        assert!((dropped - 0.1).abs() < 4.0 * (0.1 * 0.9 / 1e5f64).sqrt(), "{dropped}");
        assert!(mask.iter().all(|&factor| factor == 0.0 || factor == (1.0f64 / 0.9) as f32));
    }
}
