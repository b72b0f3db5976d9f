//! The likelihood against the density of the data.

use proptest::prelude::*;
use sfumato_process::{
    Parameterization,
    flow::{ExampleLikelihood, FlowPlan, ProbeKind, Solver, Steps, Trace},
};

use crate::common::{Case, PLAN, mixture, schedule};

/// The usual solver's error is told, and the result is at most so far from the truth.
fn within_the_stated_error(found: &ExampleLikelihood, truth: f64, dimensions: usize) {
    let off = (found.total() - truth).abs();
    // Beside the solver there is the rounding of the schedule's levels and of the reference.
    let allowed = found.solver_error + 1e-7 * dimensions as f64;
    assert!(off <= allowed, "{} for {truth}: {off:e} is more than {allowed:e}", found.total());
    assert!(off < 1e-3 * dimensions as f64, "{} for {truth}", found.total());
}

fn readings() -> impl Strategy<Value = Parameterization> {
    prop_oneof![Just(Parameterization::Epsilon), Just(Parameterization::X0), Just(Parameterization::V)]
}

fn schedules() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("linear"), Just("cosine:200"), Just("sigmoid:50"), Just("linear:7")]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_gaussian_has_its_density(
        reading in readings(),
        name in schedules(),
        axes in prop::collection::vec((-1.0..1.0f64, 0.02..3.0f64), 1..6),
        z in -2.5..2.5f64,
    ) {
        let (mean, variances): (Vec<f64>, Vec<f64>) = axes.into_iter().unzip();
        let case = Case { schedule: schedule(name), reading, components: vec![(1.0, mean, variances)] };
        let mut examples = case.examples(3);
        let last = examples.values.len() - 1;
        examples.values[last] = (case.components[0].1[case.dimensions() - 1] + z) as f32;
        let found = case.estimate(&PLAN, &examples);
        for (i, example) in found.each.iter().enumerate() {
            within_the_stated_error(example, case.gaussian_truth(&examples.exact(i)), case.dimensions());
        }
    }
}

impl Case {
    /// [`Case::truth`] in closed form: along each axis the flow keeps how many deviations a point is from the mean.
    fn gaussian_truth(&self, x_0: &[f64]) -> f64 {
        let (_, mean, variances) = &self.components[0];
        let log_normal = |x: f64, mean: f64, variance: f64| {
            -0.5 * ((std::f64::consts::TAU * variance).ln() + (x - mean).powi(2) / variance)
        };
        let last = self.schedule.steps();
        let at = |t: usize, mean: f64, variance: f64| {
            let alpha_bar = self.schedule.alpha_bar(t);
            (alpha_bar.sqrt() * mean, alpha_bar * variance + self.schedule.one_minus_alpha_bar(t))
        };
        let signal = self.schedule.alpha_bar(1).sqrt();
        let axis = |((x, mean), variance): ((&f64, &f64), &f64)| {
            let ((m_1, v_1), (m_t, v_t)) = (at(1, *mean, *variance), at(last, *mean, *variance));
            let x_t = m_t + (v_t / v_1).sqrt() * (signal * x - m_1);
            log_normal(x_t, 0.0, 1.0) + 0.5 * (v_t / v_1).ln() + signal.ln()
        };
        -x_0.iter().zip(mean).zip(variances).map(axis).sum::<f64>()
    }
}

#[test]
fn the_two_references_agree() {
    let case = Case {
        schedule: schedule("linear"),
        reading: Parameterization::V,
        components: vec![(1.0, vec![0.4, -0.2], vec![0.3, 1.5])],
    };
    let x_0 = [0.9, 0.3];
    assert!((case.truth(&x_0) - case.gaussian_truth(&x_0)).abs() < 1e-7);
}

#[test]
fn a_mixture_has_its_density() {
    for (reading, name) in [
        (Parameterization::Epsilon, "linear"),
        (Parameterization::X0, "cosine:300"),
        (Parameterization::V, "sigmoid:100"),
    ] {
        for dimensions in [1, 3] {
            let case = mixture(dimensions, name, reading);
            let examples = case.examples(8);
            let found = case.estimate(&PLAN, &examples);
            for (i, example) in found.each.iter().enumerate() {
                within_the_stated_error(example, case.truth(&examples.exact(i)), dimensions);
            }
        }
    }
}

/// What is not the flow's: the noise of step 1, and what is left of the data at step T.
#[test]
fn the_densitys_own_logarithm_is_a_thousandth_away() {
    let case = mixture(2, "linear", Parameterization::Epsilon);
    let (examples, data) = (case.examples(200), case.data());
    let found = case.estimate(&PLAN, &examples);
    let truth: f64 = (0..200).map(|i| -data.log_density(&examples.exact(i))).sum::<f64>() / 200.0;
    let off = (found.total.mean - truth).abs() / 2.0;
    assert!(off < 1e-3, "{} for {truth}: {off} nats for each dimension", found.total.mean);
    assert_eq!((found.probe_error, found.draw_error), (Some(0.0), None));
    // Terms are those of the examples, and they add up.
    assert!((found.prior.mean + found.volume.mean + found.offset.mean - found.total.mean).abs() < 1e-12 * truth.abs());
    assert_eq!(found.evaluations, found.each.iter().map(|example| example.evaluations).sum::<u64>());
}

#[test]
fn hutchinsons_estimator_is_unbiased_and_tells_its_error() {
    let case = mixture(4, "linear:100", Parameterization::Epsilon);
    let examples = case.examples(1);
    let solver = Solver { steps: Steps::Adaptive { tolerance: 1e-6 }, ..Solver::default() };
    let exact = case.estimate(&FlowPlan { solver, ..PLAN }, &examples).total.mean;
    for kind in [ProbeKind::Rademacher, ProbeKind::Gaussian] {
        let plan = |draws, count, seed| FlowPlan { trace: Trace::Probes { kind, count }, solver, draws, seed, ..PLAN };
        let found = case.estimate(&plan(300, 1, 5), &examples);
        let error = found.draw_error.unwrap();
        assert!(found.probe_error.is_none() && error > 0.0);
        let off = (found.total.mean - exact).abs();
        assert!(off < 4.0 * error, "{kind:?}: {} ± {error} for {exact}", found.total.mean);
        // The same numbers as probes of one path: their spread says the same.
        let found = case.estimate(&plan(1, 300, 6), &examples);
        let of_probes = found.probe_error.unwrap();
        assert!(found.draw_error.is_none() && (of_probes / error - 1.0).abs() < 0.3, "{of_probes} and {error}");
        assert!((found.total.mean - exact).abs() < 4.0 * of_probes, "{kind:?}: {} ± {of_probes}", found.total.mean);
    }
}

/// Axis-aligned Gaussians have diagonal Jacobians, on which random signs are exact.
#[test]
fn random_signs_do_not_vary_over_a_diagonal() {
    let case = Case {
        schedule: schedule("cosine:100"),
        reading: Parameterization::V,
        components: vec![(1.0, vec![0.2, -0.4, 0.1], vec![0.3, 1.5, 0.05])],
    };
    let examples = case.examples(2);
    let exact = case.estimate(&PLAN, &examples);
    let of = |kind| case.estimate(&FlowPlan { trace: Trace::Probes { kind, count: 3 }, ..PLAN }, &examples);
    let (signs, normal) = (of(ProbeKind::Rademacher), of(ProbeKind::Gaussian));
    assert!((signs.total.mean - exact.total.mean).abs() < 1e-9 && signs.probe_error.unwrap() < 1e-9);
    assert!(normal.probe_error.unwrap() > 1e-3);
}
