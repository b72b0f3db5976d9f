//! `README.md` in the directories of models.

mod common;

use std::{fs, path::Path};

use common::{POINTS, images, stdout, succeed, train_tiny};

fn card(dir: &Path) -> String {
    let path = dir.join("README.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_checkpoint_says_what_it_is_and_an_export_how_it_was_scored() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "2", "--class-conditional"]);
    let text = card(&run.join("model"));
    assert!(text.starts_with("---\nlibrary_name: diffusers\n"), "{text}");
    for expected in [
        "datasets:\n- zalando-datasets/fashion_mnist\n---\n",
        "| data set | fashion-mnist-mini |",
        "| examples of the training data | 9800 |",
        "| steps | 2 |",
        "| examples seen | 16 |",
        "T-shirt/top, Trouser",
        "class_labels=labels",
        "![Samples of this model](samples.png)",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let grid = fs::read(run.join("samples/step-0000002.png")).unwrap();
    assert_eq!(fs::read(run.join("model/samples.png")).unwrap(), grid);
    // The command of the card, in the model's directory.
    let command = text.lines().find_map(|line| line.strip_prefix("sfumato sample ")).expect("a command");
    let words = command.split(' ').chain(["--steps", "2", "--sampler", "ddim"]);
    let sample: Vec<&str> = ["sample"].into_iter().chain(words).collect();
    succeed(&run.join("model"), &sample);

    let data = images(dir.path(), 2);
    let eval = ["eval", "--model", "runs/a/model", "--dataset", &data, "--ignore-labels", "--stride", "500"];
    succeed(dir.path(), &[&eval[..], &["--json", "runs/a/eval.json"]].concat());
    succeed(dir.path(), &["export", "--model", "runs/a/model", "--out", "out"]);
    let text = card(&dir.path().join("out"));
    assert!(text.contains("bits/dim on npy:images.npy") && text.contains("2 examples | "), "{text}");
    assert!(text.contains("| steps | 2 |") && text.contains("samples.png"), "{text}");
    assert!(dir.path().join("out/samples.png").is_file());
    succeed(dir.path(), &["info", "out"]);
    // The scores stand in the page too.
    succeed(dir.path(), &["report", "runs/a"]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("<section id=\"scores\"") && page.contains("Terms of the bound"));
}

#[test]
fn the_text_of_somebody_else_stays_and_points_have_no_diffusers() {
    let dir = tempfile::tempdir().unwrap();
    let train: Vec<&str> = ["train", "--out", "runs/p", "--steps", "2"].iter().chain(POINTS).copied().collect();
    assert_eq!(stdout(&succeed(dir.path(), &train)).trim(), "runs/p");
    let model = dir.path().join("runs/p/model");
    let text = card(&model);
    assert!(!text.contains("library_name") && text.contains("no class of diffusers"), "{text}");
    // A card that was made somebody's own is not touched by what comes after the checkpoint.
    fs::write(model.join("README.md"), "mine").unwrap();
    succeed(dir.path(), &["train", "--resume", "runs/p", "--steps", "2"]);
    assert_eq!(card(&model), "mine");
}
