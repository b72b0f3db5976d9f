//! Numbers that no measurement gives, and what is asked for in vain.

use std::ops::ControlFlow;

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::Tensor,
};
use sfumato_process::{
    Chain, Parameterization, VarianceRule,
    bound::{BoundError, BoundNoise, Decoder},
    fit::{Fit, FitError, MeasurePlan, Measured, measure},
};
use sfumato_schedule::{NoiseSchedule, probability::LikelihoodCdf};

use super::common::{List, exact};

fn schedule() -> NoiseSchedule {
    NoiseSchedule::from_betas(vec![0.1, 0.2, 0.3, 0.4]).unwrap()
}

fn changed(change: impl FnOnce(&mut Measured)) -> FitError {
    let mut measured = exact(&schedule(), 0.3, |_| 0.1);
    change(&mut measured);
    Fit::new(measured, &schedule()).unwrap_err()
}

#[test]
fn numbers_that_no_measurement_gives_are_refused() {
    let steps = |place, found| FitError::Steps { total: 4, place, found };
    assert_eq!(changed(|measured| drop(measured.nodes.pop())), steps(3, 0));
    assert_eq!(changed(|measured| measured.nodes.clear()), steps(0, 0));
    assert_eq!(changed(|measured| measured.nodes[0].t = 2), steps(0, 2));
    assert_eq!(changed(|measured| measured.nodes[2].t = 2), steps(2, 2));
    assert_eq!(changed(|measured| measured.nodes[3].t = 5), steps(3, 5));
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        for change in [
            (|measured: &mut Measured, bad| measured.nodes[1].error = bad) as fn(&mut Measured, f64),
            |measured, bad| measured.nodes[1].noise_norm = bad,
            |measured, bad| measured.nodes[1].raw_noise_norm = bad,
            |measured, bad| measured.mean_square = bad,
        ] {
            assert!(matches!(changed(|measured| change(measured, bad)), FitError::Value { .. }), "{bad}");
        }
    }
    let decoder = changed(|measured| measured.decoder = Decoder::Discretized(LikelihoodCdf::Exact));
    assert_eq!(decoder, FitError::Decoder { t: 1, found: 0, expected: 16 });
    assert!(matches!(changed(|measured| measured.nodes[0].decoder = vec![1.0]), FitError::Decoder { expected: 0, .. }));
}

#[test]
fn chains_that_are_none_are_refused() {
    let fit = Fit::new(exact(&schedule(), 0.3, |_| 0.1), &schedule()).unwrap();
    assert_eq!(fit.best_chain(VarianceRule::Optimal, 5), Err(FitError::Count { count: 5, total: 4 }));
    assert_eq!(fit.best_chain(VarianceRule::Optimal, 0), Err(FitError::Count { count: 0, total: 4 }));
    for steps in [&[0, 1][..], &[2, 2], &[3, 5], &[]] {
        assert!(fit.bound(VarianceRule::Analytic, steps).is_err(), "{steps:?}");
        assert!(fit.log_variances(VarianceRule::FixedSmall, steps).is_err(), "{steps:?}");
    }
    let long = NoiseSchedule::from_betas(vec![1e-3; 5001]).unwrap();
    let fit = Fit::new(exact(&long, 0.3, |_| 1e-5), &long).unwrap();
    assert_eq!(fit.best_steps(VarianceRule::Analytic, 5), Err(FitError::TooLong { total: 5001, most: 5000 }));
}

/// A prediction that is no number is named with its step, also where clipping would hide it; a stop keeps what is complete.
#[test]
fn predictions_that_are_no_numbers_are_refused_and_a_stop_keeps_what_is_done() {
    let chain = Chain::new(&schedule(), Parameterization::X0).with_clip(true);
    let plan = |draws| MeasurePlan {
        decoder: Decoder::Gaussian,
        steps: vec![1, 2, 3, 4],
        draws,
        noise: BoundNoise::Seeded(1),
    };
    let examples = List { shape: vec![2], values: vec![0.5; 20] };
    let run = |factor: f32, draws, stop_after| {
        let predict = |x: Tensor<Flex, 2>, t: &[usize], _: &[usize]| {
            let at_three: Vec<f32> = t.iter().map(|&t| if t == 3 { factor } else { 1.0 }).collect();
            x * Tensor::<Flex, 1>::from_floats(&at_three[..], &FlexDevice).reshape([-1, 1])
        };
        let mut seen = 0;
        let mut observe = |_| {
            seen += 1;
            if seen == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        measure::<Flex, 2>(&chain, &predict, &plan(draws), &examples, 6, &FlexDevice, &mut observe)
    };
    assert!(matches!(run(f32::INFINITY, 1, 99), Err(BoundError::NotFinite { example: 0, step: 3, .. })));
    assert!(matches!(run(f32::NAN, 1, 99), Err(BoundError::NotFinite { example: 0, step: 3, .. })));
    assert!(matches!(run(1.0, 0, 99), Err(BoundError::Nothing { .. })));
    assert_eq!(run(1.0, 1, 99).unwrap().examples, 10);
    assert_eq!(run(1.0, 1, 2).unwrap().examples, 3);
    assert!(matches!(run(1.0, 2, 1), Err(BoundError::Stopped { done: 0, total: 10 })));
}
