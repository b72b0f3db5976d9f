//! Numbers in what a program printed for people.

use anyhow::{Context, ensure};

use super::scores::Estimate;

/// A table in Markdown: its columns' names, and its rows.
#[derive(Debug, PartialEq)]
pub(super) struct Printed {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The tables of a text, in their order.
pub(super) fn tables(text: &str) -> Vec<Printed> {
    let mut tables: Vec<Printed> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let cells = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let cells: Option<Vec<String>> =
            cells.map(|cells| cells.split('|').map(|cell| cell.trim().to_owned()).collect());
        match (cells, tables.last_mut().filter(|_| inside)) {
            (None, _) => inside = false,
            (Some(head), None) => {
                tables.push(Printed { head, rows: Vec::new() });
                inside = true;
            }
            (Some(cells), Some(table)) => {
                let rule = cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':'));
                if !rule {
                    table.rows.push(cells);
                }
            }
        }
    }
    tables
}

/// The first table, which has to have rows of one length.
pub(super) fn table(text: &str) -> anyhow::Result<Printed> {
    let table = tables(text).into_iter().next().context("the program printed no table")?;
    ensure!(!table.rows.is_empty(), "the table of the program has no rows");
    ensure!(
        table.rows.iter().all(|row| row.len() == table.head.len()),
        "a row of the program's table is too long or too short"
    );
    Ok(table)
}

/// A number in a cell.
pub(super) fn number(cell: &str) -> anyhow::Result<f64> {
    cell.parse().with_context(|| format!("`{cell}` is no number"))
}

/// A number with its standard error in a cell, as `1.04 ± 0.01`.
pub(super) fn estimate(cell: &str) -> anyhow::Result<Estimate> {
    let (value, error) = cell.split_once('±').with_context(|| format!("`{cell}` has no `±`"))?;
    Ok(Estimate { value: number(value.trim())?, standard_error: number(error.trim())? })
}

/// What stands between two texts, the first time.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> anyhow::Result<&'a str> {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    Ok(found.with_context(|| format!("the program did not print `{before}…{after}`"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_in_their_order() {
        let text = "# A\n\n| a | b |\n| --- | ---: |\n| x | 1.0 ± 0.5 |\n|  | -2 |\n\ntext\n| c |\n|---|\n";
        let found = tables(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].rows, [["x", "1.0 ± 0.5"], ["", "-2"]]);
        assert_eq!((found[1].head[0].as_str(), found[1].rows.len()), ("c", 0));
        assert_eq!(estimate(&found[0].rows[0][1]).unwrap(), Estimate { value: 1.0, standard_error: 0.5 });
        assert!(estimate("1.0").is_err() && number("x").is_err() && table("text").is_err());
        assert_eq!(between("a (b) c", "(", ")").unwrap(), "b");
    }
}
