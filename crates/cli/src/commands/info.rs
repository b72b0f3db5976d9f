//! `sfumato info`

use anyhow::Result;
use serde_json::{Value, json};
use sfumato_nets::{
    pipeline::{AnyConfig, Pipeline},
    unet::{BlockSummary, UNet2DConfig},
};
use sfumato_train::{TrainState, model::named_classes};

use crate::args::InfoArgs;

pub(crate) fn run(args: InfoArgs) -> Result<()> {
    let pipeline = Pipeline::open(&args.model)?;
    // The header alone: names, shapes and the file's length are checked without reading the weights.
    pipeline.params()?;
    let training =
        args.model.join("training/state.json").is_file().then(|| TrainState::read(&args.model)).transpose()?;
    if args.json {
        println!("{:#}", as_json(&pipeline, training.as_ref()));
    } else {
        print(&pipeline, training.as_ref())?;
    }
    Ok(())
}

fn as_json(pipeline: &Pipeline, training: Option<&TrainState>) -> Value {
    let spec = &pipeline.spec;
    json!({
        "class": spec.config.class_name(),
        "config": spec.config.to_json(),
        "parameters": spec.config.num_params(),
        "weights": pipeline.weights(),
        "schedule": spec.scheduler.schedule,
        "parameterization": spec.scheduler.parameterization,
        "variance": spec.scheduler.variance,
        "clip_sample": spec.scheduler.clip_sample,
        "classes": named_classes(pipeline),
        "training": training,
        "provenance": spec.facts.provenance,
        "warnings": pipeline.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn print(pipeline: &Pipeline, training: Option<&TrainState>) -> Result<()> {
    let spec = &pipeline.spec;
    let row = |name: &str, value: String| println!("{name:<18} {value}");
    row("network", spec.config.class_name().to_owned());
    let parameters = spec.config.num_params();
    row("parameters", format!("{parameters} ({:.1} MiB in f32)", parameters as f64 * 4.0 / 1_048_576.0));
    if let Some(shape) = spec.config.example_shape() {
        row("sample", format!("{shape:?}"));
    }
    row("weights", pipeline.weights().display().to_string());
    row("schedule", spec.scheduler.schedule.to_string());
    row("predicts", format!("{:?}", spec.scheduler.parameterization).to_lowercase());
    row("variance", format!("{:?}", spec.scheduler.variance));
    row("clips samples", if spec.scheduler.clip_sample { "yes" } else { "no" }.to_owned());
    match (named_classes(pipeline), spec.facts.null_class) {
        (Some(classes), Some(null)) => row("classes", format!("0 to {}, and {null} for any (guidance)", classes - 1)),
        (Some(classes), None) => row("classes", format!("0 to {}", classes - 1)),
        _ => {}
    }
    if let Some(state) = training {
        let minutes = state.seconds / 60.0;
        row(
            "training",
            format!("step {}, {} examples, {minutes:.1} minutes; can be resumed", state.step, state.examples),
        );
    }
    for (key, value) in &spec.facts.provenance {
        row(key, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    if let AnyConfig::UNet(config) = &spec.config {
        print_blocks(config);
    }
    for warning in &pipeline.warnings {
        println!("warning: {warning}");
    }
    Ok(())
}

fn print_blocks(config: &UNet2DConfig) {
    let side = config.size_divisor();
    let size = config.sample_size.map_or([side, side], |size| size.height_width());
    let summary = config.summarize(size);
    println!(
        "\n{:<18} {:>9} {:>9} {:>11} {:>13}  contents",
        "block", "size", "channels", "parameters", "multiply-adds"
    );
    for BlockSummary { name, contents, resolution, channels, parameters, multiply_adds } in &summary.blocks {
        let size = resolution.map_or_else(String::new, |[height, width]| format!("{height}x{width}"));
        println!("{name:<18} {size:>9} {channels:>9} {parameters:>11} {multiply_adds:>13}  {contents}");
    }
    println!(
        "{:<18} {:>9} {:>9} {:>11} {:>13}  for one image",
        "all",
        "",
        "",
        summary.parameters(),
        summary.multiply_adds()
    );
}
