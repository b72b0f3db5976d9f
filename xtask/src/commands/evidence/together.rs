//! Jobs that run at the same time.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::job::Job;
use super::kept::Command;
use super::work::Work;

/// How often the jobs are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How far a job is.
enum State {
    Waiting,
    Running(Child, Instant),
    Done(Command),
    /// Why it failed.
    Failed(String),
}

impl State {
    fn ended(&self) -> bool {
        matches!(self, State::Done(_) | State::Failed(_))
    }
}

impl Work {
    /// Starts all jobs, each when its turn has come, and waits for all of them; the error is that of the first in the list that failed.
    /// The seconds of a job count from its own start.
    pub(super) fn start_and_wait(&self, jobs: &[Job]) -> anyhow::Result<Vec<Command>> {
        let mut states: Vec<State> = jobs.iter().map(|_| State::Waiting).collect();
        while !states.iter().all(State::ended) {
            for place in 0..jobs.len() {
                if let Some(next) = self.next(jobs, &mut states, place).unwrap_or_else(failed) {
                    states[place] = next;
                }
            }
            thread::sleep(LOOK);
        }
        let mut done = Vec::new();
        for state in states {
            match state {
                State::Done(command) => done.push(command),
                State::Failed(why) => bail!(why),
                State::Waiting | State::Running(..) => {}
            }
        }
        Ok(done)
    }

    /// What a job becomes now; none if it stays as it is.
    fn next(&self, jobs: &[Job], states: &mut [State], place: usize) -> anyhow::Result<Option<State>> {
        let job = &jobs[place];
        match &mut states[place] {
            State::Waiting => {
                let its_turn = self.its_turn(job, jobs, states)?;
                Ok(if its_turn { Some(State::Running(self.start(job)?, Instant::now())) } else { None })
            }
            State::Running(child, start) => {
                let status = child.try_wait().with_context(|| format!("cannot wait for {}", job.shown()))?;
                let Some(status) = status else { return Ok(None) };
                if !status.success() {
                    bail!("{}: {status}{}", job.shown(), self.last_words(job));
                }
                let (command, seconds) = (job.shown(), start.elapsed().as_secs_f64());
                let command = Command { command, seconds, revision: self.revision.clone() };
                self.take_down(job, Some(&command))?;
                Ok(Some(State::Done(command)))
            }
            State::Done(_) | State::Failed(_) => Ok(None),
        }
    }

    /// Whether the job that this one waits for has printed its line.
    fn its_turn(&self, job: &Job, jobs: &[Job], states: &[State]) -> anyhow::Result<bool> {
        let Some(after) = &job.after else { return Ok(true) };
        let other = jobs.iter().position(|other| other.name == after.job);
        let other = other.with_context(|| format!("{} waits for {}, which does not run", job.name, after.job))?;
        if matches!(states[other], State::Waiting) {
            return Ok(false);
        }
        // Before the output is read: what ends in between has its last lines there the next time.
        let ended = states[other].ended();
        let path = self.step(&jobs[other], "out");
        // Not UTF-8 where a character is only half written.
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let said = String::from_utf8_lossy(&text).lines().any(|line| line.starts_with(&after.line));
        if !said && ended {
            bail!("{} ended before it printed `{}`, for which {} waits", after.job, after.line.trim(), job.name);
        }
        Ok(said)
    }
}

fn failed(error: anyhow::Error) -> Option<State> {
    Some(State::Failed(format!("{error:#}")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::work::tests::{shell, work};
    use super::*;

    #[test]
    fn a_job_starts_when_the_other_has_printed_its_line() {
        let work = work("after");
        let first =
            shell(&work, "first", "echo variants; sleep 0.3; echo there > ready; echo variant eager; sleep 0.3");
        let second = shell(&work, "second", "cat ready").after(&first, "variant ");
        assert_eq!(work.together(&[second.clone(), first.clone()]).unwrap()[0], "there\n");
        let seconds: Vec<f64> = work.commands.borrow().iter().map(|command| command.seconds).collect();
        assert!(seconds[1] >= 0.6 && seconds[0] < seconds[1] - 0.2, "from the own start of each: {seconds:?}");
        fs::remove_dir_all(&work.folder).unwrap();
    }

    #[test]
    fn a_line_that_does_not_come_is_an_error() {
        let work = work("never");
        let silent = shell(&work, "silent", "echo other");
        let waiting = shell(&work, "waiting", "echo > started").after(&silent, "variant ");
        let error = work.together(&[silent.clone(), waiting.clone()]).unwrap_err().to_string();
        assert_eq!(error, "silent ended before it printed `variant`, for which waiting waits");
        let broken = shell(&work, "broken", "exit 3");
        let waiting = waiting.after(&broken, "variant ");
        let error = work.together(&[broken, waiting.clone()]).unwrap_err().to_string();
        assert!(error.contains("exit 3"), "the cause and not the consequence: {error}");
        let error = work.together(&[silent, waiting]).unwrap_err().to_string();
        assert!(error.contains("broken, which does not run"), "{error}");
        assert!(!work.path("started").exists());
        fs::remove_dir_all(&work.folder).unwrap();
    }
}
