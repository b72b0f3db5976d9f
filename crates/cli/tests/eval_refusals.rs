//! What `sfumato eval` refuses: before the work, and with the name of what is wrong.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, failure, images, stdout, train_tiny};

/// What `eval ARGS…` of `runs/a` on two pictures says; it ends with `code` and names all `parts`.
fn refuse(dir: &Path, code: i32, args: &[&str], parts: &[&str]) {
    let all = ["eval", "--model", "runs/a/model", "--dataset", "npy:images.npy"];
    let said = fail(dir, code, &all.iter().chain(args).copied().collect::<Vec<_>>());
    for part in parts {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = train_tiny(dir, "a", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir, 2);
    refuse_options(dir);
    refuse_recordings(dir);
    refuse_data(dir, &data);

    // Weights that are not numbers: an error that names the example, and nothing is written.
    let weights = run.join("model/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 400..].fill(0xff);
    fs::write(&weights, bytes).unwrap();
    let said = fail(dir, 1, &["eval", "--model", "runs/a/model", "--dataset", &data, "--json", "e.json"]);
    assert!(said.contains("not finite") && !dir.join("e.json").exists(), "{said}");
}

fn refuse_options(dir: &Path) {
    let refuse = |code, args: &[&str], parts: &[&str]| refuse(dir, code, args, parts);
    refuse(2, &["--limit", "0"], &["--limit"]);
    refuse(1, &["--limit", "3"], &["--limit 3", "2 examples"]);
    refuse(2, &["--stride", "0"], &["--stride 0", "1 to 1000"]);
    refuse(2, &["--stride", "1001"], &["--stride 1001", "1 to 1000"]);
    refuse(2, &["--steps", "1001"], &["--steps 1001", "1000"]);
    refuse(2, &["--steps", "0"], &["--steps 0"]);
    refuse(2, &["--draws", "0"], &["--draws"]);
    refuse(2, &["--cdf", "erf"], &["erf", "exact"]);
    refuse(2, &["--variance", "learned"], &["learned", "fixed-small"]);
    refuse(2, &["--split", "validation"], &["validation", "test"]);
    refuse(2, &["--curve", "curve.txt"], &["curve.txt", ".svg"]);
    refuse(1, &["--curve", "nowhere/curve.svg"], &["nowhere"]);
    refuse(1, &["--json", "nowhere/e.json"], &["nowhere/e.json"]);
    refuse(1, &["--json", "runs"], &["cannot write runs: is a directory"]);
    refuse(1, &["--ignore-labels"], &["--ignore-labels", "runs/a/model"]);
}

/// Recordings of noise that are not there, of another shape, or broken.
fn refuse_recordings(dir: &Path) {
    let refuse = |args: &[&str], parts: &[&str]| refuse(dir, 1, args, parts);
    refuse(&["--noise", "nowhere.npy"], &["nowhere.npy"]);
    sfumato_files::write_npy_f32(&dir.join("noise.npy"), &[3, 2, 1, 28, 28], &[0.5; 6 * 784]).unwrap();
    refuse(&["--noise", "noise.npy"], &["noise.npy", "[3, 2, 1, 28, 28]", "[1000, 2, 1, 28, 28]"]);
    refuse(&["--noise", "noise.npy", "--steps", "3", "--draws", "2"], &["[6, 2, 1, 28, 28]"]);
    refuse(&["--noise", "images.npy"], &["images.npy", "float32"]);
    // Each with two values of three steps.
    let recording = |values: &[f32]| {
        let path = dir.join("broken.npy");
        sfumato_files::write_npy_f32(&path, &[3, 2, 1, 28, 28], values).unwrap();
        path
    };
    let (broken, mut values) = (["--noise", "broken.npy", "--steps", "3"], vec![0.5; 6 * 784]);
    let path = recording(&values);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    refuse(&broken, &["broken.npy", "truncated"]);
    fs::write(&path, &whole[..40]).unwrap();
    refuse(&broken, &["broken.npy", "header"]);
    for value in [f32::NAN, f32::NEG_INFINITY] {
        values[17] = value;
        recording(&values);
        refuse(&broken, &["broken.npy", "finite", "value 17"]);
    }
}

/// Data that is not there or of another kind than the model's.
fn refuse_data(dir: &Path, data: &str) {
    let args = ["eval", "--model", "runs/a/model", "--dataset"];
    let said = fail(dir, 1, &[&args[..], &["fashion-mnist-mini"]].concat());
    assert!(said.contains("test") && said.contains("fashion-mnist"), "{said}");
    let said = fail(dir, 1, &[&args[..], &["toy:swiss-roll"]].concat());
    assert!(said.contains("points") && said.contains("[1, 28, 28]") && !said.contains("option"), "{said}");
    let said = fail(dir, 1, &[&args[..], &["npy:nowhere.npy"]].concat());
    assert_eq!(said.matches("os error 2").count(), 1, "a cause is said once: {said}");
    let said = fail(dir, 1, &["eval", "--model", "nowhere", "--dataset", data]);
    assert!(said.contains("nowhere"), "{said}");
    assert!(fail(dir, 2, &["eval", "--model", "runs/a/model"]).contains("--dataset"));
}

/// A result that cannot be kept is an error, but the table is printed first: the work was done.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_table_and_no_half_file() {
    let dir = tempfile::tempdir().unwrap();
    train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let data = images(dir.path(), 2);
    // A limit on the size of files fails the write as a full disk does: in the middle, with an error from the system.
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} eval --model runs/a/model --dataset {data} --json e.json",
        env!("CARGO_BIN_EXE_sfumato")
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
    let said = failure(&output, 1, &["eval"]);
    assert!(said.contains("cannot write e.json: File too large") && !said.contains(".sfumato-"), "{said}");
    assert!(stdout(&output).contains("total"), "{}", stdout(&output));
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| name == "runs" || name == "images.npy"));
}
