//! Values that a file writes as a name, or as a table of the name (`kind`) and its parameters.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        Error, MapAccess, Visitor,
        value::{MapAccessDeserializer, MapDeserializer},
    },
};

/// A parameter that is out of its range, or not one of this kind.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter} must be {expected} (found {value})")]
pub struct ParameterError {
    /// Its key.
    pub parameter: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be valid.
    pub expected: &'static str,
}

/// `Ok` if `valid`.
pub(crate) fn check(
    parameter: &'static str,
    value: f64,
    valid: bool,
    expected: &'static str,
) -> Result<(), ParameterError> {
    if valid && value.is_finite() { Ok(()) } else { Err(ParameterError { parameter, value, expected }) }
}

/// Reads `name` as `{ kind = name }`.
pub(crate) fn name_or_table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Either<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or a table with a name as its `kind`")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
            T::deserialize(MapDeserializer::new(std::iter::once(("kind", name))))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either(PhantomData))
}

/// The message for parameters that a table has and its kind does not.
pub(crate) fn no_parameter(found: &str, kind: &str, known: &[&str]) -> String {
    match known {
        [] => format!("`{found}` is no parameter of {kind}, which has none"),
        known => format!("`{found}` is no parameter of {kind}, which has {}", known.join(", ")),
    }
}
