//! Two results of `eval --json`: no network is needed where both are of the same examples.

use std::{fmt::Debug, path::Path};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{
    Comparison, Extent, both, pair_rows,
    saved::{Saved, SavedSteps},
    told_rows,
};
use crate::{
    commands::eval::words::{decoder_name, row},
    environment,
};

/// Compares two files, or says what keeps them from being compared.
pub(super) fn compare(a: &Path, b: &Path) -> Result<Comparison> {
    let saved = both([a, b], Saved::read)?;
    let [first, second] = &saved;
    check([a, b], &saved)?;
    let num = first.examples().len().min(second.examples().len());
    if first.examples().len() != second.examples().len() {
        say!("note: {} and {} both hold the same {num} examples, which are compared", a.display(), b.display());
    }
    if first.program() != second.program() {
        say!(
            "note: {} is by version {} of the program, {} by {}; that both drew the same noise is taken for granted",
            a.display(),
            first.program(),
            b.display(),
            second.program()
        );
    }
    let same_weights = first.weights_sha256.as_ref().zip(second.weights_sha256.as_ref()).map(|(a, b)| a == b);
    Ok(Comparison {
        rows: rows([a, b], &saved, num, same_weights)?,
        terms: [first.terms(num), second.terms(num)],
        dimensions: first.dimensions,
        discrete: first.decoder()?.is_discrete(),
        same_steps: first.steps == second.steps
            && first.strata == second.strata
            && first.level_strata == second.level_strata,
        continuous: first.is_continuous() && second.is_continuous(),
        same_weights,
        extent: Extent {
            dataset: first.dataset.clone(),
            split: first.split.clone(),
            in_split: first.examples_in_split,
            planned: num as u64,
            scored: num as u64,
        },
        work: None,
        environment: environment::describe(),
        described: saved.map(|saved| saved.described),
    })
}

/// Refuses scores of other data, or by other random numbers.
fn check(paths: [&Path; 2], saved: &[Saved; 2]) -> Result<()> {
    let [a, b] = saved;
    same(paths, "shape", &a.shape, &b.shape)?;
    if a.decoder()?.is_discrete() != b.decoder()?.is_discrete() {
        bail!(
            "{} and {} cannot be compared: one is a bound on the probability of 8-bit data, the other on a density",
            paths[0].display(),
            paths[1].display()
        );
    }
    if a.dataset_sha256 != b.dataset_sha256 || a.dataset_sha256.is_empty() {
        bail!(
            "{} and {} cannot be compared: they are of different data, as dataset_sha256 says: {:?} ({}, {} split) and {:?} ({}, {} \
             split)",
            paths[0].display(),
            paths[1].display(),
            a.dataset_sha256,
            a.dataset,
            a.split,
            b.dataset_sha256,
            b.dataset,
            b.split
        );
    }
    same(paths, "decoder", &decoder_name(a.decoder()?), &decoder_name(b.decoder()?))?;
    same(paths, "seed", &a.seed, &b.seed)?;
    let [noise_a, noise_b] = saved.each_ref().map(|saved| saved.noise.as_deref().unwrap_or("none"));
    same(paths, "noise", &noise_a, &noise_b)?;
    same(paths, "draws", &a.draws, &b.draws)?;
    // Chains of different lengths cannot have the same strata.
    if a.steps == b.steps {
        same(paths, "strata", &widest(a), &widest(b))?;
        same(paths, "strata", &a.strata, &b.strata)?;
    }
    if let Some(i) = a.examples().iter().zip(b.examples()).position(|(a, b)| a != b) {
        bail!(
            "{} and {} cannot be compared: they are not of the same examples in the same order (`order` is {} and {}); example {} of the \
             first is number {} of the data, and of the second number {}",
            paths[0].display(),
            paths[1].display(),
            a.order,
            b.order,
            i + 1,
            a.examples()[i],
            b.examples()[i]
        );
    }
    Ok(())
}

/// The strata in a few words.
fn widest(saved: &Saved) -> String {
    if let Some(levels) = &saved.level_strata {
        return format!("{} strata of log SNR", levels.len());
    }
    let widest = saved.strata.iter().map(|[_, width]| *width).max().unwrap_or(0);
    format!("{} strata of at most {widest} steps", saved.strata.len())
}

fn same<T: PartialEq + Debug>(paths: [&Path; 2], field: &str, a: &T, b: &T) -> Result<()> {
    if a != b {
        let [path_a, path_b] = paths.map(Path::display);
        bail!("{path_a} and {path_b} cannot be compared: `{field}` is {a:?} in the first and {b:?} in the second");
    }
    Ok(())
}

/// What was compared, as `models.rs` says it of models.
fn rows(paths: [&Path; 2], saved: &[Saved; 2], num: usize, same_weights: Option<bool>) -> Result<Vec<String>> {
    let [a, b] = saved;
    let named = |path: &Path, saved: &Saved| format!("{}: {} ({})", path.display(), saved.model, saved.class);
    let mut rows = vec![row("A", named(paths[0], a)), row("B", named(paths[1], b))];
    if let (Some(true), Some(checksum)) = (same_weights, &a.weights_sha256) {
        rows.push(row("weights", format!("the same in A and B (SHA-256 {checksum})")));
    }
    let Saved { dataset, split, examples_in_split, shape, .. } = a;
    rows.push(row("data", format!("{dataset}, {split} split, {num} of {examples_in_split} examples {shape:?}")));
    if (num as u64) < *examples_in_split {
        let part = match a.order.get("random") {
            Some(seed) => format!("a random part of the split, drawn with seed {seed}"),
            None => format!("the first {num} in the order of the data"),
        };
        rows.push(row("examples", part));
    }
    rows.extend(pair_rows("chain", [a, b].map(chain)));
    rows.extend(pair_rows("estimate", [a, b].map(estimate)));
    rows.push(row("decoder", decoder_name(a.decoder()?).to_owned()));
    rows.extend(told_rows([a, b].map(told), [a, b].map(|saved| saved.condition == "labels")));
    Ok(rows)
}

fn chain(saved: &Saved) -> String {
    let steps = match saved.steps {
        SavedSteps::Count(steps) => format!("{steps} steps"),
        SavedSteps::Continuous(_) => "continuous time".to_owned(),
    };
    format!("{steps}, predicts {}, variance {}", saved.parameterization, saved.variance)
}

fn estimate(saved: &Saved) -> String {
    let draws = if saved.draws == 1 { "" } else { "s" };
    format!("{}; {} draw{draws}, seed {}", widest(saved), saved.draws, saved.seed)
}

fn told(saved: &Saved) -> Option<String> {
    match &saved.condition {
        Value::Null => None,
        Value::String(labels) => Some(format!("the examples' {labels}")),
        _ => Some("none (the class that stands for any)".to_owned()),
    }
}
