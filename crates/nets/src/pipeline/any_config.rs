//! Any network of this crate.

use serde_json::{Map, Value};

use crate::{ConfigError, mlp::MlpConfig, unet::UNet2DConfig};

/// Configuration of a network, told apart by `_class_name` in `config.json`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a program holds one or two of these; a box would only be in the way")]
pub enum AnyConfig {
    /// A U-Net for images.
    UNet(UNet2DConfig),
    /// A multilayer perceptron for low-dimensional data.
    Mlp(MlpConfig),
}

impl AnyConfig {
    /// Reads `config.json`; returns the names of unknown keys with the configuration. A missing `_class_name` means a U-Net.
    ///
    /// # Errors
    /// [`ConfigError`] for another class, and as [`UNet2DConfig::from_json`] and [`MlpConfig::from_json`].
    pub fn from_json(value: &Value) -> Result<(Self, Vec<String>), ConfigError> {
        match value.get("_class_name") {
            None => {}
            Some(Value::String(name)) if name == "UNet2DModel" => {}
            Some(Value::String(name)) if name == MlpConfig::CLASS_NAME => {
                let (config, unknown) = MlpConfig::from_json(value)?;
                return Ok((Self::Mlp(config), unknown));
            }
            Some(other) => {
                let expected = format!("UNet2DModel or {}", MlpConfig::CLASS_NAME);
                return Err(ConfigError::Unsupported { key: "_class_name", value: other.to_string(), expected });
            }
        }
        let (config, unknown) = UNet2DConfig::from_json(value)?;
        Ok((Self::UNet(config), unknown))
    }

    /// The `config.json`, with `_class_name`.
    pub fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::UNet(config) => config.to_json(),
            Self::Mlp(config) => config.to_json(),
        }
    }

    /// The class as `model_index.json` names it.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::UNet(_) => "UNet2DModel",
            Self::Mlp(_) => MlpConfig::CLASS_NAME,
        }
    }

    /// The library that class belongs to.
    pub(super) fn library(&self) -> &'static str {
        match self {
            Self::UNet(_) => "diffusers",
            Self::Mlp(_) => "sfumato",
        }
    }

    /// Number of parameters.
    pub fn num_params(&self) -> u64 {
        match self {
            Self::UNet(config) => config.num_params(),
            Self::Mlp(config) => config.num_params(),
        }
    }

    /// Shape of one example: `[channels, height, width]` for images where the configuration says a size, `[dim]` otherwise.
    pub fn example_shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::UNet(config) => config.sample_size.map(|size| {
                let [height, width] = size.height_width();
                vec![config.in_channels, height, width]
            }),
            Self::Mlp(config) => Some(vec![config.data_dim]),
        }
    }
}
