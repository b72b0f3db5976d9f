//! `conformance`: the tables of `cargo xtask conformance`.

use anyhow::ensure;

use super::super::figures::Figures;
use super::super::job::words;
use super::super::printed::{self, between};
use super::super::work::Work;
use crate::commands::conformance::PROGRAM;

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let arguments = words(work.pick("conformance --quick", "conformance"));
    let job = work.xtask("conformance", arguments)?.with(PROGRAM, work.program.clone());
    let text = work.run(job)?;
    for version in between(&text, "(", ")")?.split(", ") {
        if let Some((tool, version)) = version.split_once(' ') {
            figures.tool(tool, version);
        }
    }
    let tables = printed::tables(&text);
    ensure!(tables.len() == 2, "cargo xtask conformance printed {} tables instead of 2", tables.len());
    let names = ["networks", "samplers"];
    for ((name, table), part) in names.into_iter().zip(&tables).zip(text.split("tolerance ").skip(1)) {
        let tolerance = printed::number(part.split_whitespace().next().unwrap_or_default())?;
        for row in &table.rows {
            let mut place = figures.at(name, &row[0]);
            for (column, cell) in table.head.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
                place.tolerance(column, "", printed::number(cell)?, tolerance);
            }
        }
        let sum = part.lines().find(|line| line.contains(" runs, largest difference "));
        let (runs, largest) = sum.and_then(|line| line.split_once(" runs, largest difference ")).unwrap_or_default();
        figures
            .at("runs", name)
            .exact("runs", "", printed::number(runs)?)
            .tolerance("largest difference", "", printed::number(largest.trim_end_matches('.'))?, tolerance)
            .exact("tolerance", "", tolerance);
    }
    Ok(())
}
