//! The U-Net against diffusers across its keys, with weights from a formula: `golden/make_formula.py` says with which versions.
//!
//! Among the cases are the exact configurations of google/ddpm-cifar10-32 and google/ddpm-cat-256, with every parameter.

#[path = "common/compare.rs"]
mod compare;
#[path = "common/formula.rs"]
mod formula;
#[path = "common/noise.rs"]
mod noise;

use std::{fs, path::Path};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use compare::distance;
use formula::Formula;
use noise::noise;
use serde_json::Value;
use sfumato_model::tensor_file::read_tensors;
use sfumato_nets::unet::{Condition, UNet2DConfig};

/// `maximum |ours - diffusers|` over `maximum |diffusers|`, in `f32`.
const BOUND: f32 = 2e-5;

fn tensor<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
    let values = noise(name, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

/// The network of a case, and the largest difference relative to diffusers' answer.
fn compare(case: &str) -> (UNet2DConfig, f32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formula");
    let json: Value = serde_json::from_slice(&fs::read(folder.join(format!("{case}.json"))).unwrap()).unwrap();
    let (config, unknown) = UNet2DConfig::from_json(&json["config"]).unwrap();
    assert!(unknown.is_empty(), "{case}: {unknown:?}");
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let timesteps: Vec<f32> = numbers(&json["timesteps"]).into_iter().map(|t| t as f32).collect();
    let labels: Vec<usize>;
    let condition = match &json["labels"] {
        Value::Null => Condition::None,
        Value::String(_) => Condition::Embedding(tensor("embedding", [timesteps.len(), config.time_embed_dim()])),
        list => {
            labels = numbers(list).into_iter().map(|label| label as usize).collect();
            Condition::Classes(&labels)
        }
    };
    let size = numbers(&json["size"]);
    let sample = tensor("sample", [timesteps.len(), config.in_channels, size[0] as usize, size[1] as usize]);
    let net = config.build::<Flex>(&mut Formula, &FlexDevice).unwrap();
    let output = net.forward_with(sample, &timesteps, condition, None).unwrap();
    let expected = read_tensors(&folder.join(format!("{case}.safetensors"))).unwrap().remove(0);
    assert_eq!(output.dims().to_vec(), expected.shape, "{case}");
    let distance = distance(&output.into_data().into_vec::<f32>().unwrap(), &expected.values);
    println!("{case:22} {:>11} parameters {distance:.2e}", config.num_params());
    (config, distance)
}

fn agrees(case: &str, parameters: u64) {
    let (config, distance) = compare(case);
    assert_eq!(config.num_params(), parameters, "{case}");
    assert!(distance <= BOUND, "{case}: {distance:.2e}");
}

#[test]
fn the_published_cifar10_network_answers_as_in_diffusers() {
    agrees("ddpm-cifar10-32", 35_746_307);
}

#[test]
fn the_published_cat_network_answers_as_in_diffusers() {
    agrees("ddpm-cat-256", 113_673_219);
}

/// The counts are diffusers' own: `sum(parameter.numel() for parameter in unet.parameters())`.
#[test]
fn small_networks_across_the_keys_answer_as_in_diffusers() {
    for (case, parameters) in [
        ("attention-everywhere", 250_225),
        ("one-level", 44_161),
        ("no-attention", 97_155),
        ("guided", 3_074_790),
        ("five-levels", 158_004),
        ("fourier-labels", 44_603),
        ("vector-oblong", 46_457),
        ("mixed-resampling", 103_578),
        ("old-names", 150_723),
    ] {
        agrees(case, parameters);
    }
}
