//! The averages of a run in progress, and their files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use burn::module::Module;
use sfumato_kernels::{Backend, PowerAverages};
use sfumato_model::tensor_file::{NamedTensor, write_tensors};
use sfumato_nets::params::{Parameter, parameters};

use super::exponents;
use crate::{
    Run, TrainError,
    checkpoint::{Tensors, host},
    config::AveragesConfig,
    error::IoContext,
    run_dir::{step_name, step_of},
};

/// Where a checkpoint keeps its averages.
pub(crate) const FILE: &str = "training/averages.safetensors";

/// The averages with which a run starts, or goes on after `step`; none where its configuration asks for none. Those that were taken later
/// are removed, also where their checkpoints were set aside: the run makes its own.
pub(crate) fn start<B: Backend, M: Module<B>>(
    run: &Run<'_>,
    step: u64,
    model: &M,
    device: &B::Device,
) -> Result<Option<PowerAverages<B>>, TrainError> {
    if run.ranks.leads() {
        remove_later(&run.dir.averages(), step)?;
    }
    let config = &run.config.averages;
    match run.from {
        Some(from) => read(&from.path, config, model, device),
        None => Ok((!config.widths.is_empty()).then(|| PowerAverages::new(&exponents(&config.widths), model))),
    }
}

/// Writes the averages to a file, whole or not at all.
pub(crate) fn write<B: Backend, M: Module<B>>(
    path: &Path,
    config: &AveragesConfig,
    model: &M,
    averages: &PowerAverages<B>,
) -> Result<(), TrainError> {
    let mut tensors = Vec::new();
    let parameters = parameters(model);
    for (&width, values) in config.widths.iter().zip(averages.values()) {
        tensors.extend(parameters.iter().zip(values).map(|(parameter, value)| NamedTensor {
            name: name(width, &parameter.name),
            shape: parameter.shape.clone(),
            values: host(value),
        }));
    }
    Ok(write_tensors(path, &[("format", "pt")], &tensors)?)
}

/// The averages with which a run goes on from the checkpoint in `dir`; none where the configuration asks for none.
///
/// # Errors
/// [`TrainError::BadCheckpoint`] if they are not those of the configuration and the model.
fn read<B: Backend, M: Module<B>>(
    dir: &Path,
    config: &AveragesConfig,
    model: &M,
    device: &B::Device,
) -> Result<Option<PowerAverages<B>>, TrainError> {
    if config.widths.is_empty() {
        return Ok(None);
    }
    let path = dir.join(FILE);
    let mut stored = Tensors::read(&path)?;
    let parameters = parameters(model);
    let mut of_width = |width: &f64| {
        let take = |parameter: &Parameter<B>| stored.take(&name(*width, &parameter.name), &parameter.shape, device);
        parameters.iter().map(take).collect::<Result<Vec<_>, _>>()
    };
    let values = config.widths.iter().map(&mut of_width).collect::<Result<_, _>>()?;
    Ok(Some(PowerAverages::resumed(&exponents(&config.widths), values)))
}

/// The name of a parameter's average.
pub(super) fn name(width: f64, parameter: &str) -> String {
    format!("{width}.{parameter}")
}

/// The file of the averages after `step` in the folder `dir`.
pub(crate) fn snapshot(dir: &Path, step: u64) -> PathBuf {
    dir.join(format!("{}.safetensors", step_name(step)))
}

/// The averages in the folder `dir`, which need not be there, by their steps.
pub(super) fn snapshots(dir: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>().context("read", dir)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TrainError::Io { action: "read", path: dir.to_path_buf(), source }),
    };
    let step = |path: &Path| -> Option<u64> { step_of(path.file_name()?.to_str()?.strip_suffix(".safetensors")?) };
    let mut found: Vec<(u64, PathBuf)> =
        entries.into_iter().filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
    found.sort();
    Ok(found)
}

/// Removes the averages that were taken after `step`: a run that goes on from there makes its own.
fn remove_later(dir: &Path, step: u64) -> Result<(), TrainError> {
    for (_, path) in snapshots(dir)?.iter().filter(|(taken, _)| *taken > step) {
        fs::remove_file(path).context("remove", path)?;
    }
    Ok(())
}
