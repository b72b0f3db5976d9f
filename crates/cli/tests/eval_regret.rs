//! The regret through the program: what has learned by heart is told from what has not, and the files hold together.

mod common;

use std::{fs, path::Path};

use common::{POINTS, fail, images, stderr, stdout, succeed, train_tiny};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Pictures whose shades depend on a salt.
fn pictures(dir: &Path, count: u32, salt: u32) {
    fs::create_dir_all(dir).unwrap();
    for i in 0..count {
        let shade = |x: u32, y: u32| {
            let word = (i * 7919 + salt * 104_729 + x / 2 * 131 + y / 2 * 31).wrapping_mul(2_654_435_761);
            image::Luma([(word >> 24) as u8])
        };
        image::GrayImage::from_fn(8, 8, shade).save(dir.join(format!("{i:03}.png"))).unwrap();
    }
}

/// Points in the plane as a file.
fn points(path: &Path, points: &[[f32; 2]]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}", points.len());
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(points.iter().flatten().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

fn value(figure: &Value) -> f64 {
    figure["value"].as_f64().unwrap_or_else(|| panic!("no figure in {figure}"))
}

fn error(figure: &Value) -> f64 {
    figure["standard_error"].as_f64().unwrap_or_else(|| panic!("no error in {figure}"))
}

/// Insists that the figures are those of each other.
fn consistent(regret: &Value) {
    let levels = regret["levels"].as_array().unwrap();
    assert!(levels.len() > 5 && levels[0]["t"] == 1, "{regret}");
    let shares: f64 = levels.iter().map(|level| level["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-12);
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * a.abs().max(1.0), "{a} and {b} in {regret}");
    for level in levels.iter().chain([&regret["mean"]]) {
        close(value(&level["regret"]), value(&level["train"]) - value(&level["optimum"]));
        assert!(value(&level["train"]) > 0.0 && error(&level["train"]) > 0.0 && value(&level["optimum"]) >= 0.0);
        if !level["held_out"].is_null() {
            let held_out = &level["held_out"];
            close(value(&held_out["gap"]), value(&held_out["loss"]) - value(&level["train"]));
            assert!(error(&held_out["loss"]) > 0.0 && error(&held_out["gap"]) > 0.0);
        }
    }
    for path in [&["train"][..], &["optimum"], &["held_out", "loss"], &["held_out", "memoriser"]] {
        let at = |value: &Value| path.iter().fold(value.clone(), |value, key| value[key].clone());
        if at(&regret["mean"]).is_null() {
            continue;
        }
        let sum: f64 = levels.iter().map(|level| level["share"].as_f64().unwrap() * value(&at(level))).sum();
        close(sum, value(&at(&regret["mean"])));
    }
}

/// Insists that a picture is XML with nothing but numbers for coordinates: every element is closed, and none is in another but in the root.
fn well_formed(path: &Path) -> String {
    let svg = fs::read_to_string(path).unwrap();
    let body = svg.strip_prefix("<svg ").unwrap().strip_suffix("</svg>\n").unwrap();
    for line in body.lines().skip(1) {
        let whole = (line.starts_with("<polyline ") || line.starts_with("<rect ")) && line.ends_with("/>");
        let text = line.starts_with("<text ") && line.ends_with("</text>") && line.matches('<').count() == 2;
        assert!(whole || text, "{line}");
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
    for points in svg.split("points=\"").skip(1) {
        let points = points.split_once('"').unwrap().0;
        let numbers = points.split([' ', ',']).map(str::parse::<f64>);
        assert!(numbers.clone().all(|number| number.is_ok_and(f64::is_finite)), "{points}");
    }
    svg
}

/// The page of the run has the same curves.
fn is_in_the_page(dir: &Path, run: &Path, regret: &Value) {
    succeed(dir, &["report", "runs/a"]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let charts = data["bound"].as_array().unwrap();
    assert_eq!(charts.len(), 2, "terms of the bound, and losses");
    let lines = charts[1]["lines"].as_array().unwrap();
    assert_eq!(lines[0]["label"], "the model on training examples");
    assert_eq!(lines[0]["y"][0].as_f64().unwrap() as f32, value(&regret["levels"][0]["train"]) as f32);
    assert_eq!(lines[0]["y"].as_array().unwrap().len(), regret["levels"].as_array().unwrap().len());
    assert!(page.contains("<th scope=\"row\">regret</th>") && page.contains("<th scope=\"row\">held-out gap</th>"));
}

/// A network on two dozen small pictures, beside the bound.
#[test]
fn a_folder_of_pictures_has_a_regret_beside_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("p/train"), 24, 1);
    pictures(&dir.path().join("p/test"), 10, 2);
    let small = ["--dataset", "folder:p", "--sample-every", "0", "--steps", "20", "--flip"];
    let run = train_tiny(dir.path(), "a", &small);
    let args =
        ["eval", "--model", "runs/a/model", "--dataset", "folder:p", "--regret", "r.svg", "--regret-examples", "48"];
    let output = succeed(dir.path(), &[&args[..], &["--json", "runs/a/eval.json"]].concat());
    let (table, said) = (stdout(&output), stderr(&output));
    assert!(!said.contains("warning"), "{said}");
    let result = json(&run.join("eval.json"));
    let regret = &result["regret"];
    consistent(regret);
    assert!(result["total"]["bits_per_dim"].as_f64().unwrap() > 0.0);
    assert_eq!((&regret["train_examples"], &regret["held_out_examples"]), (&48.into(), &10.into()));
    assert_eq!((&regret["mixture"], &regret["mirrored"]), (&24.into(), &true.into()));
    assert_eq!((&regret["within_classes"], &regret["condition"]), (&false.into(), &Value::Null));
    assert_eq!(regret["train_sha256"], regret["trained_on_sha256"]);
    assert_eq!(regret["held_out_sha256"], result["dataset_sha256"]);
    assert_ne!(regret["held_out_sha256"], regret["train_sha256"]);
    for part in [
        "48 of the 24 training examples of folder:p, each several times with other noise; 10 of the test split",
        "all 24 training examples, each mirrored too",
        "mean over t",
        "bits/dim",
        "above the optimum",
    ] {
        assert!(table.contains(part), "'{part}' is not in:\n{table}");
    }
    // After 20 steps the network is above the optimum wherever there is anything to know.
    assert!(value(&regret["mean"]["regret"]) > 5.0 * error(&regret["mean"]["regret"]), "{table}");
    let svg = well_formed(&dir.path().join("r.svg"));
    for part in
        ["Loss by noise level", "the model on held-out examples", "optimum of the training set", "gap / training loss"]
    {
        assert!(svg.contains(part), "{part}");
    }

    is_in_the_page(dir.path(), &run, regret);

    // The same numbers with other batches and threads, and without the bound.
    let again = |extra: &[&str]| {
        let args = [&args[..6], &["--regret-examples", "48", "--no-bound", "--json", "again.json"], extra].concat();
        let table = stdout(&succeed(dir.path(), &args));
        assert!(!table.contains("bits/dim"), "{table}");
        json(&dir.path().join("again.json"))
    };
    for extra in [["--batch-size", "7", "--threads", "1"], ["--batch-size", "64", "--threads", "2"]] {
        let other = again(&extra);
        assert_eq!(other["weights_sha256"], result["weights_sha256"]);
        for (a, b) in other["regret"]["levels"].as_array().unwrap().iter().zip(regret["levels"].as_array().unwrap()) {
            assert_eq!(a["optimum"], b["optimum"]);
            let (a, b) = (value(&a["train"]), value(&b["train"]));
            assert!((a - b).abs() < 1e-5 * b, "{a} for {b}");
        }
    }
}

/// Five points, learned for a few thousand steps: they are known by heart, and others of the same kind are not.
#[test]
fn a_network_that_has_learned_five_points_by_heart_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let known = [[-1.0, -0.8], [-0.9, 1.1], [0.2, 0.1], [1.2, -0.9], [1.0, 1.0]];
    points(&dir.path().join("five.npy"), &known);
    let others: Vec<[f32; 2]> = (0..60).map(|i| [(i as f32 * 0.7).sin() * 1.3, (i as f32 * 1.3).cos() * 1.3]).collect();
    points(&dir.path().join("others.npy"), &others);
    let train =
        ["train", "--preset", "swiss-roll", "--dataset", "npy:five.npy", "--steps", "1500", "--out", "runs/five"];
    succeed(
        dir.path(),
        &[&train[..], &["--sample-every", "0", "--batch-size", "64", "--set", "model.hidden=64"]].concat(),
    );
    let args = ["eval", "--model", "runs/five/model", "--trained-on", "npy:five.npy", "--dataset", "npy:others.npy"];
    let output = succeed(dir.path(), &[&args[..], &["--no-bound", "--regret", "r.png", "--json", "r.json"]].concat());
    let (table, said) = (stdout(&output), stderr(&output));
    assert!(!said.contains("warning"), "{said}");
    let regret = json(&dir.path().join("r.json"))["regret"].clone();
    consistent(&regret);
    assert_eq!(regret["verdict"], "mostly-by-heart", "{table}");
    assert_eq!((&regret["train_examples"], &regret["held_out_examples"]), (&1000.into(), &60.into()));
    assert!(table.contains("by heart for the most part"), "{table}");
    assert!(fs::read(dir.path().join("r.png")).unwrap().starts_with(b"\x89PNG"));
    // Of another file it says that the model was not trained on it.
    let other = ["eval", "--model", "runs/five/model", "--dataset", "npy:others.npy", "--no-bound", "--regret"];
    let said = stderr(&succeed(dir.path(), &other));
    assert!(said.contains("warning: the model in runs/five/model was trained on npy:five.npy (SHA-256"), "{said}");
    assert!(said.contains("--trained-on npy:five.npy compares it with that"), "{said}");
    assert!(said.contains("the test split of npy:others.npy holds the very examples of the training split"), "{said}");
}

/// The spiral, from 10,000 points and another seed than 0: the run's own points are compared, and nothing is learned by heart in a second.
#[test]
fn a_network_that_has_seen_many_points_shows_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "--out", "runs/roll", "--steps", "300", "--seed", "5"];
    succeed(dir.path(), &[&train[..], POINTS].concat());
    let args = [
        "eval",
        "--model",
        "runs/roll/model",
        "--dataset",
        "toy:swiss-roll",
        "--no-bound",
        "--regret",
        "--json",
        "r.json",
    ];
    let output = succeed(dir.path(), &args);
    let table = stdout(&output);
    let regret = json(&dir.path().join("r.json"))["regret"].clone();
    consistent(&regret);
    assert_eq!(regret["train_sha256"], regret["trained_on_sha256"], "{}", stderr(&output));
    assert_eq!((&regret["mixture"], &regret["verdict"]), (&10_000.into(), &"no-sign".into()), "{table}");
    assert!(table.contains("equal within their error"), "{table}");
}

#[test]
fn a_model_that_is_told_classes_is_compared_within_them() {
    let dir = tempfile::tempdir().unwrap();
    for (split, salt) in [("train", 1), ("test", 2)] {
        for (class, more) in [("cat", 0), ("dog", 10)] {
            pictures(&dir.path().join("p").join(split).join(class), 8, salt + more);
        }
    }
    train_tiny(
        dir.path(),
        "a",
        &["--dataset", "folder:p", "--sample-every", "0", "--steps", "2", "--class-conditional"],
    );
    let measure = |extra: &[&str]| {
        let args =
            ["eval", "--model", "runs/a/model", "--dataset", "folder:p", "--no-bound", "--regret", "--json", "r.json"];
        let table = stdout(&succeed(dir.path(), &[&args[..], &["--regret-examples", "64"], extra].concat()));
        (json(&dir.path().join("r.json"))["regret"].clone(), table)
    };
    let (labelled, table) = measure(&[]);
    assert_eq!((&labelled["within_classes"], &labelled["condition"]), (&true.into(), &"labels".into()));
    assert!(table.contains("it knows the example's class"), "{table}");
    let (ignored, _) = measure(&["--ignore-labels"]);
    assert_eq!(ignored["within_classes"], false);
    consistent(&labelled);
    // Who knows the class knows more.
    assert!(value(&labelled["mean"]["optimum"]) < value(&ignored["mean"]["optimum"]));
}

#[test]
fn what_cannot_be_measured_is_said_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    assert!(run.is_dir());
    let data = images(dir.path(), 40);
    let args = ["eval", "--model", "runs/a/model", "--dataset"];
    let refused = |code, extra: &[&str]| fail(dir.path(), code, &[&args[..], extra].concat());
    assert!(
        refused(2, &[&data, "--no-bound"])
            .contains("--no-bound: nothing is left to be measured; add --samples, --regret, --fit or --flow")
    );
    assert!(refused(2, &[&data, "--regret-examples", "5"]).contains("--regret"));
    assert!(refused(2, &[&data, "--regret", "--regret-examples", "1"]).contains("--regret-examples"));
    assert!(
        refused(2, &[&data, "--regret", "picture.gif"])
            .contains("picture.gif: expected a file name that ends in .svg or .png")
    );
    fs::create_dir_all(dir.path().join("t/test")).unwrap();
    pictures(&dir.path().join("t/test"), 4, 1);
    let said = refused(1, &["folder:t", "--regret", "--no-bound"]);
    assert!(said.contains("the training split of folder:t is needed"), "{said}");
    let without_model = fail(dir.path(), 2, &["eval", "--dataset", &data, "--samples", "images.npy", "--regret"]);
    assert!(without_model.contains("--model"), "{without_model}");

    // The embedded images have no test split; what can be measured is.
    let measured =
        [&args[..], &["fashion-mnist-mini", "--no-bound", "--regret", "--regret-examples", "3", "--json", "r.json"]]
            .concat();
    let output = succeed(dir.path(), &measured);
    let (table, said) = (stdout(&output), stderr(&output));
    assert!(said.contains("no gap to held-out examples") && said.contains("has no test split"), "{said}");
    let regret = json(&dir.path().join("r.json"))["regret"].clone();
    consistent(&regret);
    assert_eq!((&regret["verdict"], &regret["held_out_sha256"]), (&"nothing-held-out".into(), &Value::Null));
    assert_eq!(regret["mixture"], 10_000);
    assert!(table.contains("cannot be told what was learned by heart"), "{table}");
}
