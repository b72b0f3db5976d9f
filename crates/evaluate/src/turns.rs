//! Two models on the same examples, in turns: wherever the work stops, both have scored the first of them.

use std::ops::{ControlFlow, Range};

use sfumato_data::Dataset;
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError};
use sfumato_process::bound::{BoundError, ExampleTerms, Mean, Moments, Progress};

use crate::{
    EvalPlan, Side,
    bound::{count, evaluate_some},
};

/// Examples of a turn at least: a model that has its turn transforms its filters anew.
const TURN: usize = 32;

/// A model, how it is scored, and the data as it knows it.
#[derive(Debug)]
pub struct Contender<'a, B: Backend> {
    /// The model.
    pub model: &'a Model<B>,
    /// What is scored, and how.
    pub plan: &'a EvalPlan<'a>,
    /// The data, with classes numbered as the model's.
    pub data: &'a dyn Dataset,
}

/// How far both models are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairProgress {
    /// Examples that both have scored.
    pub pairs: usize,
    /// Evaluations of either network so far.
    pub evaluations: u64,
    /// Evaluations in all.
    pub total: u64,
    /// The difference of the bounds over these pairs, second minus first, in nats; none before the first.
    pub difference: Option<Mean>,
}

/// Why two models have no scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// One of them cannot be scored.
    #[error("model {side} cannot be scored")]
    Model {
        /// Which.
        side: Side,
        /// Why.
        #[source]
        error: ModelError,
    },
    /// Stopped by the observer.
    #[error("stopped before both models had scored an example")]
    Stopped,
}

/// The terms of both models for the same examples, in the same order: all that the plans ask for, or those that both have done where
/// `observe` breaks off.
///
/// The models take turns of some dozen examples, a whole number of batches: the terms are those of [`evaluate`](crate::evaluate) to the
/// bit where the batches are.
///
/// # Errors
/// [`PairError`]: as [`evaluate`](crate::evaluate) for one of them, or a stop before the first pair.
///
/// # Panics
/// If the plans ask for different examples; as [`evaluate`](crate::evaluate).
pub fn evaluate_pair<B: Backend>(
    contenders: [Contender<'_, B>; 2],
    observe: &mut dyn FnMut(PairProgress) -> ControlFlow<()>,
) -> Result<[Vec<ExampleTerms>; 2], PairError> {
    let [first, second] = [contenders[0].plan, contenders[1].plan];
    let num = count(first.num, contenders[0].data);
    assert_eq!(
        (num, first.order),
        (count(second.num, contenders[1].data), second.order),
        "the plans ask for different examples"
    );
    let evaluations = |plan: &EvalPlan<'_>| (num * plan.bound.points_per_example()) as u64;
    let mut progress =
        PairProgress { pairs: 0, evaluations: 0, total: evaluations(first) + evaluations(second), difference: None };
    let mut terms = [Vec::new(), Vec::new()];
    let mut difference = Moments::default();
    let batch = first.batch_size.max(second.batch_size).max(1);
    let turn = batch.saturating_mul(TURN.div_ceil(batch));
    let mut go_on = true;
    while go_on && progress.pairs < num {
        let examples = progress.pairs..num.min(progress.pairs.saturating_add(turn));
        for (side, (contender, terms)) in Side::BOTH.into_iter().zip(contenders.iter().zip(&mut terms)) {
            let before = progress.evaluations;
            let mut hear = |done: Progress| {
                progress.evaluations = before + done.evaluations;
                go_on = go_on && observe(progress).is_continue();
                if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            terms.extend(one_turn(contender, examples.clone(), &mut hear, side)?);
            if !go_on {
                break;
            }
        }
        let pairs = terms[0].len().min(terms[1].len());
        for (a, b) in terms[0][progress.pairs..pairs].iter().zip(&terms[1][progress.pairs..pairs]) {
            difference.push(b.total() - a.total());
        }
        progress = PairProgress { pairs, difference: difference.mean(), ..progress };
    }
    terms.iter_mut().for_each(|terms| terms.truncate(progress.pairs));
    if progress.pairs == 0 { Err(PairError::Stopped) } else { Ok(terms) }
}

/// The terms of some examples, as far as the observer lets the model come.
fn one_turn<B: Backend>(
    contender: &Contender<'_, B>,
    examples: Range<usize>,
    hear: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    side: Side,
) -> Result<Vec<ExampleTerms>, PairError> {
    match evaluate_some(contender.model, contender.plan, contender.data, examples, hear) {
        Ok(bound) => Ok(bound.each),
        Err(ModelError::Bound(BoundError::Stopped { .. })) => Ok(Vec::new()),
        Err(error) => Err(PairError::Model { side, error }),
    }
}
