//! Densities of noise levels: what is drawn, how often, and that no expectation depends on it.

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData},
};
use proptest::prelude::*;
use rand::RngExt;
use sfumato_process::{
    Denoiser, DiffusionObjective, Loss, ModelVariance, Objective, Parameterization,
    bound::Decoder,
    noise::{Purpose, fill_normal, stream},
    objective::Weight,
    oracle::{GaussianData, Oracle},
    times::{Density, HISTORY, LevelOptions, TimeSampler, TimesError},
};
use sfumato_schedule::NoiseSchedule;

type Train = Autodiff<Flex>;
const DEVICE: FlexDevice = FlexDevice;
const F64: (&FlexDevice, DType) = (&DEVICE, DType::F64);

fn schedule(steps: usize) -> NoiseSchedule {
    // Few steps over a wide range of noise levels.
    let share = |i: usize| i as f64 / (steps - 1).max(1) as f64;
    NoiseSchedule::from_betas((0..steps).map(|i| 0.02 + 0.48 * share(i)).collect()).unwrap()
}

/// A sampler that is warm, if it learns.
fn sampler(density: Density, schedule: &NoiseSchedule) -> TimeSampler {
    let mut times = TimeSampler::new(density, schedule).unwrap();
    let t: Vec<usize> = (1..=schedule.steps()).collect();
    let losses: Vec<f64> = t.iter().map(|&t| 3.0 / t as f64 + (t % 3) as f64).collect();
    (0..HISTORY).for_each(|_| times.record(&t, &losses));
    times
}

fn densities() -> impl Strategy<Value = Density> {
    let options = || {
        (0.001..0.5f64, any::<bool>(), any::<bool>()).prop_map(|(uniform_share, strata, unbiased)| LevelOptions {
            uniform_share,
            strata,
            unbiased,
        })
    };
    prop_oneof![
        Just(Density::Uniform),
        Just(Density::Stratified),
        any::<bool>().prop_map(|strata| Density::Importance { strata }),
        (-2.0..1.0, 0.3..3.0, options()).prop_map(|(mean, deviation, options)| Density::LogNormal {
            mean,
            deviation,
            options
        }),
        (-2.0..2.0, 0.3..3.0, options()).prop_map(|(mean, scale, options)| Density::Laplace { mean, scale, options }),
    ]
}

/// The oracle's answer, scaled and moved by the parameters, and a third one as its word on the variance.
struct Student {
    oracle: Oracle,
    theta: Tensor<Train, 1>,
    learned: bool,
}

impl Denoiser<Train, 2> for Student {
    fn predict(&self, x_t: Tensor<Train, 2>, t: &[usize]) -> Tensor<Train, 2> {
        let theta = |i| self.theta.clone().narrow(0, i, 1).reshape([1, 1]);
        let answer = self.oracle.predict(x_t, t);
        let word = answer.zeros_like() + theta(2);
        let said = answer * theta(0) + theta(1);
        if self.learned { Tensor::cat(vec![said, word], 1) } else { said }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    steps: usize,
    objective: DiffusionObjective,
    density: Density,
    theta: [f64; 3],
    seed: u64,
}

impl Case {
    /// The mean loss of some examples at step `t`, and its gradient.
    fn at(&self, schedule: &NoiseSchedule, t: usize) -> [f64; 4] {
        const N: usize = 3;
        let draw = |purpose| {
            let mut values = vec![0.0; 2 * N];
            fill_normal(self.seed, purpose, t as u64, 0, &mut values);
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            Tensor::<Train, 2>::from_data(TensorData::new(values, [N, 2]), F64)
        };
        let data = GaussianData::full(vec![0.4, -0.2], &[0.5, 0.2, 0.2, 0.3]).unwrap();
        let oracle = Oracle::new(data, schedule, self.objective.parameterization);
        let theta = Tensor::<Train, 1>::from_data(TensorData::new(self.theta.to_vec(), [3]), F64).require_grad();
        let student = Student { oracle, theta: theta.clone(), learned: self.objective.variance.learned().is_some() };
        let (x_0, epsilon) = (draw(Purpose::Forward) * 0.7, draw(Purpose::Training));
        let loss = self.objective.losses(schedule, &student, x_0, &[t; N], epsilon).unwrap().mean();
        let value = loss.clone().into_data().iter::<f64>().next().unwrap();
        let gradient: Vec<f64> = theta.grad(&loss.backward()).unwrap().into_data().iter::<f64>().collect();
        [value, gradient[0], gradient[1], gradient[2]]
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let parameterization =
        prop_oneof![Just(Parameterization::Epsilon), Just(Parameterization::X0), Just(Parameterization::V)];
    let kind = prop_oneof![
        Just((ModelVariance::FixedSmall, Loss::Simple)),
        Just((ModelVariance::FixedLarge, Loss::Vlb)),
        Just((ModelVariance::LearnedRange, Loss::Hybrid)),
        Just((ModelVariance::Learned, Loss::Vlb)),
    ];
    let weight = prop_oneof![
        Just(Weight::Simple),
        Just(Weight::Bound),
        Just(Weight::MIN_SNR),
        Just(Weight::P2),
        Just(Weight::SIGMOID)
    ];
    let theta = [0.5..1.5, -0.3..0.3, -1.0..1.0].map(|range| range.boxed());
    (2..16usize, parameterization, kind, weight, densities(), theta, any::<u64>()).prop_map(
        |(steps, parameterization, (variance, loss), weight, density, theta, seed)| {
            let weight = if loss == Loss::Vlb { Weight::Simple } else { weight };
            let objective = DiffusionObjective { parameterization, variance, loss, weight, decoder: Decoder::Gaussian };
            Case { steps, objective, density, theta, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// By an exact sum over the steps: `Σ_t p_t · g(t) / (T p_t) = (1/T) Σ_t g(t)`, for the loss and its gradient.
    #[test]
    fn the_expected_loss_and_gradient_are_those_of_uniform_steps(case in cases()) {
        let schedule = schedule(case.steps);
        let times = sampler(case.density, &schedule);
        let (mut expected, mut right, mut scale) = ([0.0; 4], [0.0; 4], [0.0; 4]);
        let mut below = 0.0;
        for t in 1..=case.steps {
            let p = times.probability(t);
            let draw = times.draw(below + 0.5 * p);
            below += p;
            prop_assert_eq!(draw.t, t);
            let share = if case.density.is_unbiased() { 1.0 / case.steps as f64 } else { p };
            for (i, g) in case.at(&schedule, t).into_iter().enumerate() {
                expected[i] += p * draw.weight * g;
                right[i] += share * g;
                scale[i] += (share * g).abs();
            }
        }
        prop_assert!((below - 1.0).abs() < 1e-12, "{below}");
        for i in 0..4 {
            prop_assert!((expected[i] - right[i]).abs() <= 1e-9 * scale[i], "{i}: {} {}", expected[i], right[i]);
        }
    }

    /// Evenly spread numbers give each step its share of every batch, but for one example.
    #[test]
    fn strata_cover_every_batch(density in densities(), steps in 1..30usize, size in 1..100usize, seed in any::<u64>(), first in 0..1u64 << 40) {
        prop_assume!(density.is_stratified());
        let schedule = schedule(steps);
        let times = sampler(density, &schedule);
        let mut counts = vec![0.0; steps];
        let draws = times.draws(seed, first, size);
        prop_assert_eq!(draws.len(), size);
        draws.iter().for_each(|draw| counts[draw.t - 1] += 1.0);
        for (t, count) in (1..).zip(counts) {
            let share = times.probability(t) * size as f64;
            prop_assert!((count - share).abs() < 1.0 + 1e-9, "{t}: {count} of {share}");
        }
        prop_assert_eq!(draws, times.draws(seed, first, size));
    }
}

/// `Σ (observed - expected)² / expected` over the steps.
fn chi_square(draws: &[usize], probability: impl Fn(usize) -> f64, steps: usize) -> f64 {
    let mut counts = vec![0.0; steps];
    draws.iter().for_each(|t| counts[t - 1] += 1.0);
    let expected = |t: usize| probability(t) * draws.len() as f64;
    (1..).zip(counts).map(|(t, count): (usize, f64)| (count - expected(t)).powi(2) / expected(t)).sum()
}

#[test]
fn steps_are_drawn_as_often_as_they_should_be() {
    let schedule = schedule(12);
    let options = LevelOptions { uniform_share: 0.01, ..LevelOptions::USUAL };
    let all = [
        Density::Uniform,
        Density::Stratified,
        Density::IMPORTANCE,
        Density::LOG_NORMAL,
        Density::LAPLACE,
        Density::LogNormal { mean: 0.2, deviation: 2.0, options },
        Density::Laplace { mean: 1.0, scale: 2.0, options },
    ];
    for (i, density) in all.into_iter().enumerate() {
        let times = sampler(density, &schedule);
        // Of a stratified density one from each batch, since those of a batch are not independent.
        let drawn: Vec<usize> = (0..200_000).map(|n| times.draws(5, 8 * n, 1)[0].t).collect();
        let found = chi_square(&drawn, |t| times.probability(t), 12);
        // 1 in 10,000 samples has more, with 11 degrees of freedom.
        assert!(found < 37.4, "{density}: {found}");
        // Those of another density show.
        let other = sampler(all[(i + 2) % all.len()], &schedule);
        let found = chi_square(&drawn, |t| other.probability(t), 12);
        assert!(found > 1000.0, "{density} as {}: {found}", other.density());
    }
}

/// Noise levels drawn from the continuous distributions fall to the nearest step as often as it is drawn.
#[test]
fn densities_of_noise_levels_are_those_of_their_names() {
    let schedule = schedule(12);
    let levels: Vec<f64> = (1..=12).map(|t| schedule.log_snr(t)).collect();
    // Half a step beyond the outermost levels.
    let (top, end) = (1.5 * levels[0] - 0.5 * levels[1], 1.5 * levels[11] - 0.5 * levels[10]);
    for density in [Density::LOG_NORMAL, Density::Laplace { mean: 1.0, scale: 1.5, options: LevelOptions::USUAL }] {
        let draw = |n: u64| {
            let mut normal = [0.0];
            fill_normal(3, Purpose::Strata, n, 0, &mut normal);
            let mut rng = stream(4, Purpose::Strata, n, 0);
            let (sign, u): (bool, f64) = (rng.random(), rng.random());
            match density {
                // λ = -2 ln σ.
                Density::LogNormal { .. } => -2.0 * (-1.2 + 1.2 * f64::from(normal[0])),
                _ => 1.0 + if sign { 1.5 } else { -1.5 } * -(1.0 - u).ln(),
            }
        };
        let near = |level: f64| {
            let gap = |t: &usize| (levels[t - 1] - level).abs();
            (1..=12).min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap()
        };
        let drawn: Vec<usize> = (0..200_000).map(draw).filter(|level| *level < top && *level > end).map(near).collect();
        let times = TimeSampler::new(density, &schedule).unwrap();
        let without_share = |t| (times.probability(t) - 0.001 / 12.0) / 0.999;
        let found = chi_square(&drawn, without_share, 12);
        assert!(found < 37.4 && drawn.len() > 100_000, "{density}: {found} of {}", drawn.len());
    }
}

/// A run of an older version goes on with the same bits.
#[test]
fn uniform_steps_are_those_of_older_versions() {
    let times = TimeSampler::new(Density::Uniform, &schedule(100)).unwrap();
    let draws = times.draws(9, 640, 64);
    for (draw, example) in draws.iter().zip(640..) {
        let t = stream(9, Purpose::TrainingStep, example, 0).random_range(1..=100);
        assert_eq!((draw.t, draw.weight), (t, 1.0));
    }
    assert!(!times.is_weighted() && !times.learns() && times.history().is_none());
}

#[test]
fn a_history_of_another_chain_and_a_density_elsewhere_are_refused() {
    let short = sampler(Density::IMPORTANCE, &schedule(5));
    let history = short.history().unwrap().clone();
    let times = |steps| TimeSampler::new(Density::IMPORTANCE, &schedule(steps)).unwrap();
    assert_eq!(times(5).with_history(history.clone()).unwrap(), short);
    assert!(matches!(times(6).with_history(history), Err(TimesError::Length { steps: 6, .. })));

    let options = LevelOptions::USUAL;
    let far = Density::LogNormal { mean: 500.0, deviation: 1.0, options };
    assert_eq!(TimeSampler::new(far, &schedule(5)).unwrap_err(), TimesError::NoMass);
    for (density, parameter) in [
        (Density::LogNormal { mean: f64::NAN, deviation: 1.0, options }, "mean"),
        (Density::LogNormal { mean: 0.0, deviation: 0.0, options }, "deviation"),
        (Density::Laplace { mean: 0.0, scale: -1.0, options }, "scale"),
        (
            Density::Laplace { mean: 0.0, scale: 1.0, options: LevelOptions { uniform_share: 0.0, ..options } },
            "uniform_share",
        ),
    ] {
        let Err(TimesError::Parameter(error)) = TimeSampler::new(density, &schedule(5)) else { panic!("{density}") };
        assert_eq!(error.parameter, parameter);
    }
    // As a weight it may leave steps out.
    let options = LevelOptions { uniform_share: 0.0, unbiased: false, ..options };
    let times = TimeSampler::new(Density::Laplace { mean: 0.0, scale: 1.0, options }, &schedule(5)).unwrap();
    assert!(!times.is_weighted() && times.draw(0.3).weight == 1.0);
    assert_eq!(TimeSampler::new(Density::LOG_NORMAL, &schedule(1)).unwrap().probability(1), 1.0);
}
