//! The results: medians, ratios, a table, JSON.

use std::fmt::Write;

use super::measured::median;

/// Everything measured of one work.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// What was done, e.g. "training step, small".
    pub(super) name: String,
    pub(super) unit: Unit,
    /// Ours first, then the variants of the peer, with the median of each round.
    pub(super) values: Vec<(&'static str, Vec<f64>)>,
}

/// Less is better in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    /// 10⁶ bytes.
    Megabytes,
}

/// One line of the JSON file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) work: String,
    pub(super) ours: f64,
    pub(super) peer: &'static str,
    pub(super) peer_value: f64,
    /// Above 1: ours is better.
    pub(super) ratio: f64,
}

/// The name of our program among the variants.
pub(super) const OURS: &str = "ours";

impl Work {
    pub(super) fn new(name: String, unit: Unit) -> Self {
        Self { name, unit, values: Vec::new() }
    }

    /// Takes down one round's value of a variant.
    pub(super) fn add(&mut self, variant: &'static str, value: f64) {
        match self.values.iter_mut().find(|(name, _)| *name == variant) {
            Some((_, values)) => values.push(value),
            None => self.values.push((variant, vec![value])),
        }
    }

    /// The median over rounds; none if it was not measured.
    fn value(&self, variant: &str) -> Option<f64> {
        self.values.iter().find(|(name, _)| *name == variant).map(|(_, values)| median(values))
    }

    /// A row for each variant of the peer.
    pub(super) fn rows(&self) -> Vec<Row> {
        let Some(ours) = self.value(OURS) else { return Vec::new() };
        let peers = self.values.iter().filter(|(name, _)| *name != OURS);
        peers
            .map(|(peer, values)| {
                let peer_value = median(values);
                Row { work: self.name.clone(), ours, peer, peer_value, ratio: peer_value / ours }
            })
            .collect()
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value >= 1.0 => format!("{value:.2} s"),
            Unit::Seconds => format!("{:.1} ms", 1e3 * value),
            Unit::Megabytes => format!("{value:.0} MB"),
        }
    }
}

/// A Markdown table: a row a work, with the ratios to PyTorch as it is and to its best variant.
pub(super) fn table(works: &[Work], variants: &[&'static str]) -> String {
    let mut text = format!("| work | {OURS} | {} | eager/ours | best/ours |\n", variants.join(" | "));
    text += &format!("| --- |{}\n", " ---: |".repeat(variants.len() + 3));
    for work in works {
        let cell = |variant: &str| work.value(variant).map_or_else(|| "–".into(), |value| work.unit.show(value));
        let rows = work.rows();
        let eager = rows.iter().find(|row| row.peer == "eager").map(|row| row.ratio);
        let best = rows.iter().map(|row| row.ratio).reduce(f64::min);
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        let cells: Vec<String> = std::iter::once(OURS).chain(variants.iter().copied()).map(cell).collect();
        let _ = writeln!(text, "| {} | {} | {} | {} |", work.name, cells.join(" | "), ratio(eager), ratio(best));
    }
    text
}

/// `[{"work", "ours", "peer", "peer_value", "ratio"}, …]`, in seconds and in megabytes (10⁶ bytes).
pub(super) fn json(rows: &[Row]) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|Row { work, ours, peer, peer_value, ratio }| {
            format!(
                r#"  {{"work": "{work}", "ours": {ours:.6}, "peer": "{peer}", "peer_value": {peer_value:.6}, "ratio": {ratio:.4}}}"#
            )
        })
        .collect();
    if lines.is_empty() { "[]\n".into() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let mut work = Work::new("training step, small".into(), Unit::Seconds);
        for (variant, value) in
            [("ours", 0.25), ("eager", 1.0), ("tuned", 0.5), ("ours", 0.5), ("eager", 2.0), ("ours", 0.2)]
        {
            work.add(variant, value);
        }
        work
    }

    #[test]
    fn rows_hold_medians_over_rounds_and_their_ratios() {
        let rows = work().rows();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].ours, rows[0].peer, rows[0].peer_value, rows[0].ratio), (0.25, "eager", 1.5, 6.0));
        assert_eq!((rows[1].peer, rows[1].ratio), ("tuned", 2.0));
    }

    #[test]
    fn the_json_has_exactly_the_five_keys() {
        let text = json(&work().rows()[1..]);
        let expected = r#"[
  {"work": "training step, small", "ours": 0.250000, "peer": "tuned", "peer_value": 0.500000, "ratio": 2.0000}
]
"#;
        assert_eq!(text, expected);
        assert_eq!(json(&[]), "[]\n");
    }

    #[test]
    fn the_best_variant_is_the_one_with_the_smallest_ratio() {
        let text = table(&[work()], &["eager", "compile", "tuned"]);
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "| training step, small | 250.0 ms | 1.50 s | – | 500.0 ms | 6.00 | 2.00 |"
        );
    }

    #[test]
    fn a_work_that_was_not_measured_here_has_no_rows() {
        let mut work = Work::new("evaluation, small".into(), Unit::Seconds);
        work.add("eager", 1.0);
        assert!(work.rows().is_empty());
    }
}
