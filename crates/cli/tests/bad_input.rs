//! What goes wrong for users: each a clear message with the file, the value and the way out, and the right exit code.

mod common;

use std::{fs, path::Path};

use common::{TINY, fail, run, stderr, succeed, train_tiny};

/// `train` with a tiny network; a later `--set` or flag wins.
fn train_args<'a>(args: &[&'a str]) -> Vec<&'a str> {
    ["train", "--steps", "1", "--sample-every", "0", "--out", "runs/x"]
        .iter()
        .chain(TINY)
        .chain(args)
        .copied()
        .collect()
}

fn contains_all(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
}

fn png(path: &Path, side: u32, shade: u8) {
    image::GrayImage::from_pixel(side, side, image::Luma([shade])).save(path).unwrap();
}

#[test]
fn missing_and_truncated_data_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    contains_all(&fail(dir.path(), 1, &train_args(&["--dataset", "npy:nowhere.npy"])), &["nowhere.npy"]);
    contains_all(&fail(dir.path(), 1, &train_args(&["--dataset", "folder:nowhere"])), &["nowhere"]);
    fs::write(dir.path().join("short.npy"), b"\x93NUMPY\x01\x00").unwrap();
    contains_all(&fail(dir.path(), 1, &train_args(&["--dataset", "npy:short.npy"])), &["short.npy"]);
    let images = dir.path().join("idx");
    fs::create_dir(&images).unwrap();
    let mut header = vec![0, 0, 8, 3];
    header.extend([60_000u32, 28, 28].iter().flat_map(|n| n.to_be_bytes()));
    header.extend([7; 1000]);
    fs::write(images.join("train-images-idx3-ubyte"), header).unwrap();
    fs::write(images.join("train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0xea, 0x60]).unwrap();
    contains_all(
        &fail(dir.path(), 1, &train_args(&["--dataset", "mnist", "--data-dir", "idx"])),
        &["train-images-idx3-ubyte"],
    );
    contains_all(&fail(dir.path(), 1, &train_args(&["--dataset", "cifar10", "--data-dir", "idx"])), &["idx"]);
    assert!(!dir.path().join("runs/x").exists(), "nothing is written before the data is there");
}

#[test]
fn an_error_of_another_kind_is_not_called_a_missing_file() {
    let dir = tempfile::tempdir().unwrap();
    common::squares(dir.path());
    for (args, part) in [
        (&["--dataset", "npy:squares.npy#q"][..], "squares.npy"),
        (&["--dataset", "npy:absent.npz", "--labels", "folders"], "--labels does nothing"),
    ] {
        let said = fail(dir.path(), 1, &train_args(args));
        assert!(said.contains(part) && !said.contains("where relative paths are looked for"), "{said}");
    }
    let said = fail(dir.path(), 1, &["train", "--dataset", "toy:swiss-roll", "--flip", "--out", "runs/x"]);
    contains_all(&said, &["data.flip", "points"]);
}

#[test]
fn one_example_is_trained_on_whatever_share_is_to_be_held_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("one")).unwrap();
    png(&dir.path().join("one/a.png"), 8, 90);
    let said = stderr(&succeed(dir.path(), &train_args(&["--dataset", "folder:one", "--held-out", "0.5"])));
    contains_all(&said, &["held out   nothing", "done: 1 step"]);
}

#[test]
fn an_empty_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    contains_all(&fail(dir.path(), 1, &train_args(&["--dataset", "folder:empty"])), &["empty"]);
}

#[test]
fn a_corrupt_picture_among_good_ones_is_left_out_and_counted_or_an_error_with_strict() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    for i in 0..4 {
        png(&folder.join(format!("{i}.png")), 16, 40 * i);
    }
    fs::write(folder.join("broken.png"), b"\x89PNG\r\n\x1a\nand no more").unwrap();
    let said = fail(dir.path(), 1, &train_args(&["--dataset", "folder:pictures", "--image-size", "8", "--strict"]));
    contains_all(&said, &["broken.png"]);
    let said = stderr(&succeed(dir.path(), &train_args(&["--dataset", "folder:pictures", "--image-size", "8"])));
    contains_all(&said, &["warning", "broken.png", "1 unreadable", "4 examples of [1, 8, 8]"]);
}

#[test]
fn wrong_configurations_name_the_key_and_the_value() {
    let dir = tempfile::tempdir().unwrap();
    for (text, parts) in [
        ("[optimizer]\nlearning_rat = 1e-3\n", &["learning_rat", "learning_rate", "c.toml", "2"][..]),
        ("[optimizer]\nlearning_rate = -1.0\n", &["optimizer.learning_rate", "-1", "above 0"]),
        ("[optimizer]\nlearning_rate = \"fast\"\n", &["c.toml", "fast"]),
        ("[training]\nsteps = 0\n", &["training.steps", "0", "at least 1"]),
        (
            "[model]\nkind = \"unet\"\nchannels = [10]\ngroups = 4\nattention = [false]\n",
            &["model.groups", "4", "[10]"],
        ),
        ("[model]\nkind = \"transformer\"\n", &["transformer", "unet"]),
        ("[diffusion.schedule]\nkind = \"explicit\"\nbetas = [0.1, 1.5]\n", &["1.5"]),
        ("[data]\ndataset = \"imagenet\"\n", &["imagenet", "fashion-mnist-mini"]),
        ("steps = [\n", &["c.toml"]),
    ] {
        fs::write(dir.path().join("c.toml"), text).unwrap();
        contains_all(&fail(dir.path(), 1, &["train", "--config", "c.toml", "--out", "runs/x"]), parts);
    }
    contains_all(&fail(dir.path(), 1, &["train", "--config", "nowhere.toml"]), &["nowhere.toml"]);
    contains_all(
        &fail(dir.path(), 1, &["train", "--preset", "everything"]),
        &["everything", "fashion-mnist-mini", "swiss-roll"],
    );
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn wrong_usage_ends_with_two() {
    let dir = tempfile::tempdir().unwrap();
    contains_all(&fail(dir.path(), 2, &["train", "--step", "4"]), &["--step"]);
    contains_all(&fail(dir.path(), 2, &["train", "--dataset", "imagenet"]), &["imagenet", "fashion-mnist-mini"]);
    contains_all(&fail(dir.path(), 2, &["train", "--backend", "tpu"]), &["tpu", "flex", "cuda"]);
    contains_all(&fail(dir.path(), 2, &["train", "--set", "optimizer"]), &["KEY=VALUE"]);
    contains_all(&fail(dir.path(), 2, &["train", "--resume", "a", "--config", "b"]), &["--config"]);
    contains_all(&fail(dir.path(), 2, &["sample", "--out", "x"]), &["--model"]);
    contains_all(&fail(dir.path(), 2, &["schedule", "show", "sawtooth"]), &["sawtooth", "cosine"]);
    contains_all(&fail(dir.path(), 2, &["paint"]), &["paint"]);
    contains_all(
        &fail(dir.path(), 2, &["train", "--dataset", "toy:swiss-roll", "--class-conditional"]),
        &["--class-conditional"],
    );
    assert_eq!(run(dir.path(), &[]).status.code(), Some(2));
}

#[test]
fn a_network_that_does_not_fit_the_data_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let said = fail(
        dir.path(),
        1,
        &train_args(&["--set", "model.channels=[8, 8, 8, 8]", "--set", "model.attention=[false, false, false, false]"]),
    );
    contains_all(&said, &["28x28", "multiple of 8"]);
    let said = fail(
        dir.path(),
        1,
        &["train", "--preset", "swiss-roll", "--set", "data.dataset=fashion-mnist-mini", "--out", "runs/x"],
    );
    contains_all(&said, &["unet", "images"]);
    let said = fail(dir.path(), 1, &train_args(&["--set", "data.dataset=toy:swiss-roll"]));
    contains_all(&said, &["mlp", "points"]);
    assert!(!dir.path().join("runs/x").exists());
}

#[test]
fn a_run_directory_that_exists_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &["--steps", "1", "--sample-every", "0"]);
    let before = fs::read(root.join("metrics.jsonl")).unwrap();
    contains_all(&fail(dir.path(), 1, &train_args(&[])), &["runs/x", "--resume", "--out"]);
    assert_eq!(fs::read(root.join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn there_must_be_a_run_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    contains_all(&fail(dir.path(), 1, &["train", "--resume", "runs/nowhere"]), &["runs/nowhere", "config.toml"]);
    let root = train_tiny(dir.path(), "x", &["--steps", "1", "--sample-every", "0"]);
    let weights = root.join("model/training/optimizer.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    contains_all(&fail(dir.path(), 1, &["train", "--resume", "runs/x", "--steps", "2"]), &["optimizer.safetensors"]);
}

/// Root may write anywhere, so the obstacle is a file where a directory is needed.
#[test]
fn an_output_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("occupied"), b"").unwrap();
    let args: Vec<&str> =
        train_args(&[]).into_iter().map(|arg| if arg == "runs/x" { "occupied/x" } else { arg }).collect();
    contains_all(&fail(dir.path(), 1, &args), &["occupied/x"]);
    let root = train_tiny(dir.path(), "y", &["--steps", "1", "--sample-every", "0"]);
    let model = root.join("model");
    let said =
        fail(dir.path(), 1, &["sample", "--model", model.to_str().unwrap(), "--steps", "1", "--out", "occupied"]);
    contains_all(&said, &["occupied"]);
}

/// A disk that is full once the run has begun: the last good checkpoint stays, and no half one is left.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_checkpoint_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &["--steps", "2", "--sample-every", "0"]);
    // A limit on the size of files fails the write as a full disk does: in the middle, with an error from the system.
    let script =
        format!("trap '' XFSZ; ulimit -f 8; exec {} train --resume runs/x --steps 4", env!("CARGO_BIN_EXE_sfumato"));
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    contains_all(&said, &["error:", "runs/x"]);
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(fs::read_link(root.join("model")).unwrap(), Path::new("checkpoints/step-0000002"));
    let names: Vec<_> =
        fs::read_dir(root.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["step-0000002"]);
    succeed(dir.path(), &["train", "--resume", "runs/x", "--steps", "4"]);
}

#[test]
fn a_model_directory_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    contains_all(&fail(dir.path(), 1, &["sample", "--model", "nowhere", "--out", "x"]), &["nowhere"]);
    contains_all(&fail(dir.path(), 1, &["info", "nowhere"]), &["nowhere"]);
    let root = train_tiny(dir.path(), "x", &["--steps", "1", "--sample-every", "0"]);
    let weights = root.join("model/unet/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for broken in [&bytes[..100], &bytes[..bytes.len() - 4], b"", b"no safetensors at all"] {
        fs::write(&weights, broken).unwrap();
        let said = fail(dir.path(), 1, &["sample", "--model", "runs/x/model", "--out", "x"]);
        contains_all(&said, &["diffusion_pytorch_model.safetensors"]);
    }
    fs::write(root.join("model/unet/config.json"), "{").unwrap();
    contains_all(&fail(dir.path(), 1, &["sample", "--model", "runs/x/model", "--out", "x"]), &["config.json"]);
    contains_all(&fail(dir.path(), 1, &["info", "runs/x/model"]), &["config.json"]);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = train_tiny(dir.path(), "x", &["--steps", "1", "--sample-every", "0"]);
    let model = root.join("model");
    let model = model.to_str().unwrap();
    let sample = |args: &[&str], code: i32, parts: &[&str]| {
        let args: Vec<&str> = ["sample", "--model", model, "--out", "x"].iter().chain(args).copied().collect();
        contains_all(&fail(dir.path(), code, &args), parts);
    };
    sample(&["--num", "0"], 2, &["0"]);
    sample(&["--steps", "0"], 2, &["--steps", "1000"]);
    sample(&["--steps", "1001"], 2, &["1001", "1000"]);
    sample(&["--eta", "2"], 2, &["--eta", "2"]);
    sample(&["--eta", "NaN"], 2, &["--eta"]);
    sample(&["--class", "1"], 1, &["class"]);
    sample(&["--threads", "0"], 2, &["--threads"]);
    sample(&["--noise", "nowhere.npy"], 1, &["nowhere.npy"]);
}

/// A learning rate that blows everything up: an error at the step where it shows, not pictures of nothing.
#[test]
fn divergence_ends_the_run_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let args = train_args(&["--steps", "50", "--learning-rate", "1e30", "--checkpoint-every", "1"]);
    let said = fail(dir.path(), 1, &args);
    contains_all(&said, &["diverged at step", "loss", "learning rate"]);
}

#[test]
fn a_backend_that_is_not_compiled_in_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    for backend in ["cuda", "wgpu", "vulkan", "metal", "rocm", "ndarray", "flex"] {
        let version: serde_json::Value =
            serde_json::from_slice(&succeed(dir.path(), &["--version", "--json"]).stdout).unwrap();
        if version["backends"].as_array().unwrap().iter().any(|name| name == backend) {
            continue;
        }
        let said = fail(dir.path(), 1, &train_args(&["--backend", backend]));
        contains_all(&said, &[backend, "not compiled in", "cargo xtask", "--features"]);
    }
}
