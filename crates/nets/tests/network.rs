//! Behaviour of the networks as functions and as modules.

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::{AutodiffModule, Module, ModuleVisitor, Param},
    tensor::{Tensor, TensorData, backend::AutodiffBackend},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sfumato_nets::{
    Call, Guided, InputError,
    layers::{Activation, DropoutKey},
    mlp::MlpConfig,
    params::{RandomParams, named_parameters},
    unet::{
        ClassEmbedType, Condition, DownBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2D,
        UNet2DConfig, UpBlockType,
    },
};
use sfumato_process::Denoiser;

type Train = Autodiff<Flex>;

fn three_levels() -> UNet2DConfig {
    UNet2DConfig {
        in_channels: 1,
        out_channels: 1,
        block_out_channels: vec![4, 8, 8],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D, DownBlockType::DownBlock2D],
        up_block_types: vec![UpBlockType::UpBlock2D, UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 2,
        ..Default::default()
    }
}

fn torch_init(seed: u64) -> RandomParams {
    RandomParams::new(seed).without_zero_init()
}

fn noise<B: burn::tensor::backend::Backend, const D: usize>(
    seed: u64,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut rng)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<B: burn::tensor::backend::Backend, const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().into_vec().unwrap()
}

/// Names of trainable parameters whose gradient is missing or zero everywhere.
struct Stuck<'a, B: AutodiffBackend> {
    gradients: &'a B::Gradients,
    path: Vec<String>,
    names: Vec<String>,
    seen: usize,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Stuck<'_, B> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.seen += 1;
        let moves = param.val().grad(self.gradients).is_some_and(|gradient| {
            let values = gradient.into_data().into_vec::<f32>().unwrap();
            values.iter().all(|value| value.is_finite()) && values.iter().any(|&value| value != 0.0)
        });
        if !moves {
            self.names.push(self.path.join("."));
        }
    }
}

fn stuck<M: Module<Train>>(net: &M, loss: Tensor<Train, 1>) -> (Vec<String>, usize) {
    let gradients = loss.backward();
    let mut stuck = Stuck::<Train> { gradients: &gradients, path: Vec::new(), names: Vec::new(), seen: 0 };
    net.visit(&mut stuck);
    (stuck.names, stuck.seen)
}

#[test]
fn gradients_reach_every_parameter_of_the_unet() {
    let base = three_levels();
    let resnets = UNet2DConfig {
        downsample_type: ResampleType::Resnet,
        upsample_type: ResampleType::Resnet,
        num_class_embeds: Some(3),
        resnet_time_scale_shift: TimeScaleShift::ScaleShift,
        act_fn: Activation::Mish,
        ..three_levels()
    };
    for (config, classes) in [(base, None), (resnets, Some([0, 1, 2].as_slice()))] {
        let net = config.build::<Train>(&mut torch_init(3), &FlexDevice).unwrap();
        let output = net.forward(noise(1, [3, 1, 8, 8], &FlexDevice), &[0.0, 10.0, 700.0], classes, None);
        let (names, seen) = stuck(&net, (output - noise(2, [3, 1, 8, 8], &FlexDevice)).square().mean());
        // A bias of the keys shifts all scores of a query alike, so softmax does not see it: its gradient is zero up to rounding.
        let names: Vec<_> = names.into_iter().filter(|name| !name.ends_with("to_k.bias")).collect();
        assert!(names.is_empty(), "{names:?}");
        assert_eq!(seen, named_parameters(&net).len());
    }
}

#[test]
fn fourier_frequencies_are_not_trained() {
    let config = UNet2DConfig { time_embedding_type: TimeEmbeddingType::Fourier, ..three_levels() };
    let net = config.build::<Train>(&mut torch_init(3), &FlexDevice).unwrap();
    let output = net.forward(noise(1, [1, 1, 8, 8], &FlexDevice), &[2.0], None, None);
    let (names, _) = stuck(&net, output.square().mean());
    assert!(names.contains(&"time_proj.weight".to_owned()), "{names:?}");
}

#[test]
fn gradients_reach_every_parameter_of_the_mlp() {
    let net = MlpConfig::default().build::<Train>(&mut torch_init(3), &FlexDevice).unwrap();
    let output = net.forward(noise(1, [4, 2], &FlexDevice), &[0.0, 1.0, 500.0, 999.0]);
    let (names, seen) = stuck(&net, output.square().mean());
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(seen, 2 + 4 + 3 * 6 + 2);
}

#[test]
fn a_gradient_agrees_with_finite_differences() {
    let config = UNet2DConfig { num_class_embeds: Some(2), ..three_levels() };
    let net = config.build::<Train>(&mut torch_init(5), &FlexDevice).unwrap();
    let inner = net.valid();
    let x = noise::<Flex, 4>(1, [2, 1, 8, 8], &FlexDevice);
    let weights = noise::<Flex, 4>(2, [2, 1, 8, 8], &FlexDevice);
    let direction = noise::<Flex, 4>(4, [2, 1, 8, 8], &FlexDevice);
    let objective = |x: Tensor<Flex, 4>| {
        let output = inner.forward(x, &[3.0, 500.0], Some(&[0, 1]), None) * weights.clone();
        values(output).iter().map(|&v| f64::from(v)).sum::<f64>()
    };
    let tracked = Tensor::<Train, 4>::from_inner(x.clone()).require_grad();
    let output = net.forward(tracked.clone(), &[3.0, 500.0], Some(&[0, 1]), None) * Tensor::from_inner(weights.clone());
    let gradient = tracked.grad(&output.sum().backward()).unwrap();
    let analytic: f64 = values(gradient * direction.clone()).iter().map(|&v| f64::from(v)).sum();
    let step = 1e-2;
    let numeric = (objective(x.clone() + direction.clone() * step) - objective(x - direction * step)) / (2.0 * step);
    // Central difference in f32: truncation ~ step², rounding ~ 1e-5 / step.
    assert!((analytic - numeric).abs() < 5e-3 * analytic.abs().max(1.0), "{analytic} {numeric}");
}

#[test]
fn zero_initialisation_makes_the_first_prediction_zero() {
    let net = three_levels().build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    let output = net.forward(noise(1, [1, 1, 8, 8], &FlexDevice), &[500.0], None, None);
    assert!(values(output).iter().all(|&v| v == 0.0));
    let net = MlpConfig::default().build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    assert!(values(net.forward(noise(1, [3, 2], &FlexDevice), &[0.0; 3])).iter().all(|&v| v == 0.0));
}

#[test]
fn the_same_seed_gives_the_same_network_and_another_seed_another() {
    let build = |seed| named_parameters(&three_levels().build::<Flex>(&mut torch_init(seed), &FlexDevice).unwrap());
    assert_eq!(build(1), build(1));
    let differs = build(1).iter().zip(build(2)).filter(|(a, b)| a.values != b.values).count();
    assert_eq!(differs, build(1).iter().filter(|tensor| !tensor.name.contains("norm")).count());
}

#[test]
fn fashion_sized_images_pass_three_levels() {
    let net = three_levels().build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    for size in [[28, 28], [4, 4], [12, 20]] {
        let output = net.forward(noise(1, [2, 1, size[0], size[1]], &FlexDevice), &[1.0, 2.0], None, None);
        assert_eq!(output.dims(), [2, 1, size[0], size[1]]);
    }
}

#[test]
fn every_unfit_input_is_an_error_before_it_reaches_burn() {
    let net = three_levels().build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    let check = |shape, timesteps, condition| net.check(shape, timesteps, &condition).unwrap_err();
    assert_eq!(check([1, 1, 30, 28], 1, Condition::None), InputError::Size { height: 30, width: 28, divisor: 4 });
    assert_eq!(check([1, 1, 0, 28], 1, Condition::None), InputError::Size { height: 0, width: 28, divisor: 4 });
    assert_eq!(check([1, 3, 28, 28], 1, Condition::None), InputError::Channels { expected: 1, found: 3 });
    assert_eq!(check([2, 1, 28, 28], 1, Condition::None), InputError::Timesteps { batch: 2, found: 1 });
    assert_eq!(check([0, 1, 28, 28], 0, Condition::None), InputError::EmptyBatch);
    assert_eq!(check([1, 1, 28, 28], 1, Condition::Classes(&[0])), InputError::UnexpectedClasses);

    let table = UNet2DConfig { num_class_embeds: Some(3), ..three_levels() };
    let net = table.build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    let check = |condition| net.check([2, 1, 28, 28], 2, &condition).unwrap_err();
    assert_eq!(check(Condition::None), InputError::MissingClasses);
    assert_eq!(check(Condition::Classes(&[1])), InputError::ClassCount { batch: 2, found: 1 });
    assert_eq!(check(Condition::Classes(&[1, 3])), InputError::ClassLabel { label: 3, last: 2 });
    let vectors = Condition::Embedding(Tensor::zeros([2, 16], &FlexDevice));
    assert!(matches!(check(vectors), InputError::ClassVector { .. }));

    let identity = UNet2DConfig { class_embed_type: Some(ClassEmbedType::Identity), ..three_levels() };
    let net = identity.build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    let check = |condition| net.check([2, 1, 28, 28], 2, &condition).unwrap_err();
    assert!(matches!(check(Condition::Classes(&[0, 0])), InputError::ClassVector { batch: 2, dim: 16, .. }));
    let long = Condition::Embedding(Tensor::zeros([2, 17], &FlexDevice));
    assert!(check(long).to_string().contains("[2, 17]"));

    let mlp = MlpConfig::default().build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    assert_eq!(mlp.check([4, 3], 4), Err(InputError::Channels { expected: 2, found: 3 }));
    assert_eq!(mlp.check([4, 2], 3), Err(InputError::Timesteps { batch: 4, found: 3 }));
}

#[test]
fn dropout_is_a_function_of_its_key() {
    let config = UNet2DConfig { dropout: 0.3, ..three_levels() };
    let net = config.build::<Train>(&mut torch_init(1), &FlexDevice).unwrap();
    let x = noise::<Train, 4>(1, [4, 1, 8, 8], &FlexDevice);
    let run = |x: Tensor<Train, 4>, key| {
        let steps = vec![5.0; x.dims()[0]];
        values(net.forward(x, &steps, None, key))
    };
    let key = DropoutKey::new(1, 7);
    let whole = run(x.clone(), Some(key));
    assert_eq!(whole, run(x.clone(), Some(key)));
    assert_ne!(whole, run(x.clone(), Some(DropoutKey::new(1, 8))));
    assert_ne!(whole, run(x.clone(), None));
    let half = run(x.clone().narrow(0, 2, 2), Some(key.starting_at(2)));
    for (a, b) in half.iter().zip(&whole[128..]) {
        assert!((a - b).abs() < 1e-5, "a part of the batch gets its part of the masks");
    }
    // Without a key a network with dropout is the network without it.
    let plain = three_levels().build::<Train>(&mut torch_init(1), &FlexDevice).unwrap();
    assert_eq!(run(x.clone(), None), values(plain.forward(x, &[5.0; 4], None, None)));
}

#[test]
fn a_denoiser_counts_steps_from_one() {
    let net = three_levels().build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
    let x = noise::<Flex, 4>(1, [2, 1, 8, 8], &FlexDevice);
    let by_step = values(net.predict(x.clone(), &[1, 1000]));
    assert_eq!(by_step, values(net.forward(x, &[0.0, 999.0], None, None)));
}

fn class_net() -> UNet2D<Flex> {
    let config = UNet2DConfig { num_class_embeds: Some(4), ..three_levels() };
    config.build(&mut torch_init(1), &FlexDevice).unwrap()
}

#[test]
fn guidance_extrapolates_from_the_null_class() {
    let net = class_net();
    let x = noise::<Flex, 4>(1, [2, 1, 8, 8], &FlexDevice);
    let t = [10, 700];
    let with = |labels: [usize; 2]| Call { net: &net, classes: Some(&labels), dropout: None }.predict(x.clone(), &t);
    let guided = |weight| values(Guided { net: &net, classes: &[0, 2], null_class: 3, weight }.predict(x.clone(), &t));
    let (conditional, nothing) = (with([0, 2]), with([3, 3]));
    assert_ne!(values(conditional.clone()), values(nothing.clone()));
    assert_eq!(guided(1.0), values(conditional.clone()));
    assert_eq!(guided(0.0), values(nothing.clone()));
    let expected = values(nothing.clone() + (conditional - nothing) * 2.5);
    for (a, b) in guided(2.5).iter().zip(expected) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0));
    }
}

#[test]
fn guidance_leaves_a_learned_variance_to_the_conditional_network() {
    let config = UNet2DConfig { num_class_embeds: Some(4), out_channels: 2, ..three_levels() };
    let net = config.build::<Flex>(&mut torch_init(7), &FlexDevice).unwrap();
    let x = noise::<Flex, 4>(1, [1, 1, 8, 8], &FlexDevice);
    let with = |label| values(Call { net: &net, classes: Some(&[label]), dropout: None }.predict(x.clone(), &[10]));
    let guided = Guided { net: &net, classes: &[2], null_class: 3, weight: 3.0 }.predict(x.clone(), &[10]);
    let (guided, conditional, nothing) = (values(guided), with(2), with(3));
    assert_eq!(guided.len(), 2 * 64);
    for (i, value) in guided.iter().enumerate() {
        let expected = if i < 64 { nothing[i] + 3.0 * (conditional[i] - nothing[i]) } else { conditional[i] };
        assert!((value - expected).abs() < 1e-4, "{i}: {value} and {expected}");
    }
    assert_ne!(conditional[64..], nothing[64..]);
}

#[test]
fn the_summary_counts_every_parameter() {
    for config in [
        three_levels(),
        UNet2DConfig { attention_head_dim: None, num_class_embeds: Some(7), ..three_levels() },
        UNet2DConfig {
            class_embed_type: Some(ClassEmbedType::Timestep),
            downsample_type: ResampleType::Resnet,
            ..three_levels()
        },
        UNet2DConfig { add_attention: false, time_embedding_dim: Some(12), ..three_levels() },
    ] {
        let net = config.build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap();
        let summary = config.summarize([28, 28]);
        assert_eq!(summary.parameters(), net.num_params() as u64);
        assert_eq!(summary.blocks.last().unwrap().resolution, Some([28, 28]));
        let mid = summary.blocks.iter().find(|block| block.name == "mid_block").unwrap();
        assert_eq!(mid.resolution, Some([7, 7]));
    }
    let mlp = MlpConfig::default();
    assert_eq!(mlp.num_params(), mlp.build::<Flex>(&mut torch_init(1), &FlexDevice).unwrap().num_params() as u64);
}

#[test]
fn the_published_cifar_model_has_its_published_size() {
    use DownBlockType::{AttnDownBlock2D, DownBlock2D};
    use UpBlockType::{AttnUpBlock2D, UpBlock2D};
    let config = UNet2DConfig {
        block_out_channels: vec![128, 256, 256, 256],
        down_block_types: vec![DownBlock2D, AttnDownBlock2D, DownBlock2D, DownBlock2D],
        up_block_types: vec![UpBlock2D, UpBlock2D, AttnUpBlock2D, UpBlock2D],
        attention_head_dim: None,
        ..Default::default()
    };
    // google/ddpm-cifar10-32; Ho et al. (2020), appendix B: "35.7 million parameters".
    assert_eq!(config.num_params(), 35_746_307);
    // torch 2.9.1's FlopCounterMode, halved, counts convolutions and linear layers but not the products of attention: five
    // of 16x16 pixels and one of 4x4, each twice pixels² · channels.
    let products = 2 * (5 * 256 * 256 + 16 * 16) * 256;
    assert_eq!(config.summarize([32, 32]).multiply_adds(), 6_053_953_536 + products);
}

/// The batch is cut into parts (see `unet::parts`), every example of which has its own time and class.
#[test]
fn examples_of_a_large_batch_are_those_of_small_ones() {
    let config = UNet2DConfig { num_class_embeds: Some(5), ..three_levels() };
    let device = FlexDevice;
    let net = config.build::<Flex>(&mut torch_init(3), &device).unwrap();
    let batch = 70;
    let x = noise::<Flex, 4>(4, [batch, 1, 64, 64], &device);
    let times: Vec<f32> = (0..batch).map(|i| 14.0 * i as f32).collect();
    let classes: Vec<usize> = (0..batch).map(|i| i * i % 5).collect();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let whole = net.forward(x.clone(), &times, Some(&classes), None);
            assert_eq!(whole.dims(), [batch, 1, 64, 64]);
            for i in [0, 13, 14, 34, 35, 69] {
                let alone = net.forward(x.clone().narrow(0, i, 1), &times[i..=i], Some(&classes[i..=i]), None);
                let (alone, among) = (values(alone), values(whole.clone().narrow(0, i, 1)));
                let difference = alone.iter().zip(&among).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let largest = alone.iter().map(|a| a.abs()).fold(0.0, f32::max);
                assert!(difference == 0.0, "example {i}, {threads} threads: {difference} of {largest}");
            }
        });
    }
}
