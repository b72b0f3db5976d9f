//! What loading a model or a data set has to say.

use std::path::Path;

use anyhow::Result;
use sfumato_data::LoadedDataset;
use sfumato_model::{pipeline::Pipeline, tensor_file::WeightFiles};

use crate::args::of_model;

/// Unreadable files that are named; a folder can have thousands.
const NAMED: usize = 5;

/// The same as [`open_model`] with the class that stands for "any", where the user says it (`--null-class`).
pub(crate) fn open_model_with(dir: &Path, null_class: Option<usize>) -> Result<Pipeline> {
    let model = open_model(dir)?;
    match null_class {
        Some(label) => model.with_null_class(label).map_err(of_model),
        None => Ok(model),
    }
}

/// Opens the model in `dir` and says on stderr what was chosen and what was passed over.
pub(crate) fn open_model(dir: &Path) -> Result<Pipeline> {
    let model = Pipeline::open(dir)?;
    for note in notes(&model) {
        say!("note: {note}");
    }
    for warning in &model.warnings {
        say!("warning: {warning}");
    }
    Ok(model)
}

/// The choices that were made: which model, which scheduler, which weights.
pub(crate) fn notes(model: &Pipeline) -> Vec<String> {
    let mut notes: Vec<String> = model.notes.iter().map(ToString::to_string).collect();
    // Damaged weights are an error when they are read.
    if let Ok(files) = WeightFiles::open(model.weights()) {
        let name = model.weights().display();
        notes.extend(files.notes().iter().map(|note| format!("{name}: {note}")));
    }
    notes
}

/// Says on stderr how the data was read and what was left out, each once.
pub(crate) fn tell(data: &LoadedDataset) {
    for note in data.notes() {
        say!("note: {note}");
    }
    for warning in data.warnings() {
        say!("warning: {warning}");
    }
    let skipped = data.skipped();
    if skipped.is_empty() {
        return;
    }
    let files = if skipped.len() == 1 { "file was" } else { "files were" };
    say!("warning: {} unreadable {files} left out; --strict makes this an error", skipped.len());
    for file in skipped.iter().take(NAMED) {
        say!("  {}: {}", file.path.display(), file.reason);
    }
    if skipped.len() > NAMED {
        say!("  … and {} more", skipped.len() - NAMED);
    }
}
