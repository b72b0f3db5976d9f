//! `metrics.jsonl`: one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{TrainError, error::IoContext};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps done, from 1.
    pub step: u64,
    /// Examples seen so far.
    pub examples: u64,
    /// Mean of `L_simple` over the steps since the last line.
    pub loss: f64,
    /// Norm of this step's gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// This step's learning rate.
    pub learning_rate: f64,
    /// Examples a second since the last line, sampling and checkpoints left out.
    pub images_per_second: f64,
    /// Seconds of training since the run began, over all its resumptions.
    pub seconds: f64,
}

/// The open file.
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens `path` for a run that has done `step` steps: lines of later steps, left by a run that was stopped after its last
    /// checkpoint, are cut off, so that every step stands once.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        let mut kept = String::new();
        if path.exists() {
            for line in BufReader::new(File::open(path).context("open", path)?).lines() {
                let line = line.context("read", path)?;
                match serde_json::from_str::<Metrics>(&line) {
                    Ok(metrics) if metrics.step <= step => {
                        kept.push_str(&line);
                        kept.push('\n');
                    }
                    // Later than the checkpoint, or cut short by a crash.
                    _ => break,
                }
            }
        }
        crate::run_dir::write_atomically(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).context("open", path)?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line.
    pub(crate) fn write(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(metrics).expect("plain numbers");
        line.push('\n');
        self.file.write_all(line.as_bytes()).context("write", &self.path)
    }
}
