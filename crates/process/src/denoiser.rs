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
    /// - `x_t`: `[batch, …]`
    /// - `t`: one step `1..=T` of the *trained* chain for each example, also while sampling on a sub-sequence of it
    /// - output: as `x_t`
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D>;
}

impl<B: Backend, const D: usize, N: Denoiser<B, D> + ?Sized> Denoiser<B, D> for &N {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        (**self).predict(x_t, t)
    }
}
