//! `sfumato info`: what a model directory holds, what it costs, and what is missing or odd about it; and how a picture was made.

mod inspect;
mod odd;
mod picture;
mod process;
mod table;
mod text;

use std::io::{Result as IoResult, Write};

use anyhow::Result;
use serde_json::{Value, json};
use sfumato_model::fitted::ModelFit;
use sfumato_model::pipeline::{AnyConfig, Pipeline};
use sfumato_nets::unet::{Summary, UNet2DConfig};

use self::{
    inspect::{Training, Weights},
    table::mib,
};
use crate::{
    args::{InfoArgs, MachineArgs},
    backend::with_backend,
    class, loaded, say,
};

/// Facts about the machine that a model was made on, which `--json` has.
const MACHINE: [&str; 6] = ["backends", "cpu_features", "cpu_threads", "profile", "target", "threads"];

pub(crate) fn run(args: InfoArgs) -> Result<()> {
    if picture::is_picture(&args.model) {
        return picture::run(&args.model, args.json);
    }
    let pipeline = Pipeline::open(&args.model)?;
    let weights = with_backend(&MachineArgs::default(), inspect::Inspecting { pipeline: pipeline.clone() })?;
    let training = Training::read(pipeline.dir())?;
    // Once: all weights are read to know whether it is of them.
    let fit = pipeline.has_fit().then(|| pipeline.fit());
    let mut odd = odd::findings(&pipeline, &weights, training.as_ref());
    odd.extend(fit.as_ref().and_then(|fit| Some(format!("the fit cannot be used: {}", fit.as_ref().err()?))));
    let fit = fit.and_then(Result::ok);
    let seen =
        Seen { pipeline: &pipeline, weights: &weights, training: training.as_ref(), fit: fit.as_ref(), odd: &odd };
    if args.json {
        out!("{:#}", as_json(&seen))?;
    } else {
        say::result(|out| print(out, &seen))?;
    }
    // Everything is said; a network that its weights do not fit is an error all the same.
    weights.mismatch.map_or(Ok(()), |mismatch| Err((mismatch).into()))
}

/// Blocks of a U-Net for images of its own size, or the smallest that fit; a size that does not fit is rounded up.
fn summary(config: &UNet2DConfig) -> Summary {
    let side = config.size_divisor();
    let size = config.sample_size.map_or([side, side], |size| size.height_width());
    config.summarize(size.map(|length| length.next_multiple_of(side)))
}

/// What was found of a model.
struct Seen<'a> {
    pipeline: &'a Pipeline,
    weights: &'a Weights,
    training: Option<&'a Training>,
    fit: Option<&'a ModelFit>,
    odd: &'a [String],
}

fn as_json(seen: &Seen<'_>) -> Value {
    let &Seen { pipeline, weights, training, fit, odd } = seen;
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
        "model": pipeline.dir(),
        "parameterization": spec.scheduler.parameterization,
        "zero_terminal_snr": spec.scheduler.zero_terminal_snr,
        "variance": process::variance_name(&spec.scheduler),
        "clipping": spec.scheduler.clipping(),
        "sampler": process::sampler_json(&spec.scheduler),
        "fit": fit.map(process::fit_json),
        "classes": pipeline.named_classes(),
        "class_names": spec.facts.class_names,
        "training": training.map(|training| training.state),
        "provenance": spec.facts.provenance,
        "notes": loaded::notes(pipeline),
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

fn print(out: &mut impl Write, seen: &Seen<'_>) -> IoResult<()> {
    let &Seen { pipeline, weights, training, fit, odd } = seen;
    let spec = &pipeline.spec;
    let mut row = |name: &str, value: String| writeln!(out, "{}", text::wrapped(&format!("{name:<14} "), &value));
    row("model", pipeline.dir().display().to_string())?;
    row("network", spec.config.class_name().to_owned())?;
    let parameters = spec.config.num_params();
    row("parameters", format!("{parameters} ({} in f32)", mib(4 * parameters)))?;
    if let Some(shape) = spec.config.example_shape() {
        row("one sample", format!("{shape:?}"))?;
    }
    let types: Vec<String> = weights.types.iter().map(|(name, count)| format!("{count} tensors of {name}")).collect();
    let weights_file = pipeline.weights().strip_prefix(pipeline.dir()).unwrap_or(pipeline.weights());
    row("weights", weights_file.display().to_string())?;
    row("", format!("{}, {}", mib(weights.bytes), types.join(", ")))?;
    row("scheduler", spec.scheduler.class_name.clone())?;
    row("schedule", spec.scheduler.describe_schedule())?;
    row("predicts", format!("{:?}", spec.scheduler.parameterization).to_lowercase())?;
    row("variance", process::variance(&spec.scheduler))?;
    row("clips x0", process::clipping(&spec.scheduler))?;
    row("sampler", process::sampler(&spec.scheduler))?;
    if let Some(fit) = fit {
        row("fit", process::fit(fit))?;
    }
    match (pipeline.named_classes(), spec.facts.null_class) {
        (Some(classes), Some(null)) => row("classes", format!("0 to {}, and {null} for any (guidance)", classes - 1))?,
        (Some(classes), None) => row("classes", format!("0 to {}", classes - 1))?,
        _ => {}
    }
    if let Some(names) = class::list(&spec.facts.class_names) {
        row("class names", names)?;
    }
    if let Some(Training { state, ema_decay, .. }) = training {
        let minutes = state.seconds / 60.0;
        row("training", format!("step {}, {} examples, {minutes:.1} minutes", state.step, state.examples))?;
        if let Some(decay) = ema_decay.filter(|&decay| decay > 0.0) {
            row("average", format!("decay up to {decay}; the raw weights are in training/weights.safetensors"))?;
        }
    }
    for (key, value) in spec.facts.provenance.iter().filter(|(key, _)| !MACHINE.contains(&key.as_str())) {
        row(key, value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
    }
    if let AnyConfig::UNet(config) = &spec.config {
        writeln!(out)?;
        table::print(out, &summary(config))?;
    }
    let notes = loaded::notes(pipeline);
    if !notes.is_empty() || !odd.is_empty() {
        writeln!(out)?;
    }
    notes.iter().try_for_each(|note| writeln!(out, "{}", text::wrapped("note: ", note)))?;
    odd.iter().try_for_each(|finding| writeln!(out, "{}", text::wrapped("odd: ", finding)))
}
