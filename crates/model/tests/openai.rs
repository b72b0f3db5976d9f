//! Checkpoints of improved-diffusion and guided-diffusion: read without Python, computed as there.
//!
//! `golden/make_openai.py` made the checkpoints and the answers, and says with which versions.

#[path = "common/compare.rs"]
mod compare;
#[path = "common/formula.rs"]
mod formula;
#[path = "common/noise.rs"]
mod noise;
#[path = "common/torch_writer.rs"]
mod torch_writer;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use compare::distance;
use formula::Formula;
use noise::noise;
use serde_json::{Map, Value};
use sfumato_model::{
    openai::{Checkpoint, Note, OpenAiFlags, Project},
    params::{FileParams, WeightsMismatch},
    pipeline::{Facts, Pipeline},
    tensor_file::{Dtype, read_tensors},
    torch_file::TorchFile,
};
use sfumato_nets::unet::{UNet2D, UNet2DConfig};
use tempfile::tempdir;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai").join(file)
}

/// A case of the script.
struct Case {
    json: Value,
    flags: OpenAiFlags,
}

impl Case {
    fn read(name: &str) -> Self {
        let json: Value = serde_json::from_slice(&fs::read(golden(&format!("{name}.json"))).unwrap()).unwrap();
        let project = match json["project"].as_str().unwrap() {
            "improved-diffusion" => Project::ImprovedDiffusion,
            _ => Project::GuidedDiffusion,
        };
        let flags = OpenAiFlags::parse(project, json["flags"].as_str().unwrap()).unwrap();
        Self { json, flags }
    }

    fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        Some(self.json[key].as_array()?.iter().map(|n| n.as_f64().unwrap()).collect())
    }

    /// The tensors of the checkpoint, from the formula.
    fn tensors(&self) -> Vec<torch_writer::Tensor> {
        let shapes = self.json["tensors"].as_object().unwrap();
        let tensor = |(name, shape): (&String, &Value)| {
            let shape: Vec<usize> = shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            (name.clone(), shape.clone(), Formula.weight(name, &shape))
        };
        shapes.iter().map(tensor).collect()
    }

    /// Largest relative difference to the answer in `expected`.
    fn distance(&self, net: &UNet2D<Flex>, expected: &str) -> f32 {
        let times: Vec<f32> = self.numbers("times").unwrap().into_iter().map(|t| t as f32).collect();
        let labels: Option<Vec<usize>> = self.numbers("labels").map(|l| l.into_iter().map(|l| l as usize).collect());
        let shape = [times.len(), 3, self.flags.image_size, self.flags.image_size];
        let sample = TensorData::new(noise("sample", shape.iter().product()), shape);
        let output = net.forward(Tensor::from_data(sample, &FlexDevice), &times, labels.as_deref(), None);
        let expected = read_tensors(&golden(expected)).unwrap().remove(0);
        assert_eq!(output.dims().to_vec(), expected.shape);
        distance(&output.into_data().into_vec::<f32>().unwrap(), &expected.values)
    }
}

#[test]
fn networks_of_both_projects_answer_as_there() {
    let dir = tempdir().unwrap();
    for name in ["improved", "improved-classes", "improved-heads", "guided", "tiny"] {
        let case = Case::read(name);
        let path = dir.path().join("model.pt");
        fs::write(&path, torch_writer::checkpoint(&case.tensors(), true)).unwrap();
        let net = Checkpoint::open(&path, &case.flags).unwrap().load::<Flex>(&FlexDevice).unwrap();
        let distance = case.distance(&net, &format!("{name}.safetensors"));
        println!("{name}: {distance:.2e}");
        assert!(distance <= 2e-5, "{name}: {distance:.2e}");
    }
}

#[test]
fn files_of_torch_itself_are_read_in_both_containers() {
    for (file, expected) in [("zip.pt", "zip.safetensors"), ("legacy.pt", "tiny.safetensors")] {
        let case = Case::read("tiny");
        let net = Checkpoint::open(&golden(file), &case.flags).unwrap().load::<Flex>(&FlexDevice).unwrap();
        let distance = case.distance(&net, expected);
        assert!(distance <= 2e-5, "{file}: {distance:.2e}");
    }
}

#[test]
fn views_strides_and_element_types_are_read() {
    let expected: BTreeMap<_, _> =
        read_tensors(&golden("odd.safetensors")).unwrap().into_iter().map(|t| (t.name.clone(), t)).collect();
    for file in ["odd.pt", "odd-legacy.pt"] {
        let mut file = TorchFile::open(&golden(file)).unwrap();
        assert_eq!(file.tensors().len(), expected.len() + 1);
        for (name, tensor) in &expected {
            assert_eq!(file.tensors()[name].shape, tensor.shape, "{name}");
            assert_eq!(file.read(name).unwrap(), tensor.values, "{name}");
        }
        assert_eq!(file.tensors()["integers"].dtype, Dtype::Other(8));
        let message = file.read("integers").unwrap_err().to_string();
        assert!(message.contains("`integers`") && message.contains("no floating-point numbers"), "{message}");
        assert!(file.read("nowhere").unwrap_err().to_string().contains("`nowhere`"));
    }
}

#[test]
fn archives_of_more_than_four_gigabytes_have_wide_fields() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("wide.pt");
    let tensors = vec![("a".to_owned(), vec![2, 2], vec![1.0f32, 2.0, 3.0, 4.0])];
    let data = tensors[0].2.iter().flat_map(|value| value.to_le_bytes()).collect();
    let pickle = torch_writer::state_dict(&tensors, false);
    let entries = [("x/data.pkl".to_owned(), pickle), ("x/data/0".to_owned(), data)];
    fs::write(&path, torch_writer::archive(&entries, true)).unwrap();
    assert_eq!(TorchFile::open(&path).unwrap().read("a").unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_checkpoint_becomes_a_pipeline_with_the_same_weights() {
    let (case, dir) = (Case::read("tiny"), tempdir().unwrap());
    let mut checkpoint = Checkpoint::open(&golden("zip.pt"), &case.flags).unwrap();
    let net = checkpoint.load::<Flex>(&FlexDevice).unwrap();
    let provenance = Map::from_iter([("imported_from".to_owned(), "zip.pt".into())]);
    checkpoint.write(dir.path(), &net, Facts { provenance: provenance.clone(), ..Facts::default() }).unwrap();
    let pipeline = Pipeline::open(dir.path()).unwrap();
    assert_eq!((&pipeline.warnings[..], &pipeline.spec.facts.provenance), (&[][..], &provenance));
    let distance = case.distance(&pipeline.load_unet(&FlexDevice).unwrap(), "zip.safetensors");
    assert!(distance <= 2e-5, "{distance:.2e}");
}

#[test]
fn heads_that_diffusers_cannot_count_survive_the_directory() {
    let (case, dir) = (Case::read("improved-heads"), tempdir().unwrap());
    let path = dir.path().join("model.pt");
    fs::write(&path, torch_writer::checkpoint(&case.tensors(), false)).unwrap();
    let mut checkpoint = Checkpoint::open(&path, &case.flags).unwrap();
    assert_eq!(checkpoint.model.notes, [Note::Heads { heads: 4 }]);
    let net = checkpoint.load::<Flex>(&FlexDevice).unwrap();
    let out = dir.path().join("out");
    checkpoint.write(&out, &net, Facts::default()).unwrap();
    let config: Value = serde_json::from_slice(&fs::read(out.join("unet/config.json")).unwrap()).unwrap();
    assert_eq!(config["attention_head_dim"], serde_json::json!([8, 16, 24, 32]));
    let net = Pipeline::open(&out).unwrap().load_unet::<Flex>(&FlexDevice).unwrap();
    let distance = case.distance(&net, "improved-heads.safetensors");
    assert!(distance <= 2e-5, "{distance:.2e}");
}

#[test]
fn learned_variances_are_written_into_the_scheduler() {
    let (case, dir) = (Case::read("improved"), tempdir().unwrap());
    let path = dir.path().join("model.pt");
    fs::write(&path, torch_writer::checkpoint(&case.tensors(), false)).unwrap();
    let mut checkpoint = Checkpoint::open(&path, &case.flags).unwrap();
    let net = checkpoint.load::<Flex>(&FlexDevice).unwrap();
    checkpoint.write(dir.path(), &net, Facts::default()).unwrap();
    let json = |file: &str| -> Value { serde_json::from_slice(&fs::read(dir.path().join(file)).unwrap()).unwrap() };
    let scheduler = json("scheduler/scheduler_config.json");
    assert_eq!(scheduler["variance_type"], "learned_range");
    assert_eq!(scheduler["trained_betas"].as_array().unwrap().len(), 1000);
    // The network with six channels out, from the directory.
    let (config, _) = UNet2DConfig::from_json(&json("unet/config.json")).unwrap();
    assert_eq!((config.in_channels, config.out_channels), (3, 6));
    let mut params = FileParams::open(&dir.path().join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    let distance = case.distance(&config.build(&mut params, &FlexDevice).unwrap(), "improved.safetensors");
    assert!(distance <= 2e-5, "{distance:.2e}");
}

#[test]
fn every_tensor_that_does_not_fit_the_flags_is_reported_under_its_own_name() {
    let (mut case, dir) = (Case::read("tiny"), tempdir().unwrap());
    let path = dir.path().join("model.pt");
    let mut tensors = case.tensors();
    tensors.retain(|(name, ..)| name != "middle_block.1.qkv.bias");
    for (name, shape, values) in &mut tensors {
        match name.as_str() {
            "out.2.weight" => shape.reverse(),
            "out.2.bias" => values[0] = f32::NAN,
            "middle_block.1.qkv.weight" => values[5] = f32::INFINITY,
            _ => {}
        }
    }
    tensors.push(("classifier.weight".into(), vec![1], vec![0.0]));
    fs::write(&path, torch_writer::checkpoint(&tensors, true)).unwrap();
    let load = |flags: &OpenAiFlags| Checkpoint::open(&path, flags).unwrap().load::<Flex>(&FlexDevice).unwrap_err();
    let error = load(&case.flags);
    let report = WeightsMismatch::of(&error).expect("a mismatch");
    assert_eq!(report.path, path);
    assert_eq!(report.missing, ["middle_block.1.qkv.bias"]);
    assert_eq!(report.unexpected, ["classifier.weight"]);
    assert_eq!(report.misshaped.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["out.2.weight"]);
    assert_eq!(report.not_finite, ["middle_block.1.qkv.weight", "out.2.bias"]);

    // Flags of another model.
    case.flags.num_channels = 64;
    let message = load(&case.flags).to_string();
    assert!(message.contains("of another shape") && message.contains("input_blocks.0.0.weight"), "{message}");
}
