//! What the training loop asks of a network, and the two that it knows.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::Backend;
use sfumato_nets::{
    NetError,
    layers::DropoutKey,
    mlp::{Mlp, MlpConfig},
    params::ParamSource,
    pipeline::AnyConfig,
    unet::{UNet2D, UNet2DConfig},
};
use sfumato_process::Denoiser;

/// A network on a backend.
pub trait Network<B: Backend, const D: usize>: Module<B> {
    /// The raw prediction for `x_t` `[batch, …]` at steps `t` in `1..=T`, with a class for each example if the network
    /// is class-conditional, and with dropout while training.
    fn run(&self, x_t: Tensor<B, D>, t: &[usize], classes: Option<&[usize]>, dropout: Option<DropoutKey>) -> Tensor<B, D>;
}

/// A configuration from which a network is built, on whichever backend.
pub trait Blueprint<const D: usize> {
    /// The network on backend `B`.
    type Net<B: Backend>: Network<B, D>;

    /// The configuration as a model directory holds it.
    fn config(&self) -> AnyConfig;

    /// Builds it with parameters from `source`.
    ///
    /// # Errors
    /// [`NetError`] from the configuration or the source.
    fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<Self::Net<B>, NetError>;
}

impl<B: Backend> Network<B, 4> for UNet2D<B> {
    fn run(&self, x_t: Tensor<B, 4>, t: &[usize], classes: Option<&[usize]>, dropout: Option<DropoutKey>) -> Tensor<B, 4> {
        let timesteps_0: Vec<f32> = t.iter().map(|&t| t as f32 - 1.0).collect();
        self.forward(x_t, &timesteps_0, classes, dropout)
    }
}

impl Blueprint<4> for UNet2DConfig {
    type Net<B: Backend> = UNet2D<B>;

    fn config(&self) -> AnyConfig {
        AnyConfig::UNet(self.clone())
    }

    fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<UNet2D<B>, NetError> {
        UNet2DConfig::build(self, source, device)
    }
}

impl<B: Backend> Network<B, 2> for Mlp<B> {
    fn run(&self, x_t: Tensor<B, 2>, t: &[usize], _: Option<&[usize]>, _: Option<DropoutKey>) -> Tensor<B, 2> {
        self.predict(x_t, t)
    }
}

impl Blueprint<2> for MlpConfig {
    type Net<B: Backend> = Mlp<B>;

    fn config(&self) -> AnyConfig {
        AnyConfig::Mlp(self.clone())
    }

    fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<Mlp<B>, NetError> {
        MlpConfig::build(self, source, device)
    }
}

/// A network with the classes and the dropout of one call: what the process crate sees.
pub(crate) struct Call<'a, N> {
    pub(crate) net: &'a N,
    pub(crate) classes: Option<&'a [usize]>,
    pub(crate) dropout: Option<DropoutKey>,
}

impl<B: Backend, const D: usize, N: Network<B, D>> Denoiser<B, D> for Call<'_, N> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        self.net.run(x_t, t, self.classes, self.dropout)
    }
}

/// Classifier-free guidance: `null + weight · (class - null)`, both in one evaluation of twice the batch
/// (Ho & Salimans 2022, arXiv:2207.12598, Eq. 6 with `weight = 1 + w`).
pub(crate) struct Guided<'a, N> {
    pub(crate) net: &'a N,
    pub(crate) classes: &'a [usize],
    pub(crate) null_class: usize,
    pub(crate) weight: f64,
}

impl<B: Backend, const D: usize, N: Network<B, D>> Denoiser<B, D> for Guided<'_, N> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        let batch = t.len();
        let classes = [self.classes, &vec![self.null_class; batch]].concat();
        let both = self.net.run(Tensor::cat(vec![x_t.clone(), x_t], 0), &[t, t].concat(), Some(&classes), None);
        let (class, null) = (both.clone().narrow(0, 0, batch), both.narrow(0, batch, batch));
        null.clone() + (class - null) * self.weight
    }
}
