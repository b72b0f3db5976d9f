//! The device that is looked at, and the programs that use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use super::super::bench::machine;
use super::Options;
use crate::cargo;

/// A network of a few thousand parameters, for software rasterisers.
const TINY: &str = "--set model.channels=[8,16] --set model.attention=[false,true] --set model.groups=4 \
                    --set model.blocks_per_level=1 --batch-size 4";

/// The programs, built for the backend, and where they work.
pub(super) struct Device {
    pub(super) options: Options,
    pub(super) folder: PathBuf,
    /// The program that measures times.
    pub(super) measured: PathBuf,
    sfumato: PathBuf,
}

/// What a program said, and how long it took.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stderr: String,
    pub(super) seconds: f64,
}

impl Device {
    /// Builds both programs. Runs and samples of an earlier call are removed, its kernels are kept.
    pub(super) fn set_up(options: &Options, folder: &Path) -> anyhow::Result<Device> {
        let program = |package: &str, name: &str| match &options.programs {
            Some(dir) => {
                dir.join(name).canonicalize().with_context(|| format!("there is no {name} in {}", dir.display()))
            }
            None => cargo::build(package, name, std::slice::from_ref(&options.backend))?
                .with_context(|| format!("{name} cannot be built")),
        };
        let (sfumato, measured) = (program("sfumato-cli", "sfumato")?, program("sfumato-bench", "sfumato-bench")?);
        for part in ["runs", "samples"] {
            let path = folder.join(part);
            if path.exists() {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Device { options: options.clone(), folder: folder.to_owned(), measured, sfumato })
    }

    /// What the driver calls the device, as far as that can be asked from outside.
    pub(super) fn name(&self) -> String {
        match self.options.backend.as_str() {
            "cuda" => {
                let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
                let first = visible.split(',').next().filter(|id| !id.is_empty()).unwrap_or("0");
                let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
                machine::first_line(Command::new("nvidia-smi").args(query).arg(format!("--id={first}")))
            }
            other => format!("the first {other} device"),
        }
    }

    /// Where kernels and what tuning found are kept: not the user's own folder, so that a first start is one.
    pub(super) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Takes the kept kernels away.
    pub(super) fn forget_kernels(&self) -> anyhow::Result<()> {
        let cache = self.cache();
        if cache.exists() {
            fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
        }
        Ok(())
    }

    /// Runs `sfumato` in the folder.
    pub(super) fn sfumato(&self, arguments: &str, on_device: bool) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.sfumato);
        let backend = if on_device { self.options.backend.as_str() } else { "flex" };
        command.args(arguments.split_whitespace()).args(["--backend", backend]);
        command.current_dir(&self.folder).env("SFUMATO_CACHE", self.cache());
        let start = Instant::now();
        let output = command.output().with_context(|| format!("cannot run {}", self.sfumato.display()))?;
        let seconds = start.elapsed().as_secs_f64();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("sfumato {arguments}: {}\n{}", output.status, stderr.trim_end());
        }
        Ok(Said { stderr, seconds })
    }

    /// Trains the default network, or a tiny one, for `steps` steps: the directory of the run.
    pub(super) fn train(&self, name: &str, steps: u64, on_device: bool) -> anyhow::Result<(PathBuf, Said)> {
        let run = self.folder.join("runs").join(name);
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
        }
        let tiny = if self.options.quick { TINY } else { "" };
        let said = self.sfumato(
            &format!(
                "train --out runs/{name} --steps {steps} --minutes 0 --sample-every 0 --set samples.num=1 --set samples.steps=1 \
                 --set held_out.every=0 --set training.log_every=1 {tiny}"
            ),
            on_device,
        )?;
        Ok((run, said))
    }
}
