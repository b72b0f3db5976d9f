//! `sfumato encode`

mod scores;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use sfumato_kernels::Backend;
use sfumato_model::{
    Model,
    picture::{GridLayout, Texts, write_grid},
    pipeline::{Labels, Pipeline},
    sampling::{Encoding, Noise, Pictures, SampleOptions, SamplePlan, SamplerKind},
};
use sfumato_process::RecordedNoise;

use self::scores::{Score, summary};
use crate::{
    args::{EncodeArgs, WalkArgs, of_model},
    backend::{Work, init_threads, with_backend},
    class, environment, loaded,
    output_dir::room_for,
    picture_files::{self, PictureFiles},
    progress::SampleProgress,
    provenance, signals,
};

const NOISE: &str = "noise.npy";
const RECORD: &str = "encode.json";
const GRID: &str = "grid.png";
/// Steps of ddim if nothing is said: a round trip takes more of them than a sample.
const STEPS: usize = 200;
/// Pictures in the grid.
const SHOWN: usize = 16;

pub(crate) fn run(args: &EncodeArgs) -> Result<()> {
    let model = loaded::open_model_with(&args.model, args.null_class)?;
    let class = args.class_name.as_deref().map(|text| class::resolve(text, &model)).transpose()?;
    let shape = model.example_shape(None).map_err(of_model)?;
    init_threads(args.machine.threads)?;
    let pictures = picture_files::read(&args.image, &args.model, &shape, args.background)?;
    // Before the weights are read: what a class or a step is refused for.
    options(&args.walk, &model, pictures.count, class)?.check(&model).map_err(of_model)?;
    room_for(&args.out, &[NOISE, RECORD, GRID], args.overwrite)?;
    let stop = signals::stop_flag()?;
    with_backend(&args.machine, Encode { args, model, class, pictures, stop })
}

/// The sampler that is inverted, with the class of the pictures.
///
/// # Errors
/// If the model has to be told a class, and there is none.
pub(super) fn options(
    walk: &WalkArgs,
    model: &Pipeline,
    num: usize,
    class: Option<usize>,
) -> Result<SampleOptions<'static>> {
    // Where predictions are clipped, many states lead to the same picture.
    let mut options = SampleOptions { class, clip: false, ..walk.options(num, Some(SamplerKind::Ddim)) };
    if walk.steps.is_none() && options.sampler == Some(SamplerKind::Ddim) {
        options.choice.steps = Some(STEPS.min(model.spec.scheduler.noise_schedule()?.steps()));
    }
    let conditional = !matches!(model.labels()?, Labels::None);
    if conditional && class.is_none() {
        if model.spec.facts.null_class.is_none() {
            bail!(
                "the model in {} has to be told the class of the pictures; --class says it (`sfumato info` lists the classes)",
                model.dir().display()
            );
        }
        options.guidance = 0.0;
    }
    Ok(options)
}

/// The noise of pictures, which are the samples of `plan`.
pub(super) fn encoded<B: Backend>(
    model: &Model<B>,
    (plan, encoding): (&SamplePlan<'_>, Encoding),
    pictures: Pictures<'_>,
    progress: &SampleProgress,
    stop: &AtomicBool,
) -> Result<Vec<f32>> {
    let mut noise = Vec::new();
    let mut observe = |state: sfumato_model::Step<'_>| {
        progress.step(&format!("encoding from picture {}", state.first + 1));
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut keep = |batch: Vec<f32>| {
        noise.extend(batch);
        ControlFlow::Continue(())
    };
    model.encode((plan, encoding), pictures, &mut observe, &mut keep).context("nothing was written")?;
    let lost = noise.iter().filter(|value| !value.is_finite()).count();
    if lost > 0 {
        bail!(
            "the model's predictions are NaN or infinite: {lost} of {} values of the noise are; nothing was written",
            noise.len()
        );
    }
    Ok(noise)
}

struct Encode<'a> {
    args: &'a EncodeArgs,
    model: Pipeline,
    class: Option<usize>,
    pictures: PictureFiles,
    stop: Arc<AtomicBool>,
}

impl Work for Encode<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { args, model, class, pictures: files, stop } = self;
        let options = options(&args.walk, &model, files.count, class)?;
        let plan = options.plan(&model).map_err(of_model)?;
        let kind = options.choice(&model).kind;
        let encoding = Encoding::of(kind, &plan.sampler, args.refine).map_err(of_model)?;
        let pictures = Pictures::new(&files.values, &plan.shape)?;
        let (steps, count) = (plan.sampler.steps(), files.count);
        say!("encoding {}, {steps} steps of {kind} each, and drawing them again", pictures_of(count));
        let model = Model::<B>::load(model, &device)?.in_precision(args.machine.precision());
        let progress = SampleProgress::new((2 * count.div_ceil(plan.batch_size) * steps) as u64);
        let noise = encoded(&model, (&plan, encoding), pictures, &progress, &stop)?;
        let shape: Vec<usize> = [1, count].into_iter().chain(plan.shape.iter().copied()).collect();
        let again = Again { model: &model, options: &options, progress: &progress, stop: &stop };
        let returned = again.draw(&shape, &noise)?;
        progress.finish();
        let size = plan.shape.iter().product::<usize>();
        let scores: Vec<Score> =
            files.values.chunks_exact(size).zip(returned.chunks_exact(size)).map(|(a, b)| Score::of(a, b)).collect();
        let path = |name: &str| args.out.join(name);
        sfumato_files::write_npy_f32(&path(NOISE), &shape, &noise)?;
        let mut record = json!({
            "sampler": kind.name(),
            "steps": steps,
            "refinements": args.refine,
            "class": options.class,
            "pictures_sha256": files.sha256,
            "weights_sha256": model.pipeline().weights_sha256()?,
            "noise": { "mean": mean(&noise), "standard_deviation": deviation(&noise) },
            "round_trip": scores.iter().map(Score::json).collect::<Vec<_>>(),
        });
        environment::set_precision(&mut record, args.machine.precision());
        let texts = provenance::texts_of("round trip", &record);
        show(&path(GRID), [&files.values, &returned], &plan.shape, &texts)?;
        let text = serde_json::to_string_pretty(&record).context("a record is JSON")? + "\n";
        sfumato_files::write_atomically(&path(RECORD), text.as_bytes())?;
        say!("{}", summary(&scores));
        say!(
            "the noise has mean {:.3} and standard deviation {:.3} (0 and 1 of pure noise)",
            mean(&noise),
            deviation(&noise)
        );
        [NOISE, GRID, RECORD].iter().try_for_each(|name| out!("{}", path(name).display()))
    }
}

/// The way back.
struct Again<'a, B: Backend> {
    model: &'a Model<B>,
    options: &'a SampleOptions<'static>,
    progress: &'a SampleProgress,
    stop: &'a AtomicBool,
}

impl<B: Backend> Again<'_, B> {
    fn draw(&self, shape: &[usize], noise: &[f32]) -> Result<Vec<f32>> {
        let noise = Noise::Recorded(RecordedNoise::new(shape, noise)?);
        let plan = SampleOptions { noise, ..self.options.clone() }.plan(self.model.pipeline()).map_err(of_model)?;
        let mut returned = Vec::new();
        let mut observe = |state: sfumato_model::Step<'_>| {
            self.progress.step(&format!("drawing from picture {}", state.first + 1));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut keep = |batch: Vec<f32>| {
            returned.extend(batch);
            ControlFlow::Continue(())
        };
        self.model.draw(&plan, &mut observe, &mut keep).context("nothing was written")?;
        Ok(returned)
    }
}

/// The first pictures, and below each row what came back.
fn show(path: &Path, [given, returned]: [&[f32]; 2], shape: &[usize], texts: &Texts) -> Result<()> {
    let &[c, h, w] = shape else { return Ok(()) };
    let size = c * h * w;
    let shown = (given.len() / size).min(SHOWN);
    let both = [&given[..shown * size], &returned[..shown * size]].concat();
    let layout = GridLayout { columns: shown, ..GridLayout::default() };
    Ok(write_grid(path, &both, [2 * shown, c, h, w], layout, texts)?)
}

fn pictures_of(count: usize) -> String {
    format!("{count} picture{}", if count == 1 { "" } else { "s" })
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f32]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}
