//! The program with streams of every kind, and runs to compare.

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, pipe},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::common::{POINTS, sfumato, stderr, stdout, succeed};

/// Steps of a run that is stopped in the middle, on a machine of any speed.
const LONG: &str = "1000000";

/// What becomes of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Open,
    /// Closed before the program starts, as by `>&-`.
    Closed,
    /// A full disk.
    Full,
    /// A pipe whose reader has left.
    Broken,
}

pub(crate) use Stream::{Broken, Closed, Full, Open};

pub(crate) const STREAMS: [Stream; 4] = [Open, Closed, Full, Broken];

impl Stream {
    fn stdio(self) -> Stdio {
        match self {
            Open | Closed => Stdio::piped(),
            Full => fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into(),
            Broken => {
                let (reader, writer) = pipe().unwrap();
                drop(reader);
                writer.into()
            }
        }
    }
}

/// The program behind `script`, shell commands in which `"$@"` is the program and its arguments.
pub(crate) fn shell(dir: &Path, script: &str, args: &[&str]) -> Command {
    let program = sfumato(dir);
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(args).current_dir(dir);
    command.env_remove("SFUMATO_LOG").env_remove("RAYON_NUM_THREADS");
    command
}

/// The program with these streams.
pub(crate) fn with_streams(dir: &Path, out: Stream, err: Stream, args: &[&str]) -> Command {
    let close = |stream, text| if stream == Closed { text } else { "" };
    let script = format!("exec \"$@\"{}{}", close(out, " >&-"), close(err, " 2>&-"));
    let mut command = shell(dir, &script, args);
    command.stdin(Stdio::null()).stdout(out.stdio()).stderr(err.stdio());
    command
}

/// Insists on the exit code `code` with streams that can be written, and on what it becomes with others.
///
/// `prints`: whether it writes a result to stdout. `OUT` in an argument becomes a new directory each time, which is given with
/// the streams to `check`.
pub(crate) fn every_way(dir: &Path, code: i32, prints: bool, args: &[&str], check: impl Fn(&Path)) {
    let mut said = None;
    for (n, out) in STREAMS.into_iter().enumerate() {
        for (m, err) in STREAMS.into_iter().enumerate() {
            let place = format!("{}-{n}{m}", args[0].trim_matches('-'));
            let place = dir.join(place);
            let own: Vec<String> = args.iter().map(|arg| arg.replace("OUT", place.to_str().unwrap())).collect();
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            let output = with_streams(dir, out, err, &own).output().unwrap();
            let case =
                format!("{own:?} with stdout {out:?} and stderr {err:?}: {}\n{}", output.status, stderr(&output));
            let lost = prints && out == Full;
            assert_eq!(output.status.code(), Some(if lost { 1 } else { code }), "{case}");
            assert!(!stderr(&output).contains("panicked"), "{case}");
            if err == Open {
                let complaint = "error: cannot write to standard output: ";
                assert_eq!(stderr(&output).matches(complaint).count(), usize::from(lost), "{case}");
            }
            if out == Open {
                let text = stdout(&output).replace(place.to_str().unwrap(), "OUT");
                assert_eq!(!text.is_empty(), prints, "{case}\n{text}");
                // Times differ.
                let text: String = text.lines().filter(|line| !line.contains(" s (")).collect();
                assert_eq!(said.get_or_insert_with(|| text.clone()), &text, "{case}");
            }
            check(&place);
            let _ = fs::remove_dir_all(&place);
        }
    }
}

pub(crate) fn train<'a>(out: &'a str, steps: &'a str) -> Vec<&'a str> {
    let log = ["--set", "training.log_every=1"];
    ["train", "--out", out, "--steps", steps].into_iter().chain(POINTS.iter().copied()).chain(log).collect()
}

/// The weights at the end of a run, with the optimizer's state and all that was not averaged.
pub(crate) fn weights(run: &Path) -> Vec<Vec<u8>> {
    let files =
        ["unet/diffusion_pytorch_model.safetensors", "training/weights.safetensors", "training/optimizer.safetensors"];
    let newest = newest(run).unwrap_or_else(|| panic!("{} has no checkpoint", run.display()));
    files
        .iter()
        .map(|file| newest.join(file))
        .filter(|path| path.exists())
        .map(|path| fs::read(path).unwrap())
        .collect()
}

pub(crate) fn newest(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).ok()?.map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"))).max()
}

/// A run that nothing disturbs, of which others are to have the bits.
pub(crate) fn reference(dir: &Path, steps: &str) -> Vec<Vec<u8>> {
    succeed(dir, &train("reference", steps));
    let weights = weights(&dir.join("reference"));
    assert!(weights.len() >= 2);
    weights
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        sleep(Duration::from_millis(5));
    }
}

/// Waits until a run has done a few steps.
pub(crate) fn wait_for_steps(run: &Path) {
    wait_until("steps", || fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() >= 3));
}

pub(crate) fn signal(names: &[&str], id: u32) {
    let script = names.iter().map(|name| format!("kill -{name} {id};")).collect::<String>();
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// Resumes a run that was stopped, for a few steps, and insists on the bits of one that was not.
pub(crate) fn resumes_exactly(dir: &Path, run: &str) {
    let at = newest(&dir.join(run)).unwrap();
    let at: u64 = at.file_name().unwrap().to_str().unwrap().trim_start_matches("step-").parse().unwrap();
    assert!((1..1_000_000).contains(&at), "it was to stop in the middle, and has done {at} steps");
    let steps = (at + 3).to_string();
    let whole = ["--set", "optimizer.decay=constant"];
    succeed(dir, &["train", "--resume", run, "--steps", &steps]);
    let args: Vec<&str> = train("whole", &steps).into_iter().chain(whole).collect();
    succeed(dir, &args);
    assert!(weights(&dir.join(run)) == weights(&dir.join("whole")), "other weights");
}

/// `train` for so long that it has to be stopped; its rate does not depend on the number of steps.
pub(crate) fn long(run: &str) -> Vec<&str> {
    train(run, LONG).into_iter().chain(["--set", "optimizer.decay=constant"]).collect()
}

/// A pipe that takes nothing more.
pub(crate) fn stuck() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    // `dd` tells by its exit code that the next write would wait.
    let fill = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/stdout", "bs=4096", "count=4096", "oflag=nonblock", "conv=notrunc"])
        .stdout(writer.try_clone().unwrap())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!fill.success(), "the pipe has no end");
    (reader, writer)
}

/// Reads a pipe that was stuck, so that the program can end.
pub(crate) fn release(mut reader: PipeReader, mut child: Child) -> (ExitStatus, String) {
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    (child.wait().unwrap(), String::from_utf8_lossy(&text).trim_matches('\0').to_owned())
}
