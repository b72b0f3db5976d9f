//! The residual block.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::{self as kernels, Backend, NormConvInput};

use super::{TimeScaleShift, UNet2DConfig};
use crate::{
    layers::{Activation, Conv2d, ConvKind, Dropout, DropoutKey, GroupNorm, Linear},
    params::Builder,
};

/// Two convolutions, each behind norm and activation, with the time embedding between them and a shortcut around.
#[derive(Module, Debug)]
pub struct ResnetBlock<B: Backend> {
    /// Norm of the input.
    pub norm1: GroupNorm<B>,
    /// To the output's channels.
    pub conv1: Conv2d<B>,
    /// From the time embedding to a bias, or a scale and a shift, for each channel.
    pub time_emb_proj: Linear<B>,
    /// Norm before the second convolution.
    pub norm2: GroupNorm<B>,
    /// Of the output's channels.
    pub conv2: Conv2d<B>,
    /// 1×1 convolution of the shortcut where channels change.
    pub conv_shortcut: Option<Conv2d<B>>,
    pub(super) settings: ResnetSettings,
}

/// What a residual block knows beside its parameters.
#[derive(Clone, Debug)]
pub(super) struct ResnetSettings {
    dropout: Dropout,
    activation: Activation,
    conditioning: TimeScaleShift,
    output_scale: f64,
}

/// What a residual block does to the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resize {
    /// Nothing.
    Keep,
    /// Halves it: the mean of 2×2 pixels.
    Halve,
    /// Doubles it: nearest neighbour.
    Double,
}

impl<B: Backend> ResnetBlock<B> {
    /// A block from `before` to `after` channels; the residual sum is divided by `output_scale`.
    pub fn new(b: &mut Builder<B>, config: &UNet2DConfig, before: usize, after: usize, output_scale: f64) -> Self {
        let (groups, epsilon) = (config.norm_num_groups, config.norm_eps);
        let conditioning = config.resnet_time_scale_shift;
        let projected = match conditioning {
            TimeScaleShift::Default => after,
            TimeScaleShift::ScaleShift => 2 * after,
        };
        let shortcut = before != after;
        Self {
            norm1: b.within("norm1", |b| GroupNorm::new(b, groups, before, epsilon)),
            conv1: b.within("conv1", |b| Conv2d::new(b, before, after, ConvKind::Same3x3)),
            time_emb_proj: b.within("time_emb_proj", |b| Linear::new(b, config.time_embed_dim(), projected)),
            norm2: b.within("norm2", |b| GroupNorm::new(b, groups, after, epsilon)),
            conv2: b.within("conv2", |b| Conv2d::last(b, after, after, ConvKind::Same3x3)),
            conv_shortcut: shortcut
                .then(|| b.within("conv_shortcut", |b| Conv2d::new(b, before, after, ConvKind::Pointwise))),
            settings: ResnetSettings {
                dropout: Dropout::new(config.dropout, b.next_dropout()),
                activation: config.act_fn,
                conditioning,
                output_scale,
            },
        }
    }

    /// Runs the block.
    ///
    /// # Shapes
    /// - `x`: `[batch, before, height, width]`
    /// - `time`: `[batch, time_embed_dim]`, the time embedding *after* the activation, which all blocks share
    /// - output: `[batch, after, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>, time: Tensor<B, 2>, key: Option<DropoutKey>) -> Tensor<B, 4> {
        self.parts().forward(Input::Resized(x, Resize::Keep), time, key)
    }

    /// Runs the block on the channels of `x`, then those of `skip`; see [`ResnetBlock::forward`].
    ///
    /// # Shapes
    /// - `x`, `skip`: `[batch, some of before each, height, width]`
    pub fn forward_joined(
        &self,
        x: Tensor<B, 4>,
        skip: Tensor<B, 4>,
        time: Tensor<B, 2>,
        key: Option<DropoutKey>,
    ) -> Tensor<B, 4> {
        self.parts().forward(Input::Joined(x, skip), time, key)
    }

    fn parts(&self) -> ResnetParts<'_, B> {
        let Self { norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut, settings } = self;
        ResnetParts { norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut: conv_shortcut.as_ref(), settings }
    }
}

/// What a residual block is run on.
pub(super) enum Input<B: Backend> {
    /// A tensor whose resolution may change on the shortcut and before the first convolution.
    Resized(Tensor<B, 4>, Resize),
    /// The channels of two tensors.
    Joined(Tensor<B, 4>, Tensor<B, 4>),
}

/// A residual block whose parts live elsewhere.
pub(super) struct ResnetParts<'a, B: Backend> {
    pub(super) norm1: &'a GroupNorm<B>,
    pub(super) conv1: &'a Conv2d<B>,
    pub(super) time_emb_proj: &'a Linear<B>,
    pub(super) norm2: &'a GroupNorm<B>,
    pub(super) conv2: &'a Conv2d<B>,
    pub(super) conv_shortcut: Option<&'a Conv2d<B>>,
    pub(super) settings: &'a ResnetSettings,
}

impl<B: Backend> ResnetParts<'_, B> {
    /// See [`ResnetBlock::forward`].
    pub(super) fn forward(&self, input: Input<B>, time: Tensor<B, 2>, key: Option<DropoutKey>) -> Tensor<B, 4> {
        let ResnetSettings { dropout, activation, conditioning, output_scale } = self.settings;
        let (norm1, conv1) = (self.norm1, self.conv1);
        let h = match &input {
            Input::Resized(x, Resize::Keep) => {
                norm1.forward_convolved(NormConvInput::Plain(x.clone()), *activation, conv1, None)
            }
            Input::Resized(x, Resize::Double) => {
                conv1.forward_upsampled(norm1.forward_activated(x.clone(), *activation))
            }
            Input::Resized(x, resize) => conv1.forward(resize.forward(norm1.forward_activated(x.clone(), *activation))),
            Input::Joined(x, skip) => {
                norm1.forward_convolved(NormConvInput::Joined(x.clone(), skip.clone()), *activation, conv1, None)
            }
        };
        let time = self.time_emb_proj.forward(time);
        let shortcut = match (input, self.conv_shortcut) {
            (Input::Resized(x, resize), None) => resize.forward(x),
            (Input::Resized(x, resize), Some(conv)) => conv.forward(resize.forward(x)),
            (Input::Joined(x, skip), None) => kernels::concat_channels(x, skip),
            (Input::Joined(x, skip), Some(conv)) => conv.forward_joined(x, skip),
        };
        let conditioned = match conditioning {
            TimeScaleShift::Default => NormConvInput::Biased(h, time),
            TimeScaleShift::ScaleShift => {
                let [scale, shift] = halves(time);
                NormConvInput::ScaleShift(h, scale, shift)
            }
        };
        let sum = if dropout.is_active(key) {
            let h = self.norm2.forward_conditioned(conditioned, *activation);
            self.conv2.forward_add(dropout.forward(h, key), shortcut)
        } else {
            self.norm2.forward_convolved(conditioned, *activation, self.conv2, Some(shortcut))
        };
        if *output_scale == 1.0 { sum } else { sum / *output_scale }
    }
}

impl Resize {
    fn forward<B: Backend>(self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Keep => x,
            Self::Halve => burn::tensor::module::avg_pool2d(x, [2, 2], [2, 2], [0, 0], true, false),
            Self::Double => kernels::upsample_nearest_2x(x),
        }
    }
}

/// The first and the second half of the columns.
fn halves<B: Backend>(x: Tensor<B, 2>) -> [Tensor<B, 2>; 2] {
    let half = x.dims()[1] / 2;
    [x.clone().narrow(1, 0, half), x.narrow(1, half, half)]
}
