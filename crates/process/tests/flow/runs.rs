//! Many examples: what a result depends on, where it ends, and what is refused.

use std::ops::ControlFlow;

use burn::tensor::{DType, Tensor};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, Parameterization,
    bound::Decoder,
    flow::{
        Differentiated, FlowError, FlowPlan, FlowProgress, Method, ProbeKind, Solver, Start, Steps, Trace,
        estimate_flow,
    },
};

use crate::common::{Case, DEVICE, Grad, PLAN, Points, mixture, schedule};

fn traces() -> impl Strategy<Value = Trace> {
    prop_oneof![
        Just(Trace::Exact),
        (1..4usize, any::<bool>()).prop_map(|(count, signs)| {
            let kind = if signs { ProbeKind::Rademacher } else { ProbeKind::Gaussian };
            Trace::Probes { kind, count }
        })
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_batch_and_no_other_example_changes_a_bit(
        trace in traces(),
        dimensions in 1..4usize,
        (count, draws, batch) in (1..6usize, 1..3usize, 1..20usize),
        fixed in any::<bool>(),
        seed in any::<u64>(),
        start in prop_oneof![Just(Start::Density), Just(Start::Uniform), Just(Start::FirstStep(Decoder::Gaussian))],
    ) {
        let case = mixture(dimensions, "linear:30", Parameterization::V);
        let steps = if fixed { Steps::Fixed(5) } else { Steps::Adaptive { tolerance: 1e-3 } };
        let plan = FlowPlan { start, trace, solver: Solver { method: Method::Heun, steps }, draws, seed };
        let examples = case.examples(count);
        let mut last = FlowProgress { examples: 0, evaluations: 0, share: 0.0 };
        let found = case.estimate_with(&plan, &examples, batch, &mut |progress| {
            assert!(progress.share >= last.share && progress.share <= 1.0 && progress.evaluations > last.evaluations);
            last = progress;
            ControlFlow::Continue(())
        }).unwrap();
        prop_assert_eq!(found.each.len(), count);
        let whole = case.estimate_with(&plan, &examples, 1000, &mut |_| ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(&found, &whole);
        // The last one alone, under its id.
        let values = examples.get(count - 1).to_vec();
        let alone = Points { values, first_id: count - 1, ..examples };
        prop_assert_eq!(&case.estimate(&plan, &alone).each[0], &found.each[count - 1]);
    }
}

#[test]
fn where_it_is_stopped_the_first_examples_are_reported() {
    let case = mixture(2, "linear:30", Parameterization::Epsilon);
    let examples = case.examples(9);
    let whole = case.estimate(&PLAN, &examples);
    for enough in [1, 4] {
        let mut stop = |progress: FlowProgress| match progress.examples >= enough {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let part = case.estimate_with(&PLAN, &examples, 6, &mut stop).unwrap();
        assert!(part.each.len() >= enough && part.each.len() < 9, "{}", part.each.len());
        assert_eq!(part.each[..], whole.each[..part.each.len()]);
    }
    let stopped = case.estimate_with(&PLAN, &examples, 6, &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped, Err(FlowError::Stopped { done: 0, total: 9 }));
}

#[test]
fn a_chain_of_one_step_has_a_flow_of_no_length() {
    let case = Case {
        schedule: sfumato_schedule::NoiseSchedule::from_betas(vec![0.5]).unwrap(),
        ..mixture(2, "linear:5", Parameterization::X0)
    };
    let found = case.estimate(&PLAN, &Points { shape: [2], values: vec![0.6, -0.2], first_id: 0 });
    // N(√½ x_0; 0, I), and the change of scale.
    let expected = std::f64::consts::TAU.ln() + 0.25 * (0.36 + 0.04) + 2_f64.ln();
    assert!((found.total.mean - expected).abs() < 1e-7, "{found:?} for {expected}");
    assert_eq!((found.evaluations, found.solver_error), (0, 0.0));
}

#[test]
fn a_schedule_that_ends_in_pure_noise_has_a_flow() {
    let zero = schedule("linear:100").with_zero_terminal_snr().unwrap();
    let case = Case { schedule: zero, ..mixture(2, "linear:5", Parameterization::V) };
    let examples = case.examples(4);
    let found = case.estimate(&PLAN, &examples);
    let data = case.data();
    for (i, example) in found.each.iter().enumerate() {
        let truth = -data.log_density(&examples.exact(i));
        assert!((example.total() - truth).abs() < 0.02, "{} for {truth}", example.total());
    }
}

fn refused(plan: &FlowPlan) -> FlowError {
    let case = mixture(2, "linear:30", Parameterization::Epsilon);
    case.estimate_with(plan, &case.examples(2), 4, &mut |_| ControlFlow::Continue(())).unwrap_err()
}

#[test]
fn plans_of_nothing_are_refused() {
    let probes = |count| Trace::Probes { kind: ProbeKind::Rademacher, count };
    let fixed = Solver { steps: Steps::Fixed(0), ..Solver::default() };
    for (plan, what) in [
        (FlowPlan { draws: 0, ..PLAN }, "draws"),
        (FlowPlan { trace: probes(0), ..PLAN }, "probes"),
        (FlowPlan { solver: fixed, ..PLAN }, "steps"),
    ] {
        let error = refused(&plan);
        assert!(matches!(error, FlowError::Nothing { .. }) && error.to_string().contains(what), "{error}");
    }
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let solver = Solver { steps: Steps::Adaptive { tolerance }, ..Solver::default() };
        assert!(matches!(refused(&FlowPlan { solver, ..PLAN }), FlowError::Tolerance { .. }));
    }
}

/// A prediction from states and times.
type Predict<'a> = dyn Fn(Tensor<Grad, 2>, &[f64]) -> Tensor<Grad, 2> + 'a;

/// The likelihood of two points with ids 5 and 6 by this prediction.
fn of_prediction(predict: &Predict<'_>, chain: &Chain) -> Result<f64, FlowError> {
    let examples = Points { shape: [2], values: vec![0.1, 0.2, 0.3, 0.4], first_id: 5 };
    let predict = |x: Tensor<Grad, 2>, t: &[f64], _: &[usize]| predict(x, t);
    let field = Differentiated { predict: &predict, shape: &[2], device: &DEVICE, dtype: DType::F32 };
    let found = estimate_flow(chain, &field, &PLAN, &examples, 4, &mut |_| ControlFlow::Continue(()));
    found.map(|found| found.total.mean)
}

#[test]
fn networks_that_have_no_flow_are_refused() {
    let case = mixture(2, "linear:30", Parameterization::Epsilon);
    let (oracle, chain) = (case.oracle(), case.chain());
    // It answers from the host.
    assert_eq!(of_prediction(&|x, t| oracle.predict_between(x, t), &chain), Err(FlowError::NoGradient));
    let answer = of_prediction(&|x, _| x * f32::NAN, &chain);
    assert!(matches!(answer, Err(FlowError::NotFinite { example: 5, .. })), "{answer:?}");
    let answer = of_prediction(&|x, _| x.slice([0..4, 0..1]), &chain);
    assert!(matches!(answer, Err(FlowError::OutputShape(_))), "{answer:?}");
    // A slope that is all ripples.
    let answer = of_prediction(&|x, _| (x * 1e6).sin(), &chain);
    assert!(matches!(answer, Err(FlowError::StepTooShort { .. })), "{answer:?}");
    // Twice the channels: the half about the variance is passed over.
    let doubled = of_prediction(&|x, _| Tensor::cat(vec![x.clone() * 0.5, x.sin()], 1), &chain);
    assert_eq!(doubled, of_prediction(&|x, _| x * 0.5, &chain));
    let respaced = Chain::respaced(&case.schedule, &[3, 30], Parameterization::Epsilon).unwrap();
    let answer = of_prediction(&|x, _| x * 0.5, &respaced);
    assert_eq!(answer, Err(FlowError::Respaced { steps: 2, trained: 30 }));
}
