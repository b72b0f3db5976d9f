//! The solvers: their order, their steps, and what they say of their error.

use sfumato_process::{
    Parameterization,
    flow::{FlowPlan, Method, Solver, Steps},
};

use crate::common::{PLAN, mixture};

#[test]
fn errors_fall_with_the_order_of_the_method() {
    let case = mixture(2, "linear", Parameterization::Epsilon);
    let examples = case.examples(6);
    let truth: Vec<f64> = (0..6).map(|i| case.truth(&examples.exact(i))).collect();
    for (method, counts, order) in [(Method::Heun, [100, 200, 400], 2.0), (Method::DormandPrince, [40, 80, 160], 5.0)] {
        let off = counts.map(|count| {
            let found =
                case.estimate(&FlowPlan { solver: Solver { method, steps: Steps::Fixed(count) }, ..PLAN }, &examples);
            let stages = if method == Method::Heun { 2 } else { 6 };
            // Two rows for each slope, and the slope at the beginning.
            assert!(found.each.iter().all(|example| example.evaluations == 2 * (stages * count as u64 + 1)));
            let off = found.each.iter().zip(&truth).map(|(example, truth)| (example.total() - truth).powi(2));
            (off.sum::<f64>() / 6.0).sqrt()
        });
        for pair in off.windows(2) {
            let found = (pair[0] / pair[1]).log2();
            // It may fall faster for a while.
            assert!(found > order - 0.5 && found < order + 1.0, "{method:?}: order {found} from {off:?}");
        }
    }
}

#[test]
fn a_smaller_tolerance_costs_more_and_errs_less() {
    let case = mixture(2, "linear", Parameterization::V);
    let examples = case.examples(8);
    let truth: Vec<f64> = (0..8).map(|i| case.truth(&examples.exact(i))).collect();
    for (method, tolerances) in [(Method::DormandPrince, [1e-4, 1e-6, 1e-8]), (Method::Heun, [1e-3, 1e-4, 1e-5])] {
        let mut before = (f64::INFINITY, 0);
        for tolerance in tolerances {
            let solver = Solver { method, steps: Steps::Adaptive { tolerance } };
            let found = case.estimate(&FlowPlan { solver, ..PLAN }, &examples);
            for (example, truth) in found.each.iter().zip(&truth) {
                let off = (example.total() - truth).abs();
                assert!(off <= example.solver_error + 1e-7, "{off} is more than {}", example.solver_error);
            }
            let now = (found.solver_error, found.evaluations);
            assert!(now.0 < before.0 && now.1 > before.1, "{method:?}: {now:?} after {before:?}");
            before = now;
        }
    }
}

/// The table in docs/theory/flow.md: slopes for each point, and the worst error in nats.
#[test]
fn the_solvers_cost_and_err_as_the_book_says() {
    let case = mixture(3, "linear", Parameterization::V);
    let examples = case.examples(12);
    let truth: Vec<f64> = (0..12).map(|i| case.truth(&examples.exact(i))).collect();
    for (method, tolerance, slopes, error) in [
        (Method::DormandPrince, 1e-4, 67.0, 6.3e-4),
        (Method::DormandPrince, 1e-5, 83.0, 5.9e-5),
        (Method::Heun, 1e-3, 140.0, 1.5e-3),
        (Method::Heun, 1e-5, 1105.0, 2.1e-5),
    ] {
        let solver = Solver { method, steps: Steps::Adaptive { tolerance } };
        let found = case.estimate(&FlowPlan { solver, ..PLAN }, &examples);
        let off = found.each.iter().zip(&truth).map(|(example, truth)| (example.total() - truth).abs());
        let (worst, cost) = (off.fold(0.0, f64::max), found.evaluations as f64 / 36.0);
        assert!((cost / slopes - 1.0).abs() < 0.05, "{method:?}, {tolerance}: {cost} slopes");
        assert!((worst / error - 1.0).abs() < 0.2, "{method:?}, {tolerance}: {worst}");
    }
}
