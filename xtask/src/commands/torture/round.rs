//! One round: a place, what was done in it, and how far the run is known to have come.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::commands::shown;
use super::expected::Expected;
use super::injection;
use super::launch::{Ended, Outside, Started};
use super::look;
use super::random::Random;
use super::settings::{Settings, resume};
use super::table::Counts;
use super::trace::Calls;

/// The run's directory, relative to where the program runs.
pub(super) const RUN: &str = "r";

/// Signals by number, of those that a round sends.
const SIGNALS: [(&str, i32); 3] = [("KILL", 9), ("INT", 2), ("TERM", 15)];

/// What all rounds share.
pub(super) struct Tools {
    pub(super) program: PathBuf,
    /// Whether strace is there.
    pub(super) strace: bool,
}

/// A round.
pub(super) struct Round<'a> {
    tools: &'a Tools,
    pub(super) random: Random,
    dir: PathBuf,
    pub(super) counts: Counts,
    commands: Vec<String>,
    notes: Vec<String>,
    /// Steps that a complete checkpoint has held: fewer must not be left.
    pub(super) mark: u64,
    /// Calls of an undisturbed run.
    pub(super) calls: Calls,
    /// How long an undisturbed run takes.
    time: Duration,
}

/// How a process is started: words before the program's name, and what happens to it from outside.
pub(super) struct How {
    pub(super) before: Vec<String>,
    pub(super) outside: Outside,
    /// The signal that may end it.
    pub(super) signal: Option<&'static str>,
}

impl How {
    pub(super) fn undisturbed() -> Self {
        Self { before: vec![], outside: Outside::Nothing, signal: None }
    }

    pub(super) fn within(before: Vec<String>) -> Self {
        Self { before, ..Self::undisturbed() }
    }

    pub(super) fn from(outside: Outside) -> Self {
        Self { outside, ..Self::undisturbed() }
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(tools: &'a Tools, random: Random, dir: PathBuf) -> anyhow::Result<Self> {
        for part in ["undisturbed", "disturbed", "log"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        }
        let (commands, notes, calls, time) = (vec![], vec![], Calls::default(), Duration::ZERO);
        Ok(Self { tools, random, dir, counts: Counts::default(), commands, notes, mark: 0, calls, time })
    }

    pub(super) fn has_strace(&self) -> bool {
        self.tools.strace
    }

    /// Where the disturbed runs are.
    pub(super) fn place(&self) -> PathBuf {
        self.dir.join("disturbed")
    }

    /// The directory of the disturbed run.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.place().join(RUN)
    }

    /// A file for records, with a number of its own.
    pub(super) fn record(&self) -> PathBuf {
        self.dir.join("log").join(format!("{:02}.strace", self.commands.len()))
    }

    /// Makes a run that nobody disturbs; what it leaves.
    pub(super) fn undisturbed(&mut self, settings: &Settings) -> anyhow::Result<Expected> {
        let record = self.record();
        let before = if self.has_strace() { injection::counting(&record) } else { vec![] };
        let since = Instant::now();
        self.in_place("undisturbed", &How::within(before), &settings.start(RUN))?;
        self.time = since.elapsed();
        if self.has_strace() {
            self.calls = Calls::of(&fs::read_to_string(&record)?);
        }
        Expected::of(&self.dir.join("undisturbed").join(RUN), settings.steps)
    }

    /// Lets the run that nobody disturbs go on to `steps`; what it leaves then.
    pub(super) fn undisturbed_to(&mut self, steps: u64) -> anyhow::Result<Expected> {
        self.in_place("undisturbed", &How::undisturbed(), &resume(RUN, Some(steps)))?;
        Expected::of(&self.dir.join("undisturbed").join(RUN), steps)
    }

    fn in_place(&mut self, place: &str, how: &How, arguments: &[String]) -> anyhow::Result<()> {
        let ended = self.started(&self.dir.join(place), how, arguments)?.end(&how.outside)?;
        ensure!(ended.code == Some(0), "an undisturbed run failed: {}", ended.about());
        Ok(())
    }

    fn started(&mut self, place: &Path, how: &How, arguments: &[String]) -> anyhow::Result<Started> {
        let log = self.dir.join("log").join(format!("{:02}", self.commands.len()));
        let mut words = how.before.clone();
        words.push(self.tools.program.to_string_lossy().into_owned());
        words.extend_from_slice(arguments);
        let outside = match &how.outside {
            Outside::Nothing => String::new(),
            outside => format!("  # {outside:?}"),
        };
        self.commands.push(shown(place, &words) + &outside);
        self.counts.runs += 1;
        Started::new(place, &words, &log, &how.outside)
    }

    /// Starts the program in the disturbed place.
    pub(super) fn launch(&mut self, how: &How, arguments: &[String]) -> anyhow::Result<Started> {
        self.started(&self.place(), how, arguments)
    }

    /// Runs the program in the disturbed place to its end, which must be one that is allowed.
    pub(super) fn run(&mut self, how: &How, arguments: &[String]) -> anyhow::Result<Ended> {
        let ended = self.launch(how, arguments)?.end(&how.outside)?;
        ended.is_allowed(how.signal)?;
        Ok(ended)
    }

    /// Runs the program, checks that it went on from the newest complete checkpoint, and notes how far the run has come.
    pub(super) fn run_on(&mut self, how: &How, arguments: &[String]) -> anyhow::Result<Ended> {
        let ended = self.run(how, arguments)?;
        self.went_on(&ended)?;
        let named = ended.checkpoints();
        let newest = look::complete(&self.run_dir()).last().copied();
        self.mark = self.mark.max(named.max(newest).unwrap_or(0));
        Ok(ended)
    }

    /// Fails if the process went on from less than what is known to be complete.
    fn went_on(&self, ended: &Ended) -> anyhow::Result<()> {
        let from = if ended.error.contains("it starts at step 1") { Some(0) } else { ended.resumed() };
        if let Some(from) = from {
            ensure!(
                from >= self.mark,
                "the run goes on from step {from}, although step {} was complete: {}",
                self.mark,
                ended.about()
            );
        }
        Ok(())
    }

    /// The arguments to try next: what has no configuration yet is started, all else is resumed.
    pub(super) fn next(&self, settings: &Settings, steps: Option<u64>) -> Vec<String> {
        if self.mark == 0 && !self.run_dir().join("config.toml").exists() {
            settings.start(RUN)
        } else {
            resume(RUN, steps)
        }
    }

    /// Lets the run go on until it is complete, with nobody disturbing it. Where no checkpoint is complete, one of
    /// `--resume` and `--out` has to do it; where one is, `--resume` has.
    pub(super) fn finish(&mut self, settings: &Settings, steps: Option<u64>) -> anyhow::Result<Ended> {
        let resumed = self.run_on(&How::undisturbed(), &resume(RUN, steps))?;
        if resumed.code == Some(0) {
            return Ok(resumed);
        }
        ensure!(
            self.mark == 0,
            "the run does not go on, although step {} was complete: {}",
            self.mark,
            resumed.about()
        );
        let started = self.run_on(&How::undisturbed(), &settings.start(RUN))?;
        ensure!(
            started.code == Some(0),
            "a dead end: --resume says: {}\nand --out says: {}",
            resumed.about(),
            started.about()
        );
        Ok(started)
    }

    /// A moment within the time that a run takes.
    fn moment(&mut self) -> Duration {
        // With strace, that run was slower than those to disturb.
        let most = self.time.as_micros() as u64 * if self.has_strace() { 2 } else { 3 } / 3;
        Duration::from_micros(self.random.between(0, most))
    }

    /// Sends a signal at a random system call, or at a random time.
    pub(super) fn signalled(&mut self, name: &'static str) -> How {
        let mut how = How { signal: Some(name), ..How::undisturbed() };
        if self.has_strace() && !self.random.one_in(4) {
            let (call, number) = injection::choose(&mut self.random, &self.calls);
            how.before = injection::words(call, &format!("signal={name}"), &number.to_string(), Path::new("/dev/null"));
        } else {
            how.outside = Outside::Signal(name, self.moment());
        }
        how
    }

    /// Adds to the list of commands what was done to the disk between two of them.
    pub(super) fn did(&mut self, what: String) {
        self.commands.push(format!("# {what}"));
    }

    /// Adds to the line that is printed of the round.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    pub(super) fn about(&self) -> String {
        self.notes.join(", ")
    }

    /// What to read about a round that failed.
    pub(super) fn report(&self) -> String {
        let commands = self.commands.join("\n  ");
        format!("  {commands}\nThe directory stays, with what was printed in log/: {}", self.dir.display())
    }

    /// Removes the place of a round that passed.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Ended {
    /// The step that it went on from, as it says.
    pub(super) fn resumed(&self) -> Option<u64> {
        let (_, rest) = self.error.split_once("resuming from step ")?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// The last step whose checkpoint it says is written.
    pub(super) fn checkpoints(&self) -> Option<u64> {
        last_checkpoint(&self.error)
    }

    /// Fails if the program panicked, or ended in a way that is not documented.
    pub(super) fn is_allowed(&self, signal: Option<&str>) -> anyhow::Result<()> {
        if self.code == Some(101) || self.error.contains("panicked") || self.output.contains("panicked") {
            bail!("the program panicked: {}", self.about());
        }
        if let Some(number) = self.signal {
            let sent = signal.and_then(|name| SIGNALS.iter().find(|(of, _)| *of == name)).map(|(_, number)| *number);
            ensure!(sent == Some(number), "signal {number} ended the program: {}", self.about());
            return Ok(());
        }
        // A library of the system that cannot be loaded: the program has not begun.
        let never_begun = self.code == Some(127) && self.error.contains("error while loading shared libraries");
        ensure!(matches!(self.code, Some(0 | 1)) || never_begun, "an exit code that is none: {}", self.about());
        Ok(())
    }

    /// In a few words, for an error.
    pub(super) fn about(&self) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (_, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        let lines: Vec<&str> = self.error.lines().collect();
        format!("{end}\n    | {}", lines[lines.len().saturating_sub(8)..].join("\n    | "))
    }
}

/// The last step whose checkpoint a text says is written.
pub(super) fn last_checkpoint(text: &str) -> Option<u64> {
    let named = |line: &str| look::step_of(line.strip_prefix("checkpoint ")?.rsplit('/').next()?);
    text.lines().filter_map(named).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, signal: Option<i32>, error: &str) -> Ended {
        Ended { code, signal, output: String::new(), error: error.to_owned() }
    }

    #[test]
    fn what_the_program_says_is_read() {
        let said = ended(Some(0), None, "run        r\nresuming from step 6\ncheckpoint r/checkpoints/step-0000009\n");
        assert_eq!((said.resumed(), said.checkpoints()), (Some(6), Some(9)));
        assert_eq!((ended(Some(0), None, "").resumed(), ended(Some(0), None, "").checkpoints()), (None, None));
    }

    #[test]
    fn panics_signals_and_odd_codes_are_not_allowed() {
        for (code, signal) in [(Some(0), None), (Some(1), None), (None, Some(9))] {
            assert!(ended(code, signal, "").is_allowed(Some("KILL")).is_ok());
        }
        for (code, signal) in
            [(Some(101), None), (Some(2), None), (Some(127), None), (None, Some(25)), (None, Some(13))]
        {
            assert!(ended(code, signal, "").is_allowed(Some("KILL")).is_err());
        }
        assert!(ended(None, Some(9), "").is_allowed(None).is_err());
        assert!(ended(Some(1), None, "thread 'main' panicked at x.rs").is_allowed(None).is_err());
        let loader = "sfumato: error while loading shared libraries: libm.so.6: cannot open shared object file";
        assert!(ended(Some(127), None, loader).is_allowed(None).is_ok());
    }
}
