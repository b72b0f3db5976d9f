//! The multilayer perceptron.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::{self as kernels, Backend};

use super::MlpConfig;
use crate::{
    InputError, NetError,
    layers::Linear,
    params::{Builder, ParamSource},
    unet::{TimeEmbedding, sinusoidal},
};

/// Residual blocks of linear layers and SiLU, each told the time as the blocks of the U-Net are.
///
/// ```
/// use burn::{backend::Flex, tensor::Tensor};
/// use sfumato_nets::{mlp::MlpConfig, params::RandomParams};
///
/// let device = Default::default();
/// let net = MlpConfig::default().build::<Flex>(&mut RandomParams::new(0), &device)?;
/// let output = net.forward(Tensor::ones([5, 2], &device), &[0.0, 1.0, 10.0, 100.0, 999.0]);
/// assert_eq!(output.dims(), [5, 2]);
/// # Ok::<(), sfumato_nets::NetError>(())
/// ```
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// From the data to the hidden width.
    pub linear_in: Linear<B>,
    /// Embedding of the time features.
    pub time_embedding: TimeEmbedding<B>,
    /// Residual blocks.
    pub blocks: Vec<MlpBlock<B>>,
    /// Back to the data.
    pub linear_out: Linear<B>,
    data_dim: usize,
    time_features: usize,
}

/// `h + W_2 silu(W_1 silu(h) + W_t time)`.
#[derive(Module, Debug)]
pub struct MlpBlock<B: Backend> {
    /// `W_1`.
    pub linear_1: Linear<B>,
    /// `W_t`.
    pub time_emb_proj: Linear<B>,
    /// `W_2`.
    pub linear_2: Linear<B>,
}

impl MlpConfig {
    /// Builds the network, with parameters from `source`, on `device`.
    ///
    /// # Errors
    /// [`NetError::Config`] if a size is out of range, and what `source` reports.
    pub fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<Mlp<B>, NetError> {
        self.validate()?;
        let Self { data_dim, hidden_dim, num_blocks, time_features, .. } = *self;
        let mut b = Builder::new(source, device);
        let net = Mlp {
            linear_in: b.within("linear_in", |b| Linear::new(b, data_dim, hidden_dim)),
            time_embedding: b.within("time_embedding", |b| TimeEmbedding::new(b, time_features, hidden_dim)),
            blocks: b.list("blocks", 0..num_blocks, |b, _| MlpBlock::new(b, hidden_dim)),
            linear_out: b.within("linear_out", |b| Linear::last(b, hidden_dim, self.outputs())),
            data_dim,
            time_features,
        };
        b.finish()?;
        Ok(net)
    }
}

impl<B: Backend> MlpBlock<B> {
    fn new(b: &mut Builder<B>, width: usize) -> Self {
        Self {
            linear_1: b.within("linear_1", |b| Linear::new(b, width, width)),
            time_emb_proj: b.within("time_emb_proj", |b| Linear::new(b, width, width)),
            linear_2: b.within("linear_2", |b| Linear::last(b, width, width)),
        }
    }

    fn forward(&self, h: Tensor<B, 2>, time: Tensor<B, 2>) -> Tensor<B, 2> {
        let inner = self.linear_1.forward(kernels::silu(h.clone())) + self.time_emb_proj.forward(time);
        h + self.linear_2.forward(kernels::silu(inner))
    }
}

impl<B: Backend> Mlp<B> {
    /// Checks an input: everything that could go wrong in [`Mlp::forward`].
    ///
    /// # Errors
    /// [`InputError`] that names what does not fit.
    pub fn check(&self, shape: [usize; 2], timesteps: usize) -> Result<(), InputError> {
        let [batch, dim] = shape;
        if batch == 0 {
            return Err(InputError::EmptyBatch);
        }
        if dim != self.data_dim {
            return Err(InputError::Channels { expected: self.data_dim, found: dim });
        }
        if timesteps != batch {
            return Err(InputError::Timesteps { batch, found: timesteps });
        }
        Ok(())
    }

    /// Runs the network.
    ///
    /// # Shapes
    /// - `x`: `[batch, data_dim]`
    /// - output: as `x`, or `[batch, 2 data_dim]` with a learned variance, which is the second half
    /// - `timesteps_0`: one for each example, counted from 0
    ///
    /// # Panics
    /// With the message of the [`InputError`] where [`Mlp::check`] fails.
    pub fn forward(&self, x: Tensor<B, 2>, timesteps_0: &[f32]) -> Tensor<B, 2> {
        if let Err(error) = self.check(x.dims(), timesteps_0.len()) {
            panic!("{error}");
        }
        let features = sinusoidal(timesteps_0, self.time_features, true, 0);
        let features = TensorData::new(features, [timesteps_0.len(), self.time_features]);
        let time = self.time_embedding.forward(Tensor::from_data(features, &x.device()));
        let time = kernels::silu(time);
        let h = self.linear_in.forward(x);
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h, time.clone()));
        self.linear_out.forward(kernels::silu(h))
    }
}
