//! A figure, and when two of them are the same.

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Standard errors of the difference within which two intervals are taken for the same.
const ERRORS: f64 = 3.0;

/// One number, or one word, in a table of a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// The table that it stands in.
    pub(super) table: String,
    /// Its line there.
    pub(super) row: String,
    /// Its column there.
    pub(super) column: String,
    /// What it is measured in; empty where it has no unit.
    pub(super) unit: String,
    pub(super) amount: Amount,
    pub(super) comparison: Comparison,
}

/// What a figure says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Amount {
    Number(f64),
    Text(String),
}

/// How a figure that was made again is compared with the kept one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    /// It must be the same number or the same word.
    Exact,
    /// It is an estimate with this standard error.
    Interval(f64),
    /// It may be off by so much.
    Tolerance(f64),
    /// A ratio of measured times, or a number that depends on chance. It is shown and never compared.
    Ratio,
    /// A time, or what depends on one. It is shown and never compared.
    Time,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    NotCompared,
}

impl Figure {
    /// What a person calls it.
    pub(super) fn name(&self) -> String {
        format!("{}: {}, {}", self.table, self.row, self.column)
    }

    /// Whether it is the same place of the same table.
    pub(super) fn is(&self, other: &Figure) -> bool {
        (&self.table, &self.row, &self.column) == (&other.table, &other.row, &other.column)
    }

    /// Whether its number, and the error or tolerance beside it, are numbers.
    pub(super) fn is_finite(&self) -> bool {
        let beside = match self.comparison {
            Comparison::Interval(size) | Comparison::Tolerance(size) => size,
            Comparison::Exact | Comparison::Ratio | Comparison::Time => 0.0,
        };
        beside.is_finite() && !matches!(self.amount, Amount::Number(value) if !value.is_finite())
    }

    /// Compares a kept figure with one that was made again.
    pub(super) fn compare(&self, now: &Figure) -> Verdict {
        let allowed = match (self.comparison, now.comparison) {
            (Comparison::Ratio, Comparison::Ratio) | (Comparison::Time, Comparison::Time) => {
                return Verdict::NotCompared;
            }
            (Comparison::Exact, Comparison::Exact) => 0.0,
            _ => match self.allowed(now) {
                Some(allowed) => allowed,
                None => return Verdict::Different,
            },
        };
        let same = self.unit == now.unit
            && match (&self.amount, &now.amount) {
                (Amount::Number(a), Amount::Number(b)) => a == b || (a - b).abs() <= allowed,
                (a, b) => a == b,
            };
        if same { Verdict::Same } else { Verdict::Different }
    }

    /// By how much the two may differ; none where they are not figures of one kind, or are never compared.
    pub(super) fn allowed(&self, now: &Figure) -> Option<f64> {
        match (self.comparison, now.comparison) {
            (Comparison::Interval(a), Comparison::Interval(b)) => Some(ERRORS * a.hypot(b)),
            // Two tolerances: the kept one counts, so that the code cannot widen it by itself.
            (Comparison::Tolerance(kept), Comparison::Tolerance(_)) => Some(kept),
            _ => None,
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({ "table": self.table, "row": self.row, "column": self.column });
        json["value"] = match &self.amount {
            Amount::Number(value) => json!(value),
            Amount::Text(text) => json!(text),
        };
        json["unit"] = self.unit.as_str().into();
        json["comparison"] = self.comparison.name().into();
        match self.comparison {
            Comparison::Interval(error) => json["standard_error"] = error.into(),
            Comparison::Tolerance(tolerance) => json["tolerance"] = tolerance.into(),
            _ => {}
        }
        json
    }

    pub(super) fn of(json: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| super::kept::text(json, key);
        let size = |key: &str| {
            let value = super::kept::number(json, key)?;
            if value >= 0.0 { Ok(value) } else { bail!("`{key}` is {value}, and it must not be below 0") }
        };
        let comparison = match text("comparison")?.as_str() {
            "exact" => Comparison::Exact,
            "interval" => Comparison::Interval(size("standard_error")?),
            "tolerance" => Comparison::Tolerance(size("tolerance")?),
            "ratio" => Comparison::Ratio,
            "time" => Comparison::Time,
            other => bail!("`comparison` is `{other}`, expected exact, interval, tolerance, ratio or time"),
        };
        let amount = match json.get("value").context("`value` is missing")? {
            Value::Number(value) => Amount::Number(value.as_f64().context("`value` is no number of 64 bits")?),
            Value::String(text) => Amount::Text(text.clone()),
            _ => bail!("`value` is neither a number nor a text"),
        };
        Ok(Self {
            table: text("table")?,
            row: text("row")?,
            column: text("column")?,
            unit: text("unit")?,
            amount,
            comparison,
        })
    }
}

impl Comparison {
    pub(super) fn name(self) -> &'static str {
        match self {
            Comparison::Exact => "exact",
            Comparison::Interval(_) => "interval",
            Comparison::Tolerance(_) => "tolerance",
            Comparison::Ratio => "ratio",
            Comparison::Time => "time",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure(value: f64, comparison: Comparison) -> Figure {
        let word = || "a".to_owned();
        let amount = Amount::Number(value);
        Figure { table: word(), row: word(), column: word(), unit: word(), amount, comparison }
    }

    fn compare(a: f64, of: Comparison, b: f64, with: Comparison) -> Verdict {
        figure(a, of).compare(&figure(b, with))
    }

    proptest! {
        #[test]
        fn intervals_differ_beyond_three_errors_of_the_difference(
            value in -10.0..10.0f64, kept in 1e-6..1.0f64, now in 1e-6..1.0f64, far in 1.001..50.0f64, near in 0.0..0.999f64, up: bool
        ) {
            let width = 3.0 * (kept * kept + now * now).sqrt();
            let sign = if up { 1.0 } else { -1.0 };
            let (of, with) = (Comparison::Interval(kept), Comparison::Interval(now));
            prop_assert_eq!(compare(value, of, value + sign * far * width, with), Verdict::Different);
            prop_assert_eq!(compare(value, of, value + sign * near * width, with), Verdict::Same);
            // Which of the two is kept plays no part.
            let other = value + sign * near * width;
            prop_assert_eq!(compare(other, with, value, of), Verdict::Same);
        }

        #[test]
        fn the_kept_tolerance_counts(value in -10.0..10.0f64, kept in 1e-6..1.0f64, now in 1e-6..100.0f64, share in 0.0..3.0f64) {
            prop_assume!((share - 1.0f64).abs() > 1e-3);
            let verdict = compare(value, Comparison::Tolerance(kept), value + share * kept, Comparison::Tolerance(now));
            prop_assert_eq!(verdict == Verdict::Same, share < 1.0);
        }

        #[test]
        fn a_figure_comes_back_from_its_json(value: f64, error in 0.0..1e9, kind in 0..5usize) {
            prop_assume!(value.is_finite());
            let kinds = [
                Comparison::Exact, Comparison::Interval(error), Comparison::Tolerance(error), Comparison::Ratio, Comparison::Time,
            ];
            let written = figure(value, kinds[kind]);
            let text = written.json().to_string();
            prop_assert_eq!(Figure::of(&serde_json::from_str(&text).unwrap()).unwrap(), written);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let (exact, time) = (Comparison::Exact, Comparison::Time);
        assert_eq!(compare(1.0, exact, 1.0, exact), Verdict::Same);
        assert_eq!(compare(1.0, exact, 1.0 + 1e-15, exact), Verdict::Different);
        assert_eq!(compare(1.0, time, 9.0, time), Verdict::NotCompared);
        assert_eq!(compare(1.0, exact, 1.0, Comparison::Interval(1.0)), Verdict::Different);
        assert_eq!(compare(1.0, Comparison::Interval(1.0), f64::NAN, Comparison::Interval(1.0)), Verdict::Different);
        let mut text = figure(0.0, exact);
        text.amount = Amount::Text("yes".into());
        assert_eq!(text.compare(&text.clone()), Verdict::Same);
        assert_eq!(text.compare(&figure(0.0, exact)), Verdict::Different);
        let other = Figure { unit: "bits".into(), ..figure(1.0, exact) };
        assert_eq!(other.compare(&figure(1.0, exact)), Verdict::Different);
    }
}
