//! Pictures of any size, and models whose numbers are odd: trained on, drawn, or refused in words.

mod common;

use std::{fs, path::Path};

use common::{TINY, fail, read_npy, succeed};
use serde_json::{Map, Value, json};

/// A folder of `count` pictures.
fn pictures(dir: &Path, [width, height]: [u32; 2], count: u32) -> String {
    let name = format!("{width}x{height}");
    fs::create_dir(dir.join(&name)).unwrap();
    for i in 0..count {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 37 + i * 11) as u8, (y * 53) as u8, ((x + y) * 7 + i) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(dir.join(&name).join(format!("{i}.png"))).unwrap();
    }
    format!("folder:{name}")
}

/// One step on pictures of a size, with some pictures drawn; the arguments say with which network.
fn train(dir: &Path, size: [u32; 2], args: &[&str]) -> String {
    let data = pictures(dir, size, 3);
    let out = format!("runs/{}x{}", size[0], size[1]);
    let base = ["train", "--dataset", &data, "--steps", "1", "--out", &out];
    succeed(dir, &base.iter().chain(args).copied().collect::<Vec<_>>());
    format!("{out}/model")
}

#[test]
fn the_default_network_trains_on_rectangles_and_odd_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--batch-size", "2", "--set", "samples.num=3", "--set", "samples.steps=2"];
    for size in [[64, 32], [50, 70]] {
        train(dir.path(), size, &few);
    }
}

/// 25 pictures of this size and network go through the caches of one thread in eight parts of four; Burn's own cut had a ninth.
#[test]
fn parts_that_do_not_divide_a_batch_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let args = [TINY, &["--batch-size", "2", "--threads", "1", "--set", "samples.num=25"]].concat();
    let model = train(dir.path(), [128, 128], &args);
    let sample = ["sample", "--model", &model, "--num", "25", "--steps", "2", "--threads", "1", "--out", "drawn"];
    succeed(dir.path(), &sample);
    let (shape, values) = read_npy(&dir.path().join("drawn/samples.npy"));
    assert_eq!(shape, [25, 3, 128, 128]);
    assert!(values.iter().all(|value| value.is_finite()));
}

#[test]
fn pictures_of_single_pixels_are_trained_on_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let one_level = ["--set", "model.channels=[8]", "--set", "model.attention=[true]", "--set", "model.groups=2"];
    let few = ["--batch-size", "5", "--set", "samples.num=2", "--set", "samples.steps=2"];
    for size in [[1, 1], [7, 1]] {
        let model = train(dir.path(), size, &[one_level, few].concat());
        let out = format!("drawn-{}", size[0]);
        succeed(dir.path(), &["sample", "--model", &model, "--num", "3", "--steps", "2", "--out", &out]);
    }
}

/// The tiny model with other numbers in its configuration.
fn with_config(dir: &Path, model: &Path, change: &Value) -> String {
    let path = dir.join(model).join("unet/config.json");
    let original = fs::read(&path).unwrap();
    let mut config: Map<String, Value> = serde_json::from_slice(&original).unwrap();
    config.extend(change.as_object().unwrap().clone());
    fs::write(&path, Value::Object(config).to_string()).unwrap();
    let sample = ["sample", "--model", model.to_str().unwrap(), "--num", "1", "--steps", "1", "--out", "x"];
    let mut said = fail(dir, 1, &sample);
    said += &fail(dir, 1, &[&sample[..], &["--class", "0"]].concat());
    fs::write(&path, original).unwrap();
    said
}

#[test]
fn numbers_of_a_model_that_make_no_network_are_named_with_file_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "--steps", "1", "--sample-every", "0", "--class-conditional", "--out", "runs/a"];
    succeed(dir.path(), &train.iter().chain(TINY).copied().collect::<Vec<_>>());
    let model = Path::new("runs/a/model");
    for (key, change) in [
        ("num_class_embeds", json!({"num_class_embeds": 1, "_sfumato": {"null_class": 0}})),
        ("null_class", json!({"_sfumato": {"null_class": 0}})),
        ("null_class", json!({"_sfumato": {"null_class": u64::MAX}})),
        ("num_class_embeds", json!({"num_class_embeds": 0, "_sfumato": {"null_class": null}})),
        ("num_class_embeds", json!({"num_class_embeds": u64::MAX})),
        ("block_out_channels", json!({"block_out_channels": [0, 16]})),
        ("block_out_channels", json!({"block_out_channels": [u64::MAX, 16]})),
        ("norm_num_groups", json!({"norm_num_groups": 0})),
        ("norm_num_groups", json!({"norm_num_groups": u64::MAX})),
        ("attn_norm_num_groups", json!({"attn_norm_num_groups": 0})),
        ("attention_head_dim", json!({"attention_head_dim": 0})),
        ("attention_head_dim", json!({"attention_head_dim": u64::MAX})),
        ("attention_head_dim", json!({"attention_head_dim": [0, 0]})),
        ("layers_per_block", json!({"layers_per_block": 0})),
        ("layers_per_block", json!({"layers_per_block": u64::MAX})),
        ("time_embedding_dim", json!({"time_embedding_dim": u64::MAX})),
        ("freq_shift", json!({"freq_shift": i64::MAX})),
        ("in_channels", json!({"in_channels": 0})),
        ("out_channels", json!({"out_channels": u64::MAX})),
        ("sample_size", json!({"sample_size": 0})),
        ("sample_size", json!({"sample_size": [28, u64::MAX - 1]})),
        ("norm_eps", json!({"norm_eps": 1e-300})),
        ("mid_block_scale_factor", json!({"mid_block_scale_factor": 1e300})),
        ("downsample_padding", json!({"downsample_padding": u64::MAX})),
    ] {
        let said = with_config(dir.path(), model, &change);
        assert!(said.contains("config.json") && said.contains(key), "{change}: {said}");
    }
}

#[test]
fn more_samples_than_there_is_memory_for_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "--steps", "1", "--sample-every", "0", "--out", "runs/a"];
    succeed(dir.path(), &train.iter().chain(TINY).copied().collect::<Vec<_>>());
    let path = dir.path().join("runs/a/model/unet/config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.insert("sample_size".into(), json!(65_536));
    fs::write(&path, Value::Object(config).to_string()).unwrap();
    let said = fail(dir.path(), 1, &["sample", "--model", "runs/a/model", "--num", "4000000000", "--out", "x"]);
    assert!(said.contains("--num") && said.contains("config.json") && said.contains("65536"), "{said}");
}
