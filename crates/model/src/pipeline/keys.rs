//! The keys of a configuration of diffusers, read by name and type.

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sfumato_nets::ConfigError;

/// The keys of a configuration, with a record of those that were read.
pub(super) struct Keys<'a> {
    map: &'a Map<String, Value>,
    read: RefCell<Vec<&'static str>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, read: RefCell::default() }
    }

    /// The value at `key`; `default` if there is none, or null where that is no value.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        key: &'static str,
        expected: &str,
        default: T,
    ) -> Result<T, ConfigError> {
        self.skip(key);
        let Some(value) = self.map.get(key) else { return Ok(default) };
        let parse = |value: Value| serde_json::from_value(value).ok();
        match parse(value.clone()).or_else(|| parse(integral(value))) {
            Some(parsed) => Ok(parsed),
            None if value.is_null() => Ok(default),
            None => {
                let value = value.to_string().chars().take(80).collect();
                Err(ConfigError::Value { key, value, expected: expected.into() })
            }
        }
    }

    /// A flag; null is false, as in Python.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        Ok(self.get(key, "true or false", Some(default))?.unwrap_or(false))
    }

    /// A finite number for which `fits` holds.
    pub(super) fn number(
        &self,
        key: &'static str,
        expected: &str,
        default: f64,
        fits: impl Fn(f64) -> bool,
    ) -> Result<f64, ConfigError> {
        let number = self.get(key, expected, default)?;
        if number.is_finite() && fits(number) {
            return Ok(number);
        }
        Err(ConfigError::Value { key, value: number.to_string(), expected: expected.into() })
    }

    /// Refuses any name but `supported`, which is the default.
    pub(super) fn only(&self, key: &'static str, supported: &str) -> Result<(), ConfigError> {
        let name = self.get(key, "a string", supported.to_owned())?;
        if name == supported { Ok(()) } else { Err(unsupported(key, &name.into(), supported)) }
    }

    pub(super) fn only_false(&self, key: &'static str) -> Result<(), ConfigError> {
        if self.flag(key, false)? { Err(unsupported(key, &true.into(), "false")) } else { Ok(()) }
    }

    pub(super) fn only_null(&self, key: &'static str) -> Result<(), ConfigError> {
        match self.get::<Value>(key, "null", Value::Null)? {
            Value::Null => Ok(()),
            value => Err(unsupported(key, &value, "null")),
        }
    }

    pub(super) fn skip(&self, key: &'static str) {
        self.read.borrow_mut().push(key);
    }

    /// What nobody has read, without private keys.
    pub(super) fn rest(&self) -> Map<String, Value> {
        let read = self.read.borrow();
        let rest = self.map.iter().filter(|(key, _)| !key.starts_with('_') && !read.contains(&key.as_str()));
        rest.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

pub(super) fn unsupported(key: &'static str, value: &Value, expected: &str) -> ConfigError {
    ConfigError::Unsupported { key, value: value.to_string(), expected: expected.into() }
}

/// 1000.0 as 1000, which is the same number to Python.
fn integral(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
        _ => value.clone(),
    }
}
