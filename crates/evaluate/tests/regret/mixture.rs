//! The loss of the optimum on a training set is the one that its formula says.

use proptest::prelude::*;
use sfumato_data::{Dataset, mirror};
use sfumato_evaluate::regret::{EmpiricalMixture, Query};
use sfumato_process::{
    oracle::{GaussianData, MixtureData, Oracle},
    parameterization::Parameterization,
};
use sfumato_schedule::ScheduleConfig;

use super::points::{Points, direct, normal, pictures};

/// Of what is computed in floats; [`EmpiricalMixture::losses`] promises 0.2 % of a probability.
const CLOSE: f64 = 1e-3;

/// How far a loss may be from `expected`: a part of it; what a mean that is rounded to 1e-7 adds; and what is lost with points that have
/// 1e-9 of the probability.
fn tolerance(expected: f64, snr: f64) -> f64 {
    let mean = 1e-7;
    CLOSE * expected + 2.0 * mean * (snr * expected).sqrt() + snr * (mean * mean + 1e-16)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn losses_are_those_of_the_formula(
        count in 1..300_usize, [height, width] in [1..6_usize, 1..8_usize], seed in 0..1000_u64, log_snr in -10.0..14.0_f64,
        spread in 0.05..3.0_f32, offset in -2.0..2.0_f32, mirrored: bool, own: bool, twins: bool,
    ) {
        let dims = height * width;
        let mut values: Vec<f32> = normal(seed, count * dims).iter().map(|x| spread * x + offset).collect();
        if twins && count > 1 {
            values.copy_within(..dims, dims);
        }
        let data = Points::new(&[1, height, width], values);
        let x_0 = if own { data.row(count / 2).to_vec() } else { normal(seed + 7, dims) };
        let (epsilon, snr) = (normal(seed + 8, dims), log_snr.exp());
        let mixture = EmpiricalMixture::new(&data, None, mirrored).unwrap();
        let found = mixture.losses(&x_0, &epsilon, &[Query { example: 0, noise: 0, snr }])[0];
        let mut points: Vec<Vec<f32>> = data.rows().map(<[f32]>::to_vec).collect();
        if mirrored {
            let others: Vec<Vec<f32>> = points.iter().map(|x| { let mut x = x.clone(); mirror(&data.shape, &mut x); x }).collect();
            points.extend(others);
        }
        let expected = direct(points.iter().map(Vec::as_slice), &x_0, &epsilon, snr);
        prop_assert!((found - expected).abs() <= tolerance(expected, snr), "{} for {}", found, expected);
    }
}

/// Enough points for several tiles, and pictures whose products are large beside their distances.
#[test]
fn many_pictures_have_the_losses_of_the_formula_at_every_level() {
    let (count, dims) = (2500, 784);
    let data = Points::new(&[1, 28, 28], pictures(1, count, dims));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    let others = pictures(1, count + 4, dims).split_off(count * dims);
    let x_0 = [data.row(3), data.row(2400), &others].concat();
    let epsilon = normal(9, 2 * dims);
    let mut worst = 0.0_f64;
    for log_snr in [-9.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 9.0, 12.0] {
        let snr = f64::exp(log_snr);
        let queries: Vec<Query> =
            (0..6).flat_map(|example| (0..2).map(move |noise| Query { example, noise, snr })).collect();
        for (query, found) in queries.iter().zip(mixture.losses(&x_0, &epsilon, &queries)) {
            let (x_0, noise) = (&x_0[query.example * dims..][..dims], &epsilon[query.noise * dims..][..dims]);
            let expected = direct(data.rows(), x_0, noise, snr);
            let error = (found - expected).abs();
            worst = worst.max(error / (expected + 1e-9));
            assert!(error <= tolerance(expected, snr), "{query:?}: {found} for {expected}");
        }
    }
    println!("largest error: {worst:.1e} of the loss");
}

#[test]
fn one_training_example_is_known_whatever_the_noise() {
    let data = Points::new(&[5], normal(2, 5));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    for log_snr in [-20.0, -3.0, 0.0, 7.0, 20.0] {
        let query = Query { example: 0, noise: 0, snr: f64::exp(log_snr) };
        assert_eq!(mixture.losses(data.row(0), &normal(3, 5), &[query]), [0.0]);
    }
}

#[test]
fn without_noise_the_nearest_example_is_the_answer_and_without_signal_the_mean() {
    let (count, dims) = (400, 12);
    let data = Points::new(&[dims], normal(4, count * dims));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    let (own, other, epsilon) = (data.row(17).to_vec(), normal(5, dims), normal(6, dims));
    let at = |x_0: &[f32], snr| mixture.losses(x_0, &epsilon, &[Query { example: 0, noise: 0, snr }])[0];
    let square = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let nearest = data.rows().map(|x| square(&other, &wide(x))).fold(f64::INFINITY, f64::min);
    assert_eq!(at(&own, 1e8), 0.0);
    assert!((at(&other, 1e8) / (1e8 * nearest / dims as f64) - 1.0).abs() < 1e-9);
    let mean: Vec<f64> = (0..dims).map(|j| data.rows().map(|x| f64::from(x[j])).sum::<f64>() / count as f64).collect();
    for x_0 in [&own, &other] {
        assert!((at(x_0, 1e-9) / (1e-9 * square(x_0, &mean) / dims as f64) - 1.0).abs() < 1e-3);
    }
}

/// The oracle of `process` has the denoiser of a mixture of Gaussians; narrow ones are points.
#[test]
fn losses_are_those_of_the_oracle() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let data = Points::new(&[3], normal(7, 30));
    let narrow = |x: &[f32]| GaussianData::isotropic(x.iter().map(|x| f64::from(*x)).collect(), 1e-14).unwrap();
    let mixture = MixtureData::new(data.rows().map(|x| (1.0, narrow(x))).collect()).unwrap();
    let oracle = Oracle::new(mixture, &schedule, Parameterization::Epsilon);
    let points = EmpiricalMixture::new(&data, None, false).unwrap();
    let epsilon = normal(8, 3);
    for t in [1, 50, 200, 400, 700, 1000] {
        for example in 0..data.len() {
            let (signal, noise) = (schedule.alpha_bar(t).sqrt(), schedule.one_minus_alpha_bar(t).sqrt());
            let x_t: Vec<f64> = data
                .row(example)
                .iter()
                .zip(&epsilon)
                .map(|(x, e)| signal * f64::from(*x) + noise * f64::from(*e))
                .collect();
            let answer = oracle.answer(&x_t, t);
            let expected = answer.iter().zip(&epsilon).map(|(a, e)| (a - f64::from(*e)).powi(2)).sum::<f64>() / 3.0;
            let query = Query { example, noise: 0, snr: schedule.snr(t) };
            let found = points.losses(&data.values, &epsilon, &[query])[0];
            assert!((found - expected).abs() < 1e-6 * expected + 1e-9, "t = {t}: {found} for {expected}");
        }
    }
}

/// With points enough the mixture is the distribution that they are from: of unit variance, `ᾱ/(ᾱ + 1 - ᾱ)`.
#[test]
fn many_points_of_a_gaussian_have_its_loss() {
    let data = Points::new(&[2], normal(10, 2 * 20_000));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    let (x_0, epsilon) = (normal(11, 4000), normal(12, 4000));
    for snr in [0.05, 0.5, 3.0] {
        let queries: Vec<Query> = (0..2000).map(|i| Query { example: i, noise: i, snr }).collect();
        let losses = mixture.losses(&x_0, &epsilon, &queries);
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / losses.len() as f64;
        let expected = snr / (1.0 + snr);
        assert!(
            (mean - expected).abs() < 4.0 * (variance / losses.len() as f64).sqrt(),
            "{snr}: {mean} for {expected}"
        );
    }
}

/// arXiv:2506.13763: what is lost is what the posterior mean lacks in square.
#[test]
fn the_mean_loss_is_the_difference_of_the_squares() {
    let (count, dims, snr) = (50, 6, 0.8);
    let data = Points::new(&[dims], normal(13, count * dims));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    let repeats = 200;
    let epsilon = normal(14, count * repeats * dims);
    let queries: Vec<Query> = (0..count * repeats).map(|i| Query { example: i % count, noise: i, snr }).collect();
    let loss = mixture.losses(&data.values, &epsilon, &queries).iter().sum::<f64>() / queries.len() as f64;
    // |E[x_0 | x_t]|², from the loss at x_0 = 0 with the noise that leads to the same x_t.
    let shifted: Vec<f32> = queries
        .iter()
        .flat_map(|query| {
            let x = data.row(query.example).iter();
            x.zip(&epsilon[query.noise * dims..])
                .map(|(x, e)| (snr.sqrt() * f64::from(*x)) as f32 + e)
                .collect::<Vec<_>>()
        })
        .collect();
    let from_0: Vec<Query> = queries.iter().map(|query| Query { example: 0, ..*query }).collect();
    let squares = mixture.losses(&vec![0.0; dims], &shifted, &from_0).iter().sum::<f64>() / queries.len() as f64;
    let all = snr * data.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / data.values.len() as f64;
    assert!((loss - (all - squares)).abs() < 0.02 * loss, "{loss} for {}", all - squares);
}

#[test]
fn losses_do_not_depend_on_threads_or_company() {
    let data = Points::new(&[1, 28, 28], pictures(20, 1500, 784));
    let mixture = EmpiricalMixture::new(&data, None, false).unwrap();
    let (x_0, epsilon) = (pictures(21, 3, 784), normal(22, 3 * 784));
    let queries: Vec<Query> =
        (0..9).map(|i| Query { example: i % 3, noise: i / 3, snr: f64::exp(i as f64 - 6.0) }).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| mixture.losses(&x_0, &epsilon, &queries))
    };
    let all = with(1);
    assert_eq!(all, with(3));
    for (query, loss) in queries.iter().zip(&all) {
        assert_eq!(mixture.losses(&x_0, &epsilon, &[*query]), [*loss]);
    }
}
