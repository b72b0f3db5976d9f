//! A bound in parts, each computed by another process, with the bits of one process.
//!
//! Evaluations go through the network a batch at a time, whichever examples they belong to. So the parts begin where a batch does. What a part hands
//! on are the terms of its examples, and these are gathered in the order of the examples.

use std::ops::{ControlFlow, Range};

use sfumato_data::Dataset;
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError};
use sfumato_process::bound::{Bound, Heard, Point, Progress};

use crate::{
    BoundPlan, EvalPlan,
    bound::{count, terms_of_some},
};

/// The places of part `part` of `parts` in the plan's order; empty where there are more parts than batches.
fn places(plan: &EvalPlan<'_>, data: &dyn Dataset, part: usize, parts: usize) -> Range<usize> {
    let num = count(plan.num, data);
    let (mut a, mut b) = (plan.batch_size.max(1), plan.bound.points_per_example().max(1));
    let batch = a;
    while b > 0 {
        (a, b) = (b, a % b);
    }
    // So many examples are a whole number of batches.
    let unit = batch / a;
    let units = num.div_ceil(unit);
    let start = |i: usize| (i * (units / parts) + i.min(units % parts)) * unit;
    start(part).min(num)..start(part + 1).min(num)
}

/// The terms of part `part` of `parts`, for [`gathered`]; of the examples that are complete where `observe` breaks off.
///
/// # Errors
/// As [`evaluate`](crate::evaluate).
///
/// # Panics
/// As [`evaluate`](crate::evaluate).
pub fn evaluate_part<B: Backend>(
    model: &Model<B>,
    plan: &EvalPlan<'_>,
    data: &dyn Dataset,
    (part, parts): (usize, usize),
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<u8>, ModelError> {
    let places = places(plan, data, part, parts);
    let terms = if places.is_empty() { Vec::new() } else { terms_of_some(model, plan, data, places, observe)? };
    Ok(terms.iter().flat_map(written).collect())
}

/// The bound from the terms of all parts, in their order: that of [`evaluate`](crate::evaluate) to the bit. What comes behind an example that is missing is left out;
/// none if the first is missing.
pub fn gathered(plan: &EvalPlan<'_>, data: &dyn Dataset, parts: &[Vec<u8>]) -> Option<Bound> {
    let mut heard = Vec::new();
    for (part, words) in parts.iter().enumerate() {
        heard.extend(read(words));
        if heard.len() < places(plan, data, part, parts.len()).end {
            break;
        }
    }
    let dimensions = data.example_len();
    match &plan.bound {
        BoundPlan::Steps(bound) => bound.gathered(&plan.chain, dimensions, heard),
        BoundPlan::Continuous(bound) => bound.gathered(&plan.chain, dimensions, heard),
    }
}

/// Eight bytes a number.
fn written(heard: &Heard) -> Vec<u8> {
    let Heard { example, prior, terms } = heard;
    let mut words = vec![*example as u64, prior.to_bits(), terms.len() as u64];
    for (Point { step, entry, weight, .. }, nats) in terms {
        words.extend([*step as u64, *entry as u64, weight.to_bits(), nats.to_bits()]);
    }
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn read(words: &[u8]) -> Vec<Heard> {
    let mut words = words.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    let mut heard = Vec::new();
    while let (Some(example), Some(prior), Some(count)) = (words.next(), words.next(), words.next()) {
        let example = example as usize;
        let term = |words: &mut dyn Iterator<Item = u64>| {
            let (step, entry) = (words.next()? as usize, words.next()? as usize);
            let (weight, nats) = (f64::from_bits(words.next()?), f64::from_bits(words.next()?));
            Some((Point { example, step, entry, weight }, nats))
        };
        let terms = (0..count).map_while(|_| term(&mut words)).collect();
        heard.push(Heard { example, prior: f64::from_bits(prior), terms });
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let point = |step| Point { example: 7, step, entry: 3 * step, weight: 0.1 };
        let heard = vec![
            Heard { example: 7, prior: 1e-300, terms: vec![(point(1), 0.5), (point(4), -0.0)] },
            Heard { example: 2, prior: 0.0, terms: Vec::new() },
        ];
        assert_eq!(read(&heard.iter().flat_map(written).collect::<Vec<_>>()), heard);
    }
}
