//! Everything that decides a sample.
//!
//! One struct for all that write and read it: `sample.json`, the PNG files, and `sample --like`. What decides samples is a field here, set
//! in `commands/sample/settings.rs` and taken back in `commands/sample/like.rs`.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sfumato_data::Background;
use sfumato_files::{bytes_sha256, read_text};
use sfumato_kernels::Precision;
use sfumato_model::{pipeline::Pipeline, sampling::SamplerKind};

use crate::args::OneOrMany;

/// How samples are drawn, with what was left open as the model fills it in. Batches and threads are not among it: the samples do not
/// depend on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) sampler: SamplerKind,
    /// Steps that were asked for.
    pub(crate) steps: usize,
    pub(crate) spacing: String,
    /// Variance of ddpm, where it is not the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variance: Option<String>,
    /// Of the fit beside the weights, where it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fit_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ddim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) karras: Option<bool>,
    /// False where predictions were not clipped, whatever the model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clip: Option<bool>,
    /// Height and width, where they are not the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_size: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<ClassSetting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guidance: Option<OneOrMany<f64>>,
    /// The noise levels with guidance, where it is not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guidance_interval: Option<String>,
    /// The class that stands for "any", where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) null_class: Option<usize>,
    /// None with recorded noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<OneOrMany<u64>>,
    /// Of the recorded noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise_sha256: Option<String>,
    /// What convolutions multiplied, where it was not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) precision: Option<Precision>,
    /// What the samples are made from, where it is not noise alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pictures: Option<PictureSettings>,
    #[serde(flatten)]
    pub(crate) model: ModelSums,
}

/// Pictures that samples are made from; the checksums are of the pixels, in the size of the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PictureSettings {
    /// Pictures that are changed.
    Image {
        image_sha256: String,
        strength: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        background: Option<Background>,
    },
    /// Pictures of which a part is known.
    Inpaint {
        image_sha256: String,
        mask_sha256: String,
        jump_length: usize,
        resample: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        background: Option<Background>,
    },
}

impl PictureSettings {
    /// What transparent pictures were laid on, where it is not the default. Older records do not say it.
    pub(crate) fn background(&mut self) -> &mut Option<Background> {
        let (Self::Image { background, .. } | Self::Inpaint { background, .. }) = self;
        background
    }
}

/// Classes that are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ClassSetting {
    /// All samples are of this one.
    One(usize),
    /// All classes in turn, in words: `0 to 9`.
    Turns(String),
}

/// Checksums by which a model can be told from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelSums {
    /// Of the file with the weights; of an index and every shard where there are several.
    pub(crate) weights_sha256: OneOrMany<String>,
    /// Of the scheduler's and the network's configuration, without what does not count: see [`config_sha256`].
    pub(crate) scheduler_sha256: String,
    pub(crate) network_sha256: String,
}

impl ModelSums {
    /// Reads all weights once.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn of(model: &Pipeline) -> Result<Self> {
        let mut weights = model.weights_sha256()?;
        Ok(Self {
            weights_sha256: match weights.len() {
                1 => OneOrMany::One(weights.remove(0)),
                _ => OneOrMany::Many(weights),
            },
            scheduler_sha256: config_sha256(model.scheduler_path())?,
            network_sha256: config_sha256(Some(model.config_path()))?,
        })
    }

    /// The weights in one word.
    pub(crate) fn weights(&self) -> &str {
        self.weights_sha256.all().first().map_or("", String::as_str)
    }
}

/// Keys of configurations that do not change a sample: names of classes and where the model comes from, versions, paths.
const BESIDE: [&str; 3] = ["_sfumato", "_diffusers_version", "_name_or_path"];

/// SHA-256 of a configuration as compact JSON with its keys in order, so that neither spaces nor the order of the file count, nor which
/// version of the program reads it; of a file that is not quite JSON, as a text. Of `null` where there is no file.
fn config_sha256(path: Option<&Path>) -> Result<String> {
    let mut json = Value::Null;
    if let Some(path) = path {
        let shown = || format!("cannot read {}", path.display());
        let text = read_text(path).with_context(shown)?;
        // Python writes `-Infinity` and `NaN`, which are no JSON: such a file is what its bytes are.
        json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if let Some(map) = json.as_object_mut() {
            map.retain(|key, _| !BESIDE.contains(&key.as_str()));
        }
        json.sort_all_objects();
    }
    Ok(bytes_sha256(&serde_json::to_vec(&json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_configuration_is_that_of_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let sum = |text: &str| {
            std::fs::write(&path, text).unwrap();
            config_sha256(Some(&path)).unwrap()
        };
        let plain = sum(r#"{"a":1,"b":{"c":2,"d":[3,4]}}"#);
        // printf '{"a":1,"b":{"c":2,"d":[3,4]}}' | sha256sum
        assert_eq!(plain, "d20de737209179d2edce447762ae912f3aa6fdf1afbc5d06064ec74f65e807e5");
        assert_eq!(plain, sum("{ \"b\": {\"d\": [3, 4], \"c\": 2},\n \"_diffusers_version\": \"1\", \"a\": 1 }"));
        assert_ne!(plain, sum(r#"{"a":1,"b":{"c":2,"d":[4,3]}}"#));
        let lambda = sum("{\"lambda_min_clipped\": -Infinity, \"a\": 1}");
        assert!(lambda != plain && lambda != sum("{\"lambda_min_clipped\": -Infinity, \"a\": 2}"));
        assert!(config_sha256(Some(&dir.path().join("none"))).is_err());
    }
}
