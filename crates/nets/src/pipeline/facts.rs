//! Facts about a model that diffusers has no key for.

use serde_json::{Map, Value};

use crate::ConfigError;

/// The private key in `unet/config.json`; diffusers drops keys that start with an underscore.
pub(super) const KEY: &str = "_sfumato";

/// What is known about a model beyond diffusers' keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The class label that stands for "no class" in classifier-free guidance.
    pub null_class: Option<usize>,
    /// Where the model comes from, in the caller's words: program version, configuration, seed, data.
    pub provenance: Map<String, Value>,
}

impl Facts {
    /// Reads the private key out of `config.json`, if it is there.
    pub(super) fn from_config(config: &Value) -> Result<Self, ConfigError> {
        let Some(value) = config.get(KEY) else { return Ok(Self::default()) };
        let bad = |expected: &str| ConfigError::Value { key: KEY, value: value.to_string(), expected: expected.into() };
        let Some(map) = value.as_object() else { return Err(bad("an object")) };
        let null_class = match map.get("null_class") {
            None | Some(Value::Null) => None,
            Some(label) => {
                let label = label.as_u64().and_then(|label| usize::try_from(label).ok());
                Some(label.ok_or_else(|| bad("an object with an integer `null_class`"))?)
            }
        };
        let provenance = match map.get("provenance") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(provenance)) => provenance.clone(),
            Some(_) => return Err(bad("an object whose `provenance` is an object")),
        };
        Ok(Self { null_class, provenance })
    }

    /// The private key's value; none where there is nothing to say.
    pub(super) fn to_json(&self) -> Option<Value> {
        let mut map = Map::new();
        if let Some(label) = self.null_class {
            map.insert("null_class".into(), label.into());
        }
        if !self.provenance.is_empty() {
            map.insert("provenance".into(), self.provenance.clone().into());
        }
        (!map.is_empty()).then_some(Value::Object(map))
    }
}
