//! Starting the program, disturbing it from outside, and waiting for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// No run takes as long, on any machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// What happens to a process from outside.
#[derive(Clone, Debug)]
pub(super) enum Outside {
    Nothing,
    /// A signal, by its name, after some time.
    Signal(&'static str, Duration),
    /// SIGKILL as soon as this path is there.
    KillWhen(PathBuf),
    /// Its standard error (else its standard output) is a pipe whose reader takes so many bytes and goes away.
    Reader {
        error: bool,
        bytes: usize,
    },
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// What it printed, where nobody took that away.
    pub(super) output: String,
    /// What it printed on standard error.
    pub(super) error: String,
}

/// A process on its way.
pub(super) struct Started {
    child: Child,
    output: PathBuf,
    error: PathBuf,
    since: Instant,
}

impl Started {
    /// Starts `words` in `dir`; what it prints goes to files whose names begin with `log`.
    pub(super) fn new(dir: &Path, words: &[String], log: &Path, outside: &Outside) -> anyhow::Result<Self> {
        let (output, error) = (log.with_extension("stdout"), log.with_extension("stderr"));
        let file = |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(dir).stdin(Stdio::null());
        command.stdout(file(&output)?).stderr(file(&error)?);
        if let Outside::Reader { error, .. } = outside {
            if *error {
                command.stderr(Stdio::piped())
            } else {
                command.stdout(Stdio::piped())
            };
        }
        let child = command.spawn().with_context(|| format!("cannot run {}", words[0]))?;
        Ok(Self { child, output, error, since: Instant::now() })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Disturbs the process and waits for its end.
    pub(super) fn end(mut self, outside: &Outside) -> anyhow::Result<Ended> {
        match outside {
            Outside::Nothing => {}
            Outside::Signal(name, after) => {
                std::thread::sleep(after.saturating_sub(self.since.elapsed()));
                signal(name, &mut self.child)?;
            }
            Outside::KillWhen(path) => {
                while !path.exists() && self.child.try_wait()?.is_none() {
                    std::thread::sleep(Duration::from_micros(200));
                    self.still_patient()?;
                }
                self.child.kill()?;
            }
            Outside::Reader { bytes, .. } => {
                let mut taken = vec![0; *bytes];
                // Fewer bytes than asked for are as good; the pipe is closed in any case.
                let _ = match (self.child.stdout.take(), self.child.stderr.take()) {
                    (Some(mut pipe), _) => pipe.read_exact(&mut taken),
                    (_, Some(mut pipe)) => pipe.read_exact(&mut taken),
                    _ => Ok(()),
                };
            }
        }
        loop {
            if let Some(status) = self.has_ended()? {
                return self.ended(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The status of the process if it has ended.
    pub(super) fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_none() {
            self.still_patient()?;
        }
        Ok(status)
    }

    /// What is left of a process that has ended.
    pub(super) fn ended(&self, status: ExitStatus) -> anyhow::Result<Ended> {
        let text = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let signal = signal_of(status);
        Ok(Ended { code: status.code(), signal, output: text(&self.output)?, error: text(&self.error)? })
    }

    fn still_patient(&mut self) -> anyhow::Result<()> {
        if self.since.elapsed() > PATIENCE {
            let _ = self.child.kill();
            let _ = self.child.wait();
            bail!("the program did not end within {} s", PATIENCE.as_secs());
        }
        Ok(())
    }
}

/// Sends a signal to a process that may have ended but was not waited for, so that its number is not taken anew.
fn signal(name: &str, child: &mut Child) -> anyhow::Result<()> {
    if name == "KILL" {
        return child.kill().context("cannot kill the program");
    }
    let script = format!("kill -{name} {} 2>/dev/null", child.id());
    Command::new("sh").args(["-c", &script]).status().context("cannot run sh")?;
    Ok(())
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}
