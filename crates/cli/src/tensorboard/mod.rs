//! TensorBoard's event files: every number of `metrics.jsonl` as a scalar, every grid of `samples/` as a picture.
//!
//! Written here, in two small files: `event` has the handful of protocol-buffer fields that TensorBoard reads, `record` the frames
//! around them. The crates that do the same are not kept up, or bring a compiler of protocol buffers with them.

mod event;
mod record;

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sfumato_files::{open_regular, read_bytes};

use crate::report::numbers;

/// Longest picture that is written.
const LONGEST_PICTURE: u64 = 64 << 20;

/// An event file that is being written.
pub(crate) struct Board {
    path: PathBuf,
    file: File,
    /// The run's `metrics.jsonl`, and up to where it was read.
    metrics: PathBuf,
    read: u64,
    /// The last step whose lines are not written, or are written already.
    after: f64,
}

/// Makes the directory of the events, and tries whether a file can be made there.
///
/// # Errors
/// If it cannot.
pub(crate) fn check(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let trial = dir.join(format!(".sfumato-{}", std::process::id()));
    File::create(&trial)
        .and_then(|_| fs::remove_file(&trial))
        .with_context(|| format!("cannot write in {}", dir.display()))
}

impl Board {
    /// A new file in `dir` for the run in `run`. Files of earlier parts of the run stay beside it.
    pub(crate) fn create(dir: &Path, run: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let seconds = now() as u64;
        let name = |n: u32| dir.join(format!("events.out.tfevents.{seconds:010}.sfumato.{}.{n}", std::process::id()));
        let path = (0..).map(name).find(|path| !path.exists()).expect("an endless iterator");
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let mut board = Self { path, file, metrics: run.join("metrics.jsonl"), read: 0, after: -1.0 };
        board.write(&event::version(now()))?;
        Ok(board)
    }

    /// The run begins, or goes on, after `step`.
    pub(crate) fn begin(&mut self, step: u64) {
        self.after = if step == 0 { -1.0 } else { step as f64 };
    }

    /// Writes what `metrics.jsonl` has got since the last time.
    pub(crate) fn metrics(&mut self) -> Result<()> {
        let failed = || format!("cannot read {}", self.metrics.display());
        let mut file = open_regular(&self.metrics).with_context(failed)?;
        let length = file.metadata().with_context(failed)?.len();
        if length < self.read {
            self.read = 0; // cut back to a checkpoint; `after` knows what was written
        }
        file.seek(SeekFrom::Start(self.read)).with_context(failed)?;
        let (mut reader, mut line) = (BufReader::new(file), Vec::new());
        let mut events = Vec::new();
        while reader.read_until(b'\n', &mut line).with_context(failed)? > 0 && line.ends_with(b"\n") {
            self.read += line.len() as u64;
            let value: Value = serde_json::from_slice(&line).unwrap_or_default();
            if let Some(step) = value.get("step").and_then(Value::as_f64).filter(|step| *step > self.after) {
                let mut scalars = Vec::new();
                numbers(&value, &mut String::new(), &mut |key, number| scalars.push((key.to_owned(), number as f32)));
                events.push((step, event::scalars(now(), step as i64, &scalars)));
            }
            line.clear();
        }
        for (step, event) in events {
            self.write(&event)?;
            self.after = step;
        }
        Ok(())
    }

    /// Writes a grid of samples: a PNG file whose name ends in its step.
    pub(crate) fn picture(&mut self, path: &Path) -> Result<()> {
        let png = read_bytes(path, LONGEST_PICTURE).with_context(|| format!("cannot read {}", path.display()))?;
        let (width, height) =
            image::image_dimensions(path).with_context(|| format!("cannot read {}", path.display()))?;
        let step = path.file_stem().and_then(|name| name.to_str()?.strip_prefix("step-")?.parse().ok()).unwrap_or(0);
        self.write(&event::picture(now(), step, "samples", [width, height], &png))
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        let written = self.file.write_all(&record::frame(event)).and_then(|()| self.file.flush());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
