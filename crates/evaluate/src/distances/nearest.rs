//! Nearest neighbours in the training set, and samples that are copies.

use super::{
    Estimate, Rows, RowsError,
    rows::check,
    tiles::{bands, squared_distance},
};

/// A sample counts as a copy if its nearest training picture is nearer than this part of the distance to the second nearest.
///
/// The third is that of Yoon et al. (2023), "Diffusion Probabilistic Models Generalize when They Fail to Memorize".
pub const COPY_RATIO: f64 = 1.0 / 3.0;

/// Below this part of `|a|² + |b|²` a squared distance is rounding: the pictures are the same.
const ROUNDING: f64 = 1e-10;

/// The two nearest neighbours of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Index of the nearest, from 0.
    pub index: usize,
    /// Distance to the nearest; 0 for the same picture.
    pub first: f64,
    /// Distance to the second nearest.
    pub second: f64,
}

impl Nearest {
    /// `first / second`; 0 for a copy, even where there are several of the original.
    pub fn ratio(&self) -> f64 {
        if self.first == 0.0 { 0.0 } else { self.first / self.second }
    }
}

/// The two nearest rows of `train` for each row of `samples`, by Euclidean distance.
///
/// # Errors
/// [`RowsError`] if `train` has fewer than two rows, `samples` none, or the features differ in number.
pub fn nearest(samples: &Rows, train: &Rows) -> Result<Vec<Nearest>, RowsError> {
    check(samples, samples, 1)?;
    check(train, train, 2)?;
    check(samples, train, 1)?;
    let (own, others) = (samples.squares(), train.squares());
    let unknown = Nearest { index: 0, first: f64::INFINITY, second: f64::INFINITY };
    let found = bands(
        samples,
        train,
        |rows| vec![unknown; rows.len()],
        |found, tile| {
            for ((i, products), found) in tile.each().zip(found) {
                for (j, &product) in tile.columns.clone().zip(products) {
                    let squared = squared_distance(own[i], others[j], product);
                    if squared < found.second {
                        let same = squared <= ROUNDING * (own[i] + others[j]);
                        insert(found, j, if same { 0.0 } else { squared });
                    }
                }
            }
        },
    );
    let root = |nearest: Nearest| Nearest { first: nearest.first.sqrt(), second: nearest.second.sqrt(), ..nearest };
    Ok(found.concat().into_iter().map(root).collect())
}

fn insert(nearest: &mut Nearest, index: usize, squared: f64) {
    if squared < nearest.first {
        *nearest = Nearest { index, first: squared, second: nearest.first };
    } else {
        nearest.second = squared;
    }
}

/// The share of copies: of samples whose nearest neighbour is nearer than [`COPY_RATIO`] of the distance to the second nearest. The standard
/// error is the binomial one, and the interval is Wilson's.
///
/// # Panics
/// If there are none.
pub fn copies(nearest: &[Nearest]) -> Estimate {
    assert!(!nearest.is_empty(), "a share of no samples");
    let found = nearest.iter().filter(|nearest| nearest.ratio() < COPY_RATIO).count();
    Estimate::share(found as f64 / nearest.len() as f64, nearest.len())
}
