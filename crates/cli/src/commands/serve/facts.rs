//! What the page has to know of the model: the answer to `GET /model`.

use std::path::{Component, Path};

use serde_json::{Value, json};
use sfumato_model::{
    pipeline::{AnyConfig, Labels, Pipeline},
    sampling::SamplerKind,
};

use super::{
    limits::PICTURES,
    settings::{SPECIAL, most_side, spacings, takes},
};
use crate::environment;

/// Facts about a model called `name`, with the samplers as they are registered.
///
/// # Errors
/// If the model cannot be sampled.
pub(super) fn of(model: &Pipeline, name: &str, backend: &str) -> anyhow::Result<Value> {
    let spec = &model.spec;
    let scheduler = &spec.scheduler;
    let schedule = scheduler.noise_schedule()?;
    let sampler = |kind: SamplerKind| {
        let info = kind.info();
        let options: Vec<&str> = SPECIAL.into_iter().filter(|option| takes(kind, option, model)).collect();
        json!({
            "name": info.name,
            // It is written for the command line.
            "about": info.about.replace("--", ""),
            "steps": info.usual_steps.min(schedule.steps()),
            "fewest_steps": info.fewest_steps.min(schedule.steps()),
            "options": options,
        })
    };
    let labels = model.labels()?;
    let divisor = match &spec.config {
        AnyConfig::UNet(config) => config.size_divisor(),
        _ => 1,
    };
    Ok(json!({
        "model": name,
        "network": spec.config.class_name(),
        "parameters": spec.config.num_params(),
        "shape": spec.config.example_shape(),
        "size_divisor": divisor,
        "classes": match labels {
            Labels::None => Value::Null,
            Labels::Below(classes) => json!(classes),
            Labels::Any => json!("any"),
        },
        "class_names": spec.facts.class_names,
        "guidance": spec.facts.null_class.is_some() && labels != Labels::None,
        "schedule_steps": schedule.steps(),
        "sampler": scheduler.nearest_sampler().name(),
        "samplers": SamplerKind::all().map(|info| sampler(info.kind)).collect::<Vec<_>>(),
        "spacing": scheduler.sampling.spacing.name(),
        "spacings": spacings(model),
        "karras": scheduler.sampling.karras,
        "limits": { "num": PICTURES, "side": most_side(model) },
        "backend": backend,
        "version": environment::describe()["version"],
        "revision": environment::describe()["revision"],
    }))
}

/// What people call the model in a directory: the run of `runs/NAME/model`, else the directory itself. The path of the directory is not told.
pub(super) fn name_of(dir: &Path) -> String {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let names = absolute.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    let is_part = |name: &&String| ["model", "checkpoints"].contains(&name.as_str()) || name.starts_with("step-");
    names.iter().find(|name| !is_part(name)).or(names.first()).cloned().unwrap_or_else(|| "model".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_gives_its_name_to_its_models() {
        for (path, name) in [
            ("runs/photos/model", "photos"),
            ("runs/photos/checkpoints/step-0002000", "photos"),
            ("runs/photos/", "photos"),
            ("/some/where/ddpm-cat-256", "ddpm-cat-256"),
            ("/model", "model"),
        ] {
            assert_eq!(name_of(Path::new(path)), name);
        }
    }
}
