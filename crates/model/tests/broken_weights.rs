//! What lies under the names of weights when something went wrong.

#[path = "common/small_network.rs"]
mod small_network;

use std::{fs, path::PathBuf};

use burn::backend::{Flex, flex::FlexDevice};
use serde_json::json;
use sfumato_model::{
    pipeline::{Pipeline, WEIGHTS_FILE},
    tensor_file::write_tensors,
};
use small_network::{empty, load, pickled, tensors};
use tempfile::{TempDir, tempdir};

/// A pipeline with weights in one file, in shards, or in a pickle.
fn whole(kind: &str) -> (TempDir, Vec<PathBuf>) {
    let dir = empty();
    let unet = dir.path().join("unet");
    let tensors = tensors(1);
    let weights = match kind {
        "shards" => {
            write_tensors(&unet.join("a.safetensors"), &[], &tensors).unwrap();
            let map: serde_json::Map<_, _> =
                tensors.iter().map(|tensor| (tensor.name.clone(), "a.safetensors".into())).collect();
            let index = unet.join("diffusion_pytorch_model.safetensors.index.json");
            fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
            vec![index, unet.join("a.safetensors")]
        }
        "pickle" => {
            let path = unet.join("diffusion_pytorch_model.bin");
            fs::write(&path, pickled(&tensors, false)).unwrap();
            vec![path]
        }
        _ => {
            let path = unet.join(WEIGHTS_FILE);
            write_tensors(&path, &[], &tensors).unwrap();
            vec![path]
        }
    };
    let json =
        ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"].map(|path| dir.path().join(path));
    (dir, [&json[..], &weights].concat())
}

#[test]
fn what_is_no_file_of_a_model_is_called_by_its_name() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 143000000\n";
    for kind in ["one", "shards", "pickle"] {
        let count = whole(kind).1.len();
        for file in 0..count {
            for (bytes, expected) in [
                (&pointer[..], "git lfs pull"),
                (b"<!DOCTYPE html><html>Sign in</html>", "page of HTML"),
                (b"<?xml version=\"1.0\"?><Error/>", "XML"),
                (b"", "empty (0 bytes)"),
                (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
                (&[0; 1000], "zeros only"),
            ] {
                let (dir, files) = whole(kind);
                fs::write(&files[file], bytes).unwrap();
                let message = match Pipeline::open(dir.path()) {
                    Ok(pipeline) => pipeline.load_unet::<Flex>(&FlexDevice).unwrap_err().to_string(),
                    Err(error) => error.to_string(),
                };
                let path = files[file].display().to_string();
                assert!(message.contains(expected) && message.contains(&path), "{path}: {message}");
            }
            let (dir, files) = whole(kind);
            fs::remove_file(&files[file]).unwrap();
            fs::create_dir(&files[file]).unwrap();
            let message = match Pipeline::open(dir.path()) {
                Ok(pipeline) => pipeline.load_unet::<Flex>(&FlexDevice).unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(message.contains("is a directory"), "{}: {message}", files[file].display());
        }
    }
}

#[test]
fn answers_of_servers_are_quoted() {
    for (name, text) in
        [(WEIGHTS_FILE, "Entry not found"), ("diffusion_pytorch_model.bin", "Invalid username or password.")]
    {
        let dir = empty();
        fs::write(dir.path().join("unet").join(name), text).unwrap();
        let pipeline = Pipeline::open(dir.path()).unwrap();
        let message = pipeline.load_unet::<Flex>(&FlexDevice).unwrap_err().to_string();
        assert!(message.contains(text) && message.contains(name), "{message}");
    }
    let (dir, files) = whole("one");
    fs::write(&files[1], r#"{"error": "Repository not found"}"#).unwrap();
    assert!(Pipeline::open(dir.path()).unwrap_err().to_string().contains("Repository not found"));
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_and_pipes_are_named() {
    for file in 0..4 {
        let (dir, files) = whole("one");
        fs::remove_file(&files[file]).unwrap();
        std::os::unix::fs::symlink("../../blobs/0123", &files[file]).unwrap();
        let message = match Pipeline::open(dir.path()) {
            Ok(pipeline) => pipeline.load_unet::<Flex>(&FlexDevice).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.contains("a link to ../../blobs/0123"), "{}: {message}", files[file].display());
    }
}

#[test]
fn truncation_says_how_much_is_there() {
    let (tensors, dir) = (tensors(1), tempdir().unwrap());
    let path = dir.path().join("cut.safetensors");
    write_tensors(&path, &[("format", "pt")], &tensors).unwrap();
    let bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    for cut in [len - 1, len / 2] {
        fs::write(&path, &bytes[..cut]).unwrap();
        let message = load(&path).unwrap_err();
        assert!(message.contains(&format!("truncated: {cut} of {len} bytes")), "{message}");
    }
    fs::write(&path, &bytes[..500]).unwrap();
    assert!(load(&path).unwrap_err().contains("truncated: 500 of at least"));

    let path = dir.path().join("cut.bin");
    let bytes = pickled(&tensors, true);
    let (len, cut) = (bytes.len(), bytes.len() - 100);
    fs::write(&path, &bytes[..cut]).unwrap();
    assert!(load(&path).unwrap_err().contains(&format!("is truncated: {cut} of {len} bytes")));
    let bytes = pickled(&tensors, false);
    let values: usize = tensors.iter().map(|tensor| 4 * tensor.values.len()).sum();
    let cut = bytes.len() / 2;
    fs::write(&path, &bytes[..cut]).unwrap();
    let message = load(&path).unwrap_err();
    let expected: usize =
        message.split("at least ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!(message.contains(&format!("truncated: {cut} of at least")), "{message}");
    assert!((values..=bytes.len()).contains(&expected), "{message}");
}
