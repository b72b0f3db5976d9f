//! A network that another program defines.

use serde_json::{Map, Value, json};
use sfumato_nets::ConfigError;

/// The library of networks that other programs define, in `model_index.json`.
pub(super) const OWN: &str = "own";
/// The key of `config.json` that marks such a network.
const KEY: &str = "_sfumato_own";

/// The configuration of a network that is defined elsewhere: enough to keep it in a model directory, and to say what it is. Only the
/// program that defines it can build it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnConfig {
    /// Its class.
    pub class_name: String,
    /// Shape of one example: `[channels, height, width]` or `[D]`.
    pub example_shape: Vec<usize>,
    /// Number of parameters; 0 before it was built.
    pub num_params: u64,
    /// What its program needs to build it again.
    pub settings: Map<String, Value>,
}

impl OwnConfig {
    /// The network `class_name` for examples of `example_shape`, without further settings.
    pub fn new(class_name: &str, example_shape: &[usize]) -> Self {
        let example_shape = example_shape.to_vec();
        Self { class_name: class_name.to_owned(), example_shape, num_params: 0, settings: Map::new() }
    }

    /// The same with one more setting, which its program will read.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Reads `config.json`, if it is that of such a network.
    ///
    /// # Errors
    /// [`ConfigError`] if the mark is damaged.
    pub(super) fn from_json(value: &Value) -> Result<Option<Self>, ConfigError> {
        let Some(mark) = value.get(KEY) else { return Ok(None) };
        let wrong = || ConfigError::Value {
            key: KEY,
            value: mark.to_string(),
            expected: "an object with example_shape and num_params".into(),
        };
        let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let shape = mark.get("example_shape").and_then(Value::as_array).ok_or_else(wrong)?;
        let example_shape: Vec<usize> = shape.iter().map(number).collect::<Option<_>>().ok_or_else(wrong)?;
        let num_params = mark.get("num_params").and_then(Value::as_u64).ok_or_else(wrong)?;
        let class_name = value.get("_class_name").and_then(Value::as_str).ok_or_else(wrong)?.to_owned();
        let mut settings = value.as_object().cloned().unwrap_or_default();
        settings.retain(|key, _| !key.starts_with('_') && key != super::facts::KEY);
        Ok(Some(Self { class_name, example_shape, num_params, settings }))
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut map = self.settings.clone();
        map.insert("_class_name".into(), self.class_name.clone().into());
        map.insert(KEY.into(), json!({ "example_shape": self.example_shape, "num_params": self.num_params }));
        map
    }
}
