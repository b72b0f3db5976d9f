//! Inputs from the formula.

use super::formula::uniform;

/// Input of variance 1.
pub(crate) fn noise(name: &str, count: usize) -> Vec<f32> {
    uniform(name, count).map(|u| (3f64.sqrt() * u) as f32).collect()
}
