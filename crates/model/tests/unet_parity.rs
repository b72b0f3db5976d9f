//! The U-Net against diffusers: same structure, same names, same numbers, same bytes.
//!
//! The golden pipelines were made by `golden/make_unet.py`, which says with which versions.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use sfumato_model::{
    params::{FileParams, write_parameters},
    tensor_file::{TensorFile, read_tensors},
};
use sfumato_nets::{
    params::named_parameters,
    unet::{Condition, UNet2D, UNet2DConfig},
};

const CASES: [&str; 6] = ["cifar", "defaults", "classes", "resnets", "fourier", "identity"];

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case)
}

fn weights(case: &str) -> PathBuf {
    golden(case).join("unet/diffusion_pytorch_model.safetensors")
}

fn config(case: &str) -> UNet2DConfig {
    let json = fs::read(golden(case).join("unet/config.json")).unwrap();
    let (config, unknown) = UNet2DConfig::from_json(&serde_json::from_slice(&json).unwrap()).unwrap();
    assert!(unknown.is_empty(), "{case}: diffusers' own keys are all known, but for {unknown:?}");
    config
}

fn load(case: &str) -> UNet2D<Flex> {
    config(case).build(&mut FileParams::open(&weights(case)).unwrap(), &FlexDevice).unwrap()
}

struct Golden {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Golden {
    fn read(case: &str) -> Self {
        let tensors = read_tensors(&golden(case).join("golden.safetensors")).unwrap();
        Self { tensors: tensors.into_iter().map(|tensor| (tensor.name, (tensor.shape, tensor.values))).collect() }
    }

    fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<Flex, D> {
        let (shape, values) = &self.tensors[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), &FlexDevice)
    }
}

fn run(case: &str, net: &UNet2D<Flex>, golden: &Golden) -> Vec<f32> {
    let labels: Vec<usize>;
    let condition = if golden.tensors.contains_key("embedding") {
        Condition::Embedding(golden.tensor("embedding"))
    } else if golden.tensors.contains_key("labels") {
        labels = golden.values("labels").iter().map(|&label| label as usize).collect();
        Condition::Classes(&labels)
    } else {
        Condition::None
    };
    let output = net.forward_with(golden.tensor("sample"), golden.values("timesteps"), condition, None);
    output.unwrap_or_else(|error| panic!("{case}: {error}")).into_data().into_vec().unwrap()
}

/// Largest difference over largest value.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0, |max: f64, &v| max.max(f64::from(v).abs()));
    let difference =
        ours.iter().zip(theirs).fold(0.0, |max: f64, (&a, &b)| max.max((f64::from(a) - f64::from(b)).abs()));
    difference / largest
}

#[test]
fn outputs_are_those_of_diffusers() {
    for case in CASES {
        let golden = Golden::read(case);
        let distance = distance(&run(case, &load(case), &golden), golden.values("output"));
        println!("{case}: {distance:.2e}");
        assert!(distance <= 2e-5, "{case}: {distance:.2e}");
    }
}

#[test]
fn parameter_names_and_shapes_are_those_of_diffusers() {
    for case in CASES {
        let ours: BTreeMap<_, _> =
            named_parameters(&load(case)).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        let file = TensorFile::open(&weights(case)).unwrap();
        let theirs: BTreeMap<_, _> =
            file.tensors().iter().map(|(name, info)| (name.clone(), info.shape.clone())).collect();
        assert_eq!(ours, theirs, "{case}");
        let count: usize = theirs.values().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(config(case).num_params(), count as u64, "{case}");
    }
}

#[test]
fn weights_come_back_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    for case in CASES {
        let path = directory.path().join(case);
        write_parameters(&load(case), &path).unwrap();
        assert!(fs::read(path).unwrap() == fs::read(weights(case)).unwrap(), "{case}");
    }
}

#[test]
fn examples_do_not_see_each_other() {
    let (net, golden) = (load("cifar"), Golden::read("cifar"));
    let together = run("cifar", &net, &golden);
    let x = golden.tensor::<4>("sample");
    let each = together.len() / x.dims()[0];
    for (i, &t) in golden.values("timesteps").iter().enumerate() {
        let alone = net.forward(x.clone().narrow(0, i, 1), &[t], None, None);
        let alone = alone.into_data().into_vec::<f32>().unwrap();
        // Sums may be ordered otherwise for another batch size.
        assert!(distance(&alone, &together[i * each..][..each]) < 1e-6, "example {i}");
    }
}
