//! JSON files: strict when read, deterministic when written.

use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, error::Category};
use sfumato_files::write_durably;

use crate::disguise::{self, Disguise, OpenError, Opened, WrongFile};

/// A million `trained_betas` at twenty bytes each fit, and so does an index of more tensors than any model has.
const MAX_LENGTH: u64 = 32 << 20;

/// Why a JSON file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// It is something else.
    #[error(transparent)]
    Wrong(#[from] WrongFile),
    /// It is far longer than any real one.
    #[error("{} has {bytes} bytes, expected at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It is no JSON, or a key occurs twice in it.
    #[error("{} is not valid JSON: {source}{hint}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        source: serde_json::Error,
        /// What is probably meant by it.
        hint: &'static str,
    },
}

/// Reads a JSON file in which no key occurs twice.
///
/// As in Python, `NaN` and `Infinity` may stand for numbers (they arrive as strings, so that nothing takes them for one), and
/// a byte order mark at the start is passed over.
pub(crate) fn read(path: &Path) -> Result<Value, JsonError> {
    let io = |action, source| JsonError::Io { path: path.into(), action, source };
    let Opened { mut file, len, .. } = disguise::open(path, "JSON file").map_err(|error| match error {
        OpenError::Io { action, source } => io(action, source),
        OpenError::Wrong(wrong) => wrong.into(),
    })?;
    if len > MAX_LENGTH {
        return Err(JsonError::TooLong { path: path.into(), bytes: len, limit: MAX_LENGTH });
    }
    let mut bytes = Vec::with_capacity(len as usize);
    // The file may have grown since.
    (&mut file).take(MAX_LENGTH).read_to_end(&mut bytes).map_err(|source| io("read", source))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let Strict(value) = serde_json::from_slice(text)
        .or_else(|error| serde_json::from_slice(&quote_non_finite(text)).map_err(|_| error))
        .map_err(|source| JsonError::Syntax { path: path.into(), hint: hint(text, &source), source })?;
    match server_message(&value) {
        Some(text) => {
            Err(WrongFile { path: path.into(), expected: "file of a model", found: Disguise::Text { text } }.into())
        }
        None => Ok(value),
    }
}

/// The answer of a server that had no such file: `{"error": "…"}`.
fn server_message(value: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() <= 2)?;
    let text = map.get("error").and_then(Value::as_str)?;
    Some(text.chars().take(80).collect())
}

/// What is probably wrong at the place where reading stopped.
fn hint(text: &[u8], error: &serde_json::Error) -> &'static str {
    if error.classify() == Category::Eof {
        return " (the file ends too early: it is truncated)";
    }
    let line = text.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let has = |word: &str| line.windows(word.len()).any(|part| part == word.as_bytes());
    if line.trim_ascii_start().starts_with(b"#") || has("//") || has("/*") {
        " (JSON has no comments)"
    } else if has("True") || has("False") || has("None") {
        " (JSON writes true, false and null)"
    } else if has("'") {
        " (JSON writes texts in double quotes)"
    } else {
        ""
    }
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
pub(crate) fn write(path: &Path, map: Map<String, Value>) -> Result<(), JsonError> {
    let mut value = Value::Object(map);
    value.sort_all_objects();
    let text = format!("{value:#}");
    write_durably(path, |out| writeln!(out, "{text}")).map_err(|source| JsonError::Io {
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
