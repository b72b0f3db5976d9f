//! What a run is trained on, and what its models are scored on meanwhile.

use anyhow::Result;
use sfumato_data::{DataError, Dataset, ImageSize, LoadOptions, LoadedDataset, Part, Selection, Split};
use sfumato_train::{TrainConfig, config::HeldOutConfig};

/// Examples of a test split that are read where the configuration does not say how many are scored: the most that it chooses.
const READ: usize = 128;

/// The test split of the data that a run of `config` is trained on, in the shape of `training`; none where it has none, or it is not
/// scored.
///
/// Only the examples that are scored are read, where the data can be read in part.
pub(super) fn test_split(config: &TrainConfig, training: &LoadedDataset) -> Option<LoadedDataset> {
    let HeldOutConfig { examples, share, .. } = config.held_out;
    if !config.held_out.is_on() || share.is_some_and(|share| share > 0.0) || training.is_unsplit() {
        return None;
    }
    let part = Part { num: examples.unwrap_or(READ), seed: Some(config.seed), checksum: false };
    let mut options =
        LoadOptions { split: Split::Test, part: Some(part), strict: false, ..config.data.load_options(config.seed) };
    if let &[channels, height, width] = training.shape() {
        (options.channels, options.image_size) = (Some(channels), Some(ImageSize { height, width }));
    }
    let loaded = sfumato_data::load(&config.data.dataset, &options);
    let found = loaded.and_then(|data| match (config.model.class_conditional(), data.classes()) {
        // Named and numbered as the run learns them.
        (true, Some(_)) => data.with_class_names(training.class_names()),
        _ => Ok(data),
    });
    match found {
        Ok(data) if data.shape() == training.shape() => Some(data),
        Ok(data) => {
            say!("note: the test split is not scored: its examples are of shape {:?}", data.shape());
            None
        }
        Err(DataError::NoTestSplit { .. } | DataError::MiniHasNoTestSplit) => None,
        Err(error) => {
            say!("note: the test split is not scored: {error}");
            None
        }
    }
}

/// The data of a run in two parts.
pub(super) struct Parts<'a> {
    whole: &'a LoadedDataset,
    test: Option<&'a LoadedDataset>,
    /// What is trained on and what is held out, where both are of the same data.
    split: Option<[Selection<'a>; 2]>,
}

impl<'a> Parts<'a> {
    /// The parts that `config` asks for; it has been settled.
    pub(super) fn new(config: &TrainConfig, whole: &'a LoadedDataset, test: Option<&'a LoadedDataset>) -> Self {
        let held = config.held_out.count(whole.len());
        let split = (held > 0).then(|| Selection::split(whole, held, config.seed));
        Self { whole, test, split }
    }

    pub(super) fn training(&self) -> &dyn Dataset {
        match &self.split {
            Some([training, _]) => training,
            None => self.whole,
        }
    }

    pub(super) fn held_out(&self) -> Option<&dyn Dataset> {
        match &self.split {
            Some([_, held_out]) => Some(held_out),
            None => self.test.map(|test| test as &dyn Dataset),
        }
    }

    /// What is held out and what is scored, in a line.
    pub(super) fn describe(&self, config: &TrainConfig) -> String {
        let HeldOutConfig { every, examples, .. } = config.held_out;
        let (every, examples) = (every.unwrap_or(0), examples.unwrap_or(0));
        let scored = |of: usize| match examples.min(of) {
            some if some < of => format!("{some} of them are scored every {every} steps"),
            _ => format!("they are scored every {every} steps"),
        };
        match (&self.split, self.test) {
            (Some([_, held]), _) if every == 0 => {
                format!("{} examples are not trained on; nothing is scored while training", held.len())
            }
            (Some([_, held]), _) => format!("{} examples are not trained on; {}", held.len(), scored(held.len())),
            (None, Some(test)) if every > 0 => {
                format!("the test split has {} examples; {}", test.len(), scored(test.len()))
            }
            _ => "nothing, so that no model is scored while training; --held-out 0.1 holds a tenth of the data out"
                .to_owned(),
        }
    }
}

/// Settles what the configuration leaves open about held-out examples.
pub(super) fn settle(config: &mut TrainConfig, whole: &LoadedDataset) -> Result<Option<LoadedDataset>> {
    let test = test_split(config, whole);
    config.settle_held_out(whole.len(), test.is_some())?;
    Ok(test.filter(|_| config.held_out.is_on()))
}
