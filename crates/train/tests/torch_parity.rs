//! Training as in PyTorch: from the same weights, data, noise and times, the same losses and the same weights after 50 steps.
//!
//! `golden/make_training.py` and `golden/make_objectives.py` made the numbers and say with which versions.

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
use sfumato_nets::{
    Call,
    params::named_parameters,
    unet::{UNet2D, UNet2DConfig},
};
use sfumato_process::{
    DiffusionObjective, Loss, ModelVariance, Objective, Parameterization, Weight, bound::Decoder, loss,
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, probability::LikelihoodCdf};
use sfumato_train::{
    config::{LearningRateDecay, OptimizerConfig},
    learning_rate::learning_rate,
};

type Train = Autodiff<Flex>;

const STEPS: u64 = 50;
const BATCH: usize = 4;
const SHAPE: [usize; 4] = [BATCH, 1, 8, 8];

fn golden(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn input(name: String, scale: f32) -> Tensor<Train, 4> {
    let values: Vec<f32> = noise(&name, SHAPE.iter().product()).into_iter().map(|value| scale * value).collect();
    Tensor::from_data(TensorData::new(values, SHAPE), &FlexDevice)
}

/// A batch's data, steps and noise.
struct Batch {
    x_0: Tensor<Train, 4>,
    t: Vec<usize>,
    epsilon: Tensor<Train, 4>,
}

/// Losses, gradient norms, last weights and their average of a network with `channels` outputs, trained by `loss`.
fn train(
    channels: usize,
    mut batch: impl FnMut(u64, Batch) -> Batch,
    loss: impl Fn(&NoiseSchedule, &Call<'_, UNet2D<Train>>, Batch) -> Tensor<Train, 1>,
) -> (Vec<f64>, Vec<f64>, Vec<NamedTensor>, Vec<NamedTensor>) {
    let json = serde_json::from_slice(&fs::read(golden("training.json")).unwrap()).unwrap();
    let (config, _) = UNet2DConfig::from_json(&json).unwrap();
    let config = UNet2DConfig { out_channels: channels, ..config };
    let constants = OptimizerConfig {
        learning_rate: 1e-3,
        warmup_steps: 10,
        decay: LearningRateDecay::Constant,
        clip_norm: 2.0,
        ema_decay: 0.999,
        ..OptimizerConfig::default()
    };
    let schedule = ScheduleConfig::default().build().unwrap();
    let mut net: UNet2D<Train> = config.build(&mut Formula, &FlexDevice).unwrap();
    let mut optimizer = Adam::new(&constants.adam(), &net.valid());
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 1..=STEPS {
        let (x_0, epsilon) = (input(format!("x_0 {step}"), 0.5), input(format!("epsilon {step}"), 1.0));
        // There times count from 0.
        let time = |u: f64| ((u + 1.0) / 2.0 * schedule.steps() as f64).floor() as usize + 1;
        let t: Vec<usize> = uniform(&format!("t {step}"), BATCH).map(time).collect();
        let classes: Vec<usize> = (0..BATCH).map(|i| (step as usize + i) % 3).collect();
        let call = Call { net: &net, classes: Some(&classes), dropout: None };
        let loss = loss(&schedule, &call, batch(step, Batch { x_0, t, epsilon })).mean();
        losses.push(loss.clone().into_scalar().elem::<f64>());
        let mut gradients = loss.backward();
        let rate = learning_rate(&constants, step, STEPS);
        let (moved, norm) = optimizer.step::<Train, _>(net, &mut gradients, step, rate);
        net = moved;
        norms.push(norm.grad_norm);
    }
    let net = net.valid();
    let average = named_parameters(&optimizer.averaged(net.clone()));
    (losses, norms, named_parameters(&net), average)
}

/// Norm of the difference over the norm of `right`.
fn distance(ours: &[f32], right: &[f32]) -> f64 {
    assert_eq!(ours.len(), right.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut ours.iter().zip(right).map(|(a, b)| f64::from(a - b)));
    (difference / square(&mut right.iter().map(|&value| f64::from(value)))).sqrt()
}

/// The largest relative difference.
fn relative(ours: &[f64], right: &[f32]) -> f64 {
    ours.iter().zip(right).map(|(a, &b)| (a / f64::from(b) - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn fifty_steps_give_the_losses_and_the_weights_of_pytorch() {
    let expected: BTreeMap<String, Vec<f32>> = read_tensors(&golden("training.safetensors"))
        .unwrap()
        .into_iter()
        .map(|tensor| (tensor.name, tensor.values))
        .collect();
    let (losses, norms, weights, average) = train(
        1,
        |_, batch| batch,
        |schedule, call, batch| {
            let Batch { x_0, t, epsilon } = batch;
            loss::simple(schedule, Parameterization::Epsilon, call, x_0, &t, epsilon)
        },
    );
    assert_eq!((losses.len(), expected["losses"].len()), (50, 50));
    let (loss, norm) = (relative(&losses, &expected["losses"]), relative(&norms, &expected["norms"]));
    println!("losses {loss:.1e}, gradient norms {norm:.1e}");
    assert!(loss < 1e-4, "losses: {loss:.2e}");
    assert!(norm < 1e-4, "gradient norms: {norm:.2e}");
    // Both kinds of step are among them: clipped and not.
    assert!(norms.iter().any(|&norm| norm > 2.0) && norms.iter().any(|&norm| norm < 2.0));

    let mut worst = 0.0f64;
    for (prefix, tensors) in [("weights", weights), ("average", average)] {
        assert_eq!(expected.keys().filter(|name| name.starts_with(prefix)).count(), tensors.len());
        for tensor in tensors {
            let name = format!("{prefix}.{}", tensor.name);
            let distance = distance(&tensor.values, &expected[&name]);
            // A bias of the keys shifts all scores of a query alike, which softmax does not see: its gradient is rounding
            // alone, and Adam divides that by its own size. The network's answers do not depend on it.
            if tensor.name.ends_with("to_k.bias") {
                assert!(distance < 1e-2, "{name}: {distance:.2e}");
                continue;
            }
            worst = worst.max(distance);
            assert!(distance < 1e-4, "{name}: {distance:.2e}");
        }
    }
    println!("weights {worst:.1e}");
}

/// 8-bit data, and often enough a first step, whose loss is the decoder's.
fn levels(step: u64, batch: Batch) -> Batch {
    let data = batch.x_0.into_data();
    let level = |x: f64| (((x + 1.0) * 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0) as f32;
    let values: Vec<f32> = data.iter::<f64>().map(level).collect();
    let x_0 = Tensor::from_data(TensorData::new(values, SHAPE), &FlexDevice);
    let mut t = batch.t;
    if step.is_multiple_of(5) {
        t[0] = 1;
    }
    Batch { x_0, t, ..batch }
}

#[test]
fn fifty_steps_of_a_learned_variance_give_the_losses_and_the_weights_of_pytorch() {
    let expected: BTreeMap<String, Vec<f32>> = read_tensors(&golden("objectives.safetensors"))
        .unwrap()
        .into_iter()
        .map(|tensor| (tensor.name, tensor.values))
        .collect();
    for (variance, variance_name) in
        [(ModelVariance::LearnedRange, "learned-range"), (ModelVariance::Learned, "learned")]
    {
        for (loss, loss_name) in [(Loss::Hybrid, "hybrid"), (Loss::Vlb, "vlb")] {
            let name = format!("{loss_name}-{variance_name}");
            let decoder = Decoder::Discretized(LikelihoodCdf::Exact);
            let (parameterization, weight) = (Parameterization::Epsilon, Weight::Simple);
            let objective = DiffusionObjective { parameterization, variance, loss, weight, decoder };
            let (losses, norms, weights, _) = train(2, levels, |schedule, call, batch| {
                objective.losses(schedule, call, batch.x_0, &batch.t, batch.epsilon).unwrap()
            });
            let key = |part: &str| format!("{name}.{part}");
            assert_eq!(losses.len(), expected[&key("losses")].len());
            let (loss, norm) =
                (relative(&losses, &expected[&key("losses")]), relative(&norms, &expected[&key("norms")]));
            let mut worst = 0.0f64;
            for tensor in weights.iter().filter(|tensor| !tensor.name.ends_with("to_k.bias")) {
                let distance = distance(&tensor.values, &expected[&key(&format!("weights.{}", tensor.name))]);
                worst = worst.max(distance);
            }
            println!("{name}: losses {loss:.1e}, gradient norms {norm:.1e}, weights {worst:.1e}");
            assert!(loss < 1e-4, "{name}: losses {loss:.2e}");
            assert!(worst < 1e-4, "{name}: weights {worst:.2e}");
        }
    }
}
