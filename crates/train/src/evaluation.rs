//! How well a model predicts data: the variational bound over a data set.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sfumato_kernels::{Backend, KeptFilters};
use sfumato_nets::Network;
use sfumato_process::{
    Chain,
    bound::{self, Bound, BoundError, Examples, Plan, Progress},
};

use crate::data::Dataset;

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

/// What to score, and how.
#[derive(Clone, Debug)]
pub struct EvalPlan<'a> {
    /// The reverse chain.
    pub chain: Chain,
    /// Steps, noise and decoder.
    pub bound: Plan<'a>,
    /// What a class-conditional model is told.
    pub condition: Condition,
    /// Number of examples, from the first on; not more than the data set has.
    pub num: usize,
    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub batch_size: usize,
}

/// The bound of the model `net` over the first examples of `data`.
///
/// Memory beyond the data set itself does not grow with the number of examples.
///
/// # Errors
/// [`BoundError`]: as [`estimate`](fn@bound::estimate).
///
/// # Panics
/// If the network does not fit the data, or the labels are wanted of data that has none.
pub fn evaluate<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &EvalPlan<'_>,
    data: &Dataset,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Bound, BoundError> {
    let _kept = KeptFilters::new();
    let examples = First { data, num: plan.num.min(data.len()) };
    let label = |&i: &usize| data.label(i).expect("the plan asks for labels only where there are some");
    let predict = |x_t: Tensor<B, D>, t: &[usize], examples: &[usize]| {
        let classes: Option<Vec<usize>> = match plan.condition {
            Condition::None => None,
            Condition::Labels => Some(examples.iter().map(label).collect()),
            Condition::Null(class) => Some(vec![class; examples.len()]),
        };
        net.forward_at(x_t, t, classes.as_deref(), None)
    };
    bound::estimate::<B, D>(&plan.chain, &predict, &plan.bound, &examples, plan.batch_size, device, observe)
}

/// The first examples of a data set, as they are: nothing is mirrored.
struct First<'a> {
    data: &'a Dataset,
    num: usize,
}

impl Examples for First<'_> {
    fn len(&self) -> usize {
        self.num
    }

    fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        self.data.write_example(i, false, out);
    }
}
