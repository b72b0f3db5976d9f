//! The table at the end: what was done to the runs, by kind of round.

use std::fmt::{Display, Formatter, Result};

use super::Kind;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Processes of the program.
    pub(super) runs: u64,
    /// Those that a signal ended or stopped.
    pub(super) kills: u64,
    /// System calls or streams that failed, and files that were damaged.
    pub(super) errors: u64,
    /// Pairs of processes on one run.
    pub(super) pairs: u64,
    /// Losses of power.
    pub(super) losses: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            kills: self.kills + other.kills,
            errors: self.errors + other.errors,
            pairs: self.pairs + other.pairs,
            losses: self.losses + other.losses,
        }
    }

    fn columns(self) -> [u64; 5] {
        [self.runs, self.kills, self.errors, self.pairs, self.losses]
    }
}

/// One row a kind, and a sum.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(Kind, Row)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    rounds: u64,
    failures: u64,
    counts: Counts,
}

impl Table {
    pub(super) fn add(&mut self, kind: Kind, counts: &Counts, passed: bool) {
        if !self.rows.iter().any(|(of, _)| *of == kind) {
            self.rows.push((kind, Row::default()));
            self.rows.sort_by_key(|(kind, _)| Kind::ALL.iter().position(|of| of == kind));
        }
        if let Some((_, row)) = self.rows.iter_mut().find(|(of, _)| *of == kind) {
            row.rounds += 1;
            row.failures += u64::from(!passed);
            row.counts = row.counts.plus(*counts);
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.rows.iter().all(|(_, row)| row.failures == 0)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let head = ["rounds", "runs", "kills", "errors", "pairs", "losses", "FAILED"];
        let line = |f: &mut Formatter<'_>, name: &str, row: Row| {
            let [runs, kills, errors, pairs, losses] = row.counts.columns();
            let columns = [row.rounds, runs, kills, errors, pairs, losses, row.failures];
            write!(f, "{name:<9}")?;
            columns.iter().try_for_each(|column| write!(f, "{column:>8}"))?;
            writeln!(f)
        };
        write!(f, "\n{:<9}", "kind")?;
        head.iter().try_for_each(|title| write!(f, "{title:>8}"))?;
        writeln!(f)?;
        let mut sum = Row::default();
        for (kind, row) in &self.rows {
            line(f, kind.name(), *row)?;
            sum.rounds += row.rounds;
            sum.failures += row.failures;
            sum.counts = sum.counts.plus(row.counts);
        }
        line(f, "all", sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_by_kind() {
        let mut table = Table::default();
        table.add(Kind::Power, &Counts { runs: 3, losses: 1, ..Counts::default() }, true);
        table.add(Kind::Kill, &Counts { runs: 5, kills: 4, ..Counts::default() }, true);
        assert!(table.passed());
        table.add(Kind::Kill, &Counts { runs: 2, kills: 1, ..Counts::default() }, false);
        assert!(!table.passed());
        let text = table.to_string();
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[2], ["kill", "2", "7", "5", "0", "0", "0", "1"]);
        assert_eq!(words[3], ["power", "1", "3", "0", "0", "0", "1", "0"]);
        assert_eq!(words[4], ["all", "3", "10", "5", "0", "0", "1", "1"]);
    }
}
