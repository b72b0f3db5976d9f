//! The configurations that the training loop can build a network from.

use crate::pipeline::AnyConfig;
use sfumato_kernels::Backend;
use sfumato_nets::{
    NetError, Network,
    mlp::{Mlp, MlpConfig},
    params::ParamSource,
    unet::{UNet2D, UNet2DConfig},
};

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

impl Blueprint<4> for UNet2DConfig {
    type Net<B: Backend> = UNet2D<B>;

    fn config(&self) -> AnyConfig {
        AnyConfig::UNet(self.clone())
    }

    fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<UNet2D<B>, NetError> {
        UNet2DConfig::build(self, source, device)
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
