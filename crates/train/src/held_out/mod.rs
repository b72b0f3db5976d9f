//! How good a model is while it is trained: scores of examples that it is not trained on, and of as many that it is.
//!
//! Both are scored with the same noise each time, so that a score differs from the one before by what the model has learned.

mod best;
mod score;

pub(crate) use best::{FILE, Measured, MeasuredOn, best, read};
pub use score::Score;
pub(crate) use score::Scorer;
