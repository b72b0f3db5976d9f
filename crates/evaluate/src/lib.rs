//! How good a model is: the variational bound over a data set.
#![forbid(unsafe_code)]

mod bound;

pub use bound::{Condition, EvalPlan, Order, evaluate};
