//! What `sample` and `eval` leave is that of one rank.

use std::{collections::BTreeMap, fs, path::Path};

use super::job::{fail, ranks, succeed};
use crate::common::{self, GOLDEN, contains, json, squares, stderr};

/// Every file of a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn samples_are_those_of_one_rank() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let model = format!("{GOLDEN}/model");
    let args = |out, num| {
        [
            "sample",
            "--model",
            &model,
            "--num",
            num,
            "--steps",
            "6",
            "--batch-size",
            "3",
            "--seed",
            "5",
            "--gif",
            "--out",
            out,
        ]
        .map(str::to_owned)
    };
    let words = |args: &[String; 14]| args.clone();
    let one = words(&args("one", "20"));
    common::succeed(root, &one.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = files(&root.join("one"));
    assert!(expected.contains_key("samples.npy") && expected.contains_key("denoising.gif"));
    for number in ["2", "3", "4", "8"] {
        let several = args(number, "20");
        let said = stderr(&succeed(root, number, &several.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(files(&root.join(number)) == expected, "{number} ranks");
        assert_eq!(said.matches("20 samples, 6 steps of ddpm each, in").count(), 1, "{said}");
        assert_eq!(said.contains("a smaller --batch-size"), number == "8", "{said}");
    }
    // What is there already is not drawn again, whoever drew it.
    let some = args("some", "7");
    succeed(root, "2", &some.iter().map(String::as_str).collect::<Vec<_>>());
    let all = args("some", "20");
    let said = stderr(&succeed(root, "3", &all.iter().map(String::as_str).collect::<Vec<_>>()));
    contains(&said, &["7 of 20 samples are there already"]);
    let npy = |name: &str| common::read_npy(&root.join(name).join("samples.npy")).1;
    let difference = npy("some").iter().zip(npy("one")).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn several_seeds_and_weights_are_those_of_one_rank() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained/classes");
    let call = |out: &'static str, seeds: &'static str| {
        let call =
            ["sample", "--model", model, "--out", out, "--steps", "2", "--null-class", "10", "--batch-size", "2"];
        [&call[..], &["--num", "3..8", "--guidance", "1,2", "--seeds", seeds]].concat()
    };
    common::succeed(root, &call("one", "4,0..2"));
    let expected = files(&root.join("one"));
    assert_eq!(expected.len(), 5 * 2 * 3 + 3);
    for number in ["2", "3", "5"] {
        succeed(root, number, &call(number, "4,0..2"));
        assert!(files(&root.join(number)) == expected, "{number} ranks");
    }
}

#[test]
fn a_bound_is_that_of_one_rank() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (data, model) = (squares(root), format!("{GOLDEN}/model"));
    let plans: [&[&str]; 3] = [&[], &["--steps", "continuous"], &["--batch-size", "5", "--limit", "23"]];
    for (i, plan) in plans.into_iter().enumerate() {
        let score = |number: Option<&str>| {
            let file = format!("{i}-{}.json", number.unwrap_or("alone"));
            let args =
                [&["eval", "--model", &model, "--dataset", &data, "--json", &file, "--threads", "1"], plan].concat();
            match number {
                Some(number) => drop(succeed(root, number, &args)),
                None => drop(common::succeed(root, &args)),
            }
            let mut found = json(&root.join(file));
            for key in ["seconds", "elapsed_seconds", "seconds_per_example"] {
                found.as_object_mut().unwrap().remove(key);
            }
            found
        };
        let expected = score(None);
        for number in ["2", "3", "6"] {
            assert_eq!(score(Some(number)), expected, "{number} ranks, {plan:?}");
        }
    }
    let args = ["eval", "--model", &model, "--dataset", &data, "--fit"];
    fail(root, 2, &ranks("2", &args), &["on several ranks the bound alone is computed"]);
}
