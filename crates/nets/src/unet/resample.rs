//! The end of a level: down or up by a factor of two.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::Backend;

use super::{
    ResampleType, UNet2DConfig,
    resnet::{Input, Resize, ResnetBlock, ResnetParts, ResnetSettings},
};
use crate::{
    layers::{Conv2d, ConvKind, DropoutKey, GroupNorm, Linear},
    params::Builder,
};

/// Changes the resolution by a convolution or by a residual block.
///
/// The two kinds share one struct because their tensors lie side by side in diffusers' naming (`downsamplers.0.conv` or
/// `downsamplers.0.conv1`, …), where an enum would add a level to the path.
#[derive(Module, Debug)]
pub struct Resampler<B: Backend> {
    /// The convolution, if it is one.
    pub conv: Option<Conv2d<B>>,
    /// See [`ResnetBlock::norm1`].
    pub norm1: Option<GroupNorm<B>>,
    /// See [`ResnetBlock::conv1`].
    pub conv1: Option<Conv2d<B>>,
    /// See [`ResnetBlock::time_emb_proj`].
    pub time_emb_proj: Option<Linear<B>>,
    /// See [`ResnetBlock::norm2`].
    pub norm2: Option<GroupNorm<B>>,
    /// See [`ResnetBlock::conv2`].
    pub conv2: Option<Conv2d<B>>,
    settings: Option<ResnetSettings>,
    direction: Direction,
}

/// Which way a [`Resampler`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To half the resolution.
    Down,
    /// To twice the resolution.
    Up,
}

impl<B: Backend> Resampler<B> {
    pub(super) fn new(
        b: &mut Builder<B>,
        config: &UNet2DConfig,
        channels: usize,
        kind: ResampleType,
        direction: Direction,
    ) -> Self {
        match kind {
            ResampleType::Conv => {
                let kind = match (direction, config.downsample_padding) {
                    (Direction::Up, _) => ConvKind::Same3x3,
                    (Direction::Down, 0) => ConvKind::DownAsymmetric,
                    (Direction::Down, _) => ConvKind::Down,
                };
                let conv = b.within("conv", |b| Conv2d::new(b, channels, channels, kind));
                Self {
                    conv: Some(conv),
                    norm1: None,
                    conv1: None,
                    time_emb_proj: None,
                    norm2: None,
                    conv2: None,
                    settings: None,
                    direction,
                }
            }
            ResampleType::Resnet => {
                let ResnetBlock { norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut: _, settings } =
                    ResnetBlock::new(b, config, channels, channels, 1.0);
                Self {
                    conv: None,
                    norm1: Some(norm1),
                    conv1: Some(conv1),
                    time_emb_proj: Some(time_emb_proj),
                    norm2: Some(norm2),
                    conv2: Some(conv2),
                    settings: Some(settings),
                    direction,
                }
            }
        }
    }

    /// Halves or doubles height and width.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - `time`: `[batch, time_embed_dim]`, used by residual blocks only
    pub fn forward(&self, x: Tensor<B, 4>, time: Tensor<B, 2>, key: Option<DropoutKey>) -> Tensor<B, 4> {
        if let Some(conv) = &self.conv {
            return match self.direction {
                Direction::Down => conv.forward(x),
                Direction::Up => conv.forward_upsampled(x),
            };
        }
        let resize = match self.direction {
            Direction::Down => Resize::Halve,
            Direction::Up => Resize::Double,
        };
        self.resnet().expect("a resampler without a convolution holds a residual block").forward(
            Input::Resized(x, resize),
            time,
            key,
        )
    }

    fn resnet(&self) -> Option<ResnetParts<'_, B>> {
        Some(ResnetParts {
            norm1: self.norm1.as_ref()?,
            conv1: self.conv1.as_ref()?,
            time_emb_proj: self.time_emb_proj.as_ref()?,
            norm2: self.norm2.as_ref()?,
            conv2: self.conv2.as_ref()?,
            conv_shortcut: None,
            settings: self.settings.as_ref()?,
        })
    }
}
