//! Parameters that describe no distribution.

/// Why there is no such Gaussian or mixture.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A distribution over nothing.
    #[error("at least one dimension is needed")]
    NoDimensions,
    /// A mean with NaN or infinity.
    #[error("coordinates of a mean must be finite, but coordinate {index} is {value}")]
    MeanNotFinite {
        /// Coordinate, from 0.
        index: usize,
        /// The value given.
        value: f64,
    },
    /// A variance along a principal axis that is not positive: the distribution has no density.
    #[error("variances must be positive and finite, but that along axis {axis} is {variance}")]
    VarianceOutOfRange {
        /// Axis, from 0; for a full covariance an eigenvector.
        axis: usize,
        /// The variance along it.
        variance: f64,
    },
    /// Lists of different lengths.
    #[error("{expected} numbers are needed, one for each dimension (each pair, for a covariance), {found} were given")]
    Length {
        /// Numbers that the dimension asks for.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A covariance that is not symmetric.
    #[error("a covariance must be symmetric, but entry ({row}, {column}) is not entry ({column}, {row})")]
    NotSymmetric {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
    },
    /// A mixture without components.
    #[error("a mixture needs at least one component")]
    NoComponents,
    /// A weight that is not positive and finite.
    #[error("weights must be positive and finite, but that of component {component} is {weight}")]
    WeightOutOfRange {
        /// Component, from 0.
        component: usize,
        /// Its weight.
        weight: f64,
    },
    /// Components of different dimensions.
    #[error("component {component} has {found} dimensions, but the first has {expected}")]
    Dimensions {
        /// Component, from 0.
        component: usize,
        /// Dimensions of the first.
        expected: usize,
        /// Dimensions of this one.
        found: usize,
    },
}
