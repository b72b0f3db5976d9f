//! Random networks and inputs, small enough to compute in f64, large enough for every way of the kernels.

use proptest::prelude::*;

use crate::{
    layers::Activation,
    unet::{
        ClassEmbedType, DownBlockType, MidBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2DConfig,
        UpBlockType,
    },
};

/// What a network is told beside the time.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Nothing,
    Labels(Vec<usize>),
    Vectors,
}

/// A network and what it is run on.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) config: UNet2DConfig,
    pub(super) batch: usize,
    pub(super) size: [usize; 2],
    pub(super) condition: Told,
    pub(super) threads: usize,
    /// Channels and bytes of weights by which a batch is cut into parts: many are a small cache.
    pub(super) part: usize,
    pub(super) weights: usize,
}

impl Case {
    pub(super) fn shape(&self) -> [usize; 4] {
        [self.batch, self.config.in_channels, self.size[0], self.size[1]]
    }

    /// A time for each example, none of them 0, by which some networks divide.
    pub(super) fn timesteps(&self) -> Vec<f32> {
        (0..self.batch).map(|i| 1.0 + (i * 137 % 990) as f32).collect()
    }
}

/// Pixels of all images of a batch, about, at most.
const PIXELS: usize = 2600;

/// Batches that nobody measures: one, primes, one more than a round number.
fn batch() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..=4usize, 3 => prop::sample::select(vec![5, 7, 11, 13, 17]), 2 => Just(65), 1 => 6..=70usize]
}

/// Channels of the levels in groups, and the groups. All levels' channels are multiples of the groups, so the decoder's sums are.
fn channels() -> impl Strategy<Value = (usize, Vec<usize>)> {
    let per_group = prop_oneof![3 => 1..=5usize, 2 => 6..=12usize];
    (prop::sample::select(vec![1usize, 2, 3, 4, 5]), prop::collection::vec(per_group, 1..=3))
        .prop_map(|(groups, per_group)| (groups, per_group.into_iter().map(|n| n * groups).collect()))
}

/// The blocks of up to three levels.
fn blocks() -> impl Strategy<Value = (Vec<DownBlockType>, Vec<UpBlockType>)> {
    use DownBlockType::{AttnDownBlock2D, DownBlock2D, ResnetDownsampleBlock2D};
    use UpBlockType::{AttnUpBlock2D, ResnetUpsampleBlock2D, UpBlock2D};
    let down = prop::sample::select(vec![DownBlock2D, AttnDownBlock2D, ResnetDownsampleBlock2D]);
    let up = prop::sample::select(vec![UpBlock2D, AttnUpBlock2D, ResnetUpsampleBlock2D]);
    (prop::collection::vec(down, 3), prop::collection::vec(up, 3))
}

fn resample() -> impl Strategy<Value = ResampleType> {
    prop::sample::select(vec![ResampleType::Conv, ResampleType::Resnet])
}

/// Everything but channels, blocks and attention.
fn rest() -> impl Strategy<Value = UNet2DConfig> {
    let ends = (prop::sample::select(vec![1usize, 2, 3, 4, 7]), prop::sample::select(vec![1usize, 2, 3, 5, 8]));
    let time = (any::<bool>(), any::<bool>(), prop::option::of(1..=40usize), any::<bool>());
    let numbers = (1..=2usize, 0..=1usize, prop::sample::select(vec![0.0, 0.0, 0.3]), prop::bool::weighted(0.2));
    // ReLU has no gradient at 0, where rounding decides on which side a value is.
    let activation = prop_oneof![5 => Just(Activation::Silu), 1 => Just(Activation::Mish), 1 => Just(Activation::Gelu)];
    let mid = (prop::bool::weighted(0.9), prop::bool::weighted(0.8), prop::bool::weighted(0.3));
    (ends, time, numbers, activation, (resample(), resample()), mid).prop_map(
        |(ends, (fourier, flip, dim, shift), (layers, padding, dropout, center), act_fn, resample, mid)| UNet2DConfig {
            in_channels: ends.0,
            out_channels: ends.1,
            time_embedding_type: if fourier { TimeEmbeddingType::Fourier } else { TimeEmbeddingType::Positional },
            flip_sin_to_cos: flip,
            time_embedding_dim: dim,
            resnet_time_scale_shift: if shift { TimeScaleShift::ScaleShift } else { TimeScaleShift::Default },
            layers_per_block: layers,
            downsample_padding: padding,
            dropout,
            center_input_sample: center,
            act_fn,
            downsample_type: resample.0,
            upsample_type: resample.1,
            mid_block_type: if mid.0 { MidBlockType::UNetMidBlock2D } else { MidBlockType::None },
            add_attention: mid.1,
            mid_block_scale_factor: if mid.2 { 1.4 } else { 1.0 },
            // Values of a group that are close to each other are blown up by less, and so is their rounding.
            norm_eps: 1e-2,
            ..UNet2DConfig::default()
        },
    )
}

/// A divisor of `n`, or all of it.
fn divisor(n: usize, choice: usize) -> usize {
    let divisors: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
    divisors[choice % divisors.len()]
}

fn network() -> impl Strategy<Value = UNet2DConfig> {
    (rest(), channels(), blocks(), 0..4usize, any::<usize>(), 0..5usize, 1..=12usize).prop_map(
        |(rest, (groups, channels), (down, up), heads, choice, told, classes)| {
            let levels = channels.len();
            let least = *channels.iter().min().expect("there is a level");
            let last = channels[levels - 1];
            UNet2DConfig {
                down_block_types: down[..levels].to_vec(),
                up_block_types: up[..levels].to_vec(),
                norm_num_groups: groups,
                attn_norm_num_groups: (heads % 2 == 1).then(|| divisor(last, choice / 7)),
                // Channels of a head that need not divide those of all, or so many heads.
                attention_head_dim: if heads == 0 { None } else { Some(1 + choice % least) },
                attention_heads: (heads == 3).then(|| divisor(groups, choice / 3)),
                class_embed_type: match told {
                    1 => Some(ClassEmbedType::Timestep),
                    2 => Some(ClassEmbedType::Identity),
                    _ => None,
                },
                num_class_embeds: (told == 3).then_some(classes),
                // Of a single channel's frequencies there are none, and it may not be shifted up to them.
                freq_shift: if channels[0] < 2 { -1 } else { 0 },
                block_out_channels: channels,
                ..rest
            }
        },
    )
}

/// Any network on images of any size that it takes, rectangles and single pixels among them.
pub(super) fn case() -> impl Strategy<Value = Case> {
    let sides = (1..=9usize, prop_oneof![2 => Just(1usize), 3 => 1..=9usize], any::<bool>(), any::<bool>());
    let part = prop_oneof![Just(0), (0..40u32).prop_map(|bits| 1usize << bits)];
    let weights = prop_oneof![Just(0), Just(usize::MAX), (0..30u32).prop_map(|bits| 1usize << bits)];
    (network(), batch(), sides, 1..=4usize, part, weights, any::<usize>()).prop_map(
        |(config, batch, (long, short, upright, square), threads, part, weights, choice)| {
            let divisor = config.size_divisor();
            let short = if square { long } else { short };
            let mut size = [long, short].map(|side| side * divisor);
            if upright {
                size.swap(0, 1);
            }
            // Large images come in small batches, but for single ones they keep their size.
            let batch = batch.min((PIXELS / (size[0] * size[1])).max(1));
            let condition = match (config.class_embed_type, config.num_class_embeds) {
                (Some(ClassEmbedType::Identity), _) => Told::Vectors,
                // None of them 0, of which Fourier features take the logarithm.
                (Some(_), _) => Told::Labels((0..batch).map(|i| 1 + (i * 31 + choice % 97) % 999).collect()),
                (None, Some(classes)) => Told::Labels((0..batch).map(|i| (i + choice % 97) % classes).collect()),
                (None, None) => Told::Nothing,
            };
            Case { config, batch, size, condition, threads, part, weights }
        },
    )
}
