//! `torture`: the table of `cargo xtask torture`.

use anyhow::{Context, ensure};

use super::super::figures::Figures;
use super::super::job::words;
use super::super::printed::number;
use super::super::work::Work;

/// Rounds, and what chooses them.
const ROUNDS: [u64; 2] = [7, 50];
const SEED: u64 = 1;

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let mut arguments = words(&format!("torture --rounds {} --seed {SEED} --program", work.pick(ROUNDS[0], ROUNDS[1])));
    arguments.push(work.program.to_string_lossy().into_owned());
    let text = work.run(work.xtask("torture", arguments)?)?;
    figures.seed("torture", SEED);
    let table = text.lines().skip_while(|line| !line.starts_with("kind "));
    let rows: Vec<Vec<&str>> = table.map(|line| line.split_whitespace().collect()).collect();
    let (head, rows) = rows.split_first().context("cargo xtask torture printed no table")?;
    ensure!(rows.iter().all(|row| row.len() == head.len()), "a row of the torture's table is too long or too short");
    for row in rows {
        let mut place = figures.at("rounds", row[0]);
        for (column, cell) in head.iter().zip(row).skip(1) {
            let value = number(cell)?;
            match *column {
                "rounds" => place.exact(column, "", value),
                "FAILED" => place.exact("failed", "", value),
                // Kills by time come at about the same time only.
                _ => place.ratio(column, "", value),
            };
        }
    }
    Ok(())
}
