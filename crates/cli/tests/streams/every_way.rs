//! Every command with every pair of streams.

use std::{fs, os::unix::process::ExitStatusExt, path::Path};

use crate::{
    common::{stderr, succeed, train_tiny},
    tools::{every_way, reference, shell, train, weights},
};

#[test]
fn training_is_the_same_with_any_streams() {
    let dir = tempfile::tempdir().unwrap();
    let bits = reference(dir.path(), "4");
    every_way(dir.path(), 0, true, &train("OUT", "4"), |run| {
        assert!(weights(run) == bits, "{}: other weights", run.display());
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert_eq!(metrics.lines().count(), 4, "{metrics}");
        metrics.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
        assert!(run.join("samples/step-0000004.png").is_file());
    });
    every_way(dir.path(), 0, true, &["train", "--print-config", "--preset", "swiss-roll"], |_| ());
    every_way(dir.path(), 1, false, &["train", "--resume", "nowhere"], |_| ());
    // Done already.
    every_way(dir.path(), 0, true, &["train", "--resume", "reference"], |_| ());
}

#[test]
fn no_file_takes_the_place_of_a_closed_stream() {
    let dir = tempfile::tempdir().unwrap();
    let bits = reference(dir.path(), "4");
    let status = shell(dir.path(), "exec \"$@\" <&- >&- 2>&-", &train("run", "4")).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(weights(&dir.path().join("run")) == bits);
    for file in ["config.toml", "environment.json", "metrics.jsonl"] {
        let text = fs::read_to_string(dir.path().join("run").join(file)).unwrap();
        assert!(!text.contains("sample with:"), "{file}: {text}");
    }
}

#[test]
fn commands_on_models_end_as_documented_with_any_streams() {
    let dir = tempfile::tempdir().unwrap();
    reference(dir.path(), "2");
    let model = "reference/model";
    let sample = ["sample", "--model", model, "--num", "2", "--steps", "2", "--out", "OUT", "--threads", "1"];
    every_way(dir.path(), 0, true, &sample, |out| assert!(out.join("samples.npy").is_file()));
    let data = ["--dataset", "toy:swiss-roll", "--limit", "2", "--stride", "100", "--threads", "1"];
    let eval: Vec<&str> = ["eval", "--model", model].iter().chain(&data).copied().collect();
    every_way(dir.path(), 0, true, &eval, |_| ());
    // The file is there even if the table cannot be shown.
    let json: Vec<&str> = eval.iter().copied().chain(["--json", "OUT"]).collect();
    every_way(dir.path(), 0, true, &json, |file| fs::remove_file(file).unwrap());
    let compare: Vec<&str> = ["compare", model, model].iter().chain(&data).copied().collect();
    every_way(dir.path(), 0, true, &compare, |_| ());
    every_way(dir.path(), 0, true, &["info", model], |_| ());
    every_way(dir.path(), 0, true, &["info", model, "--json"], |_| ());
    every_way(dir.path(), 1, false, &["info", "nowhere"], |_| ());

    let unet = train_tiny(dir.path(), "unet", &["--steps", "1"]).join("model");
    let unet = unet.to_str().unwrap();
    every_way(dir.path(), 0, true, &["info", unet], |_| ());
    every_way(dir.path(), 0, true, &["export", "--model", unet, "--out", "OUT"], |out| {
        assert!(out.join("model_index.json").is_file());
    });
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/openai/zip.pt");
    let flags = "--image_size 16 --channel_mult 1,1 --num_channels 32 --num_heads 2 --num_res_blocks 1 --attention_resolutions 8";
    let import = ["import", "guided-diffusion", file.to_str().unwrap(), "--flags", flags, "--out", "OUT"];
    every_way(dir.path(), 0, true, &import, |out| assert!(out.join("model_index.json").is_file()));
}

#[test]
fn commands_without_a_model_end_as_documented_with_any_streams() {
    let dir = tempfile::tempdir().unwrap();
    let ends = |code, prints, args: &[&str]| every_way(dir.path(), code, prints, args, |_| ());
    ends(0, true, &["schedule", "show", "cosine"]);
    ends(0, true, &["schedule", "show", "cosine", "--format", "csv"]);
    ends(0, true, &["schedule", "compare", "cosine", "linear"]);
    ends(0, true, &["schedule", "check", "cosine"]);
    every_way(dir.path(), 0, true, &["schedule", "plot", "cosine", "--out", "OUT.svg"], |out| {
        assert!(out.with_extension("svg").is_file());
    });
    ends(0, true, &["--help"]);
    ends(0, true, &["train", "--help"]);
    ends(0, true, &["help", "schedule", "show"]);
    ends(0, true, &["--version"]);
    ends(0, true, &["--version", "--json"]);
    ends(2, false, &["train", "--steps", "-5"]);
    ends(2, false, &["train", "--no-such-flag"]);
    ends(2, false, &["schedule"]);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_of_the_write() {
    let dir = tempfile::tempdir().unwrap();
    let limited = |script: &str, args: &[&str]| {
        let output = shell(dir.path(), script, args).output().unwrap();
        assert_eq!(output.status.signal(), None, "{}", stderr(&output));
        (output.status.code(), stderr(&output))
    };
    let (code, said) = limited("ulimit -f 1; exec \"$@\"", &train("tiny", "4"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: cannot write tiny/") && said.contains("File too large"), "{said}");

    // A result that does not fit.
    fs::write(dir.path().join("large"), [0; 4096]).unwrap();
    let (code, said) = limited("ulimit -f 1; exec \"$@\" >>large", &["schedule", "show", "cosine"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: cannot write to standard output: File too large"), "{said}");

    // Progress that does not fit: the files of the run are smaller.
    let bits = reference(dir.path(), "4");
    fs::write(dir.path().join("large"), [0; 1 << 20]).unwrap();
    let (code, said) = limited("ulimit -f 500; exec \"$@\" 2>>large", &train("run", "4"));
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(weights(&dir.path().join("run")) == bits);
}

#[test]
fn a_picture_that_cannot_be_written_does_not_end_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let picture = |step: u64| root.join(format!("samples/step-{step:07}.png"));
    let go_on = |steps: &str| {
        stderr(&succeed(dir.path(), &["train", "--resume", "run", "--steps", steps, "--set", "samples.every=1"]))
    };
    succeed(dir.path(), &train("run", "2"));
    // Deleted: made again.
    fs::remove_dir_all(root.join("samples")).unwrap();
    let said = go_on("4");
    assert!(picture(3).is_file() && picture(4).is_file() && !said.contains("without this picture"), "{said}");
    // In the way: said, and passed over. The picture of step 4, from where the run goes on, is missing too.
    fs::remove_dir_all(root.join("samples")).unwrap();
    fs::write(root.join("samples"), "").unwrap();
    let said = go_on("6");
    assert_eq!(said.matches("the run goes on without this picture").count(), 3, "{said}");
    assert!(said.contains("done: 6 steps"), "{said}");
}
