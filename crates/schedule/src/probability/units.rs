//! From nats to bits: the only place where the unit of information changes.

use std::f64::consts::LN_2;

/// The same amount of information in bits.
///
/// # Formula
/// `bits = nats / ln 2`
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::nats_to_bits;
///
/// assert_eq!(nats_to_bits(256_f64.ln()), 8.0);
/// ```
pub fn nats_to_bits(nats: f64) -> f64 {
    nats / LN_2
}

/// Information about a vector of `dimensions` numbers, in nats, as bits per number: the unit in which likelihoods of images
/// are compared (Theis et al. 2016, arXiv:1511.01844).
///
/// # Formula
/// `nats / (dimensions ln 2)`; infinite or not a number for 0 dimensions.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::bits_per_dim;
///
/// // A uniform guess among 256 levels costs 8 bits for each of the 784 pixels.
/// assert!((bits_per_dim(784.0 * 256_f64.ln(), 784) - 8.0).abs() < 1e-12);
/// ```
pub fn bits_per_dim(nats: f64, dimensions: usize) -> f64 {
    nats_to_bits(nats) / dimensions as f64
}
