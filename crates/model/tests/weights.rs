//! Weights files, good and bad.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::backend::{Flex, flex::FlexDevice};
use half::{bf16, f16};
use proptest::prelude::*;
use serde_json::json;
use sfumato_model::{
    params::{FileParams, Misshaped, WeightsMismatch, write_parameters},
    tensor_file::{NamedTensor, TensorFile, WeightFiles, read_tensors, write_tensors},
};
use sfumato_nets::{
    NetError,
    mlp::MlpConfig,
    params::{RandomParams, named_parameters},
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};
use tempfile::{TempDir, tempdir};

fn small() -> UNet2DConfig {
    UNet2DConfig {
        block_out_channels: vec![4, 8],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
        up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 2,
        ..Default::default()
    }
}

/// All tensors of a small network with random values.
fn tensors() -> Vec<NamedTensor> {
    let net = small().build::<Flex>(&mut RandomParams::new(1).without_zero_init(), &FlexDevice).unwrap();
    named_parameters(&net)
}

fn load(path: &Path) -> Result<Vec<NamedTensor>, NetError> {
    Ok(named_parameters(
        &small()
            .build::<Flex>(&mut FileParams::open(path).map_err(|error| NetError::Source(error.into()))?, &FlexDevice)?,
    ))
}

/// A safetensors file with a header of our choosing.
fn raw(dir: &TempDir, header: &[u8], data: &[u8]) -> PathBuf {
    let path = dir.path().join("raw.safetensors");
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), header, data].concat()).unwrap();
    path
}

/// The tensors in another element type.
fn encoded(tensors: &[NamedTensor], dtype: &str, encode: impl Fn(f32) -> Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for tensor in tensors {
        let begin = data.len();
        tensor.values.iter().for_each(|&value| data.extend(encode(value)));
        let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [begin, data.len()]});
        header.insert(tensor.name.clone(), entry);
    }
    (serde_json::to_vec(&header).unwrap(), data)
}

#[test]
fn a_module_survives_a_file_unchanged() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    let net = small().build::<Flex>(&mut RandomParams::new(1).without_zero_init(), &FlexDevice).unwrap();
    write_parameters(&net, &path).unwrap();
    assert_eq!(load(&path).unwrap(), named_parameters(&net));
    // And nothing but the file remains.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_reference_implementation_reads_and_writes_the_same_bytes() {
    use safetensors::{Dtype, SafeTensors, tensor::TensorView};
    let dir = tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    write_tensors(&path, &[("format", "pt")], &tensors()).unwrap();
    let bytes = fs::read(&path).unwrap();

    let read = SafeTensors::deserialize(&bytes).unwrap();
    for tensor in tensors() {
        let theirs = read.tensor(&tensor.name).unwrap();
        assert_eq!(theirs.shape(), tensor.shape);
        let values: Vec<f32> = theirs.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        assert_eq!(values, tensor.values);
    }

    let stored: Vec<(String, Vec<usize>, Vec<u8>)> = tensors()
        .into_iter()
        .map(|t| (t.name, t.shape, t.values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views =
        stored.iter().map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    assert!(safetensors::serialize(views, Some(metadata)).unwrap() == bytes);
}

#[test]
fn half_precision_and_double_precision_are_read() {
    let dir = tempdir().unwrap();
    let tensors = tensors();
    for (dtype, round, encode) in [
        (
            "F16",
            (|v| f16::from_f32(v).to_f32()) as fn(f32) -> f32,
            (|v| f16::from_f32(v).to_le_bytes().to_vec()) as fn(f32) -> Vec<u8>,
        ),
        ("BF16", |v| bf16::from_f32(v).to_f32(), |v| bf16::from_f32(v).to_le_bytes().to_vec()),
        ("F64", |v| v, |v| f64::from(v).to_le_bytes().to_vec()),
    ] {
        let (header, data) = encoded(&tensors, dtype, encode);
        for (ours, original) in load(&raw(&dir, &header, &data)).unwrap().iter().zip(&tensors) {
            let expected: Vec<f32> = original.values.iter().map(|&v| round(v)).collect();
            assert_eq!(ours.values, expected, "{dtype} {}", ours.name);
        }
    }
}

#[test]
fn shards_are_read_as_one() {
    let dir = tempdir().unwrap();
    let tensors = tensors();
    let (first, second) = tensors.split_at(tensors.len() / 3);
    write_tensors(&dir.path().join("a.safetensors"), &[], first).unwrap();
    write_tensors(&dir.path().join("b.safetensors"), &[], second).unwrap();
    let map: serde_json::Map<_, _> = (first.iter().map(|t| (t.name.clone(), "a.safetensors".into())))
        .chain(second.iter().map(|t| (t.name.clone(), "b.safetensors".into())))
        .collect();
    let index = dir.path().join("model.safetensors.index.json");
    let write = |map: &serde_json::Map<_, _>| {
        fs::write(&index, json!({"metadata": {"total_size": 7}, "weight_map": map}).to_string()).unwrap();
    };
    write(&map);
    assert_eq!(load(&index).unwrap(), tensors);

    let fails = |key: &str, shard: &str, expected: &str| {
        let mut map = map.clone();
        map.insert(key.into(), shard.into());
        write(&map);
        let message = load(&index).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    fails("conv_in.bias", "../a.safetensors", "expected a plain file name");
    fails("conv_in.bias", "/etc/passwd", "expected a plain file name");
    fails("conv_in.bias", "c.safetensors", "c.safetensors");
    fails("nowhere", "a.safetensors", "`nowhere` is in a.safetensors, but it is not there");
    fs::write(&index, r#"{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}"#).unwrap();
    assert!(load(&index).unwrap_err().to_string().contains("`a` occurs twice"));
    fs::write(&index, r#"{"weight_map": 3}"#).unwrap();
    assert!(load(&index).unwrap_err().to_string().contains("index.json is not a valid shard index"));
}

#[test]
fn attention_may_go_by_its_old_names() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("old.safetensors");
    let rename = |tensor: NamedTensor| {
        let mut name = tensor.name.clone();
        for (new, old) in [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")] {
            name = name.replace(new, old);
        }
        NamedTensor { name, ..tensor }
    };
    let old: Vec<_> = tensors().into_iter().map(rename).collect();
    assert!(old.iter().any(|tensor| tensor.name == "mid_block.attentions.0.proj_attn.weight"));
    write_tensors(&path, &[], &old).unwrap();
    assert_eq!(load(&path).unwrap(), tensors());
}

#[test]
fn everything_that_does_not_fit_is_reported_at_once() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("wrong.safetensors");
    let mut tensors = tensors();
    tensors.retain(|tensor| !tensor.name.starts_with("conv_in."));
    for tensor in &mut tensors {
        match tensor.name.as_str() {
            "conv_out.weight" => tensor.shape.reverse(),
            "conv_out.bias" => tensor.values[1] = f32::NAN,
            "conv_norm_out.bias" => tensor.values[0] = f32::NEG_INFINITY,
            _ => {}
        }
    }
    tensors.push(NamedTensor { name: "surplus".into(), shape: vec![2], values: vec![0.0; 2] });
    write_tensors(&path, &[], &tensors).unwrap();
    let error = load(&path).unwrap_err();
    let report = WeightsMismatch::of(&error).expect("a mismatch");
    assert_eq!(report.path, path);
    assert_eq!(report.missing, ["conv_in.weight", "conv_in.bias"]);
    assert_eq!(report.unexpected, ["surplus"]);
    let (expected, found) = (vec![3, 4, 3, 3], vec![3, 3, 4, 3]);
    assert_eq!(report.misshaped, [Misshaped { name: "conv_out.weight".into(), expected, found }]);
    assert_eq!(report.not_finite, ["conv_norm_out.bias", "conv_out.bias"]);
    let message = report.to_string();
    for part in [
        "wrong.safetensors",
        "2 missing: conv_in.weight, conv_in.bias",
        "surplus",
        "expected [3, 4, 3, 3], found [3, 3, 4, 3]",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn another_network_gives_a_bounded_message() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("unet.safetensors");
    write_tensors(&path, &[], &tensors()).unwrap();
    let error = MlpConfig::default().build::<Flex>(&mut FileParams::open(&path).unwrap(), &FlexDevice).unwrap_err();
    let report = WeightsMismatch::of(&error).expect("a mismatch");
    assert!(report.unexpected.len() > 60);
    let message = error.to_string();
    assert!(message.contains("more") && message.len() < 6000, "{message}");
}

#[test]
fn integers_are_no_weights() {
    let dir = tempdir().unwrap();
    let (header, data) = encoded(&tensors(), "I32", |v| (v as i32).to_le_bytes().to_vec());
    let error = load(&raw(&dir, &header, &data)).unwrap_err();
    let report = WeightsMismatch::of(&error).expect("a mismatch");
    assert_eq!(report.not_float.len(), tensors().len());
}

#[test]
fn truncation_anywhere_is_an_error_that_names_the_file() {
    let dir = tempdir().unwrap();
    let whole = dir.path().join("whole.safetensors");
    write_tensors(&whole, &[("format", "pt")], &tensors()).unwrap();
    let bytes = fs::read(whole).unwrap();
    let cut = dir.path().join("cut.safetensors");
    for len in (0..bytes.len()).step_by(97).chain([7, 8, 9, bytes.len() - 1]) {
        fs::write(&cut, &bytes[..len]).unwrap();
        let message = load(&cut).unwrap_err().to_string();
        assert!(message.contains("cut.safetensors"), "{len}: {message}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("absent"), dir.path().join("absent.index.json")] {
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains(&*path.to_string_lossy()), "{message}");
    }
    let index = dir.path().join("directory.index.json");
    fs::create_dir(&index).unwrap();
    assert!(load(&index).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn ten_gigabytes_that_are_not_there_are_not_allocated() {
    let dir = tempdir().unwrap();
    let claims = br#"{"conv_in.weight":{"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]}}"#;
    assert!(load(&raw(&dir, claims, &[0; 64])).unwrap_err().to_string().contains("truncated"));
    let path = dir.path().join("header.safetensors");
    fs::write(&path, 10_000_000_000u64.to_le_bytes()).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("claims 10000000000 bytes"));
}

#[test]
fn arbitrary_tensors_can_be_kept() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let scalar = NamedTensor { name: "step".into(), shape: vec![], values: vec![7.0] };
    let empty = NamedTensor { name: "nothing".into(), shape: vec![0, 3], values: vec![] };
    let odd =
        NamedTensor { name: "quoted \"name\"\n".into(), shape: vec![1, 2], values: vec![f32::MIN_POSITIVE, -0.0] };
    write_tensors(&path, &[("b", "2"), ("a", "1")], &[scalar.clone(), empty.clone(), odd.clone()]).unwrap();
    assert_eq!(read_tensors(&path).unwrap(), [empty, odd, scalar.clone()]);
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.metadata()["a"], "1");

    let twice = write_tensors(&path, &[], &[scalar.clone(), scalar.clone()]).unwrap_err();
    assert!(twice.to_string().contains("`step`"), "{twice}");
    let short = NamedTensor { shape: vec![2], ..scalar };
    assert!(write_tensors(&path, &[], &[short]).is_err());
    assert_eq!(read_tensors(&path).unwrap().len(), 3, "a failed write leaves the old file");
}

#[test]
fn writing_into_nowhere_is_an_error_that_names_the_file() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("absent").join("weights.safetensors");
    let message = write_tensors(&path, &[], &tensors()).unwrap_err().to_string();
    assert!(message.contains("cannot write") && message.contains("weights.safetensors"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(at in 0usize..20_000, with in proptest::collection::vec(any::<u8>(), 1..20)) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("damaged.safetensors");
        write_tensors(&path, &[("format", "pt")], &tensors()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        let end = (at + with.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&with[..end - at]);
        fs::write(&path, &bytes).unwrap();
        // Damage to the data alone is another model; whatever is refused names the file.
        if let Err(error) = load(&path) {
            prop_assert!(error.to_string().contains("damaged.safetensors"), "{error}");
        }
    }

    #[test]
    fn arbitrary_headers_never_panic(header in "[\\[\\]{}\",:a-z0-9 ]{0,200}", data in proptest::collection::vec(any::<u8>(), 0..64)) {
        let dir = tempdir().unwrap();
        let trivial = header.trim() == "{}" && data.is_empty();
        prop_assert_eq!(WeightFiles::open(&raw(&dir, header.as_bytes(), &data)).is_ok(), trivial);
    }
}
