//! `train --init-from`: what is taken of a trained model, what is new, and what is said of both.

#[path = "init_from/classes.rs"]
mod classes;
mod common;
#[path = "init_from/foreign.rs"]
mod foreign;
#[path = "init_from/records.rs"]
mod records;

use std::{collections::BTreeMap, fs, path::Path};

use common::{contains, fail, read_npy, stderr, succeed};
use proptest::prelude::*;
use sfumato_model::tensor_file::{NamedTensor, read_tensors};

/// A run of one step at a rate that moves nothing.
const STILL: &[&str] = &["--learning-rate", "1e-300", "--steps", "1"];

/// What makes a run small, whatever its network.
const QUICK: &[&str] = &[
    "--set",
    "optimizer.warmup_steps=0",
    "--set",
    "optimizer.decay=constant",
    "--set",
    "samples.num=1",
    "--set",
    "samples.steps=1",
    "--set",
    "training.log_every=1",
    "--held-out",
    "0",
    "--sample-every",
    "0",
    "--batch-size",
    "4",
    "--threads",
    "1",
];

/// A network of some thousand weights and a short schedule.
const NETWORK: &[&str] = &[
    "--set",
    "model.channels=[8,8]",
    "--set",
    "model.attention=[false,true]",
    "--set",
    "model.groups=4",
    "--set",
    "model.blocks_per_level=1",
    "--set",
    "diffusion.schedule.kind=linear",
    "--set",
    "diffusion.schedule.steps=20",
];

/// Pictures of one brightness each, in a folder for each class, or in one.
fn pictures(dir: &Path, classes: &[&str], count: u32, size: (u32, u32), colour: bool) {
    for (class, name) in classes.iter().enumerate() {
        let folder = if *name == "." { dir.to_owned() } else { dir.join(name) };
        fs::create_dir_all(&folder).unwrap();
        for i in 0..count {
            let level = ((i * 37 + class as u32 * 101) % 251) as u8;
            let picture = image::RgbImage::from_fn(size.0, size.1, |x, _| {
                let other = if colour { 255 - level } else { level };
                image::Rgb([level, other, if colour { (x * 9) as u8 } else { level }])
            });
            picture.save(folder.join(format!("{i:03}.png"))).unwrap();
        }
    }
}

/// `train ARGS… --out NAME`: what it said.
fn train(dir: &Path, name: &str, args: &[&[&str]]) -> String {
    let all = [&["train", "--out", name][..], QUICK, &args.concat()].concat();
    stderr(&succeed(dir, &all))
}

/// The weights of a model directory by name.
fn tensors(dir: &Path, model: &str) -> BTreeMap<String, NamedTensor> {
    let file = dir.join(model).join("unet/diffusion_pytorch_model.safetensors");
    read_tensors(&file).unwrap().into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
}

/// Names of the tensors in which two models differ.
fn other(dir: &Path, a: &str, b: &str) -> Vec<String> {
    let (a, b) = (tensors(dir, a), tensors(dir, b));
    let bits = |tensor: &NamedTensor| {
        (tensor.shape.clone(), tensor.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
    };
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name).map(bits) != b.get(*name).map(bits)).cloned().collect()
}

fn samples(dir: &Path, model: &str, args: &[&str]) -> Vec<f32> {
    let out = format!("drawn-{}", model.replace('/', "-"));
    let all = ["sample", "--model", model, "--num", "3", "--steps", "4", "--out", &out, "--threads", "1"];
    succeed(dir, &[&all[..], args].concat());
    let (_, values) = read_npy(&dir.join(&out).join("samples.npy"));
    fs::remove_dir_all(dir.join(&out)).unwrap();
    values
}

fn eval(dir: &Path, model: &str, args: &[&str]) -> serde_json::Value {
    let all = ["eval", "--model", model, "--threads", "1", "--split", "train", "--json", "score.json"];
    succeed(dir, &[&all[..], args].concat());
    common::json(&dir.join("score.json"))["each"].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the network and the pictures: a run that learns nothing is its source, bit for bit, in weights, samples and score.
    #[test]
    fn a_run_that_learns_nothing_is_its_source(
        levels in prop::collection::vec((1_usize..4, any::<bool>()), 1..3),
        scale in (1_u32..4, 1_u32..4),
        other_scale in (1_u32..4, 1_u32..4),
        colour in any::<bool>(),
        classes in any::<bool>(),
        learned in any::<bool>(),
        v in any::<bool>(),
        heads in any::<bool>(),
        seed in 0_u64..100,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let size = |(width, height)| (4 * width, 4 * height);
        pictures(&dir.join("all"), &["a", "b"], 6, size(scale), colour);
        pictures(&dir.join("new"), &["a", "b"], 7, size(other_scale), colour);
        let list = |values: Vec<String>| format!("[{}]", values.join(","));
        let channels = list(levels.iter().map(|(n, _)| (8 * n).to_string()).collect());
        let attention = list(levels.iter().map(|(_, attends)| attends.to_string()).collect());
        let seed = seed.to_string();
        let (channels, attention) = (format!("model.channels={channels}"), format!("model.attention={attention}"));
        let heads = format!("model.head_dim={}", if heads { 4 } else { 0 });
        let mut args = vec!["--dataset", "folder:all", "--steps", "2", "--seed", &seed, "--set", &channels, "--set", &attention];
        args.extend(["--set", &heads, "--set", "model.groups=4", "--set", "diffusion.schedule.kind=cosine"]);
        args.extend(["--set", "diffusion.schedule.steps=20"]);
        if v { args.extend(["--set", "diffusion.parameterization=v"]) }
        if learned { args.extend(["--variance", "learned-range"]) }
        if classes { args.push("--class-conditional") }
        train(dir, "source", &[&args]);
        let said = train(dir, "tuned", &[&["--init-from", "source", "--dataset", "folder:new", "--seed", "5"], STILL]);
        prop_assert!(said.contains("tensors are taken") && said.contains("init       source/checkpoints/step-0000002: all "), "{said}");
        prop_assert_eq!(other(dir, "source/model", "tuned/model"), Vec::<String>::new());
        if size(scale) == size(other_scale) {
            prop_assert_eq!(samples(dir, "source/model", &[]), samples(dir, "tuned/model", &[]));
            let data = ["--dataset", "folder:all"];
            prop_assert_eq!(eval(dir, "source/model", &data), eval(dir, "tuned/model", &data));
        }
    }
}

/// A run `a` of grey pictures with the classes `ant` and `bee`, which it learns if `args` say so.
fn source(dir: &Path, args: &[&str]) {
    pictures(&dir.join("grey"), &["ant", "bee"], 8, (8, 8), false);
    train(dir, "a", &[NETWORK, &["--dataset", "folder:grey", "--steps", "3"], args]);
}

#[test]
fn other_channels_sizes_and_networks_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    pictures(&dir.join("colour"), &["."], 8, (16, 12), true);
    let said = train(dir, "b", &[&["--init-from", "a", "--dataset", "folder:colour"], STILL]);
    contains(
        &said,
        &[
            "3 new: conv_in.weight ([8, 1, 3, 3] there, [8, 3, 3, 3] here), conv_out.weight (channels: 1 there, 3 here), conv_out.bias",
            "note: a/checkpoints/step-0000003 is for pictures of 8x8, and this run trains on 12x16",
        ],
    );
    assert_eq!(other(dir, "a/model", "b/model"), ["conv_in.weight", "conv_out.bias", "conv_out.weight"]);

    // Another network: what has its name and its shape is taken, the rest is that of a new run of the seed.
    let wider = ["--set", "model.channels=[8,16]"];
    let said = train(dir, "c", &[&["--init-from", "a", "--dataset", "folder:grey"], &wider, STILL]);
    contains(&said, &["44 of 144 tensors are taken", "100 new: ", "([8] there, [16] here), ", ", and 96 more"]);
    train(dir, "d", &[&["--dataset", "folder:grey"], NETWORK, &wider, STILL]);
    let [from, tuned, new] = ["a/model", "c/model", "d/model"].map(|model| tensors(dir, model));
    let mut taken = 0;
    for (name, tensor) in &tuned {
        let there = from.get(name).filter(|there| there.shape == tensor.shape);
        taken += usize::from(there.is_some());
        assert_eq!(tensor, there.unwrap_or(&new[name]), "{name}");
    }
    assert!(taken > 20 && taken < tuned.len(), "{taken} of {}", tuned.len());
    let record = common::json(&dir.join("c/init.json"));
    assert_eq!(record["taken"].as_array().unwrap().len(), taken);
    assert_eq!(record["new"].as_object().unwrap().len(), tuned.len() - taken);

    // Fewer levels: what has no place is named.
    let fewer = ["--set", "model.channels=[8]", "--set", "model.attention=[true]"];
    let said = train(dir, "e", &[&["--init-from", "a", "--dataset", "folder:grey"], &fewer, STILL]);
    contains(&said, &["left out: down_blocks.0.downsamplers.0.conv.bias, "]);
}

#[test]
fn another_process_is_said_and_a_variance_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    let tuned = |name: &str, from: &str, args: &[&str]| {
        train(dir, name, &[&["--init-from", from, "--dataset", "folder:grey"], args, STILL])
    };
    let said = tuned("plain", "a", &[]);
    assert!(!said.contains("was trained"), "{said}");
    let config = fs::read_to_string(dir.join("plain/config.toml")).unwrap();
    contains(&config, &["channels = [", "steps = 20", "from = \"a/checkpoints/step-0000003\"", "sha256 = \""]);
    let said = tuned("v", "a", &["--set", "diffusion.parameterization=v", "--set", "diffusion.schedule.kind=cosine"]);
    contains(
        &said,
        &[
            "was trained to predict epsilon, and this run predicts v: it has to unlearn that first",
            "was trained with the noise schedule linear:steps=20, and this run uses cosine",
        ],
    );
    let said = tuned("learned", "a", &["--variance", "learned-range"]);
    contains(&said, &["2 in part: conv_out.weight (the prediction; the variance is new), conv_out.bias (the "]);
    assert_eq!(other(dir, "a/model", "learned/model"), ["conv_out.bias", "conv_out.weight"]);
    let [from, learned] = ["a/model", "learned/model"].map(|model| tensors(dir, model));
    for name in ["conv_out.weight", "conv_out.bias"] {
        let (there, here) = (&from[name].values, &learned[name].values);
        assert_eq!(&here[..there.len()], &there[..]);
        assert!(here.len() == 2 * there.len() && here[there.len()..].iter().all(|value| *value == 0.0), "{name}");
    }
    // And back: nothing of the source is lost.
    let said = tuned("fixed", "learned", &["--variance", "fixed-small"]);
    contains(&said, &["conv_out.weight (the prediction, without the variance)"]);
    assert_eq!(other(dir, "a/model", "fixed/model"), Vec::<String>::new());
    // A variance that means something else is new.
    let said = tuned("free", "learned", &["--variance", "learned"]);
    contains(&said, &["conv_out.weight (the prediction; the variance is new)"]);
}

#[test]
fn points_are_tuned_too_and_what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let points = ["--set", "model.hidden=8", "--set", "model.layers=2"];
    train(dir, "p", &[&["--preset", "swiss-roll", "--steps", "3"], &points]);
    let said = train(dir, "q", &[&["--init-from", "p", "--dataset", "toy:two-moons"], STILL]);
    contains(&said, &["init       p/checkpoints/step-0000003: all "]);
    assert_eq!(other(dir, "p/model", "q/model"), Vec::<String>::new());
    let said = train(dir, "l", &[&["--init-from", "p", "--dataset", "toy:two-moons", "--variance", "learned"], STILL]);
    contains(&said, &["2 in part: linear_out.weight (the prediction; the variance is new)"]);

    source(dir, &[]);
    let refused = |args: &[&str], expected: &[&str]| {
        let said = fail(dir, 1, &[&["train", "--out", "x"][..], QUICK, STILL, args].concat());
        contains(&said, expected);
        assert!(!dir.join("x").exists(), "nothing is written");
    };
    refused(
        &["--init-from", "p", "--dataset", "folder:grey"],
        &["model.kind must be \"unet\": folder:grey holds images"],
    );
    let unet = [&["--init-from", "p", "--dataset", "folder:grey", "--set", "model.kind=unet"][..], NETWORK].concat();
    refused(
        &unet,
        &[
            "cannot start from p/checkpoints/step-0000003: none of its tensors has a name and a shape of the network",
            "SfumatoMLP",
        ],
    );
    pictures(&dir.join("odd"), &["."], 4, (7, 7), false);
    refused(&["--init-from", "a", "--dataset", "folder:odd"], &["model.channels must be a list of 1 levels at most"]);
    refused(
        &["--init-from", "nowhere", "--dataset", "folder:grey"],
        &["cannot start from nowhere", "there is no directory"],
    );
    let said = fail(dir, 2, &["train", "--resume", "a", "--init-from", "a"]);
    contains(&said, &["--init-from"]);
}
