//! Features of a set of pictures.

use nalgebra::DMatrixView;

/// Features: a row of `dims` numbers for each picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    dims: usize,
    values: Vec<f64>,
}

/// Features that a distance cannot be computed from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// The values are not whole rows.
    #[error("{values} values are no rows of {dims} features")]
    Ragged {
        /// How many there are.
        values: usize,
        /// Features of a row.
        dims: usize,
    },
    /// A value is infinite or not a number.
    #[error("feature {feature} of row {row} is not finite: look for pictures with values that are no numbers")]
    NotFinite {
        /// Index of the picture, from 0.
        row: usize,
        /// Index of the feature, from 0.
        feature: usize,
    },
    /// Two sets have features of different length.
    #[error("one set has {a} features a picture and the other {b}: they come from different networks")]
    Dims {
        /// Features of the first set.
        a: usize,
        /// Features of the second.
        b: usize,
    },
    /// A set is too small.
    #[error("a set of {found} pictures is too small: at least {least} are needed")]
    TooFew {
        /// Pictures of the set.
        found: usize,
        /// Pictures that are needed.
        least: usize,
    },
}

impl Rows {
    /// Rows of `dims` features each, one after the other in `values`.
    ///
    /// # Errors
    /// [`RowsError::Ragged`], [`RowsError::NotFinite`].
    pub fn new(dims: usize, values: Vec<f64>) -> Result<Self, RowsError> {
        if dims == 0 || !values.len().is_multiple_of(dims) {
            return Err(RowsError::Ragged { values: values.len(), dims });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(RowsError::NotFinite { row: at / dims, feature: at % dims });
        }
        Ok(Self { dims, values })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Features of a row.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Row `i`, from 0.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.dims..(i + 1) * self.dims]
    }

    /// The rows at `places`, in that order.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn select(&self, places: impl IntoIterator<Item = usize>) -> Self {
        let values = places.into_iter().flat_map(|i| self.row(i).iter().copied()).collect();
        Self { dims: self.dims, values }
    }

    /// Rows `first..first + count` as the columns of a matrix.
    pub(super) fn columns(&self, first: usize, count: usize) -> DMatrixView<'_, f64> {
        DMatrixView::from_slice(&self.values[first * self.dims..(first + count) * self.dims], self.dims, count)
    }

    /// `|row|²` of every row.
    pub(super) fn squares(&self) -> Vec<f64> {
        self.values.chunks_exact(self.dims).map(|row| row.iter().map(|x| x * x).sum()).collect()
    }
}

/// Whether two sets can be compared, with at least `least` rows in each.
pub(super) fn check(a: &Rows, b: &Rows, least: usize) -> Result<(), RowsError> {
    if a.dims != b.dims {
        return Err(RowsError::Dims { a: a.dims, b: b.dims });
    }
    match a.len().min(b.len()) {
        found if found < least => Err(RowsError::TooFew { found, least }),
        _ => Ok(()),
    }
}
