//! Tables of a page, made from what is kept and from nothing else.

use super::figure::{Amount, Comparison, Figure};
use super::kept::Kept;

/// The block that says how the numbers were made.
pub(super) const MADE: &str = "made";
/// The block with the pictures.
pub(super) const PICTURES: &str = "pictures";

impl Kept {
    /// The names of its blocks that belong into a page.
    pub(super) fn blocks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.table.as_str()) {
                names.push(&figure.table);
            }
        }
        names.extend((!self.pictures.is_empty()).then_some(PICTURES));
        names.push(MADE);
        names
    }

    /// One block in Markdown; none if there is no such table.
    pub(super) fn block(&self, name: &str) -> Option<String> {
        match name {
            MADE => Some(self.made()),
            PICTURES => (!self.pictures.is_empty()).then(|| self.pictures()),
            _ => table(self.figures.iter().filter(|figure| figure.table == name)),
        }
    }

    fn made(&self) -> String {
        let facts = |list: &[(String, String)]| {
            list.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
        };
        let changed = if self.dirty { ", with changes" } else { "" };
        let machine: Vec<&str> =
            self.machine.iter().filter(|(name, _)| name != "rustc").map(|(_, value)| value.as_str()).collect();
        let tools = if self.tools.is_empty() { String::new() } else { format!("; {}", facts(&self.tools)) };
        format!(
            "Made by `{}` on {}, at revision {}{changed}. {}{tools}. Commands, seeds and checksums are in \
             [{name}.json]({name}.json).",
            self.command,
            self.made,
            self.revision,
            machine.join(", "),
            name = self.name
        )
    }

    fn pictures(&self) -> String {
        let one = |picture: &super::figures::Picture| format!("![{}](../images/{})", picture.about, picture.file);
        self.pictures.iter().map(one).collect::<Vec<_>>().join("\n\n")
    }
}

/// Rows and columns in the order in which they come.
fn table<'a>(figures: impl Iterator<Item = &'a Figure>) -> Option<String> {
    let figures: Vec<&Figure> = figures.collect();
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    for figure in &figures {
        if !rows.contains(&&figure.row) {
            rows.push(&figure.row);
        }
        if !columns.contains(&&figure.column) {
            columns.push(&figure.column);
        }
    }
    if figures.is_empty() {
        return None;
    }
    let heads: Vec<String> = columns.iter().map(|column| head(column, &figures)).collect();
    let mut lines = vec![format!("| | {} |", heads.join(" | ")), format!("| --- |{}", " ---: |".repeat(columns.len()))];
    for row in rows {
        let cell = |column: &&String| {
            let figure = figures.iter().find(|figure| &figure.row == row && &figure.column == *column);
            figure.map(|figure| shown(figure)).unwrap_or_default()
        };
        lines.push(format!("| {row} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | ")));
    }
    Some(lines.join("\n"))
}

/// A column's name, with the unit where all its figures have the same.
fn head(column: &str, figures: &[&Figure]) -> String {
    let mut units = figures.iter().filter(|figure| figure.column == column).map(|figure| figure.unit.as_str());
    let first = units.next().unwrap_or_default();
    let one = !first.is_empty() && first != column && units.all(|unit| unit == first);
    if one { format!("{column}, {first}") } else { column.to_owned() }
}

/// A figure as a person reads it.
pub(super) fn shown(figure: &Figure) -> String {
    match (&figure.amount, figure.comparison) {
        (Amount::Text(text), _) => text.clone(),
        (Amount::Number(value), Comparison::Interval(error)) => with_error(*value, error),
        (Amount::Number(value), Comparison::Time) => digits(*value, 3),
        (Amount::Number(value), _) => digits(*value, 4),
    }
}

/// A value to the digits that its error leaves, two of the error.
fn with_error(value: f64, error: f64) -> String {
    let decimals = decimals(error, 2);
    if error == 0.0 || !error.is_finite() {
        format!("{} ± {}", digits(value, 4), digits(error, 2))
    } else if decimals > 6 {
        format!("{value:.1e} ± {error:.1e}")
    } else {
        format!("{value:.decimals$} ± {error:.decimals$}")
    }
}

/// A number with so many digits; a whole one with all of them.
fn digits(value: f64, count: i32) -> String {
    if value == value.trunc() && value.abs() < 1e9 {
        return format!("{value}");
    }
    if value.abs() < 1e-3 {
        return format!("{value:.1e}");
    }
    let decimals = decimals(value, count);
    format!("{value:.decimals$}")
}

/// Decimals that leave a number so many digits.
fn decimals(value: f64, digits: i32) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    (digits - 1 - value.abs().log10().floor() as i32).max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::super::kept::tests::example;
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_they_deserve() {
        for (value, error, text) in [
            (3.513_482, 0.0088, "3.5135 ± 0.0088"),
            (1.95, 0.0, "1.950 ± 0"),
            (0.0, 0.0, "0 ± 0"),
            (-12.34, 1.26, "-12.3 ± 1.3"),
            (1.9e-5, 1.0e-8, "1.9e-5 ± 1.0e-8"),
            (1234.5, 55.0, "1234 ± 55"),
        ] {
            assert_eq!(with_error(value, error), text);
        }
        for (value, count, text) in
            [(3200.0, 3, "3200"), (159.34, 3, "159"), (1.7e-6, 4, "1.7e-6"), (0.5, 4, "0.5000"), (f64::NAN, 3, "NaN")]
        {
            assert_eq!(digits(value, count), text);
        }
    }

    #[test]
    fn a_table_has_rows_and_columns_in_their_order_and_gaps() {
        let mut kept = example();
        let mut other = kept.figures[1].clone();
        other.column = "note".into();
        other.unit = String::new();
        other.amount = Amount::Text("as planned".into());
        kept.figures.push(other);
        let expected = "| | all, bits/dim | note |\n| --- | ---: | ---: |\n| total | 3.5135 ± 0.0088 |  |\n| steps | 3200 | as planned |";
        assert_eq!(kept.block("bound").unwrap(), expected);
        assert_eq!(kept.block("else"), None);
        assert_eq!(kept.blocks(), ["bound", PICTURES, MADE]);
    }

    #[test]
    fn it_says_how_the_numbers_were_made() {
        let text = example().block(MADE).unwrap();
        for part in
            ["`cargo xtask evidence example`", "2026-11-29", "0123456789ab, with changes", "torch 2", "example.json"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(example().block(PICTURES).unwrap(), "![samples](../images/a.png)");
    }
}
