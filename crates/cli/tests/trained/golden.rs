//! The models, the references, and the noise that both sides use.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use serde_json::Value;
use sfumato_model::tensor_file::read_tensors;

use crate::common::json;

/// The models by their folders.
pub(crate) const MODELS: [&str; 2] = ["linear-epsilon", "cosine-v"];
/// Samples of every case.
pub(crate) const SAMPLES: usize = 3;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained");
const SIDE: usize = 28;

/// What `make.py` recorded.
pub(crate) struct References {
    /// Cases, losses and bounds.
    pub(crate) json: Value,
    /// Final samples by the names of the cases.
    pub(crate) samples: BTreeMap<String, Vec<f32>>,
}

/// Read once for all tests.
pub(crate) static REFERENCES: LazyLock<References> = LazyLock::new(|| {
    let folder = Path::new(FOLDER);
    let samples = read_tensors(&folder.join("references.safetensors")).unwrap();
    References {
        json: json(&folder.join("references.json")),
        samples: samples.into_iter().map(|tensor| (tensor.name, tensor.values)).collect(),
    }
});

/// A file beside the references.
pub(crate) fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// The model `name` with another scheduler, as `model` in `dir`: what `save_pretrained` writes after `pipeline.scheduler = …`.
pub(crate) fn with_scheduler(dir: &Path, name: &str, scheduler: &str) {
    let copy = dir.join("model");
    let from = Path::new(FOLDER).join(name).join("unet");
    for folder in ["unet", "scheduler"] {
        fs::create_dir_all(copy.join(folder)).unwrap();
    }
    for file in ["config.json", "diffusion_pytorch_model.fp16.safetensors"] {
        fs::copy(from.join(file), copy.join("unet").join(file)).unwrap();
    }
    fs::write(copy.join("scheduler/scheduler_config.json"), scheduler).unwrap();
}

/// Standard normal noise of an entry for `count` pictures: SplitMix64, then Box and Muller, as in `make_samplers.py`.
pub(crate) fn noise(entry: usize, count: usize) -> Vec<f32> {
    let size = count * SIDE * SIDE;
    let value = |position: usize| {
        let n = 2 * (entry * size + position) as u64;
        let a = ((splitmix(n) >> 11) as f64 + 1.0) * 2f64.powi(-53);
        let b = (splitmix(n + 1) >> 11) as f64 * 2f64.powi(-53);
        ((-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()) as f32
    };
    (0..size).map(value).collect()
}

/// The n-th output of SplitMix64 from seed 0.
fn splitmix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The first entries of the noise as a file for `--noise`.
pub(crate) fn write_noise(path: &Path, entries: usize, count: usize) {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({entries}, {count}, 1, {SIDE}, {SIDE}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend((0..entries).flat_map(|entry| noise(entry, count)).flat_map(f32::to_le_bytes));
    fs::write(path, bytes).unwrap();
}
