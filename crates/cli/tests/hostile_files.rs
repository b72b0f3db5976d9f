//! Files that are none, that never end, or that announce what cannot be; and sizes that cannot be: each a clear error.
#![cfg(unix)]

mod common;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{TINY, failure, images, stderr, succeed, train_tiny};

/// Long enough for any of these commands on any machine; what waits for a pipe waits for ever.
const FOREVER: Duration = Duration::from_secs(300);

/// Runs the program in 3 GB of address space, and ends it if it hangs.
fn run_limited(dir: &Path, args: &[&str]) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 3000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sfumato")])
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > FOREVER {
            child.kill().unwrap();
            panic!("{args:?} hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn refused(dir: &Path, args: &[&str], parts: &[&str]) {
    let output = run_limited(dir, args);
    let code =
        output.status.code().unwrap_or_else(|| panic!("{args:?} was ended by {}: {}", output.status, stderr(&output)));
    let said = failure(&output, code, args);
    assert!(matches!(code, 1 | 2), "{args:?} ended with {code}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args:?}: '{part}' is not in:\n{said}");
    }
}

fn train<'a>(args: &[&'a str]) -> Vec<&'a str> {
    ["train", "--steps", "1", "--sample-every", "0", "--out", "runs/y"]
        .iter()
        .chain(TINY)
        .chain(args)
        .copied()
        .collect()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What never ends, under names that end in `suffix`: a pipe that nobody writes to, and a device.
fn endless(dir: &Path, suffix: &str) -> [String; 2] {
    let names = ["pipe", "zero"].map(|name| format!("{name}{suffix}"));
    pipe(&dir.join(&names[0]));
    symlink("/dev/zero", dir.join(&names[1])).unwrap();
    names
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    train_tiny(dir, "x", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir, 20);
    for name in endless(dir, ".npy") {
        refused(dir, &train(&["--dataset", &format!("npy:{name}")]), &[&name]);
        refused(dir, &["sample", "--model", "runs/x/model", "--noise", &name, "--out", "s"], &[&name]);
        let eval = ["eval", "--model", "runs/x/model", "--dataset", &data, "--noise", &name];
        refused(dir, &eval, &[&name]);
    }
    for name in endless(dir, ".zip") {
        refused(dir, &train(&["--dataset", &format!("zip:{name}")]), &[&name]);
    }
    for name in endless(dir, ".toml") {
        refused(dir, &["train", "--config", &name, "--out", "runs/y"], &[&name, "only regular files"]);
        refused(dir, &["schedule", "show", &name], &[&name]);
    }
    for name in endless(dir, ".pt") {
        refused(dir, &["import", &name, "--out", "imported"], &[&name]);
    }
    // The parts of a model.
    for (k, part) in [
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    .iter()
    .enumerate()
    {
        for (j, kind) in ["pipe", "zero"].iter().enumerate() {
            let copy = format!("model-{k}-{j}");
            let status = Command::new("cp").args(["-rL", "runs/x/model", &copy]).current_dir(dir).status().unwrap();
            assert!(status.success());
            fs::remove_file(dir.join(&copy).join(part)).unwrap();
            match *kind {
                "pipe" => pipe(&dir.join(&copy).join(part)),
                _ => symlink("/dev/zero", dir.join(&copy).join(part)).unwrap(),
            }
            refused(dir, &["sample", "--model", &copy, "--num", "1", "--out", "s"], &[]);
        }
    }
    // The files of a named data set.
    fs::create_dir(dir.join("idx")).unwrap();
    symlink("/dev/zero", dir.join("idx/train-images-idx3-ubyte")).unwrap();
    pipe(&dir.join("idx/data_batch_1.bin"));
    refused(dir, &train(&["--dataset", "mnist", "--data-dir", "idx"]), &["train-images-idx3-ubyte"]);
    refused(dir, &train(&["--dataset", "cifar10", "--data-dir", "idx"]), &["data_batch_1.bin"]);
}

#[test]
fn pictures_that_are_no_files_and_labels_that_are_none_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    for i in 0..4 {
        image::GrayImage::from_pixel(8, 8, image::Luma([40 * i])).save(folder.join(format!("{i}.png"))).unwrap();
    }
    endless(&folder, ".png");
    endless(&folder, "");
    pipe(&folder.join("labels.csv"));
    symlink("/dev/zero", folder.join("dataset.json")).unwrap();
    let args = train(&["--dataset", "folder:pictures"]);
    let output = run_limited(dir.path(), &args);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for part in ["2 unreadable", "pipe.png", "zero.png", "4 examples"] {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    refused(dir.path(), &train(&["--dataset", "folder:pictures", "--strict"]), &[".png"]);
}

#[test]
fn sizes_that_cannot_be_are_refused_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for set in [
        "samples.num=4294967296",
        "samples.num=1000000000000000000",
        "samples.steps=1000000000000000000",
        "training.batch_size=1000000",
        "training.batch_size=4294967296",
        "training.batch_size=1000000000000000000",
        "model.channels=[65536, 65536]",
        "model.channels=[8, 1000000000000000000]",
        "model.blocks_per_level=1000000000000",
        "model.groups=1000000000000",
        "model.head_dim=1000000000000",
        "diffusion.schedule.steps=1000000000000",
        "data.image_size=1000000000000",
        "data.image_size=4096",
        "data.channels=1000000000000",
    ] {
        // Without the flag for the batch, which would win.
        let args = train(&["--set", set]);
        let args: Vec<&str> = args.into_iter().filter(|arg| !["--batch-size", "8"].contains(arg)).collect();
        refused(dir, &args, &[]);
        assert!(!dir.join("runs/y").exists(), "{set}");
    }
    for set in ["model.hidden=1000000000000", "model.hidden=65536", "model.layers=1000000000000", "model.layers=0"] {
        refused(dir, &["train", "--preset", "swiss-roll", "--out", "runs/y", "--set", set], &["model."]);
    }
    refused(dir, &train(&["--set", "samples.num=4294967296"]), &["samples.num", "4294967296", "1048576"]);
    train_tiny(dir, "x", &["--steps", "1", "--sample-every", "0"]);
    let sample = ["sample", "--model", "runs/x/model", "--out", "s"];
    for more in [["--num", "4294967295"], ["--image-size", "4096000"], ["--num", "99999999999999999999"]] {
        refused(dir, &[&sample[..], &more].concat(), &[more[0]]);
    }
    let all = ["--num", "100000000", "--batch-size", "100000000"];
    refused(dir, &[&sample[..], &all].concat(), &["--batch-size"]);
    let data = images(dir, 20);
    let eval = ["eval", "--model", "runs/x/model", "--dataset", &data, "--limit"];
    refused(dir, &[&eval[..], &["4294967295"]].concat(), &["--limit"]);
}

/// 2 GB on the disk, or none where files can have holes.
#[test]
fn a_part_of_a_large_array_takes_the_memory_of_the_part() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    train_tiny(dir, "x", &["--steps", "1", "--sample-every", "0"]);
    let count = 5_000_000u64;
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 28, 28), }}");
    let mut file = fs::File::create(dir.join("large.npy")).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00").unwrap();
    file.write_all(format!("{header:<117}\n").as_bytes()).unwrap();
    file.write_all(&[0, 255]).unwrap();
    file.seek(SeekFrom::Start(128 + 784 * count - 1)).unwrap();
    file.write_all(&[7]).unwrap();
    // 3.9 GB of values do not fit into 3 GB of addresses.
    let args = ["eval", "--model", "runs/x/model", "--dataset", "npy:large.npy", "--limit", "2", "--stride", "500"];
    let output = run_limited(dir, &args);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 of 5000000 examples"));
}

/// A palette whose length is no multiple of three: once a panic, now a picture like any other.
#[test]
fn a_picture_with_an_odd_palette_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden");
    let bad = fs::read_dir(golden).unwrap().flatten().map(|entry| entry.path().join("bad-palette.png"));
    fs::copy(bad.into_iter().find(|path| path.is_file()).unwrap(), folder.join("odd.png")).unwrap();
    image::GrayImage::from_pixel(8, 8, image::Luma([40])).save(folder.join("good.png")).unwrap();
    let said = stderr(&succeed(dir.path(), &train(&["--dataset", "folder:pictures", "--image-size", "8"])));
    assert!(said.contains("2 examples") && !said.contains("unreadable"), "{said}");
}
