//! The losses: what `vlb` is, which way it pulls, and what is refused.

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, DiffusionObjective, LearnedVariance, Loss, ModelVariance, Objective, Parameterization,
    bound::{Decoder, step_terms},
    forward::q_sample,
    objective::{ObjectiveError, Weight},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

const DEVICE: FlexDevice = FlexDevice;
const F64: (&FlexDevice, DType) = (&DEVICE, DType::F64);
type Train = Autodiff<Flex>;

/// A network that answers with what it was given.
struct Says<B: Backend>(Tensor<B, 3>);

impl<B: Backend> Denoiser<B, 3> for Says<B> {
    fn predict(&self, _: Tensor<B, 3>, _: &[usize]) -> Tensor<B, 3> {
        self.0.clone()
    }
}

/// A batch with what a network says of it.
#[derive(Clone, Debug)]
struct Case {
    objective: DiffusionObjective,
    schedule: NoiseSchedule,
    shape: [usize; 3],
    x_0: Vec<f64>,
    epsilon: Vec<f64>,
    t: Vec<usize>,
    says: Vec<f64>,
}

impl Case {
    fn channels(&self) -> usize {
        if self.objective.variance.learned().is_some() { 2 * self.shape[1] } else { self.shape[1] }
    }

    fn tensor<B: Backend<Device = FlexDevice>>(&self, values: &[f64]) -> Tensor<B, 3> {
        let channels = values.len() / (self.shape[0] * self.shape[2]);
        let data = TensorData::new(values.to_vec(), [self.shape[0], channels, self.shape[2]]);
        Tensor::from_data(data, F64)
    }

    /// The losses for an output, and their gradient for it.
    fn losses(&self, loss: Loss) -> (Vec<f64>, Vec<f64>) {
        let tensor = |values: &[f64]| self.tensor::<Train>(values);
        let says = tensor(&self.says).require_grad();
        let objective = DiffusionObjective { loss, ..self.objective };
        let denoiser = Says(says.clone());
        let losses =
            objective.losses(&self.schedule, &denoiser, tensor(&self.x_0), &self.t, tensor(&self.epsilon)).unwrap();
        let gradient = says.grad(&losses.clone().sum().backward()).unwrap();
        (losses.into_data().iter::<f64>().collect(), gradient.into_data().iter::<f64>().collect())
    }

    /// The bound's terms as evaluation computes them, in bits/dim times `T`.
    fn terms(&self, says: &[f64]) -> Vec<f64> {
        let DiffusionObjective { parameterization, variance, decoder, .. } = self.objective;
        let chain = Chain::new(&self.schedule, parameterization);
        let chain = match (variance.fixed(), variance.learned()) {
            (Some(rule), _) => chain.with_variance(rule),
            (None, kind) => chain.with_learned(kind.unwrap()),
        };
        let tensor = |values: &[f64]| self.tensor::<Flex>(values);
        let x_0 = tensor(&self.x_0);
        let x_t = q_sample(&self.schedule, x_0.clone(), &self.t, tensor(&self.epsilon));
        let nats = step_terms(&chain, &Says(tensor(says)), decoder, x_0, x_t, &self.t).unwrap();
        let dimensions = (self.shape[1] * self.shape[2]) as f64;
        nats.into_iter().map(|nats| self.schedule.steps() as f64 * nats / dimensions / std::f64::consts::LN_2).collect()
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

fn cases() -> impl Strategy<Value = Case> {
    let parameterization =
        prop_oneof![Just(Parameterization::Epsilon), Just(Parameterization::X0), Just(Parameterization::V)];
    let variance = prop_oneof![
        Just(ModelVariance::FixedSmall),
        Just(ModelVariance::FixedLarge),
        Just(ModelVariance::LearnedRange),
        Just(ModelVariance::Learned)
    ];
    let decoder = prop_oneof![Just(Decoder::Gaussian), Just(Decoder::Discretized(Default::default()))];
    let shape = (1..4usize, 1..3usize, 1..4usize);
    (parameterization, variance, decoder, shape, 2..60usize, any::<u64>()).prop_map(
        |(parameterization, variance, decoder, (n, c, w), steps, seed)| {
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            };
            let values = n * c * w;
            let objective =
                DiffusionObjective { parameterization, variance, loss: Loss::Vlb, weight: Weight::Simple, decoder };
            let x_0 = (0..values).map(|_| (next() * 255.0).round() / 127.5 - 1.0).collect();
            let epsilon = (0..values).map(|_| 4.0 * next() - 2.0).collect();
            // The first step more often than others: it has a decoder of its own.
            let t = (0..n).map(|_| if next() < 0.4 { 1 } else { 1 + (next() * steps as f64) as usize }).collect();
            let mut case = Case {
                objective,
                schedule: ScheduleConfig::default().with_steps(steps).unwrap().build().unwrap(),
                shape: [n, c, w],
                x_0,
                epsilon,
                t,
                says: Vec::new(),
            };
            case.says = (0..n * case.channels() * w).map(|_| 3.0 * next() - 1.5).collect();
            case
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// One definition of the bound: training's terms are evaluation's, and their slopes are those of evaluation's terms.
    #[test]
    fn the_loss_vlb_is_the_bound_that_evaluation_computes(case in cases()) {
        let (losses, gradient) = case.losses(Loss::Vlb);
        for (ours, right) in losses.iter().zip(case.terms(&case.says)) {
            prop_assert!(close(*ours, right, 1e-9), "{ours} {right}");
        }
        for i in 0..case.says.len() {
            let h = 1e-5;
            let at = |by: f64| {
                let mut says = case.says.clone();
                says[i] += by;
                case.terms(&says).into_iter().sum::<f64>()
            };
            let quotient = (at(h) - at(-h)) / (2.0 * h);
            let scale = losses.iter().map(|loss| loss.abs()).sum::<f64>();
            prop_assert!((gradient[i] - quotient).abs() < 1e-5 * (quotient.abs() + scale + 1.0), "{i}: {} {quotient}", gradient[i]);
        }
    }

    /// In the hybrid loss the prediction follows `L_simple` alone, and the variance the bound alone.
    #[test]
    fn the_hybrid_loss_trains_the_mean_by_one_part_and_the_variance_by_the_other(case in cases()) {
        prop_assume!(case.objective.variance.learned().is_some());
        let (hybrid, gradient) = case.losses(Loss::Hybrid);
        let (vlb, bound) = case.losses(Loss::Vlb);
        let fixed = Case {
            objective: DiffusionObjective { variance: ModelVariance::FixedSmall, ..case.objective },
            says: half(&case, 0),
            ..case.clone()
        };
        let (simple, mean) = fixed.losses(Loss::Simple);
        for ((hybrid, simple), vlb) in hybrid.iter().zip(simple).zip(vlb) {
            prop_assert!(close(*hybrid, simple + 0.001 * vlb, 1e-12));
        }
        let (ours, word) = (half_of(&case, &gradient, 0), half_of(&case, &gradient, 1));
        for (ours, right) in ours.iter().zip(mean) {
            prop_assert!(close(*ours, right, 1e-12));
        }
        for (ours, right) in word.iter().zip(half_of(&case, &bound, 1)) {
            prop_assert!(close(*ours, 0.001 * right, 1e-12));
        }
    }
}

/// The prediction (0) or the word on the variance (1) out of values of an output.
fn half_of(case: &Case, values: &[f64], which: usize) -> Vec<f64> {
    let half = case.shape[1] * case.shape[2];
    values.chunks_exact(2 * half).flat_map(|row| row[which * half..(which + 1) * half].to_vec()).collect()
}

fn half(case: &Case, which: usize) -> Vec<f64> {
    half_of(case, &case.says, which)
}

/// Where others get NaN: variances far off, predictions far off, pixels that a decoder thinks impossible, in f32.
#[test]
fn losses_and_gradients_stay_finite_in_f32() {
    let schedule = ScheduleConfig::default().build().unwrap();
    for variance in [ModelVariance::LearnedRange, ModelVariance::Learned] {
        for decoder in [Decoder::Gaussian, Decoder::Discretized(Default::default())] {
            for word in [-30.0, -1.0, 0.0, 1.0, 30.0] {
                for prediction in [-3.0, 0.0, 3.0] {
                    let t = [1, 2, 3, 500, 1000];
                    let says: Vec<f32> = t.iter().flat_map(|_| [prediction, word]).collect();
                    let tensor = |values: Vec<f32>, channels| {
                        Tensor::<Train, 3>::from_data(TensorData::new(values, [5, channels, 1]), &DEVICE)
                    };
                    let says = tensor(says, 2).require_grad();
                    let objective = DiffusionObjective {
                        parameterization: Parameterization::Epsilon,
                        variance,
                        loss: Loss::Vlb,
                        weight: Weight::Simple,
                        decoder,
                    };
                    let losses = objective
                        .losses(&schedule, &Says(says.clone()), tensor(vec![1.0; 5], 1), &t, tensor(vec![0.3; 5], 1))
                        .unwrap();
                    let gradient = says.grad(&losses.clone().sum().backward()).unwrap();
                    let finite = |data: TensorData| data.iter::<f64>().all(f64::is_finite);
                    let place = format!("{variance:?}, {decoder:?}, word {word}, prediction {prediction}");
                    assert!(finite(losses.into_data()) && finite(gradient.into_data()), "{place}");
                }
            }
        }
    }
}

#[test]
fn what_a_loss_cannot_use_is_refused() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let x = |channels| Tensor::<Flex, 3>::zeros([2, channels, 1], &DEVICE);
    let losses = |variance, loss, channels, decoder| {
        let parameterization = Parameterization::Epsilon;
        let objective = DiffusionObjective { parameterization, variance, loss, weight: Weight::Simple, decoder };
        objective.losses(&schedule, &Says(x(channels)), x(1), &[1, 7], x(1)).map(drop)
    };
    assert_eq!(losses(ModelVariance::LearnedRange, Loss::Simple, 2, Decoder::Gaussian), Err(ObjectiveError::Untrained));
    let shapes =
        |expected, found| Err(ObjectiveError::Output { expected: vec![2, expected, 1], found: vec![2, found, 1] });
    assert_eq!(losses(ModelVariance::FixedSmall, Loss::Simple, 2, Decoder::Gaussian), shapes(1, 2));
    assert_eq!(losses(ModelVariance::LearnedRange, Loss::Hybrid, 1, Decoder::Gaussian), shapes(2, 1));
    let discrete = Decoder::Discretized(Default::default());
    assert_eq!(
        losses(ModelVariance::Learned, Loss::Vlb, 2, discrete),
        Err(ObjectiveError::NotALevel { example: 0, value: 0.0 })
    );
}

#[test]
fn a_free_variance_and_a_range_read_the_same_word_differently() {
    let schedule = ScheduleConfig::default().build().unwrap();
    for (kind, word, expected) in [
        (LearnedVariance::Range, 1.0, schedule.beta(40).ln()),
        (LearnedVariance::Range, -1.0, schedule.posterior_log_variance(40)),
        (LearnedVariance::Free, 0.5, schedule.beta(40).ln() + 0.5),
        (LearnedVariance::Free, -90.0, schedule.beta(40).ln() - 10.0),
    ] {
        let chain = Chain::new(&schedule, Parameterization::Epsilon).with_learned(kind);
        let says = Tensor::<Flex, 3>::from_data(TensorData::new(vec![0.1, word], [1, 2, 1]), F64);
        let x = Tensor::<Flex, 3>::from_data(TensorData::new(vec![0.4], [1, 1, 1]), F64);
        let step = chain.p_step(&Says(says), x, 40);
        let sfumato_process::StepVariance::Learned(log_variance) = step.variance else { panic!("learned") };
        assert!((log_variance.into_data().iter::<f64>().next().unwrap() - expected).abs() < 1e-12);
    }
}
