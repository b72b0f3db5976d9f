//! JSON files: strict when read, deterministic when written.

use std::{fmt, fs, io, path::Path};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::PipelineError;
use crate::tensor_file::write_atomically;

/// A million `trained_betas` at twenty bytes each fit.
const MAX_LENGTH: u64 = 32 << 20;

/// Reads a JSON file in which no key occurs twice.
pub(super) fn read(path: &Path) -> Result<Value, PipelineError> {
    let io = |source| PipelineError::Io { path: path.into(), action: "read", source };
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    if metadata.len() > MAX_LENGTH {
        return Err(PipelineError::TooLong { path: path.into(), bytes: metadata.len(), limit: MAX_LENGTH });
    }
    let bytes = fs::read(path).map_err(io)?;
    let strict: Strict = serde_json::from_slice(&bytes)
        .or_else(|error| serde_json::from_slice(&quote_non_finite(&bytes)).map_err(|_| error))
        .map_err(|source| PipelineError::Json { path: path.into(), source })?;
    Ok(strict.0)
}

/// Makes strings of the numbers that Python writes and JSON does not have: `NaN`, `Infinity`, `-Infinity`.
fn quote_non_finite(bytes: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut quoted = Vec::with_capacity(bytes.len() + 16);
    let (mut i, mut in_string) = (0, false);
    while i < bytes.len() {
        let word = WORDS.iter().find(|word| !in_string && bytes[i..].starts_with(word));
        if let Some(word) = word {
            quoted.extend([b"\"", *word, b"\""].concat());
            i += word.len();
            continue;
        }
        if in_string && bytes[i] == b'\\' {
            quoted.push(bytes[i]);
            i += 1;
        } else if bytes[i] == b'"' {
            in_string = !in_string;
        }
        quoted.extend(bytes.get(i));
        i += 1;
    }
    quoted
}

/// Writes a JSON file as Python's `json.dumps(…, indent=2, sort_keys=True)` lays it out, atomically.
pub(super) fn write(path: &Path, map: Map<String, Value>) -> Result<(), PipelineError> {
    let mut value = Value::Object(map);
    value.sort_all_objects();
    let text = format!("{value:#}");
    write_atomically(path, |out| writeln!(out, "{text}")).map_err(|source| PipelineError::Io {
        path: path.into(),
        action: "write",
        source,
    })
}

/// A JSON value without repeated keys at any depth; serde's own keeps the last one silently.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if map.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("`{key}` occurs twice")));
            }
        }
        Ok(Value::Object(map))
    }
}
