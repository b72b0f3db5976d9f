//! From arguments to a plan: what fits what, said before any work.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use sfumato_data::{self, DataError, Dataset, DatasetSpec, ImageSize, LoadOptions, LoadedDataset, Part};
use sfumato_evaluate::{BoundPlan, Condition, EvalPlan, Order};
use sfumato_files::memory;
use sfumato_model::{
    fitted::ChainChoice,
    pipeline::{AnyConfig, Labels, Pipeline},
};
use sfumato_process::{
    Chain, RecordedNoise,
    bound::{BoundNoise, ContinuousPlan, Decoder, LevelStrata, Plan, Strata},
};
use sfumato_train::config::least_to_predict;

use super::held_out;
use crate::{
    args::{EvalArgs, MachineArgs, ScoreArgs, SplitName, UsageError},
    loaded,
};

/// What the arguments say about the score of one model.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Scored<'a> {
    /// The model's directory, as it was given.
    pub(in crate::commands) dir: &'a Path,
    pub(in crate::commands) dataset: &'a DatasetSpec,
    pub(in crate::commands) args: &'a ScoreArgs,
    pub(in crate::commands) machine: &'a MachineArgs,
    /// A recording in place of random numbers.
    pub(in crate::commands) noise: Option<&'a Path>,
    /// Whether the checksum of the data is wanted: the result goes into a file.
    pub(in crate::commands) checksum: bool,
}

impl<'a> Scored<'a> {
    pub(super) fn of(args: &'a EvalArgs) -> Self {
        let EvalArgs { dataset, score, noise, json, machine, .. } = args;
        Self { dir: args.model_dir(), dataset, args: score, machine, noise: noise.as_deref(), checksum: json.is_some() }
    }

    /// Whether the examples are taken in the order of the data.
    pub(super) fn in_order(&self) -> bool {
        self.args.data.in_order || self.noise.is_some()
    }

    pub(in crate::commands) fn of_held_out(&self) -> bool {
        self.args.data.split == SplitName::HeldOut
    }

    /// The name of the part of `data` that is scored.
    pub(in crate::commands) fn split(&self, data: &LoadedDataset) -> String {
        if self.of_held_out() { "held-out".to_owned() } else { data.split().to_string() }
    }

    /// Number of examples of that part.
    pub(in crate::commands) fn in_split(&self, data: &LoadedDataset) -> usize {
        data.part().filter(|_| self.of_held_out()).map_or(data.len(), <[usize]>::len)
    }
}

/// Strata of at most this fraction of the steps if nothing is said.
const DEFAULT_STRATA: usize = 10;

/// Steps of the chain that is scored, and the longest stratum.
fn steps(scored: Scored<'_>, model: &Pipeline) -> Result<(usize, usize)> {
    let total = model.spec.scheduler.noise_schedule()?.steps();
    let steps = scored.args.chain.count().unwrap_or(total);
    Ok((steps, scored.args.estimate.stride.unwrap_or(steps.div_ceil(DEFAULT_STRATA))))
}

/// Compares the arguments with the model, before the data is loaded.
pub(in crate::commands) fn check(scored: Scored<'_>, model: &Pipeline) -> Result<()> {
    let dir = scored.dir.display();
    let usage = |text: String| Err(UsageError(text).into());
    let total = model.spec.scheduler.noise_schedule()?.steps();
    if scored.args.chain.continuous() {
        check_continuous(scored)?;
        return check_model(model);
    }
    let (steps, stride) = steps(scored, model)?;
    if !(1..=total).contains(&steps) {
        return usage(format!(
            "--steps {steps}: the schedule of {dir} has {total} steps, so 1 to {total} are possible"
        ));
    }
    if !(1..=steps).contains(&stride) {
        return usage(format!("--stride {stride}: the chain of {dir} has {steps} steps, so 1 to {steps} are possible"));
    }
    check_model(model)
}

/// Refuses what is about steps where there are none.
fn check_continuous(scored: Scored<'_>) -> Result<()> {
    let ScoreArgs { chain, estimate, .. } = scored.args;
    let usage = |text: String| Err(UsageError(text).into());
    if let Some(spacing) = chain.spacing {
        return usage(format!(
            "--spacing {spacing}: --steps continuous has no steps to spread; leave --spacing out, or give a number of steps"
        ));
    }
    if let Some(stride) = estimate.stride {
        return usage(format!(
            "--stride {stride}: --steps continuous visits {} noise levels of each example, and no steps; --draws K visits K times as many",
            2 * LevelStrata::USUAL
        ));
    }
    if let Some(noise) = scored.noise {
        return usage(format!(
            "--noise {}: a recording holds the noise of steps, and --steps continuous has none; its levels and noise follow from --seed",
            noise.display()
        ));
    }
    Ok(())
}

/// Whether the fit that the chain takes is there.
pub(in crate::commands) fn check_fit(scored: Scored<'_>, model: &Pipeline) -> Result<()> {
    if chain_choice(scored).needs_fit() {
        model.fit()?;
    }
    Ok(())
}

/// The chain that is asked for.
pub(in crate::commands) fn chain_choice(scored: Scored<'_>) -> ChainChoice {
    let chain = &scored.args.chain;
    let (placement, variance) = (chain.spacing.unwrap_or_default(), chain.variance.map(Into::into));
    ChainChoice { steps: chain.count(), placement, variance }
}

/// Compares what every measurement needs, before the data is loaded.
pub(super) fn check_model(model: &Pipeline) -> Result<()> {
    model.check_channels()?;
    model.labels()?;
    Ok(())
}

/// Refuses to ignore labels for a model that has no class for it.
pub(in crate::commands) fn check_labels(scored: Scored<'_>, model: &Pipeline) -> Result<()> {
    if scored.args.data.ignore_labels && model.spec.facts.null_class.is_none() {
        bail!(
            "--ignore-labels: {} has no class that stands for \"any\", or does not say which one does (`eval --null-class`, \
             `export --null-class`)",
            scored.dir.display()
        );
    }
    Ok(())
}

/// Loads the data in the model's size, and says what was left out. Its classes are as the data numbers them.
pub(in crate::commands) fn load_data(scored: Scored<'_>, model: &Pipeline) -> Result<LoadedDataset> {
    if scored.of_held_out() {
        return held_out::load(scored, model);
    }
    let args = &scored.args.data;
    let part = args.limit.map(|limit| Part {
        num: limit as usize,
        seed: (!scored.in_order()).then_some(scored.args.estimate.seed),
        checksum: scored.checksum,
    });
    let data = load_split(scored, model, LoadOptions { split: args.split.into(), part, ..LoadOptions::default() })?;
    held_out::note(scored, model, &data);
    Ok(data)
}

/// The same of another split. Where the arguments say nothing, `options` count.
pub(super) fn load_split(scored: Scored<'_>, model: &Pipeline, options: LoadOptions) -> Result<LoadedDataset> {
    let shape = shape(model)?;
    let args = &scored.args.data;
    let mut options = LoadOptions {
        strict: args.strict || options.strict,
        data_dir: args.data_dir.clone().or(options.data_dir),
        background: args.background.unwrap_or(options.background),
        labels: args.labels.unwrap_or(options.labels),
        range: args.range.or(options.range),
        ..options
    };
    if let &[channels, height, width] = &shape[..] {
        options.channels = Some(channels);
        options.image_size = Some(ImageSize { height, width });
    }
    let data = sfumato_data::load(scored.dataset, &options).map_err(|error| match error {
        // The size is the model's; nobody has asked for it.
        DataError::ImageSize { reason, .. } | DataError::Channels { reason, .. } => anyhow!(
            "{}: the model draws examples of shape {shape:?}, which {} cannot give: {reason}",
            scored.dir.display(),
            scored.dataset
        ),
        other => anyhow::Error::new(other).context("cannot load the data"),
    })?;
    loaded::tell(&data);
    if data.shape() != shape {
        bail!(
            "{}: the model draws examples of shape {shape:?}, but those of {} are of shape {:?}",
            scored.dir.display(),
            scored.dataset,
            data.shape()
        );
    }
    Ok(data)
}

/// The data with its classes numbered as the model's: by their names, or by their rank where the model knows no names.
pub(in crate::commands) fn match_classes(
    scored: Scored<'_>,
    model: &Pipeline,
    data: LoadedDataset,
) -> Result<LoadedDataset> {
    let (Labels::Below(classes), Some(found)) = (model.labels()?, data.classes()) else { return Ok(data) };
    if scored.args.data.ignore_labels {
        return Ok(data);
    }
    let names = &model.spec.facts.class_names;
    if !names.is_empty() {
        return Ok(data.with_class_names(names)?);
    }
    let (own, dir) = (data.class_names().join(", "), scored.dir.display());
    if found != classes {
        let way = match model.spec.facts.null_class {
            Some(_) => "--ignore-labels scores without classes".to_owned(),
            // A network that others have trained for guidance: nothing in its files tells the last class from the others.
            None if found + 1 == classes => format!(
                "if its class {found} stands for \"any\", say so with `eval --null-class {found}`, or once for all with \
                 `export --null-class {found}`"
            ),
            None => "give data with all of its classes".to_owned(),
        };
        bail!(
            "{} has {found} classes ({own}), but the model in {dir} has {classes} and does not know their names, so that they \
             cannot be matched; {way}",
            scored.dataset
        );
    }
    say!("note: {dir} does not know the names of its classes; those of the data are matched by their rank: {own}");
    Ok(data)
}

/// Shape of one example of the model.
pub(in crate::commands) fn shape(model: &Pipeline) -> Result<Vec<usize>> {
    let shape = model.example_shape(None)?;
    // Asked for pictures, a loader of points would blame the size; the kind is what is wrong.
    let points = matches!(model.spec.config, AnyConfig::Mlp(_));
    if points != (shape.len() == 1) {
        bail!("{}: examples of shape {shape:?} do not fit the network", model.dir().display());
    }
    Ok(shape)
}

/// The whole plan; also what only the data decides.
pub(in crate::commands) fn plan<'a>(
    scored: Scored<'_>,
    model: &Pipeline,
    data: &LoadedDataset,
    noise: Option<(&'a [usize], &'a [f32])>,
) -> Result<EvalPlan<'a>> {
    let (num, order) = examples(scored, data)?;
    let chain = chain_choice(scored).of(model)?;
    let bound = if scored.args.chain.continuous() {
        BoundPlan::Continuous(continuous_plan(scored, data, &chain)?)
    } else {
        BoundPlan::Steps(steps_plan(scored, model, data, noise, num)?)
    };
    check_batch(scored, model, data, num.saturating_mul(bound.points_per_example()))?;
    Ok(EvalPlan {
        chain,
        bound,
        condition: condition(scored, model, data)?,
        num,
        order,
        batch_size: scored.args.estimate.batch_size as usize,
    })
}

/// How many examples are scored, and which.
pub(super) fn examples(scored: Scored<'_>, data: &LoadedDataset) -> Result<(usize, Order)> {
    let all = scored.in_split(data);
    let num = scored.args.data.limit.map_or(all, |limit| limit as usize);
    if num > all {
        bail!("--limit {num}: the {} split of {} has {all} examples", scored.split(data), scored.dataset);
    }
    let order = if scored.in_order() { Order::First } else { Order::Random { seed: scored.args.estimate.seed } };
    Ok((num, order))
}

/// Which levels are visited.
fn continuous_plan(scored: Scored<'_>, data: &LoadedDataset, chain: &Chain) -> Result<ContinuousPlan> {
    let estimate = &scored.args.estimate;
    Ok(ContinuousPlan {
        decoder: decoder(scored, data)?,
        levels: LevelStrata::of(chain, LevelStrata::USUAL),
        draws: usize::from(estimate.draws),
        seed: estimate.seed,
    })
}

/// Which steps are visited, and with which noise.
fn steps_plan<'a>(
    scored: Scored<'_>,
    model: &Pipeline,
    data: &LoadedDataset,
    noise: Option<(&'a [usize], &'a [f32])>,
    num: usize,
) -> Result<Plan<'a>> {
    let (steps, stride) = steps(scored, model)?;
    let draws = usize::from(scored.args.estimate.draws);
    let noise = match (noise, scored.noise) {
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
        _ => BoundNoise::Seeded(scored.args.estimate.seed),
    };
    let strata = Strata::with_stride(steps, stride);
    Ok(Plan { decoder: decoder(scored, data)?, strata, draws, noise, seed: scored.args.estimate.seed })
}

/// Refuses a batch that there is no memory for; it is never larger than all evaluations together.
pub(super) fn check_batch(
    scored: Scored<'_>,
    model: &Pipeline,
    data: &LoadedDataset,
    evaluations: usize,
) -> Result<()> {
    let (batch, limit) = ((scored.args.estimate.batch_size as usize).min(evaluations), memory::limit() as f64);
    let needed = least_to_predict(&model.spec.config, data.shape(), batch);
    if needed > limit && scored.machine.backend.is_cpu() {
        bail!(
            "--batch-size {}: {batch} evaluations at a time take at least {}, and this machine has {}; choose a smaller one",
            scored.args.estimate.batch_size,
            memory::shown(needed),
            memory::shown(limit)
        );
    }
    Ok(())
}

pub(super) fn decoder(scored: Scored<'_>, data: &LoadedDataset) -> Result<Decoder> {
    match (data.is_discrete(), scored.args.chain.cdf) {
        (true, cdf) => Ok(Decoder::Discretized(cdf.unwrap_or_default())),
        (false, None) => Ok(Decoder::Gaussian),
        (false, Some(cdf)) => {
            bail!(
                "--cdf {cdf}: the examples of {} are no 8-bit values, so that their decoder is a density",
                scored.dataset
            )
        }
    }
}

/// What a model is told about the class, for a file of results.
pub(super) fn condition_json(condition: Condition) -> Value {
    match condition {
        Condition::None => Value::Null,
        Condition::Labels => "labels".into(),
        Condition::Null(class) => json!({ "null_class": class }),
    }
}

pub(super) fn condition(scored: Scored<'_>, model: &Pipeline, data: &LoadedDataset) -> Result<Condition> {
    if model.labels()? == Labels::None {
        return Ok(Condition::None);
    }
    match (data.classes(), model.spec.facts.null_class) {
        (_, Some(null)) if scored.args.data.ignore_labels => Ok(Condition::Null(null)),
        (Some(_), _) => Ok(Condition::Labels),
        (None, Some(null)) => {
            say!("note: {} has no labels; the model is told nothing about the class", scored.dataset);
            Ok(Condition::Null(null))
        }
        (None, None) => {
            bail!("{} is class-conditional, but {} has no labels", scored.dir.display(), scored.dataset)
        }
    }
}
