//! Readers that leave or wait, signals and terminals that are gone.

use std::{
    fs,
    io::pipe,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::{
    common::{sfumato, stdout},
    tools::{
        long, newest, reference, release, resumes_exactly, shell, signal, stuck, train, wait_for_steps, wait_until,
        weights,
    },
};

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
