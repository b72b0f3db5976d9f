//! How good a model is: the variational bound over a data set, its regret by noise level, and distances between sets of pictures.
#![forbid(unsafe_code)]

mod bound;
mod compare;
pub mod distances;
pub mod features;
pub mod inception;
pub mod regret;
mod samples;

pub use bound::{Condition, EvalPlan, Order, evaluate};
pub use compare::{CompareOptions, Distances, Measured, REFERENCE, Sets, compare};
pub use samples::SampleSet;
