//! The ODE solvers against the exact solution, and learned variances.

mod noisy;
mod unipc;

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData, backend::Backend},
};
use sfumato_process::{
    Chain, Denoiser, NoiseLevel, NoiseLevels, Parameterization, RecordedNoise, ReverseVariance, SeededNoise,
    StepVariance,
    levels::{Sigmas, karras},
    sampler::{Ddim, DdimSteps, DpmSolver, DpmSolverOptions, Euler, Heun, Leaps, SolverOrder, Stepper, ignore, walk},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, evenly_spaced};

const DEVICE: FlexDevice = FlexDevice;
const MEAN: f64 = -0.2;
const DEVIATION: f64 = 0.3;

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

/// Levels at the given steps, which increase, down to clean data.
fn levels_at(steps: &[usize]) -> NoiseLevels {
    let sigmas = Sigmas::of(&schedule());
    NoiseLevels::new(steps.iter().rev().map(|&t| sigmas.level(t as f64)).collect(), None).unwrap()
}

/// The best possible prediction of the data, for data `N(MEAN, DEVIATION²)`, at any time.
struct Oracle;

impl<B: Backend> Denoiser<B, 2> for Oracle {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        self.predict_between(x_t, &t.iter().map(|&t| t as f64).collect::<Vec<_>>())
    }

    fn predict_between(&self, x_t: Tensor<B, 2>, t: &[f64]) -> Tensor<B, 2> {
        let schedule = schedule();
        // Noise over signal between steps is interpolated, as for the solvers.
        let sigma = |t: usize| schedule.snr(t).sqrt().recip();
        let (low, part) = (t[0].floor() as usize, t[0].fract());
        let sigma = if part == 0.0 { sigma(low) } else { sigma(low) + part * (sigma(low + 1) - sigma(low)) };
        let alpha_bar = 1.0 / (1.0 + sigma * sigma);
        let gain = alpha_bar.sqrt() * DEVIATION.powi(2) / (alpha_bar * DEVIATION.powi(2) + 1.0 - alpha_bar);
        (x_t - alpha_bar.sqrt() * MEAN) * gain + MEAN
    }
}

/// The same prediction, where `log σ` is linear between steps, as [`Sigmas::time_of`] has it: levels at any `σ` are told exactly.
struct LogOracle(Vec<f64>);

impl LogOracle {
    fn new() -> Self {
        Self(Sigmas::of(&schedule()).steps().to_vec())
    }
}

impl<B: Backend> Denoiser<B, 2> for LogOracle {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        self.predict_between(x_t, &t.iter().map(|&t| t as f64).collect::<Vec<_>>())
    }

    fn predict_between(&self, x_t: Tensor<B, 2>, t: &[f64]) -> Tensor<B, 2> {
        let low = (t[0].floor() as usize).clamp(1, self.0.len() - 1);
        let (below, above) = (self.0[low - 1].ln(), self.0[low].ln());
        let level = NoiseLevel { sigma: (below + (t[0] - low as f64) * (above - below)).exp(), t: t[0] };
        let (signal, noise) = (level.signal(), level.noise());
        let gain = signal * DEVIATION.powi(2) / ((signal * DEVIATION).powi(2) + noise.powi(2));
        (x_t - signal * MEAN) * gain + MEAN
    }
}

/// So many levels from the last step's to the first step's, where the walk ends, evenly in `log σ`.
fn evenly_in_log(count: usize) -> NoiseLevels {
    let sigmas = Sigmas::of(&schedule());
    let (max, min) = (sigmas.at(1000.0).ln(), sigmas.at(1.0).ln());
    let level = |i: usize| sigmas.level_of((max + (min - max) * i as f64 / count as f64).exp());
    let end = NoiseLevel { sigma: sigmas.at(1.0), t: 1.0 };
    NoiseLevels::new((0..count).map(level).collect(), Some(end)).unwrap()
}

/// Where the walks of [`error`] start.
const X_T: f64 = 1.3;

/// The error of a walk down to the first step's level.
fn error(sampler: &mut dyn Stepper<Flex, 2>, levels: &NoiseLevels) -> f64 {
    let recording = [X_T as f32];
    let noise = RecordedNoise::new(&[1, 1, 1], &recording).unwrap();
    let x = walk(sampler, &Oracle, &noise, [1, 1], &DEVICE, &mut ignore).unwrap();
    chain_error(x.into_scalar().into(), levels, sampler.start_scale() != 1.0)
}

/// How far the final state `x` is from the exact one. The probability-flow ODE keeps quantiles: at every level the state has
/// the same distance from the mean, in standard deviations. States preserve variance, or are data plus noise (`scaled`): then the first scale
/// is that of the noise alone.
fn chain_error(x: f64, levels: &NoiseLevels, scaled: bool) -> f64 {
    let (first, last) = (levels.after(0).unwrap(), levels.after(levels.steps()).unwrap());
    let mean = |level: NoiseLevel| level.signal() * MEAN;
    let deviation = |level: NoiseLevel| (level.signal() * DEVIATION).hypot(level.noise());
    let (start, end) = if scaled { (first.noise(), last.signal()) } else { (1.0, 1.0) };
    let quantile = (X_T * start - mean(first)) / deviation(first);
    (x * end - (mean(last) + deviation(last) * quantile)).abs()
}

#[test]
fn solvers_approach_the_solution_and_higher_orders_do_so_faster() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let sigmas = Sigmas::of(&schedule());
    let to_first = |levels: Vec<NoiseLevel>| {
        let end = NoiseLevel { sigma: sigmas.at(1.0).min(levels[levels.len() - 1].sigma), t: 1.0 };
        NoiseLevels::new(levels, Some(end)).unwrap()
    };
    let dpm = |order, count| {
        let steps = evenly_spaced(1000, count + 1).unwrap();
        let levels = to_first(steps[1..].iter().rev().map(|&t| sigmas.level(t as f64)).collect());
        error(&mut DpmSolver::new(&chain, &levels, DpmSolverOptions { order, ..Default::default() }), &levels)
    };
    let levels = |count| {
        to_first(karras(sigmas.at(1000.0), sigmas.at(1.0), count).map(|sigma| sigmas.level_of(sigma)).collect())
    };
    let euler = |count| error(&mut Euler::new(&chain, &levels(count)), &levels(count));
    let heun = |count| error(&mut Heun::new(&chain, &levels(count)), &levels(count));
    let at = |count| {
        use SolverOrder::{First, Second, Third};
        [dpm(First, count), dpm(Second, count), dpm(Third, count), euler(count), heun(count)]
    };
    let (coarse, fine) = (at(200), at(400));
    println!("200 steps {coarse:?}, 400 steps {fine:?}");
    let [first, second, third, euler, heun] = fine;
    assert!(second < first / 2.0 && third < second && heun < euler / 10.0, "{fine:?}");
    // A method of order n divides its error by 2ⁿ when the steps are halved, and evenly spread steps are still long at the end.
    for (i, least) in [(0, 1.8), (1, 3.0), (2, 3.0), (3, 1.8), (4, 3.0)] {
        assert!(coarse[i] / fine[i] > least, "method {i}: {} with 200 steps, {} with 400", coarse[i], fine[i]);
    }
}

/// Lu et al. (2022): DPM-Solver++ of order 1 is DDIM; and so is Euler, which only measures noise otherwise.
#[test]
fn first_order_solvers_are_ddim() {
    let steps = (1..=10).map(|i| 100 * i).collect::<Vec<_>>();
    let chain = Chain::respaced(&schedule(), &steps, Parameterization::X0).unwrap();
    let run = |sampler: &mut dyn FnMut() -> Tensor<Flex, 2>| sampler().into_data().iter::<f64>().collect::<Vec<_>>();
    let noise = SeededNoise::new(4);
    let mut ddim = DdimSteps::new(&chain, Ddim::default());
    let a = run(&mut || walk(&mut ddim, &Oracle, &noise, [3, 2], &DEVICE, &mut ignore).unwrap());
    let levels = levels_at(&steps);
    let first = DpmSolverOptions { order: SolverOrder::First, ..Default::default() };
    let mut dpm = DpmSolver::new(&chain, &levels, first);
    let b = run(&mut || walk(&mut dpm, &Oracle, &noise, [3, 2], &DEVICE, &mut ignore).unwrap());
    let mut euler = Euler::new(&chain, &levels);
    let c = run(&mut || walk(&mut euler, &Oracle, &noise, [3, 2], &DEVICE, &mut ignore).unwrap());
    for ((a, b), c) in a.iter().zip(&b).zip(&c) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
        // Euler starts from the noise alone, without the last bit of data.
        assert!((a - c).abs() < 1e-3, "{a} {c}");
    }
}

#[test]
fn leaps_are_pairs_of_steps() {
    let chain = |steps: &[usize]| Chain::respaced(&schedule(), steps, Parameterization::X0).unwrap();
    let whole = chain(&[250, 500, 750, 1000]);
    assert_eq!(Leaps::visited(&whole).pairs(), [(1000, 750), (750, 500), (500, 250), (250, 0)]);
    assert_eq!(Leaps::visited(&chain(&[143, 286, 857, 1000])).pairs()[0], (1000, 857));
    let noisy = |eta| Leaps::visited(&whole).draws(eta);
    assert_eq!((noisy(0.0), noisy(1.0)), (1, 4), "the last step adds no noise");
}

/// Predicts zero, and says of the variance what it was made with.
struct Learned(f32);

impl Denoiser<Flex, 2> for Learned {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        let range = x_t.ones_like() * self.0;
        Tensor::cat(vec![x_t.zeros_like(), range], 1)
    }
}

#[test]
fn a_learned_variance_lies_between_the_fixed_ones() {
    let chain = Chain::new(&schedule(), Parameterization::X0).with_learned_range();
    let x = Tensor::from_data(TensorData::new(vec![0.5f32, -0.5, 1.0, 2.0], [2, 2]), &DEVICE);
    for t in [1, 2, 500] {
        let log_variance = |says: f32| match chain.p_step(&Learned(says), x.clone(), t).variance {
            StepVariance::Learned(tensor) => tensor.into_data().iter::<f64>().collect::<Vec<_>>(),
            StepVariance::Fixed(_) => panic!("the variance is learned"),
        };
        let (small, large) = (schedule().posterior_log_variance(t), schedule().beta(t).ln());
        for (says, expected) in [(-1.0, small), (1.0, large), (0.0, 0.5 * (small + large))] {
            assert!(log_variance(says).iter().all(|found| (found - expected).abs() < 1e-5), "t = {t}, {says}");
        }
    }
    // A fixed variance can be asked for all the same, and every sampler passes over what the network says of it.
    let fixed = chain.clone().with_variance(ReverseVariance::FixedSmall);
    assert!(!fixed.has_learned_range());
    let gaussian = fixed.p_mean_variance(&Learned(0.3), x.clone(), 9).gaussian;
    assert_eq!((gaussian.mean.dims(), gaussian.log_variance.len()), ([2, 2], 2));
    let levels = levels_at(&evenly_spaced(1000, 3).unwrap());
    let noise = SeededNoise::new(1);
    let x = walk(&mut Heun::new(&chain, &levels), &Learned(0.3), &noise, [2, 2], &DEVICE, &mut ignore).unwrap();
    assert_eq!(x.into_data().iter::<f64>().collect::<Vec<_>>(), [0.0; 4]);
}

#[test]
fn multistep_solvers_forget_between_batches() {
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let levels = levels_at(&evenly_spaced(1000, 9).unwrap()[1..]);
    let options = DpmSolverOptions { order: SolverOrder::Third, ..Default::default() };
    let mut solver = DpmSolver::<Flex, 2>::new(&chain, &levels, options);
    let mut draw = |first| {
        let noise = SeededNoise::new(3).starting_at(first);
        let x = walk(&mut solver, &Oracle, &noise, [1, 2], &DEVICE, &mut ignore).unwrap();
        x.into_data().iter::<f64>().collect::<Vec<_>>()
    };
    let before = draw(0);
    draw(1);
    assert_eq!(draw(0), before);
}
