//! Training of diffusion models: the loop, its checkpoints and runs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`] | everything that decides a run, as TOML, and the presets |
//! | [`Run`] | the training loop |
//! | [`Source`] | a trained model whose weights a run starts from |
//! | [`RunDir`] | what lies where in `runs/NAME` |
//! | [`Continuation`], [`DataRecord`] | what is compared when a run goes on: its settings, its data |
//! | [`PlanPoint`] | how many steps fit into a time limit, and how the rate falls over them |
//! | [`Average`] | weights averaged over another part of a run than its own moving average |
//! | [`Score`] | how good a model is on examples that it is not trained on |
//! | [`ranks`] | the processes that train one run together |
//! | [`learning_rate`](mod@learning_rate) | warm-up, decay, and the decay of the weights' average |
//!
//! Every random number of a run is a function of its seed and of the example's number: a run that is stopped and resumed
//! ends with the same bits as one that never stopped.
//!
//! # Example
//! Three steps of a small MLP on the swiss roll, and a model directory to show for it:
//! ```
//! use std::sync::atomic::AtomicBool;
//! use burn::backend::{Autodiff, Flex};
//! use sfumato_data::{LoadOptions, load};
//! use sfumato_train::{Ending, Run, RunDir, Silent, TrainConfig, ranks::Alone};
//!
//! let mut config = TrainConfig::layered(Some("swiss-roll"), None, &[])?;
//! config.training.steps = 3;
//! config.samples.num = 10;
//! let data = load(&config.data.dataset, &LoadOptions::default())?;
//! let folder = tempfile::tempdir()?;
//! let environment = serde_json::json!({ "program": "a doctest" });
//! let dir = RunDir::create(&folder.path().join("roll"), &config, &environment)?;
//! let stop = AtomicBool::new(false);
//! let run = Run { config: &config, data: &data, dir: &dir, from: None, environment: &environment, stop: &stop, held_out: None, ranks: &Alone };
//! let outcome = run.train::<Autodiff<Flex>>(&Default::default(), &mut Silent)?;
//! assert_eq!(outcome.ending, Ending::Complete);
//! assert!(outcome.checkpoint.join("model_index.json").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod averages;
mod batch;
mod checkpoint;
pub mod config;
mod continuation;
mod data_record;
mod error;
mod held_out;
mod init;
pub mod learning_rate;
mod metrics;
mod plan;
mod preview;
pub mod ranks;
mod run_dir;
mod shards;
mod spec;
mod trainer;
mod watch;
mod write;

pub use averages::{Average, AverageError};
pub use checkpoint::TrainState;
pub use config::{DEFAULT_PRESET, PRESETS, Preset, TrainConfig};
pub use continuation::{Change, Continuation, settle_plan};
pub use data_record::DataRecord;
pub use error::{Kept, TrainError};
pub use held_out::Score;
pub use init::Source;
pub use metrics::Metrics;
pub use plan::{PlanPoint, Planned};
pub use run_dir::{
    FoundCheckpoint, FoundCheckpoints, IncompleteCheckpoint, NewCheckpoint, OpenedRun, PassedOver, RunDir,
    free_run_path,
};
pub use trainer::{Ending, Outcome, Probe, Run};
pub use watch::{Silent, Watch};
