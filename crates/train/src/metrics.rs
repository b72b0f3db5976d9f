//! `metrics.jsonl`: one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sfumato_files::open_regular;

use crate::{Score, TrainError, error::IoContext, write::write_atomically};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps done, from 1.
    pub step: u64,
    /// Examples seen so far.
    pub examples: u64,
    /// Mean over the steps since the last line of what is minimised: the loss and the weight of `[objective]`, so that runs with different
    /// ones cannot be compared by it. A density does not change its expectation, unless it has `unbiased = false`.
    pub loss: f64,
    /// Norm of this step's gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// This step's learning rate.
    pub learning_rate: f64,
    /// Examples a second since the last line, sampling and checkpoints left out.
    pub images_per_second: f64,
    /// Seconds of training since the run began, over all its resumptions.
    pub seconds: f64,
    /// The score of the averaged weights on examples that are not trained on, where it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Score>,
    /// The same on as many examples that are trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_examples: Option<Score>,
}

/// The steps since the last line. A checkpoint keeps it, so that a line means the same however often the run was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Sum of the losses.
    pub(crate) loss: f64,
    pub(crate) steps: u64,
    pub(crate) examples: u64,
    pub(crate) seconds: f64,
    /// Gradient norm of the last step, for a line that waits for its score.
    #[serde(default)]
    pub(crate) grad_norm: f64,
}

/// The open file.
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
}

/// A log that was opened, and what had to be taken out of it.
pub(crate) struct OpenedLog {
    pub(crate) log: MetricsLog,
    /// A sentence about damaged lines, where there were some.
    pub(crate) warning: Option<String>,
}

impl MetricsLog {
    /// Opens `path` for a run that has done `step` steps: lines of later steps, left by a run that was stopped after its last
    /// checkpoint, are cut off, so that every step stands once.
    ///
    /// Damaged lines are left out; the file with them is kept beside the new one.
    pub(crate) fn open(path: &Path, step: u64) -> Result<OpenedLog, TrainError> {
        let mut bytes = Vec::new();
        match open_regular(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(TrainError::Io { action: "read", path: path.to_path_buf(), source }),
        }
        let Lines { kept, damaged } = Lines::of(&bytes, step);
        let mut warning = None;
        if let [first, ..] = damaged[..] {
            let whole = write_beside(path, &bytes)?;
            let lines = if damaged.len() == 1 { "line is" } else { "lines are" };
            warning = Some(format!(
                "{}: {} damaged {lines} left out (the first is line {first}); the file as it was is now {}",
                path.display(),
                damaged.len(),
                whole.display()
            ));
        }
        if kept != bytes || bytes.is_empty() {
            write_atomically(path, &kept)?;
        }
        let file = OpenOptions::new().append(true).open(path).context("open", path)?;
        Ok(OpenedLog { log: Self { path: path.to_path_buf(), file }, warning })
    }

    /// Appends a line.
    pub(crate) fn write(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(metrics).expect("plain numbers");
        line.push('\n');
        self.file.write_all(line.as_bytes()).context("write", &self.path)
    }

    /// Waits until every line is on the device: a checkpoint must not be there before the lines of its steps.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().context("write", &self.path)
    }
}

/// The lines of a file.
struct Lines {
    /// Those that are valid and not of a later step, in order.
    kept: Vec<u8>,
    /// Numbers, from 1, of those that are no metrics.
    damaged: Vec<usize>,
}

impl Lines {
    fn of(bytes: &[u8], step: u64) -> Self {
        let (mut kept, mut damaged, mut last) = (Vec::new(), Vec::new(), None);
        for (number, line) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            match serde_json::from_slice::<Metrics>(line) {
                Ok(metrics) if metrics.step > step => {}
                // Two processes wrote it, before there was a lock: each step stands once.
                Ok(metrics) if last.is_some_and(|last| metrics.step <= last) => damaged.push(number),
                Ok(metrics) => {
                    last = Some(metrics.step);
                    kept.extend_from_slice(line.trim_ascii_end());
                    kept.push(b'\n');
                }
                // Cut short by a crash: it is of a step that is done again.
                Err(_) if !line.ends_with(b"\n") => {}
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) => damaged.push(number),
            }
        }
        Self { kept, damaged }
    }
}

/// Keeps `bytes` as `metrics.jsonl.damaged`, or under the next such name that is free.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, TrainError> {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if n == 1 { ".damaged".to_owned() } else { format!(".damaged-{n}") });
        PathBuf::from(name)
    };
    let free = (1..).map(name).find(|path| !path.exists()).expect("an endless iterator");
    write_atomically(&free, bytes)?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(step: u64) -> String {
        let metrics = Metrics {
            step,
            examples: 8 * step,
            loss: 0.1,
            grad_norm: 1.0,
            learning_rate: 1e-3,
            images_per_second: 2.0,
            seconds: 0.5,
            held_out: None,
            training_examples: None,
        };
        serde_json::to_string(&metrics).unwrap() + "\n"
    }

    fn steps(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str::<Metrics>(line).unwrap().step).collect()
    }

    #[test]
    fn lines_of_later_steps_and_half_a_line_are_cut_off_without_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let text: String = (1..=5).map(line).collect();
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        let mut opened = MetricsLog::open(&path, 3).unwrap();
        assert_eq!((steps(&path), opened.warning.is_none()), (vec![1, 2, 3], true));
        opened.log.write(&serde_json::from_str(&line(4)).unwrap()).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4]);
    }

    #[test]
    fn a_damaged_line_costs_itself_alone_and_the_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        for damage in [&b"{\"step\": 3, \"los"[..], b"\xff\xfe\x00", b"\0\0\0\0", line(2).trim_end().as_bytes()] {
            let mut bytes: Vec<u8> = [line(1), line(2)].concat().into();
            bytes.extend(damage);
            bytes.extend(b"\n");
            bytes.extend([line(4), line(5), line(6)].concat().bytes());
            fs::write(&path, &bytes).unwrap();
            let warning = MetricsLog::open(&path, 5).unwrap().warning.expect("damage is said");
            assert!(warning.contains("1 damaged line") && warning.contains("line 3"), "{warning}");
            assert_eq!(steps(&path), [1, 2, 4, 5]);
            let kept = warning.rsplit_once("now ").unwrap().1;
            assert_eq!(fs::read(kept).unwrap(), bytes);
        }
    }
}
