//! What can go wrong with a model between its directory and its samples.

use std::path::PathBuf;

use sfumato_nets::InputError;
use sfumato_process::{NoiseError, bound::BoundError, flow::FlowError, sampler::SampleError};
use sfumato_schedule::ScheduleError;

use crate::{fitted::FitFileError, pipeline::PipelineError};

/// Why a model could not be opened, sampled or scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The directory or its weights.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A value that no model of this kind takes.
    #[error("{option} {value}: {reason}")]
    Value {
        /// The option, by its name in the builder: `steps`, `eta`, `image_size`, …
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// A value that does not suit this model.
    #[error("{option} {value}: {reason}")]
    Unfit {
        /// The option, by its name in the builder: `class`, `guidance`, …
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The model cannot be used as it is.
    #[error("{}: {reason}", dir.display())]
    Model {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Noise that does not suit the samples.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The drawing has not reached its end.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The score could not be computed.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// The likelihood by the flow could not be computed.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// There is no fit of the model, or none that can be used.
    #[error(transparent)]
    Fit(#[from] FitFileError),
    /// The data does not fit the network.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Samples that are no pictures.
    #[error("samples of shape {shape:?} are no pictures: expected [1, 3 or 4 channels, height, width]")]
    NoPicture {
        /// Shape of one sample.
        shape: Vec<usize>,
    },
    /// A sample that was not drawn.
    #[error("sample {index} (from 0) is not among the {count} that were drawn")]
    NoSample {
        /// The sample.
        index: usize,
        /// How many there are.
        count: usize,
    },
}
