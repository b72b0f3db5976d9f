//! How well a model predicts data: the variational bound over a data set.

use std::{
    cell::RefCell,
    ops::{ControlFlow, Range},
};

use sfumato_data::{Dataset, Subset};
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError};
use sfumato_process::{
    Chain,
    bound::{Bound, BoundError, ContinuousPlan, Decoder, Examples, Heard, Plan, Progress},
};

/// Which class a class-conditional model is told about an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The model knows none.
    None,
    /// The example's label: the bound is on `-log p(x | class)`.
    Labels,
    /// The class that stands for "any": the bound is on `-log p(x)`.
    Null(usize),
}

impl Condition {
    /// The classes of these examples, as the model is told them.
    pub(crate) fn classes(self, data: &dyn Dataset, examples: &[usize]) -> Option<Vec<usize>> {
        let label = |&i: &usize| data.label(i).expect("labels are asked for only where there are some");
        match self {
            Self::None => None,
            Self::Labels => Some(examples.iter().map(label).collect()),
            Self::Null(class) => Some(vec![class; examples.len()]),
        }
    }
}

/// Which examples are scored, where it is not all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A random part that depends on the seed alone: an unbiased sample of the whole, wherever the work stops.
    Random {
        /// The seed.
        seed: u64,
    },
    /// The first in the data set's own order.
    First,
}

/// How the bound is estimated.
#[derive(Clone, Debug)]
pub enum BoundPlan<'a> {
    /// As a sum over the steps of the chain.
    Steps(Plan<'a>),
    /// In continuous time, between the chain's first step and its last.
    Continuous(ContinuousPlan),
}

impl<'a> From<Plan<'a>> for BoundPlan<'a> {
    fn from(plan: Plan<'a>) -> Self {
        Self::Steps(plan)
    }
}

impl BoundPlan<'_> {
    /// `L_0`.
    pub fn decoder(&self) -> Decoder {
        match self {
            Self::Steps(plan) => plan.decoder,
            Self::Continuous(plan) => plan.decoder,
        }
    }

    /// Draws of noise for each example.
    pub fn draws(&self) -> usize {
        match self {
            Self::Steps(plan) => plan.draws,
            Self::Continuous(plan) => plan.draws,
        }
    }

    /// Seed of what is visited.
    pub fn seed(&self) -> u64 {
        match self {
            Self::Steps(plan) => plan.seed,
            Self::Continuous(plan) => plan.seed,
        }
    }

    /// Number of evaluations for one example.
    pub fn points_per_example(&self) -> usize {
        match self {
            Self::Steps(plan) => plan.points_per_example(),
            Self::Continuous(plan) => plan.points_per_example(),
        }
    }

    /// Whether both visit the same steps, or the same noise levels, of an example.
    pub fn visits_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Steps(a), Self::Steps(b)) => a.strata == b.strata,
            (Self::Continuous(a), Self::Continuous(b)) => {
                a.levels.ends() == b.levels.ends() && a.levels.len() == b.levels.len()
            }
            _ => false,
        }
    }
}

/// What to score, and how.
#[derive(Clone, Debug)]
pub struct EvalPlan<'a> {
    /// The reverse chain.
    pub chain: Chain,
    /// Steps or levels, noise and decoder.
    pub bound: BoundPlan<'a>,
    /// What a class-conditional model is told.
    pub condition: Condition,
    /// Number of examples, not more than the data set has.
    pub num: usize,
    /// Which they are; a data set of which a [part](Dataset::part) is in memory has been loaded in this order.
    pub order: Order,
    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub batch_size: usize,
}

/// The bound of `model` over examples of `data`; over those that are complete where `observe` breaks off.
///
/// An example's noise depends on its place in the data set, whichever others are scored. Beyond the data set itself three numbers are kept of each example.
///
/// # Errors
/// [`ModelError::Bound`]: as [`estimate`](fn@sfumato_process::bound::estimate) and
/// [`estimate_continuous`](fn@sfumato_process::bound::estimate_continuous).
///
/// # Panics
/// If the network does not fit the data, or the labels are wanted of data that has none.
pub fn evaluate<B: Backend>(
    model: &Model<B>,
    plan: &EvalPlan<'_>,
    data: &dyn Dataset,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, ModelError> {
    evaluate_some(model, plan, data, 0..count(plan.num, data), observe)
}

/// Number of examples, if `num` are asked for: what the data has at most.
pub(crate) fn count(num: usize, data: &dyn Dataset) -> usize {
    num.min(data.part().map_or(data.len(), <[usize]>::len))
}

/// As [`evaluate`] of the examples at these places in the plan's order.
pub(crate) fn evaluate_some<B: Backend>(
    model: &Model<B>,
    plan: &EvalPlan<'_>,
    data: &dyn Dataset,
    places: Range<usize>,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, ModelError> {
    bound_of(model, plan, data, &Part::of(data, plan.order, places), observe)
}

/// The terms of those examples, one after the other; of those that are complete where `observe` breaks off.
pub(crate) fn terms_of_some<B: Backend>(
    model: &Model<B>,
    plan: &EvalPlan<'_>,
    data: &dyn Dataset,
    places: Range<usize>,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Heard>, ModelError> {
    let examples = Part::of(data, plan.order, places).heard();
    match bound_of(model, plan, data, &examples, observe) {
        Ok(_) | Err(ModelError::Bound(BoundError::Stopped { .. })) => {}
        Err(error) => return Err(error),
    }
    Ok(examples.heard.map(RefCell::into_inner).unwrap_or_default())
}

fn bound_of<B: Backend>(
    model: &Model<B>,
    plan: &EvalPlan<'_>,
    data: &dyn Dataset,
    examples: &Part<'_>,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, ModelError> {
    let classes = |examples: &[usize]| plan.condition.classes(data, examples);
    match &plan.bound {
        BoundPlan::Steps(bound) => model.bound(&plan.chain, bound, examples, &classes, plan.batch_size, observe),
        BoundPlan::Continuous(bound) => {
            model.continuous_bound(&plan.chain, bound, examples, &classes, plan.batch_size, observe)
        }
    }
}

/// Examples of a data set, as they are: nothing is mirrored.
pub(crate) struct Part<'a> {
    data: &'a dyn Dataset,
    ids: Option<&'a [usize]>,
    subset: Option<Subset>,
    places: Range<usize>,
    /// Takes down the terms, where they are wanted.
    heard: Option<RefCell<Vec<Heard>>>,
}

impl<'a> Part<'a> {
    /// Those at `places` in `order`. A part in memory is in that order already, without what could not be read.
    pub(crate) fn of(data: &'a dyn Dataset, order: Order, places: Range<usize>) -> Self {
        let subset = match order {
            Order::Random { seed } => Some(Subset::new(seed, data.len())),
            Order::First => None,
        };
        Self { data, ids: data.part(), subset, places, heard: None }
    }

    /// The same, and the terms are taken down.
    fn heard(self) -> Self {
        Self { heard: Some(RefCell::default()), ..self }
    }
}

impl Examples for Part<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        self.data.write(self.id(i), out);
    }

    fn id(&self, i: usize) -> usize {
        let place = self.places.start + i;
        match (self.ids, self.subset) {
            (Some(ids), _) => ids[place],
            (None, Some(subset)) => subset.index(place),
            (None, None) => place,
        }
    }

    fn hear(&self, terms: &Heard) {
        if let Some(heard) = &self.heard {
            heard.borrow_mut().push(terms.clone());
        }
    }

    fn listens(&self) -> bool {
        self.heard.is_some()
    }
}
