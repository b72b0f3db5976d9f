//! Ranks that are killed again and again: every job ends, and the run goes on to the bits of one that nobody has disturbed.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::job::{is_running, mpirun, process_of, ranks, signal, succeed, wait_for};
use crate::common::{self, Choices, POINTS, learned, stderr};

/// Kills, unless `SFUMATO_KILLS` says how many.
const KILLS: u64 = 5;
/// More steps than a job makes.
const MANY: &str = "1000000";
/// A job lives this long at most, so that kills come while it starts, trains and writes.
const LONGEST: Duration = Duration::from_millis(2500);
/// All ranks have ended so soon after a kill. `mpirun` itself takes three seconds, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The run that is disturbed.
struct Run {
    root: PathBuf,
}

impl Run {
    const NAME: &str = "killed";

    /// The step of its newest checkpoint; none before the first.
    fn newest(&self) -> Option<u64> {
        let model = fs::read_link(self.root.join(Self::NAME).join("model")).ok()?;
        model.to_str()?.rsplit_once('-')?.1.parse().ok()
    }

    /// Starts it, or goes on with it where it has been started, be it from the first step.
    fn arguments(&self, base: &[&'static str]) -> Vec<&'static str> {
        if self.root.join(Self::NAME).join("config.toml").is_file() {
            return vec!["train", "--resume", Self::NAME, "--steps", MANY];
        }
        [&["train", "--out", Self::NAME, "--steps", MANY], base].concat()
    }

    /// Kills a random rank of a job of this many at a random time.
    fn kill(&self, number: u64, base: &[&'static str], choices: &mut Choices) {
        let before = self.newest();
        let (words, arguments) = (number.to_string(), self.arguments(base));
        let job =
            mpirun(&self.root).args(ranks(&words, &arguments)).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let job = job.expect("mpirun is there");
        thread::sleep(Duration::from_millis(choices.below(LONGEST.as_millis() as u64)));
        let rank = choices.below(number) as usize;
        let mut process = None;
        wait_for("process of the rank", || {
            process = process_of(job.id(), rank);
            process.is_some()
        });
        signal("-KILL", process.expect("it was waited for"));
        let killed = Instant::now();
        let output = job.wait_with_output().unwrap();
        let said = stderr(&output);
        assert!(!output.status.success() && !said.contains("panicked"), "{said}");
        wait_for("end of the others", || !is_running(Self::NAME, &self.root));
        assert!(killed.elapsed() < PATIENCE, "the end came {:?} after the kill:\n{said}", killed.elapsed());
        let now = self.newest();
        println!("{number} ranks, rank {rank} killed: from {before:?} to {now:?}");
        assert!(now >= before, "a checkpoint was lost:\n{said}");
    }
}

#[test]
fn ranks_killed_at_random_times_leave_a_run_that_goes_on_to_the_same_bits() {
    let kills = std::env::var("SFUMATO_KILLS").map_or(KILLS, |text| text.parse().expect("SFUMATO_KILLS is a number"));
    let dir = tempfile::tempdir().unwrap();
    let mut choices = Choices::new();
    // A rate that does not depend on how many steps a call asks for.
    let own = ["--checkpoint-every", "20", "--shards", "4", "--threads", "1", "--set", "optimizer.decay=constant"];
    let base = [&own[..], POINTS].concat();
    let run = Run { root: dir.path().to_owned() };
    for _ in 0..kills {
        let number = 2 + choices.below(3);
        run.kill(number, &base, &mut choices);
    }
    let end = (run.newest().unwrap_or(0) + 7).to_string();
    let mut arguments = run.arguments(&base);
    let steps = arguments.iter().position(|word| *word == MANY).unwrap();
    arguments[steps] = &end;
    succeed(&run.root, "3", &arguments);
    common::succeed(&run.root, &[&["train", "--out", "whole", "--steps", &end], &base[..]].concat());
    let step = end.parse().unwrap();
    assert!(learned(&run.root.join(Run::NAME), step) == learned(&run.root.join("whole"), step));
}
