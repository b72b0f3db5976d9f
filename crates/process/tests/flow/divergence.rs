//! Products of the Jacobian against finite differences, and against the covariance that they stand for.

use burn::tensor::{DType, Tensor};
use sfumato_process::{
    NoiseLevel, Parameterization,
    flow::{Differentiated, Field, Query},
};

use crate::common::{Case, DEVICE, Grad, mixture};

/// What the network answers at one point along all axes.
fn ask(case: &Case, x: &[f64], level: NoiseLevel, probes: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let rows = probes.len() / x.len();
    let predict = |x: Tensor<Grad, 2>, t: &[f64], ids: &[usize]| {
        assert_eq!(ids, vec![7; rows]);
        case.predict(x, t)
    };
    let shape = [x.len()];
    let field = Differentiated { predict: &predict, shape: &shape, device: &DEVICE, dtype: DType::F64 };
    let query = Query { x: &x.repeat(rows), levels: &vec![level; rows], probes, examples: &vec![7; rows] };
    let answers = field.ask(&query).unwrap();
    (answers.output[..x.len()].to_vec(), answers.products)
}

fn axes(d: usize) -> Vec<f32> {
    (0..d * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect()
}

#[test]
fn products_are_those_of_finite_differences() {
    for reading in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        let case = mixture(3, "linear:100", reading);
        let x = [0.3, -0.5, 0.1];
        for t in [1.0, 17.25, 60.0, 100.0] {
            let level = NoiseLevel::of_log_snr(case.schedule.log_snr_curve().at(t), t);
            let difference = |w: &[f32]| -> f64 {
                let along = |by: f64| -> Vec<f64> { x.iter().zip(w).map(|(x, &w)| x + by * f64::from(w)).collect() };
                let [up, down] = [1e-5, -1e-5].map(|by| ask(&case, &along(by), level, &[0.0; 3]).0);
                up.iter().zip(&down).zip(w).map(|((up, down), &w)| (up - down) / 2e-5 * f64::from(w)).sum()
            };
            let probes = [1.0, -1.0, 1.0, 0.5, 0.0, -2.0];
            let (_, products) = ask(&case, &x, level, &probes);
            for (product, w) in products.iter().zip(probes.chunks(3)) {
                let expected = difference(w);
                assert!(
                    (product - expected).abs() < 1e-6 * expected.abs().max(1.0),
                    "{reading:?}, {t}: {product}, {expected}"
                );
            }
        }
    }
}

/// The Jacobian of E[x_0 | x_t] is a/n² Cov[x_0 | x_t] (the second-order formula of Tweedie).
#[test]
fn the_trace_is_that_of_the_posterior_covariance() {
    let case = mixture(4, "linear:100", Parameterization::X0);
    let oracle = case.oracle();
    for t in [1, 10, 50, 100] {
        let level = NoiseLevel::of_log_snr(case.schedule.log_snr(t), t as f64);
        let x = [0.1, -0.2, 0.4, 0.8];
        let (output, products) = ask(&case, &x, level, &axes(4));
        let expected = level.signal() / level.noise().powi(2) * oracle.noised(t).variance_x_0(&x);
        let trace: f64 = products.iter().sum();
        assert!((trace / expected - 1.0).abs() < 1e-9, "{trace} for {expected}");
        // The graph is the oracle.
        for (found, expected) in output.iter().zip(oracle.answer(&x, t)) {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }
    }
}
