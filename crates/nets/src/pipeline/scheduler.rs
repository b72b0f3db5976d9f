//! The noise schedule and what goes with it.

use serde_json::{Map, Value};
use sfumato_process::{Parameterization, ReverseVariance};
use sfumato_schedule::ScheduleConfig;

/// What `scheduler_config.json` says about the process that a network was trained for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    /// Class in diffusers: `DDPMScheduler` for models made here.
    pub class_name: String,
    /// The noise schedule.
    pub schedule: ScheduleConfig,
    /// What the network's output means.
    pub parameterization: Parameterization,
    /// Variance of the reverse steps.
    pub variance: ReverseVariance,
    /// Whether predictions of the clean data are clipped to [-1, 1] while sampling.
    pub clip_sample: bool,
    /// Keys that concern sampling in diffusers only (`timestep_spacing`, `steps_offset`, solver settings, …), kept as they are.
    pub other: Map<String, Value>,
}

impl Default for Scheduler {
    /// The class defaults of diffusers' `DDPMScheduler`.
    fn default() -> Self {
        Self {
            class_name: "DDPMScheduler".into(),
            schedule: ScheduleConfig::default(),
            parameterization: Parameterization::Epsilon,
            variance: ReverseVariance::FixedSmall,
            clip_sample: true,
            other: Map::new(),
        }
    }
}
