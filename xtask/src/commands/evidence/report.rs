//! What a person reads: what there is, and what is the same.

use super::experiments::EXPERIMENTS;
use super::figure::{Comparison, Figure, Verdict};
use super::figures::Kind;
use super::kept::{self, Kept};
use super::table::shown;

/// Prints which experiments there are.
pub(super) fn list() -> anyhow::Result<()> {
    println!("{:<22}{:<12}{:<26}about", "name", "takes", "kept");
    for experiment in &EXPERIMENTS {
        let kept = match Kept::read(experiment.name)? {
            Some(kept) => format!("{} at {}", kept.made, kept.revision),
            None => "no".to_owned(),
        };
        println!("{:<22}{:<12}{kept:<26}{}", experiment.name, experiment.takes, experiment.about);
    }
    Ok(())
}

/// One line of the comparison.
struct Line {
    name: String,
    kept: String,
    now: String,
    allowed: String,
    verdict: &'static str,
}

/// Prints the figures beside those that are kept; whether all are the same.
pub(super) fn print(kept: Option<&Kept>, now: &Kept, quick: bool) -> bool {
    let lines = match kept {
        Some(kept) => compared(kept, now),
        None => now.figures.iter().map(|figure| line(None, Some(figure))).collect(),
    };
    let width = |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0).max(10);
    let widths = [width(|line| &line.name), width(|line| &line.kept), width(|line| &line.now)];
    let [name, before, after] = widths;
    println!("{:<name$}  {:>before$}  {:>after$}  {:>10}", "figure", "kept", "now", "interval");
    for line in &lines {
        println!(
            "{:<name$}  {:>before$}  {:>after$}  {:>10}  {}",
            line.name, line.kept, line.now, line.allowed, line.verdict
        );
    }
    let inputs = kept.is_none_or(|kept| checksums(kept, now));
    let same = lines.iter().all(|line| line.verdict != DIFFERENT);
    println!("{}", conclusion(kept, now, same && inputs, quick));
    same && inputs
}

const DIFFERENT: &str = "DIFFERENT";

fn conclusion(kept: Option<&Kept>, now: &Kept, same: bool, quick: bool) -> String {
    let file = super::shown(&kept::path(&now.name));
    match (kept, same) {
        (None, _) if quick => format!("{}: a small version, which is compared with nothing", now.name),
        (None, _) => format!("{}: nothing is kept yet; --keep writes {file}", now.name),
        (Some(_), true) => format!("{}: the same as {file}", now.name),
        (Some(_), false) => format!("{}: DIFFERENT from {file}", now.name),
    }
}

/// Every figure that is kept, and those that are new.
fn compared(kept: &Kept, now: &Kept) -> Vec<Line> {
    let of = |list: &'_ [Figure], figure: &Figure| list.iter().position(|other| other.is(figure));
    let before = kept.figures.iter().map(|figure| {
        let found = of(&now.figures, figure).map(|place| &now.figures[place]);
        line(Some(figure), found)
    });
    let new = now.figures.iter().filter(|figure| of(&kept.figures, figure).is_none());
    before.chain(new.map(|figure| Line { verdict: DIFFERENT, ..line(None, Some(figure)) })).collect()
}

fn line(kept: Option<&Figure>, now: Option<&Figure>) -> Line {
    let text = |figure: Option<&Figure>| figure.map(shown).unwrap_or_else(|| "-".to_owned());
    let name = kept.or(now).map(Figure::name).unwrap_or_default();
    let (allowed, verdict) = match (kept, now) {
        (Some(kept), Some(now)) => {
            let verdict = match kept.compare(now) {
                Verdict::Same => "same",
                Verdict::Different => DIFFERENT,
                Verdict::NotCompared => "",
            };
            let allowed =
                kept.allowed(now).map_or_else(|| kept.comparison.name().to_owned(), |by| format!("±{by:.2e}"));
            (allowed, verdict)
        }
        (Some(_), None) => (String::new(), DIFFERENT),
        (None, now) => (now.map_or("", |now| Comparison::name(now.comparison)).to_owned(), ""),
    };
    Line { name, kept: text(kept), now: text(now), allowed, verdict }
}

/// Says which checksums differ; whether those of what was given are the same.
fn checksums(kept: &Kept, now: &Kept) -> bool {
    let mut same = true;
    for checksum in &kept.checksums {
        let found = now.checksums.iter().find(|other| other.name == checksum.name);
        if found.is_some_and(|found| found.sha256 == checksum.sha256) {
            continue;
        }
        let found = found.map_or("not there", |found| found.sha256.as_str());
        let (name, before) = (&checksum.name, &checksum.sha256);
        if checksum.kind == Kind::Weights {
            println!(
                "note: {name}: SHA-256 {found}, kept {before}; another processor or other code rounds differently"
            );
        } else {
            println!("{name}: SHA-256 {found}, kept {before}  {DIFFERENT}");
            same = false;
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::super::figure::Amount;
    use super::super::kept::tests::example;
    use super::*;

    #[test]
    fn the_same_numbers_are_the_same_and_others_are_not() {
        let kept = example();
        assert!(print(Some(&kept), &kept, false) && print(None, &kept, true));
        let mut near = kept.clone();
        near.figures[0].amount = Amount::Number(3.53);
        assert!(print(Some(&kept), &near, false));
        near.figures[0].amount = Amount::Number(3.6);
        assert!(!print(Some(&kept), &near, false));
        assert_eq!(compared(&kept, &near)[0].verdict, DIFFERENT);
    }

    #[test]
    fn missing_and_new_figures_are_different() {
        let kept = example();
        let mut fewer = kept.clone();
        fewer.figures.pop();
        assert!(!print(Some(&kept), &fewer, false) && !print(Some(&fewer), &kept, false));
        assert_eq!(compared(&fewer, &kept).len(), 2);
    }

    #[test]
    fn other_weights_are_a_note_and_other_data_is_a_difference() {
        let kept = example();
        let mut other = kept.clone();
        other.checksums[0].sha256 = "00".into();
        assert!(print(Some(&kept), &other, false));
        other.checksums[0].kind = Kind::Given;
        let given = other.clone();
        other.checksums[0].sha256 = "11".into();
        assert!(!print(Some(&given), &other, false));
        other.checksums.clear();
        assert!(!print(Some(&given), &other, false));
    }
}
