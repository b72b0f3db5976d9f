//! Measured processes: started when the machine is quiet, repeated when it was not, their numbers read from their output.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// CPU seconds that other processes may take in each second of a run, for it to count as undisturbed.
const QUIET: f64 = 0.05;

/// The numbers of a process, and the time from its start to its end.
#[derive(Debug)]
pub(in crate::commands) struct Output {
    lines: Vec<(String, String)>,
    pub(super) wall: f64,
}

impl Output {
    /// Every number that the process gave this name.
    pub(in crate::commands) fn numbers(&self, name: &str) -> Vec<f64> {
        self.lines.iter().filter(|(n, _)| n == name).filter_map(|(_, value)| value.parse().ok()).collect()
    }

    /// The one value with this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The one number with this name.
    pub(in crate::commands) fn number(&self, name: &str) -> anyhow::Result<f64> {
        self.numbers(name).first().copied().with_context(|| format!("the process printed no `{name}`"))
    }

    fn parse(text: &str, wall: f64) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Self { lines: pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(), wall }
    }
}

/// Runs a process and reads its numbers.
pub(in crate::commands) fn read(command: &mut Command) -> anyhow::Result<Output> {
    let start = Instant::now();
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("cannot run {name}"))?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(Output::parse(&String::from_utf8_lossy(&output.stdout), wall))
}

/// Runs processes one after the other while watching what else the machine does.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Seconds that may still go into waiting and repeating.
    patience: f64,
    pub(super) runs: usize,
    pub(super) disturbed: usize,
}

impl Quiet {
    pub(super) fn new(patience: f64) -> Self {
        Self { patience, runs: 0, disturbed: 0 }
    }

    /// The numbers of the first undisturbed run, or of the least disturbed one when patience runs out.
    pub(super) fn read(&mut self, command: &mut Command) -> anyhow::Result<Output> {
        self.wait();
        let (mut best, mut disturbance) = watched(command)?;
        while disturbance > QUIET && self.patience > best.wall {
            self.patience -= best.wall;
            self.wait();
            let (output, others) = watched(command)?;
            if others < disturbance {
                (best, disturbance) = (output, others);
            }
        }
        self.runs += 1;
        self.disturbed += usize::from(disturbance > QUIET);
        Ok(best)
    }

    fn wait(&mut self) {
        const STEP: f64 = 0.4;
        while self.patience > STEP {
            let Some(before) = busy_seconds() else { return };
            sleep(Duration::from_secs_f64(STEP));
            if busy_seconds().is_none_or(|after| after - before < QUIET * STEP) {
                return;
            }
            self.patience -= STEP;
        }
    }
}

/// A run, and the CPU seconds that other processes took in each second of it (0 where the system does not say).
fn watched(command: &mut Command) -> anyhow::Result<(Output, f64)> {
    let before = busy_seconds().zip(own_seconds());
    let output = read(command)?;
    let after = busy_seconds().zip(own_seconds());
    let others =
        before.zip(after).map_or(0.0, |((busy_0, own_0), (busy_1, own_1))| (busy_1 - busy_0) - (own_1 - own_0));
    let share = others / output.wall;
    Ok((output, share))
}

/// Linux counts in hundredths of a second wherever user programs look.
const TICKS: f64 = 100.0;

/// CPU seconds of the whole machine, all but idle and waiting for disks.
fn busy_seconds() -> Option<f64> {
    busy_ticks(&fs::read_to_string("/proc/stat").ok()?).map(|ticks| ticks / TICKS)
}

fn busy_ticks(stat: &str) -> Option<f64> {
    // user nice system idle iowait irq softirq steal
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    Some([0, 1, 2, 5, 6, 7].iter().map(|&i| fields.get(i).copied().unwrap_or(0.0)).sum())
}

/// CPU seconds of this process and the children it has waited for.
fn own_seconds() -> Option<f64> {
    own_ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks / TICKS)
}

fn own_ticks(stat: &str) -> Option<f64> {
    // The name, in parentheses, may hold anything; then utime, stime, cutime and cstime are fields 14 to 17 of the line.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<f64>().ok()).sum()
}

/// The middle value, or the mean of the two in the middle; NaN for none.
pub(in crate::commands) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_name() {
        let output = Output::parse("seconds 0.5\nnoise\nseconds 1.5\ntorch 2.15.0+cu\n", 3.0);
        assert_eq!(output.numbers("seconds"), [0.5, 1.5]);
        assert_eq!(output.text("torch"), Some("2.15.0+cu"));
        assert!(output.number("loss").unwrap_err().to_string().contains("`loss`"));
    }

    #[test]
    fn a_failing_process_says_what_it_said() {
        let error =
            read(Command::new(std::env::var("CARGO").unwrap_or("cargo".into())).arg("no-such-command")).unwrap_err();
        assert!(error.to_string().contains("no-such-command"), "{error}");
    }

    #[test]
    fn busy_time_leaves_out_idling() {
        assert_eq!(busy_ticks("cpu  10 1 5 1000 50 2 3 4 0 0\ncpu0 1\n"), Some(25.0));
        let line = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 100 20 3000 400 20 0";
        assert_eq!(own_ticks(line), Some(3520.0));
    }

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
