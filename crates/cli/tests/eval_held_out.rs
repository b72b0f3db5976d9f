//! `eval --split held-out`: the examples that a run held out, and no others.

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use sfumato_data::{DatasetSpec, LoadOptions, Selection, load};

use common::{contains, fail, json, stderr, stdout, succeed};

const SMALL: &[&str] = &[
    "--set",
    "model.channels=[8]",
    "--set",
    "model.attention=[false]",
    "--set",
    "model.groups=4",
    "--set",
    "model.blocks_per_level=1",
    "--set",
    "diffusion.schedule.kind=linear",
    "--set",
    "diffusion.schedule.steps=20",
    "--set",
    "optimizer.decay=constant",
    "--set",
    "samples.num=1",
    "--set",
    "samples.steps=1",
    "--set",
    "held_out.every=2",
    "--set",
    "held_out.examples=128",
    "--steps",
    "2",
    "--batch-size",
    "4",
    "--threads",
    "1",
];

/// Grey pictures of 6x6 pixels in two folders.
fn pictures(dir: &Path, count: u32) {
    for i in 0..count {
        let folder = dir.join(["even", "odd"][i as usize % 2]);
        fs::create_dir_all(&folder).unwrap();
        let picture = image::GrayImage::from_fn(6, 6, |x, y| image::Luma([(i * 37 + x * y * 5) as u8]));
        picture.save(folder.join(format!("{i:04}.png"))).unwrap();
    }
}

fn run(dir: &Path, name: &str, args: &[&str]) {
    succeed(dir, &[&["train", "--dataset", "folder:all", "--out", name][..], SMALL, args].concat());
}

/// Scores a model: the result, and what was said.
fn eval(dir: &Path, model: &str, args: &[&str]) -> (serde_json::Value, String) {
    let all = ["eval", "--model", model, "--dataset", "folder:all", "--threads", "1", "--json", "e.json"];
    let output = succeed(dir, &[&all[..], args].concat());
    (json(&dir.join("e.json")), stderr(&output) + &stdout(&output))
}

fn examples(score: &serde_json::Value) -> BTreeSet<u64> {
    score["each"]["example"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn exactly_what_was_held_out_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("all"), 60);
    for (name, args) in [
        ("a", &["--held-out", "0.3", "--seed", "7"][..]),
        ("b", &["--held-out", "0.3", "--seed", "8", "--class-conditional"]),
    ] {
        run(dir, name, args);
        let model = format!("{name}/model");
        let seed = args[3];
        let (held, said) = eval(dir, &model, &["--split", "held-out", "--stride", "20", "--seed", seed]);
        assert_eq!((&held["split"], &held["examples_in_split"]), (&"held-out".into(), &18.into()));
        contains(&said, &["scoring 18 of 18 examples", "folder:all, held-out split, 18 of 18 examples"]);
        // Those that the run itself leaves out.
        let whole = load(&DatasetSpec::Folder(dir.join("all")), &LoadOptions::default()).unwrap();
        let seed_number = seed.parse().unwrap();
        let left_out = Selection::split(&whole, 18, seed_number)[1].ids().iter().map(|&id| id as u64).collect();
        assert_eq!(examples(&held), left_out);
        // They keep their numbers and their noise among all of the data.
        let (all, said) = eval(dir, &model, &["--stride", "20", "--seed", seed]);
        assert_eq!(examples(&all).len(), 60);
        let note = format!(
            "note: {model} was trained on these data, but for 18 examples; --split held-out scores those alone"
        );
        contains(&said, &[&note]);
        let ids = held["each"]["example"].as_array().unwrap();
        for (i, id) in ids.iter().enumerate() {
            let place = all["each"]["example"].as_array().unwrap().iter().position(|other| other == id).unwrap();
            let [a, b] = [(&held, i), (&all, place)].map(|(score, i)| score["each"]["diffusion"][i].as_f64().unwrap());
            assert!((a - b).abs() <= 1e-5 * a.abs(), "{a} {b}");
        }
        let (some, said) = eval(dir, &model, &["--split", "held-out", "--limit", "5", "--seed", seed]);
        assert!(examples(&some).is_subset(&examples(&held)) && examples(&some).len() == 5);
        contains(&said, &["held-out split, 5 of 18 examples", "a random part of the split"]);
        let (first, _) = eval(dir, &model, &["--split", "held-out", "--in-order", "--limit", "4"]);
        assert!(examples(&first).iter().eq(examples(&held).iter().take(4)));
        let args = ["eval", "--model", &model, "--dataset", "folder:all", "--split", "held-out", "--limit", "19"];
        contains(&fail(dir, 1, &args), &["--limit 19: the held-out split of folder:all has 18 examples"]);
    }
    let [a, b] = ["a/model", "b/model"].map(|model| examples(&eval(dir, model, &["--split", "held-out"]).0));
    assert_ne!(a, b, "other seeds hold out others");
    let compare = |b: &str| {
        ["compare", "a/model", b, "--dataset", "folder:all", "--split", "held-out", "--threads", "1"].map(str::to_owned)
    };
    let args = compare("b/model");
    let said = fail(dir, 1, &args.each_ref().map(String::as_str));
    contains(&said, &["b/model was trained on some of the examples that the first model's run held out"]);
    run(dir, "c", &["--held-out", "0.3", "--seed", "7", "--learning-rate", "1e-3"]);
    let args = compare("c/model");
    let output = succeed(dir, &args.each_ref().map(String::as_str));
    contains(&stdout(&output), &["held-out split, 18 of 18 examples"]);
    // One that was never shown them, as far as anyone knows.
    succeed(dir, &["export", "--model", "c/model", "--out", "exported"]);
    let args = compare("exported");
    let output = succeed(dir, &args.each_ref().map(String::as_str));
    contains(&stderr(&output), &["note: whether exported was trained on these examples is not known"]);
}

#[test]
fn a_model_is_not_fitted_on_what_its_run_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("all"), 60);
    run(dir, "a", &["--held-out", "0.3"]);
    let (score, said) = eval(dir, "a/model", &["--fit", "--split", "held-out", "--stride", "20"]);
    contains(&said, &["fitting on 42 training examples", "scoring 18 of 18 examples"]);
    assert_eq!(score["fit"]["examples"], 42);
    let (score, _) = eval(dir, "a/model", &["--fit", "--fit-examples", "30", "--no-bound"]);
    assert!((15..30).contains(&score["fit"]["examples"].as_u64().unwrap()), "{score}");
}

#[test]
fn what_is_not_known_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("all"), 60);
    run(dir, "a", &["--held-out", "0.3"]);
    run(dir, "none", &["--held-out", "0"]);
    let refused = |model: &str, data: &str, expected: &[&str]| {
        contains(&fail(dir, 1, &["eval", "--model", model, "--dataset", data, "--split", "held-out"]), expected);
    };
    refused("none/model", "folder:all", &["the run of none/model held nothing out of folder:all"]);
    succeed(dir, &["export", "--model", "a/model", "--out", "exported"]);
    refused("exported", "folder:all", &["exported has no record of its run", "training/config.toml"]);
    pictures(&dir.join("fewer"), 58);
    refused(
        "a/model",
        "folder:fewer",
        &["the data is not what a/model was trained on", "58 examples", "trained on 42"],
    );
    // The same pictures elsewhere are the same data.
    fs::rename(dir.join("all"), dir.join("moved")).unwrap();
    let args = ["eval", "--model", "a/model", "--dataset", "folder:moved", "--split", "held-out", "--limit", "2"];
    succeed(dir, &args);
    // Nothing held out, nothing to point at.
    let args = ["eval", "--model", "none/model", "--dataset", "folder:moved", "--limit", "2", "--json", "e.json"];
    let said = stderr(&succeed(dir, &args));
    assert!(!said.contains("--split held-out"), "{said}");
}
