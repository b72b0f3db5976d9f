//! Training checkpoints: a diffusers pipeline with the averaged weights, and in `training/` what it takes to go on.
//!
//! ```text
//! training/state.json             steps and examples done, seconds of training
//! training/config.toml            the run's configuration
//! training/data.json              what data it was trained on
//! training/weights.safetensors    the raw weights
//! training/optimizer.safetensors  exp_avg.NAME and exp_avg_sq.NAME for each parameter NAME
//! training/averages.safetensors    WIDTH.NAME for each average that is kept for afterwards, where there are some
//! training/held_out.json          the model's held-out score, where it has one
//! training/times.json             losses by step, where steps are drawn by importance
//! training/checksums.json         SHA-256 of the files that a run goes on from
//! ```
//!
//! The moving average is not stored twice: it is the pipeline's own weights, exact to the bit in `f32`.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use burn::{
    module::{AutodiffModule, Module},
    tensor::{Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use sfumato_files::{file_sha256, read_bytes, read_text};
use sfumato_kernels::{Adam, AdamState, Backend, PowerAverages};
use sfumato_model::Blueprint;
use sfumato_model::{
    params::{FileParams, write_parameters},
    pipeline::WEIGHTS_FILE,
    tensor_file::{NamedTensor, read_tensors, write_tensors},
};
use sfumato_nets::{
    Network,
    params::{named_parameters, parameters},
};
use sfumato_process::times::{ImportanceTimes, TimeSampler};

use crate::{
    DataRecord, TrainConfig, TrainError, averages,
    error::IoContext,
    held_out::{self, Measured},
    metrics::Window,
    write::write_atomically,
};

const DIR: &str = "training";
/// Longest record of losses that is read: that of the longest schedule.
const MAX_TIMES: u64 = 1 << 29;
const STATE: &str = "state.json";
const CHECKSUMS: &str = "checksums.json";
/// The tensors that a run goes on from.
const WEIGHTS: [&str; 3] =
    ["unet/diffusion_pytorch_model.safetensors", "training/weights.safetensors", "training/optimizer.safetensors"];
const FIRST_MOMENT: &str = "exp_avg.";
const SECOND_MOMENT: &str = "exp_avg_sq.";

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainState {
    /// Steps done.
    pub step: u64,
    /// Examples seen.
    pub examples: u64,
    /// Seconds of training so far, sampling and checkpoints left out.
    pub seconds: f64,
}

impl TrainState {
    /// Reads the state of the checkpoint in `dir`.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::BadCheckpoint`] if it is damaged.
    pub fn read(dir: &Path) -> Result<Self, TrainError> {
        read_json(&dir.join(DIR).join(STATE))
    }
}

/// `state.json`: how far a run has come, and what the next line of metrics has of it already.
#[derive(Serialize, Deserialize)]
struct StoredState {
    #[serde(flatten)]
    state: TrainState,
    #[serde(default)]
    since_last_metrics: Window,
}

/// What the next line of metrics has of the steps up to the checkpoint in `dir`.
pub(crate) fn read_window(dir: &Path) -> Result<Window, TrainError> {
    Ok(read_json::<StoredState>(&dir.join(DIR).join(STATE))?.since_last_metrics)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let text = read_text(path).context("read", path)?;
    let bad = |error: serde_json::Error| TrainError::BadCheckpoint { path: path.into(), reason: error.to_string() };
    serde_json::from_str(&text).map_err(bad)
}

/// Whether a run can go on from the checkpoint in `dir`: the files are there, and they are what was written.
///
/// # Errors
/// [`TrainError::BadCheckpoint`], [`TrainError::Net`] or [`TrainError::Io`] with the first file that is not whole.
pub(crate) fn check_whole(dir: &Path) -> Result<(), TrainError> {
    TrainState::read(dir)?;
    let checksums = dir.join(DIR).join(CHECKSUMS);
    if !checksums.exists() {
        // Of an older version: that its tensors can be read is all that can be known.
        return WEIGHTS.iter().try_for_each(|file| {
            read_tensors(&dir.join(file))?;
            Ok(())
        });
    }
    for (file, expected) in read_json::<BTreeMap<String, String>>(&checksums)? {
        let path = dir.join(file);
        if file_sha256(&path).context("read", &path)? != expected {
            return Err(TrainError::BadCheckpoint {
                path,
                reason: "it is damaged: it is not what was written (its SHA-256 differs)".to_owned(),
            });
        }
    }
    Ok(())
}

/// The name of a tensor that holds a value which is not finite, among the weights, their moments and their averages.
pub(crate) fn not_finite<B: Backend, M: burn::module::Module<B>>(model: &M, optimizer: &Adam<B>) -> Option<String> {
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    let mut parameters = named_parameters(model).into_iter().zip(optimizer.states());
    let (found, _) = parameters.find(|(parameter, state)| {
        let tensors = [Some(&state.m), Some(&state.v), state.ema.as_ref()];
        !finite(&parameter.values) || tensors.into_iter().flatten().any(|tensor| !finite(&host(tensor)))
    })?;
    Some(found.name)
}

/// How far a run has come, for a checkpoint.
pub(crate) struct Reached<'a, B: Backend> {
    pub(crate) state: TrainState,
    /// What the next line of metrics has already.
    pub(crate) since_last_metrics: Window,
    /// What importance sampling has seen.
    pub(crate) times: Option<&'a ImportanceTimes>,
    /// The model's held-out score.
    pub(crate) measured: Option<&'a Measured>,
    /// Averages for afterwards.
    pub(crate) averages: Option<&'a PowerAverages<B>>,
}

/// Adds `training/` to the pipeline in `dir`.
pub(crate) fn write_training<B: Backend, M: burn::module::Module<B>>(
    dir: &Path,
    config: &TrainConfig,
    data: &DataRecord,
    reached: Reached<'_, B>,
    model: &M,
    optimizer: &Adam<B>,
) -> Result<(), TrainError> {
    let Reached { state, since_last_metrics, times, measured, averages } = reached;
    let whole = dir;
    let dir = dir.join(DIR);
    fs::create_dir(&dir).context("create", &dir)?;
    data.write(whole)?;
    write_atomically(&dir.join("config.toml"), config.to_toml().as_bytes())?;
    write_parameters(model, &dir.join("weights.safetensors"))?;
    let mut moments = Vec::with_capacity(2 * optimizer.states().len());
    for (parameter, state) in named_parameters(model).into_iter().zip(optimizer.states()) {
        for (prefix, moment) in [(FIRST_MOMENT, &state.m), (SECOND_MOMENT, &state.v)] {
            moments.push(NamedTensor {
                name: format!("{prefix}{}", parameter.name),
                shape: parameter.shape.clone(),
                values: host(moment),
            });
        }
    }
    write_tensors(&dir.join("optimizer.safetensors"), &[("format", "pt")], &moments)?;
    if let Some(times) = times {
        let stored = StoredTimes { losses: times.losses().to_vec(), counts: times.counts().to_vec() };
        let text = serde_json::to_string(&stored).expect("plain numbers");
        write_atomically(&dir.join(TIMES), text.as_bytes())?;
    }
    if let Some(averages) = averages {
        averages::write(&whole.join(averages::FILE), &config.averages, model, averages)?;
    }
    if let Some(measured) = measured {
        let text = serde_json::to_string_pretty(measured).expect("plain numbers");
        write_atomically(&whole.join(held_out::FILE), (text + "\n").as_bytes())?;
    }
    let state = serde_json::to_string_pretty(&StoredState { state, since_last_metrics }).expect("plain numbers");
    write_atomically(&dir.join(STATE), (state + "\n").as_bytes())?;
    // Last, over all that was written before.
    let mut files: Vec<String> = WEIGHTS.iter().map(ToString::to_string).collect();
    files.extend([STATE, "config.toml", "data.json"].map(|name| format!("{DIR}/{name}")));
    files.extend(measured.map(|_| held_out::FILE.to_owned()));
    files.extend(averages.map(|_| averages::FILE.to_owned()));
    files.extend(times.map(|_| format!("{DIR}/{TIMES}")));
    let mut checksums = BTreeMap::new();
    for file in files {
        let path = whole.join(&file);
        checksums.insert(file, file_sha256(&path).context("read", &path)?);
    }
    let checksums = serde_json::to_string_pretty(&checksums).expect("plain text");
    write_atomically(&dir.join(CHECKSUMS), (checksums + "\n").as_bytes())
}

const TIMES: &str = "times.json";

/// [`ImportanceTimes`] as a file.
#[derive(Serialize, Deserialize)]
struct StoredTimes {
    losses: Vec<f64>,
    counts: Vec<usize>,
}

/// `times` with what importance sampling had seen at the checkpoint in `dir`: nothing where the run drew its steps otherwise.
pub(crate) fn read_times(dir: &Path, times: TimeSampler) -> Result<TimeSampler, TrainError> {
    let path = dir.join(DIR).join(TIMES);
    if !path.exists() {
        return Ok(times);
    }
    // As long as the schedule has steps: a limit of its own.
    let bytes = read_bytes(&path, MAX_TIMES).context("read", &path)?;
    let bad = |reason: String| TrainError::BadCheckpoint { path: path.clone(), reason };
    let StoredTimes { losses, counts } = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let history = ImportanceTimes::resumed(counts.len(), losses, counts);
    history.and_then(|history| times.with_history(history)).map_err(|error| bad(error.to_string()))
}

/// What a run goes on with.
pub(crate) struct Resumed<M, B: Backend> {
    pub(crate) model: M,
    pub(crate) optimizer: Adam<B>,
}

/// The model and the optimizer of the checkpoint in `dir`.
pub(crate) fn read_training<A, P, const D: usize>(
    dir: &Path,
    config: &TrainConfig,
    blueprint: &P,
    device: &A::Device,
) -> Result<Resumed<P::Net<A>, A::InnerBackend>, TrainError>
where
    A: sfumato_kernels::AutodiffBackend,
    P: Blueprint<D>,
    P::Net<A>: AutodiffModule<A>,
{
    let training = dir.join(DIR);
    let mut source = FileParams::open(&training.join("weights.safetensors"))?;
    let mut model: P::Net<A> = blueprint.build(&mut source, device)?;
    model.set_precision(config.training.precision);
    let moments_file = training.join("optimizer.safetensors");
    let averages_file = dir.join("unet").join(WEIGHTS_FILE);
    let mut moments = Tensors::read(&moments_file)?;
    let mut averages = Tensors::read(&averages_file)?;
    let mut states = Vec::new();
    for parameter in named_parameters(&model) {
        let take = |tensors: &mut Tensors, prefix: &str| {
            tensors.take::<A::InnerBackend>(&format!("{prefix}{}", parameter.name), &parameter.shape, device)
        };
        states.push(AdamState {
            m: take(&mut moments, FIRST_MOMENT)?,
            v: take(&mut moments, SECOND_MOMENT)?,
            ema: Some(take(&mut averages, "")?),
        });
    }
    let optimizer = Adam::resumed(&config.optimizer.adam(), states);
    let optimizer = with_matrices(optimizer, config, &model);
    Ok(Resumed { model, optimizer })
}

/// `optimizer` with the parameters of `model` that it moves by Muon, where the configuration wants that.
pub(crate) fn with_matrices<A: burn::tensor::backend::Backend, B: Backend>(
    optimizer: Adam<B>,
    config: &TrainConfig,
    model: &impl Module<A>,
) -> Adam<B> {
    let parameters = parameters(model);
    let named = parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.shape[..]));
    match config.optimizer.matrices(named) {
        Some(which) => optimizer.with_muon(which),
        None => optimizer,
    }
}

/// The tensors of a file, by name.
pub(crate) struct Tensors<'a> {
    path: &'a Path,
    by_name: HashMap<String, NamedTensor>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn read(path: &'a Path) -> Result<Self, TrainError> {
        let tensors = read_tensors(path)?;
        Ok(Self { path, by_name: tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect() })
    }

    pub(crate) fn take<B: Backend>(
        &mut self,
        name: &str,
        shape: &[usize],
        device: &B::Device,
    ) -> Result<Tensor<B, 1>, TrainError> {
        let bad = |reason| TrainError::BadCheckpoint { path: self.path.to_path_buf(), reason };
        let tensor = self.by_name.remove(name).ok_or_else(|| bad(format!("the tensor {name} is missing")))?;
        if tensor.shape != shape {
            return Err(bad(format!("the tensor {name} has the shape {:?}, the model needs {shape:?}", tensor.shape)));
        }
        let length = tensor.values.len();
        Ok(Tensor::from_data(TensorData::new(tensor.values, [length]), device))
    }
}

pub(crate) fn host<B: Backend>(tensor: &Tensor<B, 1>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}
