//! What a network costs: parameters and multiply-adds, from the configuration alone.

use super::{
    ResampleType, TimeScaleShift, UNet2DConfig,
    plan::{Level, Plan},
};

/// Blocks of a network in the order of execution, for images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Height and width of the images.
    pub size: [usize; 2],
    /// One row a block.
    pub blocks: Vec<BlockSummary>,
}

/// One block of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Path in the network: `conv_in`, `down_blocks.0`, ….
    pub name: String,
    /// What it consists of: "2 resnets, attention, down".
    pub contents: String,
    /// Height and width that the block works at; none for embeddings.
    pub resolution: Option<[usize; 2]>,
    /// Channels that leave the block.
    pub channels: usize,
    /// Parameters.
    pub parameters: u64,
    /// Numbers that its layers put out for one image: what training has to keep for the gradient, and several times what
    /// sampling holds at a time. Norms, convolutions and linear maps count, attention probabilities do not: they are never kept.
    pub activations: u64,
    /// Multiply-adds of convolutions, linear layers and attention products for one image.
    pub multiply_adds: u64,
}

impl Summary {
    /// Parameters of the whole network.
    pub fn parameters(&self) -> u64 {
        self.blocks.iter().map(|block| block.parameters).sum()
    }

    /// Numbers that all layers put out for one image.
    pub fn activations(&self) -> u64 {
        self.blocks.iter().fold(0, |sum: u64, block| sum.saturating_add(block.activations))
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> u64 {
        self.blocks.iter().fold(0, |sum: u64, block| sum.saturating_add(block.multiply_adds))
    }
}

/// Parameters of the network that `config` describes, whose lists must be consistent.
pub(super) fn num_params(config: &UNet2DConfig) -> u64 {
    let side = config.size_divisor();
    config.summarize([side, side]).parameters()
}

impl UNet2DConfig {
    /// Number of parameters.
    ///
    /// # Panics
    /// As [`UNet2DConfig::summarize`].
    pub fn num_params(&self) -> u64 {
        num_params(self)
    }

    /// Parameters and cost of every block for images of `size` (height, width).
    ///
    /// # Panics
    /// If the configuration does not pass [`UNet2DConfig::validate`].
    pub fn summarize(&self, size: [usize; 2]) -> Summary {
        let plan = Plan::new(self);
        let (first, pixels) = (self.block_out_channels[0] as u64, area(size));
        let mut blocks = Vec::new();
        let mut row = |name: String, contents: String, resolution, channels, cost: Cost| {
            let Cost { parameters, activations, multiply_adds } = cost;
            blocks.push(BlockSummary { name, contents, resolution, channels, parameters, activations, multiply_adds });
        };

        let (features, dim) = (self.time_feature_dim() as u64, self.time_embed_dim() as u64);
        let mut time = linear(features, dim) + linear(dim, dim);
        if self.time_embedding_type == super::TimeEmbeddingType::Fourier {
            time = time + Cost { parameters: first, ..Cost::default() };
        }
        row("time_embedding".into(), "features, 2 linear".into(), None, dim as usize, time);
        if self.has_class_table() {
            let classes = self.num_class_embeds.unwrap_or(0) as u64;
            let cost = Cost { parameters: classes * dim, ..Cost::default() };
            row("class_embedding".into(), format!("{classes} classes"), None, dim as usize, cost);
        } else if self.has_class_features() {
            let cost = linear(features, dim) + linear(dim, dim);
            row("class_embedding".into(), "features, 2 linear".into(), None, dim as usize, cost);
        }

        let conv_in = conv(self.in_channels as u64, first, 9, pixels);
        row("conv_in".into(), "convolution".into(), Some(size), first as usize, conv_in);
        let mut resolution = size;
        for (i, level) in plan.down.iter().enumerate() {
            let half = resolution.map(|side| side / 2);
            let cost = self.level(level, resolution, half);
            row(format!("down_blocks.{i}"), contents(level, "down"), Some(resolution), level.channels, cost);
            if level.resample.is_some() {
                resolution = half;
            }
        }
        if let Some(mid) = &plan.mid {
            let (pixels, channels) = (area(resolution), mid.channels);
            let resnet = self.resnet(channels, channels, pixels);
            let (attention, text) = if mid.attention {
                (self.attention(channels, pixels, self.mid_attention_groups().is_some()), "2 resnets, attention")
            } else {
                (Cost::default(), "2 resnets")
            };
            row("mid_block".into(), text.into(), Some(resolution), channels, resnet + resnet + attention);
        }
        for (i, level) in plan.up.iter().enumerate() {
            let double = resolution.map(|side| side * 2);
            let cost = self.level(level, resolution, double);
            row(format!("up_blocks.{i}"), contents(level, "up"), Some(resolution), level.channels, cost);
            if level.resample.is_some() {
                resolution = double;
            }
        }
        let conv_out = norm(first, pixels) + conv(first, self.out_channels as u64, 9, pixels);
        row("conv_out".into(), "norm, convolution".into(), Some(size), self.out_channels, conv_out);
        Summary { size, blocks }
    }

    fn level(&self, level: &Level, here: [usize; 2], next: [usize; 2]) -> Cost {
        let pixels = area(here);
        let mut cost = Cost::default();
        for &(before, after) in &level.resnets {
            cost = cost + self.resnet(before, after, pixels);
            if level.attention {
                cost = cost + self.attention(after, pixels, true);
            }
        }
        cost + match level.resample {
            None => Cost::default(),
            Some(ResampleType::Conv) => conv(level.channels as u64, level.channels as u64, 9, area(next)),
            Some(ResampleType::Resnet) => self.resnet(level.channels, level.channels, area(next)),
        }
    }

    fn resnet(&self, before: usize, after: usize, pixels_out: u64) -> Cost {
        let [before, after, dim] = [before, after, self.time_embed_dim()].map(|n| n as u64);
        let projected = match self.resnet_time_scale_shift {
            TimeScaleShift::Default => after,
            TimeScaleShift::ScaleShift => 2 * after,
        };
        let shortcut = if before == after { Cost::default() } else { conv(before, after, 1, pixels_out) };
        norm(before, pixels_out)
            + conv(before, after, 9, pixels_out)
            + linear(dim, projected)
            + norm(after, pixels_out)
            + conv(after, after, 9, pixels_out)
            + shortcut
    }

    fn attention(&self, channels: usize, pixels: u64, normed: bool) -> Cost {
        let (heads, head) = self.heads(channels);
        let (channels, inner) = (channels as u64, (heads * head) as u64);
        let token =
            linear(channels, inner) + linear(channels, inner) + linear(channels, inner) + linear(inner, channels);
        let norm = if normed { norm(channels, pixels) } else { Cost::default() };
        // Scores and weighted sum: each `pixels² · inner`.
        let products = (2 * inner).saturating_mul(pixels).saturating_mul(pixels);
        let multiply_adds = token.multiply_adds.saturating_mul(pixels).saturating_add(products);
        // Queries, keys, values, what was attended to, and the projection of it.
        let activations = norm.activations.saturating_add((4 * inner + channels).saturating_mul(pixels));
        Cost { parameters: norm.parameters + token.parameters, activations, multiply_adds }
    }
}

#[derive(Clone, Copy, Default)]
struct Cost {
    parameters: u64,
    activations: u64,
    multiply_adds: u64,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // Validation asks for the size of networks that are then refused; their cost may be past counting.
        Self {
            parameters: self.parameters.saturating_add(other.parameters),
            activations: self.activations.saturating_add(other.activations),
            multiply_adds: self.multiply_adds.saturating_add(other.multiply_adds),
        }
    }
}

fn area([height, width]: [usize; 2]) -> u64 {
    (height as u64).saturating_mul(width as u64)
}

/// A convolution with a kernel of `taps` pixels; `pixels` leave it.
fn conv(before: u64, after: u64, taps: u64, pixels: u64) -> Cost {
    let weight = before * after * taps;
    let activations = after.saturating_mul(pixels);
    Cost { parameters: weight + after, activations, multiply_adds: weight.saturating_mul(pixels) }
}

fn linear(before: u64, after: u64) -> Cost {
    Cost { parameters: before * after + after, activations: after, multiply_adds: before * after }
}

fn norm(channels: u64, pixels: u64) -> Cost {
    Cost { parameters: 2 * channels, activations: channels.saturating_mul(pixels), multiply_adds: 0 }
}

fn contents(level: &Level, direction: &str) -> String {
    let attention = if level.attention { " with attention" } else { "" };
    let resample = match level.resample {
        None => String::new(),
        Some(ResampleType::Conv) => format!(", {direction}"),
        Some(ResampleType::Resnet) => format!(", {direction} by resnet"),
    };
    let count = level.resnets.len();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} resnet{plural}{attention}{resample}")
}
