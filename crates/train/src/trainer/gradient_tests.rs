//! Batches in shards beside batches in one piece, and shards of several owners beside those of one.

use burn::backend::{Autodiff, Flex, flex::FlexDevice};
use sfumato_data::Dataset;
use sfumato_model::pipeline::AnyConfig;
use sfumato_nets::{
    params::RandomParams,
    unet::{UNet2D, UNet2DConfig},
};
use sfumato_process::{
    DiffusionObjective, Loss, ModelVariance, Weight,
    times::{Density, HISTORY, LevelOptions, TimeSampler},
};

use super::*;
use crate::{
    TrainConfig,
    batch::Labels,
    config::{ModelConfig, UNetSpec},
};

type Train = Autodiff<Flex>;

const BATCH: usize = 13;
/// Rounding of f32, over the few thousand terms of a sum.
const ROUNDING: f64 = 1e-5;

/// Pictures of 8×8 pixels with two classes.
struct Pictures;

impl Dataset for Pictures {
    fn len(&self) -> usize {
        40
    }

    fn shape(&self) -> &[usize] {
        &[1, 8, 8]
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        for (pixel, value) in out.iter_mut().enumerate() {
            *value = ((i * 37 + pixel * (i % 7 + 1)) % 256) as f32 / 127.5 - 1.0;
        }
    }

    fn label(&self, i: usize) -> Option<usize> {
        Some(i % 2)
    }

    fn classes(&self) -> Option<usize> {
        Some(2)
    }

    fn is_discrete(&self) -> bool {
        true
    }
}

/// A run before its first step: everything that couples or could couple examples is on.
struct Case {
    net: UNet2D<Train>,
    objective: DiffusionObjective,
    schedule: NoiseSchedule,
    batches: Batches<'static>,
    draws: Draws,
}

impl Case {
    fn new(variance: ModelVariance, loss: Loss, weight: Weight, density: Density) -> Self {
        let mut config = TrainConfig { seed: 3, ..TrainConfig::default() };
        config.diffusion.variance = variance;
        config.diffusion.schedule = config.diffusion.schedule.with_steps(20).unwrap();
        config.objective.loss = Some(loss);
        (config.objective.weight, config.objective.density) = (weight, density);
        config.training.batch_size = BATCH;
        config.samples.steps = 5;
        config.model = ModelConfig::Unet(UNetSpec {
            channels: vec![8, 16],
            attention: vec![false, true],
            blocks_per_level: 1,
            groups: 4,
            dropout: 0.2,
            class_conditional: true,
            ..UNetSpec::default()
        });
        config.validate().unwrap();
        let AnyConfig::UNet(network) = config.network(&Pictures).unwrap() else { panic!("a U-Net") };
        // No layer starts at zero: every gradient is alive.
        let mut source = RandomParams::new(1).without_zero_init();
        let net = UNet2DConfig::build::<Train>(&network, &mut source, &FlexDevice).unwrap();
        let schedule = config.diffusion.schedule.build().unwrap();
        let labels = Some(Labels { unlabelled: 2, dropout: 0.3 });
        let batches = Batches::new(&Pictures, config.seed, true, labels);
        let draws = batches.draws(5, BATCH, &warm(config.objective.times(&schedule).unwrap(), schedule.steps()));
        Self { net, objective: config.objective(&Pictures), schedule, batches, draws }
    }

    fn lesson(&self, shards: usize) -> Lesson<'_, Train, 4> {
        Lesson {
            objective: &self.objective,
            schedule: &self.schedule,
            batches: &self.batches,
            draws: &self.draws,
            shards: Shards::new(BATCH, shards),
            dropout: DropoutKey::new(3, 9),
            each: true,
            ranks: &crate::ranks::Alone,
            device: &FlexDevice,
        }
    }
}

/// With losses at every step, so that importance sampling is no longer uniform.
fn warm(mut times: TimeSampler, steps: usize) -> TimeSampler {
    let t: Vec<usize> = (1..=steps).collect();
    let losses: Vec<f64> = t.iter().map(|&t| 1.0 / t as f64).collect();
    (0..HISTORY).for_each(|_| times.record(&t, &losses));
    times
}

/// All values of a gradient.
fn values(gradient: &Gradient<Flex>) -> Vec<f32> {
    gradient.values().iter().flat_map(|values| values.as_ref().unwrap().to_data().to_vec::<f32>().unwrap()).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn a_batch_in_shards_gives_what_it_gives_in_one_piece() {
    let strata = LevelOptions { strata: true, ..LevelOptions::USUAL };
    let (fixed, range, free) = (ModelVariance::FixedSmall, ModelVariance::LearnedRange, ModelVariance::Learned);
    let log_normal = Density::LogNormal { mean: -1.2, deviation: 1.2, options: strata };
    for (variance, loss, weight, density) in [
        (fixed, Loss::Simple, Weight::Simple, Density::Uniform),
        (fixed, Loss::Simple, Weight::MIN_SNR, Density::Stratified),
        (range, Loss::Hybrid, Weight::Bound, Density::Importance { strata: true }),
        (range, Loss::Vlb, Weight::Simple, Density::IMPORTANCE),
        (free, Loss::Hybrid, Weight::SIGMOID, log_normal),
        (free, Loss::Vlb, Weight::Simple, Density::LAPLACE),
        (fixed, Loss::Simple, Weight::P2, Density::LAPLACE),
    ] {
        let case = Case::new(variance, loss, weight, density);
        let whole = case.lesson(1).learn(&case.net).unwrap();
        let expected = values(&whole.gradient);
        let size = norm(expected.iter().map(|&x| f64::from(x)));
        for count in [2, 4, 5, BATCH] {
            let lesson = case.lesson(count);
            let parts = lesson.learn(&case.net).unwrap();
            let name = format!("{loss:?} {weight} {density}, {count} shards");
            let off = norm(values(&parts.gradient).iter().zip(&expected).map(|(a, b)| f64::from(a - b))) / size;
            assert!(off < ROUNDING, "{name}: the gradient is off by {off:.1e}");
            let [a, b] = [&parts, &whole].map(|learned| learned.loss.clone().read());
            assert!((a / b - 1.0).abs() < ROUNDING, "{name}: {a} {b}");
            assert_eq!(parts.losses.len(), BATCH);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < ROUNDING * b.abs().max(1.0);
            assert!(parts.losses.iter().zip(&whole.losses).all(close), "{name}: other losses");
        }
    }
}

#[test]
fn shards_have_the_examples_steps_noise_and_classes_of_the_batch() {
    let case = Case::new(ModelVariance::FixedSmall, Loss::Simple, Weight::Simple, Density::IMPORTANCE);
    let get = |places| case.batches.get::<Flex, 4>(&case.draws, places, &FlexDevice);
    let whole = get(0..BATCH);
    assert_eq!(whole.t, case.draws.t());
    let all = [whole.x_0, whole.epsilon].map(|x| x.to_data().to_vec::<f32>().unwrap());
    let weights: Vec<f32> = whole.weights.unwrap().to_data().to_vec().unwrap();
    for count in 1..=BATCH {
        let shards = Shards::new(BATCH, count);
        for places in (0..count).map(|shard| shards.examples(shard)) {
            let part = get(places.clone());
            let pixels = places.start * 64..places.end * 64;
            assert_eq!(part.x_0.to_data().to_vec::<f32>().unwrap(), all[0][pixels.clone()]);
            assert_eq!(part.epsilon.to_data().to_vec::<f32>().unwrap(), all[1][pixels]);
            assert_eq!(part.t, whole.t[places.clone()]);
            assert_eq!(part.classes.unwrap(), whole.classes.as_ref().unwrap()[places.clone()]);
            assert_eq!(part.weights.unwrap().to_data().to_vec::<f32>().unwrap(), weights[places]);
        }
    }
}

/// As several machines will do it: each adds its own shards, and the sums go round.
#[test]
fn any_number_of_owners_gives_the_bits_of_one() {
    let case = Case::new(ModelVariance::LearnedRange, Loss::Hybrid, Weight::Simple, Density::IMPORTANCE);
    for count in [1, 3, 4, 6, 7, 8, 11] {
        let lesson = case.lesson(count);
        let one = lesson.learn(&case.net).unwrap();
        let expected = values(&one.gradient);
        for owners in [2, 3, 4, 6, 8] {
            let mut sum = TreeSum::new(lesson.shards, Learned::plus);
            for owner in 0..owners {
                let own = lesson.learn_from(&case.net, lesson.shards.owned_by(owner, owners)).unwrap();
                own.into_iter().for_each(|partial| sum.push(partial));
            }
            let all = sum.total().unwrap();
            assert_eq!(all.loss.read().to_bits(), one.loss.clone().read().to_bits(), "{count} shards, {owners} owners");
            assert_eq!(all.losses, one.losses);
            let same = values(&all.gradient).iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{count} shards, {owners} owners");
            assert_eq!(all.gradient.norm().to_bits(), one.gradient.norm().to_bits());
        }
    }
}
