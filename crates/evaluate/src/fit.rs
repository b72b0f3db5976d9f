//! The pass over data that a model is fitted by.

use std::ops::ControlFlow;

use sfumato_data::Dataset;
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError};
use sfumato_process::{
    bound::Progress,
    fit::{MeasurePlan, Measured},
};

use crate::{
    Condition, Order,
    bound::{Part, count},
};

/// What a model is fitted on, and how.
#[derive(Clone, Debug)]
pub struct FitPlan<'a> {
    /// Steps, noise and decoder.
    pub measure: MeasurePlan<'a>,
    /// What a class-conditional model is told.
    pub condition: Condition,
    /// Number of examples; of the data at most.
    pub num: usize,
    /// Which they are: a random part that depends on this seed alone.
    pub seed: u64,
    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub batch_size: usize,
}

/// Measures `model` on examples of `data`; on those that are complete where `observe` breaks off.
///
/// The data should be what the model was trained on, or other data of the kind, but not what it is scored on afterwards.
///
/// # Errors
/// [`ModelError`] as [`Model::measure`].
///
/// # Panics
/// If the network does not fit the data, or the labels are wanted of data that has none.
pub fn fit<B: Backend>(
    model: &Model<B>,
    plan: &FitPlan<'_>,
    data: &dyn Dataset,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Measured, ModelError> {
    let examples = Part::of(data, Order::Random { seed: plan.seed }, 0..count(plan.num, data));
    let classes = |examples: &[usize]| plan.condition.classes(data, examples);
    model.measure(&plan.measure, &examples, &classes, plan.batch_size, observe)
}
