//! Runs and rows that several experiments have.

use super::super::figures::Figures;
use super::super::scores::{Estimate, Scores};
use super::super::work::Work;

/// Steps of the default preset; a small version has the first number.
pub(super) const STEPS: [u64; 2] = [20, 3200];
/// Samples that distances are measured on.
const SAMPLES: [u64; 2] = [40, 2000];

/// Distances by name: where they are in the JSON, and what they are multiplied by.
const DISTANCES: [(&str, &str, f64); 9] = [
    ("Fréchet distance", "/distances/frechet", 1.0),
    ("KID × 1000", "/distances/kid", 1000.0),
    ("precision", "/distances/precision", 1.0),
    ("recall", "/distances/recall", 1.0),
    ("density", "/distances/density", 1.0),
    ("coverage", "/distances/coverage", 1.0),
    ("class distance", "/distances/class_distance", 1.0),
    ("copies", "/distances/copies", 1.0),
    ("C_T", "/distances/data_copying", 1.0),
];

/// The parts of the bound by name, and where they are in the JSON.
const BOUND: [(&str, &str); 4] = [
    ("prior, L_T", "/prior"),
    ("steps, Σ L_(t-1)", "/diffusion"),
    ("decoder, L_0", "/decoder_term"),
    ("total", "/total"),
];

/// How many samples are drawn.
pub(super) fn samples(work: &Work) -> u64 {
    work.pick(SAMPLES[0], SAMPLES[1])
}

/// The run of the default preset that experiments share: every one of its steps, whatever the time.
pub(super) fn reference_run(work: &Work, figures: &mut Figures) -> anyhow::Result<String> {
    figures.seed("training", 0);
    work.train("reference", STEPS, "")
}

/// The bound of the reference run's model on the whole test split, with a chart of its terms in `terms.svg`.
pub(super) fn reference_bound(work: &Work, figures: &mut Figures) -> anyhow::Result<Scores> {
    let run = reference_run(work, figures)?;
    let data = work.dataset()?;
    let limit = work.pick("--limit 40", "");
    let scores = work.eval(
        "reference-bound",
        &format!("--model {run}/model --dataset {data} --variance fixed-small --curve terms.svg {limit}"),
    )?;
    figures.depends_on(&scores, "the reference run");
    Ok(scores)
}

/// The parts of a bound, one below the other.
pub(super) fn bound(figures: &mut Figures, table: &str, column: &str, scores: &Scores) -> anyhow::Result<()> {
    for (name, pointer) in BOUND {
        figures.at(table, name).interval(column, "bits/dim", scores.bits(pointer)?);
    }
    Ok(())
}

/// The distances that were measured, one below the other.
pub(super) fn distances(figures: &mut Figures, table: &str, column: &str, scores: &Scores) -> anyhow::Result<()> {
    for (name, estimate) in measured(scores, "")? {
        figures.at(table, name).interval(column, "", estimate);
    }
    Ok(())
}

/// The floors of the distances, one below the other.
pub(super) fn floors(figures: &mut Figures, table: &str, scores: &Scores) -> anyhow::Result<()> {
    for (name, estimate) in measured(scores, "/floor")? {
        figures.at(table, name).interval("floor", "", estimate);
    }
    Ok(())
}

/// Names and values of the distances; what there is not enough of samples for is left out.
pub(super) fn measured(scores: &Scores, part: &str) -> anyhow::Result<Vec<(&'static str, Estimate)>> {
    let there = DISTANCES.iter().filter(|(_, pointer, _)| scores.has(pointer));
    there
        .map(|&(name, pointer, factor)| anyhow::Ok((name, scores.estimate(&format!("{pointer}{part}"))?.times(factor))))
        .collect()
}

/// How long a run was trained.
pub(super) fn training(work: &Work, figures: &mut Figures, table: &str, column: &str, run: &str) -> anyhow::Result<()> {
    let lines = Scores::lines(&work.path(run).join("metrics.jsonl"))?;
    let Some(last) = lines.last() else { anyhow::bail!("{run}/metrics.jsonl has no line") };
    let (examples, seconds) = (last.number("/examples")?, last.number("/seconds")?);
    figures.at(table, "steps").exact(column, "", last.number("/step")?);
    figures.at(table, "pictures seen").exact(column, "", examples);
    figures.at(table, "minutes of training").time(column, "", seconds / 60.0);
    figures.at(table, "pictures a second").time(column, "", examples / seconds);
    Ok(())
}
