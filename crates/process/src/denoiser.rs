//! The one thing that a network must do for a diffusion process.

use burn::tensor::{Tensor, backend::Backend};

/// A network (or an oracle) that looks at noisy data and predicts.
///
/// What the prediction means is not the denoiser's affair: [`Parameterization`](crate::Parameterization) says whether
/// it is read as the noise, the clean data or `v`. Anything that wraps a network (class labels, guidance) implements this trait again.
pub trait Denoiser<B: Backend, const D: usize> {
    /// The raw prediction for `x_t` at steps `t`.
    ///
    /// # Shapes
    /// - `x_t`: `[batch, channels, …]`
    /// - `t`: one step `1..=T` of the *trained* chain for each example, also while sampling on a sub-sequence of it
    /// - output: as `x_t`; or with twice the channels, the second half being the network's word on the variance
    ///   ([`Chain::with_learned_range`](crate::Chain::with_learned_range)), which every other use passes over
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D>;

    /// The raw prediction for `x_t` at times between the steps, in `1.0..=T`: solvers of the probability-flow ODE ask for it.
    ///
    /// Networks that embed the time as a number answer exactly, and what wraps them passes the question on. For a denoiser
    /// that knows whole steps only, the nearest one answers.
    ///
    /// # Shapes
    /// As [`predict`](Self::predict).
    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        let nearest: Vec<usize> = t.iter().map(|t| t.round() as usize).collect();
        self.predict(x_t, &nearest)
    }
}

impl<B: Backend, const D: usize, N: Denoiser<B, D> + ?Sized> Denoiser<B, D> for &N {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        (**self).predict(x_t, t)
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        (**self).predict_between(x_t, t)
    }
}
