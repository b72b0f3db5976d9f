//! Classes of a model that a run starts from, and the share of labels that a run drops.

use super::*;

/// Rows of the table of classes.
fn rows(dir: &Path, model: &str) -> Vec<Vec<f32>> {
    let table = &tensors(dir, model)["class_embedding.weight"];
    table.values.chunks(table.shape[1]).map(<[f32]>::to_vec).collect()
}

fn tuned(dir: &Path, name: &str, from: &str, data: &str, args: &[&str]) -> String {
    train(dir, name, &[&["--init-from", from, "--dataset", data], args, STILL])
}

#[test]
fn classes_that_both_know_keep_their_rows_and_others_start_as_any() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &["--class-conditional", "--learning-rate", "0.01"]);
    pictures(&dir.join("more"), &["ant", "auk", "Bee", "cat"], 5, (8, 8), false);
    let said = tuned(dir, "b", "a", "folder:more", &[]);
    contains(
        &said,
        &[
            "1 in part: class_embedding.weight (2 of 4 classes by their names (Bee, ant); the others start as the class that stands for any)",
        ],
    );
    let (there, here) = (rows(dir, "a/model"), rows(dir, "b/model"));
    // Ant, bee and any there; here Bee, ant, auk, cat and any, in the order of their names.
    let names = common::json(&dir.join("b/model/unet/config.json"))["_sfumato"]["class_names"].clone();
    assert_eq!(names, serde_json::json!(["Bee", "ant", "auk", "cat"]));
    assert_eq!(here, [&there[1], &there[0], &there[2], &there[2], &there[2]].map(Clone::clone));
    assert_eq!(other(dir, "a/model", "b/model"), ["class_embedding.weight"]);
    pictures(&dir.join("none"), &["x", "y", "z"], 4, (8, 8), false);
    contains(
        &tuned(dir, "c", "a", "folder:none", &[]),
        &["(none of its classes has one of these names; the others start as"],
    );
    assert_eq!(rows(dir, "c/model"), vec![there[2].clone(); 4]);
}

#[test]
fn a_network_without_classes_learns_them_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    let said = tuned(dir, "b", "a", "folder:grey", &["--class-conditional"]);
    contains(&said, &["1 in part: class_embedding.weight (zeros, so that every class starts as the network without"]);
    assert!(rows(dir, "b/model") == vec![vec![0.0; 32]; 3]);
    assert_eq!(samples(dir, "a/model", &[]), samples(dir, "b/model", &["--class", "bee"]));
    // A step at a real rate moves each class by itself.
    train(dir, "c", &[&["--init-from", "a", "--dataset", "folder:grey", "--class-conditional", "--steps", "3"]]);
    let moved = rows(dir, "c/model");
    assert!(moved[0] != moved[1] && moved[0] != moved[2], "{moved:?}");
}

#[test]
fn without_labels_the_class_for_any_becomes_part_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &["--class-conditional", "--learning-rate", "0.01"]);
    pictures(&dir.join("plain"), &["."], 8, (8, 8), false);
    let said = tuned(dir, "b", "a", "folder:plain", &[]);
    contains(
        &said,
        &[
            "note: folder:plain has no labels, so that this run learns no classes; a/checkpoints/step-0000003 did",
            "1 in part: time_embedding.linear_2.bias (with the class that stands for any added, as this run learns no classes)",
        ],
    );
    assert!(!said.contains("left out: class_embedding"), "{said}");
    // To the network it is the same sum, in another order of the floats.
    let score = |model: &str, args: &[&str]| {
        let each = eval(dir, model, &[&["--dataset", "folder:plain"], args].concat());
        each["diffusion"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>()
    };
    for (a, b) in score("a/model", &["--ignore-labels"]).into_iter().zip(score("b/model", &[])) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "{a} {b}");
    }
    // What was asked for is not passed over.
    let args = ["train", "--init-from", "a", "--dataset", "folder:plain", "--class-conditional", "--out", "x"];
    contains(&fail(dir, 1, &args), &["model.class_conditional must be false: folder:plain has no labels"]);
}

#[test]
fn the_share_of_dropped_labels_is_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("grey"), &["ant", "bee"], 8, (8, 8), false);
    let run = |name: &str, chance: &[&str]| {
        train(dir, name, &[NETWORK, &["--dataset", "folder:grey", "--class-conditional", "--steps", "6"], chance])
    };
    run("default", &[]);
    assert!(!fs::read_to_string(dir.join("default/config.toml")).unwrap().contains("label_dropout"));
    run("tenth", &["--set", "data.label_dropout=0.1"]);
    assert_eq!(other(dir, "default/model", "tenth/model"), Vec::<String>::new());
    let said = run("more", &["--set", "data.label_dropout=0.5"]);
    contains(&said, &["classes    2 are learned; of 0.5 of the examples the class is not told"]);
    assert!(!other(dir, "default/model", "more/model").is_empty());

    // With 0 there is no class for any, and so no guidance.
    let said = run("none", &["--set", "data.label_dropout=0"]);
    contains(&said, &["classes    2 are learned, without guidance (data.label_dropout = 0)"]);
    assert_eq!(rows(dir, "none/model").len(), 2);
    let args = ["sample", "--model", "none/model", "--class", "ant", "--num", "1", "--out", "x", "--guidance", "2"];
    contains(&fail(dir, 1, &args), &["--guidance 2", "was not trained for guidance"]);
    assert_eq!(samples(dir, "none/model", &["--class", "ant"]).len(), 3 * 64);
    assert_eq!(samples(dir, "none/model", &[]).len(), 3 * 64);
    let card = fs::read_to_string(dir.join("none/model/README.md")).unwrap();
    assert!(card.contains("--class 0") && !card.contains("--guidance"), "{card}");
    // The row is there again in a run that starts from it: as the mean of the others.
    let said = tuned(dir, "again", "none", "folder:grey", &[]);
    contains(&said, &["(2 of 2 classes by their names (ant, bee))"]);
    let (there, here) = (rows(dir, "none/model"), rows(dir, "again/model"));
    assert_eq!(&here[..2], &there[..]);
    assert!(here[2].iter().zip(&there[0]).zip(&there[1]).all(|((any, a), b)| (any - (a + b) / 2.0).abs() < 1e-6));

    // A run goes on with another share, but not with a row more or less.
    let said = stderr(&succeed(dir, &["train", "--resume", "more", "--steps", "7", "--set", "data.label_dropout=0.2"]));
    contains(&said, &["data.label_dropout: 0.5 so far, 0.2 from here on", "not those of a run that was never stopped"]);
    for (run, chance) in [("none", "0.1"), ("default", "0")] {
        let set = format!("data.label_dropout={chance}");
        let said = fail(dir, 1, &["train", "--resume", run, "--steps", "9", "--set", &set]);
        contains(&said, &["data.label_dropout cannot change while a run goes on"]);
    }
    let refused = |args: &[&str], expected: &str| {
        let said = fail(dir, 1, &[&["train", "--dataset", "folder:grey", "--out", "x"][..], args].concat());
        contains(&said, &[expected]);
    };
    refused(&["--class-conditional", "--set", "data.label_dropout=1"], "data.label_dropout must be a number in [0, 1)");
    refused(&["--class-conditional", "--set", "data.label_dropout=-0.1"], "must be a number in [0, 1)");
    refused(
        &["--set", "data.label_dropout=0.2"],
        "data.label_dropout must be left out, as the network learns no classes",
    );
    refused(&["--set", "data.label_dropot=0.2"], "did you mean data.label_dropout?");
}
