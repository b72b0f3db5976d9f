//! What a model's directory says of its training.

use sfumato_data::{Dataset, DatasetSpec, LoadedDataset};
use sfumato_model::pipeline::Pipeline;
use sfumato_train::TrainConfig;

use crate::args::EvalArgs;

/// Digits of a checksum that people compare.
const DIGITS: usize = 12;

/// What is known; a model of somebody else says nothing.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Name of the data set.
    dataset: Option<String>,
    /// SHA-256 of its training split.
    pub(super) sha256: Option<String>,
    /// Whether examples were mirrored at random.
    pub(super) mirrored: bool,
    /// Seed of the run, which toys depend on.
    pub(super) seed: u64,
}

impl Recorded {
    pub(super) fn of(model: &Pipeline) -> Self {
        let fact = |key: &str| {
            let text = model.spec.facts.provenance.get(key)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let path = model.dir().join("training/config.toml");
        let config = path.is_file().then(|| TrainConfig::read(&path)).and_then(|config| match config {
            Ok(config) => Some(config),
            Err(error) => {
                say!("warning: {}: {error}; whether the model saw mirrored examples is not known", path.display());
                None
            }
        });
        Self {
            dataset: fact("dataset"),
            sha256: fact("dataset_sha256"),
            mirrored: config.as_ref().is_some_and(|config| config.data.flip),
            seed: config.map_or(0, |config| config.seed),
        }
    }

    /// Warns if the model was trained on other data.
    pub(super) fn compare(&self, args: &EvalArgs, dataset: &DatasetSpec, train: &LoadedDataset) {
        let Some(before) = self.sha256.as_deref().filter(|before| *before != train.sha256()) else { return };
        let name = self.dataset.as_deref().unwrap_or("other data");
        let short = |sha256: &str| sha256.chars().take(DIGITS).collect::<String>();
        let way = match name.parse::<DatasetSpec>() {
            Ok(spec) if spec != *dataset => format!("; --trained-on {spec} compares it with that"),
            _ => String::new(),
        };
        say!(
            "warning: the model in {} was trained on {name} (SHA-256 {}…), and the training split of {dataset} is not that ({}…): \
             optimum and training loss below are those of data that it was not trained on{way}",
            args.model_dir().display(),
            short(before),
            short(train.sha256())
        );
    }
}
