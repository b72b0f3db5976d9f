//! From arguments to a plan: what fits what, said before any work.

use anyhow::{Context, Result, anyhow, bail};
use sfumato_data::Dataset;
use sfumato_data::{self, DataError, DatasetSpec, ImageSize, LoadOptions, LoadedDataset, Part};
use sfumato_evaluate::{Condition, EvalPlan, Order};
use sfumato_files::memory;
use sfumato_model::pipeline::{AnyConfig, Labels, Pipeline};
use sfumato_process::{
    RecordedNoise,
    bound::{BoundNoise, Decoder, Plan, Strata},
};
use sfumato_train::config::least_to_predict;

use crate::{
    args::{EvalArgs, UsageError},
    loaded,
};

/// Strata of at most this fraction of the steps if nothing is said.
const DEFAULT_STRATA: usize = 10;

/// Steps of the chain that is scored, and the longest stratum.
fn steps(args: &EvalArgs, model: &Pipeline) -> Result<(usize, usize)> {
    let total = model.spec.scheduler.noise_schedule()?.steps();
    let steps = args.steps.unwrap_or(total);
    Ok((steps, args.stride.unwrap_or(steps.div_ceil(DEFAULT_STRATA))))
}

/// Compares the arguments with the model, before the data is loaded.
pub(super) fn check(args: &EvalArgs, model: &Pipeline) -> Result<()> {
    let usage = |text: String| Err(UsageError(text).into());
    let total = model.spec.scheduler.noise_schedule()?.steps();
    let (steps, stride) = steps(args, model)?;
    if !(1..=total).contains(&steps) {
        return usage(format!("--steps {steps}: the model's schedule has {total} steps, so 1 to {total} are possible"));
    }
    if !(1..=steps).contains(&stride) {
        return usage(format!("--stride {stride}: the chain has {steps} steps, so 1 to {steps} are possible"));
    }
    Ok(())
}

/// Compares what every measurement needs, before the data is loaded.
pub(super) fn check_model(args: &EvalArgs, model: &Pipeline) -> Result<()> {
    model.check_channels()?;
    model.labels()?;
    if args.ignore_labels && model.spec.facts.null_class.is_none() {
        bail!("--ignore-labels: {} has no class that stands for \"any\"", args.model_dir().display());
    }
    Ok(())
}

/// Whether the examples are taken in the order of the data.
fn in_order(args: &EvalArgs) -> bool {
    args.in_order || args.noise.is_some()
}

/// Loads the data that the bound is computed on.
pub(super) fn load_data(args: &EvalArgs, model: &Pipeline) -> Result<LoadedDataset> {
    let part = args.limit.map(|limit| Part {
        num: limit as usize,
        seed: (!in_order(args)).then_some(args.seed),
        checksum: args.json.is_some(),
    });
    load_split(args, model, &args.dataset, LoadOptions { split: args.split.into(), part, ..LoadOptions::default() })
}

/// Loads data in the model's size, and says what was left out. Of `options` the split, the part and the seed count.
pub(super) fn load_split(
    args: &EvalArgs,
    model: &Pipeline,
    dataset: &DatasetSpec,
    options: LoadOptions,
) -> Result<LoadedDataset> {
    let shape = shape(model)?;
    let mut options = LoadOptions {
        strict: args.strict,
        data_dir: args.data_dir.clone(),
        background: args.background.unwrap_or_default(),
        labels: args.labels.unwrap_or_default(),
        range: args.range,
        ..options
    };
    if let &[channels, height, width] = &shape[..] {
        options.channels = Some(channels);
        options.image_size = Some(ImageSize { height, width });
    }
    let data = sfumato_data::load(dataset, &options).map_err(|error| match error {
        // The size is the model's; nobody has asked for it.
        DataError::ImageSize { reason, .. } | DataError::Channels { reason, .. } => anyhow!(
            "{}: the model draws examples of shape {shape:?}, which {dataset} cannot give: {reason}",
            args.model_dir().display()
        ),
        other => anyhow::Error::new(other).context("cannot load the data"),
    })?;
    loaded::tell(&data);
    if data.shape() != shape {
        bail!(
            "{}: the model draws examples of shape {shape:?}, but those of {dataset} are of shape {:?}",
            args.model_dir().display(),
            data.shape()
        );
    }
    match_classes(args, model, dataset, data)
}

/// The data with its classes numbered as the model's: by their names, or by their rank where the model knows no names.
fn match_classes(
    args: &EvalArgs,
    model: &Pipeline,
    dataset: &DatasetSpec,
    data: LoadedDataset,
) -> Result<LoadedDataset> {
    let (Labels::Below(classes), Some(found)) = (model.labels()?, data.classes()) else { return Ok(data) };
    if args.ignore_labels {
        return Ok(data);
    }
    let names = &model.spec.facts.class_names;
    if !names.is_empty() {
        return Ok(data.with_class_names(names)?);
    }
    let (own, dir) = (data.class_names().join(", "), args.model_dir().display());
    if found != classes {
        let way = if model.spec.facts.null_class.is_some() {
            "--ignore-labels scores without classes"
        } else {
            "give data with all of its classes"
        };
        bail!(
            "{dataset} has {found} classes ({own}), but the model in {dir} has {classes} and does not know their names, so that they \
             cannot be matched; {way}"
        );
    }
    say!("note: {dir} does not know the names of its classes; those of the data are matched by their rank: {own}");
    Ok(data)
}

/// Shape of one example of the model.
fn shape(model: &Pipeline) -> Result<Vec<usize>> {
    let shape = model.example_shape(None)?;
    // Asked for pictures, a loader of points would blame the size; the kind is what is wrong.
    let points = matches!(model.spec.config, AnyConfig::Mlp(_));
    if points != (shape.len() == 1) {
        bail!("{}: examples of shape {shape:?} do not fit the network", model.dir().display());
    }
    Ok(shape)
}

/// The whole plan; also what only the data decides.
pub(super) fn plan<'a>(
    args: &EvalArgs,
    model: &Pipeline,
    data: &LoadedDataset,
    noise: Option<(&'a [usize], &'a [f32])>,
) -> Result<EvalPlan<'a>> {
    let (steps, stride) = steps(args, model)?;
    let num = args.limit.map_or(data.len(), |limit| limit as usize);
    if num > data.len() {
        bail!("--limit {num}: the {} split of {} has {} examples", data.split(), args.dataset, data.len());
    }
    let draws = usize::from(args.draws);
    let strata = Strata::with_stride(steps, stride);
    check_batch(args, model, data, num.saturating_mul(strata.len()).saturating_mul(draws))?;
    let mut chain = model.spec.scheduler.evenly_spaced_chain(steps)?;
    if let Some(variance) = args.variance {
        chain = chain.with_variance(variance.into());
    }
    let noise = match (noise, &args.noise) {
        (Some((shape, values)), Some(path)) => {
            let expected = [&[steps * draws, num], data.shape()].concat();
            let fits = shape.len() == expected.len()
                && shape[0] >= expected[0]
                && shape[1] >= expected[1]
                && shape[2..] == expected[2..];
            if !fits {
                bail!(
                    "{}: the noise is of shape {shape:?}, but {expected:?} is needed (or more in the first two): entry t - 1 for \
                     step t of {steps}, {draws} times over, for each of {num} examples",
                    path.display()
                );
            }
            BoundNoise::Recorded(RecordedNoise::new(shape, values).with_context(|| path.display().to_string())?)
        }
        _ => BoundNoise::Seeded(args.seed),
    };
    Ok(EvalPlan {
        chain,
        bound: Plan { decoder: decoder(args, data)?, strata, draws, noise, seed: args.seed },
        condition: condition(args, model, data)?,
        num,
        order: if in_order(args) { Order::First } else { Order::Random { seed: args.seed } },
        batch_size: args.batch_size as usize,
    })
}

/// Refuses a batch that there is no memory for; it is never larger than all evaluations together.
pub(super) fn check_batch(args: &EvalArgs, model: &Pipeline, data: &LoadedDataset, evaluations: usize) -> Result<()> {
    let (batch, limit) = ((args.batch_size as usize).min(evaluations), memory::limit() as f64);
    let needed = least_to_predict(&model.spec.config, data.shape(), batch);
    if needed > limit && args.machine.backend.is_cpu() {
        bail!(
            "--batch-size {}: {batch} evaluations at a time take at least {}, and this machine has {}; choose a smaller one",
            args.batch_size,
            memory::shown(needed),
            memory::shown(limit)
        );
    }
    Ok(())
}

fn decoder(args: &EvalArgs, data: &LoadedDataset) -> Result<Decoder> {
    match (data.is_discrete(), args.cdf) {
        (true, cdf) => Ok(Decoder::Discretized(cdf.unwrap_or_default())),
        (false, None) => Ok(Decoder::Gaussian),
        (false, Some(cdf)) => {
            bail!(
                "--cdf {cdf}: the examples of {} are no 8-bit values, so that their decoder is a density",
                args.dataset
            )
        }
    }
}

pub(super) fn condition(args: &EvalArgs, model: &Pipeline, data: &LoadedDataset) -> Result<Condition> {
    if model.labels()? == Labels::None {
        return Ok(Condition::None);
    }
    match (data.classes(), model.spec.facts.null_class) {
        (_, Some(null)) if args.ignore_labels => Ok(Condition::Null(null)),
        (Some(_), _) => Ok(Condition::Labels),
        (None, Some(null)) => {
            say!("note: {} has no labels; the model is told nothing about the class", args.dataset);
            Ok(Condition::Null(null))
        }
        (None, None) => {
            bail!("{} is class-conditional, but {} has no labels", args.model_dir().display(), args.dataset)
        }
    }
}
