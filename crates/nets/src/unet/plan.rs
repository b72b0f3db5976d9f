//! The channels of every block, worked out once for construction, checks and summary.

use super::{DownBlockType, MidBlockType, ResampleType, UNet2DConfig, UpBlockType};

/// One level of encoder or decoder.
#[derive(Clone, Debug)]
pub(super) struct Level {
    /// Channels in and out of each residual block; in the decoder the skip connection is included.
    pub(super) resnets: Vec<(usize, usize)>,
    /// Channels after each residual block.
    pub(super) channels: usize,
    /// Whether attention follows each residual block.
    pub(super) attention: bool,
    /// How the level changes the resolution at its end, if it does.
    pub(super) resample: Option<ResampleType>,
}

/// All levels of a network, in the order of execution.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) down: Vec<Level>,
    /// Channels of the mid block.
    pub(super) mid: Option<MidPlan>,
    pub(super) up: Vec<Level>,
    /// Channels before the last norm.
    pub(super) out: usize,
}

/// The mid block.
#[derive(Clone, Debug)]
pub(super) struct MidPlan {
    pub(super) channels: usize,
    pub(super) attention: bool,
}

impl Plan {
    /// Follows the channels through the network, whose lists must be of equal length.
    pub(super) fn new(config: &UNet2DConfig) -> Self {
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;
        let layers = config.layers_per_block;

        let down = config.down_block_types.iter().enumerate().map(|(i, &kind)| {
            let (before, here) = (channels[i.saturating_sub(1)], channels[i]);
            let resample = match kind {
                DownBlockType::DownBlock2D => ResampleType::Conv,
                DownBlockType::AttnDownBlock2D => config.downsample_type,
                DownBlockType::ResnetDownsampleBlock2D => ResampleType::Resnet,
            };
            Level {
                resnets: (0..layers).map(|j| (if j == 0 { before } else { here }, here)).collect(),
                channels: here,
                attention: kind == DownBlockType::AttnDownBlock2D,
                resample: (i < last).then_some(resample),
            }
        });

        // The decoder runs the levels backwards. Its skips are the encoder's results in reverse: `layers` of this
        // level, then one that entered the level (the result of the downsampling above, or of `conv_in`).
        let up = config.up_block_types.iter().enumerate().map(|(i, &kind)| {
            let level = last - i;
            let here = channels[level];
            let (before, above) = (channels[(level + 1).min(last)], channels[level.saturating_sub(1)]);
            let resample = match kind {
                UpBlockType::UpBlock2D => ResampleType::Conv,
                UpBlockType::AttnUpBlock2D => config.upsample_type,
                UpBlockType::ResnetUpsampleBlock2D => ResampleType::Resnet,
            };
            let resnets = (0..=layers).map(|j| {
                let skip = if j == layers { above } else { here };
                (if j == 0 { before } else { here } + skip, here)
            });
            Level {
                resnets: resnets.collect(),
                channels: here,
                attention: kind == UpBlockType::AttnUpBlock2D,
                resample: (i < last).then_some(resample),
            }
        });

        let mid = (config.mid_block_type != MidBlockType::None)
            .then(|| MidPlan { channels: channels[last], attention: config.mid_attention() });
        Self { down: down.collect(), mid, up: up.collect(), out: channels[0] }
    }

    /// Channels of every group norm but those that `attn_norm_num_groups` decides.
    pub(super) fn normed_channels(&self) -> impl Iterator<Item = usize> {
        let levels = self.down.iter().chain(&self.up).flat_map(|level| &level.resnets);
        let resnets = levels.flat_map(|&(before, after)| [before, after]);
        resnets.chain(self.mid.iter().map(|mid| mid.channels)).chain([self.out])
    }

    /// Channels of every attention.
    pub(super) fn attended_channels(&self) -> impl Iterator<Item = usize> {
        let levels = self.down.iter().chain(&self.up).filter(|level| level.attention).map(|level| level.channels);
        levels.chain(self.mid.iter().filter(|mid| mid.attention).map(|mid| mid.channels))
    }
}
