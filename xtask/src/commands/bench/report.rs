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
/// The same in bf16.
pub(super) const OURS_BF16: &str = "ours_bf16";

/// Whether a variant multiplies bf16.
pub(super) fn is_bf16(variant: &str) -> bool {
    variant.contains("bf16")
}

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

    /// A row for each variant of the peer, and for ours in bf16: each beside ours in f32.
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
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value >= 1.0 => format!("{value:.2} s"),
            Unit::Seconds => format!("{:.1} ms", 1e3 * value),
            Unit::Megabytes => format!("{value:.0} MB"),
        }
    }
}

/// A Markdown table: a row a work, with the ratios to PyTorch as it is, to its best variant in f32, and of the best of all its variants to the best of
/// ours.
pub(super) fn table(works: &[Work], variants: &[&'static str]) -> String {
    let names = [OURS, OURS_BF16].into_iter().chain(variants.iter().copied());
    let mut text = format!(
        "| work | {} | eager/ours | best f32/ours | best/our best |\n",
        names.clone().collect::<Vec<_>>().join(" | ")
    );
    text += &format!("| --- |{}\n", " ---: |".repeat(variants.len() + 5));
    for work in works {
        let cell = |variant: &str| work.value(variant).map_or_else(|| "–".into(), |value| work.unit.show(value));
        let rows = work.rows();
        let eager = rows.iter().find(|row| row.peer == "eager").map(|row| row.ratio);
        let least =
            |of: &dyn Fn(&str) -> bool| rows.iter().filter(|row| of(row.peer)).map(|row| row.ratio).reduce(f64::min);
        let best = least(&|peer| !is_bf16(peer));
        let gain = work.value(OURS_BF16).zip(work.value(OURS)).map_or(1.0, |(bf16, f32)| (bf16 / f32).min(1.0));
        let of_all = least(&|peer| peer != OURS_BF16).map(|ratio| ratio / gain);
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        let cells: Vec<String> = names.clone().map(cell).collect();
        let ratios = [eager, best, of_all].map(ratio).join(" | ");
        let _ = writeln!(text, "| {} | {} | {ratios} |", work.name, cells.join(" | "));
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
            "| training step, small | 250.0 ms | – | 1.50 s | – | 500.0 ms | 6.00 | 2.00 | 2.00 |"
        );
    }

    #[test]
    fn bf16_has_a_column_of_its_own() {
        let mut work = work();
        work.add("bf16", 0.4);
        work.add(OURS_BF16, 0.1);
        let text = table(&[work], &["eager", "tuned", "bf16"]);
        assert_eq!(text.lines().next().unwrap().matches("bf16").count(), 2);
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "| training step, small | 250.0 ms | 100.0 ms | 1.50 s | 500.0 ms | 400.0 ms | 6.00 | 2.00 | 4.00 |"
        );
    }

    #[test]
    fn a_work_that_was_not_measured_here_has_no_rows() {
        let mut work = Work::new("evaluation, small".into(), Unit::Seconds);
        work.add("eager", 1.0);
        assert!(work.rows().is_empty());
    }
}
