//! From data to noise and back, where the probability-flow ODE has a solution in closed form.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use proptest::prelude::*;
use sfumato_process::{
    Chain, NoiseLevel, NoiseLevels, Parameterization, RecordedNoise,
    levels::Sigmas,
    oracle::{GaussianData, Oracle},
    sampler::{Ddim, DdimSteps, Heun, Inversion, InversionError, Rule, ignore, walk},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, evenly_spaced};

const DEVICE: FlexDevice = FlexDevice;
const MEAN: [f64; 3] = [-0.2, 0.1, 0.4];
const VARIANCES: [f64; 3] = [0.09, 0.3, 0.02];

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

fn oracle(parameterization: Parameterization) -> Oracle {
    let data = GaussianData::diagonal(MEAN.to_vec(), VARIANCES.to_vec()).unwrap();
    Oracle::new(data, &schedule(), parameterization)
}

fn batch(rows: &[[f32; 3]]) -> Tensor<Flex, 2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 3]), &DEVICE)
}

fn levels(steps: &[usize]) -> Vec<NoiseLevel> {
    let sigmas = Sigmas::of(&schedule());
    steps.iter().rev().map(|&t| sigmas.level(t as f64)).collect()
}

fn largest(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

/// The noise of `rows` by so many steps.
fn encoded(rows: &[[f32; 3]], count: usize, rule: Rule, refinements: usize) -> Vec<f32> {
    let parameterization = Parameterization::Epsilon;
    let chain = Chain::new(&schedule(), parameterization);
    let levels = levels(&evenly_spaced(1000, count).unwrap());
    let inversion = Inversion::new(&chain, &levels, rule, refinements).unwrap();
    let x = inversion.encode(&oracle(parameterization), batch(rows), &mut ignore).unwrap();
    x.into_data().into_vec().unwrap()
}

/// The ODE keeps quantiles: the state at step T has the same distance from its mean, in standard deviations, as that at `σ = 0`.
fn exact(rows: &[[f32; 3]]) -> Vec<f32> {
    let top = Sigmas::of(&schedule()).level(1000.0);
    let one = |(i, x): (usize, &f32)| {
        let (mean, variance) = (MEAN[i % 3], VARIANCES[i % 3]);
        let quantile = (f64::from(*x) - mean) / variance.sqrt();
        let spread = (top.signal().powi(2) * variance + top.noise().powi(2)).sqrt();
        (top.signal() * mean + spread * quantile) as f32
    };
    rows.iter().flatten().enumerate().map(one).collect()
}

const ROWS: [[f32; 3]; 2] = [[-0.5, 0.3, 0.45], [0.1, -0.9, 0.2]];

#[test]
fn the_noise_is_the_solutions_and_the_trapezoid_comes_closer() {
    let error = |count, rule, refinements| largest(&encoded(&ROWS, count, rule, refinements), &exact(&ROWS));
    let euler = [100, 200, 400].map(|count| error(count, Rule::Euler, 0));
    let trapezoid = [100, 200, 400].map(|count| error(count, Rule::Trapezoid, 1));
    println!("euler {euler:?}, trapezoid {trapezoid:?}");
    for (coarse, fine) in [(0, 1), (1, 2)] {
        // First order halves the error with the step.
        assert!((1.7..2.4).contains(&(euler[coarse] / euler[fine])), "{euler:?}");
    }
    // What is left of the trapezoid's error is the first leap's, from clean data to `σ_1`, which is Euler's as the sampler's last one is:
    // about `(σ_1 / s)² / 2` of data with deviation `s`, whatever the number of steps.
    let leap = 0.5 * Sigmas::of(&schedule()).at(1.0).powi(2) / VARIANCES.iter().copied().fold(f64::INFINITY, f64::min);
    for (euler, trapezoid) in euler.iter().zip(trapezoid) {
        assert!(trapezoid < euler / 5.0 && trapezoid < 5.0 * leap, "{euler} {trapezoid}, leap {leap}");
    }
}

/// `count` steps up, and the sampler's own steps down.
fn round_trip(parameterization: Parameterization, rows: &[[f32; 3]], steps: &[usize], rule: Rule, more: usize) -> f64 {
    let schedule = schedule();
    let chain = Chain::respaced(&schedule, steps, parameterization).unwrap();
    let levels = levels(steps);
    let visited = NoiseLevels::new(levels.clone(), None).unwrap();
    let oracle = oracle(parameterization);
    let inversion = Inversion::new(&chain, &levels, rule, more).unwrap();
    let x_t = inversion.encode(&oracle, batch(rows), &mut ignore).unwrap();
    let (mut ddim, mut heun) = (DdimSteps::new(&chain, Ddim::default()), Heun::new(&chain, &visited));
    let mut noise: Vec<f32> = x_t.into_data().into_vec().unwrap();
    if rule == Rule::Trapezoid {
        // Heun's state is data plus noise, and its noise is multiplied by the highest sigma.
        let scale = (levels[0].signal() * levels[0].sigma).recip() as f32;
        noise.iter_mut().for_each(|value| *value *= scale);
    }
    let shape = [1, rows.len(), 3];
    let noise = RecordedNoise::new(&shape, &noise).unwrap();
    let shape = [rows.len(), 3];
    let x = match rule {
        Rule::Euler => walk::<Flex, 2>(&mut ddim, &oracle, &noise, shape, &DEVICE, &mut ignore),
        Rule::Trapezoid => walk::<Flex, 2>(&mut heun, &oracle, &noise, shape, &DEVICE, &mut ignore),
    };
    largest(&x.unwrap().into_data().into_vec::<f32>().unwrap(), &rows.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Refinement makes the inversion exact but for rounding, whatever the network predicts and wherever the steps are.
    #[test]
    fn a_refined_inversion_is_ddims_inverse(
        rows in prop::collection::vec(prop::array::uniform3(-1.0..1.0f32), 1..4),
        count in 20..120usize,
        which in 0..3usize,
    ) {
        let parameterization = [Parameterization::Epsilon, Parameterization::X0, Parameterization::V][which];
        let steps = evenly_spaced(1000, count).unwrap();
        let errors = [0, 1, 30].map(|more| round_trip(parameterization, &rows, &steps, Rule::Euler, more));
        prop_assert!(errors[2] < 2e-4, "{:?}", errors);
        prop_assert!(errors[1] <= errors[0] + 1e-4, "{:?}", errors);
    }
}

#[test]
fn a_round_trip_by_heun_is_close_in_few_steps() {
    let steps = |count| evenly_spaced(1000, count).unwrap();
    let error = |count| round_trip(Parameterization::Epsilon, &ROWS, &steps(count), Rule::Trapezoid, 0);
    let errors = [error(50), error(100), error(200)];
    println!("{errors:?}");
    assert!(errors[2] < 1e-2 && errors[2] < errors[0], "{errors:?}");
}

#[test]
fn levels_that_do_not_fall_are_refused() {
    let chain = Chain::new(&schedule(), Parameterization::Epsilon);
    assert_eq!(Inversion::new(&chain, &[], Rule::Euler, 0).err(), Some(InversionError::None));
    let twice = [levels(&[500])[0], levels(&[500])[0]];
    assert_eq!(Inversion::new(&chain, &twice, Rule::Euler, 0).err(), Some(InversionError::Falls { index: 1 }));
}
