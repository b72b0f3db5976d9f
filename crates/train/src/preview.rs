//! The sample grids that a run makes of itself.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::{Map, json};
use sfumato_data::Dataset;
use sfumato_model::pipeline::PipelineSpec;
use sfumato_model::sampling::SamplerKind;
use sfumato_model::{
    picture::{Texts, write_picture},
    sampling::{Classes, Noise, Origin, SamplePlan, SamplerChoice},
};
use sfumato_process::{Chain, ReverseVariance};

use crate::{TrainConfig, TrainError, error::IoContext, spec::named_classes};

/// Samples drawn at a time.
const BATCH: usize = 64;
/// Points of the data behind those that were drawn.
const REFERENCE_POINTS: usize = 4000;

/// What is drawn: always the same noise, so that grids of different steps can be compared picture by picture.
pub(crate) fn plan(
    config: &TrainConfig,
    spec: &PipelineSpec,
    shape: &[usize],
) -> Result<SamplePlan<'static>, TrainError> {
    // Over the steps that `sample` takes. Few of them leave grain with the large variance (Nichol & Dhariwal 2021, §4), whatever the
    // model is sampled with later.
    let choice = SamplerChoice { steps: Some(config.samples.steps), ..SamplerChoice::new(SamplerKind::Ddpm) };
    let sampler = choice.resolve(&spec.scheduler)?;
    let small =
        |chain: Chain| if chain.learned().is_some() { chain } else { chain.with_variance(ReverseVariance::FixedSmall) };
    Ok(SamplePlan {
        shape: shape.to_vec(),
        sampler: sampler.with_chain(small),
        noise: Noise::Seeded(config.seed),
        origin: Origin::Noise,
        classes: named_classes(spec).map_or(Classes::None, Classes::Cycle),
        guidance: None,
        first: 0,
        num: config.samples.num,
        batch_size: BATCH,
    })
}

/// Where the samples of step `step` are written.
pub(crate) fn path(dir: &Path, step: u64) -> PathBuf {
    dir.join(format!("step-{step:07}.png"))
}

/// Writes a grid of images or a scatter plot of points of the model `spec`, into a folder that is made again if somebody has deleted it.
pub(crate) fn write(
    dir: &Path,
    step: u64,
    samples: &[f32],
    plan: &SamplePlan<'_>,
    data: &dyn Dataset,
    spec: &PipelineSpec,
) -> Result<PathBuf, TrainError> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).context("create", dir),
        _ => {}
    }
    let path = path(dir, step);
    let (columns, reference) = (plan.classes.columns(plan.num), reference(data));
    write_picture(&path, data.shape(), samples, columns, reference.as_deref(), &texts(step, plan, spec))?;
    Ok(path)
}

/// What the picture says of itself. The weights have no checksum here: a checkpoint may keep them or not.
fn texts(step: u64, plan: &SamplePlan<'_>, spec: &PipelineSpec) -> Texts {
    let mut record = Map::new();
    let mut put = |name: &str, value: serde_json::Value| drop(record.insert(name.to_owned(), value));
    put("picture", json!(if plan.shape.len() == 3 { "training grid" } else { "training scatter" }));
    put("step", json!(step));
    put("sampler", json!(SamplerKind::Ddpm));
    put("steps", json!(plan.sampler.steps()));
    if let Noise::Seeded(seed) = plan.noise {
        put("seed", json!(seed));
    }
    put("num", json!(plan.num));
    if let Classes::Cycle(classes) = plan.classes {
        put("class", json!(format!("0 to {}", classes.saturating_sub(1))));
    }
    let facts = &spec.facts.provenance;
    for name in ["dataset", "dataset_sha256", "version", "revision", "backend"] {
        facts.get(name).into_iter().for_each(|value| put(name, value.clone()));
    }
    Texts::record(&record)
}

/// The points of the data that a scatter plot shows behind the samples.
fn reference(data: &dyn Dataset) -> Option<Vec<f32>> {
    let mut values = vec![0.0; 2 * data.len().min(REFERENCE_POINTS)];
    let points = values.chunks_exact_mut(2).enumerate();
    (data.shape() == [2]).then(|| points.for_each(|(i, point)| data.write(i, point))).map(|()| values)
}
