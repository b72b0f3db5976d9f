//! `sfumato average`

mod best;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sfumato_model::pipeline::{Pipeline, PipelineSpec};
use sfumato_train::{Average, AverageError};

use crate::{
    args::{AverageArgs, UsageError, Width},
    loaded,
    output_dir::{empty_dir, refuse_full},
    report,
};

/// Beyond this part of the average itself, what it differs by is worth a warning.
const ROUGH: f64 = 0.05;

pub(crate) fn run(args: &AverageArgs) -> Result<()> {
    let checkpoint = checkpoint(&args.run)?;
    let source = Source { averages: averages_of(&checkpoint), checkpoint };
    let model = loaded::open_model(&source.checkpoint)?;
    let average = match args.width {
        Width::Part(width) => Some(source.average(width)?),
        Width::Best => {
            refuse_full(&args.out)?;
            best::find(args, &source, &model)?
        }
    };
    let Some(Average { width, step, kept, error, weights }) = average else {
        say!("stopped, and nothing was written");
        return Ok(());
    };
    empty_dir(&args.out)?;
    let mut spec: PipelineSpec = model.spec.clone();
    spec.facts
        .provenance
        .insert("weights".into(), format!("power-function average of width {width} after {step} steps").into());
    spec.write_tensors(&args.out, &weights)?;
    let picture = source.checkpoint.join("samples.png");
    if picture.is_file() {
        say!("note: {} is of the run's own average, and is not copied", picture.display());
    }
    spec.write_card(&args.out, &args.out)?;
    let percent = 100.0 * error;
    match kept {
        1 => say!("the average of width {width} after {step} steps, as the run kept it"),
        _ => say!("made of {kept} averages up to step {step}; the shares of the steps are {percent:.2} % off"),
    }
    if error > ROUGH {
        say!(
            "warning: this is a rough average. Widths near to those that the run keeps come out better, and so do runs with more files of averages (averages.every)"
        );
    }
    out!("{}", args.out.display())
}

/// Where averages come from.
struct Source {
    checkpoint: PathBuf,
    /// The folder of averages of its run.
    averages: PathBuf,
}

impl Source {
    fn average(&self, width: f64) -> Result<Average> {
        Average::new(&self.checkpoint, &self.averages, width).map_err(|error| match error {
            AverageError::Width(_) => UsageError(format!("--width {width}: {error}")).into(),
            other => anyhow::Error::new(other),
        })
    }
}

/// The checkpoint that `path` names: itself, or the newest of the run.
fn checkpoint(path: &Path) -> Result<PathBuf> {
    let is_checkpoint = |dir: &Path| dir.join("training/state.json").is_file();
    if is_checkpoint(path) {
        return Ok(path.to_path_buf());
    }
    fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    // As every command finds the model of a run: the newest complete checkpoint, with or without the link to it.
    let newest = |run: PathBuf| Some(Pipeline::open(&run).ok()?.dir().to_path_buf());
    match report::locate(path).and_then(newest).filter(|found| is_checkpoint(found)) {
        Some(found) => Ok(found),
        None => {
            bail!("{} is no run with a checkpoint: name the directory that was given to train as --out", path.display())
        }
    }
}

/// The folder of averages of the run that a checkpoint belongs to. One that was copied elsewhere has none.
fn averages_of(checkpoint: &Path) -> PathBuf {
    let whole = checkpoint.canonicalize().unwrap_or_else(|_| checkpoint.to_path_buf());
    let run = whole.ancestors().skip(1).take(2).find(|dir| dir.join("averages").is_dir());
    run.unwrap_or(&whole).join("averages")
}
