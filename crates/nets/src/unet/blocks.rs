//! Levels of encoder and decoder, and the block between them.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::Backend;

use super::{
    UNet2DConfig,
    attention::{Attention, AttentionSpec},
    plan::{Level, MidPlan},
    resample::{Direction, Resampler},
    resnet::ResnetBlock,
};
use crate::{layers::DropoutKey, params::Builder};

/// A level of the encoder.
#[derive(Module, Debug)]
pub struct DownBlock<B: Backend> {
    /// One after each residual block, or none.
    pub attentions: Vec<Attention<B>>,
    /// The residual blocks.
    pub resnets: Vec<ResnetBlock<B>>,
    /// At most one.
    pub downsamplers: Vec<Resampler<B>>,
}

/// The block between encoder and decoder.
#[derive(Module, Debug)]
pub struct MidBlock<B: Backend> {
    /// At most one.
    pub attentions: Vec<Attention<B>>,
    /// One before and one after the attention.
    pub resnets: Vec<ResnetBlock<B>>,
}

/// A level of the decoder.
#[derive(Module, Debug)]
pub struct UpBlock<B: Backend> {
    /// One after each residual block, or none.
    pub attentions: Vec<Attention<B>>,
    /// The residual blocks, one more than in the encoder.
    pub resnets: Vec<ResnetBlock<B>>,
    /// At most one.
    pub upsamplers: Vec<Resampler<B>>,
}

impl<B: Backend> DownBlock<B> {
    pub(super) fn new(b: &mut Builder<B>, config: &UNet2DConfig, level: &Level) -> Self {
        Self {
            attentions: attentions(b, config, level),
            resnets: resnets(b, config, level),
            downsamplers: b.list("downsamplers", level.resample, |b, kind| {
                Resampler::new(b, config, level.channels, kind, Direction::Down)
            }),
        }
    }

    /// Runs the level and appends its intermediate results, the result included, to `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<B, 4>,
        time: &Tensor<B, 2>,
        key: Option<DropoutKey>,
        skips: &mut Vec<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, time.clone(), key);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x, time.clone(), key);
            skips.push(x.clone());
        }
        x
    }
}

impl<B: Backend> MidBlock<B> {
    pub(super) fn new(b: &mut Builder<B>, config: &UNet2DConfig, plan: &MidPlan) -> Self {
        let (channels, output_scale) = (plan.channels, config.mid_block_scale_factor);
        let spec = AttentionSpec {
            channels,
            heads: config.heads(channels),
            groups: config.mid_attention_groups(),
            epsilon: config.norm_eps,
            output_scale,
        };
        Self {
            attentions: b.list("attentions", plan.attention.then_some(spec), Attention::new),
            resnets: b.list("resnets", [(); 2], |b, ()| ResnetBlock::new(b, config, channels, channels, output_scale)),
        }
    }

    pub(super) fn forward(&self, mut x: Tensor<B, 4>, time: &Tensor<B, 2>, key: Option<DropoutKey>) -> Tensor<B, 4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, time.clone(), key);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
        }
        x
    }
}

impl<B: Backend> UpBlock<B> {
    pub(super) fn new(b: &mut Builder<B>, config: &UNet2DConfig, level: &Level) -> Self {
        Self {
            attentions: attentions(b, config, level),
            resnets: resnets(b, config, level),
            upsamplers: b.list("upsamplers", level.resample, |b, kind| {
                Resampler::new(b, config, level.channels, kind, Direction::Up)
            }),
        }
    }

    /// Runs the level; each residual block takes one result off the end of `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<B, 4>,
        time: &Tensor<B, 2>,
        key: Option<DropoutKey>,
        skips: &mut Vec<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the encoder has left one result for each residual block of the decoder");
            x = resnet.forward_joined(x, skip, time.clone(), key);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
        }
        for upsampler in &self.upsamplers {
            x = upsampler.forward(x, time.clone(), key);
        }
        x
    }
}

fn attentions<B: Backend>(b: &mut Builder<B>, config: &UNet2DConfig, level: &Level) -> Vec<Attention<B>> {
    let spec = AttentionSpec {
        channels: level.channels,
        heads: config.heads(level.channels),
        groups: Some(config.norm_num_groups),
        epsilon: config.norm_eps,
        output_scale: 1.0,
    };
    let count = if level.attention { level.resnets.len() } else { 0 };
    b.list("attentions", std::iter::repeat_n(spec, count), Attention::new)
}

fn resnets<B: Backend>(b: &mut Builder<B>, config: &UNet2DConfig, level: &Level) -> Vec<ResnetBlock<B>> {
    b.list("resnets", level.resnets.iter().copied(), |b, (before, after)| {
        ResnetBlock::new(b, config, before, after, 1.0)
    })
}
