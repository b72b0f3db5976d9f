//! Averages of the weights that are kept while training, and any other average made of them afterwards.
//!
//! ```text
//! runs/NAME/averages/step-0000200.safetensors                            after step 200: WIDTH.PARAMETER for each width
//! runs/NAME/checkpoints/step-0001000/training/averages.safetensors       the same, as far as the checkpoint is
//! ```

mod average;
mod kept;
mod profile;

pub use average::{Average, AverageError};
pub(crate) use kept::{FILE, snapshot, start, write};
pub(crate) use profile::{NARROWEST, WIDEST, exponent};

/// The exponents of averages with these widths.
pub(crate) fn exponents(widths: &[f64]) -> Vec<f64> {
    widths.iter().map(|&width| exponent(width)).collect()
}
