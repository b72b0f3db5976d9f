//! The identities that tie the forward chain, the reverse chain and the samplers together.

use std::ops::ControlFlow;

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, NoiseError, NoiseSource, Parameterization, RecordedNoise, ReverseVariance, SeededNoise, forward,
    loss, noise,
    sampler::{self, Ddim, SampleError},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

const DEVICE: FlexDevice = FlexDevice;

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &DEVICE)
}

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "value {i}: {a} against {b}");
    }
}

fn normal(seed: u64, draw: usize, shape: [usize; 2]) -> Tensor<Flex, 2> {
    noise::normal(&SeededNoise::new(seed), draw, shape, &DEVICE).unwrap()
}

/// Noise that is 1 in the draw `at` and 0 in all others.
struct Impulse {
    at: Option<usize>,
}
impl NoiseSource for Impulse {
    fn fill(&self, draw: usize, _: usize, _: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        out.fill(if self.at == Some(draw) { 1.0 } else { 0.0 });
        Ok(())
    }
}

/// The best possible noise prediction for data `N(mean, variance)` in every coordinate.
struct GaussianOracle {
    schedule: NoiseSchedule,
    mean: f64,
    variance: f64,
}
impl<B: Backend, const D: usize> Denoiser<B, D> for GaussianOracle {
    /// `E[ε | x_t] = √(1-ᾱ) (x_t - √ᾱ μ) / (ᾱ s² + 1 - ᾱ)`: `ε` and `x_t` are jointly Gaussian.
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        let t = t[0];
        let (alpha_bar, noise) = (self.schedule.alpha_bar(t), self.schedule.one_minus_alpha_bar(t));
        (x_t - alpha_bar.sqrt() * self.mean) * (noise.sqrt() / (alpha_bar * self.variance + noise))
    }
}

fn betas() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(1e-4..0.6f64, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Mean: the chain without noise. Variance: the squared responses to noise in each single step add up to `1 - ᾱ_T`.
    #[test]
    fn steps_composed_are_the_closed_form(betas in betas(), x in -2.0..2.0f32) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let steps = schedule.steps();
        let last = |start: f32, at: Option<usize>| {
            let x_0 = tensor(&[start], [1, 1]);
            let states: Vec<_> = forward::q_trajectory(&schedule, x_0, &Impulse { at }).collect::<Result<_, _>>().unwrap();
            assert_eq!(states.len(), steps);
            values(states.last().unwrap().clone())[0]
        };
        let closed = values(forward::q_sample(&schedule, tensor(&[x], [1, 1]), &[steps], tensor(&[0.0], [1, 1])));
        assert_close(&[last(x, None)], &closed, 1e-5);
        let variance: f64 = (0..steps).map(|at| last(0.0, Some(at)).powi(2)).sum();
        assert_close(&[variance], &[schedule.one_minus_alpha_bar(steps)], 1e-5);
    }

    #[test]
    fn every_parameterization_carries_the_same_prediction(betas in betas(), seed: u64) {
        use Parameterization::{Epsilon, V, X0};
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let t: Vec<usize> = (0..6).map(|i| 1 + i % schedule.steps()).collect();
        let (x_0, epsilon) = (normal(seed, 0, [6, 3]), normal(seed, 1, [6, 3]));
        let x_t = forward::q_sample(&schedule, x_0.clone(), &t, epsilon.clone());
        for kind in [Epsilon, X0, V] {
            let output = kind.target(&schedule, x_0.clone(), epsilon.clone(), &t);
            // Dividing by √ᾱ or √(1-ᾱ) ≥ 0.01 amplifies f32 rounding by up to 100.
            assert_close(&values(kind.to_x_0(&schedule, output.clone(), x_t.clone(), &t)), &values(x_0.clone()), 2e-4);
            assert_close(&values(kind.to_epsilon(&schedule, output.clone(), x_t.clone(), &t)), &values(epsilon.clone()), 2e-4);
            let v = V.target(&schedule, x_0.clone(), epsilon.clone(), &t);
            assert_close(&values(kind.to_v(&schedule, output, x_t.clone(), &t)), &values(v), 2e-4);
        }
    }

    /// log q(x_{t-1} | x_t, x_0) = log q(x_t | x_{t-1}) + log q(x_{t-1} | x_0) + const: its slope and curvature in
    /// x_{t-1}, taken by hand, give the mean and the variance.
    #[test]
    fn the_posterior_is_bayes_rule(betas in betas(), x_0 in -1.0..1.0f32, x_t in -2.0..2.0f32) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        for t in 2..=schedule.steps() {
            let posterior = forward::q_posterior(&schedule, tensor(&[x_0], [1, 1]), tensor(&[x_t], [1, 1]), &[t]);
            let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
            let (prior_mean, prior_variance) = (schedule.alpha_bar(t - 1).sqrt() * f64::from(x_0), schedule.one_minus_alpha_bar(t - 1));
            let precision = alpha / beta + 1.0 / prior_variance;
            let mean = (alpha.sqrt() * f64::from(x_t) / beta + prior_mean / prior_variance) / precision;
            assert_close(&values(posterior.mean), &[mean], 1e-5);
            assert_close(&[posterior.log_variance[0].exp()], &[1.0 / precision], 1e-9);
        }
    }

    /// Song et al. (2021), §4.1: with η = 1 DDIM is the ancestral chain with variance β̃.
    #[test]
    fn ddim_with_eta_one_is_ancestral_sampling(betas in betas(), seed: u64) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let oracle = GaussianOracle { schedule: schedule.clone(), mean: 0.3, variance: 0.2 };
        let chain = Chain::new(&schedule, Parameterization::Epsilon);
        let noise = SeededNoise::new(seed);
        let a = sampler::ancestral::<Flex, 2>(&chain, &oracle, &noise, [3, 4], &DEVICE, &mut sampler::ignore).unwrap();
        let options = Ddim { eta: 1.0, keep_epsilon: true };
        let b = sampler::ddim::<Flex, 2>(&chain, options, &oracle, &noise, [3, 4], &DEVICE, &mut sampler::ignore).unwrap();
        assert_close(&values(a), &values(b), 1e-4);
    }
}

#[test]
fn the_posterior_at_the_first_step_is_the_data_itself() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let posterior = forward::q_posterior(&schedule, tensor(&[0.25], [1, 1]), tensor(&[9.0], [1, 1]), &[1]);
    assert_eq!(values(posterior.mean), [0.25]);
}

/// The exact law of ancestral sampling for Gaussian data: every step is affine in x with independent noise, so the
/// mean and the variance follow by recursion, and samples must match them.
#[test]
fn ancestral_samples_have_the_mean_and_variance_of_the_exact_chain() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let (data_mean, data_variance) = (0.5, 0.04);
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: data_mean, variance: data_variance };
    let steps: Vec<usize> = (1..=25).map(|i| i * 40).collect();
    for variance in [ReverseVariance::FixedSmall, ReverseVariance::FixedLarge] {
        let chain = Chain::respaced(&schedule, &steps, Parameterization::Epsilon).unwrap().with_variance(variance);
        // Each reverse mean is a + b x: two probes give a and b.
        let (mut mean, mut spread) = (0.0, 1.0);
        for i in (1..=chain.steps()).rev() {
            let probe = chain.p_mean_variance(&oracle, tensor(&[0.0, 1.0], [2, 1]), i).gaussian;
            let at = values(probe.mean);
            let (a, b) = (at[0], at[1] - at[0]);
            let noise = if i > 1 { variance.log_variance(chain.schedule(), i).exp() } else { 0.0 };
            (mean, spread) = (a + b * mean, b * b * spread + noise);
        }
        let n = 40_000;
        let x =
            sampler::ancestral::<Flex, 2>(&chain, &oracle, &SeededNoise::new(5), [n, 1], &DEVICE, &mut sampler::ignore)
                .unwrap();
        let x = values(x);
        let n = n as f64;
        let found_mean = x.iter().sum::<f64>() / n;
        let found_spread = x.iter().map(|v| (v - found_mean).powi(2)).sum::<f64>() / n;
        assert!((found_mean - mean).abs() < 5.0 * (spread / n).sqrt(), "{found_mean} against {mean}");
        assert!((found_spread / spread - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{found_spread} against {spread}");
        // And the chain is a model of the data, not merely of itself.
        assert!((found_mean - data_mean).abs() < 0.02, "{found_mean}");
        assert!((found_spread.sqrt() - data_variance.sqrt()).abs() < 0.1, "{found_spread}");
    }
}

/// With the exact denoiser, deterministic DDIM integrates the probability-flow ODE, which maps N(0, 1) to the data.
#[test]
fn ddim_approaches_the_data_distribution_as_steps_grow() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: -0.2, variance: 0.09 };
    let end = |steps: &[usize], x_t: f32| {
        let chain = Chain::respaced(&schedule, steps, Parameterization::Epsilon).unwrap();
        let recording = [x_t];
        let noise = RecordedNoise::new(&[1, 1, 1], &recording).unwrap();
        let x =
            sampler::ddim::<Flex, 2>(&chain, Ddim::default(), &oracle, &noise, [1, 1], &DEVICE, &mut sampler::ignore);
        values(x.unwrap())[0]
    };
    for x_t in [-1.5f32, 0.0, 0.7] {
        let exact = -0.2 + 0.3 * f64::from(x_t);
        let coarse = (end(&(1..=20).map(|i| i * 50).collect::<Vec<_>>(), x_t) - exact).abs();
        let fine = (end(&(1..=1000).collect::<Vec<_>>(), x_t) - exact).abs();
        assert!(fine < 0.01 && coarse < 0.1, "x_T = {x_t}: {coarse} with 20 steps, {fine} with 1000");
    }
}

#[test]
fn a_respaced_chain_that_keeps_every_step_is_the_chain_itself() {
    let schedule = NoiseSchedule::from_betas(vec![0.1, 0.2, 0.3, 0.4]).unwrap();
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: 0.0, variance: 0.5 };
    let run = |chain: &Chain| {
        let x =
            sampler::ancestral::<Flex, 2>(chain, &oracle, &SeededNoise::new(2), [3, 2], &DEVICE, &mut sampler::ignore);
        values(x.unwrap())
    };
    let whole = Chain::new(&schedule, Parameterization::Epsilon);
    let respaced = Chain::respaced(&schedule, &[1, 2, 3, 4], Parameterization::Epsilon).unwrap();
    assert_close(&run(&respaced), &run(&whole), 1e-6);
}

/// Asks for whatever step it is shown, and remembers it.
struct Recorder(std::cell::RefCell<Vec<usize>>);
impl<B: Backend> Denoiser<B, 2> for Recorder {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        assert!(t.iter().all(|step| *step == t[0]) && t.len() == x_t.dims()[0]);
        self.0.borrow_mut().push(t[0]);
        x_t.zeros_like()
    }
}

#[test]
fn a_respaced_chain_shows_the_network_the_steps_it_was_trained_on() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let chain = Chain::respaced(&schedule, &[1, 334, 1000], Parameterization::Epsilon).unwrap();
    let recorder = Recorder(Vec::new().into());
    let noise = SeededNoise::new(0);
    sampler::ddim::<Flex, 2>(&chain, Ddim::default(), &recorder, &noise, [2, 1], &DEVICE, &mut sampler::ignore)
        .unwrap();
    assert_eq!(recorder.0.into_inner(), [1000, 334, 1]);
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: 0.1, variance: 0.3 };
    let chain = Chain::respaced(&schedule, &[100, 500, 1000], Parameterization::Epsilon).unwrap();
    let run = |first: u64, n: usize| {
        let noise = SeededNoise::new(9).starting_at(first);
        values(sampler::ancestral::<Flex, 2>(&chain, &oracle, &noise, [n, 2], &DEVICE, &mut sampler::ignore).unwrap())
    };
    let all = run(0, 5);
    let parts: Vec<f64> = [run(0, 2), run(2, 1), run(3, 2)].concat();
    assert_close(&parts, &all, 1e-7);
}

#[test]
fn the_observer_sees_every_state_and_can_stop_the_chain() {
    let schedule = NoiseSchedule::from_betas(vec![0.1; 5]).unwrap();
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: 0.0, variance: 1.0 };
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let noise = SeededNoise::new(0);
    let (mut seen, mut last) = (Vec::new(), Vec::new());
    let x = sampler::ancestral::<Flex, 2>(&chain, &oracle, &noise, [2, 2], &DEVICE, &mut |state| {
        seen.push((state.done, state.total));
        last = values(state.x.clone());
        ControlFlow::Continue(())
    });
    assert_eq!(seen, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    assert_eq!(values(x.unwrap()), last);
    let stopped = sampler::ancestral::<Flex, 2>(&chain, &oracle, &noise, [2, 2], &DEVICE, &mut |state| {
        if state.done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err(), SampleError::Stopped { done: 2, total: 5 });
}

#[test]
fn clipping_keeps_the_predicted_data_in_range() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let oracle = GaussianOracle { schedule: schedule.clone(), mean: 5.0, variance: 0.01 };
    let chain = Chain::new(&schedule, Parameterization::Epsilon).with_clip(true);
    let x = normal(1, 0, [4, 3]);
    let (x_0, _) = chain.predict(&oracle, x, 500);
    assert!(values(x_0).iter().all(|v| *v == 1.0));
}

#[test]
fn the_loss_is_zero_for_the_truth_and_the_mean_square_for_silence() {
    /// Answers with what it was given.
    struct Fixed(Tensor<Flex, 2>);
    impl Denoiser<Flex, 2> for Fixed {
        fn predict(&self, _: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
            self.0.clone()
        }
    }
    let schedule = ScheduleConfig::default().build().unwrap();
    let (x_0, epsilon) = (tensor(&[0.5, -0.5, 1.0, 0.0], [2, 2]), tensor(&[3.0, 4.0, 1.0, -2.0], [2, 2]));
    let t = [7, 900];
    let loss = |net: &Fixed, kind| values(loss::simple(&schedule, kind, net, x_0.clone(), &t, epsilon.clone()));
    for kind in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        let truth = Fixed(kind.target(&schedule, x_0.clone(), epsilon.clone(), &t));
        assert_eq!(loss(&truth, kind), [0.0, 0.0]);
    }
    let silence = Fixed(epsilon.zeros_like());
    assert_eq!(loss(&silence, Parameterization::Epsilon), [12.5, 2.5]);
}

/// The loss in the noise is the same for networks that know the same, whatever they predict.
#[test]
fn the_loss_in_the_noise_does_not_depend_on_what_is_predicted() {
    struct Says(Tensor<Flex, 2>);
    impl Denoiser<Flex, 2> for Says {
        fn predict(&self, _: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
            self.0.clone()
        }
    }
    let schedule = ScheduleConfig::default().build().unwrap();
    let t = [300, 700];
    let (x_0, epsilon) = (tensor(&[0.5, -0.5, 1.0, 0.0], [2, 2]), tensor(&[3.0, 4.0, 1.0, -2.0], [2, 2]));
    let x_t = forward::q_sample(&schedule, x_0.clone(), &t, epsilon.clone());
    // A guess of the noise that is off by 0.1 in each value, and what it says of the data and of v.
    let guess = epsilon.clone() + 0.1;
    let guessed_x_0 = Parameterization::Epsilon.to_x_0(&schedule, guess.clone(), x_t.clone(), &t);
    for kind in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        let net = Says(kind.target(&schedule, guessed_x_0.clone(), guess.clone(), &t));
        let loss = loss::noise(&schedule, kind, &net, x_0.clone(), &t, epsilon.clone()).unwrap();
        assert!(values(loss).iter().all(|loss| (loss - 0.01).abs() < 1e-5), "{kind:?}");
    }
    // The half about the variance is passed over; any other size is an error.
    let twice = Says(Tensor::cat(vec![guess.clone(), epsilon.clone()], 1));
    let noise = |net: &Says| loss::noise(&schedule, Parameterization::Epsilon, net, x_0.clone(), &t, epsilon.clone());
    assert!(values(noise(&twice).unwrap()).iter().all(|loss| (loss - 0.01).abs() < 1e-5));
    assert!(noise(&Says(guess.clone().narrow(1, 0, 1))).is_err());
}
