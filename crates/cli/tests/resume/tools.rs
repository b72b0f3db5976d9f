//! Runs to go on with, and what is in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::train_tiny;

pub(crate) const QUIET: [&str; 2] = ["--sample-every", "0"];

pub(crate) fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn rates(run: &Path) -> Vec<f64> {
    metrics(run).iter().map(|line| line["learning_rate"].as_f64().unwrap()).collect()
}

/// Copies a directory as `cp -r` does, or as `cp -rL` where `follow` says so.
pub(crate) fn copy(from: &Path, to: &Path, follow: bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_symlink() && !follow {
            #[cfg(unix)]
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), &target).unwrap();
        } else if source.is_dir() {
            copy(&source, &target, follow);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// Every file below `dir` with its bytes.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(contents(&path)) } else { all.push((path.clone(), fs::read(&path).unwrap())) }
    }
    all.sort();
    all
}

pub(crate) fn contains_all(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
}

pub(crate) fn pictures(dir: &Path, shades: impl IntoIterator<Item = u8>) {
    fs::create_dir_all(dir).unwrap();
    for shade in shades {
        picture(&dir.join(format!("{shade:03}.png")), shade);
    }
}

pub(crate) fn picture(path: &Path, shade: u8) {
    image::GrayImage::from_fn(16, 16, |x, _| image::Luma([shade.wrapping_add(x as u8)])).save(path).unwrap();
}

/// `train ARGS… --out runs/NAME` on `dataset` with a tiny network.
pub(crate) fn train_on(dir: &Path, name: &str, dataset: &str, args: &[&str]) -> PathBuf {
    train_tiny(dir, name, &[&["--dataset", dataset, "--image-size", "16"], args].concat())
}
