//! From one class to another, a little at a time.

use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::Backend;
use sfumato_process::Denoiser;

use crate::{Network, network::guided};

/// A mixture of what a network predicts for two classes: `(1 - w) f(x_t, a) + w f(x_t, b)`, with a weight `w` for each example.
///
/// Predictions of the noise are scaled scores (Song et al. 2021, arXiv:2011.13456, §2), so that the mixture is the score of a product of the
/// two densities, `p(x | a)^{1-w} p(x | b)^w`, up to a constant. With guidance the mixture takes the place of the conditional prediction.
///
/// An example of weight 0 or 1 is that of [`Call`](crate::Call) or [`Guided`](crate::Guided) up to rounding.
#[derive(Clone, Debug)]
pub struct Path<'a, N> {
    /// The class-conditional network.
    pub net: &'a N,
    /// The class of weight 0.
    pub from: usize,
    /// The class of weight 1.
    pub to: usize,
    /// For each example, from 0 to 1.
    pub weights: &'a [f64],
    /// The label that stands for "no class", and the strength of the guidance.
    pub guidance: Option<(usize, f64)>,
}

impl<B: Backend, const D: usize, N: Network<B, D>> Denoiser<B, D> for Path<'_, N> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        let times: Vec<f64> = t.iter().map(|&t| t as f64).collect();
        self.predict_between(x_t, &times)
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        let predicted = |class: usize| {
            let classes = vec![class; self.weights.len()];
            self.net.forward_between(x_t.clone(), t, Some(&classes), None)
        };
        let mut shape = [1; D];
        shape[0] = self.weights.len();
        let weights = TensorData::new(self.weights.to_vec(), shape);
        let weights = Tensor::<B, D>::from_data(weights, (&x_t.device(), x_t.dtype()));
        let from = predicted(self.from);
        let mixed = from.clone() + (predicted(self.to) - from) * weights;
        match self.guidance {
            Some((null_class, weight)) if weight != 1.0 => {
                guided(x_t.dims().get(1).copied(), predicted(null_class), mixed, weight)
            }
            _ => mixed,
        }
    }
}
