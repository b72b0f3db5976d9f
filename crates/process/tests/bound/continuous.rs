//! The bound in continuous time: closed forms, quadratures, and the limit of chains with ever more steps.

use std::ops::ControlFlow;

use burn::{
    backend::Flex,
    tensor::{Tensor, backend::Backend},
};
use sfumato_process::{
    Chain, Denoiser, NoiseLevel, Parameterization, ReverseVariance,
    bound::{
        AffineChain, Bound, BoundError, BoundNoise, ContinuousPlan, Decoder, Examples, LevelStrata, Plan, Progress,
        Strata, estimate, estimate_continuous, level_terms,
    },
    forward::q_sample_between,
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, probability::Gaussian};

use super::common::{DEVICE, rng, tensor};

/// Examples in memory.
struct List {
    dimensions: Vec<usize>,
    values: Vec<f32>,
}

impl List {
    fn draw(data: &MixtureData, n: usize) -> Self {
        let mut rng = rng(23);
        let values = (0..n).flat_map(|_| data.sample(&mut rng)).map(|x| x as f32).collect();
        Self { dimensions: vec![data.dimensions()], values }
    }
}

impl Examples for List {
    fn len(&self) -> usize {
        self.values.len() / self.dimensions[0]
    }

    fn shape(&self) -> &[usize] {
        &self.dimensions
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values[i * out.len()..(i + 1) * out.len()]);
    }
}

fn linear(steps: usize) -> NoiseSchedule {
    ScheduleConfig::default().with_steps(steps).unwrap().build().unwrap()
}

fn plan(chain: &Chain, draws: usize, seed: u64) -> ContinuousPlan {
    ContinuousPlan { decoder: Decoder::Gaussian, levels: LevelStrata::of(chain, 10), draws, seed }
}

fn run(chain: &Chain, oracle: &Oracle, plan: &ContinuousPlan, list: &List, batch: usize) -> Result<Bound, BoundError> {
    let mut ignore = |_: Progress| ControlFlow::Continue(());
    estimate_continuous::<Flex, 2>(
        chain,
        &|x, t, _| oracle.predict_between(x, t),
        plan,
        list,
        batch,
        &DEVICE,
        &mut ignore,
    )
}

/// `½ ∫ v e^λ/(1 + v e^λ) dλ`, the integral for a perfect denoiser of data of variance `v`.
fn closed_form(variance: f64, [most, least]: [f64; 2]) -> f64 {
    0.5 * ((variance * most.exp()).ln_1p() - (variance * least.exp()).ln_1p())
}

/// The mean over `x_0` and `ε` at one level, exactly: the term is quadratic in both, so that one standard deviation to either side will do.
fn exact_term(chain: &Chain, oracle: &Oracle, data: &Gaussian, level: NoiseLevel) -> f64 {
    let (low, high) = (data.mean() - data.std_dev(), data.mean() + data.std_dev());
    let x_0 = || tensor(vec![low, low, high, high], [4, 1]);
    let x_t = q_sample_between(x_0(), &[level; 4], tensor(vec![-1.0, 1.0, -1.0, 1.0], [4, 1]));
    level_terms(chain, oracle, x_0(), x_t, &[level; 4]).unwrap().iter().sum::<f64>() / 4.0
}

#[test]
fn the_integrand_of_gaussian_data_is_the_closed_form_at_any_time_and_reading() {
    let data = Gaussian::new(0.3, 0.2).unwrap();
    for schedule in [linear(1000), linear(3), "cosine:50".parse::<ScheduleConfig>().unwrap().build().unwrap()] {
        let curve = schedule.log_snr_curve();
        let steps = schedule.steps() as f64;
        for reading in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
            let chain = Chain::new(&schedule, reading);
            let oracle = Oracle::new(GaussianData::isotropic(vec![0.3], 0.2).unwrap(), &schedule, reading);
            let term = |t: f64| exact_term(&chain, &oracle, &data, NoiseLevel::of_log_snr(curve.at(t), t));
            for t in [1.0, 1.0 + 0.37 * (steps - 1.0), 1.0 + 0.5003 * (steps - 1.0), steps] {
                let snr = 0.2 * curve.at(t).exp();
                let expected = 0.5 * snr / (1.0 + snr);
                assert!((term(t) / expected - 1.0).abs() < 1e-6, "{reading:?} at {t}: {} for {expected}", term(t));
            }
            // The integral by the midpoint rule over log-SNR, whose error falls like the square of the width.
            let [most, least] = curve.ends();
            let width = (most - least) / 2000.0;
            let levels = (0..2000).map(|i| most - width * (f64::from(i) + 0.5));
            let sum: f64 = levels.map(|log_snr| width * term(curve.time_of(log_snr))).sum();
            let expected = closed_form(0.2, [most, least]);
            assert!((sum / expected - 1.0).abs() < 1e-4, "{reading:?}: {sum} for {expected}");
        }
    }
}

/// Two dimensions of different variances: prior, integral and decoder are known.
#[test]
fn estimates_of_gaussian_data_are_within_four_standard_errors_of_the_closed_form() {
    let schedule = linear(1000);
    let (means, variances) = ([0.3, -0.5], [0.2, 0.01]);
    let data = GaussianData::diagonal(means.to_vec(), variances.to_vec()).unwrap();
    let chain = Chain::new(&schedule, Parameterization::V);
    let oracle = Oracle::new(data.clone(), &schedule, Parameterization::V);
    let list = List::draw(&data.into(), 4000);
    let ends = schedule.log_snr_curve().ends();
    let mut expected = [0.0; 3];
    for (mean, variance) in means.into_iter().zip(variances) {
        let gain = |i: usize| {
            let signal = schedule.alpha_bar(i);
            let gain = signal.sqrt() * variance / (signal * variance + schedule.one_minus_alpha_bar(i));
            (gain, mean * (1.0 - gain * signal.sqrt()))
        };
        let exact = AffineChain::of_predictions(&chain, gain).unwrap();
        let exact = exact.bound(&schedule, &Gaussian::new(mean, variance).unwrap());
        let parts = [exact.prior, closed_form(variance, ends), exact.decoder];
        expected.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let found = run(&chain, &oracle, &plan(&chain, 1, 1), &list, 512).unwrap();
    assert_eq!((found.examples, found.evaluations, found.steps.len()), (4000, 4000 * 21, 1));
    let total: f64 = expected.iter().sum();
    let parts = [found.prior, found.diffusion, found.decoder, found.total];
    for (mean, expected) in parts.into_iter().zip(expected.into_iter().chain([total])) {
        let error = mean.standard_error.unwrap();
        assert!((mean.mean - expected).abs() < 4.0 * error, "{mean:?} for {expected}");
    }
    // The strata are the parts of the integral.
    assert_eq!(found.levels.len(), 10);
    let sum: f64 = found.levels.iter().map(|level| level.term.mean).sum();
    assert!((sum / found.diffusion.mean - 1.0).abs() < 1e-9);
    assert_eq!((found.levels[0].time[0], found.levels[9].time[1]), (1.0, 1000.0));
    for level in &found.levels {
        let expected: f64 = variances.iter().map(|&variance| closed_form(variance, level.log_snr)).sum();
        let error = level.term.standard_error.unwrap();
        assert!((level.term.mean - expected).abs() < 4.5 * error, "{level:?} for {expected}");
    }
    // The decoder and the prior are those of the sum over steps, with the same noise.
    let strata = Strata::with_stride(1000, 1000);
    let steps = Plan { decoder: Decoder::Gaussian, strata, draws: 1, noise: BoundNoise::Seeded(1), seed: 1 };
    let mut ignore = |_: Progress| ControlFlow::Continue(());
    let discrete =
        estimate::<Flex, 2>(&chain, &|x, t, _| oracle.predict(x, t), &steps, &list, 512, &DEVICE, &mut ignore).unwrap();
    assert_eq!(found.prior, discrete.prior);
    assert!((found.decoder.mean / discrete.decoder.mean - 1.0).abs() < 1e-4);
}

fn mixture() -> MixtureData {
    let component = |weight, mean| (weight, GaussianData::isotropic(vec![mean], 0.01).unwrap());
    MixtureData::new(vec![component(0.3, -0.7), component(0.7, 0.5)]).unwrap()
}

/// `½ SNR E Var(x_0 | x_t)` by the trapezoidal rule in `x_t`, and then over log-SNR.
fn quadrature(data: &MixtureData, [most, least]: [f64; 2]) -> f64 {
    let (levels, places, reach) = (400, 1500, 6.0);
    let width = (most - least) / f64::from(levels);
    let at = |log_snr: f64| {
        let noised = data.noised_between(NoiseLevel::of_log_snr(log_snr, 1.0));
        let step = 2.0 * reach / f64::from(places);
        let place = |i: i32| {
            let x = [-reach + step * f64::from(i)];
            noised.log_density(&x).exp() * noised.variance_x_0(&x)
        };
        0.5 * log_snr.exp() * step * (0..=places).map(place).sum::<f64>()
    };
    width * (0..levels).map(|i| at(most - width * (f64::from(i) + 0.5))).sum::<f64>()
}

/// For mixtures the integral is known by quadrature, and with the best decoder variance the bound comes close to the entropy of the data.
#[test]
fn estimates_of_a_mixture_agree_with_quadrature() {
    let schedule = linear(1000);
    let expected = quadrature(&mixture(), schedule.log_snr_curve().ends());
    let list = List::draw(&mixture(), 3000);
    for reading in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        let chain = Chain::new(&schedule, reading);
        let oracle = Oracle::new(mixture(), &schedule, reading);
        let found = run(&chain, &oracle, &plan(&chain, 2, 4), &list, 600).unwrap();
        let error = found.diffusion.standard_error.unwrap();
        assert!((found.diffusion.mean - expected).abs() < 4.0 * error, "{:?} for {expected}", found.diffusion);
        assert!(error < 0.02 * expected, "{error}");
    }
}

/// The same log-SNR curve in more and more steps: what is left to the limit falls like the number of steps grows, whichever the variance.
#[test]
fn the_bound_in_continuous_time_is_the_limit_of_ever_more_steps() {
    let data = Gaussian::new(0.3, 0.2).unwrap();
    // A straight line, and a curve that is so steep at the data that a hundred steps are few.
    let line: Vec<f64> = (0..=190).map(|i| 9.0 - 0.1 * f64::from(i)).collect();
    for (base, most) in [(NoiseSchedule::from_log_snrs(&line).unwrap(), 13.0), (linear(1000), 25.0)] {
        falls_like_one_over_steps(&base, &data, most);
    }
}

/// With ten times as many steps the excess is a tenth; `most` for the coarsest.
fn falls_like_one_over_steps(base: &NoiseSchedule, data: &Gaussian, most: f64) {
    let curve = base.log_snr_curve();
    let limit = closed_form(0.2, curve.ends());
    for variance in [ReverseVariance::FixedSmall, ReverseVariance::FixedLarge] {
        let excess = [100, 1000, 10_000].map(|steps| {
            let schedule = curve.in_steps(steps).unwrap();
            let chain = Chain::new(&schedule, Parameterization::X0).with_variance(variance);
            let best = |i: usize| {
                let signal = schedule.alpha_bar(i);
                let gain = signal.sqrt() * 0.2 / (signal * 0.2 + schedule.one_minus_alpha_bar(i));
                (gain, 0.3 * (1.0 - gain * signal.sqrt()))
            };
            let exact = AffineChain::of_predictions(&chain, best).unwrap().bound(&schedule, data);
            assert!((exact.prior - base.prior_kl(0.09 + 0.2)).abs() < 1e-12, "the ends stay");
            exact.steps.iter().sum::<f64>() - limit
        });
        let [coarse, fine] = [excess[0] / excess[1], excess[1] / excess[2]];
        assert!(excess[2] > 0.0 && (8.0..most).contains(&coarse), "{variance:?}: {excess:?}");
        assert!((8.0..13.0).contains(&fine), "{variance:?}: {excess:?}");
        assert!(excess[2] < 2e-2 * limit, "{variance:?}: {excess:?}");
    }
}

/// One example, many seeds: the mean of the estimates is the integral, not one that depends on strata or draws.
#[test]
fn estimates_are_unbiased_over_seeds() {
    let schedule = linear(100);
    let (x_0, variance) = (0.9_f64, 0.2_f64);
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle =
        Oracle::new(GaussianData::isotropic(vec![0.0], variance).unwrap(), &schedule, Parameterization::Epsilon);
    let list = List { dimensions: vec![1], values: vec![x_0 as f32] };
    // E (x_0 - E[x_0 | x_t])² over the noise: with V = ᾱ v + 1 - ᾱ it is ((1 - ᾱ)/V)² x_0² + ᾱ (1 - ᾱ) (v/V)².
    let [most, least] = schedule.log_snr_curve().ends();
    let at = |log_snr: f64| {
        let (signal, noise) = (1.0 / (1.0 + (-log_snr).exp()), 1.0 / (1.0 + log_snr.exp()));
        let spread = signal * variance + noise;
        let error = (noise / spread * x_0).powi(2) + signal * noise * (variance / spread).powi(2);
        0.5 * log_snr.exp() * error
    };
    let width = (most - least) / 100_000.0;
    let expected: f64 = (0..100_000).map(|i| width * at(most - width * (f64::from(i) + 0.5))).sum();
    for (strata, draws) in [(1, 1), (10, 1), (3, 2)] {
        let estimates: Vec<f64> = (0..2000)
            .map(|seed| {
                let levels = LevelStrata::of(&chain, strata);
                let plan = ContinuousPlan { decoder: Decoder::Gaussian, levels, draws, seed };
                run(&chain, &oracle, &plan, &list, 64).unwrap().diffusion.mean
            })
            .collect();
        let (mean, error) = super::common::mean(&estimates);
        assert!((mean - expected).abs() < 4.0 * error, "{strata} strata: {mean} ± {error} for {expected}");
    }
}

#[test]
fn the_result_depends_neither_on_the_batch_size_nor_on_other_examples() {
    let schedule = linear(40);
    let chain = Chain::new(&schedule, Parameterization::V);
    let oracle = Oracle::new(mixture(), &schedule, Parameterization::V);
    let list = List::draw(&mixture(), 20);
    let plan = plan(&chain, 2, 5);
    let reference = run(&chain, &oracle, &plan, &list, 1).unwrap();
    for batch in [3, 64, 10_000] {
        assert_eq!(run(&chain, &oracle, &plan, &list, batch).unwrap(), reference);
    }
    let some = List { dimensions: vec![1], values: list.values[..7].to_vec() };
    assert_eq!(run(&chain, &oracle, &plan, &some, 64).unwrap().each, reference.each[..7]);
    // Stopped after the first batch: what is complete is the result.
    let mut stop = |_: Progress| ControlFlow::Break(());
    let predict = |x: Tensor<Flex, 2>, t: &[f64], _: &[usize]| oracle.predict_between(x, t);
    let mut stopped = |batch| estimate_continuous::<Flex, 2>(&chain, &predict, &plan, &list, batch, &DEVICE, &mut stop);
    assert_eq!(stopped(41).unwrap_err(), BoundError::Stopped { done: 0, total: 20 });
    assert_eq!(stopped(90).unwrap().each, reference.each[..2]);
}

/// A network with a learned variance, and a prediction that clipping changes.
struct Learned;
impl Denoiser<Flex, 2> for Learned {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        Tensor::cat(vec![x_t.clone() * 3.0, x_t.zeros_like() + 0.5], 1)
    }
}

#[test]
fn learned_variances_are_the_decoders_alone_and_predictions_are_clipped_where_the_chain_clips() {
    let schedule = linear(8);
    let list = List::draw(&mixture(), 30);
    let run = |chain: &Chain| {
        let mut ignore = |_: Progress| ControlFlow::Continue(());
        let plan = plan(chain, 1, 3);
        let predict = |x, t: &[f64], _: &[usize]| Learned.predict_between(x, t);
        estimate_continuous::<Flex, 2>(chain, &predict, &plan, &list, 64, &DEVICE, &mut ignore)
    };
    let chain = Chain::new(&schedule, Parameterization::X0);
    let [fixed, learned] = [run(&chain).unwrap(), run(&chain.clone().with_learned_range()).unwrap()];
    assert_eq!((&fixed.diffusion, &fixed.levels), (&learned.diffusion, &learned.levels));
    assert!(fixed.decoder != learned.decoder);
    let table = vec![0.75 * schedule.beta(1).ln() + 0.25 * schedule.posterior_log_variance(1); 8];
    let same = run(&chain.clone().with_log_variances(table).unwrap()).unwrap();
    assert!((same.decoder.mean / learned.decoder.mean - 1.0).abs() < 1e-6);
    let clipped = run(&chain.clone().with_clip(true)).unwrap();
    assert!(clipped.diffusion.mean < fixed.diffusion.mean);
    // Networks without a word on the variance.
    let oracle = Oracle::new(mixture(), &schedule, Parameterization::X0);
    let error = super::continuous::run(&chain.clone().with_learned_range(), &oracle, &plan(&chain, 1, 0), &list, 9);
    assert_eq!(error.unwrap_err(), BoundError::NoVariance);
}

/// Says NaN between the steps alone.
struct Broken;
impl<B: Backend> Denoiser<B, 2> for Broken {
    fn predict(&self, x_t: Tensor<B, 2>, _: &[usize]) -> Tensor<B, 2> {
        x_t
    }

    fn predict_between(&self, x_t: Tensor<B, 2>, t: &[f64]) -> Tensor<B, 2> {
        if t.iter().any(|t| t.fract() != 0.0) { x_t * f32::NAN } else { x_t }
    }
}

#[test]
fn what_cannot_be_averaged_is_an_error_that_names_the_example_and_the_level() {
    let schedule = linear(5);
    let chain = Chain::new(&schedule, Parameterization::Epsilon).with_clip(true);
    let list = List::draw(&mixture(), 4);
    let mut ignore = |_: Progress| ControlFlow::Continue(());
    let predict = |x, t: &[f64], _: &[usize]| Broken.predict_between(x, t);
    let broken = estimate_continuous::<Flex, 2>(&chain, &predict, &plan(&chain, 1, 0), &list, 1, &DEVICE, &mut ignore)
        .unwrap_err();
    assert!(
        matches!(broken, BoundError::NotFiniteBetween { example: 0, t, .. } if (1.0..5.0).contains(&t)),
        "{broken}"
    );
    let oracle = Oracle::new(mixture(), &schedule, Parameterization::Epsilon);
    let none = run(&chain, &oracle, &plan(&chain, 0, 0), &list, 4).unwrap_err();
    assert_eq!(none, BoundError::Nothing { what: "the number of draws" });
    let none = List { dimensions: vec![1], values: Vec::new() };
    let none = run(&chain, &oracle, &plan(&chain, 1, 0), &none, 4).unwrap_err();
    assert_eq!(none, BoundError::Nothing { what: "the number of examples" });
    // A single step: a prior and a decoder, and nothing between.
    let one = Chain::new(&NoiseSchedule::from_betas(vec![0.5]).unwrap(), Parameterization::X0);
    let oracle = Oracle::new(mixture(), one.schedule(), Parameterization::X0);
    let found = run(&one, &oracle, &plan(&one, 1, 0), &list, 4).unwrap();
    assert_eq!((found.diffusion.mean, found.levels.len(), found.evaluations), (0.0, 0, 4));
}
