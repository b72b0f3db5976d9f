//! The averages of a run in progress, and their files.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::{Backend, PowerAverages};
use sfumato_model::tensor_file::{NamedTensor, read_tensors, write_tensors};
use sfumato_nets::params::parameters;

use super::exponents;
use crate::{Run, TrainError, config::AveragesConfig, error::IoContext};

/// Where a checkpoint keeps its averages.
pub(crate) const FILE: &str = "training/averages.safetensors";

/// The averages with which a run starts, or goes on after `step`; none where its configuration asks for none. Those that were taken later
/// are removed: the run makes its own.
pub(crate) fn start<B: Backend, M: Module<B>>(
    run: &Run<'_>,
    step: u64,
    model: &M,
    device: &B::Device,
) -> Result<Option<PowerAverages<B>>, TrainError> {
    remove_later(&run.dir.averages(), step)?;
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
    let shapes: Vec<(String, Vec<usize>)> = parameters(model).into_iter().map(|p| (p.name, p.shape)).collect();
    for (width, values) in config.widths.iter().zip(averages.values()) {
        for ((name, shape), value) in shapes.iter().zip(values) {
            let values = value.to_data().convert::<f32>().into_vec().expect("the data was just converted to f32");
            tensors.push(NamedTensor { name: format!("{width}.{name}"), shape: shape.clone(), values });
        }
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
    let mut stored: HashMap<String, NamedTensor> =
        read_tensors(&path)?.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let mut values = Vec::new();
    for width in &config.widths {
        let mut of_width = Vec::new();
        for parameter in parameters(model) {
            let name = format!("{width}.{}", parameter.name);
            let found = stored.remove(&name).filter(|tensor| tensor.shape == parameter.shape);
            let Some(NamedTensor { values, .. }) = found else {
                let reason = format!("the tensor {name} is missing, or not of the shape {:?}", parameter.shape);
                return Err(TrainError::BadCheckpoint { path, reason });
            };
            let length = values.len();
            of_width.push(Tensor::from_data(TensorData::new(values, [length]), device));
        }
        values.push(of_width);
    }
    Ok(Some(PowerAverages::resumed(&exponents(&config.widths), values)))
}

/// The file of the averages after `step` in the folder `dir`.
pub(crate) fn snapshot(dir: &Path, step: u64) -> PathBuf {
    dir.join(format!("step-{step:07}.safetensors"))
}

/// The averages in the folder `dir`, which need not be there, by their steps.
pub(super) fn snapshots(dir: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>().context("read", dir)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TrainError::Io { action: "read", path: dir.to_path_buf(), source }),
    };
    let step = |path: &Path| -> Option<u64> {
        let digits = path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
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
