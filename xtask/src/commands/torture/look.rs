//! Looking at what a run left on disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, ensure};

/// Files without which a checkpoint is not complete.
const NEEDED: [&str; 5] = [
    "training/state.json",
    "training/weights.safetensors",
    "training/optimizer.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
];

/// The directory of a checkpoint, in the run.
pub(super) fn checkpoint(step: u64) -> String {
    format!("checkpoints/step-{step:07}")
}

/// The step that a checkpoint's name stands for.
pub(super) fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

/// Steps of the complete checkpoints of a run, in order.
pub(super) fn complete(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let whole = |dir: &Path| NEEDED.iter().all(|file| fs::metadata(dir.join(file)).is_ok_and(|found| found.len() > 0));
    let mut steps: Vec<u64> = entries
        .filter(|entry| whole(&entry.path()))
        .filter_map(|entry| step_of(&entry.file_name().to_string_lossy()))
        .collect();
    steps.sort();
    steps
}

/// Names of the files below `dir`, relative to it, in order.
pub(super) fn files(dir: &Path) -> BTreeSet<String> {
    fn walk(dir: &Path, above: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = format!("{above}{}", entry.file_name().to_string_lossy());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => walk(&entry.path(), &format!("{name}/"), found),
                _ => drop(found.insert(name)),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(dir, "", &mut found);
    found
}

/// Fails if something lies in the run that no undisturbed run has: hidden temporary files above all.
///
/// A lock may stay if nobody holds it. Checkpoints with a word before their names were set aside on purpose.
pub(super) fn no_leftovers(run: &Path, of_checkpoint: &BTreeSet<String>) -> anyhow::Result<()> {
    for file in entries(run)? {
        let known = [
            "checkpoints",
            "samples",
            "model",
            "best",
            "config.toml",
            "environment.json",
            "metrics.jsonl",
            "report.html",
        ];
        let old_settings = file.starts_with("config-") && file.ends_with(".toml");
        if file.contains("lock") {
            let lock = run.join(&file);
            let opened = File::open(&lock).with_context(|| format!("cannot open {}", lock.display()))?;
            ensure!(opened.try_lock().is_ok(), "{file} is still locked, although no process is left");
        } else {
            ensure!(known.contains(&file.as_str()) || old_settings, "{file} is left over");
        }
    }
    for name in entries(&run.join("checkpoints"))? {
        ensure!(!name.starts_with('.'), "checkpoints/{name} is left over");
        if step_of(&name).is_some() {
            let files = files(&run.join("checkpoints").join(&name));
            let more: Vec<_> = files.difference(of_checkpoint).collect();
            ensure!(more.is_empty(), "in checkpoints/{name}, {more:?} is left over");
        }
    }
    // A run that was killed before its last picture may have none.
    let samples = run.join("samples");
    for name in if samples.exists() { entries(&samples)? } else { vec![] } {
        ensure!(!name.starts_with('.'), "samples/{name} is left over");
    }
    Ok(())
}

fn entries(dir: &Path) -> anyhow::Result<Vec<String>> {
    let read = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in read {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
