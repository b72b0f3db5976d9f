//! `sfumato compare`

mod files;
mod json;
mod models;
mod saved;
mod table;
mod verdict;

use std::{io::Write, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sfumato_evaluate::PairedBound;
use sfumato_process::bound::ExampleTerms;

use crate::{
    args::{CompareModelsArgs, UsageError},
    commands::eval::words::row,
    say,
};

/// Two models' scores of the same examples.
struct Comparison {
    /// Models, data and estimate, in rows of the table.
    rows: Vec<String>,
    /// The same for programs, of each model as `eval --json` says it.
    described: [Value; 2],
    terms: [Vec<ExampleTerms>; 2],
    /// Numbers in one example.
    dimensions: usize,
    discrete: bool,
    /// Whether the steps and the noise are the same, and not only the examples.
    same_steps: bool,
    /// Whether both are bounds in continuous time.
    continuous: bool,
    /// Whether the weights are; none if it cannot be told.
    same_weights: Option<bool>,
    extent: Extent,
    /// Evaluations of both networks, and the seconds that they took; none if earlier ones were read.
    work: Option<(u64, f64)>,
    /// What computed the scores, if it was this program now.
    environment: Value,
}

/// Which data was scored, and how much of it.
struct Extent {
    dataset: String,
    split: String,
    /// Examples of the split.
    in_split: u64,
    /// Examples that were asked for.
    planned: u64,
    /// Examples that both models have scored.
    scored: u64,
}

pub(crate) fn run(args: CompareModelsArgs) -> Result<()> {
    // Before the work, so that an impossible place costs nothing.
    if let Some(path) = &args.json {
        sfumato_files::check_writable(path)?;
    }
    match (is_file(&args.a)?, is_file(&args.b)?) {
        (true, true) => {
            if let Some(option) = args.given.other_than(&["a", "b", "json"]) {
                return Err(UsageError(format!(
                    "{option}: {} and {} are results of eval, and are compared as they are; leave {option} out, or name the models",
                    args.a.display(),
                    args.b.display()
                ))
                .into());
            }
            let compared = files::compare(&args.a, &args.b)?;
            conclude(&args, &compared)
        }
        (false, false) => {
            let Some(dataset) = args.dataset.clone() else {
                return Err(UsageError(
                    "--dataset is needed: the data that both models are to be scored on".to_owned(),
                )
                .into());
            };
            models::run(args, dataset)
        }
        (a_is_file, _) => {
            let [file, dir] = if a_is_file { [&args.a, &args.b] } else { [&args.b, &args.a] };
            bail!(
                "{} is a file, a result of eval, and {} is not: give two models, or two files that `eval --json` wrote",
                file.display(),
                dir.display()
            )
        }
    }
}

/// Whether it is a result of `eval`, and not a model: a file that ends in .json.
fn is_file(path: &Path) -> Result<bool> {
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) || path.is_dir() {
        return Ok(false);
    }
    // A pipe would be waited for.
    sfumato_files::open_regular(path).map(|_| true).with_context(|| format!("cannot read {}", path.display()))
}

/// Prints the result, and writes it where that was asked for.
fn conclude(args: &CompareModelsArgs, compared: &Comparison) -> Result<()> {
    let [a, b] = &compared.terms;
    let bound = PairedBound::new(a, b).context("there are no examples to compare")?;
    // If the file cannot be written, the table still is printed.
    let kept = match &args.json {
        Some(path) => {
            let json = format!("{:#}\n", json::json(compared, &bound));
            sfumato_files::write_atomically(path, json.as_bytes()).map_err(anyhow::Error::from)
        }
        None => Ok(()),
    };
    let printed = say::result(|out| out.write_all(table::table(compared, &bound).as_bytes()));
    kept.and(printed)
}

/// The same of both, unless it fails for one.
fn both<T, U>([a, b]: [T; 2], mut of: impl FnMut(T) -> Result<U>) -> Result<[U; 2]> {
    Ok([of(a)?, of(b)?])
}

/// A row of the table, or one for each model where they do not agree.
fn pair_rows(name: &str, [a, b]: [String; 2]) -> Vec<String> {
    if a == b { vec![row(name, a)] } else { vec![row(&format!("{name} A"), a), row(&format!("{name} B"), b)] }
}

/// What the models are told about the class; nothing where neither can be told. `labels`: which of them are told the examples' labels.
fn told_rows(told: [Option<String>; 2], labels: [bool; 2]) -> Vec<String> {
    let mut rows = match told {
        [None, None] => Vec::new(),
        [Some(a), Some(b)] if a == b => vec![row("condition", a)],
        told => {
            let [a, b] = told.map(|told| told.unwrap_or_else(|| "nothing; it knows no classes".to_owned()));
            vec![row("A is told", a), row("B is told", b)]
        }
    };
    if labels[0] != labels[1] {
        rows.push(row("", "one bound is on -log p(x | class), the other on -log p(x)".to_owned()));
    }
    rows
}
