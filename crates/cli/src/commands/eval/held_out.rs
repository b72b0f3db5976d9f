//! The examples that a model's run held out: known from the model's own record, if the data is still the same.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use sfumato_data::{Dataset, LoadOptions, LoadedDataset, Selection, Subset};
use sfumato_model::pipeline::Pipeline;
use sfumato_train::{DataRecord, TrainConfig};

use super::plan::{Scored, load_split};

/// Digits of a checksum that people compare.
const DIGITS: usize = 12;

/// What a model's directory says of its run.
struct Record {
    config: TrainConfig,
    data: DataRecord,
}

impl Record {
    /// The record, if there is one.
    fn read(model: &Pipeline) -> Result<Option<Self>> {
        let path = config_file(model);
        if !path.is_file() {
            return Ok(None);
        }
        let data = DataRecord::read(model.dir())?;
        Ok(data.map(|data| TrainConfig::read(&path).map(|config| Self { config, data })).transpose()?)
    }

    /// Which examples of `whole` were held out, in the order of the data.
    fn held_out(&self, whole: &LoadedDataset) -> Vec<usize> {
        match self.config.held_out.count(whole.len()) {
            0 => Vec::new(),
            count => Selection::split(whole, count, self.config.seed)[1].ids().to_vec(),
        }
    }

    fn holds_some_out(&self) -> bool {
        self.config.held_out.share.is_some_and(|share| share > 0.0)
    }
}

fn config_file(model: &Pipeline) -> PathBuf {
    model.dir().join("training/config.toml")
}

/// The data with the examples that the run of `model` held out, in the order in which they are scored.
pub(super) fn load(scored: Scored<'_>, model: &Pipeline) -> Result<LoadedDataset> {
    let dir = scored.dir.display();
    let record = Record::read(model)?.ok_or_else(|| {
        anyhow!(
            "--split held-out: {dir} has no record of its run ({} and data.json beside it), as a checkpoint in runs/NAME/checkpoints has \
             it; which examples were held out is not known",
            config_file(model).display()
        )
    })?;
    if !record.holds_some_out() {
        bail!(
            "--split held-out: the run of {dir} held nothing out of {}, which it was trained on (held_out.share is 0); --split test scores a \
             test split, where the data has one",
            record.data.dataset
        );
    }
    // The run's own settings for reading the data, unless the arguments give others.
    let whole = load_split(scored, model, load_options(scored, model)?)?;
    if whole.sha256() != record.data.sha256 {
        let short = |sha256: &str| sha256.chars().take(DIGITS).collect::<String>();
        bail!(
            "--split held-out: the data is not what {dir} was trained on: {} has {} examples of SHA-256 {}…, and the run had {} (SHA-256 \
             {}…) of which it trained on {}; give the data as it was then",
            scored.dataset,
            whole.len(),
            short(whole.sha256()),
            record.data.dataset,
            short(&record.data.sha256),
            record.data.examples
        );
    }
    let mut ids = record.held_out(&whole);
    if !scored.in_order() {
        // As they come among all of the data.
        ids = all_in_order(scored, whole.len()).into_iter().filter(|id| ids.binary_search(id).is_ok()).collect();
    }
    Ok(whole.with_part(ids))
}

/// How training data is read for a fit of `model`: as its run read it where the run's own examples are scored.
pub(super) fn load_options(scored: Scored<'_>, model: &Pipeline) -> Result<LoadOptions> {
    let record = if scored.of_held_out() { Record::read(model)? } else { None };
    Ok(record.map(|record| record.config.data.load_options(record.config.seed)).unwrap_or_default())
}

/// `data` without the examples that the run of `model` held out, where that is known: a model is not fitted on what it is scored on.
pub(super) fn without(scored: Scored<'_>, model: &Pipeline, data: LoadedDataset) -> Result<LoadedDataset> {
    let ours = |record: &Record| record.holds_some_out() && record.data.sha256 == data.sha256();
    let Some(record) = Record::read(model)?.filter(ours) else { return Ok(data) };
    let held = record.held_out(&data);
    let order = match data.part() {
        Some(part) => part.to_vec(),
        None => all_in_order(scored, data.len()),
    };
    let ids: Vec<usize> = order.into_iter().filter(|id| held.binary_search(id).is_err()).collect();
    if ids.is_empty() {
        bail!("all of these examples were held out by the run of {}; take more of them", scored.dir.display());
    }
    Ok(data.with_part(ids))
}

/// All examples in the order that the seed of the estimate gives them.
fn all_in_order(scored: Scored<'_>, len: usize) -> Vec<usize> {
    let order = Subset::new(scored.args.estimate.seed, len);
    (0..len).map(|place| order.index(place)).collect()
}

/// Whether `model` held out the same examples as the one that `data` was loaded for: an error if it was trained on some of them, a note if
/// that cannot be known.
pub(in crate::commands) fn check_other(scored: Scored<'_>, model: &Pipeline, data: &LoadedDataset) -> Result<()> {
    let dir = scored.dir.display();
    match Record::read(model)? {
        Some(record) if record.data.sha256 == data.sha256() => {
            let mut ids = data.part().unwrap_or_default().to_vec();
            ids.sort_unstable();
            if record.held_out(data) != ids {
                bail!(
                    "--split held-out: {dir} was trained on some of the examples that the first model's run held out; train both with the \
                     same --seed and --held-out"
                );
            }
        }
        Some(record) => {
            say!("note: {dir} was trained on {}, and nothing was held out of these data for it", record.data.dataset)
        }
        None => say!("note: whether {dir} was trained on these examples is not known"),
    }
    Ok(())
}

/// Says so where the model was trained on most of what is scored.
pub(super) fn note(scored: Scored<'_>, model: &Pipeline, data: &LoadedDataset) {
    let Ok(Some(record)) = Record::read(model) else { return };
    if record.holds_some_out() && !data.sha256().is_empty() && record.data.sha256 == data.sha256() {
        say!(
            "note: {} was trained on these data, but for {} examples; --split held-out scores those alone",
            scored.dir.display(),
            record.config.held_out.count(data.len())
        );
    }
}
