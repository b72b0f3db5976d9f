//! The optimum is the one that its formula says, and the regret tells apart who has learned by heart.
//!
//! Longer than 400 lines, since all of its tests share the data sets, the networks and the direct sum that it begins with.

use std::{cell::Cell, ops::ControlFlow};

use proptest::prelude::*;
use sfumato_data::{Dataset, mirror};
use sfumato_evaluate::{
    Condition,
    regret::{
        EmpiricalMixture, Level, Query, Regret, RegretError, RegretPlan, RegretProgress, RegretSets, Verdict, levels,
        regret_of,
    },
};
use sfumato_model::{ModelError, NoisedBatch};
use sfumato_process::{
    noise::{Purpose, fill_normal},
    oracle::{GaussianData, MixtureData, Oracle},
    parameterization::Parameterization,
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

/// Of what is computed in floats; [`EmpiricalMixture::losses`] promises 0.2 % of a probability.
const CLOSE: f64 = 1e-3;

/// Points in memory, with classes if there are labels.
#[derive(Clone, Debug)]
struct Points {
    shape: Vec<usize>,
    values: Vec<f32>,
    labels: Vec<usize>,
    names: Vec<String>,
}

impl Points {
    fn new(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), values, labels: Vec::new(), names: Vec::new() }
    }

    fn labelled(self, labels: Vec<usize>) -> Self {
        let names = (0..=labels.iter().copied().max().unwrap()).map(|class| class.to_string()).collect();
        Self { labels, names, ..self }
    }

    fn row(&self, i: usize) -> &[f32] {
        let dims = self.example_len();
        &self.values[i * dims..(i + 1) * dims]
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.example_len())
    }
}

impl Dataset for Points {
    fn len(&self) -> usize {
        self.values.len() / self.example_len()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(self.row(i));
    }

    fn label(&self, i: usize) -> Option<usize> {
        self.labels.get(i).copied()
    }

    fn class_names(&self) -> &[String] {
        &self.names
    }
}

fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill_normal(seed, Purpose::Training, 0, 0, &mut values);
    values
}

/// Pictures of 256 levels that look like each other in part.
fn pictures(seed: u64, count: usize, dims: usize) -> Vec<f32> {
    let (common, own) = (normal(seed, dims), normal(seed + 1, count * dims));
    own.iter()
        .enumerate()
        .map(|(i, x)| {
            let level = (127.5 + 80.0 * (common[i % dims] + 0.5 * x)).round().clamp(0.0, 255.0);
            level / 127.5 - 1.0
        })
        .collect()
}

/// The loss by the formula: distances of `x_t`, a softmax, a mean, all in `f64`.
fn direct<'a>(points: impl Iterator<Item = &'a [f32]>, x_0: &[f32], epsilon: &[f32], snr: f64) -> f64 {
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let points: Vec<Vec<f64>> = points.map(wide).collect();
    let (x_0, epsilon) = (wide(x_0), wide(epsilon));
    let (alpha_bar, rest) = (snr / (1.0 + snr), 1.0 / (1.0 + snr));
    let x_t: Vec<f64> = x_0.iter().zip(&epsilon).map(|(x, e)| alpha_bar.sqrt() * x + rest.sqrt() * e).collect();
    let score = |x: &Vec<f64>| {
        let square: f64 = x.iter().zip(&x_t).map(|(x, x_t)| (x_t - alpha_bar.sqrt() * x).powi(2)).sum();
        -0.5 * square / rest
    };
    let scores: Vec<f64> = points.iter().map(score).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mean = |j: usize| points.iter().zip(&weights).map(|(x, weight)| weight * x[j]).sum::<f64>() / total;
    let error = |j: usize| (x_t[j] - alpha_bar.sqrt() * mean(j)) / rest.sqrt() - epsilon[j];
    (0..x_0.len()).map(|j| error(j).powi(2)).sum::<f64>() / x_0.len() as f64
}

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

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

fn plan(levels: Vec<Level>) -> RegretPlan {
    RegretPlan { levels, examples: 200, seed: 3, condition: Condition::None, mirrored: false, batch_size: 64 }
}

fn go_on(_: RegretProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Somebody who knows `points`, and nothing else.
fn memoriser<'a>(points: &'a Points) -> impl Fn(&NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> + 'a {
    let schedule = schedule();
    move |batch| {
        let dims = points.example_len();
        let rows = batch.x_0.chunks_exact(dims).zip(batch.epsilon.chunks_exact(dims)).zip(batch.steps);
        let losses = rows.map(|((x_0, epsilon), &t)| {
            let known = points.rows().enumerate().filter(|(i, _)| match (batch.classes, points.label(*i)) {
                (Some(classes), Some(label)) => classes[0] == label,
                _ => true,
            });
            direct(known.map(|(_, x)| x), x_0, epsilon, schedule.snr(t))
        });
        Ok(losses.collect())
    }
}

/// Somebody who knows that the data is standard normal: `ε̂ = √(1 - ᾱ) x_t`.
fn statistician(batch: &NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> {
    let schedule = schedule();
    let dims = batch.x_0.len() / batch.steps.len();
    let rows = batch.x_0.chunks_exact(dims).zip(batch.epsilon.chunks_exact(dims)).zip(batch.steps);
    let loss = |((x_0, epsilon), &t): ((&[f32], &[f32]), &usize)| {
        let (signal, noise) = (schedule.alpha_bar(t).sqrt(), schedule.one_minus_alpha_bar(t).sqrt());
        let error =
            |(x, e): (&f32, &f32)| (f64::from(*e) - noise * (signal * f64::from(*x) + noise * f64::from(*e))).powi(2);
        x_0.iter().zip(epsilon).map(error).sum::<f64>() / dims as f64
    };
    Ok(rows.map(loss).collect())
}

fn measured(
    ask: &sfumato_evaluate::regret::NoiseLosses<'_>,
    train: &Points,
    held_out: Option<&Points>,
    plan: &RegretPlan,
) -> Result<Regret, RegretError> {
    let held_out = held_out.map(|data| data as &dyn Dataset);
    regret_of(ask, plan, &RegretSets { train, held_out }, &mut go_on)
}

#[test]
fn who_has_learned_by_heart_has_no_regret_but_a_gap() {
    let (train, test) = (Points::new(&[2], normal(30, 40)), Points::new(&[2], normal(31, 400)));
    let plan = plan(levels(&schedule(), 20));
    let found = measured(&memoriser(&train), &train, Some(&test), &plan).unwrap();
    assert_eq!(found.verdict, Verdict::MostlyByHeart);
    assert_eq!((found.train_examples, found.held_out_examples, found.mixture), (200, 200, 20));
    let held_out = found.mean.held_out.unwrap();
    assert!(found.mean.regret.value.abs() < 1e-4 * found.mean.train.value, "{found:?}");
    assert!((held_out.loss.value / held_out.memoriser.value - 1.0).abs() < 1e-4);
    assert!((held_out.gap.value - held_out.loss.value + found.mean.train.value).abs() < 1e-9);
    for level in &found.levels {
        let figures = &level.figures;
        let held_out = figures.held_out.unwrap();
        assert!((figures.regret.value - figures.train.value + figures.optimum.value).abs() < 1e-12);
        assert!(
            (held_out.gap.value - held_out.loss.value + figures.train.value).abs()
                < 1e-9 * held_out.loss.value.max(1.0)
        );
    }
    let total: f64 = found.levels.iter().map(|level| level.level.share * level.figures.train.value).sum();
    assert!((total - found.mean.train.value).abs() < 1e-12);
}

#[test]
fn who_knows_the_distribution_has_a_regret_and_no_gap() {
    let (train, test) = (Points::new(&[2], normal(32, 400)), Points::new(&[2], normal(33, 2000)));
    let plan = RegretPlan { examples: 1000, ..plan(levels(&schedule(), 20)) };
    let found = measured(&statistician, &train, Some(&test), &plan).unwrap();
    assert_eq!(found.verdict, Verdict::NoSign, "{:?}", found.mean);
    let mean = found.mean;
    assert!(mean.regret.value > 5.0 * mean.regret.standard_error && mean.regret.value > 0.0);
    // Nothing is below the optimum on training examples, and the statistician is best on others.
    let held_out = mean.held_out.unwrap();
    assert!(held_out.memoriser.value > held_out.loss.value);
    let alone = measured(&statistician, &train, None, &plan).unwrap();
    assert_eq!((alone.verdict, alone.mean.train), (Verdict::NothingHeldOut, mean.train));
}

#[test]
fn a_model_that_is_told_classes_is_compared_within_them() {
    let labels = |count: usize| (0..count).map(|i| i % 3).collect::<Vec<_>>();
    let train = Points::new(&[2], normal(34, 60)).labelled(labels(30));
    let test = Points::new(&[2], normal(35, 60)).labelled(labels(30));
    let told = RegretPlan { condition: Condition::Labels, batch_size: 1, ..plan(levels(&schedule(), 5)) };
    let found = measured(&memoriser(&train), &train, Some(&test), &told).unwrap();
    assert!(found.within_classes && found.mean.regret.value.abs() < 1e-4 * found.mean.train.value.max(1e-3));
    // Of 10 points one is told more easily than of 30.
    let untold = measured(&memoriser(&train), &train, Some(&test), &plan(levels(&schedule(), 5))).unwrap();
    assert!(found.mean.optimum.value < untold.mean.optimum.value);

    let unlabelled = Points::new(&[2], normal(35, 60));
    let refused = |train: &Points, test: &Points| measured(&statistician, train, Some(test), &told).unwrap_err();
    assert!(matches!(refused(&train, &unlabelled), RegretError::NoLabels { set: "held-out" }));
    let other = unlabelled.clone().labelled(vec![3; 30]);
    assert!(matches!(refused(&train, &other), RegretError::NoSuchClass { class: 3, .. }));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let plan = plan(levels(&schedule(), 5));
    let train = Points::new(&[2], normal(36, 60));
    let refused = |train: &Points, test: &Points| measured(&statistician, train, Some(test), &plan).unwrap_err();
    let flat = Points::new(&[1, 1, 2], normal(37, 60));
    assert!(matches!(refused(&train, &flat), RegretError::Shape { .. }));
    let one = Points::new(&[2], normal(38, 2));
    assert!(matches!(refused(&train, &one), RegretError::TooFew { set: "held-out", found: 1 }));
    let mut broken = train.clone();
    broken.values[7] = f32::NAN;
    assert!(matches!(refused(&broken, &train), RegretError::NotANumber { example: 3 }));
    let mad = |batch: &NoisedBatch<'_>| Ok(vec![f64::NAN; batch.steps.len()]);
    let found = measured(&mad, &train, None, &plan).unwrap_err();
    assert!(matches!(found, RegretError::NotFinite { set: "training", t: 1, .. }), "{found}");
}

/// A stop leaves what is done, which is the beginning of the whole.
#[test]
fn a_stop_leaves_a_part() {
    let (train, test) = (Points::new(&[2], normal(39, 600)), Points::new(&[2], normal(40, 600)));
    let plan = plan(levels(&schedule(), 5));
    let sets = RegretSets { train: &train, held_out: Some(&test) };
    let seen = Cell::new(0);
    let mut until = |progress: RegretProgress| {
        seen.set(progress.examples);
        if progress.examples >= 64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let part = regret_of(&statistician, &plan, &sets, &mut until).unwrap();
    assert_eq!((part.train_examples, part.held_out_examples), (seen.get(), seen.get()));
    let same = RegretPlan { examples: seen.get(), ..plan.clone() };
    assert_eq!(part, regret_of(&statistician, &same, &sets, &mut go_on).unwrap());
    let nothing = regret_of(&statistician, &plan, &sets, &mut |_| ControlFlow::Break(()));
    assert!(matches!(nothing, Err(RegretError::Stopped { done: 0, total: 200 })));
}
