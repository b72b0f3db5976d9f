//! Checks of a configuration, so that neither construction nor the forward pass can fail later.

use super::{ClassEmbedType, MidBlockType, TimeEmbeddingType, TimeScaleShift, UNet2DConfig, plan::Plan, summary};
use crate::ConfigError;

/// More levels than this would need images of 64 Ki pixels a side.
const MAX_LEVELS: usize = 16;
/// Longest side of an image.
const MAX_SIDE: usize = 1 << 16;
/// A bound that no network reaches, so that products of sizes cannot overflow.
const MAX_CHANNELS: usize = 1 << 16;
/// Bound on `layers_per_block`.
const MAX_LAYERS: usize = 256;
/// 32 GiB of `f32`: beyond this a typing mistake is likelier than a model.
pub(crate) const MAX_PARAMETERS: u64 = 1 << 33;

impl UNet2DConfig {
    /// Checks that the keys describe a network that can be built here.
    ///
    /// # Errors
    /// [`ConfigError`] with the first key and value that do not fit, and what would.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_levels()?;
        self.check_channels()?;
        self.check_norms()?;
        self.check_attention()?;
        self.check_time()?;
        self.check_classes()?;
        check("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "a probability in [0, 1)")?;
        let scale = self.mid_block_scale_factor;
        check("mid_block_scale_factor", scale, is_positive(scale), POSITIVE)?;
        check("downsample_padding", self.downsample_padding, self.downsample_padding <= 1, "0 or 1")?;
        if let Some(size) = self.sample_size {
            // For information: whether it is a size that the network takes is for those to ask who draw images of it.
            let fits = size.height_width().iter().all(|side| (1..=MAX_SIDE).contains(side));
            let expected = format!("1 to {MAX_SIDE} pixels a side");
            check("sample_size", format!("{:?}", size.height_width()), fits, expected)?;
        }
        let parameters = summary::num_params(self);
        let fits = parameters <= MAX_PARAMETERS;
        check(
            "block_out_channels",
            list(&self.block_out_channels),
            fits,
            format!("a network of at most {MAX_PARAMETERS} parameters, not {parameters}"),
        )
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        let levels = self.block_out_channels.len();
        let fits = (1..=MAX_LEVELS).contains(&levels);
        check("block_out_channels", list(&self.block_out_channels), fits, format!("1 to {MAX_LEVELS} levels"))?;
        let expected = || format!("{levels} entries, as many as block_out_channels has");
        let down = self.down_block_types.len();
        check("down_block_types", format!("a list of {down}"), down == levels, expected())?;
        let up = self.up_block_types.len();
        check("up_block_types", format!("a list of {up}"), up == levels, expected())?;
        let layers = self.layers_per_block;
        check("layers_per_block", layers, (1..=MAX_LAYERS).contains(&layers), format!("1 to {MAX_LAYERS}"))
    }

    fn check_channels(&self) -> Result<(), ConfigError> {
        let range = 1..=MAX_CHANNELS;
        let expected = format!("1 to {MAX_CHANNELS}");
        check("in_channels", self.in_channels, range.contains(&self.in_channels), expected.as_str())?;
        check("out_channels", self.out_channels, range.contains(&self.out_channels), expected.as_str())?;
        let fits = self.block_out_channels.iter().all(|channels| range.contains(channels));
        check("block_out_channels", list(&self.block_out_channels), fits, format!("{expected} each"))
    }

    fn check_norms(&self) -> Result<(), ConfigError> {
        let groups = self.norm_num_groups;
        check("norm_num_groups", groups, groups > 0, "a positive integer")?;
        // Every norm of the network, the joined channels of the decoder among them.
        for channels in Plan::new(self).normed_channels() {
            let expected = format!(
                "a divisor of {channels}, the channels of a norm that follows from block_out_channels = {}",
                list(&self.block_out_channels)
            );
            check("norm_num_groups", groups, channels % groups == 0, expected)?;
        }
        let epsilon = self.norm_eps;
        check("norm_eps", epsilon, is_positive(epsilon), POSITIVE)?;
        if let Some(groups) = self.attn_norm_num_groups {
            let channels = self.block_out_channels[self.block_out_channels.len() - 1];
            let expected = format!("a divisor of the mid block's {channels} channels");
            check("attn_norm_num_groups", groups, groups > 0 && channels.is_multiple_of(groups), expected)?;
        }
        Ok(())
    }

    fn check_attention(&self) -> Result<(), ConfigError> {
        if let Some(heads) = self.attention_heads {
            check("attention_heads", heads, heads > 0, "a positive integer or null")?;
            for channels in Plan::new(self).attended_channels() {
                let expected = format!("a divisor of {channels}, the channels of a level with attention");
                check("attention_heads", heads, channels.is_multiple_of(heads), expected)?;
            }
            return Ok(());
        }
        let Some(dim) = self.attention_head_dim else { return Ok(()) };
        check("attention_head_dim", dim, dim > 0, "a positive integer or null")?;
        for channels in Plan::new(self).attended_channels() {
            let expected = format!("at most {channels}, the channels of a level with attention");
            check("attention_head_dim", dim, dim <= channels, expected)?;
        }
        Ok(())
    }

    fn check_time(&self) -> Result<(), ConfigError> {
        if let Some(dim) = self.time_embedding_dim {
            check("time_embedding_dim", dim, dim <= MAX_CHANNELS, format!("at most {MAX_CHANNELS}"))?;
        }
        if self.time_embedding_type == TimeEmbeddingType::Positional {
            // Frequencies divide by `half - freq_shift`.
            let half = (self.block_out_channels[0] / 2) as i64;
            let expected = format!("an integer below {half}, half of block_out_channels[0]");
            check("freq_shift", self.freq_shift, self.freq_shift < half && self.freq_shift > -(1 << 32), expected)?;
        }
        Ok(())
    }

    fn check_classes(&self) -> Result<(), ConfigError> {
        let Some(classes) = self.num_class_embeds else { return Ok(()) };
        let fits = classes > 0 && classes <= 1 << 24;
        check("num_class_embeds", classes, fits, "1 to 16777216 classes, or null")
    }

    /// Whether and in how many groups the mid block's attention normalises.
    pub(super) fn mid_attention_groups(&self) -> Option<usize> {
        match self.resnet_time_scale_shift {
            _ if self.attn_norm_num_groups.is_some() => self.attn_norm_num_groups,
            TimeScaleShift::Default => Some(self.norm_num_groups),
            TimeScaleShift::ScaleShift => None,
        }
    }

    /// Whether the mid block attends.
    pub(super) fn mid_attention(&self) -> bool {
        self.mid_block_type != MidBlockType::None && self.add_attention
    }

    /// Whether labels are looked up in a learned table.
    pub(super) fn has_class_table(&self) -> bool {
        self.class_embed_type.is_none() && self.num_class_embeds.is_some()
    }

    /// Whether labels pass through the time features.
    pub(super) fn has_class_features(&self) -> bool {
        self.class_embed_type == Some(ClassEmbedType::Timestep)
    }
}

/// What [`is_positive`] accepts.
const POSITIVE: &str = "a positive number from 1e-30 to 1e30";

/// Whether a number is positive in `f32` too, in which networks compute, and so are its square root and its reciprocal.
fn is_positive(number: f64) -> bool {
    (1e-30..=1e30).contains(&number)
}

fn check(key: &'static str, value: impl ToString, fits: bool, expected: impl Into<String>) -> Result<(), ConfigError> {
    if fits {
        return Ok(());
    }
    Err(ConfigError::Value { key, value: value.to_string(), expected: expected.into() })
}

/// A list as it would stand in the file, cut where it would flood a message.
fn list(values: &[usize]) -> String {
    const LONGEST: usize = 20;
    let shown: Vec<String> = values.iter().take(LONGEST).map(usize::to_string).collect();
    let rest = if values.len() > LONGEST { ", …" } else { "" };
    format!("[{}{rest}]", shown.join(", "))
}
