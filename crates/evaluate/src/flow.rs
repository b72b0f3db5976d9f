//! How likely data is under a model, by its probability-flow ODE.

use std::ops::ControlFlow;

use sfumato_data::Dataset;
use sfumato_kernels::AutodiffBackend;
use sfumato_model::{Model, ModelError};
use sfumato_process::{
    Chain,
    flow::{FlowLikelihood, FlowPlan, FlowProgress},
};

use crate::{
    Condition, Order,
    bound::{Part, count},
};

/// What to score by the flow, and how.
#[derive(Clone, Debug)]
pub struct FlowEval {
    /// The chain, with all its steps: the flow is that of its schedule.
    pub chain: Chain,
    /// Start, probes and solver.
    pub flow: FlowPlan,
    /// What a class-conditional model is told.
    pub condition: Condition,
    /// Number of examples, not more than the data set has.
    pub num: usize,
    /// Which they are.
    pub order: Order,
    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub batch_size: usize,
}

/// The negative log-likelihood of `model` over examples of `data`, the same as [`evaluate`](crate::evaluate) scores; over the first of those
/// that are complete where `observe` breaks off.
///
/// An example's noise and probes depend on its place in the data set, whichever others are scored.
///
/// # Errors
/// [`ModelError::Flow`]: as [`estimate_flow`](sfumato_process::flow::estimate_flow).
///
/// # Panics
/// If the network does not fit the data, or the labels are wanted of data that has none.
pub fn flow<A: AutodiffBackend>(
    model: &Model<A>,
    plan: &FlowEval,
    data: &dyn Dataset,
    observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
) -> Result<FlowLikelihood, ModelError> {
    let examples = Part::of(data, plan.order, 0..count(plan.num, data));
    let classes = |examples: &[usize]| plan.condition.classes(data, examples);
    model.flow(&plan.chain, &plan.flow, &examples, &classes, plan.batch_size, observe)
}
