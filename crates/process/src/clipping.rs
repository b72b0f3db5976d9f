//! Predictions of clean data, kept where the data is.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

/// What is done to a prediction of `x_0` before a sampler goes on with it.
///
/// Images lie in [-1, 1]. A prediction outside pulls the chain away from them, the more so the fewer the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Clipping {
    /// Nothing.
    #[default]
    Off,
    /// Cut to [-range, range]: diffusers' `clip_sample` and `clip_sample_range`.
    Fixed {
        /// Largest magnitude, above 0.
        range: f64,
    },
    /// Dynamic thresholding: Saharia et al. (2022), arXiv:2205.11487, §2.3; diffusers' `thresholding`.
    ///
    /// Each example is cut to [-s, s] and divided by `s`, the quantile of its magnitudes, but at least 1 and at most `max`.
    Dynamic {
        /// Which quantile, in (0, 1]; between two values it is interpolated.
        ratio: f64,
        /// Ceiling of `s`, at least 1.
        max: f64,
    },
}

impl Clipping {
    /// Cut to [-1, 1].
    pub const UNIT: Self = Self::Fixed { range: 1.0 };

    /// Applies it to a prediction.
    ///
    /// # Shapes
    /// `x_0` and the result: `[batch, …]`.
    pub fn apply<B: Backend, const D: usize>(self, x_0: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Off => x_0,
            Self::Fixed { range } => x_0.clamp(-range, range),
            Self::Dynamic { ratio, max } => {
                let shape = x_0.dims();
                let mut each = [1; D];
                each[0] = shape[0];
                let threshold = quantile(x_0.clone().abs(), ratio).clamp(1.0, max.max(1.0));
                let threshold = threshold.reshape(each).expand(shape);
                x_0.max_pair(threshold.clone().neg()).min_pair(threshold.clone()) / threshold
            }
        }
    }
}

/// The quantile of each example, `[batch]`, interpolated linearly between neighbours as numpy and torch do.
fn quantile<B: Backend, const D: usize>(x: Tensor<B, D>, ratio: f64) -> Tensor<B, 1> {
    let batch = x.dims()[0];
    let sorted = x.reshape([batch as i32, -1]).sort(1);
    let last = sorted.dims()[1] - 1;
    let position = ratio.clamp(0.0, 1.0) * last as f64;
    let (low, weight) = (position.floor() as usize, position.fract());
    let at = |i: usize| sorted.clone().narrow(1, i.min(last), 1).reshape([batch]);
    at(low) * (1.0 - weight) + at(low + 1) * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{backend::Flex, tensor::TensorData};

    fn applied(clipping: Clipping, values: &[f32], shape: [usize; 2]) -> Vec<f32> {
        let x = Tensor::<Flex, 2>::from_data(TensorData::new(values.to_vec(), shape), &Default::default());
        clipping.apply(x).into_data().into_vec().unwrap()
    }

    #[test]
    fn a_fixed_range_cuts() {
        assert_eq!(applied(Clipping::Fixed { range: 0.5 }, &[-2.0, 0.25, 1.0], [1, 3]), [-0.5, 0.25, 0.5]);
        assert_eq!(applied(Clipping::Off, &[-2.0, 0.25], [1, 2]), [-2.0, 0.25]);
    }

    #[test]
    fn a_dynamic_threshold_is_each_examples_own_quantile() {
        // The 0.75 quantile of 1, 2, 3, 4 is 3.25; that of the second example lies below 1, so it is only cut to [-1, 1].
        let x = [1.0, -2.0, 3.0, -4.0, 0.5, -0.25, 0.0, 1.5];
        let expected = [1.0 / 3.25, -2.0 / 3.25, 3.0 / 3.25, -1.0, 0.5, -0.25, 0.0, 1.0];
        let found = applied(Clipping::Dynamic { ratio: 0.75, max: 10.0 }, &x, [2, 4]);
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?}");
        }
        // With the ceiling at 1 it is the fixed range.
        let capped = applied(Clipping::Dynamic { ratio: 0.75, max: 1.0 }, &x, [2, 4]);
        assert_eq!(capped, applied(Clipping::UNIT, &x, [2, 4]));
    }
}
