//! `--samples`: how far samples are from the data.

use std::{
    io::Write,
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sfumato_data::{self, Dataset, DatasetSpec, ImageSize, LabelsFrom, LoadOptions, LoadedDataset, Split};
use sfumato_evaluate::{
    CompareOptions, Distances, Measured, SampleSet, Sets, compare,
    features::{FeatureError, Features, GreyFeatures},
    inception::InceptionFeatures,
};
use sfumato_kernels::Backend;
use sfumato_model::{
    Model, Samples,
    pipeline::Pipeline,
    sampling::{Noise, SampleOptions},
};

use crate::{
    args::{EvalArgs, FeaturesName, SampleSource, UsageError},
    loaded,
    progress::EvalProgress,
    say,
};

/// Distances, and how long they took.
pub(super) struct Measurement {
    distances: Distances,
    /// What the samples are.
    samples: Value,
    /// Checksums of the data.
    data: [String; 2],
    drawn_in: f64,
    measured_in: f64,
}

/// Refuses what cannot work, before any work.
pub(super) fn check(args: &EvalArgs) -> Result<()> {
    match (&args.samples, &args.model) {
        (Some(SampleSource::Drawn(num)), None) => {
            Err(UsageError(format!("--samples {num}: say with --model which model draws them, or give a file")).into())
        }
        (Some(SampleSource::Drawn(num)), _) if *num < LEAST => {
            Err(UsageError(format!("--samples {num}: at least {LEAST} are needed")).into())
        }
        (Some(SampleSource::Path(path)), _) if !path.exists() => {
            bail!("--samples {}: there is no such file", path.display())
        }
        (None, _) if args.no_bound && args.regret.is_none() && !args.fit && !args.flow.flow => {
            let words = "--no-bound: nothing is left to be measured; add --samples, --regret, --fit or --flow";
            Err(UsageError(words.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// Samples below which no distance means anything.
const LEAST: usize = 10;

/// Draws or reads the samples, and compares them with the data.
pub(super) fn measure<B: Backend>(
    args: &EvalArgs,
    source: &SampleSource,
    model: Option<&Pipeline>,
    device: &B::Device,
    stop: &AtomicBool,
) -> Result<Measurement> {
    let features = features::<B>(&args.features, device)?;
    let start = Instant::now();
    let (samples, described): (Box<dyn Dataset>, Value) = match (source, model) {
        (SampleSource::Drawn(num), Some(model)) => {
            features.check(&model.example_shape(None)?)?;
            let samples = draw::<B>(args, model, *num, device, stop)?;
            (Box::new(SampleSet(samples)), json!({ "drawn": num, "seed": args.score.estimate.seed }))
        }
        (SampleSource::Path(path), _) => {
            let samples = read(path)?;
            let described = json!({ "path": path, "sha256": samples.sha256() });
            (Box::new(samples), described)
        }
        (SampleSource::Drawn(_), None) => bail!("samples can only be drawn from a model"),
    };
    let drawn_in = start.elapsed().as_secs_f64();
    features.check(samples.shape())?;
    let start = Instant::now();
    let [test, train] = [load(args, Split::Test, samples.shape())?, load(args, Split::Train, samples.shape())?];
    let sets = Sets { samples: &*samples, test: &test, train: &train };
    let distances = compared(args, &*features, &sets, stop)?;
    let data = [&test, &train].map(|data| data.sha256().to_owned());
    Ok(Measurement { distances, samples: described, data, drawn_in, measured_in: start.elapsed().as_secs_f64() })
}

fn features<B: Backend>(name: &FeaturesName, device: &B::Device) -> Result<Box<dyn Features>> {
    match name {
        FeaturesName::Grey28 => Ok(Box::new(GreyFeatures::<B>::new(device)?)),
        FeaturesName::Inception(path) => Ok(Box::new(InceptionFeatures::<B>::open(path, device)?)),
    }
}

fn draw<B: Backend>(
    args: &EvalArgs,
    model: &Pipeline,
    num: usize,
    device: &B::Device,
    stop: &AtomicBool,
) -> Result<Samples> {
    let options = SampleOptions {
        noise: Noise::Seeded(args.score.estimate.seed),
        batch_size: args.score.estimate.batch_size as usize,
        ..SampleOptions::new(num)
    };
    let plan = options.plan(model)?;
    let steps = plan.sampler.steps();
    say!("drawing {num} samples, {steps} steps of {} each", options.choice(model).kind);
    let model = Model::<B>::load(model.clone(), device)?.in_precision(args.machine.precision());
    let mut shown = EvalProgress::new((num * steps) as u64);
    let go_on = || if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let mut observe = |step: sfumato_model::Step<'_>| {
        let batch = (args.score.estimate.batch_size as usize).min(num - step.first);
        shown.update((step.first * steps + step.done * batch) as u64, &format!("{} of {num} samples", step.first));
        go_on()
    };
    let mut values = Vec::new();
    let mut keep = |batch: Vec<f32>| {
        values.extend(batch);
        go_on()
    };
    let drawn = model.draw(&plan, &mut observe, &mut keep);
    shown.finish();
    if stop.load(Ordering::SeqCst) {
        bail!("stopped before all samples were drawn: no distance was measured");
    }
    drawn?;
    Ok(Samples::new(&plan.shape, values))
}

/// Samples of anyone's: an array, a directory with the array that `sample` writes, or a directory of pictures.
fn read(path: &Path) -> Result<LoadedDataset> {
    let array = path.join("samples.npy");
    let spec = match (path.is_dir(), array.exists()) {
        (true, true) => DatasetSpec::Npy(array),
        (true, false) => DatasetSpec::Folder(path.to_owned()),
        (false, _) => DatasetSpec::Npy(path.to_owned()),
    };
    let options = LoadOptions { labels: LabelsFrom::None, ..LoadOptions::default() };
    let samples = sfumato_data::load(&spec, &options).context("cannot load the samples")?;
    loaded::tell(&samples);
    Ok(samples)
}

/// A part of the data in the samples' shape.
fn load(args: &EvalArgs, split: Split, shape: &[usize]) -> Result<LoadedDataset> {
    let mut options = LoadOptions {
        split,
        strict: args.score.data.strict,
        data_dir: args.score.data.data_dir.clone(),
        background: args.score.data.background.unwrap_or_default(),
        labels: args.score.data.labels.unwrap_or_default(),
        range: args.score.data.range,
        ..LoadOptions::default()
    };
    if let &[channels, height, width] = shape {
        options.channels = Some(channels);
        options.image_size = Some(ImageSize { height, width });
    }
    let data = sfumato_data::load(&args.dataset, &options).with_context(|| {
        format!("cannot load the {split} pictures: distances need those of training and of a test, for the floor")
    })?;
    loaded::tell(&data);
    Ok(data)
}

fn compared(args: &EvalArgs, features: &dyn Features, sets: &Sets<'_>, stop: &AtomicBool) -> Result<Distances> {
    let total = sets.samples.len() + sets.samples.len().min(sets.test.len()) + sets.train.len();
    say!("measuring distances of {} samples in features {}", sets.samples.len(), features.name());
    let mut shown = EvalProgress::new(total as u64);
    let mut observe = |done: usize, of: usize| {
        shown.update(done as u64, &format!("{done} of {of} pictures"));
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = CompareOptions { seed: args.score.estimate.seed, ..CompareOptions::default() };
    let found = compare(features, sets, &options, &mut observe);
    shown.finish();
    found.map_err(|error| match error {
        FeatureError::Stopped => anyhow::Error::new(error).context("no distance was measured"),
        other => anyhow::Error::new(other).context("cannot measure distances"),
    })
}

impl Measurement {
    /// What belongs into the result's file.
    pub(super) fn json(&self) -> Value {
        let mut all = json!(self.distances);
        all["samples"] = self.samples.clone();
        all["test_sha256"] = self.data[0].clone().into();
        all["train_sha256"] = self.data[1].clone().into();
        all["drawing_seconds"] = self.drawn_in.into();
        all["seconds"] = self.measured_in.into();
        all
    }

    /// The table on stdout.
    pub(super) fn print(&self) -> Result<()> {
        say::result(|out| out.write_all(self.table().as_bytes()))
    }

    fn table(&self) -> String {
        let found = &self.distances;
        let first = &found.frechet;
        let mut lines = vec![
            format!(
                "{:<10} {} ({} a picture, SHA-256 {})",
                "features", found.features, found.features_dims, found.features_sha256
            ),
            format!(
                "{:<10} {} training pictures; copies are looked for among all {}",
                "against", found.reference, found.train
            ),
            String::new(),
            format!("{:<22} {:>11} {:>24}   {:>11} {:>24}", "", "samples", "95 % interval", "floor", "95 % interval"),
            format!("{:<22} {:>11} {:>24}   {:>11} {:>24}", "number", first.n, "", first.floor_n, ""),
        ];
        lines.extend([
            line("Fréchet distance", &found.frechet),
            line("KID × 1000", &times(found.kid, 1000.0)),
            line("precision", &found.precision),
            line("recall", &found.recall),
            line("density", &found.density),
            line("coverage", &found.coverage),
        ]);
        lines.extend(found.class_distance.as_ref().map(|measured| line("class distance", measured)));
        lines.push(line("copies", &found.copies));
        lines.extend(found.data_copying.as_ref().map(|measured| line("C_T (below 0: copies)", measured)));
        lines.push(String::new());
        lines.push("The floor is the same figure of real test pictures against the same training pictures.".to_owned());
        lines.push(format!("Drawn or read in {:.1} s, measured in {:.1} s.", self.drawn_in, self.measured_in));
        lines.join("\n") + "\n"
    }
}

fn times(measured: Measured, factor: f64) -> Measured {
    let scaled = |estimate: sfumato_evaluate::distances::Estimate| {
        sfumato_evaluate::distances::Estimate::new(estimate.value * factor, estimate.standard_error * factor)
    };
    Measured { estimate: scaled(measured.estimate), floor: scaled(measured.floor), ..measured }
}

fn line(name: &str, measured: &Measured) -> String {
    let Measured { estimate, floor, .. } = measured;
    let interval = |low: f64, high: f64| format!("{low:.4} to {high:.4}");
    format!(
        "{name:<22} {:>11.4} {:>24}   {:>11.4} {:>24}",
        estimate.value,
        interval(estimate.low, estimate.high),
        floor.value,
        interval(floor.low, floor.high)
    )
}
