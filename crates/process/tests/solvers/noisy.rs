//! Samplers that add noise in every step: the chains that they are, the distribution that they end in, and the noise that they ask for.

use std::cell::RefCell;

use burn::{backend::Flex, tensor::Tensor};
use proptest::prelude::*;
use sfumato_process::{
    Chain, NoiseError, NoiseLevels, NoiseSource, Parameterization, SeededNoise,
    levels::Sigmas,
    sampler::{
        self, DpmSolver, DpmSolverOptions, EulerAncestral, SolverEquation, SolverOrder, SolverType, Stepper, UniPc,
        UniPcOptions, ignore, walk,
    },
};

use super::{DEVIATION, DEVICE, LogOracle, MEAN, Oracle, evenly_in_log, levels_at, schedule};

const SDE: SolverEquation = SolverEquation::Sde;

fn sde(order: SolverOrder, solver_type: SolverType) -> DpmSolverOptions {
    DpmSolverOptions { equation: SDE, order, solver_type, ..DpmSolverOptions::default() }
}

fn drawn(sampler: &mut dyn Stepper<Flex, 2>, noise: &dyn NoiseSource, shape: [usize; 2]) -> Vec<f64> {
    walk(sampler, &Oracle, noise, shape, &DEVICE, &mut ignore).unwrap().into_data().iter::<f64>().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The first order of the SDE and Euler's with fresh noise are ancestral sampling with the variance of the posterior.
    #[test]
    fn first_orders_are_ancestral_sampling(mut steps in prop::collection::btree_set(1..1000usize, 1..9), seed: u64) {
        steps.insert(1000);
        let steps: Vec<usize> = steps.into_iter().collect();
        let chain = Chain::respaced(&schedule(), &steps, Parameterization::X0).unwrap();
        let noise = SeededNoise::new(seed);
        let expected: Vec<f64> =
            sampler::ancestral::<Flex, 2>(&chain, &Oracle, &noise, [3, 2], &DEVICE, &mut ignore).unwrap().into_data().iter::<f64>().collect();
        let levels = levels_at(&steps);
        let first = drawn(&mut DpmSolver::new(&chain, &levels, sde(SolverOrder::First, SolverType::Midpoint)), &noise, [3, 2]);
        let euler = drawn(&mut EulerAncestral::new(&chain, &levels), &noise, [3, 2]);
        for ((expected, first), euler) in expected.iter().zip(first).zip(euler) {
            prop_assert!((expected - first).abs() < 1e-5, "{} {}", expected, first);
            // Euler starts from the noise alone, without the last bit of data.
            prop_assert!((expected - euler).abs() < 1e-3, "{} {}", expected, euler);
        }
    }
}

/// Mean and variance of the samples at the first step's level.
fn moments(sampler: &mut dyn Stepper<Flex, 2>, levels: &NoiseLevels, seed: u64) -> (f64, f64) {
    let end = levels.after(levels.steps()).unwrap();
    let scale = sampler.view_scale(levels.steps());
    let x = walk(sampler, &LogOracle::new(), &SeededNoise::new(seed), [COUNT, 1], &DEVICE, &mut ignore).unwrap();
    // Of data plus noise.
    let x: Vec<f64> = x.into_data().iter::<f64>().map(|x| x * scale / end.signal()).collect();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (x.len() - 1) as f64)
}

const COUNT: usize = 20_000;

/// With the exact denoiser and short steps, the samples have the distribution of the data, with the noise of the first step.
#[test]
fn samples_have_the_mean_and_the_variance_of_the_data() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let levels = evenly_in_log(400);
    let sigma = levels.after(400).unwrap().sigma;
    let variance = DEVIATION.powi(2) + sigma.powi(2);
    let check = |name: &str, sampler: &mut dyn Stepper<Flex, 2>, seed| {
        let (mean, found) = moments(sampler, &levels, seed);
        let n = COUNT as f64;
        // Standard errors of the two.
        let (of_mean, of_variance) = ((variance / n).sqrt(), variance * (2.0 / n).sqrt());
        let (mean_off, variance_off) = ((mean - MEAN) / of_mean, (found - variance) / of_variance);
        println!("{name}: mean {mean_off:.2}, variance {variance_off:.2} standard errors off");
        assert!(
            mean_off.abs() < 4.0 && variance_off.abs() < 4.0,
            "{name}: {mean} and {found} against {MEAN} and {variance}"
        );
    };
    check("euler-ancestral", &mut EulerAncestral::new(&chain, &levels), 1);
    for (seed, solver_type) in [(2, SolverType::Midpoint), (3, SolverType::Heun)] {
        for order in [SolverOrder::First, SolverOrder::Second, SolverOrder::Third] {
            let name = format!("{order:?} {solver_type:?}");
            check(&name, &mut DpmSolver::new(&chain, &levels, sde(order, solver_type)), seed);
        }
    }
}

/// Noise that is 1 in the draw `at`, and 0 in all others.
struct Impulse(Option<usize>);

impl NoiseSource for Impulse {
    fn fill(&self, draw: usize, _: usize, _: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        out.fill(if self.0 == Some(draw) { 1.0 } else { 0.0 });
        Ok(())
    }
}

/// The exact denoiser is linear, so the variance of the whole chain is the sum of its squared responses to each draw. It approaches that of the
/// data, and faster for the second order.
#[test]
fn the_variance_of_the_chain_approaches_that_of_the_data_at_its_order() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let oracle = LogOracle::new();
    let error = |order: Option<SolverOrder>, count: usize| {
        let levels = evenly_in_log(count);
        let options = |order| DpmSolverOptions { lower_order_final: false, ..sde(order, SolverType::Heun) };
        let respond = |at: Option<usize>| -> f64 {
            let x = match order {
                Some(order) => {
                    let mut solver = DpmSolver::<Flex, 2>::new(&chain, &levels, options(order));
                    walk(&mut solver, &oracle, &Impulse(at), [1, 1], &DEVICE, &mut ignore)
                }
                None => {
                    walk(&mut EulerAncestral::new(&chain, &levels), &oracle, &Impulse(at), [1, 1], &DEVICE, &mut ignore)
                }
            };
            let scale = if order.is_some() { levels.after(count).unwrap().signal() } else { 1.0 };
            f64::from(x.unwrap().into_scalar()) / scale
        };
        let rest = respond(None);
        let found: f64 = (0..=count).map(|draw| (respond(Some(draw)) - rest).powi(2)).sum();
        let expected = DEVIATION.powi(2) + levels.after(count).unwrap().sigma.powi(2);
        (found / expected - 1.0).abs()
    };
    let (first, second, euler) = (Some(SolverOrder::First), Some(SolverOrder::Second), None);
    for (order, least) in [(first, 1.7), (euler, 1.7), (second, 3.0)] {
        let (coarse, fine) = (error(order, 30), error(order, 60));
        println!("{order:?}: {coarse:.2e} with 30 steps, {fine:.2e} with 60");
        assert!(coarse / fine > least, "{order:?}: {coarse} with 30 steps, {fine} with 60");
    }
    assert!(error(second, 60) < error(first, 60) / 4.0);
}

/// Remembers which draws were asked for.
#[derive(Default)]
struct Asked(RefCell<Vec<usize>>);

impl NoiseSource for Asked {
    fn fill(&self, draw: usize, sample: usize, _: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        if sample == 0 {
            self.0.borrow_mut().push(draw);
        }
        out.fill(0.5);
        Ok(())
    }
}

#[test]
fn each_step_takes_its_own_draw_and_draws_says_how_many() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let to_data = levels_at(&[1, 300, 700, 1000]);
    let sigmas = Sigmas::of(&schedule());
    let level = |t| sigmas.level(t);
    let to_level = NoiseLevels::new(vec![level(1000.0), level(400.0)], Some(level(1.0))).unwrap();
    let stays = NoiseLevels::new(vec![level(1000.0), level(1.0)], Some(level(1.0))).unwrap();
    for (levels, noisy) in [(&to_data, vec![0, 1, 2, 3]), (&to_level, vec![0, 1, 2]), (&stays, vec![0, 1])] {
        let options = sde(SolverOrder::Second, SolverType::Midpoint);
        let mut samplers: [(Box<dyn Stepper<Flex, 2>>, Vec<usize>); 4] = [
            (Box::new(EulerAncestral::new(&chain, levels)), noisy.clone()),
            (Box::new(DpmSolver::new(&chain, levels, options)), noisy),
            (Box::new(DpmSolver::new(&chain, levels, DpmSolverOptions::default())), vec![0]),
            (Box::new(UniPc::new(&chain, levels, UniPcOptions::default())), vec![0]),
        ];
        for (sampler, expected) in &mut samplers {
            let asked = Asked::default();
            drawn(sampler, &asked, [2, 1]);
            assert_eq!(sampler.draws(), expected.len());
            assert_eq!(&asked.0.into_inner(), expected);
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch_or_on_batches_before() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let levels = levels_at(&[90, 200, 400, 600, 800, 1000]);
    let options = sde(SolverOrder::Second, SolverType::Midpoint);
    let third = UniPcOptions { order: SolverOrder::Third, ..UniPcOptions::default() };
    let mut samplers: [Box<dyn Stepper<Flex, 2>>; 3] = [
        Box::new(EulerAncestral::new(&chain, &levels)),
        Box::new(DpmSolver::new(&chain, &levels, options)),
        Box::new(UniPc::new(&chain, &levels, third)),
    ];
    for sampler in &mut samplers {
        let mut run = |first: u64, n: usize| drawn(sampler, &SeededNoise::new(9).starting_at(first), [n, 2]);
        let all = run(0, 5);
        assert_eq!([run(0, 2), run(2, 1), run(3, 2)].concat(), all);
        assert_eq!(run(0, 5), all);
    }
}

/// A walk of none but steps to the same level: nothing changes.
#[test]
fn a_step_to_the_same_level_leaves_the_state() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let level = Sigmas::of(&schedule()).level(500.0);
    let levels = NoiseLevels::new(vec![level; 3], Some(level)).unwrap();
    let options = sde(SolverOrder::Second, SolverType::Midpoint);
    let samplers: [Box<dyn Stepper<Flex, 2>>; 3] = [
        Box::new(EulerAncestral::new(&chain, &levels)),
        Box::new(DpmSolver::new(&chain, &levels, options)),
        Box::new(UniPc::new(&chain, &levels, UniPcOptions::default())),
    ];
    for mut sampler in samplers {
        let start = Tensor::<Flex, 2>::from_data([[0.25f32, -1.5]], &DEVICE);
        let mut x = start.clone();
        for step in 1..=3 {
            x = sampler.step(step, x, &Oracle, &Impulse(None)).unwrap().x;
        }
        assert_eq!(x.into_data(), start.into_data());
    }
}
