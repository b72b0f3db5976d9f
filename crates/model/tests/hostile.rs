//! Damaged and malicious model directories: always an error that names the file, never a panic, never much memory.

#[path = "common/memory.rs"]
mod memory;

use std::{fs, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use memory::peak;
use proptest::{prelude::*, sample::Index};
use serde_json::{Map, Value, json};
use sfumato_model::{
    pipeline::{AnyConfig, Facts, Pipeline, PipelineError, PipelineSpec, Scheduler},
    tensor_file::write_tensors,
};
use sfumato_nets::{
    params::{RandomParams, named_parameters},
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};
use tempfile::{TempDir, tempdir};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Far above what the small model needs, far below what the claims of a file would cost.
const MUCH: usize = 16 << 20;

const CONFIG: &str = "unet/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const MODEL_INDEX: &str = "model_index.json";
const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const SHARD_INDEX: &str = "unet/diffusion_pytorch_model.safetensors.index.json";
const SHARDS: [&str; 2] = ["unet/a.safetensors", "unet/b.safetensors"];

/// A valid directory of about 60 KB, with its weights in one file or in two behind an index.
fn model(sharded: bool) -> TempDir {
    let config = UNet2DConfig {
        block_out_channels: vec![4, 8],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
        up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 2,
        num_class_embeds: Some(3),
        ..Default::default()
    };
    let dir = tempdir().unwrap();
    let net = config.build::<Flex>(&mut RandomParams::new(1).without_zero_init(), &FlexDevice).unwrap();
    let facts = Facts {
        null_class: Some(2),
        class_names: vec!["ant".into(), "bee".into()],
        provenance: Map::from_iter([("seed".to_owned(), json!(7))]),
    };
    let spec = PipelineSpec { config: AnyConfig::UNet(config), scheduler: Scheduler::default(), facts };
    spec.write(dir.path(), &net).unwrap();
    if sharded {
        let tensors = named_parameters(&net);
        let halves = tensors.split_at(tensors.len() / 2);
        let mut map = Map::new();
        for (shard, half) in SHARDS.into_iter().zip([halves.0, halves.1]) {
            write_tensors(&dir.path().join(shard), &[("format", "pt")], half).unwrap();
            let file = shard.trim_start_matches("unet/");
            map.extend(half.iter().map(|tensor| (tensor.name.clone(), file.into())));
        }
        let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
        fs::write(dir.path().join(SHARD_INDEX), index.to_string()).unwrap();
        fs::remove_file(dir.path().join(WEIGHTS)).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Result<(), PipelineError> {
    Pipeline::open(dir)?.load_unet::<Flex>(&FlexDevice).map(drop)
}

/// Loads what was damaged: an error says where, and in no case much memory is held. `None` if it is still a model.
fn verdict(dir: &Path) -> Option<String> {
    let (result, bytes) = peak(|| load(dir));
    assert!(bytes < MUCH, "{bytes} bytes were held");
    let message = result.err()?.to_string();
    let place = dir.to_string_lossy();
    assert!(message.contains(&*place), "the message does not say where: {message}");
    assert!(message.len() < 10_000, "a message of {} bytes", message.len());
    Some(message)
}

fn refused(dir: &Path, file: &str) -> String {
    let message = verdict(dir).unwrap_or_else(|| panic!("the damage to {file} went unseen"));
    assert!(message.contains(file), "{file} is not named: {message}");
    message
}

/// Changes the JSON header of a safetensors file and leaves its data.
fn edit_header(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let bytes = fs::read(path).unwrap();
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    change(&mut header);
    with_header(path, &Value::Object(header).to_string(), &bytes[8 + len..]);
}

fn with_header(path: &Path, header: &str, data: &[u8]) {
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()).unwrap();
}

fn files(sharded: bool) -> Vec<&'static str> {
    let weights: &[&str] = if sharded { &[SHARD_INDEX, SHARDS[0], SHARDS[1]] } else { &[WEIGHTS] };
    [&[CONFIG, SCHEDULER, MODEL_INDEX], weights].concat()
}

#[test]
fn an_undamaged_model_loads_in_little_more_memory_than_its_weights() {
    for sharded in [false, true] {
        let dir = model(sharded);
        assert_eq!(verdict(dir.path()), None);
        let weights: u64 = fs::read_dir(dir.path().join("unet"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".safetensors"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum();
        // Beside the weights: the header, names, and one chunk of the file.
        let (_, held) = peak(|| load(dir.path()));
        assert!((weights..2 * weights + 400_000).contains(&(held as u64)), "{held} bytes for {weights}");
    }
}

#[test]
fn directories_empty_files_and_nothing_in_place_of_a_file_are_named() {
    for sharded in [false, true] {
        for file in files(sharded) {
            for damage in ["directory", "empty", "absent", "garbage"] {
                let dir = model(sharded);
                let path = dir.path().join(file);
                fs::remove_file(&path).unwrap();
                match damage {
                    "directory" => fs::create_dir(&path).unwrap(),
                    "empty" => fs::write(&path, b"").unwrap(),
                    "garbage" => fs::write(&path, [0xff; 1000]).unwrap(),
                    _ => {}
                }
                let name = Path::new(file).file_name().unwrap().to_string_lossy().into_owned();
                match (damage, file) {
                    // What is not there may be absent on purpose: a model without index or scheduler.
                    ("absent", MODEL_INDEX | SCHEDULER) => assert_eq!(verdict(dir.path()), None),
                    // Without its index a sharded model has no weights at all.
                    ("absent", SHARD_INDEX) => {
                        refused(dir.path(), "unet");
                    }
                    ("absent", WEIGHTS) => {
                        refused(dir.path(), "diffusion_pytorch_model.safetensors");
                    }
                    _ => {
                        refused(dir.path(), &name);
                    }
                }
            }
        }
    }
}

#[test]
fn claims_of_gigabytes_cost_nothing() {
    for claimed in [10_000_000_000u64, u64::MAX, 1 << 63] {
        let dir = model(false);
        let path = dir.path().join(WEIGHTS);
        let mut bytes = fs::read(&path).unwrap();
        bytes[..8].copy_from_slice(&claimed.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        assert!(refused(dir.path(), WEIGHTS).contains(&claimed.to_string()));
    }
    for (shape, offsets) in [
        (json!([2_500_000_000u64]), json!([0, 10_000_000_000u64])),
        (json!([1u64 << 62, 4]), json!([0, 0])),
        (json!([u64::MAX, u64::MAX]), json!([0, u64::MAX])),
        (json!([1, 2, 3]), json!([4_000_000_000u64, 4_000_000_024u64])),
        (json!([6]), json!([24, 0])),
        (json!([]), json!([0, 4])),
        (json!([-1]), json!([0, 4])),
        (json!([1e300]), json!([0, 4])),
        (json!(vec![1; 100_000]), json!([0, 4])),
    ] {
        let dir = model(false);
        edit_header(&dir.path().join(WEIGHTS), |header| {
            header["conv_in.weight"] = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        });
        refused(dir.path(), WEIGHTS);
    }
}

#[test]
fn keys_that_occur_twice_are_refused_in_every_file() {
    for (file, from, to) in [
        (CONFIG, "\"in_channels\"", "\"in_channels\": 3, \"in_channels\""),
        (SCHEDULER, "\"beta_start\"", "\"beta_start\": 0.1, \"beta_start\""),
        (MODEL_INDEX, "\"unet\"", "\"unet\": [\"diffusers\", \"UNet2DModel\"], \"unet\""),
    ] {
        let dir = model(false);
        let path = dir.path().join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen(from, to, 1)).unwrap();
        assert!(refused(dir.path(), file).contains("occurs twice"));
    }
    let dir = model(true);
    let path = dir.path().join(SHARD_INDEX);
    let twice = "{\"conv_in.bias\": \"a.safetensors\", ";
    let text = fs::read_to_string(&path).unwrap().replacen("\"weight_map\":{", &format!("\"weight_map\":{twice}"), 1);
    fs::write(&path, text).unwrap();
    assert!(refused(dir.path(), "index.json").contains("occurs twice"));

    let dir = model(false);
    let path = dir.path().join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + len].to_vec()).unwrap();
    let entry = "\"conv_in.bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},";
    let at = header.find("\"conv_in.bias\"").unwrap();
    with_header(&path, &[&header[..at], entry, &header[at..]].concat(), &bytes[8 + len..]);
    assert!(refused(dir.path(), WEIGHTS).contains("occurs twice"));
}

#[test]
fn nan_and_infinite_weights_are_refused_by_name() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let dir = model(false);
        let path = dir.path().join(WEIGHTS);
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&value.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        // The last tensor in the order of names.
        assert!(refused(dir.path(), WEIGHTS).contains("1 not finite: up_blocks.1.resnets.1.time_emb_proj.weight"));
    }
}

#[test]
fn configurations_of_giants_cost_nothing() {
    for change in [
        json!({"block_out_channels": [65_536, 65_536]}),
        json!({"block_out_channels": [8_192, 8_192], "norm_num_groups": 1}),
        json!({"layers_per_block": 256}),
        json!({"num_class_embeds": 16_000_000}),
        json!({"in_channels": 65_536, "out_channels": 65_536}),
        json!({"sample_size": [1u64 << 62, 1u64 << 62]}),
        json!({"time_embedding_dim": 65_536}),
    ] {
        let dir = model(false);
        let path = dir.path().join(CONFIG);
        let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.extend(change.as_object().cloned().unwrap());
        fs::write(&path, Value::Object(config).to_string()).unwrap();
        // A size of images is information; everything else is another network than that of the weights.
        if !change.as_object().unwrap().contains_key("sample_size") {
            refused(dir.path(), "");
        } else {
            verdict(dir.path());
        }
    }
    let dir = model(false);
    fs::write(dir.path().join(SCHEDULER), r#"{"num_train_timesteps": 9007199254740991}"#).unwrap();
    refused(dir.path(), SCHEDULER);
    // Nesting that a recursive reader would die of.
    for file in [CONFIG, SCHEDULER, MODEL_INDEX] {
        let dir = model(false);
        fs::write(dir.path().join(file), "[".repeat(1_000_000)).unwrap();
        refused(dir.path(), file);
    }
}

/// A change to the bytes of a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Overwrite(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A number in the text becomes another.
    Number(Index, u64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..40),
            "[\\[\\]{}\",:0-9a-z]{1,20}".prop_map(String::into_bytes)
        ]
    };
    let number = prop_oneof![Just(0), Just(u64::MAX), Just(10_000_000_000), Just(1 << 32), any::<u64>(), 0u64..100];
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), 1usize..200).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<Index>(), number).prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Overwrite(at, new) => {
                let at = at.index(bytes.len());
                let end = (at + new.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, len) => {
                let at = at.index(bytes.len());
                let end = (at + len).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Number(at, number) => {
                let starts: Vec<usize> = (1..bytes.len().min(20_000))
                    .filter(|&i| bytes[i].is_ascii_digit() && !bytes[i - 1].is_ascii_digit())
                    .collect();
                if starts.is_empty() {
                    return;
                }
                let start = starts[at.index(starts.len())];
                let len = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                bytes.splice(start..start + len, number.to_string().into_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_to_any_file_is_an_error_that_names_a_file_or_leaves_a_model(
        sharded: bool,
        file in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let dir = model(sharded);
        let files = files(sharded);
        let path = dir.path().join(files[file.index(files.len())]);
        let mut bytes = fs::read(&path).unwrap();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        fs::write(&path, bytes).unwrap();
        verdict(dir.path());
    }

    #[test]
    fn any_numbers_in_the_header_are_an_error_that_names_the_file_or_leaves_a_model(
        tensor in any::<Index>(),
        shape in prop::collection::vec(prop_oneof![0u64..10, any::<u64>()], 0..6),
        begin in prop_oneof![Just(0u64), 0u64..70_000, any::<u64>()],
        length in prop_oneof![0u64..2000, any::<u64>()],
        dtype in prop_oneof![Just("F32"), Just("F16"), Just("BF16"), Just("F64"), Just("I64"), Just("BOOL"), Just("F4"), Just("")],
    ) {
        let dir = model(false);
        edit_header(&dir.path().join(WEIGHTS), |header| {
            let name = header.keys().nth(tensor.index(header.len())).unwrap().clone();
            header[&name] = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, begin.saturating_add(length)]});
        });
        if let Some(message) = verdict(dir.path()) {
            prop_assert!(message.contains("diffusion_pytorch_model.safetensors"), "{message}");
        }
    }
}
