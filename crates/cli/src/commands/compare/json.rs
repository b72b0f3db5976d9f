//! The result for programs.

use serde_json::{Value, json};
use sfumato_evaluate::{Paired, PairedBound, Side, Verdict};
use sfumato_process::bound::ExampleTerms;

use super::{Comparison, table::parts, verdict};
use crate::commands::eval::words::mean_json;

pub(super) fn json(compared: &Comparison, bound: &PairedBound) -> Value {
    let Comparison { described, terms, dimensions, extent, .. } = compared;
    let mut all = json!({
        "a": described[0],
        "b": described[1],
        "same_weights": compared.same_weights,
        "same_steps": compared.same_steps,
        "dataset": extent.dataset,
        "split": extent.split,
        "examples": extent.scored,
        "examples_planned": extent.planned,
        "examples_in_split": extent.in_split,
        "stopped": extent.scored < extent.planned,
        "dimensions": dimensions,
        "discrete": compared.discrete,
        "verdict": conclusion(compared, bound),
        "each": each(terms),
        "evaluations": compared.work.map(|(evaluations, _)| evaluations),
        "seconds": compared.work.map(|(_, seconds)| seconds),
        "command": std::env::args().collect::<Vec<_>>(),
        "environment": compared.environment,
    });
    for (_, name, part) in parts(bound, compared.continuous) {
        all[name] = paired(&part, *dimensions);
    }
    all
}

/// A part of the bound by both, and the difference.
fn paired(part: &Paired, dimensions: usize) -> Value {
    let bits = part.bits_per_dim(dimensions);
    let mut difference = mean_json(part.difference, dimensions);
    difference["nats_interval"] = json!(part.interval());
    difference["bits_per_dim_interval"] = json!(bits.interval());
    json!({
        "a": mean_json(part.a, dimensions),
        "b": mean_json(part.b, dimensions),
        "difference": difference,
        "unpaired_nats_standard_error": part.unpaired_standard_error(),
        "unpaired_bits_per_dim_standard_error": bits.unpaired_standard_error(),
        "correlation": part.correlation,
    })
}

fn conclusion(compared: &Comparison, bound: &PairedBound) -> Value {
    let total = bound.total.bits_per_dim(compared.dimensions);
    let (name, better) = match total.verdict() {
        Verdict::Equal => ("equal", None),
        Verdict::Better(side) => ("better", Some(side)),
        Verdict::Unknown => ("unknown", None),
    };
    json!({
        "outcome": name,
        "better": better,
        "sentence": verdict::sentence(&total, &compared.extent),
        "examples_needed": total.examples_needed(),
        "confidence": 0.95,
        "distribution": "student-t",
        "degrees_of_freedom": total.difference.count - 1,
    })
}

/// Each example's terms in nats, by both.
fn each(terms: &[Vec<ExampleTerms>; 2]) -> Value {
    let of = |side: Side| {
        let terms = &terms[side as usize];
        let column = |part: fn(&ExampleTerms) -> f64| terms.iter().map(part).collect::<Vec<_>>();
        json!({
            "prior": column(|terms| terms.prior),
            "diffusion": column(|terms| terms.diffusion),
            "decoder_term": column(|terms| terms.decoder),
        })
    };
    json!({
        "example": terms[0].iter().map(|terms| terms.example).collect::<Vec<_>>(),
        "a": of(Side::A),
        "b": of(Side::B),
    })
}
