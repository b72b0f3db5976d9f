//! From pictures to rows of features.

use std::ops::ControlFlow;

use sfumato_data::Dataset;
use sfumato_kernels::KeptFilters;

use crate::distances::{Rows, RowsError};

/// A network that sees features in pictures.
pub trait Features {
    /// What to call the features in results.
    fn name(&self) -> &str;

    /// SHA-256 of the file of weights, in hexadecimal.
    fn sha256(&self) -> &str;

    /// Features of a picture.
    fn dims(&self) -> usize;

    /// Number of classes that the network tells apart, if it says one for each picture.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// Pictures at a time.
    fn batch_size(&self) -> usize;

    /// Whether the network sees pictures of a shape, `[channels, height, width]`.
    ///
    /// # Errors
    /// [`FeatureError::Shape`].
    fn check(&self, shape: &[usize]) -> Result<(), FeatureError>;

    /// The features of pictures of `shape`, one after the other in `values` in [-1, 1], and their classes if it says any.
    fn see(&self, values: Vec<f32>, shape: [usize; 3]) -> (Vec<f32>, Vec<usize>);
}

/// Why pictures have no features.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// The network cannot see such pictures.
    #[error("the features `{features}` are for pictures of {wanted}, but these have the shape {found:?}; {way_out}")]
    Shape {
        /// The features' name.
        features: String,
        /// Which pictures it sees.
        wanted: &'static str,
        /// Shape of the pictures.
        found: Vec<usize>,
        /// What to do.
        way_out: &'static str,
    },
    /// Features that are no numbers.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The work was stopped on request.
    #[error("stopped before all pictures were seen")]
    Stopped,
}

/// What a network has seen in a set of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Features, a row for each picture.
    pub rows: Rows,
    /// Class of each picture; empty if the network says none.
    pub classes: Vec<usize>,
}

impl Seen {
    /// The pictures at `places`, in that order.
    pub fn select(&self, places: &[usize]) -> Self {
        let classes =
            if self.classes.is_empty() { Vec::new() } else { places.iter().map(|&i| self.classes[i]).collect() };
        Self { rows: self.rows.select(places.iter().copied()), classes }
    }
}

/// The features of the pictures at `places` of `data`, rounded to 256 levels as a file of pictures is. `observe` hears how many are done,
/// and may stop the work.
///
/// # Errors
/// [`FeatureError`]: pictures that the network cannot see, values that are no numbers, or a stop.
pub fn extract(
    features: &dyn Features,
    data: &dyn Dataset,
    places: &[usize],
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Seen, FeatureError> {
    features.check(data.shape())?;
    let shape = <[usize; 3]>::try_from(data.shape()).expect("the network sees no other shape");
    let (mut values, mut classes) = (Vec::with_capacity(places.len() * features.dims()), Vec::new());
    let _kept = KeptFilters::new();
    for places in places.chunks(features.batch_size()) {
        let mut pictures = vec![0.0; places.len() * data.example_len()];
        for (&i, picture) in places.iter().zip(pictures.chunks_exact_mut(data.example_len())) {
            data.write(i, picture);
        }
        pictures.iter_mut().for_each(|value| *value = rounded(*value));
        let (seen, said) = features.see(pictures, shape);
        values.extend(seen.into_iter().map(f64::from));
        classes.extend(said);
        if observe(places.len()).is_break() {
            return Err(FeatureError::Stopped);
        }
    }
    Ok(Seen { rows: Rows::new(features.dims(), values)?, classes })
}

/// To the nearest of 256 levels in [-1, 1]; what is no number stays none.
fn rounded(value: f32) -> f32 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0
}
