//! Everything that decides the samples of a call, but for how many there are: what [`sample.json`](super::record) holds.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sfumato_files::file_sha256;
use sfumato_model::fitted::Placement;
use sfumato_model::pipeline::Pipeline;
use sfumato_model::sampling::{Classes, SamplePlan, SamplerChoice};
use sfumato_process::VarianceRule;

use crate::args::SampleArgs;

/// The settings of a call, with what was left open as the model fills it in. Batches, threads and the backend are not among them: the
/// samples are the same but for rounding.
pub(super) fn of(
    args: &SampleArgs,
    model: &Pipeline,
    choice: &SamplerChoice,
    plan: &SamplePlan<'_>,
) -> Result<Map<String, Value>> {
    let scheduler = &model.spec.scheduler;
    let defaults = &scheduler.sampling;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| drop(map.insert(name.to_owned(), value));
    put("sampler", json!(choice.kind.name()));
    put("steps", json!(plan.sampler.steps()));
    let spacing = args.spacing.unwrap_or(choice.spacing.unwrap_or(defaults.spacing).into());
    put("spacing", json!(spacing.name()));
    if let Some(rule) = args.variance.map(VarianceRule::from) {
        put("variance", json!(rule.name()));
    }
    let fitted = args.variance.is_some_and(|name| VarianceRule::from(name).needs_fit());
    if spacing == Placement::Best || fitted {
        put("fit_sha256", json!(sha256(&model.fit_path())?));
    }
    if let Some(options) = plan.sampler.ddim() {
        put("eta", json!(options.eta));
        put("ddim", json!(if options.keep_epsilon { "diffusers" } else { "consistent" }));
    }
    if let Some(order) = plan.sampler.order() {
        put("order", json!(order));
    }
    if choice.kind.info().visits_levels {
        put("karras", json!(choice.karras.unwrap_or(defaults.karras)));
    }
    match plan.classes {
        Classes::None => {}
        Classes::Cycle(classes) => put("class", json!(format!("0 to {}", classes - 1))),
        Classes::Only(class) | Classes::Path { from: class, .. } => put("class", json!(class)),
    }
    if let Some(guidance) = plan.guidance {
        put("guidance", json!(guidance.weight));
        if let Some(interval) = guidance.interval {
            put("guidance_interval", json!(interval.to_string()));
        }
    }
    put("gif", json!(args.gif));
    match &args.noise {
        Some(path) => put("noise_sha256", json!(sha256(path)?)),
        None => put("seed", json!(args.seed)),
    }
    let mut weights = model.weights_sha256()?;
    put("weights_sha256", if weights.len() == 1 { json!(weights.remove(0)) } else { json!(weights) });
    put("scheduler", Value::Object(scheduler.to_json().with_context(|| model.dir().display().to_string())?));
    put("network", Value::Object(model.spec.config.to_json()));
    Ok(map)
}

fn sha256(path: &Path) -> Result<String> {
    file_sha256(path).with_context(|| format!("cannot read {}", path.display()))
}
