//! The fields of a JSON object, read one by one, with an answer that names the field, its value and what would do.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use sfumato_schedule::nearest;

/// Longest value that is quoted in an answer, in characters.
const QUOTED: usize = 60;

/// A JSON object. Fields that are null count as left out.
pub(super) struct Fields {
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self { map, known: Vec::new() }),
            Ok(other) => {
                Err(format!("the body has to be a JSON object such as {{\"seed\": 7}} (found {})", quoted(&other)))
            }
            Err(_) if body.is_empty() => Err("the body is empty; it has to be a JSON object, at least {}".to_owned()),
            Err(error) => Err(format!("the body is no JSON: {error}")),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A whole number.
    pub(super) fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None if *range.end() == u64::MAX => {
                Err(wrong(name, &format!("a whole number, at least {}", range.start()), &value))
            }
            None => Err(wrong(name, &format!("a whole number from {} to {}", range.start(), range.end()), &value)),
        }
    }

    /// A number with a fraction; `expected` completes the sentence "name must be …".
    pub(super) fn real(
        &mut self,
        name: &'static str,
        expected: &str,
        valid: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite() && valid(*number));
        number.map(Some).ok_or_else(|| wrong(name, expected, &value))
    }

    /// True or false.
    pub(super) fn truth(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, "true or false", &value))
    }

    /// One of several names.
    pub(super) fn name(&mut self, name: &'static str, names: &[&'static str]) -> Result<Option<&'static str>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = value.as_str().unwrap_or_default();
        if let Some(found) = names.iter().find(|known| **known == text) {
            return Ok(Some(found));
        }
        let hint = nearest(text, names).map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        Err(wrong(name, &format!("one of {}", names.join(", ")), &value) + &hint)
    }

    /// Whatever it is.
    pub(super) fn any(&mut self, name: &'static str) -> Option<Value> {
        self.take(name)
    }

    /// Refuses fields that no setting has.
    ///
    /// # Errors
    /// The first of them, and what there is.
    pub(super) fn end(self) -> Result<(), String> {
        let Some(name) = self.map.keys().next() else { return Ok(()) };
        let hint = nearest(name, &self.known).map_or_else(String::new, |known| format!("; did you mean {known:?}?"));
        let name = quoted(&Value::String(name.clone()));
        Err(format!("unknown field {name}{hint} (expected some of {})", self.known.join(", ")))
    }
}

/// The answer to a wrong value.
pub(super) fn wrong(name: &str, expected: &str, value: &Value) -> String {
    format!("{name} must be {expected} (found {})", quoted(value))
}

/// A value as it was sent, if it is short.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_held_against_what_they_have_to_be() {
        let mut good = fields(r#"{"a": 3, "b": 0.5, "c": true, "d": "two", "e": null, "f": [1]}"#);
        assert_eq!(good.whole("a", 1..=3), Ok(Some(3)));
        assert_eq!(good.real("b", "", |x| x < 1.0), Ok(Some(0.5)));
        assert_eq!(good.truth("c"), Ok(Some(true)));
        assert_eq!(good.name("d", &["one", "two"]), Ok(Some("two")));
        assert_eq!((good.whole("e", 0..=1), good.whole("g", 0..=1)), (Ok(None), Ok(None)));
        assert_eq!(good.any("f"), Some(serde_json::json!([1])));
        good.end().unwrap();

        let mut bad = fields(r#"{"a": 4, "b": "1", "c": 1, "d": "twoo", "e": -1, "f": 1.5}"#);
        assert_eq!(bad.whole("a", 1..=3).unwrap_err(), "a must be a whole number from 1 to 3 (found 4)");
        assert_eq!(bad.real("b", "a number", |_| true).unwrap_err(), "b must be a number (found \"1\")");
        assert_eq!(bad.truth("c").unwrap_err(), "c must be true or false (found 1)");
        let said = bad.name("d", &["one", "two"]).unwrap_err();
        assert_eq!(said, "d must be one of one, two (found \"twoo\"); did you mean \"two\"?");
        assert_eq!(bad.whole("e", 0..=u64::MAX).unwrap_err(), "e must be a whole number, at least 0 (found -1)");
        assert!(bad.whole("f", 0..=9).unwrap_err().ends_with("(found 1.5)"));
    }

    #[test]
    fn unknown_fields_and_other_bodies_are_named() {
        let mut fields = fields(r#"{"seed": 1, "stepz": 3}"#);
        fields.whole("seed", 0..=9).unwrap();
        fields.whole("steps", 0..=9).unwrap();
        let said = fields.end().unwrap_err();
        assert_eq!(said, "unknown field \"stepz\"; did you mean \"steps\"? (expected some of seed, steps)");
        let deep = "[".repeat(10_000);
        let long = format!("\"{}\"", "ä".repeat(5000));
        for (body, part) in [
            ("", "empty"),
            ("{", "no JSON"),
            ("[1]", "JSON object"),
            (r#"{"a": NaN}"#, "no JSON"),
            (deep.as_str(), "no JSON"),
            (long.as_str(), "ä…)"),
        ] {
            let said = Fields::parse(body.as_bytes()).err().unwrap();
            assert!(said.contains(part) && said.len() < 300, "{said}");
        }
        assert!(Fields::parse(b"\xff\xfe").is_err());
    }
}
