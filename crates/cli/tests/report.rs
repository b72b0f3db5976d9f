//! The page of a run, and of several.

mod common;

use std::{fs, path::Path};

use common::{POINTS, fail, stderr, stdout, succeed, train_tiny};
use serde_json::Value;

fn page(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the page's program draws.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The chart of this title.
fn chart<'a>(data: &'a Value, title: &str) -> &'a Value {
    let found = data["curves"].as_array().unwrap().iter().find(|panel| panel["title"] == title);
    found.unwrap_or_else(|| panic!("no chart {title}"))
}

/// The part of the page under a heading.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
    rest.split_once("</section>").unwrap().0
}

#[test]
fn a_short_run_leaves_a_page_that_holds_its_figures() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "4", "--checkpoint-every", "2", "--sample-every", "2"]);
    let page = page(&run.join("report.html"));
    let data = data(&page);
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (title, key) in [
        ("Loss", "loss"),
        ("Gradient norm", "grad_norm"),
        ("Learning rate", "learning_rate"),
        ("Images a second", "images_per_second"),
    ] {
        let line = &chart(&data, title)["lines"][0];
        assert_eq!(line["x"], serde_json::json!([1.0, 2.0, 3.0, 4.0]), "{title}");
        for (i, metrics) in lines.iter().enumerate() {
            assert_eq!(line["y"][i].as_f64().unwrap() as f32, metrics[key].as_f64().unwrap() as f32, "{title}");
        }
    }
    // The grid of the last step is made after the last checkpoint.
    let pictures = data["runs"][0]["pictures"].as_array().unwrap();
    assert_eq!(pictures.iter().map(|picture| picture["step"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4]);
    assert!(pictures[1]["src"].as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!(data["schedule"].as_array().unwrap().len(), 2);
    assert!(
        page.contains("sfumato sample --model runs/a/model --num 64") && page.contains("DDPMPipeline.from_pretrained")
    );
    assert!(section(&page, "configuration").contains("warmup_steps = 2"));
    assert!(
        section(&page, "machine").contains("fashion-mnist-mini") && section(&page, "machine").contains("cpu_threads")
    );
    assert!(page.contains("4 of 4") && page.len() < 1_000_000, "{} bytes", page.len());
    // The same again, by the command.
    assert_eq!(stdout(&succeed(dir.path(), &["report", "runs/a/model", "--out", "again.html"])).trim(), "again.html");
    assert_eq!(fs::read_to_string(dir.path().join("again.html")).unwrap(), page);
}

#[test]
fn two_runs_are_overlaid_and_what_differs_is_said() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "slow", &["--steps", "2", "--sample-every", "0"]);
    train_tiny(dir.path(), "fast", &["--steps", "3", "--sample-every", "0", "--learning-rate", "0.004"]);
    assert_eq!(stdout(&succeed(dir.path(), &["report", "runs/slow", "runs/fast"])).trim(), "report.html");
    let page = page(&dir.path().join("report.html"));
    let differences = section(&page, "differences");
    for expected in ["optimizer.learning_rate", "<td>0.004</td>", "training.steps", "<td>2</td><td>3</td>"] {
        assert!(differences.contains(expected), "{expected} is not in {differences}");
    }
    assert!(
        !differences.contains("batch_size") && differences.contains("Data: the same in all of them."),
        "{differences}"
    );
    let lines = chart(&data(&page), "Loss")["lines"].as_array().unwrap().clone();
    let training = lines.iter().filter(|line| line["label"] == "training");
    assert_eq!(training.map(|line| line["run"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(data(&page)["runs"][1]["name"], "fast");
}

#[test]
fn damage_and_unknown_figures_do_not_stop_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "3"]);
    let mut log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    log.push_str("{\"step\":4,\"los\n");
    log.push_str("{\"step\":5,\"held_out\":{\"loss\":0.5,\"bits_per_dim\":3.5,\"standard_error\":0.25},\"new_figure\":7,\"words\":\"x\"}\n");
    fs::write(run.join("metrics.jsonl"), log).unwrap();
    fs::write(run.join("samples/step-0000001.png"), "no picture").unwrap();
    fs::write(run.join("environment.json"), "{").unwrap();
    succeed(dir.path(), &["report", "runs/a"]);
    let page = page(&run.join("report.html"));
    assert!(page.contains("1 line of metrics.jsonl is damaged and left out"), "{page}");
    assert!(page.contains("1 picture cannot be read"));
    let data = data(&page);
    assert_eq!(chart(&data, "Bits per dimension")["lines"][0]["low"], serde_json::json!([3.25]));
    assert_eq!(chart(&data, "New figure")["lines"][0]["y"], serde_json::json!([7.0]));
    assert_eq!(chart(&data, "Loss")["lines"][1]["label"], "held out");
    assert!(page.contains("3.500 ± 0.2500"));
}

#[test]
fn a_run_without_samples_and_one_that_has_only_begun_have_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let train: Vec<&str> =
        ["train", "--out", "runs/points"].into_iter().chain(POINTS.iter().copied()).chain(["--steps", "2"]).collect();
    succeed(dir.path(), &train);
    let run = dir.path().join("runs/points");
    fs::remove_dir_all(run.join("samples")).unwrap();
    succeed(dir.path(), &["report", "runs/points"]);
    let text = page(&run.join("report.html"));
    assert!(!text.contains("<section id=\"pictures\"") && text.contains("is no class of diffusers"));
    for gone in ["metrics.jsonl", "environment.json"] {
        fs::remove_file(run.join(gone)).unwrap();
    }
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    succeed(dir.path(), &["report", "runs/points"]);
    let text = page(&run.join("report.html"));
    assert!(text.contains("Nothing has been measured yet") && text.contains("There is no checkpoint yet"));
    fs::write(run.join("config.toml"), "no toml = = ").unwrap();
    succeed(dir.path(), &["report", "runs/points"]);
    assert!(page(&run.join("report.html")).contains("config.toml is no TOML"));
}

#[cfg(unix)] // other systems refuse such names
#[test]
fn names_are_text_and_never_elements() {
    let dir = tempfile::tempdir().unwrap();
    let name = "<script>alert('run')<img src=x onerror=alert(2)>";
    let run = train_tiny(dir.path(), name, &["--steps", "2"]);
    let hostile = "</script><script>alert(1)</script>\"'&";
    let record =
        fs::read_dir(run.join("checkpoints")).unwrap().next().unwrap().unwrap().path().join("training/data.json");
    let mut known: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    known["dataset"] = hostile.into();
    known["classes"] = serde_json::json!([hostile, "b"]);
    fs::write(&record, known.to_string()).unwrap();
    fs::write(run.join("environment.json"), serde_json::json!({ hostile: hostile }).to_string()).unwrap();
    let line = serde_json::json!({ "step": 3, hostile: 1, "held_out": { "loss": 1 } });
    fs::write(run.join("metrics.jsonl"), format!("{line}\n")).unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    fs::write(run.join("config.toml"), format!("# {hostile}\n{config}")).unwrap();
    let eval =
        serde_json::json!({ "dataset": hostile, "total": { "bits_per_dim": 1.0 }, "distances": { hostile: 1.0 } });
    fs::write(run.join(format!("{name}.json")), eval.to_string()).unwrap();
    let path = format!("runs/{name}");
    train_tiny(dir.path(), "b", &["--steps", "1"]);
    for runs in [&["report", &path, "--out", "one.html"][..], &["report", &path, "runs/b", "--out", "two.html"]] {
        succeed(dir.path(), runs);
        let text = page(&dir.path().join(runs[runs.len() - 1]));
        // The data, uPlot, and the page's program.
        assert_eq!((text.matches("<script").count(), text.matches("</script").count()), (3, 3));
        assert!(!text.contains("<img") && text.contains("&lt;script&gt;alert"));
        assert_eq!(data(&text)["runs"][0]["name"], name);
    }
}

#[test]
fn a_page_that_cannot_be_written_is_a_warning_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "2", "--sample-every", "0"]);
    fs::remove_file(run.join("report.html")).unwrap();
    fs::create_dir(run.join("report.html")).unwrap();
    let said =
        stderr(&succeed(dir.path(), &["train", "--resume", "runs/a", "--steps", "6", "--checkpoint-every", "1"]));
    assert_eq!(said.matches("goes on without its page").count(), 1, "{said}");
    assert!(said.contains("report.html"), "{said}");
    let said = fail(dir.path(), 1, &["report", "runs/a", "--out", "runs/a/report.html"]);
    assert!(said.contains("report.html"), "{said}");
}

#[test]
fn what_is_no_run_is_refused_and_pages_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let said = fail(dir.path(), 1, &["report", "runs/none"]);
    assert!(said.contains("runs/none does not exist"), "{said}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(fail(dir.path(), 1, &["report", "empty"]).contains("empty is no run"));
    for name in ["a", "b"] {
        train_tiny(dir.path(), name, &["--steps", "1", "--sample-every", "0"]);
    }
    fs::write(dir.path().join("report.html"), "<p>mine</p>").unwrap();
    let said = fail(dir.path(), 1, &["report", "runs/a", "runs/b"]);
    assert!(said.contains("report.html is no page of sfumato") && said.contains("--out"), "{said}");
    assert_eq!(fs::read_to_string(dir.path().join("report.html")).unwrap(), "<p>mine</p>");
    succeed(dir.path(), &["report", "runs/a", "runs/b", "--out", "report.html"]);
    succeed(dir.path(), &["report", "runs/b", "runs/a"]);
    assert!(page(&dir.path().join("report.html")).contains("2 runs compared"));
}
