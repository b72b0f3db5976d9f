//! What goes wrong on one rank ends all of them, and one says what it was.

use std::{fs, process::Stdio};

use super::job::{fail, is_running, mpirun, process_of, ranks, signal, succeed, wait_for};
use crate::common::{self, POINTS, contains, learned, stderr};

const MANY: &str = "100000";

#[test]
fn ranks_that_are_called_differently_are_found_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let base = [&["train", "--out", "x", "--steps", "3", "--shards", "4"], POINTS].concat();
    let job = |more: &[&'static str]| [ranks("2", &base), vec![":"], ranks("1", &[&base[..], more].concat())].concat();
    let parts = ["rank 2 on ", "differs from rank 0 in the configuration: 'seed = 9' there, 'seed = 0' on rank 0"];
    fail(dir.path(), 1, &job(&["--seed", "9"]), &parts);
    let parts = ["rank 2 on ", "cannot load the data", "gone.npy"];
    fail(dir.path(), 1, &job(&["--dataset", "npy:gone.npy"]), &parts);
    assert!(!dir.path().join("x").exists());
    // The same mistake everywhere is said once, and without a rank.
    let wrong = [&base[..], &["--set", "training.log_every=0"]].concat();
    fail(dir.path(), 1, &ranks("3", &wrong), &["error: training.log_every must be at least 1"]);
}

#[test]
fn other_data_on_one_rank_is_found_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    common::squares(dir.path());
    fs::create_dir_all(dir.path().join("other")).unwrap();
    let mut bytes = fs::read(dir.path().join("squares.npy")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(dir.path().join("other/squares.npy"), bytes).unwrap();
    let args = ["train", "--dataset", "npy:squares.npy", "--out", "x", "--steps", "2", "--shards", "2"];
    let job = [ranks("1", &args), vec![":", "-wdir", "other"], ranks("1", &args)].concat();
    fail(dir.path(), 1, &job, &["rank 1 on ", "differs from rank 0 in the data", "SHA-256"]);
}

#[test]
fn a_full_disk_on_rank_0_ends_all_ranks_and_keeps_the_newest_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let lines = ["--checkpoint-every", "5", "--set", "training.log_every=1"];
    let args = [&["train", "--out", "x", "--steps", MANY, "--shards", "4"], &lines[..], POINTS].concat();
    // The lines of metrics grow beyond 16 KiB in the end; the file of the first checkpoint does not.
    let limited = format!("ulimit -f 16; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_sfumato"));
    let first = [&["-n", "1", "bash", "-c", &limited, "bash"], &args[..]].concat();
    let job = [first, vec![":"], ranks("2", &args)].concat();
    fail(dir.path(), 1, &job, &["rank 0 on ", "cannot write", "metrics.jsonl"]);
    assert!(dir.path().join("x/model/model_index.json").is_file());
}

#[test]
fn a_rank_that_is_killed_ends_the_others_and_the_run_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let base = [&["--checkpoint-every", "5", "--shards", "4"], POINTS].concat();
    for (killed, number) in [(1, "3"), (0, "2")] {
        let out = format!("killed-{killed}");
        let args = [&["train", "--out", &out, "--steps", MANY], &base[..]].concat();
        let job = mpirun(root).args(ranks(number, &args)).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let model = root.join(&out).join("model/model_index.json");
        wait_for("checkpoint", || model.is_file());
        signal("-KILL", process_of(job.id(), killed).expect("the rank runs"));
        let output = job.wait_with_output().unwrap();
        assert!(!output.status.success(), "{}", stderr(&output));
        wait_for("end of the others", || !is_running(&out, root));
        let newest = fs::read_link(root.join(&out).join("model")).unwrap();
        let step: u64 = newest.to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
        let end = (step + 7).to_string();
        succeed(root, "4", &["train", "--resume", &out, "--steps", &end, "--threads", "1"]);
        let whole = format!("whole-{killed}");
        common::succeed(root, &[&["train", "--out", &whole, "--steps", &end], &base[..]].concat());
        assert!(learned(&root.join(&out), step + 7) == learned(&root.join(&whole), step + 7));
    }
}

#[test]
fn a_request_to_stop_writes_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let args = [&["train", "--out", "x", "--steps", MANY, "--shards", "4"], POINTS].concat();
    let job = mpirun(root).args(ranks("3", &args)).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let metrics = root.join("x/metrics.jsonl");
    wait_for("line of metrics", || fs::metadata(&metrics).is_ok_and(|file| file.len() > 0));
    signal("-USR1", job.id());
    let output = job.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    contains(&said, &["stopped at step", "resume with: sfumato train --resume x"]);
    assert!(root.join("x/model/model_index.json").is_file());
}
