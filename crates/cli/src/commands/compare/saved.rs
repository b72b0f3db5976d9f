//! What `eval --json` wrote about one model, as far as a comparison needs it.

use std::{collections::HashSet, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sfumato_process::bound::{Decoder, ExampleTerms};
use sfumato_schedule::probability::LikelihoodCdf;

/// Longest file that is read: the terms of millions of examples.
const LONGEST: u64 = 512 << 20;

/// Keys that are results of eval itself, or told once for both models.
const RESULTS: [&str; 10] =
    ["terms", "levels", "each", "total", "prior", "diffusion", "decoder_term", "distances", "evaluations", "seconds"];

/// One model's score, with every example's terms.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    pub(super) model: String,
    pub(super) class: String,
    pub(super) weights_sha256: Option<String>,
    pub(super) dataset: String,
    pub(super) split: String,
    pub(super) dataset_sha256: String,
    pub(super) shape: Vec<usize>,
    pub(super) dimensions: usize,
    pub(super) examples_in_split: u64,
    /// `{"random": seed}` or `"first"`.
    pub(super) order: Value,
    decoder: SavedDecoder,
    pub(super) condition: Value,
    pub(super) steps: SavedSteps,
    pub(super) parameterization: String,
    pub(super) variance: String,
    pub(super) strata: Vec<[usize; 2]>,
    /// In continuous time the log-SNRs between which the strata lie.
    #[serde(default)]
    pub(super) level_strata: Option<Vec<[f64; 2]>>,
    pub(super) draws: usize,
    pub(super) seed: u64,
    pub(super) noise: Option<String>,
    each: Columns,
    environment: Environment,
    /// All that describes the model and how it was scored, as it stands in the file.
    #[serde(skip)]
    pub(super) described: Value,
}

/// How many steps, as it is written.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum SavedSteps {
    Count(usize),
    Continuous(Continuous),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Continuous {
    Continuous,
}

/// `L_0`, as it is written.
#[derive(Debug, Deserialize)]
struct SavedDecoder {
    kind: String,
    cdf: Option<LikelihoodCdf>,
}

#[derive(Debug, Deserialize)]
struct Columns {
    example: Vec<usize>,
    prior: Vec<f64>,
    diffusion: Vec<f64>,
    decoder_term: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Environment {
    version: String,
    revision: String,
}

impl Saved {
    /// Whether it is a bound in continuous time.
    pub(super) fn is_continuous(&self) -> bool {
        matches!(self.steps, SavedSteps::Continuous(_))
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = sfumato_files::read_bytes(path, LONGEST).with_context(|| format!("cannot read {shown}"))?;
        let value: Value = serde_json::from_slice(&bytes).with_context(|| format!("{shown} is no JSON"))?;
        let mut saved = Self::deserialize(&value).with_context(|| {
            format!(
                "{shown} is no result of `sfumato eval --json` with the terms of each example; score the model again"
            )
        })?;
        saved.check().with_context(|| format!("{shown} is damaged"))?;
        saved.described = describe(value, path);
        Ok(saved)
    }

    fn check(&self) -> Result<()> {
        let Columns { example, prior, diffusion, decoder_term } = &self.each;
        let lengths = [prior, diffusion, decoder_term].map(Vec::len);
        ensure!(!example.is_empty(), "it has no examples");
        ensure!(
            lengths.iter().all(|&length| length == example.len()),
            "it names {} examples, and has {lengths:?} terms of them",
            example.len()
        );
        let mut seen = HashSet::new();
        if let Some(twice) = example.iter().find(|&example| !seen.insert(example)) {
            bail!("example {twice} is there twice");
        }
        let dimensions: usize = self.shape.iter().product();
        ensure!(
            dimensions == self.dimensions && dimensions > 0,
            "examples of shape {:?} do not have {} dimensions",
            self.shape,
            self.dimensions
        );
        self.decoder().map(drop)
    }

    /// What `L_0` is.
    pub(super) fn decoder(&self) -> Result<Decoder> {
        match (self.decoder.kind.as_str(), self.decoder.cdf) {
            ("gaussian", None) => Ok(Decoder::Gaussian),
            ("discretized", Some(cdf)) => Ok(Decoder::Discretized(cdf)),
            (kind, _) => bail!("the decoder {kind:?} is not known"),
        }
    }

    /// The places of the examples in the data, in the order in which they were scored.
    pub(super) fn examples(&self) -> &[usize] {
        &self.each.example
    }

    /// The terms of the first so many examples.
    pub(super) fn terms(&self, count: usize) -> Vec<ExampleTerms> {
        let Columns { example, prior, diffusion, decoder_term } = &self.each;
        let term = |i| ExampleTerms {
            example: example[i],
            prior: prior[i],
            diffusion: diffusion[i],
            decoder: decoder_term[i],
        };
        (0..count).map(term).collect()
    }

    /// The program that computed it.
    pub(super) fn program(&self) -> String {
        format!("{} ({})", self.environment.version, self.environment.revision)
    }
}

/// What is said of the model and of how it was scored, without the scores.
fn describe(mut value: Value, path: &Path) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !RESULTS.contains(&key.as_str()));
        object.insert("file".to_owned(), path.display().to_string().into());
    }
    value
}
