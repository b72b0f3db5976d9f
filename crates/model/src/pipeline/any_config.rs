//! Any network.

use serde_json::{Map, Value};
use sfumato_nets::{
    ConfigError, InputError,
    mlp::MlpConfig,
    unet::{SampleSize, UNet2DConfig},
};

use super::{
    index::TEXT_TO_IMAGE,
    own::{OWN, OwnConfig},
};

/// Configuration of a network, told apart by `_class_name` in `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyConfig {
    /// A U-Net for images.
    UNet(UNet2DConfig),
    /// A multilayer perceptron for low-dimensional data.
    Mlp(MlpConfig),
    /// A network that another program defines.
    Own(OwnConfig),
}

impl AnyConfig {
    /// Reads `config.json`; returns the names of unknown keys with the configuration. A missing `_class_name` means a U-Net.
    ///
    /// # Errors
    /// [`ConfigError`] for another class, and as [`UNet2DConfig::from_json`] and [`MlpConfig::from_json`].
    pub fn from_json(value: &Value) -> Result<(Self, Vec<String>), ConfigError> {
        if let Some(own) = OwnConfig::from_json(value)? {
            return Ok((Self::Own(own), Vec::new()));
        }
        match value.get("_class_name") {
            None | Some(Value::Null) => check_unnamed(value)?,
            Some(Value::String(name)) if name == "UNet2DModel" => {}
            Some(Value::String(name)) if name == MlpConfig::CLASS_NAME => {
                let (config, unknown) = MlpConfig::from_json(value)?;
                return Ok((Self::Mlp(config), unknown));
            }
            Some(other) => {
                let hint = match other.as_str() {
                    Some("UNet2DConditionModel") => TEXT_TO_IMAGE,
                    Some(name) if name.ends_with("Scheduler") => "; this is the configuration of a scheduler",
                    _ => "",
                };
                let expected = format!("UNet2DModel or {}{hint}", MlpConfig::CLASS_NAME);
                return Err(ConfigError::Unsupported { key: "_class_name", value: other.to_string(), expected });
            }
        }
        let (config, unknown) = UNet2DConfig::from_json(value)?;
        Ok((Self::UNet(config), unknown))
    }

    /// Height and width of the images that a network for images draws: `asked`, or else those of its configuration. None if neither
    /// says them, and for networks that are not for images.
    ///
    /// # Errors
    /// [`InputError::Size`] if the network does not take that size.
    pub fn image_size(&self, asked: Option<[usize; 2]>) -> Result<Option<[usize; 2]>, InputError> {
        let Self::UNet(config) = self else { return Ok(None) };
        let Some([height, width]) = asked.or(config.sample_size.map(SampleSize::height_width)) else { return Ok(None) };
        let divisor = config.size_divisor();
        if [height, width].iter().any(|&side| side == 0 || !side.is_multiple_of(divisor)) {
            return Err(InputError::Size { height, width, divisor });
        }
        Ok(Some([height, width]))
    }

    /// The `config.json`, with `_class_name`.
    pub fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::UNet(config) => config.to_json(),
            Self::Mlp(config) => config.to_json(),
            Self::Own(config) => config.to_json(),
        }
    }

    /// The class as `model_index.json` names it.
    pub fn class_name(&self) -> &str {
        match self {
            Self::UNet(_) => "UNet2DModel",
            Self::Mlp(_) => MlpConfig::CLASS_NAME,
            Self::Own(config) => &config.class_name,
        }
    }

    /// The library that class belongs to.
    pub(super) fn library(&self) -> &'static str {
        match self {
            Self::UNet(_) => "diffusers",
            Self::Mlp(_) => "sfumato",
            Self::Own(_) => OWN,
        }
    }

    /// Number of parameters.
    pub fn num_params(&self) -> u64 {
        match self {
            Self::UNet(config) => config.num_params(),
            Self::Mlp(config) => config.num_params(),
            Self::Own(config) => config.num_params,
        }
    }

    /// Shape of one example, as the configuration gives it: `[channels, height, width]` for images where the configuration says a size, `[dim]` otherwise.
    pub fn example_shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::UNet(config) => config.sample_size.map(|size| {
                let [height, width] = size.height_width();
                vec![config.in_channels, height, width]
            }),
            Self::Mlp(config) => Some(vec![config.data_dim]),
            Self::Own(config) => Some(config.example_shape.clone()),
        }
    }
}

/// Refuses the `config.json` of another library's model, which does not name its class as diffusers does.
fn check_unnamed(value: &Value) -> Result<(), ConfigError> {
    let foreign = ["model_type", "architectures"].iter().find_map(|key| Some((*key, value.get(key)?)));
    match foreign {
        Some((key, found)) if value.get("block_out_channels").is_none() => {
            let value = found.to_string().chars().take(80).collect();
            let expected = "the configuration of a UNet2DModel; this one is of another library's model".into();
            Err(ConfigError::Unsupported { key, value, expected })
        }
        _ => Ok(()),
    }
}
