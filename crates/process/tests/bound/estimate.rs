//! The KL form over many examples: strata, standard errors, addresses of the noise, refusals.

use std::{cell::RefCell, ops::ControlFlow};

use burn::{
    backend::Flex,
    tensor::{Tensor, backend::Backend},
};
use sfumato_process::{
    Chain, Denoiser, NoiseError, Parameterization, RecordedNoise, ReverseVariance,
    bound::{
        Bound, BoundError, BoundNoise, Decoder, ExampleTerms, Examples, Plan, Progress, Strata, estimate, prior_term,
        step_terms,
    },
    forward::q_sample,
    noise::{Purpose, fill_normal},
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, probability::LikelihoodCdf};

use super::common::{DEVICE, rng};

/// Examples in memory.
struct List {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl List {
    fn draw(data: &MixtureData, n: usize) -> Self {
        let mut rng = rng(11);
        let values = (0..n).flat_map(|_| data.sample(&mut rng)).map(|x| x as f32).collect();
        Self { shape: vec![data.dimensions()], values }
    }
}

impl Examples for List {
    fn len(&self) -> usize {
        self.values.len() / self.shape.iter().product::<usize>()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values[i * out.len()..(i + 1) * out.len()]);
    }
}

fn data() -> MixtureData {
    let component = |mean| (0.5, GaussianData::isotropic(mean, 0.04).unwrap());
    MixtureData::new(vec![component(vec![-0.8, 0.3]), component(vec![0.6, -0.2])]).unwrap()
}

fn plan(schedule: &NoiseSchedule, stride: usize, draws: usize) -> Plan<'static> {
    let strata = Strata::with_stride(schedule.steps(), stride);
    Plan { decoder: Decoder::Gaussian, strata, draws, noise: BoundNoise::Seeded(5), seed: 5 }
}

fn run(chain: &Chain, oracle: &Oracle, plan: &Plan<'_>, list: &List, batch: usize) -> Result<Bound, BoundError> {
    estimate::<Flex, 2>(chain, &|x, t, _| oracle.predict(x, t), plan, list, batch, &DEVICE, &mut |_| {
        ControlFlow::Continue(())
    })
}

#[test]
fn a_stratified_estimate_agrees_with_the_full_sum_within_its_standard_error() {
    let schedule = ScheduleConfig::default().with_steps(200).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let list = List::draw(&data(), 400);
    let full = run(&chain, &oracle, &plan(&schedule, 1, 1), &list, 64).unwrap();
    assert_eq!((full.examples, full.evaluations), (400, 400 * 200));
    for (stride, draws) in [(20, 1), (200, 1), (50, 3)] {
        let quick = run(&chain, &oracle, &plan(&schedule, stride, draws), &list, 64).unwrap();
        assert_eq!(quick.evaluations as usize, 400 * plan(&schedule, stride, draws).points_per_example());
        assert!(quick.evaluations * 4 < full.evaluations);
        // The examples are the same, so that the spread between them drops out of the difference: this is generous.
        let error = quick.total.standard_error.unwrap().hypot(full.total.standard_error.unwrap());
        let difference = (quick.total.mean - full.total.mean).abs();
        assert!(difference < 4.0 * error, "stride {stride}: {difference} with a standard error of {error}");
        assert_eq!(quick.prior, full.prior);
    }
}

#[test]
fn the_parts_add_up_and_the_full_sum_is_that_of_the_curve() {
    let schedule = ScheduleConfig::default().with_steps(50).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let bound = run(&chain, &oracle, &plan(&schedule, 1, 2), &List::draw(&data(), 30), 7).unwrap();
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} against {b}");
    close(bound.prior.mean + bound.diffusion.mean + bound.decoder.mean, bound.total.mean);
    let terms: Vec<f64> = bound.steps.iter().map(|step| step.term.unwrap().mean).collect();
    close(terms[1..].iter().sum(), bound.diffusion.mean);
    close(terms[0], bound.decoder.mean);
    assert!(bound.steps.iter().all(|step| step.term.unwrap().count == 30));
    assert_eq!((bound.dimensions, bound.steps[9].step, bound.steps[9].original_step), (2, 10, 10));
    // The examples by themselves have the same means, under their own numbers.
    assert_eq!(bound.each.iter().map(|terms| terms.example).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    let mean = |part: fn(&ExampleTerms) -> f64| bound.each.iter().map(part).sum::<f64>() / 30.0;
    close(mean(|terms| terms.prior), bound.prior.mean);
    close(mean(|terms| terms.diffusion), bound.diffusion.mean);
    close(mean(|terms| terms.decoder), bound.decoder.mean);
    close(mean(ExampleTerms::total), bound.total.mean);
}

#[test]
fn the_result_does_not_depend_on_the_batch_size() {
    let schedule = ScheduleConfig::default().with_steps(40).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::V);
    let oracle = Oracle::new(data(), &schedule, Parameterization::V);
    let list = List::draw(&data(), 20);
    let plan = plan(&schedule, 10, 2);
    let reference = run(&chain, &oracle, &plan, &list, 1).unwrap();
    for batch in [3, 64, 10_000] {
        assert_eq!(run(&chain, &oracle, &plan, &list, batch).unwrap(), reference);
    }
}

/// Every term by hand, from noise made by hand: entry `d T + t - 1` for draw `d` of step `t`.
#[test]
fn recorded_noise_is_addressed_by_step_and_draw() {
    let schedule = ScheduleConfig::default().with_steps(6).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let list = List::draw(&data(), 3);
    let (entries, draws) = (12, 2);
    let mut values = vec![0.0; entries * 3 * 2];
    for (i, out) in values.chunks_exact_mut(2).enumerate() {
        fill_normal(5, Purpose::Forward, (i % 3) as u64, (i / 3) as u64, out);
    }
    let shape = [entries, 3, 2];
    let noise = RecordedNoise::new(&shape, &values).unwrap();
    let recorded = Plan { noise: BoundNoise::Recorded(noise), ..plan(&schedule, 1, draws) };
    let replayed = run(&chain, &oracle, &recorded, &list, 5).unwrap();
    assert_eq!(replayed, run(&chain, &oracle, &plan(&schedule, 1, draws), &list, 5).unwrap());

    let x_0 = Tensor::<Flex, 1>::from_floats(&list.values[..], &DEVICE).reshape([3, 2]);
    let mut total = 0.0;
    for entry in 0..entries {
        let t = [entry % 6 + 1; 3];
        let epsilon = Tensor::<Flex, 1>::from_floats(&values[entry * 6..entry * 6 + 6], &DEVICE).reshape([3, 2]);
        let x_t = q_sample(&schedule, x_0.clone(), &t, epsilon);
        let terms = step_terms(&chain, &oracle, Decoder::Gaussian, x_0.clone(), x_t, &t).unwrap();
        total += terms.iter().sum::<f64>() / 3.0 / draws as f64;
    }
    let example = |i: usize| [list.values[2 * i].into(), list.values[2 * i + 1].into()];
    total += (0..3).map(|i| prior_term(&chain, &example(i))).sum::<f64>() / 3.0;
    assert!((replayed.total.mean - total).abs() < 1e-12 * total.abs());

    let short = RecordedNoise::new(&[11, 3, 2], &values[..66]).unwrap();
    let short = Plan { noise: BoundNoise::Recorded(short), ..plan(&schedule, 1, draws) };
    let exhausted = NoiseError::Exhausted { draw: 11, available: 11 };
    assert_eq!(run(&chain, &oracle, &short, &list, 5).unwrap_err(), BoundError::Noise(exhausted));
}

/// Eight-bit data: the discretised decoder, against the sum of its scalar likelihoods.
#[test]
fn the_decoder_of_grey_levels_is_the_discretised_gaussian() {
    let schedule = ScheduleConfig::default().with_steps(5).unwrap().build().unwrap();
    let source = GaussianData::isotropic(vec![0.0; 3], 0.2).unwrap();
    let chain = Chain::new(&schedule, Parameterization::X0).with_clip(true);
    let oracle = Oracle::new(source, &schedule, Parameterization::X0);
    let level = |k: u8| (f64::from(k) / 127.5 - 1.0) as f32;
    let list = List { shape: vec![3], values: vec![level(0), level(17), level(255)] };
    let mut epsilon = [0.0; 3];
    fill_normal(5, Purpose::Forward, 0, 0, &mut epsilon);
    for cdf in [LikelihoodCdf::Exact, LikelihoodCdf::Tanh] {
        let plan = Plan { decoder: Decoder::Discretized(cdf), ..plan(&schedule, 1, 1) };
        let bound = run(&chain, &oracle, &plan, &list, 4).unwrap();
        let x_1: Vec<f64> = list
            .values
            .iter()
            .zip(epsilon)
            .map(|(x, e)| schedule.alpha_bar(1).sqrt() * f64::from(*x) + schedule.beta(1).sqrt() * f64::from(e))
            .collect();
        let predicted = oracle.answer(&x_1, 1);
        let expected: f64 = list
            .values
            .iter()
            .zip(&predicted)
            .map(|(x, mean)| {
                plan.decoder.nll((*x).into(), mean.clamp(-1.0, 1.0), chain.log_variance(1).unwrap()).unwrap()
            })
            .sum();
        // x_1 passes through f32: 1e-7 of a mean, times the slope of the likelihood.
        assert!((bound.decoder.mean - expected).abs() < 1e-3 * expected.abs().max(1.0), "{:?}", bound.decoder);
        assert!(bound.decoder.mean > 0.0 && bound.decoder.standard_error.is_none());
    }
    let list = List { values: vec![level(3), 0.0, level(4)], ..list };
    let plan = Plan { decoder: Decoder::Discretized(LikelihoodCdf::Exact), ..plan(&schedule, 1, 1) };
    assert_eq!(run(&chain, &oracle, &plan, &list, 4).unwrap_err(), BoundError::NotALevel { example: 0, value: 0.0 });
}

/// The noise that it is told, and a place between the two variances.
struct Learned {
    place: f64,
}
impl Denoiser<Flex, 2> for Learned {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        Tensor::cat(vec![x_t.clone() * 0.3, x_t.zeros_like() + self.place], 1)
    }
}

/// A learned variance at one end of its range is that fixed variance; at `t = 1` the upper end is `β_1`.
#[test]
fn a_learned_variance_reaches_both_fixed_ones() {
    let schedule = ScheduleConfig::default().with_steps(8).unwrap().build().unwrap();
    let list = List::draw(&data(), 5);
    let run = |chain: &Chain, place: f64| {
        let model = Learned { place };
        let mut ignore = |_: Progress| ControlFlow::Continue(());
        let plan = plan(&schedule, 1, 1);
        estimate::<Flex, 2>(chain, &|x, t, _| model.predict(x, t), &plan, &list, 6, &DEVICE, &mut ignore).unwrap()
    };
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let learned = chain.clone().with_learned_range();
    let terms = |bound: &Bound| bound.steps.iter().map(|step| step.term.unwrap().mean).collect::<Vec<_>>();
    let close = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{a} against {b}"));
    };
    close(&terms(&run(&learned, -1.0)), &terms(&run(&chain, 0.0)));
    let large = chain.clone().with_variance(ReverseVariance::FixedLarge);
    close(&terms(&run(&learned, 1.0))[1..], &terms(&run(&large, 0.0))[1..]);
    let table = (1..=8).map(|t| 0.5 * (schedule.posterior_log_variance(t) + schedule.beta(t).ln())).collect();
    close(&terms(&run(&learned, 0.0)), &terms(&run(&chain.clone().with_log_variances(table).unwrap(), 0.0)));

    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let error = super::estimate::run(&learned, &oracle, &plan(&schedule, 1, 1), &list, 6).unwrap_err();
    assert_eq!(error, BoundError::NoVariance);
}

/// Says NaN once it is shown step 2.
struct Broken;
impl<B: Backend> Denoiser<B, 2> for Broken {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        if t.contains(&2) { x_t * f32::NAN } else { x_t }
    }
}

#[test]
fn what_cannot_be_averaged_is_an_error_that_names_the_example() {
    let schedule = ScheduleConfig::default().with_steps(5).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let list = List::draw(&data(), 4);
    let mut ignore = |_: Progress| ControlFlow::Continue(());
    let broken = estimate::<Flex, 2>(
        &chain,
        &|x, t, _| Broken.predict(x, t),
        &plan(&schedule, 1, 1),
        &list,
        1,
        &DEVICE,
        &mut ignore,
    );
    assert!(matches!(broken.unwrap_err(), BoundError::NotFinite { example: 0, step: 2, .. }));
    // Clipping does not hide it.
    let clipped = chain.clone().with_clip(true);
    let broken = estimate::<Flex, 2>(
        &clipped,
        &|x, t, _| Broken.predict(x, t),
        &plan(&schedule, 1, 1),
        &list,
        1,
        &DEVICE,
        &mut ignore,
    );
    assert!(matches!(broken.unwrap_err(), BoundError::NotFinite { example: 0, step: 2, .. }));
    let none = List { shape: vec![2], values: Vec::new() };
    let what = "the number of examples";
    let error = run(&chain, &oracle, &plan(&schedule, 1, 1), &none, 4).unwrap_err();
    assert_eq!(error, BoundError::Nothing { what });
    let error = run(&chain, &oracle, &plan(&schedule, 1, 0), &list, 4).unwrap_err();
    assert_eq!(error, BoundError::Nothing { what: "the number of draws" });
}

#[test]
fn the_observer_sees_the_work_advance_and_can_stop_it() {
    let schedule = ScheduleConfig::default().with_steps(5).unwrap().build().unwrap();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let list = List::draw(&data(), 4);
    let seen = RefCell::new(Vec::new());
    let plan = plan(&schedule, 1, 1);
    let mut observe = |progress: Progress| {
        seen.borrow_mut().push((progress.examples, progress.evaluations, progress.total));
        ControlFlow::Continue(())
    };
    estimate::<Flex, 2>(&chain, &|x, t, _| oracle.predict(x, t), &plan, &list, 8, &DEVICE, &mut observe).unwrap();
    assert_eq!(seen.into_inner(), [(1, 8, 20), (3, 16, 20), (4, 20, 20)]);
    let mut stop = |_: Progress| ControlFlow::Break(());
    let mut stopped =
        |batch| estimate::<Flex, 2>(&chain, &|x, t, _| oracle.predict(x, t), &plan, &list, batch, &DEVICE, &mut stop);
    assert_eq!(stopped(2).unwrap_err(), BoundError::Stopped { done: 0, total: 4 });
    // What is complete is a result: the first example's, though a part of the second was evaluated too.
    let part = stopped(8).unwrap();
    assert_eq!((part.examples, part.evaluations), (1, 5));
    let one = List { values: list.values[..data().dimensions()].to_vec(), shape: list.shape.clone() };
    let all = estimate::<Flex, 2>(&chain, &|x, t, _| oracle.predict(x, t), &plan, &one, 8, &DEVICE, &mut |_| {
        ControlFlow::Continue(())
    });
    assert_eq!((part.total, part.steps), (all.as_ref().unwrap().total, all.unwrap().steps));
}
