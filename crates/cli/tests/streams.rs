//! Streams that are closed, full or broken, and every command: no panic, the documented exit codes, and no work lost.
#![cfg(unix)]

mod common;

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, pipe},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{POINTS, sfumato, stderr, stdout, succeed, train_tiny};

/// Steps of a run that is stopped in the middle, on a machine of any speed.
const LONG: &str = "1000000";

/// What becomes of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Open,
    /// Closed before the program starts, as by `>&-`.
    Closed,
    /// A full disk.
    Full,
    /// A pipe whose reader has left.
    Broken,
}

use Stream::{Broken, Closed, Full, Open};

const STREAMS: [Stream; 4] = [Open, Closed, Full, Broken];

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
fn shell(dir: &Path, script: &str, args: &[&str]) -> Command {
    let program = sfumato(dir);
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(args).current_dir(dir);
    command.env_remove("SFUMATO_LOG").env_remove("RAYON_NUM_THREADS");
    command
}

/// The program with these streams.
fn with_streams(dir: &Path, out: Stream, err: Stream, args: &[&str]) -> Command {
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
fn every_way(dir: &Path, code: i32, prints: bool, args: &[&str], check: impl Fn(&Path)) {
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

fn train<'a>(out: &'a str, steps: &'a str) -> Vec<&'a str> {
    let log = ["--set", "training.log_every=1"];
    ["train", "--out", out, "--steps", steps].into_iter().chain(POINTS.iter().copied()).chain(log).collect()
}

/// The weights at the end of a run, with the optimizer's state and all that was not averaged.
fn weights(run: &Path) -> Vec<Vec<u8>> {
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

fn newest(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).ok()?.map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"))).max()
}

/// A run that nothing disturbs, of which others are to have the bits.
fn reference(dir: &Path, steps: &str) -> Vec<Vec<u8>> {
    succeed(dir, &train("reference", steps));
    let weights = weights(&dir.join("reference"));
    assert!(weights.len() >= 2);
    weights
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        sleep(Duration::from_millis(5));
    }
}

/// Waits until a run has done a few steps.
fn wait_for_steps(run: &Path) {
    wait_until("steps", || fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() >= 3));
}

fn signal(names: &[&str], id: u32) {
    let script = names.iter().map(|name| format!("kill -{name} {id};")).collect::<String>();
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// Resumes a run that was stopped, for a few steps, and insists on the bits of one that was not.
fn resumes_exactly(dir: &Path, run: &str) {
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
fn long(run: &str) -> Vec<&str> {
    train(run, LONG).into_iter().chain(["--set", "optimizer.decay=constant"]).collect()
}

/// A pipe that takes nothing more.
fn stuck() -> (PipeReader, PipeWriter) {
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
fn release(mut reader: PipeReader, mut child: Child) -> (ExitStatus, String) {
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    (child.wait().unwrap(), String::from_utf8_lossy(&text).trim_matches('\0').to_owned())
}

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

/// `train … 2>&1 | head -1`, and Ctrl-C under `| tee`, of which `tee` dies as well.
#[test]
fn a_reader_that_leaves_costs_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let bits = reference(dir.path(), "20");
    let output = shell(dir.path(), "\"$@\" 2>&1 | head -1", &train("headed", "20")).output().unwrap();
    assert_eq!(stdout(&output).lines().count(), 1);
    assert!(weights(&dir.path().join("headed")) == bits);

    let (reader, writer) = pipe().unwrap();
    let mut child =
        sfumato(dir.path()).args(long("teed")).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    wait_for_steps(&dir.path().join("teed"));
    drop(reader);
    signal(&["INT"], child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    resumes_exactly(dir.path(), "teed");
}

/// A terminal after Ctrl-S, or at the other end of a network that is down.
#[test]
fn a_reader_that_waits_does_not_stop_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let bits = reference(dir.path(), "20");
    let (reader, writer) = stuck();
    let child = sfumato(dir.path()).args(train("run", "20")).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    wait_until("the last picture", || dir.path().join("run/samples/step-0000020.png").is_file());
    assert!(weights(&dir.path().join("run")) == bits);
    let (status, said) = release(reader, child);
    assert!(status.success(), "{status}");
    assert!(said.contains("done: 20 steps") && said.contains("step 20/20"), "{said}");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let dir = tempfile::tempdir().unwrap();
        let (reader, writer) = stuck();
        let mut child = sfumato(dir.path()).args(long("run")).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        wait_for_steps(&dir.path().join("run"));
        // `timeout` sends it twice.
        signal(&[name, name], child.id());
        // It then waits for the reader of stderr, for as long as that takes.
        wait_until("a checkpoint", || newest(&dir.path().join("run")).is_some());
        sleep(Duration::from_millis(1100));
        signal(&["HUP"], child.id());
        sleep(Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none(), "a closed terminal is no second signal");
        signal(&[name], child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        drop(reader);
        resumes_exactly(dir.path(), "run");
    }
}

/// Whether the tests themselves run under `nohup`, which their children inherit: closing a terminal then means nothing.
fn under_nohup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1);
    if ignored {
        eprintln!("not tried: SIGHUP is ignored here, as under nohup");
    }
    ignored
}

#[test]
fn hanging_up_stops_the_run_in_good_order_however_often_it_comes() {
    if under_nohup() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = sfumato(dir.path()).args(long("run")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_steps(&dir.path().join("run"));
    signal(&["HUP", "HUP", "CONT", "HUP"], child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    resumes_exactly(dir.path(), "run");
}

#[cfg(target_os = "linux")]
#[test]
fn nohup_keeps_a_run_going() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = stuck();
    let run = train("run", "400");
    let child =
        shell(dir.path(), "trap '' HUP; exec \"$@\"", &run).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    wait_for_steps(&dir.path().join("run"));
    signal(&["HUP"], child.id());
    let (status, said) = release(reader, child);
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("done: 400 steps"), "{said}");
}

/// A real terminal, by util-linux' `script`, which is killed: the kernel then tells the program that the terminal is gone.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_is_closed_stops_the_run_in_good_order() {
    if under_nohup() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let quoted = long("run").iter().map(|arg| format!(" '{arg}'")).collect::<String>();
    // The shell of the terminal dies with it, of which the kernel tells all that run in its foreground. A second shell outlives it
    // to say how the program ended.
    let line = format!("(trap : HUP; '{}'{quoted}; echo $? >code); true", env!("CARGO_BIN_EXE_sfumato"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(dir.path()).env("SHELL", "/bin/sh").env("TERM", "xterm");
    let terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut terminal) = terminal else { return }; // not installed
    wait_for_steps(&dir.path().join("run"));
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let code = dir.path().join("code");
    wait_until("the end", || fs::read_to_string(&code).is_ok_and(|text| text.ends_with('\n')));
    // The run is in order, but its name could not be printed.
    assert_eq!(fs::read_to_string(&code).unwrap().trim(), "1");
    resumes_exactly(dir.path(), "run");
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
