//! Weights as other programs name, wrap and pickle them.

#[path = "common/small_network.rs"]
mod small_network;

use std::{fs, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use serde_json::json;
use sfumato_model::{
    pipeline::{Note, Pipeline, WEIGHTS_FILE, Warning},
    tensor_file::{NamedTensor, WeightFiles, write_tensors},
};
use sfumato_nets::params::named_parameters;
use small_network::{empty, for_torch, load, pickled, tensors, torch_writer};
use tempfile::tempdir;

fn renamed(tensors: &[NamedTensor], name: impl Fn(&str) -> String) -> Vec<NamedTensor> {
    tensors.iter().map(|tensor| NamedTensor { name: name(&tensor.name), ..tensor.clone() }).collect()
}

fn opened(dir: &Path) -> (Pipeline, Vec<NamedTensor>) {
    let pipeline = Pipeline::open(dir).unwrap_or_else(|error| panic!("{error}"));
    let net = pipeline.load_unet::<Flex>(&FlexDevice).unwrap_or_else(|error| panic!("{error}"));
    (pipeline, named_parameters(&net))
}

#[test]
fn weights_are_read_under_every_name_and_in_either_format() {
    let tensors = tensors(1);
    for name in [
        "diffusion_pytorch_model.bin",
        "diffusion_pytorch_model.fp16.bin",
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.non_ema.safetensors",
        "diffusion_pytorch_model.non_ema.bin",
        "diffusion_pytorch_model.ema.bin",
        "model.safetensors",
        "pytorch_model.bin",
        "ddpm-ema-butterflies.ckpt",
        "latest.pt",
        "weights.pth",
        "unet.safetensors",
        // Renamed by hand: the content decides.
        "diffusion_pytorch_model.safetensors",
    ] {
        for format in ["safetensors", "zip", "legacy"] {
            let dir = empty();
            let path = dir.path().join("unet").join(name);
            match format {
                "safetensors" => write_tensors(&path, &[], &tensors).unwrap(),
                _ => fs::write(&path, pickled(&tensors, format == "legacy")).unwrap(),
            }
            let (pipeline, read) = opened(dir.path());
            assert_eq!(read, tensors, "{name} {format}");
            assert_eq!((pipeline.weights(), &pipeline.notes[..]), (&*path, &[][..]), "{name}");
            let raw = Warning::RawWeights { weights: path.clone(), average: None };
            let expected = if name.contains("non_ema") { vec![raw] } else { vec![] };
            assert_eq!(pipeline.warnings, expected, "{name}");
        }
    }
}

#[test]
fn shards_are_read_with_an_index_and_without() {
    let tensors = tensors(1);
    let halves = tensors.split_at(tensors.len() / 2);
    for extension in ["bin", "safetensors"] {
        for indexed in [true, false] {
            let dir = empty();
            let unet = dir.path().join("unet");
            let mut map = serde_json::Map::new();
            for (n, half) in [halves.0, halves.1].into_iter().enumerate() {
                let name = format!("diffusion_pytorch_model-0000{}-of-00002.{extension}", n + 1);
                match extension {
                    "bin" => fs::write(unet.join(&name), pickled(half, false)).unwrap(),
                    _ => write_tensors(&unet.join(&name), &[], half).unwrap(),
                }
                map.extend(half.iter().map(|tensor| (tensor.name.clone(), name.clone().into())));
            }
            if indexed {
                let index = unet.join(format!("diffusion_pytorch_model.{extension}.index.json"));
                fs::write(index, json!({"weight_map": map}).to_string()).unwrap();
            }
            let (pipeline, read) = opened(dir.path());
            assert_eq!((read, &pipeline.notes[..]), (tensors.clone(), &[][..]), "{extension} {indexed}");
            // One of them is lost.
            let second = format!("diffusion_pytorch_model-00002-of-00002.{extension}");
            fs::remove_file(unet.join(&second)).unwrap();
            let message = load(pipeline.weights()).unwrap_err();
            assert!(message.contains(&second) && message.contains("is missing"), "{message}");
        }
    }
}

#[test]
fn an_index_that_disagrees_is_named() {
    let dir = empty();
    let unet = dir.path().join("unet");
    write_tensors(&unet.join("a.safetensors"), &[], &tensors(1)).unwrap();
    let index = unet.join("diffusion_pytorch_model.safetensors.index.json");
    for (text, expected) in [
        (r#"{"weight_map": {"conv_in.bias": "../a.safetensors"}}"#, "expected a plain file name"),
        (r#"{"weight_map": {"conv_in.bias": "..\\a.safetensors"}}"#, "expected a plain file name"),
        (r#"{"weight_map": {"conv_in.bias": "/etc/passwd"}}"#, "expected a plain file name"),
        (r#"{"weight_map": {"conv_in.bias": "sub/a.safetensors"}}"#, "expected a plain file name"),
        (r#"{"weight_map": {"conv_in.bias": 7}}"#, "other than names of files"),
        (r#"{"weight_map": {"elsewhere": "a.safetensors"}}"#, "`elsewhere` is in a.safetensors, but it is not there"),
        (r#"{"weight_map": {"conv_in.bias": "b.safetensors"}}"#, "b.safetensors is missing"),
        (r#"{"weight_map": {}}"#, "`weight_map` is empty"),
        (r#"{"weight_map": []}"#, "no object of names and files"),
        (r#"{"metadata": {}}"#, "no `weight_map`"),
        (r#"{"weight_map": {"conv_in.bias": "a.safetensors""#, "truncated"),
    ] {
        fs::write(&index, text).unwrap();
        let message = load(&index).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
    // Tensors that the index forgets are not lost.
    fs::write(&index, r#"{"weight_map": {"conv_in.bias": "a.safetensors"}}"#).unwrap();
    assert_eq!(load(&index).unwrap(), tensors(1));
}

#[test]
fn of_several_files_the_best_is_taken_and_it_is_said() {
    let tensors = tensors(1);
    let with = |names: &[&str]| {
        let dir = empty();
        for name in names {
            write_tensors(&dir.path().join("unet").join(name), &[], &tensors).unwrap();
        }
        let (pipeline, _) = opened(dir.path());
        let taken = pipeline.weights().file_name().unwrap().to_str().unwrap().to_owned();
        let others = match &pipeline.notes[..] {
            [] => vec![],
            [Note::Weights { others, .. }] => others.clone(),
            notes => panic!("{notes:?}"),
        };
        (taken, others)
    };
    let quiet: (String, Vec<String>) = (WEIGHTS_FILE.into(), vec![]);
    // Both forms side by side, and what a repository has beside the usual file, need no word.
    assert_eq!(with(&[WEIGHTS_FILE, "diffusion_pytorch_model.bin"]), quiet);
    assert_eq!(with(&[WEIGHTS_FILE, "diffusion_pytorch_model.fp16.safetensors", "model.safetensors"]), quiet);
    let f16 = ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.fp16.bin"];
    assert_eq!(with(&f16), (f16[0].into(), vec![]));
    for names in [
        ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"],
        ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.non_ema.safetensors"],
        ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bf16.safetensors"],
        ["model.safetensors", "pytorch_model.bin"],
        ["ema_0.9999_200000.pt", "model200000.pt"],
        ["model200000.pt", "model90000.pt"],
    ] {
        assert_eq!(with(&names), (names[0].to_owned(), vec![names[1].to_owned()]));
    }
}

#[test]
fn directories_without_weights_say_what_is_there() {
    for (name, expected) in [
        ("diffusion_pytorch_model.safetensors.incomplete", "did not finish"),
        ("diffusion_flax_model.msgpack", "a format that is not read"),
        ("model.onnx", "model.onnx"),
        ("optimizer.bin", "expected diffusion_pytorch_model.safetensors"),
    ] {
        let dir = empty();
        fs::write(dir.path().join("unet").join(name), "x").unwrap();
        let message = Pipeline::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("holds no weights"), "{message}");
    }
    let dir = empty();
    write_tensors(&dir.path().join(WEIGHTS_FILE), &[], &tensors(1)).unwrap();
    let message = Pipeline::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("move it into"), "{message}");
}

#[test]
fn names_of_wrappers_are_taken_off_in_either_format() {
    let (tensors, dir) = (tensors(1), tempdir().unwrap());
    for prefix in
        ["module.", "unet.", "model.", "_orig_mod.", "module._orig_mod.", "model.diffusion_model.", "ema_model."]
    {
        let wrapped = renamed(&tensors, |name| format!("{prefix}{name}"));
        let path = dir.path().join("wrapped.safetensors");
        write_tensors(&path, &[], &wrapped).unwrap();
        assert_eq!(load(&path).unwrap(), tensors, "{prefix}");
        assert_eq!(WeightFiles::open(&path).unwrap().notes(), [""; 0]);
        let path = dir.path().join("wrapped.pt");
        fs::write(&path, pickled(&wrapped, true)).unwrap();
        assert_eq!(load(&path).unwrap(), tensors, "{prefix}");
    }
    // What else a larger module holds is said, and counters are not.
    let mut larger = renamed(&tensors, |name| format!("unet.{name}"));
    for name in ["betas", "vae.conv_in.weight", "unet.norm.num_batches_tracked", "text.embeddings.position_ids"] {
        larger.push(NamedTensor { name: name.into(), shape: vec![1], values: vec![0.0] });
    }
    let path = dir.path().join("larger.safetensors");
    write_tensors(&path, &[], &larger).unwrap();
    assert_eq!(load(&path).unwrap(), tensors);
    let notes = WeightFiles::open(&path).unwrap().notes().to_vec();
    assert!(notes[0].contains("2 other tensors are left out: betas, vae.conv_in.weight"), "{notes:?}");
    // An extra tensor beside the plain names is no wrapper's.
    let mut surplus = tensors.clone();
    surplus.push(NamedTensor { name: "betas".into(), shape: vec![1], values: vec![0.0] });
    write_tensors(&path, &[], &surplus).unwrap();
    assert!(load(&path).unwrap_err().contains("1 unexpected: betas"));
}

#[test]
fn state_dicts_are_found_among_what_a_trainer_saves() {
    let (average, raw, dir) = (tensors(1), tensors(2), tempdir().unwrap());
    let path = dir.path().join("last.ckpt");
    let wrapped = renamed(&raw, |name| format!("model.{name}"));
    let optimizer: Vec<NamedTensor> =
        (0..300).map(|n| NamedTensor { name: format!("{n}.exp_avg"), shape: vec![1], values: vec![0.5] }).collect();
    for (parts, expected, note) in [
        (vec![("state_dict", &raw)], &raw, None),
        (vec![("model", &raw)], &raw, None),
        (vec![("model_state_dict", &raw)], &raw, None),
        (vec![("state_dict", &wrapped)], &raw, None),
        (vec![("ema", &average)], &average, None),
        (vec![("model", &raw), ("ema", &average)], &average, Some("`ema`, `model`; those at `ema` are taken")),
        (vec![("model_ema", &average), ("model", &raw)], &average, Some("`model_ema`")),
        (vec![("optimizer", &optimizer), ("unet", &raw)], &raw, None),
    ] {
        let owned: Vec<(&str, Vec<torch_writer::Tensor>)> =
            parts.iter().map(|(name, tensors)| (*name, for_torch(tensors))).collect();
        let parts: Vec<(&str, &[torch_writer::Tensor])> = owned.iter().map(|(name, part)| (*name, &part[..])).collect();
        fs::write(&path, torch_writer::nested(&parts)).unwrap();
        assert!(load(&path).as_ref() == Ok(expected), "{:?}", load(&path).err());
        let notes = WeightFiles::open(&path).unwrap().notes().join("; ");
        assert_eq!(!notes.is_empty(), note.is_some(), "{notes}");
        assert!(notes.contains(note.unwrap_or_default()), "{notes}");
    }
    fs::write(&path, torch_writer::nested(&[])).unwrap();
    assert!(load(&path).unwrap_err().contains("`epoch` is a number"));
}

#[test]
fn names_and_shapes_of_older_code_are_understood() {
    let (tensors, dir) = (tensors(1), tempdir().unwrap());
    let path = dir.path().join("old.safetensors");
    for old in [
        &[("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")][..],
        &[("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"), ("group_norm", "norm")],
        &[("time_emb_proj", "temb_proj"), ("conv_shortcut", "nin_shortcut")],
    ] {
        let rename = |name: &str| old.iter().fold(name.to_owned(), |name, (new, old)| name.replace(new, old));
        let mut stored = renamed(&tensors, rename);
        // Attention of that time was a convolution of one pixel.
        for tensor in stored.iter_mut().filter(|tensor| tensor.name.contains("attentions") && tensor.shape.len() == 2) {
            tensor.shape.extend([1, 1]);
        }
        assert!(stored.iter().any(|tensor| tensor.shape.ends_with(&[8, 1, 1])));
        write_tensors(&path, &[], &stored).unwrap();
        assert_eq!(load(&path).unwrap(), tensors, "{old:?}");
    }
    // A vector or a kernel with other axes is still another tensor.
    let mut wrong = tensors.clone();
    wrong.iter_mut().find(|tensor| tensor.name == "conv_in.bias").unwrap().shape.push(1);
    write_tensors(&path, &[], &wrong).unwrap();
    assert!(load(&path).unwrap_err().contains("of another shape"));
}
