//! What a run keeps of the model that it started from: enough to repeat it, and nothing that it needs to go on.

use super::*;

fn learned(dir: &Path, run: &str) -> Vec<Vec<u8>> {
    common::learned(&dir.join(run), 6)
}

#[test]
fn a_run_is_repeated_from_its_configuration_while_its_source_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    pictures(&dir.join("new"), &["."], 9, (8, 8), false);
    let data = ["--dataset", "folder:new"];
    train(dir, "b", &[&["--init-from", "a", "--steps", "6"], &data]);
    let again = ["train", "--config", "b/config.toml", "--out", "c", "--threads", "1"];
    succeed(dir, &again);
    assert!(learned(dir, "b") == learned(dir, "c"));
    assert_eq!(fs::read(dir.join("b/config.toml")).unwrap(), fs::read(dir.join("c/config.toml")).unwrap());
    // By a key as by the flag.
    train(dir, "k", &[&["--set", "init.from=a", "--steps", "6"], &data]);
    assert!(learned(dir, "b") == learned(dir, "k"));
    // By a table as by its key, and with the slash that a shell adds: what is recorded is the checkpoint.
    train(dir, "t", &[&["--set", "init={from=\"a/model/\"}", "--steps", "6"], &data]);
    assert!(learned(dir, "b") == learned(dir, "t"));
    let table: toml::Table = fs::read_to_string(dir.join("t/config.toml")).unwrap().parse().unwrap();
    assert_eq!(table["init"]["from"].as_str(), Some("a/checkpoints/step-0000003"));
    let said = fail(dir, 1, &["train", "--set", "init={from=\"nowhere\"}", "--out", "x", data[0], data[1]]);
    contains(&said, &["cannot start from nowhere"]);
    assert!(!dir.join("x").exists());
    // The checksum is one that anyone can make.
    let unet = dir.join("a/model/unet");
    let files = ["config.json", "diffusion_pytorch_model.safetensors"].map(|name| unet.join(name));
    let expected = sfumato_files::files_sha256(files.iter().map(|path| path.as_path())).unwrap();
    let config = fs::read_to_string(dir.join("b/config.toml")).unwrap();
    contains(&config, &[&format!("sha256 = \"{expected}\"")]);
    let facts = common::json(&dir.join("b/model/unet/config.json"))["_sfumato"]["provenance"].clone();
    assert_eq!((&facts["init_from"], &facts["init_sha256"]), (&"a/checkpoints/step-0000003".into(), &expected.into()));

    // The source is another one now.
    let path = dir.join("a/checkpoints/step-0000003/unet/config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "\n").unwrap();
    let again = ["train", "--config", "b/config.toml", "--out", "d"];
    let said = fail(dir, 1, &again);
    contains(
        &said,
        &[
            "cannot start from a/checkpoints/step-0000003: it is not the model that the run is to start from",
            "init.sha256",
        ],
    );
    // Asked for by the flag, it is what is wanted.
    succeed(dir, &[&again[..], &["--init-from", "a", "--steps", "1", "--threads", "1"]].concat());
    fs::remove_dir_all(dir.join("a")).unwrap();
    let said = fail(dir, 1, &["train", "--config", "b/config.toml", "--out", "e"]);
    contains(&said, &["cannot start from a/checkpoints/step-0000003", "there is no directory"]);
    assert!(!dir.join("e").exists());
}

/// `config.toml` is UTF-8.
#[cfg(unix)]
#[test]
fn paths_that_cannot_be_recorded_are_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    let odd = OsStr::from_bytes(b"a\xff");
    fs::rename(dir.join("a"), dir.join(odd)).unwrap();
    fs::remove_file(dir.join(odd).join("model")).unwrap();
    for (flag, key) in [("--init-from", "init.from"), ("--data-dir", "data.dir")] {
        for show in [&["--out", "x"][..], &["--print-config"]] {
            let mut command = common::sfumato(dir);
            command.args(["train", "--dataset", "folder:grey", "--steps", "1"]).args(show).arg(flag).arg(odd);
            let output = command.output().unwrap();
            let said = common::failure(&output, 1, &[flag]);
            assert!(said.contains(key) && said.contains("a path in UTF-8"), "{said}");
        }
    }
    assert!(!dir.join("x").exists());
}

#[test]
fn a_run_goes_on_to_the_same_bits_without_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &["--class-conditional"]);
    pictures(&dir.join("new"), &["bee", "cat"], 5, (8, 8), false);
    let args = ["--init-from", "a", "--dataset", "folder:new"];
    train(dir, "whole", &[&args, &["--steps", "6"]]);
    train(dir, "parts", &[&args, &["--steps", "2"]]);
    fs::remove_dir_all(dir.join("a")).unwrap();
    let said = stderr(&succeed(dir, &["train", "--resume", "parts", "--steps", "6", "--threads", "1"]));
    assert!(!said.contains("never stopped"), "{said}");
    assert!(learned(dir, "whole") == learned(dir, "parts"));
    // What it started from is no setting that could change.
    let said = fail(dir, 1, &["train", "--resume", "parts", "--steps", "9", "--set", "init.from=b"]);
    contains(&said, &["init.from cannot change while a run goes on"]);
}

#[test]
fn a_run_without_a_checkpoint_needs_its_source_still() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    train(dir, "b", &[&["--init-from", "a", "--dataset", "folder:grey", "--steps", "6"]]);
    let before = learned(dir, "b");
    fs::remove_dir_all(dir.join("b/checkpoints")).unwrap();
    fs::remove_file(dir.join("b/model")).unwrap();
    succeed(dir, &["train", "--resume", "b", "--threads", "1"]);
    assert!(learned(dir, "b") == before);
    fs::remove_dir_all(dir.join("b/checkpoints")).unwrap();
    fs::remove_file(dir.join("b/model")).unwrap();
    fs::remove_dir_all(dir.join("a")).unwrap();
    contains(&fail(dir, 1, &["train", "--resume", "b"]), &["cannot start from a/checkpoints/step-0000003"]);
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &[]);
    let file = dir.join("a/checkpoints/step-0000003/unet/diffusion_pytorch_model.safetensors");
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8], expected: &str| {
        fs::write(&file, bytes).unwrap();
        let said =
            fail(dir, 1, &["train", "--init-from", "a", "--dataset", "folder:grey", "--out", "x", "--steps", "1"]);
        contains(&said, &["cannot start from a", expected]);
        assert!(!dir.join("x").exists(), "nothing is written");
    };
    refused(&whole[..whole.len() - 5], "truncated");
    refused(&whole[..20], "diffusion_pytorch_model.safetensors");
    refused(b"", "diffusion_pytorch_model.safetensors");
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&nan, "holds values that are no finite numbers");
    fs::remove_file(&file).unwrap();
    let said = fail(dir, 1, &["train", "--init-from", "a", "--dataset", "folder:grey", "--out", "x"]);
    contains(&said, &["holds no weights"]);
}

#[test]
fn the_configuration_is_shown_with_what_the_source_says() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    source(dir, &["--class-conditional", "--set", "diffusion.parameterization=v"]);
    let print = |args: &[&str]| common::stdout(&succeed(dir, &[&["train", "--print-config"], args].concat()));
    let shown = print(&["--init-from", "a", "--dataset", "folder:grey"]);
    contains(
        &shown,
        &["[init]", "from = \"a/checkpoints/step-0000003\"", "class_conditional = true", "parameterization = \"v\""],
    );
    // A preset's network goes before; its process is the source's where it says nothing.
    let shown = print(&["--init-from", "a", "--preset", "fashion-mnist-mini"]);
    contains(&shown, &["parameterization = \"v\"", "    32,\n"]);
    // A table without a word is left out.
    assert!(!print(&["--preset", "fashion-mnist-mini"]).contains("[held_out]"));
    contains(&print(&["--preset", "fashion-mnist-mini", "--held-out", "0.1"]), &["[held_out]", "share = 0.1"]);
}
