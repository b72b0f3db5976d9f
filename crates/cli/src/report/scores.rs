//! Scores that `sfumato eval` has written into a run's directory.

use std::{fs, path::Path};

use serde_json::Value;
use sfumato_files::read_bytes;

use super::{
    panels::words,
    thin::{Thin, thin},
};
use crate::regret_curves::{Curves, curves};

/// Files that are looked at, and the longest of them.
const MOST_FILES: usize = 16;
const LONGEST: u64 = 64 << 20;
/// Points of a chart of the bound's terms.
const MOST_TERMS: usize = 400;

/// One file of scores.
pub(super) struct Score {
    /// The file's name.
    pub(super) file: String,
    /// The data that was scored, and how much of it.
    pub(super) subject: String,
    /// Names and values, with standard errors where they are known.
    pub(super) values: Vec<(String, String)>,
    /// The terms of the bound, in bits/dim.
    pub(super) terms: Thin,
    /// The losses by noise level.
    pub(super) regret: Curves,
}

/// The scores among the JSON files of `root`, by the names of the files.
pub(super) fn read_all(root: &Path) -> Vec<Score> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_json = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|end| end == "json") && !path.ends_with("environment.json")
    };
    let mut files: Vec<_> = entries.filter(is_json).collect();
    files.sort();
    files.iter().take(MOST_FILES).filter_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Option<Score> {
    let value: Value = serde_json::from_slice(&read_bytes(path, LONGEST).ok()?).ok()?;
    let text = |key: &str| value.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut values = Vec::new();
    for (name, key) in [("bits/dim", "total"), ("prior", "prior"), ("steps", "diffusion"), ("decoder", "decoder_term")]
    {
        values.extend(value.get(key).and_then(bits).map(|text| (name.to_owned(), text)));
    }
    // Of what distances depend on, only figures with their errors are scores.
    for (name, value) in value.get("distances").and_then(Value::as_object).into_iter().flatten() {
        values.extend(distance(value).map(|text| (words(name), text)));
    }
    for key in ["metrics", "scores"] {
        for (name, value) in value.get(key).and_then(Value::as_object).into_iter().flatten() {
            values.extend(measured(value).map(|text| (words(name), text)));
        }
    }
    let regret = value.get("regret").unwrap_or(&Value::Null);
    for (name, path) in [("regret", &["regret"][..]), ("held-out gap", &["held_out", "gap"])] {
        let figure = path.iter().try_fold(regret.get("mean"), |value, key| Some(value?.get(key))).flatten();
        values.extend(figure.and_then(measured).map(|text| (name.to_owned(), text)));
    }
    let split = text("split").map_or_else(String::new, |split| format!(", {split} split"));
    let examples = text("examples").map_or_else(String::new, |examples| format!(", {examples} examples"));
    let file = path.file_name()?.to_string_lossy().into_owned();
    let subject = format!("{}{split}{examples}", text("dataset").unwrap_or_else(|| "unknown data".to_owned()));
    (!values.is_empty()).then(|| Score { file, subject, values, terms: terms(&value), regret: curves(regret) })
}

/// A part of the bound: "3.526 ± 0.020 bits/dim".
fn bits(part: &Value) -> Option<String> {
    let mean = part.get("bits_per_dim")?.as_f64()?;
    Some(match part.get("bits_per_dim_standard_error").and_then(Value::as_f64) {
        Some(error) => format!("{mean:.4} ± {error:.4}"),
        None => format!("{mean:.4}"),
    })
}

/// A distance, with the same figure of real test pictures: "0.0100 ± 0.0020 (0.0061 to 0.0139), floor 0.0003 ± 0.0002 (…)".
fn distance(value: &Value) -> Option<String> {
    let figure = value.as_object().and_then(|_| measured(value))?;
    let floor = value.get("floor").and_then(measured);
    Some(floor.map_or_else(|| figure.clone(), |floor| format!("{figure}, floor {floor}")))
}

/// A number, or an object with a value and how sure it is.
fn measured(value: &Value) -> Option<String> {
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    let mean = value.as_f64().or_else(|| number("value")).or_else(|| number("mean"))?;
    let error = number("standard_error").map_or_else(String::new, |error| format!(" ± {error:.4}"));
    let interval = number("low").zip(number("high")).map(|(low, high)| format!(" ({low:.4} to {high:.4})"));
    Some(format!("{mean:.4}{error}{}", interval.unwrap_or_default()))
}

fn terms(value: &Value) -> Thin {
    let term = |step: &Value| {
        let bits = step.get("term")?.get("bits_per_dim")?.as_f64()?;
        Some([step.get("original_step").or_else(|| step.get("step"))?.as_f64()?, bits])
    };
    let points: Vec<[f64; 2]> =
        value.get("terms").and_then(Value::as_array).into_iter().flatten().filter_map(term).collect();
    thin(&points, MOST_TERMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_eval_has_written_is_found_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("environment.json"), r#"{"total":{"bits_per_dim":1}}"#).unwrap();
        fs::write(dir.path().join("notes.json"), r#"["x"]"#).unwrap();
        fs::write(dir.path().join("broken.json"), "{").unwrap();
        let text = r#"{"dataset":"fashion-mnist","split":"test","examples":200,
            "total":{"bits_per_dim":3.5261,"bits_per_dim_standard_error":0.02},"prior":{"bits_per_dim":0.001},
            "distances":{"kid":{"value":0.01,"standard_error":0.002,"low":0.006,"high":0.014,"n":9,
                "floor":{"value":0.001,"standard_error":0.0005,"low":0.0,"high":0.002}},"features_dims":64,"seed":3,"n":"x"},
            "regret":{"mean":{"regret":{"value":0.02,"standard_error":0.001},"held_out":null},
                "levels":[{"t":1,"log_snr":9.0,"train":{"value":0.5,"standard_error":0.1}}]},
            "terms":[{"step":1,"original_step":1,"term":{"bits_per_dim":1.5}},{"step":2,"original_step":2,"term":null}]}"#;
        fs::write(dir.path().join("eval.json"), text).unwrap();
        let found = read_all(dir.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject, "fashion-mnist, test split, 200 examples");
        let expected = [
            ("bits/dim", "3.5261 ± 0.0200"),
            ("prior", "0.0010"),
            ("KID", "0.0100 ± 0.0020 (0.0060 to 0.0140), floor 0.0010 ± 0.0005 (0.0000 to 0.0020)"),
            ("regret", "0.0200 ± 0.0010"),
        ];
        assert_eq!(found[0].values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!((&found[0].terms.x[..], &found[0].terms.y[..]), (&[1.0][..], &[1.5][..]));
        assert_eq!(found[0].regret.losses[0].points, [[-9.0, 0.5, 0.1]]);
    }
}
