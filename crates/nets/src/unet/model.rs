//! The whole network.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::{Backend, Precision};

use super::{
    ClassEmbedding, Condition, TimeEmbeddingType, UNet2DConfig,
    blocks::{DownBlock, MidBlock, UpBlock},
    parts::{PartSize, part_len},
    plan::Plan,
    time::{TimeEmbedding, TimeProjection},
};
use crate::{
    InputError, NetError,
    layers::{Activation, Conv2d, ConvKind, DropoutKey, GroupNorm},
    params::{Builder, ParamSource},
};

/// Most pixels of an image: kernels keep places within a channel as `i32`.
const MAX_PIXELS: usize = i32::MAX as usize;

/// A `UNet2DModel`. Built by [`UNet2DConfig::build`].
///
/// The path of every parameter in this struct is its name in diffusers' state dict.
#[derive(Module, Debug)]
pub struct UNet2D<B: Backend> {
    /// To the channels of the first level.
    pub conv_in: Conv2d<B>,
    /// Time features; holds a tensor with Fourier features only.
    pub time_proj: TimeProjection<B>,
    /// Embedding of the time features.
    pub time_embedding: TimeEmbedding<B>,
    /// Class conditioning, if there is any.
    pub class_embedding: Option<ClassEmbedding<B>>,
    /// Encoder, from full resolution down.
    pub down_blocks: Vec<DownBlock<B>>,
    /// Between encoder and decoder.
    pub mid_block: Option<MidBlock<B>>,
    /// Decoder, from the lowest resolution up.
    pub up_blocks: Vec<UpBlock<B>>,
    /// Norm before the last convolution.
    pub conv_norm_out: GroupNorm<B>,
    /// To the output's channels.
    pub conv_out: Conv2d<B>,
    settings: Settings,
}

/// What the network knows beside its parameters.
#[derive(Clone, Debug)]
struct Settings {
    in_channels: usize,
    divisor: usize,
    center_input: bool,
    divide_by_time: bool,
    time_activation: Activation,
    part: PartSize,
    precision: Precision,
}

impl UNet2DConfig {
    /// Builds the network, with parameters from `source`, on `device`.
    ///
    /// ```
    /// use burn::backend::Flex;
    /// use sfumato_nets::{params::RandomParams, unet::{DownBlockType, UNet2DConfig, UpBlockType}};
    ///
    /// let config = UNet2DConfig {
    ///     block_out_channels: vec![8, 16],
    ///     down_block_types: vec![DownBlockType::DownBlock2D; 2],
    ///     up_block_types: vec![UpBlockType::UpBlock2D; 2],
    ///     norm_num_groups: 4,
    ///     ..Default::default()
    /// };
    /// let net = config.build::<Flex>(&mut RandomParams::new(0), &Default::default())?;
    /// # Ok::<(), sfumato_nets::NetError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetError::Config`] if the configuration is invalid, and what `source` reports: [`NetError::Source`] with all
    /// tensors that do not fit if it is a file.
    pub fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<UNet2D<B>, NetError> {
        self.validate()?;
        let plan = Plan::new(self);
        let channels = self.block_out_channels[0];
        let mut b = Builder::new(source, device);
        let b = &mut b;
        let net = UNet2D {
            conv_in: b.within("conv_in", |b| Conv2d::new(b, self.in_channels, channels, ConvKind::Same3x3)),
            time_proj: b.within("time_proj", |b| TimeProjection::new(b, self)),
            time_embedding: b
                .within("time_embedding", |b| TimeEmbedding::new(b, self.time_feature_dim(), self.time_embed_dim())),
            class_embedding: ClassEmbedding::new(b, self),
            down_blocks: b.list("down_blocks", &plan.down, |b, level| DownBlock::new(b, self, level)),
            mid_block: plan.mid.as_ref().map(|mid| b.within("mid_block", |b| MidBlock::new(b, self, mid))),
            up_blocks: b.list("up_blocks", &plan.up, |b, level| UpBlock::new(b, self, level)),
            conv_norm_out: b
                .within("conv_norm_out", |b| GroupNorm::new(b, self.norm_num_groups, channels, self.norm_eps)),
            conv_out: b.within("conv_out", |b| Conv2d::last(b, channels, self.out_channels, ConvKind::Same3x3)),
            settings: Settings {
                in_channels: self.in_channels,
                divisor: self.size_divisor(),
                center_input: self.center_input_sample,
                divide_by_time: self.time_embedding_type == TimeEmbeddingType::Fourier,
                time_activation: self.act_fn,
                part: PartSize::new(self),
                precision: Precision::default(),
            },
        };
        b.finish()?;
        Ok(net)
    }
}

impl<B: Backend> UNet2D<B> {
    /// Chooses what convolutions and attention multiply, f32 until then. Gradients follow; clones and networks for inference have the same.
    pub fn set_precision(&mut self, precision: Precision) {
        self.settings.precision = precision;
    }

    /// Checks what [`UNet2D::forward_with`] is about to be given: everything that could go wrong in it.
    ///
    /// `shape` is that of the images, `[batch, channels, height, width]`; `timesteps` is their number.
    ///
    /// # Errors
    /// [`InputError`] that names what does not fit.
    pub fn check(&self, shape: [usize; 4], timesteps: usize, condition: &Condition<B>) -> Result<(), InputError> {
        let [batch, channels, height, width] = shape;
        let Settings { in_channels, divisor, .. } = self.settings;
        if batch == 0 {
            return Err(InputError::EmptyBatch);
        }
        if channels != in_channels {
            return Err(InputError::Channels { expected: in_channels, found: channels });
        }
        if height == 0 || width == 0 || !height.is_multiple_of(divisor) || !width.is_multiple_of(divisor) {
            return Err(InputError::Size { height, width, divisor });
        }
        if height.checked_mul(width).is_none_or(|pixels| pixels > MAX_PIXELS) {
            return Err(InputError::Pixels { height, width, most: MAX_PIXELS });
        }
        if timesteps != batch {
            return Err(InputError::Timesteps { batch, found: timesteps });
        }
        match (&self.class_embedding, condition) {
            (None, Condition::None) => Ok(()),
            (None, _) => Err(InputError::UnexpectedClasses),
            (Some(embedding), condition) => embedding.check(condition, batch),
        }
    }

    /// Runs the network.
    ///
    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`; height and width are multiples of [`UNet2DConfig::size_divisor`]
    /// - `timesteps_0`: one for each example, counted from 0 as in diffusers
    /// - `classes`: one label for each example, for class-conditional networks
    /// - output: `[batch, out_channels, height, width]`
    ///
    /// `dropout` is the address of the dropout masks while training; none otherwise.
    ///
    /// It computes in the type of its parameters, in which `x` must be.
    ///
    /// Without dropout, on a backend that says what its caches hold ([`Backend::cache_bytes`]), a large batch goes through the
    /// network in parts; no example depends on another.
    ///
    /// # Panics
    /// With the message of the [`InputError`] where [`UNet2D::check`] fails.
    pub fn forward(
        &self,
        x: Tensor<B, 4>,
        timesteps_0: &[f32],
        classes: Option<&[usize]>,
        dropout: Option<DropoutKey>,
    ) -> Tensor<B, 4> {
        let condition = classes.map_or(Condition::None, Condition::Classes);
        match self.forward_with(x, timesteps_0, condition, dropout) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`UNet2D::forward`], with any kind of condition and a result.
    ///
    /// # Errors
    /// [`InputError`] as for [`UNet2D::check`].
    pub fn forward_with(
        &self,
        x: Tensor<B, 4>,
        timesteps_0: &[f32],
        condition: Condition<B>,
        dropout: Option<DropoutKey>,
    ) -> Result<Tensor<B, 4>, InputError> {
        self.check(x.dims(), timesteps_0.len(), &condition)?;
        let device = x.device();
        let x = if self.settings.center_input { x * 2.0 - 1.0 } else { x };
        let time = self.embed(timesteps_0, condition, &device);

        let [batch, _, height, width] = x.dims();
        let part = match (B::cache_bytes(), dropout) {
            (Some(bytes), None) => part_len(batch, self.settings.part.examples(height * width, bytes)),
            _ => batch,
        };
        let x = self.settings.precision.with(|| {
            if part == batch {
                return self.denoise(x, &time, dropout);
            }
            let outputs = (0..batch).step_by(part).map(|first| {
                let len = part.min(batch - first);
                self.denoise(x.clone().narrow(0, first, len), &time.clone().narrow(0, first, len), None)
            });
            Tensor::cat(outputs.collect(), 0)
        });

        if !self.settings.divide_by_time {
            return Ok(x);
        }
        let timesteps = TensorData::new(timesteps_0.to_vec(), [timesteps_0.len(), 1, 1, 1]);
        let dtype = x.dtype();
        Ok(x / Tensor::from_data(timesteps, (&device, dtype)))
    }

    /// Cuts batches into other parts than the network's own size asks for.
    #[cfg(test)]
    pub(super) fn cut_by(&mut self, part: PartSize) {
        self.settings.part = part;
    }

    /// From the first convolution to the last.
    fn denoise(&self, x: Tensor<B, 4>, time: &Tensor<B, 2>, dropout: Option<DropoutKey>) -> Tensor<B, 4> {
        let x = self.conv_in.forward(x);
        let mut skips = vec![x.clone()];
        let x = self.down_blocks.iter().fold(x, |x, block| block.forward(x, time, dropout, &mut skips));
        let x = match &self.mid_block {
            Some(block) => block.forward(x, time, dropout),
            None => x,
        };
        let x = self.up_blocks.iter().fold(x, |x, block| block.forward(x, time, dropout, &mut skips));
        // Whatever `act_fn` says, diffusers ends in SiLU.
        self.conv_out.forward(self.conv_norm_out.forward_activated(x, Activation::Silu))
    }

    /// The sum of time and class embedding, activated as every residual block wants it.
    fn embed(&self, timesteps_0: &[f32], condition: Condition<B>, device: &B::Device) -> Tensor<B, 2> {
        let time = self.time_embedding.forward(self.time_proj.forward(timesteps_0, device));
        let class = self.class_embedding.as_ref().and_then(|class| class.forward(condition, &self.time_proj, device));
        let embedding = match class {
            Some(class) => time + class,
            None => time,
        };
        self.settings.time_activation.forward(embedding)
    }
}
