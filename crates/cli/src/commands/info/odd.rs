//! What is missing or odd about a model: things that work, but not as someone may think.

use sfumato_model::pipeline::{AnyConfig, Pipeline, Scheduler};
use sfumato_nets::unet::{ClassEmbedType, TimeEmbeddingType};
use sfumato_process::Parameterization;
use sfumato_schedule::{CheckConditions, check};

use super::inspect::{Training, Weights};

/// Names shown of a list.
const SHOWN: usize = 5;

/// One sentence for each.
pub(super) fn findings(pipeline: &Pipeline, weights: &Weights, training: Option<&Training>) -> Vec<String> {
    let spec = &pipeline.spec;
    let mut odd: Vec<String> = pipeline.warnings.iter().map(ToString::to_string).collect();
    if spec.config.example_shape().is_none() {
        odd.push("config.json has no sample_size (the size of images in pixels): `sample` needs --image-size".into());
    } else if let Err(error) = pipeline.example_shape(None) {
        odd.push(error.to_string());
    }
    odd.extend(of_network(pipeline));
    if spec.scheduler.sampler().is_none() {
        let nearest = spec.scheduler.nearest_sampler();
        odd.push(format!("not supported: the sampler of {}; {nearest} is used instead", spec.scheduler.class_name));
    }
    if !weights.zeros.is_empty() {
        odd.push(format!("weights that are zero everywhere, as if never trained: {}", list(&weights.zeros)));
    }
    if spec.facts.provenance.get("weights").is_some_and(|weights| weights == "raw") {
        odd.push("these are raw weights; samples are better with the moving average".into());
    }
    odd.extend(training.iter().flat_map(|training| of_training(training)));
    let warned = |key: &str| odd.iter().any(|warning| warning.contains(&format!("`{key}`")));
    let unused = spec.scheduler.unused_keys().filter(|(key, _)| !warned(key));
    let unused: Vec<String> = unused.map(|(key, value)| format!("{key} = {value}")).collect();
    if !unused.is_empty() {
        odd.push(format!("keys of the scheduler that are kept for diffusers but not used here: {}", list(&unused)));
    }
    odd.extend(of_schedule(&spec.scheduler));
    odd
}

/// What a command cannot do with this network.
fn of_network(pipeline: &Pipeline) -> Vec<String> {
    let AnyConfig::UNet(config) = &pipeline.spec.config else { return Vec::new() };
    let mut odd = Vec::new();
    // Says all of it.
    if let Err(error) = pipeline.check_channels() {
        odd.push(format!("not supported: {error}"));
    }
    match config.class_embed_type {
        Some(ClassEmbedType::Identity) => odd.push(
            "not supported: classes given as embeddings (class_embed_type identity), which no command has; the library runs the \
             network"
                .into(),
        ),
        Some(ClassEmbedType::Timestep) => {
            odd.push("classes are any numbers (class_embed_type timestep), so that `sample` needs --class".into());
        }
        _ => {}
    }
    if let Some(heads) = config.attention_heads {
        odd.push(format!("attentions of every width have {heads} heads, which diffusers does not support"));
    }
    if config.time_embedding_type == TimeEmbeddingType::Fourier {
        odd.push(
            "Fourier features of the time have no value at diffusers' timestep 0, where the samplers usually end: use a spacing or \
             steps_offset that leaves it out"
                .into(),
        );
    }
    odd
}

fn of_training(training: &Training) -> Vec<String> {
    let mut odd = Vec::new();
    if !training.missing.is_empty() {
        let files: Vec<String> = training.missing.iter().map(|file| file.display().to_string()).collect();
        odd.push(format!("training cannot go on, there is no {}", list(&files)));
    }
    if training.ema_decay == Some(0.0) {
        odd.push("it was trained without a moving average of the weights (optimizer.ema_decay = 0)".into());
    }
    if training.state.step == 0 {
        odd.push("it was not trained: its training is at step 0".into());
    }
    odd
}

fn of_schedule(scheduler: &Scheduler) -> Vec<String> {
    let predicts_noise = scheduler.parameterization == Parameterization::Epsilon;
    // Opening the model has built the schedule before.
    let Ok(schedule) = scheduler.noise_schedule() else { return Vec::new() };
    let alpha_bars: Vec<f64> = (1..=schedule.steps()).map(|t| schedule.alpha_bar(t)).collect();
    let found = check(&alpha_bars, &CheckConditions { predicts_noise, ..CheckConditions::default() });
    found.iter().map(|finding| format!("noise schedule: {finding}")).collect()
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
