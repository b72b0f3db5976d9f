//! Configuration of the multilayer perceptron.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ConfigError, unet::MAX_PARAMETERS};

/// Largest of any size here; far above use, low enough that products cannot overflow.
const MAX_SIZE: usize = 1 << 16;

/// Everything that decides the structure of an [`Mlp`](super::Mlp).
///
/// The defaults learn the usual two-dimensional toys (swiss roll, moons, checkerboard) in well under a minute on a CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Numbers in an example.
    pub data_dim: usize,
    /// Width of all hidden layers.
    pub hidden_dim: usize,
    /// Residual blocks, of two linear layers each.
    pub num_blocks: usize,
    /// Sines and cosines that the time is presented as.
    pub time_features: usize,
    /// Whether each number of the prediction has another one beside it that says its variance: `2 data_dim` outputs.
    pub learned_variance: bool,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { data_dim: 2, hidden_dim: 128, num_blocks: 3, time_features: 64, learned_variance: false }
    }
}

impl MlpConfig {
    /// The `_class_name` in `config.json`.
    pub const CLASS_NAME: &str = "SfumatoMLP";

    /// Checks all sizes.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the first key that is out of range, or with `hidden_dim` if there are more parameters than any model
    /// has.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { data_dim, hidden_dim, num_blocks, time_features, .. } = *self;
        for (key, value, range) in [
            ("data_dim", data_dim, 1..=MAX_SIZE),
            ("hidden_dim", hidden_dim, 1..=MAX_SIZE),
            ("num_blocks", num_blocks, 0..=256),
            ("time_features", time_features, 2..=MAX_SIZE),
        ] {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(ConfigError::Value { key, value: value.to_string(), expected });
            }
        }
        let parameters = self.num_params();
        if parameters > MAX_PARAMETERS {
            let expected = format!("a network of at most {MAX_PARAMETERS} parameters, not {parameters}");
            return Err(ConfigError::Value { key: "hidden_dim", value: hidden_dim.to_string(), expected });
        }
        Ok(())
    }

    /// Numbers in an output: `data_dim`, or twice as many with a learned variance.
    pub fn outputs(&self) -> usize {
        if self.learned_variance { 2 * self.data_dim } else { self.data_dim }
    }

    /// Number of parameters.
    pub fn num_params(&self) -> u64 {
        let [data, hidden, blocks, features] =
            [self.data_dim, self.hidden_dim, self.num_blocks, self.time_features].map(|n| n as u64);
        let linear = |before: u64, after: u64| before * after + after;
        let time = linear(features, hidden) + linear(hidden, hidden);
        let outputs = self.outputs() as u64;
        linear(data, hidden) + time + blocks * 3 * linear(hidden, hidden) + linear(hidden, outputs)
    }

    /// Reads `config.json`; returns the names of unknown keys with the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] if a value is malformed or out of range.
    pub fn from_json(value: &Value) -> Result<(Self, Vec<String>), ConfigError> {
        let Some(map) = value.as_object() else {
            return Err(ConfigError::NotAnObject { found: value.to_string() });
        };
        let mut config = Self::default();
        let mut unknown = Vec::new();
        for (key, value) in map {
            let wrong =
                |key, expected: &str| ConfigError::Value { key, value: value.to_string(), expected: expected.into() };
            let (key, field) = match key.as_str() {
                "learned_variance" => {
                    config.learned_variance =
                        value.as_bool().ok_or_else(|| wrong("learned_variance", "true or false"))?;
                    continue;
                }
                "data_dim" => ("data_dim", &mut config.data_dim),
                "hidden_dim" => ("hidden_dim", &mut config.hidden_dim),
                "num_blocks" => ("num_blocks", &mut config.num_blocks),
                "time_features" => ("time_features", &mut config.time_features),
                private if private.starts_with('_') => continue,
                _ => {
                    unknown.push(key.clone());
                    continue;
                }
            };
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            *field = number.ok_or_else(|| wrong(key, "a non-negative integer"))?;
        }
        config.validate()?;
        Ok((config, unknown))
    }

    /// The `config.json`: every key, sorted, with `_class_name`; `learned_variance` only where it is true.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("_class_name".into(), Self::CLASS_NAME.into());
        map.insert("data_dim".into(), self.data_dim.into());
        map.insert("hidden_dim".into(), self.hidden_dim.into());
        if self.learned_variance {
            map.insert("learned_variance".into(), true.into());
        }
        map.insert("num_blocks".into(), self.num_blocks.into());
        map.insert("time_features".into(), self.time_features.into());
        map
    }
}
