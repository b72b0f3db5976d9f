//! How good a model is: the variational bound over a data set, alone or against another model's, the likelihood by the model's flow, its regret by noise
//! level, and distances between sets of pictures.
#![forbid(unsafe_code)]

mod bound;
mod compare;
pub mod distances;
pub mod features;
mod fit;
mod flow;
pub mod inception;
mod paired;
pub mod regret;
mod samples;
mod student;
mod terms;
mod turns;

pub use bound::{BoundPlan, Condition, EvalPlan, Order, evaluate};
pub use compare::{CompareOptions, Distances, Measured, REFERENCE, Sets, compare};
pub use fit::{FitPlan, fit};
pub use flow::{FlowEval, flow};
pub use paired::{Paired, PairedBound, Side, Verdict};
pub use samples::SampleSet;
pub use terms::{evaluate_part, gathered};
pub use turns::{Contender, PairError, PairProgress, evaluate_pair};
