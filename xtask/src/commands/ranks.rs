//! The program on several ranks: `cargo xtask train --ranks R [--hosts FILE] …` through `mpirun`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context;

use super::{Usage, option_value};

/// What `mpirun` is told beside the number of ranks, as settings of Open MPI. Those that are set already stay.
const SETTINGS: [(&str, &str); 5] = [
    // As root, which containers are; they have no effect for others.
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    // A machine that is gone is missed after 20 seconds, and not after five minutes.
    ("OMPI_MCA_oob_tcp_keepalive_time", "10"),
    ("OMPI_MCA_oob_tcp_keepalive_intvl", "2"),
    ("OMPI_MCA_oob_tcp_keepalive_probes", "5"),
];

/// Where a filter of system calls is set, as in containers, processes may not read each other's memory, and Open MPI complains at every
/// start. Elsewhere they do: without it the exchange of a large gradient takes about half as long again.
const FILTERED: (&str, &str) = ("OMPI_MCA_btl_vader_single_copy_mechanism", "none");

/// Whether the status of a process (`/proc/self/status`) says that its system calls are filtered.
fn is_filtered(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() != "0")
}

/// A job of several ranks.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    ranks: usize,
    hosts: Option<String>,
}

impl Job {
    /// The job that the arguments ask for, if they do, and the arguments of the program.
    pub(super) fn of(arguments: &[String]) -> anyhow::Result<(Option<Self>, Vec<String>)> {
        let (mut ranks, mut hosts, mut others) = (None, None, Vec::new());
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                others.push(argument);
                others.extend(rest.by_ref());
            } else if let Some(text) = option_value(&argument, "--ranks", &mut rest)? {
                let number = text.parse().ok().filter(|number: &usize| *number > 0);
                ranks = Some(number.ok_or_else(|| Usage(format!("--ranks must be at least 1 (found {text})")))?);
            } else if let Some(file) = option_value(&argument, "--hosts", &mut rest)? {
                hosts = Some(file);
            } else {
                others.push(argument);
            }
        }
        match (ranks, hosts) {
            (Some(ranks), hosts) => Ok((Some(Self { ranks, hosts }), others)),
            (None, Some(_)) => Err(Usage("--hosts needs --ranks, the number of processes".to_owned()).into()),
            (None, None) => Ok((None, others)),
        }
    }

    /// Runs the program on all ranks.
    pub(super) fn run(&self, program: &Path, command: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
        if !["train", "sample", "eval"].contains(&command) {
            return Err(Usage(format!("--ranks: `{command}` runs in one process")).into());
        }
        let mut mpirun = Command::new("mpirun");
        // Not `--quiet`, which hides which rank was killed, and which machine is gone.
        mpirun.args(["-n", &self.ranks.to_string()]);
        let threads = arguments.iter().any(|argument| argument == "--threads" || argument.starts_with("--threads="));
        match &self.hosts {
            Some(file) => drop(mpirun.args(["--hostfile", file])),
            None => {
                mpirun.args(["--oversubscribe", "--bind-to", "none"]);
                if !threads && std::env::var_os("RAYON_NUM_THREADS").is_none() {
                    let cores = std::thread::available_parallelism().map_or(1, usize::from);
                    mpirun.env("RAYON_NUM_THREADS", (cores / self.ranks).max(1).to_string());
                }
            }
        }
        let filtered = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_filtered(&status));
        for (name, value) in SETTINGS.into_iter().chain(filtered.then_some(FILTERED)) {
            if std::env::var_os(name).is_none() {
                mpirun.env(name, value);
            }
        }
        mpirun.arg(program).arg(command).args(arguments);
        watched(mpirun)
    }
}

/// Runs `mpirun`. Ctrl-C and SIGTERM become SIGUSR1, which it hands on, so that the run stops in good order with a checkpoint; by itself it would
/// kill the ranks two seconds after a Ctrl-C. A second one does that.
#[cfg(unix)]
fn watched(mut mpirun: Command) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // A terminal's Ctrl-C goes to its group.
    mpirun.process_group(0);
    let missing =
        "cannot run mpirun; Debian has it in openmpi-bin, and what building needs in libopenmpi-dev and libclang-dev";
    let mut child = mpirun.spawn().context(missing)?;
    let number = child.id().to_string();
    std::thread::spawn(move || {
        let mut name = "-USR1";
        for _ in signals.forever() {
            let _ = Command::new("kill").args([name, &number]).status();
            name = "-TERM";
        }
    });
    let status = child.wait().context("cannot wait for mpirun")?;
    let ended = match status.code() {
        Some(code @ 0..=128) => return Ok(ExitCode::from(code as u8)),
        Some(code @ 129..=192) => format!("a rank was ended by signal {}, and so all were", code - 128),
        Some(code) => format!("mpirun ended with code {code}"),
        None => format!("mpirun was ended by signal {}", status.signal().unwrap_or_default()),
    };
    eprintln!(
        "error: {ended}; what was written before stays, and a run goes on from its newest checkpoint with --resume"
    );
    Ok(ExitCode::FAILURE)
}

#[cfg(not(unix))]
fn watched(mpirun: Command) -> anyhow::Result<ExitCode> {
    crate::process::become_program(mpirun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> anyhow::Result<(Option<Job>, Vec<String>)> {
        Job::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_for_mpirun_does_not_reach_the_program() {
        assert_eq!(of(&["--steps", "3"]).unwrap(), (None, vec!["--steps".into(), "3".into()]));
        let (job, others) = of(&["--ranks", "4", "--steps", "3", "--hosts=h", "--", "--ranks"]).unwrap();
        assert_eq!(job, Some(Job { ranks: 4, hosts: Some("h".into()) }));
        assert_eq!(others, ["--steps", "3", "--", "--ranks"]);
    }

    #[test]
    fn a_filter_of_system_calls_is_seen() {
        let status = |mode: &str| format!("Name:\tx\nSeccomp:\t{mode}\nSeccomp_filters:\t1\n");
        assert!(is_filtered(&status("2")) && is_filtered(&status("1")));
        assert!(!is_filtered(&status("0")) && !is_filtered("Name:\tx\n"));
    }

    #[test]
    fn numbers_that_make_no_sense_are_usage_errors() {
        for arguments in [&["--ranks", "0"][..], &["--ranks", "two"], &["--ranks"], &["--hosts", "h"]] {
            assert!(of(arguments).unwrap_err().is::<Usage>());
        }
    }
}
