//! Weights as diffusers lays them out: half precision, shards, variants, old names. `golden/make_files.py` says with which versions.

#[path = "common/compare.rs"]
mod compare;
#[path = "common/formula.rs"]
mod formula;
#[path = "common/noise.rs"]
mod noise;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use compare::distance;
use formula::Formula;
use half::{bf16, f16};
use noise::noise;
use sfumato_model::{
    pipeline::{Pipeline, PipelineError, Warning},
    tensor_file::read_tensors,
};
use sfumato_nets::params::named_parameters;

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files")
}

#[test]
fn every_layout_of_diffusers_gives_its_weights_and_its_answers() {
    let outputs = read_tensors(&files().join("outputs.safetensors")).unwrap();
    assert_eq!(outputs.len(), 5);
    for expected in outputs {
        let pipeline = Pipeline::open(&files().join(&expected.name)).unwrap();
        let net = pipeline.load_unet::<Flex>(&FlexDevice).unwrap_or_else(|error| panic!("{}: {error}", expected.name));
        for tensor in named_parameters(&net) {
            let stored = |value: f32| match expected.name.as_str() {
                "fp16" | "sharded-fp16" => f16::from_f32(value).to_f32(),
                "bf16" => bf16::from_f32(value).to_f32(),
                _ => value,
            };
            let right: Vec<f32> = Formula.weight(&tensor.name, &tensor.shape).into_iter().map(stored).collect();
            assert_eq!(tensor.values, right, "{} {}", expected.name, tensor.name);
        }
        let sample = Tensor::from_data(TensorData::new(noise("sample", 64), [1, 1, 8, 8]), &FlexDevice);
        let output = net.forward(sample, &[100.0], None, None).into_data().into_vec::<f32>().unwrap();
        let distance = distance(&output, &expected.values);
        assert!(distance <= 2e-5, "{}: {distance:.2e}", expected.name);
    }
}

#[test]
fn a_model_without_a_scheduler_says_that_defaults_are_assumed() {
    let flat = Pipeline::open(&files().join("flat")).unwrap();
    assert_eq!(flat.warnings, [Warning::NoScheduler { dir: files().join("flat") }]);
    assert_eq!(Pipeline::open(&files().join("sharded")).unwrap().warnings, []);
}

#[test]
fn a_lost_shard_is_named() {
    let (from, dir) = (files().join("sharded/unet"), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(&from).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.to_string_lossy().contains("00003") {
            fs::copy(from.join(&name), dir.path().join(&name)).unwrap();
        }
    }
    let error = Pipeline::open(dir.path()).unwrap().load_unet::<Flex>(&FlexDevice).unwrap_err();
    assert!(matches!(error, PipelineError::Weights(_)), "{error}");
    assert!(error.to_string().contains("diffusion_pytorch_model-00003-of-00004.safetensors"), "{error}");
}
