//! What an experiment found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::figure::{Amount, Comparison, Figure};
use super::kept;
use super::scores::{Estimate, Scores};
use crate::checksum::sha256;

/// What an experiment found, and what it depended on.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) list: Vec<Figure>,
    /// Seeds by what they are the seed of.
    pub(super) seeds: BTreeMap<String, u64>,
    pub(super) checksums: Vec<Checksum>,
    /// Names and versions of what else took part.
    pub(super) tools: BTreeMap<String, String>,
    pub(super) pictures: Vec<Picture>,
}

/// A SHA-256 of something that the figures depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) sha256: String,
}

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Trained weights: other machines round differently, so that these may be others.
    Weights,
    /// What was there before, and must be the same.
    Given,
}

/// A picture that belongs into a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Its file in `docs/images`.
    pub(super) file: String,
    /// What it shows.
    pub(super) about: String,
    /// Where it was made; empty in what is kept.
    pub(super) made: PathBuf,
}

impl Figures {
    /// A place for figures: a row of a table.
    pub(super) fn at<'a>(&'a mut self, table: &'a str, row: &'a str) -> Row<'a> {
        Row { figures: self, table, row }
    }

    pub(super) fn seed(&mut self, of: &str, seed: u64) {
        self.seeds.insert(of.to_owned(), seed);
    }

    pub(super) fn tool(&mut self, name: &str, version: &str) {
        self.tools.insert(name.to_owned(), version.to_owned());
    }

    pub(super) fn picture(&mut self, file: &str, about: &str, made: PathBuf) {
        self.pictures.push(Picture { file: file.to_owned(), about: about.to_owned(), made });
    }

    pub(super) fn checksum(&mut self, kind: Kind, name: &str, sha256: &str) {
        if !self.checksums.iter().any(|checksum| checksum.name == name) {
            self.checksums.push(Checksum { name: name.to_owned(), kind, sha256: sha256.to_owned() });
        }
    }

    /// Takes down the checksum of a file.
    pub(super) fn checksum_of(&mut self, kind: Kind, name: &str, path: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.checksum(kind, name, &sha256(&bytes));
        Ok(())
    }

    /// Takes down what a result of `sfumato eval` depended on, where `model` names its weights.
    pub(super) fn depends_on(&mut self, scores: &Scores, model: &str) {
        let known = [
            ("/weights_sha256", Kind::Weights, format!("weights of {model}")),
            ("/dataset_sha256", Kind::Given, "scored data".to_owned()),
            ("/distances/features_sha256", Kind::Given, "features".to_owned()),
            ("/distances/test_sha256", Kind::Given, "test pictures of the distances".to_owned()),
            ("/distances/train_sha256", Kind::Given, "training pictures of the distances".to_owned()),
            ("/regret/train_sha256", Kind::Given, "training pictures of the regret".to_owned()),
        ];
        for (pointer, kind, name) in known {
            if let Ok(sha256) = scores.text(pointer) {
                self.checksum(kind, &name, sha256);
            }
        }
        for (pointer, name) in [("/seed", "bound"), ("/distances/seed", "distances"), ("/regret/seed", "regret")] {
            if let Ok(seed) = scores.number(pointer) {
                self.seed(name, seed as u64);
            }
        }
    }
}

/// A row of a table that is being filled.
pub(super) struct Row<'a> {
    figures: &'a mut Figures,
    table: &'a str,
    row: &'a str,
}

impl Row<'_> {
    fn put(&mut self, column: &str, unit: &str, amount: Amount, comparison: Comparison) -> &mut Self {
        let (table, row) = (self.table.to_owned(), self.row.to_owned());
        let (column, unit) = (column.to_owned(), unit.to_owned());
        self.figures.list.push(Figure { table, row, column, unit, amount, comparison });
        self
    }

    /// An estimate with its standard error.
    pub(super) fn interval(&mut self, column: &str, unit: &str, estimate: Estimate) -> &mut Self {
        let Estimate { value, standard_error } = estimate;
        self.put(column, unit, Amount::Number(value), Comparison::Interval(standard_error))
    }

    /// A number that may be off by so much.
    pub(super) fn tolerance(&mut self, column: &str, unit: &str, value: f64, tolerance: f64) -> &mut Self {
        self.put(column, unit, Amount::Number(value), Comparison::Tolerance(tolerance))
    }

    /// A number that must be the same.
    pub(super) fn exact(&mut self, column: &str, unit: &str, value: f64) -> &mut Self {
        self.put(column, unit, Amount::Number(value), Comparison::Exact)
    }

    /// A word that must be the same.
    pub(super) fn word(&mut self, column: &str, value: &str) -> &mut Self {
        self.put(column, "", Amount::Text(value.to_owned()), Comparison::Exact)
    }

    /// Whether something holds.
    pub(super) fn holds(&mut self, column: &str, value: bool) -> &mut Self {
        self.word(column, if value { "yes" } else { "no" })
    }

    /// A number that is shown and never compared.
    pub(super) fn ratio(&mut self, column: &str, unit: &str, value: f64) -> &mut Self {
        self.put(column, unit, Amount::Number(value), Comparison::Ratio)
    }

    /// A time, or what depends on one: shown and never compared.
    pub(super) fn time(&mut self, column: &str, unit: &str, value: f64) -> &mut Self {
        self.put(column, unit, Amount::Number(value), Comparison::Time)
    }
}

impl Checksum {
    pub(super) fn json(&self) -> Value {
        let kind = if self.kind == Kind::Weights { "weights" } else { "given" };
        json!({ "name": self.name, "kind": kind, "sha256": self.sha256 })
    }

    pub(super) fn of(json: &Value) -> anyhow::Result<Self> {
        let kind = match kept::text(json, "kind")?.as_str() {
            "weights" => Kind::Weights,
            "given" => Kind::Given,
            other => anyhow::bail!("`kind` is `{other}`, expected weights or given"),
        };
        Ok(Self { name: kept::text(json, "name")?, kind, sha256: kept::text(json, "sha256")? })
    }
}

impl Picture {
    pub(super) fn json(&self) -> Value {
        json!({ "file": self.file, "about": self.about })
    }

    pub(super) fn of(json: &Value) -> anyhow::Result<Self> {
        let (file, about) = (kept::text(json, "file")?, kept::text(json, "about")?);
        Ok(Self { file, about, made: PathBuf::new() })
    }
}
