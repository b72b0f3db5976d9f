//! `config.json` of a `UNet2DModel`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{MidBlockType, UNet2DConfig};
use crate::ConfigError;

/// Keys that diffusers writes or once wrote and that change nothing here; all but the first are those of its moving average, which
/// stand in the `config.json` of an average that was saved as a model.
const IGNORED: [&str; 8] = [
    "num_train_timesteps",
    "decay",
    "inv_gamma",
    "min_decay",
    "optimization_step",
    "power",
    "update_after_step",
    "use_ema_warmup",
];

/// Keys of `UNet2DConditionModel` that make another network of it.
const OF_TEXT: [&str; 5] = [
    "cross_attention_dim",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "addition_embed_type",
    "transformer_layers_per_block",
];

/// Channels of an attention head: a number, or a list where networks count heads instead.
const HEAD_DIM: &str = "attention_head_dim";

/// What a key expects, in words.
const COUNT: &str = "a non-negative integer";
const FLAG: &str = "true or false";
const NUMBER: &str = "a number";

impl UNet2DConfig {
    /// Reads the `config.json` of a `UNet2DModel`.
    ///
    /// Missing keys take the class defaults. Keys that diffusers itself would ignore are returned by name; keys that start
    /// with an underscore are private to whoever wrote them and are passed over.
    ///
    /// # Errors
    /// [`ConfigError`] with key and value if a value is malformed, or known to diffusers but not supported here. The
    /// configuration has also passed [`UNet2DConfig::validate`].
    pub fn from_json(value: &Value) -> Result<(Self, Vec<String>), ConfigError> {
        let Some(map) = value.as_object() else {
            return Err(ConfigError::NotAnObject { found: shorten(value) });
        };
        let of_text = OF_TEXT.iter().find_map(|&key| Some((key, map.get(key).filter(|value| !value.is_null())?)));
        if let Some((key, value)) = of_text {
            let expected = "no such key: it is one of networks for text-to-image, which are out of scope";
            return Err(ConfigError::Unsupported { key, value: shorten(value), expected: expected.into() });
        }
        let mut config = Self::default();
        let mut unknown = Vec::new();
        for (key, value) in map {
            let idle = key.starts_with('_') || value.is_null() || IGNORED.contains(&key.as_str());
            if !config.set(key, value)? && !idle {
                unknown.push(key.clone());
            }
        }
        if let Some(list @ Value::Array(_)) = map.get(HEAD_DIM) {
            config.attention_heads = Some(config.heads_of(list)?);
        }
        config.validate()?;
        Ok((config, unknown))
    }

    /// The number of heads from their channels, level by level, as [`UNet2DConfig::to_json`] writes them.
    fn heads_of(&self, list: &Value) -> Result<usize, ConfigError> {
        let expected = "an integer, null, or for every level its channels over one number of heads";
        let dims: Vec<usize> = parse(HEAD_DIM, list, expected)?;
        // The last level is that of the middle, which attends in every network.
        let last = self.block_out_channels.last().zip(dims.last());
        let heads = last.and_then(|(channels, &dim)| channels.checked_div(dim)).filter(|&heads| heads > 0);
        match heads.filter(|&heads| dims == self.head_dims(heads)) {
            Some(heads) => Ok(heads),
            None => Err(ConfigError::Unsupported { key: HEAD_DIM, value: shorten(list), expected: expected.into() }),
        }
    }

    /// Channels of a head at each level where every attention has so many.
    fn head_dims(&self, heads: usize) -> Vec<usize> {
        self.block_out_channels.iter().map(|channels| channels / heads).collect()
    }

    /// Sets one key; `false` if there is none of that name.
    fn set(&mut self, key: &str, value: &Value) -> Result<bool, ConfigError> {
        match key {
            "sample_size" => self.sample_size = parse("sample_size", value, "an integer, [height, width] or null")?,
            "in_channels" => self.in_channels = parse("in_channels", value, COUNT)?,
            "out_channels" => self.out_channels = parse("out_channels", value, COUNT)?,
            "center_input_sample" => self.center_input_sample = parse("center_input_sample", value, FLAG)?,
            "time_embedding_type" => {
                self.time_embedding_type = choose("time_embedding_type", value, "positional or fourier")?;
            }
            "time_embedding_dim" => {
                self.time_embedding_dim = parse("time_embedding_dim", value, "a non-negative integer or null")?;
            }
            "freq_shift" => self.freq_shift = parse("freq_shift", value, "an integer")?,
            "flip_sin_to_cos" => self.flip_sin_to_cos = parse("flip_sin_to_cos", value, FLAG)?,
            "dropout" => self.dropout = parse("dropout", value, NUMBER)?,
            "act_fn" => self.act_fn = choose("act_fn", &lowercase(value), "silu, swish, mish, gelu or relu")?,
            // A list makes sense together with the levels' channels only.
            HEAD_DIM if value.is_array() => {}
            HEAD_DIM => {
                let expected = "a positive integer or null";
                self.attention_head_dim = parse(HEAD_DIM, value, expected)?;
                if self.attention_head_dim == Some(0) {
                    return Err(bad(HEAD_DIM, value, expected));
                }
            }
            "norm_num_groups" => self.norm_num_groups = parse("norm_num_groups", value, COUNT)?,
            "attn_norm_num_groups" => {
                self.attn_norm_num_groups = parse("attn_norm_num_groups", value, "a positive integer or null")?;
            }
            "norm_eps" => self.norm_eps = parse("norm_eps", value, NUMBER)?,
            "resnet_time_scale_shift" => {
                self.resnet_time_scale_shift = choose("resnet_time_scale_shift", value, "default or scale_shift")?;
            }
            "add_attention" => self.add_attention = parse("add_attention", value, FLAG)?,
            "class_embed_type" => {
                self.class_embed_type = choose("class_embed_type", value, "null, timestep or identity")?;
            }
            "num_class_embeds" => {
                self.num_class_embeds = parse("num_class_embeds", value, "a positive integer or null")?;
            }
            _ => return self.set_blocks(key, value),
        }
        Ok(true)
    }

    /// The same for the keys that describe the levels and their blocks.
    fn set_blocks(&mut self, key: &str, value: &Value) -> Result<bool, ConfigError> {
        match key {
            "down_block_types" => {
                let expected = "a list of DownBlock2D, AttnDownBlock2D or ResnetDownsampleBlock2D";
                self.down_block_types = choose("down_block_types", value, expected)?;
            }
            "mid_block_type" => {
                self.mid_block_type = match value {
                    Value::Null => MidBlockType::None,
                    _ => choose("mid_block_type", value, "UNetMidBlock2D or null")?,
                }
            }
            "up_block_types" => {
                let expected = "a list of UpBlock2D, AttnUpBlock2D or ResnetUpsampleBlock2D";
                self.up_block_types = choose("up_block_types", value, expected)?;
            }
            "block_out_channels" => self.block_out_channels = parse("block_out_channels", value, "a list of integers")?,
            "layers_per_block" => self.layers_per_block = parse("layers_per_block", value, COUNT)?,
            "mid_block_scale_factor" => {
                self.mid_block_scale_factor = parse("mid_block_scale_factor", value, NUMBER)?;
            }
            "downsample_padding" => self.downsample_padding = parse("downsample_padding", value, "0 or 1")?,
            // Null means "conv" in diffusers.
            "downsample_type" => {
                let chosen: Option<_> = choose("downsample_type", value, "conv or resnet")?;
                self.downsample_type = chosen.unwrap_or_default();
            }
            "upsample_type" => {
                let chosen: Option<_> = choose("upsample_type", value, "conv or resnet")?;
                self.upsample_type = chosen.unwrap_or_default();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The `config.json` that diffusers reads: every key, sorted, with `_class_name`.
    pub fn to_json(&self) -> Map<String, Value> {
        let serialized =
            serde_json::to_value(self).expect("a struct of numbers, strings and lists is representable in JSON");
        let Value::Object(mut map) = serialized else { unreachable!("a struct serializes to an object") };
        // Absent is not null everywhere: a missing `attention_head_dim` would mean 8.
        map.insert(HEAD_DIM.into(), json!(self.attention_head_dim));
        if let Some(heads) = self.attention_heads {
            map.shift_remove("attention_heads");
            map.insert(HEAD_DIM.into(), json!(self.head_dims(heads)));
        }
        if self.mid_block_type == MidBlockType::None {
            map.insert("mid_block_type".into(), Value::Null);
        }
        for key in ["sample_size", "time_embedding_dim", "attn_norm_num_groups", "class_embed_type", "num_class_embeds"]
        {
            map.entry(key).or_insert(Value::Null);
        }
        map.insert("_class_name".into(), "UNet2DModel".into());
        map.sort_keys();
        map
    }
}

/// A value of type `T`, or an error that says what was `expected`.
fn parse<T: DeserializeOwned>(key: &'static str, value: &Value, expected: &str) -> Result<T, ConfigError> {
    let parsed = serde_json::from_value(value.clone()).or_else(|_| serde_json::from_value(integral(value)));
    parsed.map_err(|_| bad(key, value, expected))
}

/// As [`parse`], where other values exist in diffusers but not here.
fn choose<T: DeserializeOwned>(key: &'static str, value: &Value, expected: &str) -> Result<T, ConfigError> {
    serde_json::from_value(value.clone()).map_err(|_| {
        let mut text = shorten(value);
        // The one that is at fault may lie behind the cut of a long list.
        let alone = |item: &&Value| serde_json::from_value::<T>(json!([item])).is_err();
        if let Some(fault) = value.as_array().filter(|_| text.ends_with('…')).and_then(|list| list.iter().find(alone))
        {
            text = format!("{text} with {}", shorten(fault));
        }
        ConfigError::Unsupported { key, value: text, expected: expected.into() }
    })
}

fn bad(key: &'static str, value: &Value, expected: &str) -> ConfigError {
    ConfigError::Value { key, value: shorten(value), expected: expected.into() }
}

/// 1.0 as 1, in lists too.
fn integral(value: &Value) -> Value {
    match (value, value.as_f64()) {
        (Value::Array(list), _) => list.iter().map(integral).collect(),
        (_, Some(number)) if number.fract() == 0.0 && number.abs() < 1e15 => json!(number as i64),
        _ => value.clone(),
    }
}

fn lowercase(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| text.to_lowercase().into())
}

/// The value as JSON, cut where it would flood a message.
fn shorten(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
