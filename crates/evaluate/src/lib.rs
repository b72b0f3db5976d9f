//! How good a model is: the variational bound over a data set, and distances between sets of pictures.
#![forbid(unsafe_code)]

mod bound;
pub mod distances;

pub use bound::{Condition, EvalPlan, Order, evaluate};
