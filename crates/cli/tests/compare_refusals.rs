//! What `sfumato compare` refuses: by name, and with what differs.

mod common;

use std::{fs, path::Path};

use common::{GOLDEN, POINTS, contains, fail, json, squares, stderr, stdout, succeed, train_tiny, unwrapped, variant};
use serde_json::Value;

#[test]
fn what_cannot_be_compared_is_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, data) = (format!("{GOLDEN}/model"), squares(dir));
    train_tiny(dir, "large", &["--steps", "1", "--sample-every", "0"]);
    succeed(dir, &[&["train", "--steps", "1", "--out", "points"][..], POINTS].concat());
    let refuse = |code, args: &[&str], parts: &[&str]| {
        let said = fail(dir, code, &[&["compare"], args].concat());
        contains(&unwrapped(&said), parts);
    };
    let large = "runs/large/model";
    refuse(1, &[&model, large, "--dataset", &data], &[&model, large, "[1, 8, 8]", "[1, 28, 28]"]);
    refuse(1, &[&model, "points/model", "--dataset", &data], &[&model, "points/model", "[1, 8, 8]", "[2]"]);
    refuse(1, &[large, large, "--dataset", "toy:swiss-roll"], &[large, "[1, 28, 28]"]);
    refuse(1, &[&model, "nowhere", "--dataset", &data], &["nowhere"]);
    refuse(1, &[&model, "squares.npy", "--dataset", &data], &["squares.npy"]);
    refuse(2, &[&model, &model], &["--dataset is needed"]);
    refuse(2, &[&model], &["<B>", "Usage: sfumato compare"]);
    refuse(2, &[&model, &model, "--dataset", &data, "--stride", "13"], &["--stride 13", "1 to 12"]);
    refuse(1, &[&model, &model, "--dataset", &data, "--limit", "41"], &["--limit 41", "40 examples"]);
    refuse(1, &[&model, &model, "--dataset", &data, "--json", "no/c.json"], &["no/c.json"]);
    // Weights that are no numbers: the model is named.
    variant(dir, "model", "broken", |_| ());
    let weights = dir.join("broken/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 64..].fill(0xff);
    fs::write(&weights, bytes).unwrap();
    refuse(1, &[&model, "broken", "--dataset", &data, "--json", "c.json"], &["broken/unet", "not finite"]);
    assert!(!dir.join("c.json").exists());
}

/// Files of other data, of other examples or by other random numbers: the field that differs is named.
#[test]
fn results_that_differ_in_what_was_scored_are_refused_with_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, data) = (format!("{GOLDEN}/model"), squares(dir));
    let score = |file: &str, args: &[&str]| {
        succeed(dir, &[&["eval", "--model", &model, "--dataset", &data, "--json", file][..], args].concat());
    };
    score("a.json", &[]);
    let refuse = |code, args: &[&str], parts: &[&str]| {
        let said = fail(dir, code, &[&["compare", "a.json"], args].concat());
        contains(&unwrapped(&said), parts);
    };
    for (args, field) in [
        (&["--seed", "1"][..], "`seed` is 0 in the first and 1 in the second"),
        (&["--draws", "3"], "`draws` is 1 in the first and 3 in the second"),
        (&["--stride", "1"], "`strata` is"),
        (&["--cdf", "tanh"], "`decoder` is"),
        (&["--in-order"], "not of the same examples in the same order (`order` is"),
    ] {
        score("b.json", args);
        refuse(1, &["b.json"], &["a.json and b.json cannot be compared", field]);
    }
    // Fewer of the same examples are the first ones: what both hold is compared.
    score("b.json", &["--limit", "35"]);
    let output = succeed(dir, &["compare", "a.json", "b.json"]);
    contains(&stderr(&output), &["a.json and b.json both hold the same 35 examples"]);
    contains(&stdout(&output), &["35 of 40 examples", "A and B are equal"]);

    edited(dir, |value| value["dataset_sha256"] = "00".into(), &refuse, "dataset_sha256");
    edited(dir, |value| value["decoder"] = serde_json::json!({ "kind": "gaussian" }), &refuse, "on a density");
    edited(
        dir,
        |value| value["shape"] = serde_json::json!([64]),
        &refuse,
        "`shape` is [1, 8, 8] in the first and [64]",
    );
    edited(dir, |value| drop(value.as_object_mut().unwrap().remove("each")), &refuse, "missing field `each`; ");
    edited(dir, |value| value["each"]["prior"][3] = Value::Null, &refuse, "no result of `sfumato eval --json`");
    edited(dir, |value| value["each"]["example"][3] = value["each"]["example"][4].clone(), &refuse, "is there twice");
    edited(dir, |value| value["each"]["prior"] = serde_json::json!([1.0]), &refuse, "b.json is damaged");
    edited(dir, |value| value["dimensions"] = 0.into(), &refuse, "do not have 0 dimensions");
    fs::write(dir.join("b.json"), "{").unwrap();
    refuse(1, &["b.json"], &["b.json is no JSON"]);
    refuse(1, &["nowhere.json"], &["cannot read nowhere.json"]);
    refuse(1, &[&model, "--dataset", &data], &[&model, "two models, or two files"]);
    refuse(2, &["a.json", "--limit", "3"], &["--limit", "compared as they are"]);
    refuse(2, &["a.json", "--seed", "0"], &["--seed", "compared as they are"]);
}

/// Changes a copy of `a.json`, and insists on the refusal.
fn edited(dir: &Path, edit: impl FnOnce(&mut Value), refuse: &impl Fn(i32, &[&str], &[&str]), said: &str) {
    let mut value = json(&dir.join("a.json"));
    edit(&mut value);
    fs::write(dir.join("b.json"), value.to_string()).unwrap();
    // A hint may stand between the words.
    let parts: Vec<&str> = said.split("; ").filter(|part| !part.is_empty()).collect();
    refuse(1, &["b.json"], &parts);
}
