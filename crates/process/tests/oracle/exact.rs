//! Closed forms of known data against what defines them.

use proptest::prelude::*;
use sfumato_process::{
    Chain, Parameterization, VarianceError,
    bound::AffineChain,
    noise::{Purpose, stream},
    oracle::{DataError, GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{
    NoiseSchedule, ScheduleConfig,
    probability::{Gaussian, IsotropicGaussian},
};

/// A positive definite 2×2 matrix by its eigenvalues and the angle of its axes.
fn covariance(a: f64, b: f64, angle: f64) -> [f64; 4] {
    let (s, c) = angle.sin_cos();
    let off = (a - b) * s * c;
    [a * c * c + b * s * s, off, off, a * s * s + b * c * c]
}

fn mixtures() -> impl Strategy<Value = MixtureData> {
    let component = (0.1..1.0f64, -2.0..2.0f64, -2.0..2.0f64, 0.01..2.0f64, 0.01..2.0f64, 0.0..3.0f64);
    prop::collection::vec(component, 1..4).prop_map(|components| {
        let make =
            |(weight, x, y, a, b, angle)| (weight, GaussianData::full(vec![x, y], &covariance(a, b, angle)).unwrap());
        MixtureData::new(components.into_iter().map(make).collect()).unwrap()
    })
}

fn betas() -> impl Strategy<Value = NoiseSchedule> {
    prop::collection::vec(1e-4..0.6f64, 1..12).prop_map(|betas| NoiseSchedule::from_betas(betas).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// `q(x_{t-1} | x_t) q(x_t) = q(x_t | x_{t-1}) q(x_{t-1})`.
    #[test]
    fn the_reverse_transition_is_bayes_rule(data in mixtures(), schedule in betas(), x in prop::array::uniform4(-2.0..2.0f64)) {
        let (previous, x_t) = x.split_at(2);
        for t in 1..=schedule.steps() {
            let (now, before) = (data.noised(&schedule, t), data.noised(&schedule, t - 1));
            let mean: Vec<f64> = previous.iter().map(|x| schedule.alpha(t).sqrt() * x).collect();
            let kernel = IsotropicGaussian::new(mean, schedule.beta(t)).unwrap();
            let forwards = kernel.log_density(x_t).unwrap() + before.log_density(previous);
            let backwards = now.reverse(x_t).log_density(previous) + now.log_density(x_t);
            prop_assert!((forwards - backwards).abs() < 1e-9 * forwards.abs().max(1.0), "{} {}", forwards, backwards);
        }
    }

    /// Tweedie's formula (Efron 2011): `E[x_0 | x_t] = (x_t + (1 - ᾱ_t) ∇ ln q(x_t))/√ᾱ_t`, the gradient by central differences.
    #[test]
    fn the_mean_of_the_data_is_the_score_in_disguise(data in mixtures(), schedule in betas(), x in prop::array::uniform2(-2.0..2.0f64)) {
        let h = 1e-5;
        for t in 1..=schedule.steps() {
            let noised = data.noised(&schedule, t);
            let mean = noised.mean_x_0(&x);
            for j in 0..2 {
                let (mut above, mut below) = (x, x);
                above[j] += h;
                below[j] -= h;
                let score = (noised.log_density(&above) - noised.log_density(&below)) / (2.0 * h);
                let expected = (x[j] + schedule.one_minus_alpha_bar(t) * score) / schedule.alpha_bar(t).sqrt();
                // Differences of logarithms up to 1e4, rounded at 1e-12 and divided by 1e-5.
                prop_assert!((mean[j] - expected).abs() < 1e-4 * expected.abs().max(1.0), "{} {}", mean[j], expected);
            }
        }
    }

    /// The mean of the reverse transition is the posterior's at the best guess: `E[x_{t-1} | x_t] = w_0 E[x_0 | x_t] + w_t x_t`.
    #[test]
    fn the_reverse_mean_is_the_posterior_mean_at_the_best_guess(data in mixtures(), schedule in betas(), x in prop::array::uniform2(-2.0..2.0f64)) {
        for t in 1..=schedule.steps() {
            let noised = data.noised(&schedule, t);
            let (mean, best) = (noised.reverse(&x).mean(), noised.mean_x_0(&x));
            let weights = schedule.posterior_mean_coefficients(t);
            for j in 0..2 {
                let expected = weights.x_0 * best[j] + weights.x_t * x[j];
                prop_assert!((mean[j] - expected).abs() < 1e-10, "{} {}", mean[j], expected);
            }
        }
    }
}

/// One dimension, two components: density, mean and variance by the trapezoidal rule over `x_0`, which converges faster than any
/// power of the spacing for such integrands.
#[test]
fn marginals_and_posteriors_are_the_integrals_that_define_them() {
    let schedule = ScheduleConfig::default().with_steps(20).unwrap().build().unwrap();
    let parts = [(0.3, -0.7, 0.02), (0.7, 0.5, 0.1)];
    let component = |&(w, m, v): &(f64, f64, f64)| (w, GaussianData::isotropic(vec![m], v).unwrap());
    let data = MixtureData::new(parts.iter().map(component).collect()).unwrap();
    let density = |x: f64| -> f64 { parts.iter().map(|&(w, m, v)| w * Gaussian::new(m, v).unwrap().density(x)).sum() };
    for t in [1, 7, 20] {
        for x_t in [-1.0, 0.1, 0.8] {
            let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
            let spacing = 1e-4;
            for i in -40_000..=40_000 {
                let x_0 = spacing * f64::from(i);
                let noised =
                    Gaussian::new(schedule.alpha_bar(t).sqrt() * x_0, schedule.one_minus_alpha_bar(t)).unwrap();
                let weight = spacing * density(x_0) * noised.density(x_t);
                total += weight;
                first += weight * x_0;
                second += weight * x_0 * x_0;
            }
            let mean = first / total;
            let noised = data.noised(&schedule, t);
            assert!((noised.log_density(&[x_t]) - total.ln()).abs() < 1e-10);
            assert!((noised.mean_x_0(&[x_t])[0] - mean).abs() < 1e-10);
            assert!((noised.variance_x_0(&[x_t]) - (second / total - mean * mean)).abs() < 1e-10);
        }
    }
}

#[test]
fn the_optimal_variance_of_one_isotropic_gaussian_is_the_exact_one() {
    let schedule = NoiseSchedule::from_betas(vec![0.1, 0.2, 0.3]).unwrap();
    let oracle =
        Oracle::new(GaussianData::isotropic(vec![0.5, -1.0], 0.4).unwrap(), &schedule, Parameterization::Epsilon);
    let exact = AffineChain::exact(&schedule, &Gaussian::new(0.5, 0.4).unwrap());
    let found = oracle.optimal_log_variances(1, 5);
    for (found, step) in found.iter().zip(exact.steps()) {
        assert!((found - step.variance.ln()).abs() < 1e-12, "{found} against {}", step.variance.ln());
    }
}

#[test]
fn samples_have_the_means_and_covariances_of_the_components() {
    let data = GaussianData::full(vec![0.3, -0.6], &covariance(2.0, 0.1, 0.6)).unwrap();
    let expected = covariance(2.0, 0.1, 0.6);
    let data = MixtureData::from(data);
    let n = 100_000;
    let mut rng = stream(3, Purpose::Training, 0, 0);
    let points: Vec<Vec<f64>> = (0..n).map(|_| data.sample(&mut rng)).collect();
    let n = n as f64;
    for i in 0..2 {
        let mean = points.iter().map(|p| p[i]).sum::<f64>() / n;
        assert!((mean - [0.3, -0.6][i]).abs() < 5.0 * (2.0 / n).sqrt());
        for j in 0..2 {
            let product = |p: &Vec<f64>| (p[i] - [0.3, -0.6][i]) * (p[j] - [0.3, -0.6][j]);
            let found = points.iter().map(product).sum::<f64>() / n;
            // The variance of a product of these normals is at most 2·2².
            assert!((found - expected[2 * i + j]).abs() < 5.0 * (8.0 / n).sqrt(), "{found}");
        }
    }
}

#[test]
fn parameters_that_describe_no_distribution_are_refused() {
    let full = |covariance: &[f64]| GaussianData::full(vec![0.0, 0.0], covariance).unwrap_err();
    assert_eq!(full(&[1.0, 0.5, 0.4, 1.0]), DataError::NotSymmetric { row: 1, column: 0 });
    assert_eq!(full(&[1.0, 0.5]), DataError::Length { expected: 4, found: 2 });
    assert!(matches!(full(&[1.0, 2.0, 2.0, 1.0]), DataError::VarianceOutOfRange { .. }));
    assert!(matches!(full(&[1.0, f64::NAN, f64::NAN, 1.0]), DataError::NotSymmetric { .. }));
    assert!(matches!(full(&[f64::INFINITY, 0.0, 0.0, 1.0]), DataError::VarianceOutOfRange { axis: 0, .. }));
    assert_eq!(GaussianData::isotropic(vec![], 1.0).unwrap_err(), DataError::NoDimensions);
    let error = GaussianData::isotropic(vec![0.0, f64::INFINITY], 1.0).unwrap_err();
    assert_eq!(error, DataError::MeanNotFinite { index: 1, value: f64::INFINITY });
    assert_eq!(
        GaussianData::isotropic(vec![0.0], 0.0).unwrap_err(),
        DataError::VarianceOutOfRange { axis: 0, variance: 0.0 }
    );
    assert_eq!(
        GaussianData::diagonal(vec![0.0], vec![1.0, 1.0]).unwrap_err(),
        DataError::Length { expected: 1, found: 2 }
    );
    let gaussian = |n: usize| GaussianData::isotropic(vec![0.0; n], 1.0).unwrap();
    assert_eq!(MixtureData::new(vec![]).unwrap_err(), DataError::NoComponents);
    let error = MixtureData::new(vec![(1.0, gaussian(1)), (0.0, gaussian(1))]).unwrap_err();
    assert_eq!(error, DataError::WeightOutOfRange { component: 1, weight: 0.0 });
    let error = MixtureData::new(vec![(1.0, gaussian(1)), (1.0, gaussian(2))]).unwrap_err();
    assert_eq!(error, DataError::Dimensions { component: 1, expected: 1, found: 2 });
}

#[test]
fn a_table_of_variances_must_fit_the_chain() {
    let schedule = NoiseSchedule::from_betas(vec![0.1, 0.2]).unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let error = chain.clone().with_log_variances(vec![0.0]).unwrap_err();
    assert_eq!(error, VarianceError::Length { steps: 2, found: 1 });
    let error = chain.clone().with_log_variances(vec![0.0, f64::NEG_INFINITY]).unwrap_err();
    assert_eq!(error, VarianceError::NotFinite { step: 2, log_variance: f64::NEG_INFINITY });
    assert_eq!(chain.with_log_variances(vec![0.5, -1.5]).unwrap().log_variance(2), Some(-1.5));
}
