//! RePaint against numpy: one walk state by state, and the distribution of what is drawn.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use serde_json::Value;
use sfumato_process::{
    Chain, Denoiser, NoiseLevel, NoiseSource, Parameterization, RecordedNoise, SeededNoise,
    levels::Sigmas,
    oracle::{GaussianData, Oracle},
    sampler::{Ancestral, Ddim, DdimSteps, DpmSolver, Heun, Inpainting, Resampling, Stepper, ignore},
};
use sfumato_process::{NoiseLevels, sampler::DpmSolverOptions};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

const DEVICE: FlexDevice = FlexDevice;

fn expected() -> Value {
    serde_json::from_str(include_str!("expected.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

/// The reverse chain over these steps.
fn chain(steps: &[usize]) -> Chain {
    Chain::respaced(&schedule(), steps, Parameterization::X0).unwrap()
}

/// The level before each step of `chain`.
fn levels(chain: &Chain) -> Vec<NoiseLevel> {
    let sigmas = Sigmas::of(chain.trained_schedule());
    chain.original_steps().iter().rev().map(|&t| sigmas.level(t as f64)).collect()
}

/// `E[x_0 | x_t]` of two-dimensional Gaussian data, as tensors: for many examples at once.
struct Affine {
    /// For each step, the gain, row by row, and the offset.
    of_step: Vec<([f64; 4], [f64; 2])>,
}

impl Affine {
    fn new(oracle: &Oracle, steps: usize) -> Self {
        let at = |x: [f64; 2], t| oracle.answer(&x, t);
        let of_step = (1..=steps).map(|t| {
            let (offset, x, y) = (at([0.0, 0.0], t), at([1.0, 0.0], t), at([0.0, 1.0], t));
            ([x[0] - offset[0], y[0] - offset[0], x[1] - offset[1], y[1] - offset[1]], [offset[0], offset[1]])
        });
        Self { of_step: of_step.collect() }
    }
}

impl<B: Backend> Denoiser<B, 2> for Affine {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        let (gain, offset) = self.of_step[t[0] - 1];
        let device = x_t.device();
        let gain = Tensor::<B, 2>::from_data(TensorData::new(gain.to_vec(), [2, 2]), &device);
        let offset = Tensor::<B, 2>::from_data(TensorData::new(offset.to_vec(), [1, 2]), &device);
        x_t.matmul(gain.transpose()) + offset
    }
}

fn oracle(expected: &Value) -> (Oracle, f64) {
    let data = &expected["data"];
    let gaussian = GaussianData::full(numbers(&data["mean"]), &numbers(&data["covariance"])).unwrap();
    (Oracle::new(gaussian, &schedule(), Parameterization::X0), data["known"].as_f64().unwrap())
}

/// Data whose first value is known, `count` times, and the mask that says so.
fn known(value: f64, count: usize) -> [Tensor<Flex, 2>; 2] {
    let tensor = |row: [f32; 2]| Tensor::from_data(TensorData::new(row.repeat(count), [count, 2]), &DEVICE);
    [tensor([value as f32, 7.0]), tensor([1.0, 0.0])]
}

#[test]
fn a_walk_is_numpys_state_by_state() {
    let expected = expected();
    let path = &expected["path"];
    let steps: Vec<usize> = numbers(&path["steps"]).iter().map(|&t| t as usize).collect();
    let noise: Vec<f32> = numbers(&path["noise"]).iter().map(|&z| z as f32).collect();
    let shape = [noise.len() / 2, 1, 2];
    let noise = RecordedNoise::new(&shape, &noise).unwrap();
    let states: Vec<Vec<f64>> = path["states"].as_array().unwrap().iter().map(numbers).collect();
    let (oracle, value) = oracle(&expected);
    let chain = chain(&steps);
    let levels = levels(&chain);
    let [known, keep] = known(value, 1);
    let resampling =
        Resampling { jump: path["jump"].as_u64().unwrap() as usize, times: path["times"].as_u64().unwrap() as usize };
    let sampler = || Box::new(Ancestral::new(&chain)) as Box<dyn Stepper<Flex, 2>>;
    let mut seen = Vec::new();
    let x = Inpainting { sampler: &sampler, levels: &levels, known, keep, resampling }
        .draw(&oracle, &noise, &mut |state| {
            seen.push(state.x.to_data().iter::<f64>().collect::<Vec<_>>());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen.len(), states.len());
    for (i, (ours, theirs)) in seen.iter().zip(&states).enumerate() {
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-5, "move {i}: {ours:?}, {theirs:?}");
        }
    }
    assert_eq!(x.to_data().iter::<f32>().next(), Some(value as f32));
}

/// Mean and variance of 100,000 draws within four standard errors of those that numpy carries along exactly.
#[test]
fn what_is_drawn_is_distributed_as_numpy_says() {
    const COUNT: usize = 100_000;
    let expected = expected();
    let (oracle, value) = oracle(&expected);
    let denoiser = Affine::new(&oracle, 1000);
    let few = expected["moments"].as_array().unwrap().iter().filter(|row| row["evaluations"].as_u64() < Some(150));
    let mut rows = 0;
    for row in few {
        let whole = |name: &str| row[name].as_u64().unwrap() as usize;
        let (visited, resampling) = (whole("steps"), Resampling { jump: whole("jump"), times: whole("times") });
        let steps: Vec<usize> = (1..=visited).map(|i| i * 1000 / visited).collect();
        let chain = chain(&steps);
        let levels = levels(&chain);
        let [known, keep] = known(value, COUNT);
        let sampler = || Box::new(Ancestral::new(&chain)) as Box<dyn Stepper<Flex, 2>>;
        let x = Inpainting { sampler: &sampler, levels: &levels, known, keep, resampling }
            .draw(&denoiser, &SeededNoise::new(3), &mut ignore)
            .unwrap();
        let x: Vec<f64> = x.into_data().iter::<f64>().skip(1).step_by(2).collect();
        let n = COUNT as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let (true_mean, true_variance) = (row["mean"].as_f64().unwrap(), row["variance"].as_f64().unwrap());
        let errors =
            [(mean - true_mean) / (true_variance / n).sqrt(), (variance / true_variance - 1.0) / (2.0 / n).sqrt()];
        println!("{visited} steps, {resampling:?}: {errors:?} standard errors");
        assert!(errors.iter().all(|error| error.abs() < 4.0), "{visited} steps, {resampling:?}: {errors:?}");
        rows += 1;
    }
    assert!(rows >= 3, "{rows}");
}

/// Draws with any of the samplers.
fn drawn(kind: usize, noise: &dyn NoiseSource, known: &[f32], keep: &[f32], resampling: Resampling) -> Vec<f32> {
    let steps = [1, 120, 333, 480, 700, 890, 1000];
    let chain = chain(&steps);
    let at = levels(&chain);
    let visited = NoiseLevels::new(at.clone(), None).unwrap();
    let sampler = || -> Box<dyn Stepper<Flex, 2> + '_> {
        match kind {
            0 => Box::new(Ancestral::new(&chain)),
            1 => Box::new(DdimSteps::new(&chain, Ddim { eta: 0.5, ..Ddim::default() })),
            2 => Box::new(DpmSolver::new(&chain, &visited, DpmSolverOptions::default())),
            _ => Box::new(Heun::new(&chain, &visited)),
        }
    };
    let tensor =
        |values: &[f32]| Tensor::<Flex, 2>::from_data(TensorData::new(values.to_vec(), [values.len() / 2, 2]), &DEVICE);
    let (oracle, _) = oracle(&expected());
    let inpainting =
        Inpainting { sampler: &sampler, levels: &at, known: tensor(known), keep: tensor(keep), resampling };
    inpainting.draw(&oracle, noise, &mut ignore).unwrap().into_data().into_vec().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Known values come out bit by bit, whichever they are, and a batch is its examples one by one.
    #[test]
    fn known_values_stay_and_batches_do_not_matter(
        kind in 0..4usize,
        rows in prop::collection::vec(prop::array::uniform2((-1.0..1.0f32, any::<bool>())), 1..5),
        jump in 1..9usize,
        times in 1..4usize,
        seed in any::<u64>(),
    ) {
        let known: Vec<f32> = rows.iter().flatten().map(|(value, _)| *value).collect();
        let keep: Vec<f32> = rows.iter().flatten().map(|(_, keep)| f32::from(u8::from(*keep))).collect();
        let resampling = Resampling { jump, times };
        let noise = SeededNoise::new(seed);
        let all = drawn(kind, &noise, &known, &keep, resampling);
        for ((x, known), keep) in all.iter().zip(&known).zip(&keep) {
            prop_assert!(x.is_finite());
            prop_assert!(*keep == 0.0 || x.to_bits() == known.to_bits(), "{} {}", x, known);
        }
        for row in 0..rows.len() {
            let one = 2 * row..2 * row + 2;
            let alone = drawn(kind, &noise.starting_at(row as u64), &known[one.clone()], &keep[one.clone()], resampling);
            for (a, b) in alone.iter().zip(&all[one]) {
                prop_assert!((a - b).abs() < 1e-6, "{} {}", a, b);
            }
        }
    }
}
