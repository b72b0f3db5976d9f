//! The sample grids that a run makes of itself.

use std::path::{Path, PathBuf};

use sfumato_nets::pipeline::PipelineSpec;
use sfumato_process::ReverseVariance;

use crate::{
    TrainConfig, TrainError,
    data::Dataset,
    model::reverse_chain,
    picture::write_picture,
    sampling::{Classes, Noise, SamplePlan, Sampler},
};

/// Samples drawn at a time.
const BATCH: usize = 64;

/// What is drawn: always the same noise, so that grids of different steps can be compared picture by picture.
pub(crate) fn plan(config: &TrainConfig, spec: &PipelineSpec) -> Result<SamplePlan<'static>, TrainError> {
    // Over few steps the large variance leaves grain (Nichol & Dhariwal 2021, §4), whatever the model is sampled with later.
    let chain = reverse_chain(&spec.scheduler, config.samples.steps)?.with_variance(ReverseVariance::FixedSmall);
    Ok(SamplePlan {
        chain,
        sampler: Sampler::Ddpm,
        noise: Noise::Seeded(config.seed),
        classes: spec.facts.null_class.map_or(Classes::None, Classes::Cycle),
        guidance: None,
        num: config.samples.num,
        batch_size: BATCH,
    })
}

/// Writes a grid of images or a scatter plot of points.
pub(crate) fn write(dir: &Path, step: u64, samples: &[f32], data: &Dataset) -> Result<PathBuf, TrainError> {
    let path = dir.join(format!("step-{step:07}.png"));
    write_picture(&path, data.shape(), samples, Some(data))?;
    Ok(path)
}
