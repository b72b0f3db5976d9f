//! A directory of samples and the next call: the same one goes on, another one is refused, and nothing of anybody else is touched.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use common::{fail, read_npy, sfumato, stderr, stdout, succeed, train_tiny};

/// A model of one training step.
fn model(dir: &Path) -> String {
    let run = train_tiny(dir, "a", &["--steps", "1", "--sample-every", "0"]);
    run.join("model").to_str().unwrap().to_owned()
}

fn args<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["sample", "--model", model, "--out", out, "--steps", "2"].iter().chain(more).copied().collect()
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Every file and its bytes.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

#[test]
fn the_paths_of_all_results_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let said = stdout(&succeed(dir.path(), &args(&model, "out", &["--num", "3", "--gif"])));
    let lines: Vec<PathBuf> = said.lines().map(PathBuf::from).collect();
    for (line, name) in lines.iter().zip(["samples.npy", "grid.png", "denoising.gif"]) {
        assert_eq!(*line, Path::new("out").join(name));
        assert!(dir.path().join(line).is_file());
    }
    assert!(said.lines().last().unwrap().contains("sample-00000.png to sample-00002.png"), "{said}");
    let one = stdout(&succeed(dir.path(), &args(&model, "one", &["--num", "1"])));
    assert!(one.lines().last().unwrap().ends_with("sample-00000.png"), "{one}");
}

#[test]
fn the_same_call_again_draws_nothing_and_more_samples_only_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let out = dir.path().join("out");
    succeed(dir.path(), &args(&model, "out", &["--num", "4", "--batch-size", "2"]));
    let before = contents(&out);
    fs::remove_file(out.join("grid.png")).unwrap();
    let again = succeed(dir.path(), &args(&model, "out", &["--num", "4", "--batch-size", "2"]));
    assert!(stderr(&again).contains("all 4 samples are there already"), "{}", stderr(&again));
    assert!(stdout(&again).contains("grid.png"));
    assert!(contents(&out) == before, "the pictures are those of the array");

    let more = succeed(dir.path(), &args(&model, "out", &["--num", "7", "--batch-size", "2"]));
    assert!(stderr(&more).contains("4 of 7 samples are there already"), "{}", stderr(&more));
    succeed(dir.path(), &args(&model, "whole", &["--num", "7", "--batch-size", "2"]));
    assert!(contents(&out) == contents(&dir.path().join("whole")), "as if drawn at once");

    let fewer = fail(dir.path(), 1, &args(&model, "out", &["--num", "3"]));
    assert!(fewer.contains("7 samples") && fewer.contains("--overwrite"), "{fewer}");
}

#[test]
fn another_call_is_refused_or_replaces_what_the_first_has_written_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let out = dir.path().join("out");
    succeed(dir.path(), &args(&model, "out", &["--num", "5", "--gif"]));
    // Somebody else's, one of them under a name like ours.
    for name in ["notes.txt", "sample-00099.png"] {
        fs::write(out.join(name), name).unwrap();
    }
    let before = contents(&out);
    for (more, said) in [
        (&["--num", "2", "--gif", "--seed", "4"][..], "seed 0, now 4"),
        (&["--num", "2"], "gif true, now false"),
        (&["--num", "2", "--gif", "--sampler", "ddim", "--eta", "0.5"], "sampler ddpm, now ddim"),
        (&["--num", "2", "--gif", "--spacing", "leading"], "now leading"),
        (&["--num", "2", "--gif", "--steps", "3"], "steps 2, now 3"),
    ] {
        let refused = fail(dir.path(), 1, &args(&model, "out", more));
        for part in ["out holds 5 samples", said, "--out", "--overwrite"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(contents(&out) == before, "{more:?}: nothing has changed");
    }
    let replaced = &["--num", "2", "--seed", "4", "--overwrite"][..];
    succeed(dir.path(), &args(&model, "out", replaced));
    let expected = ["grid.png", "notes.txt", "sample-00000.png", "sample-00001.png", "sample-00099.png", "sample.json"];
    let expected: BTreeSet<String> = expected.into_iter().chain(["samples.npy"]).map(str::to_owned).collect();
    assert_eq!(names(&out), expected);
    assert_eq!(fs::read(out.join("sample-00099.png")).unwrap(), b"sample-00099.png");
    succeed(dir.path(), &args(&model, "alone", &["--num", "2", "--seed", "4"]));
    assert_eq!(read_npy(&out.join("samples.npy")), read_npy(&dir.path().join("alone/samples.npy")));
}

#[test]
fn a_model_that_was_trained_on_is_another_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    succeed(dir.path(), &args(&model, "out", &["--num", "1"]));
    succeed(dir.path(), &["train", "--resume", "runs/a", "--steps", "2"]);
    let refused = fail(dir.path(), 1, &args(&model, "out", &["--num", "2"]));
    assert!(refused.contains("the weights differ"), "{refused}");
}

#[test]
fn results_of_unknown_origin_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    for (folder, file, said) in [
        ("npy", "samples.npy", "no sample.json"),
        ("picture", "sample-00003.png", "no sample.json"),
        ("record", "sample.json", "not written by `sample`"),
    ] {
        let path = dir.path().join(folder);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(file), "mine").unwrap();
        for more in [&["--num", "1"][..], &["--num", "1", "--overwrite"]] {
            let refused = fail(dir.path(), 1, &args(&model, folder, more));
            assert!(refused.contains(folder) && refused.contains(said) && refused.contains("--out"), "{refused}");
        }
        assert_eq!(fs::read(path.join(file)).unwrap(), b"mine");
        assert_eq!(names(&path).len(), 1);
    }
    // What does not meet the results' names may lie beside them.
    let beside = dir.path().join("beside");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("sample-of-mine.png"), "mine").unwrap();
    succeed(dir.path(), &args(&model, "beside", &["--num", "1"]));
}

/// Stopped by a signal, and drawn to the end by the same call.
#[cfg(unix)]
#[test]
fn finished_samples_outlive_a_signal_and_the_same_call_draws_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    // One step a batch: whenever the signal comes, a batch is finished. So many that it comes before the last.
    let num = 20_000;
    let many = num.to_string();
    let call = |num| ["sample", "--model", &model, "--out", "out", "--steps", "1", "--batch-size", "1", "--num", num];
    let mut child = sfumato(dir.path()).args(call(&many)).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.contains("drawing 20000 samples")));
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said:?}");
    let (shape, values) = read_npy(&dir.path().join("out/samples.npy"));
    let done = shape[0] as usize;
    assert!((1..num).contains(&done), "{said:?}");
    let told = format!("{done} of {num} samples are drawn and written");
    assert!(said.iter().any(|line| line.contains(&told)), "{said:?}");
    assert!(dir.path().join(format!("out/sample-{:05}.png", done - 1)).is_file());

    let whole = (done + 2).to_string();
    let again = succeed(dir.path(), &call(&whole));
    assert!(stderr(&again).contains(&format!("{done} of {whole} samples are there already")), "{}", stderr(&again));
    let (shape, continued) = read_npy(&dir.path().join("out/samples.npy"));
    assert_eq!((shape[0] as usize, &continued[..values.len()]), (done + 2, &values[..]));
    let args: Vec<&str> = call("x").iter().map(|word| if *word == "out" { "at-once" } else { word }).collect();
    let args: Vec<&str> = args.iter().map(|word| if *word == "x" { whole.as_str() } else { word }).collect();
    succeed(dir.path(), &args);
    assert!(read_npy(&dir.path().join("at-once/samples.npy")).1 == continued, "as if drawn at once");
}

#[test]
fn every_class_has_a_column_of_the_grid() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "c", &["--class-conditional", "--steps", "1", "--sample-every", "0"]);
    let model = run.join("model").to_str().unwrap().to_owned();
    let width = |out: &str, num: &str, more: &[&str]| {
        succeed(dir.path(), &args(&model, out, &[&["--num", num][..], more].concat()));
        let (width, height) = image::image_dimensions(dir.path().join(out).join("grid.png")).unwrap();
        // Cells of 28 pixels, enlarged three times, between lines of 2.
        ((width - 2) / (28 * 3 + 2), (height - 2) / (28 * 3 + 2))
    };
    assert_eq!(width("all", "24", &[]), (10, 3));
    assert_eq!(width("few", "9", &[]), (3, 3));
    assert_eq!(width("one", "24", &["--class", "3"]), (5, 5));
}
