//! An average of any width, made after the run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sfumato_model::tensor_file::{NamedTensor, TensorFileError, read_tensors};
use thiserror::Error;

use super::{
    kept::{FILE, name, snapshots},
    profile::{Combination, NARROWEST, Profile, WIDEST, combine, exponent},
};
use crate::{TrainConfig, TrainError, TrainState};

/// Why there is no such average.
#[derive(Debug, Error)]
pub enum AverageError {
    /// A width that no average has.
    #[error("an average has a width from {NARROWEST} to {WIDEST} of its run (found {0})")]
    Width(f64),
    /// The run has kept none.
    #[error(
        "{path} has no averages to make others of. They are kept from the first step of runs that are trained with --set \
         averages.widths=[0.05,0.1]",
        path = .0.display()
    )]
    NoneKept(PathBuf),
    /// Averages of another model, or a damaged file.
    #[error("{path}: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of averages cannot be read.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] TrainError),
}

/// Weights averaged over a part of a run that is chosen after it: a least-squares combination of the power-function averages that the run
/// has kept (Karras et al. (2024), arXiv:2312.02696, Section 3.2).
#[derive(Clone, Debug)]
pub struct Average {
    /// Its width: the standard deviation of the steps that it is made of, over the number of steps.
    pub width: f64,
    /// The step that it was taken after.
    pub step: u64,
    /// How many kept averages it is made of.
    pub kept: usize,
    /// How far the shares of the steps are from those of the true average: the norm of the difference over the norm.
    pub error: f64,
    /// The weights, by their names.
    pub weights: Vec<NamedTensor>,
}

/// One average that was kept.
struct Kept {
    profile: Profile,
    width: f64,
    file: PathBuf,
}

impl Average {
    /// The average of `width` as of `checkpoint`, a directory with `training/`, of those averages and of the ones in the folder `averages`
    /// of its run, which need not be there.
    ///
    /// # Errors
    /// [`AverageError`].
    pub fn new(checkpoint: &Path, averages: &Path, width: f64) -> Result<Self, AverageError> {
        if !(NARROWEST..=WIDEST).contains(&width) {
            return Err(AverageError::Width(width));
        }
        let step = TrainState::read(checkpoint)?.step;
        let config = TrainConfig::read(&checkpoint.join("training/config.toml"))?;
        if config.averages.widths.is_empty() || !checkpoint.join(FILE).is_file() || step == 0 {
            return Err(AverageError::NoneKept(checkpoint.to_path_buf()));
        }
        let mut files = snapshots(averages)?;
        files.retain(|(taken, _)| (1..step).contains(taken));
        files.push((step, checkpoint.join(FILE)));
        let mut kept = Vec::new();
        for (step, file) in files {
            kept.extend(config.averages.widths.iter().map(|&width| {
                let profile = Profile { exponent: exponent(width), step };
                Kept { profile, width, file: file.clone() }
            }));
        }
        let wanted = Profile { exponent: exponent(width), step };
        // One that was kept itself is taken as it is.
        if let Some(same) = kept.iter().position(|kept| kept.profile == wanted) {
            kept = vec![kept.swap_remove(same)];
        }
        let profiles: Vec<Profile> = kept.iter().map(|kept| kept.profile).collect();
        let Combination { factors, error } = if profiles == [wanted] {
            Combination { factors: vec![1.0], error: 0.0 }
        } else {
            combine(&profiles, wanted)
        };
        Ok(Self { width, step, kept: kept.len(), error, weights: weights(&kept, &factors)? })
    }
}

/// What a tensor comes to, and how many averages it is made of so far.
struct Sum {
    shape: Vec<usize>,
    values: Vec<f64>,
    terms: usize,
}

impl Sum {
    fn new(tensor: &NamedTensor) -> Self {
        Self { shape: tensor.shape.clone(), values: vec![0.0; tensor.values.len()], terms: 0 }
    }
}

/// The sum of the kept averages, each times its factor.
fn weights(kept: &[Kept], factors: &[f64]) -> Result<Vec<NamedTensor>, AverageError> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let mut seen = 0;
    let mut terms: BTreeMap<&Path, Vec<(f64, f64)>> = BTreeMap::new();
    for (kept, &factor) in kept.iter().zip(factors) {
        terms.entry(&kept.file).or_default().push((kept.width, factor));
    }
    for (path, terms) in terms {
        let damaged = |reason| Err(AverageError::Damaged { path: path.to_path_buf(), reason });
        // A width has one dot, so that no width with a dot behind it begins another.
        for tensor in read_tensors(path)? {
            let found = terms
                .iter()
                .find_map(|&(width, factor)| Some((factor, tensor.name.strip_prefix(&name(width, ""))?.to_owned())));
            let Some((factor, name)) = found else { continue };
            let sum = sums.entry(name).or_insert_with(|| Sum::new(&tensor));
            if sum.shape != tensor.shape {
                return damaged(format!("{} has the shape {:?}, elsewhere {:?}", tensor.name, tensor.shape, sum.shape));
            }
            sum.terms += 1;
            sum.values.iter_mut().zip(&tensor.values).for_each(|(sum, &value)| *sum += factor * f64::from(value));
        }
        seen += terms.len();
        if let Some((name, sum)) = sums.iter().find(|(_, sum)| sum.terms != seen) {
            return damaged(format!("its averages of {name} are {}, expected {seen} with those before it", sum.terms));
        }
    }
    let rounded = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Ok(sums
        .into_iter()
        .map(|(name, sum)| NamedTensor { name, shape: sum.shape, values: rounded(sum.values) })
        .collect())
}
