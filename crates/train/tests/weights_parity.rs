//! Training by every weight and every density of noise levels as in PyTorch: the same steps, the same losses, the same weights of the network
//! after 50 steps.
//!
//! `golden/make_weights.py` made the numbers and says with which versions. There the weights, the densities and the bound are written once
//! more, each where its paper has it.

#[path = "../../model/tests/common/formula.rs"]
mod formula;
#[path = "../../model/tests/common/noise.rs"]
mod noise;

use std::{collections::BTreeMap, fs, path::Path};

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::AutodiffModule,
    tensor::{ElementConversion, Tensor, TensorData},
};
use formula::{Formula, uniform};
use noise::noise;
use sfumato_kernels::Adam;
use sfumato_model::tensor_file::{NamedTensor, read_tensors};
use sfumato_nets::{Call, Network, mlp::MlpConfig, params::named_parameters, unet::UNet2DConfig};
use sfumato_process::{
    DiffusionObjective, Loss, ModelVariance, Objective, Parameterization, Weight,
    bound::Decoder,
    times::{Density, TimeDraw, TimeSampler},
};
use sfumato_schedule::{NoiseSchedule, probability::LikelihoodCdf};
use sfumato_train::{
    config::{LearningRateDecay, OptimizerConfig},
    learning_rate::learning_rate,
};

type Train = Autodiff<Flex>;

const STEPS: u64 = 50;
const BATCH: usize = 8;
const WEIGHTS: [Weight; 5] = [Weight::Simple, Weight::Bound, Weight::MIN_SNR, Weight::P2, Weight::SIGMOID];
const DENSITIES: [Density; 5] =
    [Density::Uniform, Density::Stratified, Density::IMPORTANCE, Density::LOG_NORMAL, Density::LAPLACE];
const PREDICTIONS: [Parameterization; 3] = [Parameterization::Epsilon, Parameterization::X0, Parameterization::V];

fn golden(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// What is trained how.
#[derive(Clone, Copy)]
struct Case {
    objective: DiffusionObjective,
    density: Density,
}

/// What training gave.
struct Trained {
    losses: Vec<f64>,
    t: Vec<usize>,
    weights: Vec<NamedTensor>,
}

impl Case {
    fn new(parameterization: Parameterization, loss: Option<Loss>, weight: Weight, density: Density) -> Self {
        let learned = loss.is_some();
        Self {
            objective: DiffusionObjective {
                parameterization,
                variance: if learned { ModelVariance::LearnedRange } else { ModelVariance::FixedSmall },
                loss: loss.unwrap_or(Loss::Simple),
                weight,
                decoder: Decoder::Gaussian,
            },
            density,
        }
    }

    fn learned(&self) -> bool {
        self.objective.variance.learned().is_some()
    }

    fn name(&self, network: &str) -> String {
        let DiffusionObjective { parameterization, loss, weight, .. } = self.objective;
        let weight = if loss == Loss::Vlb { "vlb" } else { weight.name() };
        let prediction = parameterization.name().replace('_', "");
        let variance = if self.learned() { "learned-range" } else { "fixed-small" };
        format!("{network}/{weight}/{}/{prediction}/{variance}", self.density.name())
    }

    /// Every weight with every prediction; `first` chooses which densities they meet.
    fn all(first: usize) -> impl Iterator<Item = Self> {
        (0..WEIGHTS.len()).flat_map(move |w| {
            (0..PREDICTIONS.len()).map(move |p| {
                let hybrid = ((w + p) % 2 == 1).then_some(Loss::Hybrid);
                Self::new(PREDICTIONS[p], hybrid, WEIGHTS[w], DENSITIES[(w + p + first) % 5])
            })
        })
    }

    /// Steps of a batch, from the recorded numbers.
    fn draws(&self, times: &TimeSampler, step: u64) -> Vec<TimeDraw> {
        let numbers: Vec<f64> = uniform(&format!("levels t {step}"), BATCH).map(|u| (u + 1.0) / 2.0).collect();
        let spread = |i: usize| (numbers[0] + i as f64 / BATCH as f64).fract();
        (0..BATCH).map(|i| times.draw(if self.density.is_stratified() { spread(i) } else { numbers[i] })).collect()
    }

    fn train<M, const D: usize>(&self, mut net: M, shape: [usize; D], discrete: bool) -> Trained
    where
        M: AutodiffModule<Train> + Network<Train, D>,
    {
        let constants = OptimizerConfig {
            learning_rate: 1e-3,
            warmup_steps: 10,
            decay: LearningRateDecay::Constant,
            clip_norm: 2.0,
            ..OptimizerConfig::default()
        };
        let schedule = NoiseSchedule::from_betas((0..8).map(|i| 0.02 + 0.48 * f64::from(i) / 7.0).collect()).unwrap();
        let mut times = TimeSampler::new(self.density, &schedule).unwrap();
        let mut optimizer = Adam::new(&constants.adam(), &net.valid());
        let (mut losses, mut steps) = (Vec::new(), Vec::new());
        let tensor = |values: Vec<f32>| Tensor::<Train, D>::from_data(TensorData::new(values, shape), &FlexDevice);
        let level = |x: f32| ((f64::from(x) + 1.0) * 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0;
        for step in 1..=STEPS {
            let count = shape.iter().product();
            let x_0 = noise(&format!("levels x_0 {step}"), count).into_iter().map(|x| 0.5 * x);
            let x_0 = tensor(x_0.map(|x| if discrete { level(x) as f32 } else { x }).collect());
            let epsilon = tensor(noise(&format!("levels epsilon {step}"), count));
            let draws = self.draws(&times, step);
            let t: Vec<usize> = draws.iter().map(|draw| draw.t).collect();
            let call = Call { net: &net, classes: None, dropout: None };
            let each = self.objective.losses(&schedule, &call, x_0, &t, epsilon).unwrap();
            times.record(&t, &each.to_data().iter::<f64>().collect::<Vec<_>>());
            let weights: Vec<f32> = draws.iter().map(|draw| draw.weight as f32).collect();
            let loss = (each * Tensor::<Train, 1>::from_floats(&weights[..], &FlexDevice)).mean();
            losses.push(loss.clone().into_scalar().elem::<f64>());
            steps.extend(t);
            let rate = learning_rate(&constants, step, STEPS);
            net = optimizer.step::<Train, _>(net, &mut loss.backward(), step, rate).0;
        }
        Trained { losses, t: steps, weights: named_parameters(&net.valid()) }
    }
}

/// Norm of the difference over the norm of `right`.
fn distance(ours: &[f32], right: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut ours.iter().zip(right).map(|(a, b)| f64::from(a - b)));
    (difference / square(&mut right.iter().map(|&value| f64::from(value)))).sqrt()
}

/// The largest difference of losses, relative to a loss, or to a tenth of their mean where one is near 0.
fn relative(ours: &[f64], right: &[f32]) -> f64 {
    let least = 0.1 * right.iter().map(|loss| f64::from(loss.abs())).sum::<f64>() / right.len() as f64;
    let gap = |(a, &b): (&f64, &f32)| (a - f64::from(b)).abs() / f64::from(b.abs()).max(least);
    ours.iter().zip(right).map(gap).fold(0.0, f64::max)
}

fn compare(name: &str, trained: Trained, expected: &BTreeMap<String, Vec<f32>>) {
    let of = |part: &str| &expected[&format!("{name}.{part}")];
    let t: Vec<f32> = trained.t.iter().map(|&t| t as f32).collect();
    assert_eq!((t.len(), &t), (STEPS as usize * BATCH, of("t")), "{name}: the steps");
    assert_eq!(trained.losses.len(), of("losses").len());
    let loss = relative(&trained.losses, of("losses"));
    let mut weights = trained.weights;
    // A bias of keys has no gradient but rounding.
    weights.retain(|tensor| !tensor.name.ends_with("to_k.bias"));
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rest = &of("weights")[..];
    let mut worst = (0.0, "");
    for tensor in &weights {
        let (right, after) = rest.split_at(tensor.values.len());
        rest = after;
        let distance = distance(&tensor.values, right);
        if distance > worst.0 {
            worst = (distance, tensor.name.as_str());
        }
    }
    assert!(rest.is_empty());
    println!("{name}: losses {loss:.1e}, weights {:.1e} ({})", worst.0, worst.1);
    assert!(loss < 1e-4, "{name}: losses {loss:.2e}");
    assert!(worst.0 < 1e-4, "{name}: weights {:.2e} ({})", worst.0, worst.1);
}

fn expected() -> BTreeMap<String, Vec<f32>> {
    let tensors = read_tensors(&golden("weights.safetensors")).unwrap();
    tensors.into_iter().map(|tensor| (tensor.name, tensor.values)).collect()
}

#[test]
fn fifty_steps_of_a_unet_by_each_weight_and_density_give_the_numbers_of_pytorch() {
    let expected = expected();
    let json = serde_json::from_slice(&fs::read(golden("weights.json")).unwrap()).unwrap();
    let (config, _) = UNet2DConfig::from_json(&json).unwrap();
    for mut case in Case::all(0) {
        case.objective.decoder = Decoder::Discretized(LikelihoodCdf::Exact);
        let config = UNet2DConfig { out_channels: 1 + usize::from(case.learned()), ..config.clone() };
        let net = config.build::<Train>(&mut Formula, &FlexDevice).unwrap();
        compare(&case.name("unet"), case.train(net, [BATCH, 1, 4, 4], true), &expected);
    }
}

#[test]
fn fifty_steps_of_an_mlp_by_each_weight_and_density_give_the_numbers_of_pytorch() {
    let expected = expected();
    let bound = (0..5).map(|d| Case::new(PREDICTIONS[d % 3], Some(Loss::Vlb), Weight::Simple, DENSITIES[d]));
    for case in Case::all(3).chain(bound) {
        let learned_variance = case.learned();
        let config =
            MlpConfig { hidden_dim: 12, num_blocks: 1, time_features: 8, learned_variance, ..MlpConfig::default() };
        let net = config.build::<Train>(&mut Formula, &FlexDevice).unwrap();
        compare(&case.name("mlp"), case.train(net, [BATCH, 2], false), &expected);
    }
}
