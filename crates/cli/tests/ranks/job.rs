//! Jobs of several ranks on this machine.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::common::{contains, stderr};

/// `mpirun` in `dir`, ready for more arguments: here also as root, and with more ranks than cores.
pub(super) fn mpirun(dir: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command.current_dir(dir).args(["-q", "--oversubscribe", "--bind-to", "none"]);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    // In containers ranks may not read each other's memory.
    command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    command.env("RAYON_NUM_THREADS", "1").env_remove("SFUMATO_LOG").stdin(Stdio::null());
    command
}

/// `-n RANKS sfumato ARGS…`
pub(super) fn ranks<'a>(ranks: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["-n", ranks, env!("CARGO_BIN_EXE_sfumato")], args].concat()
}

/// Runs a job to its end and insists that it succeeds.
pub(super) fn succeed(dir: &Path, number: &str, args: &[&str]) -> Output {
    let output = mpirun(dir).args(ranks(number, args)).output().expect("mpirun is there");
    assert!(output.status.success(), "{number} ranks of {args:?} ended with {}:\n{}", output.status, stderr(&output));
    output
}

/// Runs a job whose ranks are called differently, insists that it fails, that one rank says why, and that all end within seconds of that. How
/// long the job takes until then is the machine's affair.
pub(super) fn fail(dir: &Path, code: i32, jobs: &[&str], parts: &[&str]) {
    let mut job = mpirun(dir).args(jobs).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("mpirun is there");
    let (mut said, mut error) = (String::new(), None);
    for line in BufReader::new(job.stderr.take().expect("it is piped")).lines() {
        let line = line.unwrap();
        if line.contains("error: ") {
            error.get_or_insert_with(Instant::now);
        }
        said.extend([&line, "\n"]);
    }
    assert_eq!(job.wait().unwrap().code(), Some(code), "{jobs:?} said:\n{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{jobs:?} said:\n{said}");
    contains(&said, parts);
    let ended = error.expect("there is one").elapsed();
    assert!(ended < Duration::from_secs(30), "the end came {ended:?} after the error:\n{said}");
}

/// Waits until something is there.
pub(super) fn wait_for(what: &str, mut found: impl FnMut() -> bool) {
    let start = Instant::now();
    while !found() {
        assert!(start.elapsed() < Duration::from_secs(60), "there is no {what} after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process of a rank among the children of the `mpirun` with this number.
pub(super) fn process_of(mpirun: u32, rank: usize) -> Option<u32> {
    let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let is_rank = environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        (parent == mpirun && is_rank).then_some(number)
    })
}

/// Sends a signal to one process.
pub(super) fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill is there");
    assert!(status.success());
}

/// Whether a process in `dir` still works on the run `out`.
pub(super) fn is_running(out: &str, dir: &Path) -> bool {
    let dir = dir.canonicalize().unwrap();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == out.as_bytes())
            && fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == dir)
    })
}
