//! Distances between sets of pictures, in features of them.
//!
//! The functions of this module are pure mathematics in `f64` on [`Rows`]: one row of features for each picture. They know no network
//! and no file. [`compare`](crate::compare()) puts them together for a user.
//!
//! | function | what it measures |
//! | --- | --- |
//! | [`frechet`] | distance of the two Gaussians with the sets' means and covariances (Heusel et al. 2017) |
//! | [`kid`] | unbiased squared maximum mean discrepancy with a cubic kernel (Bińkowski et al. 2018) |
//! | [`manifolds`] | precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020) |
//! | [`class_distance`] | total variation distance of two histograms of classes |
//! | [`nearest`], [`copies`] | nearest neighbours, and the share of samples that are copies of one training picture |
//! | [`data_copying`] | `C_T`, the three-sample test of data-copying (Meehan et al. 2020) |
//!
//! Each result is an [`Estimate`] with a standard error. Nothing depends on the number of threads, and what is drawn at random depends on
//! a seed alone.
//!
//! # Example
//! ```
//! use sfumato_evaluate::distances::{Rows, frechet, kid};
//!
//! let values = |shift: f64| (0..200).map(|i| (f64::from(i) * 0.7).sin() + shift).collect::<Vec<f64>>();
//! let (a, b) = (Rows::new(2, values(0.0))?, Rows::new(2, values(1.0))?);
//! // The means differ by 1 in both dimensions, and the covariances are the same.
//! assert!((frechet(&a, &b, 0)?.value - 2.0).abs() < 1e-6);
//! assert!(kid(&a, &b)?.low > 0.0);
//! # Ok::<(), sfumato_evaluate::distances::RowsError>(())
//! ```

mod classes;
mod copying;
mod estimate;
mod frechet;
mod kernel;
mod manifold;
mod moments;
mod nearest;
mod rows;
mod tiles;

pub use classes::{class_distance, class_shares};
pub use copying::{CELL_LEAST, data_copying};
pub use estimate::Estimate;
pub use frechet::{frechet, frechet_value};
pub use kernel::kid;
pub use manifold::{Manifolds, NEIGHBOURS, manifolds};
pub use nearest::{COPY_RATIO, Nearest, copies, nearest};
pub use rows::{Rows, RowsError};
