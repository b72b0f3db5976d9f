//! `metrics.jsonl` as curves: every number of a line is a point of the curve that its key names.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Result},
    path::Path,
};

use serde_json::Value;
use sfumato_files::open_regular;

/// Keys that a run has at most: each level of noise is one, a list without end is none.
const MOST_CURVES: usize = 300;
/// Numbers that say how something was measured, or when. They are not drawn.
const BOOKKEEPING: [&str; 9] = ["step", "examples", "seconds", "images", "num", "count", "seed", "draws", "dimensions"];

/// Everything that a run has measured.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// How far the run was at each line.
    pub(super) progress: Vec<Progress>,
    /// The curves, in the order in which their keys first came.
    pub(super) curves: Vec<Curve>,
    /// Lines that are no metrics.
    pub(super) damaged: usize,
    /// What `loss` is, where it is not the mean square of the prediction's error, and so not what `held_out/loss` is.
    pub(super) other_loss: Option<String>,
}

/// How far a run was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Progress {
    pub(super) step: f64,
    /// Examples seen; not a number where the line does not say it.
    pub(super) examples: f64,
    /// Seconds of training.
    pub(super) seconds: f64,
}

/// One key over the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve {
    /// The key, with its parents before it: `held_out/bits_per_dim`.
    pub(super) key: String,
    /// Steps and values.
    pub(super) points: Vec<[f64; 2]>,
}

impl Metrics {
    /// Reads a file line by line; one that is not there has no lines. Lines that are damaged are counted and passed over.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut metrics = Self::default();
        let mut places = HashMap::new();
        let mut reader = match open_regular(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(metrics),
            Err(error) => return Err(error),
        };
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            // A last line without an end is being written just now.
            if !metrics.add(&line, &mut places) && line.ends_with(b"\n") && !line.trim_ascii().is_empty() {
                metrics.damaged += 1;
            }
            line.clear();
        }
        Ok(metrics)
    }

    /// Adds a line; whether it is one.
    fn add(&mut self, line: &[u8], places: &mut HashMap<String, usize>) -> bool {
        let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(line) else { return false };
        let number = |key: &str| value.get(key).and_then(Value::as_f64);
        let Some(step) = number("step").filter(|step| *step >= 0.0) else { return false };
        let now = Progress {
            step,
            examples: number("examples").unwrap_or(f64::NAN),
            seconds: number("seconds").unwrap_or(f64::NAN),
        };
        match self.progress.last() {
            // A second line of the same step holds what was measured besides.
            Some(last) if step < last.step => return false,
            Some(last) if step == last.step => {}
            _ => self.progress.push(now),
        }
        numbers(&value, &mut String::new(), &mut |key, number| {
            let place = match places.get(key) {
                Some(place) => *place,
                None if self.curves.len() == MOST_CURVES => return,
                None => {
                    places.insert(key.to_owned(), self.curves.len());
                    self.curves.push(Curve { key: key.to_owned(), points: Vec::new() });
                    self.curves.len() - 1
                }
            };
            self.curves[place].points.push([step, number]);
        });
        true
    }
}

/// Gives every number in `value` with its key.
pub(crate) fn numbers(value: &Value, key: &mut String, give: &mut impl FnMut(&str, f64)) {
    let length = key.len();
    let mut below = |name: &str, value: &Value, key: &mut String| {
        if !key.is_empty() {
            key.push('/');
        }
        key.push_str(name);
        numbers(value, key, give);
        key.truncate(length);
    };
    match value {
        Value::Object(map) => {
            let drawn = map.iter().filter(|(name, _)| !BOOKKEEPING.contains(&name.as_str()));
            drawn.for_each(|(name, value)| below(name, value, key));
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| below(&i.to_string(), value, key)),
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                give(key, number);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Metrics {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        Metrics::read(&path).unwrap()
    }

    #[test]
    fn every_number_of_a_line_is_a_point_of_its_keys_curve() {
        let metrics = read(
            b"{\"step\":1,\"examples\":8,\"loss\":0.5,\"seconds\":1.5}\n\
              {\"step\":2,\"loss\":0.25,\"new\":[1,2],\"held_out\":{\"images\":9,\"bits_per_dim\":3.5,\"name\":\"x\"}}\n",
        );
        let keys: Vec<&str> = metrics.curves.iter().map(|curve| curve.key.as_str()).collect();
        assert_eq!(keys, ["loss", "new/0", "new/1", "held_out/bits_per_dim"]);
        assert_eq!(metrics.curves[0].points, [[1.0, 0.5], [2.0, 0.25]]);
        assert_eq!(metrics.progress[0], Progress { step: 1.0, examples: 8.0, seconds: 1.5 });
        assert_eq!(metrics.damaged, 0);
    }

    #[test]
    fn damaged_lines_are_counted_and_a_line_that_is_being_written_is_not() {
        let metrics = read(b"{\"step\":1,\"loss\":1}\n{\"step\":2,\"lo\n\xff\xfe\n[1]\n\n{\"step\":\"x\"}\n{\"step\":3,\"loss\":2}\n{\"st");
        assert_eq!((metrics.damaged, metrics.curves[0].points.len()), (4, 2));
        // Steps that come again, as two processes wrote them.
        let metrics = read(b"{\"step\":2,\"loss\":1}\n{\"step\":1,\"loss\":1}\n{\"step\":2,\"kid\":1}\n");
        assert_eq!((metrics.damaged, metrics.curves.len(), metrics.progress.len()), (1, 2, 1));
    }

    #[test]
    fn a_file_that_is_not_there_has_no_lines() {
        let metrics = Metrics::read(Path::new("no such file")).unwrap();
        assert!(metrics.curves.is_empty() && metrics.progress.is_empty());
    }
}
