//! Samples against real pictures, every figure beside its floor.

use std::ops::ControlFlow;

use serde::Serialize;
use sfumato_data::{Dataset, Subset};

use crate::{
    distances::{
        Estimate, Manifolds, Nearest, class_distance, class_shares, copies, data_copying, frechet, kid, manifolds,
        nearest,
    },
    features::{FeatureError, Features, Seen, extract},
};

/// Real training pictures that samples are compared with, if nothing is said.
pub const REFERENCE: usize = 10_000;

/// The sets of pictures, all of one shape, `[channels, height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Sets<'a> {
    /// What a model has drawn.
    pub samples: &'a dyn Dataset,
    /// Real pictures that the model was not trained on.
    pub test: &'a dyn Dataset,
    /// Real pictures that it was trained on.
    pub train: &'a dyn Dataset,
}

/// How sets are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CompareOptions {
    /// Seed of the parts of the real pictures and of the bootstrap.
    pub seed: u64,
    /// Training pictures, a random part, that everything but copies is measured against; all if there are fewer.
    pub reference: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { seed: 0, reference: REFERENCE }
    }
}

/// A figure of the samples, and the same figure of real test pictures in their place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Of the samples.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Number of samples.
    pub n: usize,
    /// Of real test pictures: what a perfect model would have.
    pub floor: Estimate,
    /// Number of test pictures.
    pub floor_n: usize,
}

/// Every distance between samples and real pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distances {
    /// Name of the features.
    pub features: String,
    /// SHA-256 of their weights.
    pub features_sha256: String,
    /// Features of a picture.
    pub features_dims: usize,
    /// Training pictures that all but the last two figures are measured against.
    pub reference: usize,
    /// Training pictures that copies are looked for in.
    pub train: usize,
    /// Seed of the parts and of the bootstrap.
    pub seed: u64,
    /// Fréchet distance.
    pub frechet: Measured,
    /// Kernel distance.
    pub kid: Measured,
    /// Share of samples that look real.
    pub precision: Measured,
    /// Share of the data that the samples can make.
    pub recall: Measured,
    /// As precision, less led astray by outliers.
    pub density: Measured,
    /// As recall, less led astray by outliers.
    pub coverage: Measured,
    /// Total variation distance of the classes, if the features tell classes.
    pub class_distance: Option<Measured>,
    /// Share of each class among the samples and among the training pictures, if the features tell classes.
    pub class_shares: Option<[Vec<f64>; 2]>,
    /// Share of samples that are copies of one training picture.
    pub copies: Measured,
    /// `C_T`, where the sets are large enough for it; far below 0 means copies.
    pub data_copying: Option<Measured>,
}

/// Compares samples with real training pictures in `features`, and test pictures with the same ones: the floor.
///
/// As many test pictures are used as there are samples, or all if there are fewer. `observe` hears how many pictures of how many the
/// network has seen, and may stop the work.
///
/// # Errors
/// [`FeatureError`]: pictures that the features are not for, too few of them, values that are no numbers, or a stop.
pub fn compare(
    features: &dyn Features,
    sets: &Sets<'_>,
    options: &CompareOptions,
    observe: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Distances, FeatureError> {
    let count = sets.samples.len();
    let test = part(options.seed, sets.test.len(), count);
    let total = count + test.len() + sets.train.len();
    let mut done = 0;
    let mut hear = |more| {
        done += more;
        observe(done, total)
    };
    let mut see = |data: &dyn Dataset, places: &[usize]| extract(features, data, places, &mut hear);
    let every = |count| (0..count).collect::<Vec<_>>();
    let samples = see(sets.samples, &every(count))?;
    let test = see(sets.test, &test)?;
    let train = see(sets.train, &every(sets.train.len()))?;
    measure(features, &samples, &test, &train, options)
}

/// A random part of `num` of `count` pictures.
fn part(seed: u64, count: usize, num: usize) -> Vec<usize> {
    let subset = Subset::new(seed, count.max(1));
    (0..num.min(count)).map(|place| subset.index(place)).collect()
}

fn measure(
    features: &dyn Features,
    samples: &Seen,
    test: &Seen,
    train: &Seen,
    options: &CompareOptions,
) -> Result<Distances, FeatureError> {
    let reference = train.select(&part(options.seed, train.rows.len(), options.reference));
    let (n, floor_n) = (samples.rows.len(), test.rows.len());
    let beside = |[estimate, floor]: [Estimate; 2]| Measured { estimate, n, floor, floor_n };
    let frechet =
        [frechet(&samples.rows, &reference.rows, options.seed)?, frechet(&test.rows, &reference.rows, options.seed)?];
    let kid = [kid(&samples.rows, &reference.rows)?, kid(&test.rows, &reference.rows)?];
    let overlap = [manifolds(&reference.rows, &samples.rows)?, manifolds(&reference.rows, &test.rows)?];
    let overlap = |of: fn(&Manifolds) -> Estimate| beside([of(&overlap[0]), of(&overlap[1])]);
    let near = [nearest(&samples.rows, &train.rows)?, nearest(&test.rows, &train.rows)?];
    let classes = features.classes();
    Ok(Distances {
        features: features.name().to_owned(),
        features_sha256: features.sha256().to_owned(),
        features_dims: features.dims(),
        reference: reference.rows.len(),
        train: train.rows.len(),
        seed: options.seed,
        frechet: beside(frechet),
        kid: beside(kid),
        precision: overlap(|found| found.precision),
        recall: overlap(|found| found.recall),
        density: overlap(|found| found.density),
        coverage: overlap(|found| found.coverage),
        class_distance: classes.map(|classes| {
            beside([samples, test].map(|set| class_distance(&set.classes, &reference.classes, classes)))
        }),
        class_shares: classes.map(|classes| [samples, train].map(|set| class_shares(&set.classes, classes))),
        copies: beside([copies(&near[0]), copies(&near[1])]),
        data_copying: copying(samples, test, &near),
    })
}

/// `C_T` with the classes as cells. Its floor is that of the second half of the test pictures against the first.
fn copying(samples: &Seen, test: &Seen, [near, held_out]: &[Vec<Nearest>; 2]) -> Option<Measured> {
    let placed = |set: &Seen, near: &[Nearest]| -> Vec<(f64, usize)> {
        near.iter().enumerate().map(|(i, near)| (near.first, set.classes.get(i).copied().unwrap_or(0))).collect()
    };
    let (samples, test) = (placed(samples, near), placed(test, held_out));
    let (first, second) = test.split_at(test.len() / 2);
    let (estimate, floor) = (data_copying(&samples, &test)?, data_copying(second, first)?);
    Some(Measured { estimate, n: samples.len(), floor, floor_n: second.len() })
}
