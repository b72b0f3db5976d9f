//! What the end-to-end tests share: the program, and runs small enough for seconds.
#![allow(dead_code)] // each test binary uses its part

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Random choices, others in every run; the seed is printed.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        println!("choices {seed}");
        Self(seed)
    }

    /// A number below `end`, by SplitMix64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The program, as a user's shell would start it in `dir`.
pub(crate) fn sfumato(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sfumato"));
    command.current_dir(dir).env_remove("SFUMATO_LOG").env_remove("RAYON_NUM_THREADS");
    command
}

/// Runs the program to its end.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    sfumato(dir).args(args).output().expect("the program starts")
}

/// Runs the program and insists that it succeeds.
pub(crate) fn succeed(dir: &Path, args: &[&str]) -> Output {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?} ended with {}:\n{}", output.status, stderr(&output));
    output
}

/// Runs the program, insists on the exit code, no panic and one error, and gives what it said.
pub(crate) fn fail(dir: &Path, code: i32, args: &[&str]) -> String {
    failure(&run(dir, args), code, args)
}

/// The same of a run that has ended.
pub(crate) fn failure(output: &Output, code: i32, args: &[&str]) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{args:?} said:\n{said}");
    assert!(!said.contains("panicked") && !said.contains("stack backtrace"), "{args:?} panicked:\n{said}");
    assert!(said.contains("error:"), "{args:?} said:\n{said}");
    said
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The words of a text that is wrapped to a width, with one space between them.
pub(crate) fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A U-Net of a few thousand parameters on the embedded images.
pub(crate) const TINY: &[&str] = &[
    "--set",
    "model.channels=[8, 16]",
    "--set",
    "model.attention=[false, true]",
    "--set",
    "model.groups=4",
    "--set",
    "model.blocks_per_level=1",
    "--set",
    "optimizer.warmup_steps=2",
    "--set",
    "optimizer.decay=constant",
    "--set",
    "samples.num=4",
    "--set",
    "samples.steps=2",
    "--set",
    "training.log_every=1",
    "--batch-size",
    "8",
];

/// A network of a few hundred parameters, on points.
pub(crate) const POINTS: &[&str] = &[
    "--preset",
    "swiss-roll",
    "--set",
    "model.hidden=8",
    "--set",
    "model.layers=2",
    "--batch-size",
    "8",
    "--sample-every",
    "0",
    "--set",
    "samples.num=4",
    "--set",
    "samples.steps=2",
    "--threads",
    "1",
];

/// `train ARGS… --out runs/NAME` with [`TINY`].
pub(crate) fn train_tiny(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let out = format!("runs/{name}");
    let args: Vec<&str> = ["train", "--out", &out].iter().chain(TINY).chain(args).copied().collect();
    succeed(dir, &args);
    dir.join(out)
}

/// The files that hold what the checkpoint of step `step` has learned.
pub(crate) fn learned(run: &Path, step: u64) -> Vec<Vec<u8>> {
    let dir = run.join(format!("checkpoints/step-{step:07}"));
    let read =
        |file| std::fs::read(dir.join(file)).unwrap_or_else(|error| panic!("{}: {error}", dir.join(file).display()));
    ["unet/diffusion_pytorch_model.safetensors", "training/weights.safetensors", "training/optimizer.safetensors"]
        .map(read)
        .into()
}

/// Reads a float32 array as the rest of the world would.
pub(crate) fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    let shape = npy.shape().to_vec();
    (shape, npy.into_vec::<f32>().unwrap())
}

/// The first images of the embedded set, as an array.
pub(crate) fn images(dir: &Path, count: usize) -> String {
    use sfumato_data::{DatasetSpec, LoadOptions, Values, load};
    let data = load(&DatasetSpec::FashionMnistMini, &LoadOptions::default()).unwrap();
    let Values::U8(values) = data.values() else { panic!("pictures are bytes") };
    write_bytes(&dir.join("images.npy"), &format!("{count}, 28, 28"), &values[..count * 784]);
    "npy:images.npy".to_owned()
}

/// An array of bytes.
fn write_bytes(path: &Path, shape: &str, values: &[u8]) {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(values);
    std::fs::write(path, bytes).unwrap();
}

/// Small models of 8×8 pictures, with twelve steps: `model`, and `model-learned` with a learned variance.
pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bits_per_dim");

/// Forty pictures of 8×8 pixels.
pub(crate) fn squares(dir: &Path) -> String {
    let values: Vec<u8> =
        (0..40 * 64_u32).map(|i| if (i / 64 + i / 8) % 8 < 4 { (i / 64 * 6) as u8 } else { 255 }).collect();
    write_bytes(&dir.join("squares.npy"), "40, 1, 8, 8", &values);
    "npy:squares.npy".to_owned()
}

/// The golden model `name` under another one, with a scheduler that `edit` has changed.
pub(crate) fn variant(dir: &Path, name: &str, copy: &str, edit: impl FnOnce(&mut serde_json::Value)) {
    let (from, to) = (Path::new(GOLDEN).join(name), dir.join(copy));
    for file in [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ] {
        std::fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let config = to.join("scheduler/scheduler_config.json");
    let mut value = json(&config);
    edit(&mut value);
    std::fs::write(config, value.to_string()).unwrap();
}

/// A file as JSON.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Insists on all parts of a text.
pub(crate) fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
}

/// What could depend on how a batch is cut, and on who computes: dropout, classes, strata, losses that are remembered, averages.
pub(crate) const BY_SHARD: &[&str] = &[
    "--class-conditional",
    "--variance",
    "learned-range",
    "--density",
    "importance",
    "--set",
    "objective.density.strata=true",
    "--set",
    "model.dropout=0.1",
    "--set",
    "data.label_dropout=0.3",
    // So few steps that importance sampling gets warm.
    "--set",
    "diffusion.schedule.steps=4",
    "--set",
    "averages.widths=[0.1]",
    "--sample-every",
    "0",
];

/// The lines of a run's metrics.
pub(crate) fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every number of them but those of time.
pub(crate) fn numbers(run: &Path) -> Vec<serde_json::Value> {
    let strip = |mut line: serde_json::Value| {
        for key in ["images_per_second", "seconds"] {
            line.as_object_mut().unwrap().remove(key);
        }
        line
    };
    metrics(run).into_iter().map(strip).collect()
}
