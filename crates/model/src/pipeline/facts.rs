//! Facts about a model that diffusers has no key for.

use serde_json::{Map, Value};
use sfumato_nets::ConfigError;

use super::AnyConfig;

/// The private key in `unet/config.json`; diffusers drops keys that start with an underscore.
pub(super) const KEY: &str = "_sfumato";

/// What is known about a model beyond diffusers' keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The class label that stands for "no class" in classifier-free guidance.
    pub null_class: Option<usize>,
    /// Names of the classes by index, without the one that stands for "no class"; empty where they are not known.
    pub class_names: Vec<String>,
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
        let class_names = match map.get("class_names") {
            None | Some(Value::Null) => Vec::new(),
            Some(names) => {
                let strings = names.as_array().map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)));
                let names: Option<Vec<String>> = strings.and_then(Iterator::collect);
                names.ok_or_else(|| bad("an object whose `class_names` is a list of strings"))?
            }
        };
        let provenance = match map.get("provenance") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(provenance)) => provenance.clone(),
            Some(_) => return Err(bad("an object whose `provenance` is an object")),
        };
        Ok(Self { null_class, class_names, provenance })
    }

    /// Checks the names of classes against the network's number of them.
    pub(super) fn check_names(&self, config: &AnyConfig) -> Result<(), ConfigError> {
        let classes = match config {
            AnyConfig::UNet(config) => config.num_classes().unwrap_or(0),
            AnyConfig::Mlp(_) | AnyConfig::Own(_) => 0,
        };
        let (names, named) = (self.class_names.len(), classes.saturating_sub(usize::from(self.null_class.is_some())));
        if names != 0 && names != named {
            let expected = format!("{named}, as the network knows {classes} classes");
            return Err(ConfigError::Value { key: KEY, value: format!("{names} class_names"), expected });
        }
        let mut sorted: Vec<&String> = self.class_names.iter().collect();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let value = format!("the class name `{}` twice", twice[0]);
            return Err(ConfigError::Value { key: KEY, value, expected: "different `class_names`".into() });
        }
        Ok(())
    }

    /// The private key's value; none where there is nothing to say.
    pub(super) fn to_json(&self) -> Option<Value> {
        let mut map = Map::new();
        if let Some(label) = self.null_class {
            map.insert("null_class".into(), label.into());
        }
        if !self.class_names.is_empty() {
            map.insert("class_names".into(), self.class_names.clone().into());
        }
        if !self.provenance.is_empty() {
            map.insert("provenance".into(), self.provenance.clone().into());
        }
        (!map.is_empty()).then_some(Value::Object(map))
    }
}
