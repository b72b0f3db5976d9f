//! What the program wrote as JSON.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// A value and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) standard_error: f64,
}

impl Estimate {
    pub(super) fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, standard_error: self.standard_error * factor }
    }

    /// A share of `count` that was found `times` times.
    pub(super) fn share(times: f64, count: f64) -> Self {
        let value = times / count;
        Self { value, standard_error: (value * (1.0 - value) / count).sqrt() }
    }

    /// How far two estimates are apart, in standard errors of their difference.
    pub(super) fn apart(self, other: Self) -> f64 {
        let error = self.standard_error.hypot(other.standard_error);
        let difference = (self.value - other.value).abs();
        if difference == 0.0 { 0.0 } else { difference / error }
    }
}

/// A JSON file, for looking numbers up by their pointers (RFC 6901).
#[derive(Debug)]
pub(in crate::commands) struct Scores {
    path: PathBuf,
    json: Value,
}

impl Scores {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let json = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        Ok(Self { path: path.to_owned(), json })
    }

    /// The objects of a file of JSON lines.
    pub(in crate::commands) fn lines(path: &Path) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parse = |line: &str| serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()));
        text.lines().map(|line| Ok(Self { path: path.to_owned(), json: parse(line)? })).collect()
    }

    pub(super) fn get(&self, pointer: &str) -> anyhow::Result<&Value> {
        self.json.pointer(pointer).with_context(|| format!("{} has no {pointer}", self.path.display()))
    }

    /// Whether there is something at a place.
    pub(super) fn has(&self, pointer: &str) -> bool {
        self.json.pointer(pointer).is_some_and(|value| !value.is_null())
    }

    pub(in crate::commands) fn number(&self, pointer: &str) -> anyhow::Result<f64> {
        let value = self.get(pointer)?;
        value.as_f64().with_context(|| format!("{}: {pointer} is {value}, and no number", self.path.display()))
    }

    pub(super) fn text(&self, pointer: &str) -> anyhow::Result<&str> {
        let value = self.get(pointer)?;
        value.as_str().with_context(|| format!("{}: {pointer} is {value}, and no text", self.path.display()))
    }

    /// A value with its standard error beside it, as distances and the regret have them.
    pub(super) fn estimate(&self, pointer: &str) -> anyhow::Result<Estimate> {
        let value = self.number(&format!("{pointer}/value"))?;
        Ok(Estimate { value, standard_error: self.number(&format!("{pointer}/standard_error"))? })
    }

    /// Bits/dim with their standard error.
    pub(super) fn bits(&self, pointer: &str) -> anyhow::Result<Estimate> {
        let value = self.number(&format!("{pointer}/bits_per_dim"))?;
        Ok(Estimate { value, standard_error: self.number(&format!("{pointer}/bits_per_dim_standard_error"))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_with_its_file() {
        let scores =
            Scores { path: "a.json".into(), json: serde_json::json!({ "a": { "value": 1, "standard_error": "x" } }) };
        assert_eq!(scores.number("/a/value").unwrap(), 1.0);
        assert_eq!(scores.number("/b").unwrap_err().to_string(), "a.json has no /b");
        let error = scores.estimate("/a").unwrap_err().to_string();
        assert_eq!(error, "a.json: /a/standard_error is \"x\", and no number");
    }

    #[test]
    fn estimates_are_apart_by_the_error_of_their_difference() {
        let (a, b) = (Estimate { value: 1.0, standard_error: 0.3 }, Estimate { value: 3.0, standard_error: 0.4 });
        assert_eq!((a.apart(b), a.apart(a)), (4.0, 0.0));
        let share = Estimate::share(5.0, 20.0);
        assert!((share.standard_error - (0.25f64 * 0.75 / 20.0).sqrt()).abs() < 1e-15);
    }
}
