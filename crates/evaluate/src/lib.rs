//! How good a model is: the variational bound over a data set, and distances between sets of pictures.
#![forbid(unsafe_code)]

mod bound;
mod compare;
pub mod distances;
pub mod features;
pub mod inception;
mod samples;

pub use bound::{Condition, EvalPlan, Order, evaluate};
pub use compare::{CompareOptions, Distances, Measured, REFERENCE, Sets, compare};
pub use samples::SampleSet;
