//! `sfumato info`: what a model directory holds, what it costs, and what is missing or odd about it.

mod inspect;
mod odd;
mod process;
mod table;

use anyhow::Result;
use serde_json::{Value, json};
use sfumato_nets::{
    pipeline::{AnyConfig, Pipeline},
    unet::{Summary, UNet2DConfig},
};
use sfumato_train::model::named_classes;

use self::{
    inspect::{Training, Weights},
    table::mib,
};
use crate::{
    args::{InfoArgs, MachineArgs},
    backend::with_backend,
};

pub(crate) fn run(args: InfoArgs) -> Result<()> {
    let pipeline = Pipeline::open(&args.model)?;
    let weights = with_backend(&MachineArgs::default(), inspect::Inspecting { pipeline: pipeline.clone() })?;
    let training = Training::read(&args.model)?;
    let odd = odd::findings(&pipeline, &weights, training.as_ref());
    if args.json {
        println!("{:#}", as_json(&pipeline, &weights, training.as_ref(), &odd));
    } else {
        print(&pipeline, &weights, training.as_ref(), &odd);
    }
    // Everything is said; a network that its weights do not fit is an error all the same.
    weights.mismatch.map_or(Ok(()), |mismatch| Err((*mismatch).into()))
}

/// Blocks of a U-Net for images of its own size, or the smallest that fit.
fn summary(config: &UNet2DConfig) -> Summary {
    let side = config.size_divisor();
    config.summarize(config.sample_size.map_or([side, side], |size| size.height_width()))
}

fn as_json(pipeline: &Pipeline, weights: &Weights, training: Option<&Training>, odd: &[String]) -> Value {
    let spec = &pipeline.spec;
    let mut value = json!({
        "class": spec.config.class_name(),
        "config": spec.config.to_json(),
        "parameters": spec.config.num_params(),
        "weights": pipeline.weights(),
        "weights_bytes": weights.bytes,
        "weights_types": weights.types,
        "scheduler": spec.scheduler.class_name,
        "schedule": spec.scheduler.schedule,
        "parameterization": spec.scheduler.parameterization,
        "zero_terminal_snr": spec.scheduler.zero_terminal_snr,
        "variance": process::variance_name(&spec.scheduler),
        "clipping": spec.scheduler.clipping(),
        "sampler": process::sampler_json(&spec.scheduler),
        "classes": named_classes(pipeline),
        "training": training.map(|training| training.state),
        "provenance": spec.facts.provenance,
        "warnings": pipeline.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "odd": odd,
    });
    if let AnyConfig::UNet(config) = &spec.config {
        let summary = summary(config);
        value["size"] = json!(summary.size);
        value["multiply_adds"] = summary.multiply_adds().into();
        value["activations"] = summary.activations().into();
        value["blocks"] = summary.blocks.iter().map(table::block_json).collect();
    }
    value
}

fn print(pipeline: &Pipeline, weights: &Weights, training: Option<&Training>, odd: &[String]) {
    let spec = &pipeline.spec;
    let row = |name: &str, value: String| println!("{name:<18} {value}");
    row("network", spec.config.class_name().to_owned());
    let parameters = spec.config.num_params();
    row("parameters", format!("{parameters} ({} in f32)", mib(4 * parameters)));
    if let Some(shape) = spec.config.example_shape() {
        row("sample", format!("{shape:?}"));
    }
    let types: Vec<String> = weights.types.iter().map(|(name, count)| format!("{count} tensors of {name}")).collect();
    row("weights", pipeline.weights().display().to_string());
    row("", format!("{}, {}", mib(weights.bytes), types.join(", ")));
    row("scheduler", spec.scheduler.class_name.clone());
    row("schedule", process::schedule(&spec.scheduler));
    row("predicts", format!("{:?}", spec.scheduler.parameterization).to_lowercase());
    row("variance", process::variance(&spec.scheduler));
    row("clips x_0", process::clipping(&spec.scheduler));
    row("sampler", process::sampler(&spec.scheduler));
    match (named_classes(pipeline), spec.facts.null_class) {
        (Some(classes), Some(null)) => row("classes", format!("0 to {}, and {null} for any (guidance)", classes - 1)),
        (Some(classes), None) => row("classes", format!("0 to {}", classes - 1)),
        _ => {}
    }
    if let Some(Training { state, ema_decay, .. }) = training {
        let minutes = state.seconds / 60.0;
        row("training", format!("step {}, {} examples, {minutes:.1} minutes", state.step, state.examples));
        if let Some(decay) = ema_decay.filter(|&decay| decay > 0.0) {
            row("average", format!("decay up to {decay}; the raw weights are in training/weights.safetensors"));
        }
    }
    for (key, value) in &spec.facts.provenance {
        row(key, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    if let AnyConfig::UNet(config) = &spec.config {
        println!();
        table::print(&summary(config));
    }
    if !odd.is_empty() {
        println!();
        odd.iter().for_each(|finding| println!("odd: {finding}"));
    }
}
