//! The schedule that a measured loss asks for, of Gaussian data, where it is known.

use sfumato_process::{
    Chain, NoiseLevel, Parameterization,
    bound::level_terms,
    forward::q_sample_between,
    noise::{Purpose, stream},
    oracle::{GaussianData, Oracle},
};
use sfumato_schedule::{LogSnrCurve, LossCurve, NoiseSchedule, ScheduleConfig};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData},
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::common::{List, measured};

const VARIANCE: f64 = 0.3;

fn linear() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

fn oracle(schedule: &NoiseSchedule) -> Oracle {
    let data = GaussianData::isotropic(vec![0.2], VARIANCE).unwrap();
    Oracle::new(data, schedule, Parameterization::Epsilon)
}

/// The losses of the perfect denoiser, as `--fit` measures them.
fn losses() -> LossCurve {
    let schedule = linear();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = oracle(&schedule);
    let examples = List::draw(oracle.data(), 6000, 5);
    LossCurve::new(measured(&chain, &oracle, &examples, 20, 1).level_losses()).unwrap()
}

/// `ln(1 + v e^λ)`, whose derivative is `E‖ε - ε̂‖²`; and since the error is Gaussian, `√(E‖ε - ε̂‖⁴)` is that times √3.
fn passed(log_snr: f64) -> f64 {
    (VARIANCE * log_snr.exp()).ln_1p()
}

#[test]
fn the_learned_schedule_of_gaussian_data_has_the_distribution_in_closed_form() {
    let losses = losses();
    let ends = linear().log_snr_curve().ends();
    let learned = losses.schedule(ends, 1000, 0.0).unwrap();
    let [most, least] = ends.map(passed);
    for t in [1, 100, 250, 500, 750, 900, 1000] {
        let share = (most - passed(learned.log_snr(t))) / (most - least);
        let expected = (t - 1) as f64 / 999.0;
        assert!((share - expected).abs() < 0.01, "{t}: {share} for {expected}");
    }
    for log_snr in [8.0_f64, 4.0, 0.0, -3.0] {
        let exact = VARIANCE * log_snr.exp() / (1.0 + VARIANCE * log_snr.exp());
        assert!((losses.mean(log_snr) / exact - 1.0).abs() < 0.06, "{log_snr}: {}", losses.mean(log_snr));
    }
}

/// Mean and variance of `½ ‖ε - ε̂‖² |dλ/du|` with one time `u` for each of `n` examples.
fn one_time_each(curve: &LogSnrCurve, n: usize) -> (f64, f64) {
    let schedule = linear();
    let (chain, oracle) = (Chain::new(&schedule, Parameterization::Epsilon), oracle(&schedule));
    let trained = schedule.log_snr_curve();
    let leaps = (curve.steps() - 1) as f64;
    let mut rng = stream(9, Purpose::Training, 0, 0);
    let (mut x_0, mut epsilon, mut levels, mut slopes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        x_0.extend(oracle.data().sample(&mut rng));
        epsilon.push(StandardNormal.sample(&mut rng));
        let t = 1.0 + leaps * rng.random::<f64>();
        let log_snr = curve.at(t);
        levels.push(NoiseLevel::of_log_snr(log_snr, trained.time_of(log_snr)));
        slopes.push(leaps * (curve.at(t.floor()) - curve.at(t.floor() + 1.0)));
    }
    let tensor = |values| Tensor::<Flex, 2>::from_data(TensorData::new(values, [n, 1]), (&FlexDevice, DType::F64));
    let x_0: Tensor<Flex, 2> = tensor(x_0);
    let x_t = q_sample_between(x_0.clone(), &levels, tensor(epsilon));
    let terms = level_terms(&chain, &oracle, x_0, x_t, &levels).unwrap();
    let all: Vec<f64> = terms.into_iter().zip(slopes).map(|(term, slope)| term * slope).collect();
    let mean = all.iter().sum::<f64>() / n as f64;
    (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64)
}

/// The least that is possible is `¼ (∫ √3 ℓ dλ)² - ¼ (∫ ℓ dλ)²`, twice the square of the integral.
#[test]
fn an_estimate_from_one_time_for_each_example_varies_as_little_as_is_possible() {
    let n = 400_000;
    let (losses, linear) = (losses(), linear().log_snr_curve());
    let ends = linear.ends();
    let integral = 0.5 * (passed(ends[0]) - passed(ends[1]));
    let learned = losses.schedule(ends, 1000, 0.0).unwrap().log_snr_curve();
    let [before, after] = [&linear, &learned].map(|curve| one_time_each(curve, n));
    for ((mean, variance), curve) in [before, after].into_iter().zip([&linear, &learned]) {
        let error = (variance / n as f64).sqrt();
        assert!((mean - integral).abs() < 4.0 * error, "{mean} ± {error} for {integral}");
        // What the measured numbers say of the variance is what it is.
        let said = losses.spread(curve).variance;
        assert!((said / variance - 1.0).abs() < 0.1, "{said} for {variance}");
    }
    let least = 2.0 * integral * integral;
    assert!((after.1 / least - 1.0).abs() < 0.03, "{} for {least}", after.1);
    assert!(before.1 > 1.5 * after.1, "{} and {}", before.1, after.1);
}
