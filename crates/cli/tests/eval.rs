//! Scoring through the program: the numbers, the report, and what it refuses.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
};

use common::{fail, images, read_npy, sfumato, stderr, stdout, succeed, train_tiny};
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bits_per_dim");

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bits(value: &Value) -> f64 {
    value["bits_per_dim"].as_f64().unwrap_or_else(|| panic!("no bits/dim in {value}"))
}

/// Scores the golden model on the golden images with the golden noise.
fn golden(dir: &Path, args: &[&str]) -> Value {
    golden_of(dir, "model", args)
}

/// The same of the golden model in the folder `model`.
fn golden_of(dir: &Path, model: &str, args: &[&str]) -> Value {
    let (model, data, noise) =
        (format!("{GOLDEN}/{model}"), format!("npy:{GOLDEN}/images.npy"), format!("{GOLDEN}/noise.npy"));
    let all = ["eval", "--model", &model, "--dataset", &data, "--noise", &noise, "--stride", "1", "--json", "out.json"];
    succeed(dir, &all.iter().chain(args).copied().collect::<Vec<_>>());
    json(&dir.join("out.json"))
}

/// Insists that what was found is what the independent computation says, in whole and term by term.
fn same(found: &Value, expected: &Value) {
    let close = |found: f64, expected: &Value, what: &str| {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{what}: {found} against {expected}");
    };
    close(bits(&found["total"]), &expected["total"], "total");
    close(bits(&found["prior"]), &expected["prior"], "prior");
    let error = found["total"]["bits_per_dim_standard_error"].as_f64().unwrap();
    close(error, &expected["standard_error"], "standard error");
    let terms = found["terms"].as_array().unwrap().iter().zip(expected["terms"].as_array().unwrap());
    for (found, expected) in terms {
        close(bits(&found["term"]), expected, &format!("step {}", found["step"]));
    }
}

/// The numbers are those of `make.py` beside the model: numpy and PyTorch in f64, with the versions stored there.
#[test]
fn bits_per_dim_are_those_of_an_independent_computation() {
    let dir = tempfile::tempdir().unwrap();
    let expected = json(&Path::new(GOLDEN).join("expected.json"));
    for variance in ["fixed_small", "fixed_large"] {
        for cdf in ["tanh", "exact"] {
            let found = golden(dir.path(), &["--variance", &variance.replace('_', "-"), "--cdf", cdf]);
            same(&found, &expected["bits_per_dim"][format!("{variance}/{cdf}")]);
        }
    }
}

/// The same of a model with a learned variance, by `make_learned.py`.
#[test]
fn bits_per_dim_of_a_learned_variance_are_those_of_an_independent_computation() {
    let dir = tempfile::tempdir().unwrap();
    let expected = json(&Path::new(GOLDEN).join("expected-learned.json"));
    for cdf in ["tanh", "exact"] {
        let found = golden_of(dir.path(), "model-learned", &["--cdf", cdf]);
        assert_eq!(found["variance"], "learned-range");
        same(&found, &expected["bits_per_dim"][format!("learned_range/{cdf}")]);
    }
}

/// The approximation touches the decoder alone.
#[test]
fn the_two_distribution_functions_differ_in_the_decoder_only() {
    let dir = tempfile::tempdir().unwrap();
    let (exact, tanh) = (golden(dir.path(), &["--cdf", "exact"]), golden(dir.path(), &["--cdf", "tanh"]));
    assert_eq!((&exact["prior"], &exact["diffusion"]), (&tanh["prior"], &tanh["diffusion"]));
    let difference = bits(&exact["decoder_term"]) - bits(&tanh["decoder_term"]);
    assert!(difference != 0.0 && difference.abs() < 0.01, "{difference}");
    assert_eq!((&exact["decoder"]["cdf"], &tanh["decoder"]["cdf"]), (&"exact".into(), &"tanh".into()));
    let unsaid = golden(dir.path(), &[]);
    assert_eq!(unsaid["decoder_term"], exact["decoder_term"]);
}

#[test]
fn the_report_says_what_was_scored_and_how_well_it_is_known() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "3", "--sample-every", "0"]);
    let data = images(dir.path(), 6);
    let args = ["eval", "--model", "runs/a/model", "--dataset", &data, "--seed", "3"];
    let extra = ["--limit", "5", "--draws", "2", "--json", "e.json", "--curve", "e.svg"];
    let table = stdout(&succeed(dir.path(), &[&args[..], &extra].concat()));
    for part in [
        "5 of 6 examples [1, 28, 28]",
        "linear, 1000 steps",
        "21 steps an example",
        "2 draws, seed 3",
        "256 levels, exact",
    ] {
        assert!(table.contains(part), "'{part}' is not in:\n{table}");
    }
    let result = json(&dir.path().join("e.json"));
    assert_eq!(
        (&result["examples"], &result["examples_in_split"], &result["limit"]),
        (&5.into(), &6.into(), &5.into())
    );
    assert_eq!(result["evaluations"], 5 * 21 * 2);
    // Everything that the number depends on.
    let version: Value = serde_json::from_str(&stdout(&succeed(dir.path(), &["--version", "--json"]))).unwrap();
    for name in ["version", "revision", "target", "profile", "cpu_features"] {
        assert_eq!(result["environment"][name], version[name], "{name}");
    }
    assert_eq!((&result["environment"]["backend"], &result["seed"]), (&"flex".into(), &3.into()));
    assert_eq!((&result["stride"], &result["draws"], &result["split"]), (&100.into(), &2.into(), &"test".into()));
    assert_eq!((&result["variance"], &result["decoder"]["cdf"]), (&"fixed-small".into(), &"exact".into()));
    assert_eq!(result["schedule"]["kind"], "linear");
    let weights = Path::new(result["weights"].as_str().unwrap());
    let expected = sfumato_files::file_sha256(&dir.path().join(weights)).unwrap();
    assert_eq!(result["weights_sha256"], expected);
    assert_eq!(result["dataset_sha256"].as_str().map(str::len), Some(64));
    let [total, prior, diffusion, decoder] =
        ["total", "prior", "diffusion", "decoder_term"].map(|name| bits(&result[name]));
    assert!((prior + diffusion + decoder - total).abs() < 1e-9 && total > 0.0);
    assert!(table.contains(&format!("{total:.5}")), "{table}");
    assert!(result["total"]["bits_per_dim_standard_error"].as_f64().unwrap() > 0.0);
    assert_eq!(result["terms"].as_array().unwrap().len(), 1000);
    // Each example by itself: their mean is the result.
    let column = |name: &str| result["each"][name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
    assert!(column("example").all(|example| example < 6.0) && column("example").count() == 5);
    let nats: f64 = ["prior", "diffusion", "decoder_term"].map(|part| column(part).sum::<f64>()).iter().sum();
    assert!((nats / 5.0 - result["total"]["nats"].as_f64().unwrap()).abs() < 1e-6 * nats);
    assert!(fs::read_to_string(dir.path().join("e.svg")).unwrap().contains("bits/dim"));

    // The whole array, any batch, any number of threads: one result.
    let score = |extra: &[&str]| {
        succeed(dir.path(), &[&args[..], &["--json", "e.json"], extra].concat());
        json(&dir.path().join("e.json"))
    };
    let reference = score(&["--batch-size", "64"]);
    assert_eq!(reference["examples"], 6);
    for (batch, threads) in [("1", "1"), ("7", "2"), ("1000", "1")] {
        let other = score(&["--batch-size", batch, "--threads", threads]);
        let difference = (bits(&other["total"]) / bits(&reference["total"]) - 1.0).abs();
        assert!(difference < 1e-5, "batch {batch}, {threads} threads: {difference}");
    }
    // A shorter chain is another model.
    let short = score(&["--steps", "50", "--stride", "1"]);
    assert_eq!((&short["steps"], &short["terms"][49]["original_step"]), (&50.into(), &1000.into()));
    assert!(bits(&short["total"]) != bits(&reference["total"]));
}

/// Pictures of any size are scored in the model's, on as many threads as asked for.
#[test]
fn a_folder_of_pictures_is_scored_and_what_is_unreadable_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for i in 0..3u8 {
        let picture = image::RgbImage::from_fn(30, 20, |x, y| image::Rgb([x as u8 * 8, y as u8 * 9, i * 80]));
        picture.save(pictures.join(format!("{i}.png"))).unwrap();
    }
    fs::write(pictures.join("notes.png"), "no picture").unwrap();
    let model = format!("{GOLDEN}/model");
    let args = ["eval", "--model", &model, "--dataset", "folder:pictures", "--stride", "1", "--json", "e.json"];
    let one = succeed(dir.path(), &[&args[..], &["--threads", "1"]].concat());
    assert!(stdout(&one).contains("3 of 3 examples [1, 8, 8]"), "{}", stdout(&one));
    assert_eq!(stderr(&one).matches("notes.png").count(), 1, "{}", stderr(&one));
    let result = json(&dir.path().join("e.json"));
    assert_eq!((&result["left_out"], &result["environment"]["threads"]), (&1.into(), &1.into()));
    let total = bits(&result["total"]);
    succeed(dir.path(), &args);
    assert!((bits(&json(&dir.path().join("e.json"))["total"]) / total - 1.0).abs() < 1e-5);
    let said = fail(dir.path(), 1, &[&args[..], &["--strict"]].concat());
    assert!(said.contains("notes.png"), "{said}");
}

#[test]
fn points_have_a_density_and_the_report_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let quick = ["--sample-every", "0", "--set", "samples.num=10", "--set", "samples.steps=2"];
    for (out, steps) in [("runs/new", "20"), ("runs/roll", "800")] {
        let args = ["train", "--preset", "swiss-roll", "--steps", steps, "--out", out];
        succeed(dir.path(), &[&args[..], &quick].concat());
    }
    let args =
        ["eval", "--model", "runs/roll/model", "--dataset", "toy:swiss-roll", "--limit", "200", "--json", "e.json"];
    let table = stdout(&succeed(dir.path(), &args));
    for part in
        ["Gaussian density", "not comparable with bits/dim of 8-bit data", "200 of 10000 examples [2]", "not clipped"]
    {
        assert!(table.contains(part), "'{part}' is not in:\n{table}");
    }
    let result = json(&dir.path().join("e.json"));
    assert_eq!((&result["discrete"], &result["decoder"]["kind"]), (&false.into(), &"gaussian".into()));
    let train = stdout(&succeed(dir.path(), &[&args[..], &["--split", "train"]].concat()));
    assert!(train.contains("train split") && train != table);
    // Training lowers it.
    let new =
        ["eval", "--model", "runs/new/model", "--dataset", "toy:swiss-roll", "--limit", "200", "--json", "n.json"];
    succeed(dir.path(), &new);
    assert!(bits(&json(&dir.path().join("n.json"))["total"]) > bits(&result["total"]) + 0.5);
    let said = fail(dir.path(), 1, &[&args[..], &["--cdf", "tanh"]].concat());
    assert!(said.contains("--cdf tanh") && said.contains("toy:swiss-roll"), "{said}");
}

#[test]
fn a_class_conditional_model_is_told_the_labels_unless_they_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "8", "--sample-every", "0", "--class-conditional"]);
    let args = [
        "eval",
        "--model",
        "runs/a/model",
        "--split",
        "train",
        "--limit",
        "3",
        "--in-order",
        "--json",
        "e.json",
        "--dataset",
    ];
    let mini = [&args[..], &["fashion-mnist-mini"]].concat();
    assert!(stdout(&succeed(dir.path(), &mini)).contains("the examples' labels"));
    let labelled = json(&dir.path().join("e.json"));
    let ignored = stdout(&succeed(dir.path(), &[&mini[..], &["--ignore-labels"]].concat()));
    assert!(ignored.contains("none (the class that stands for any)"), "{ignored}");
    let ignored = json(&dir.path().join("e.json"));
    assert_eq!((&labelled["condition"], &ignored["condition"]["null_class"]), (&"labels".into(), &10.into()));
    assert!(bits(&labelled["total"]) != bits(&ignored["total"]));
    // An array has no labels; the same images, so the same result as without them.
    let data = images(dir.path(), 3);
    succeed(dir.path(), &[&args[..], &[&data]].concat());
    assert_eq!(bits(&json(&dir.path().join("e.json"))["total"]), bits(&ignored["total"]));
}

/// Replayed noise is the noise of the file: that of a seed, recorded, gives what the seed gives.
#[test]
fn recorded_noise_replaces_the_seed() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir.path(), 2);
    let mut noise = vec![0.0; 4 * 2 * 784];
    for (i, out) in noise.chunks_exact_mut(784).enumerate() {
        let purpose = sfumato_process::noise::Purpose::Forward;
        sfumato_process::noise::fill_normal(9, purpose, (i % 2) as u64, (i / 2) as u64, out);
    }
    let file = dir.path().join("noise.npy");
    sfumato_files::write_npy_f32(&file, &[4, 2, 1, 28, 28], &noise).unwrap();
    assert_eq!(read_npy(&file).0, [4, 2, 1, 28, 28]);
    let score = |extra: &[&str]| {
        let args = ["eval", "--model", "runs/a/model", "--dataset", &data, "--steps", "4", "--stride", "1"];
        succeed(dir.path(), &[&args[..], &["--json", "e.json"], extra].concat());
        json(&dir.path().join("e.json"))["terms"].clone()
    };
    // In the same order, so that sums are the same to the last bit.
    assert_eq!(score(&["--noise", "noise.npy"]), score(&["--seed", "9", "--in-order"]));
    assert_ne!(score(&["--seed", "9"]), score(&["--seed", "10"]));
}

/// Before the first example is done there is no result: stopping is said, with the count, and nothing is written.
#[test]
fn a_signal_stops_the_work_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir.path(), 6);
    let args = ["eval", "--model", "runs/a/model", "--dataset", &data, "--stride", "1", "--draws", "1000"];
    let mut child = sfumato(dir.path())
        .args(args)
        .args(["--json", "e.json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("scoring 6 of 6 examples, 6000000 evaluations") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("stopped after 0 of 6 examples") && rest.contains("nothing was written"), "{rest}");
    assert!(!dir.path().join("e.json").exists());
}
