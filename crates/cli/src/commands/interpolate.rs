//! `sfumato interpolate`

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sfumato_kernels::Backend;
use sfumato_model::{
    Model,
    picture::{GridLayout, Picture, picture_kind, write_gif, write_picture},
    pipeline::Pipeline,
    sampling::{Classes, Encoding, Noise, Pictures, SampleOptions, SamplePlan},
};
use sfumato_process::{NoiseBetween, NoiseSource, RecordedNoise, SeededNoise};

use super::encode;
use crate::{
    args::{End, InterpolateArgs, UsageError, of_model},
    backend::{Work, init_threads, with_backend},
    class, environment, loaded,
    output_dir::room_for,
    picture_files::{self, PictureFiles},
    progress::SampleProgress,
    provenance, signals,
};

const SAMPLES: &str = "samples.npy";
const GRID: &str = "grid.png";
const SCATTER: &str = "scatter.png";
const GIF: &str = "interpolation.gif";
const RECORD: &str = "interpolate.json";
const GIF_DELAY: Duration = Duration::from_millis(120);
/// Paths if nothing is said, between seeds.
const PATHS: usize = 4;
/// Refinements of the pictures' encoding.
const REFINEMENTS: usize = 3;

pub(crate) fn run(args: &InterpolateArgs) -> Result<()> {
    let model = loaded::open_model_with(&args.model, args.null_class)?;
    let resolve = |name: &Option<String>| name.as_deref().map(|text| class::resolve(text, &model)).transpose();
    let classes = [resolve(&args.class_name)?, resolve(&args.to_class)?];
    let to = match (&args.to, classes[1]) {
        (Some(to), _) => to,
        (None, Some(_)) => &args.from,
        (None, None) => {
            let message = "--to says where the paths end (a path from class to class needs --to-class instead)";
            return Err(UsageError(message.into()).into());
        }
    };
    let shape = model.example_shape(None).map_err(of_model)?;
    init_threads(args.machine.threads)?;
    let read = |end: &End| match end {
        End::Pictures(path) => picture_files::read(path, &args.model, &shape, args.background).map(Some),
        End::Seed { .. } => Ok(None),
    };
    let pictures = [read(&args.from)?, read(to)?];
    let counted = pictures.iter().flatten().map(|files| files.count).max().unwrap_or(PATHS);
    let rows = args.num.map_or(counted, |num| num as usize);
    let work = Interpolate {
        args,
        ends: [args.from.clone(), to.clone()],
        pictures,
        classes,
        rows,
        stop: signals::stop_flag()?,
        model,
    };
    // Before the weights are read: what a class or a step is refused for.
    for class in classes {
        work.options(rows, class)?.check(&work.model).map_err(of_model)?;
    }
    room_for(&args.out, &[SAMPLES, GRID, SCATTER, GIF, RECORD], args.overwrite)?;
    with_backend(&args.machine, work)
}

struct Interpolate<'a> {
    args: &'a InterpolateArgs,
    model: Pipeline,
    ends: [End; 2],
    /// Of the ends that are pictures.
    pictures: [Option<PictureFiles>; 2],
    /// At both ends.
    classes: [Option<usize>; 2],
    /// Paths.
    rows: usize,
    stop: Arc<AtomicBool>,
}

impl Work for Interpolate<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let frames = self.args.frames as usize;
        let model = Model::<B>::load(self.model.clone(), &device)?.in_precision(self.args.machine.precision());
        let ends = [self.noise_of(&model, 0)?, self.noise_of(&model, 1)?];
        let shape: Vec<usize> = [1, self.rows].into_iter().chain(model.pipeline().example_shape(None)?).collect();
        let sources = [self.source(0, &shape, ends[0].as_deref())?, self.source(1, &shape, ends[1].as_deref())?];
        let between = NoiseBetween { from: &*sources[0], to: &*sources[1], frames };
        let options =
            SampleOptions { noise: Noise::Own(&between), ..self.options(self.rows * frames, self.classes[0])? };
        let mut plan = options.plan(&self.model).map_err(of_model)?;
        if let [Some(from), Some(to)] = self.classes {
            plan.classes = Classes::Path { from, to, frames };
        }
        let kind = options.choice(&self.model).kind;
        say!("drawing {} paths of {frames} pictures, {} steps of {kind} each", self.rows, plan.sampler.steps());
        let samples = self.draw(&model, &plan)?;
        let record = self.record(&plan, kind.name())?;
        self.write(&samples, &plan.shape, &record)
    }
}

impl Interpolate<'_> {
    /// What to draw, of one class.
    fn options(&self, num: usize, class: Option<usize>) -> Result<SampleOptions<'static>> {
        let walk = &self.args.walk;
        let options = match self.pictures.iter().any(Option::is_some) {
            true => encode::options(walk, &self.model, num, class)?,
            false => SampleOptions { class, ..walk.options(num, None) },
        };
        // Pictures of no class were given weight 0.
        let guidance = if options.guidance == 0.0 { 0.0 } else { self.args.guidance };
        Ok(SampleOptions { guidance, ..options })
    }

    /// The noise of an end's pictures, a row a path.
    fn noise_of<B: Backend>(&self, model: &Model<B>, end: usize) -> Result<Option<Vec<f32>>> {
        let Some(files) = &self.pictures[end] else { return Ok(None) };
        let options = self.options(files.count.min(self.rows), self.classes[end].or(self.classes[0]))?;
        let plan = options.plan(&self.model).map_err(of_model)?;
        let kind = options.choice(&self.model).kind;
        let encoding = Encoding::of(kind, &plan.sampler, REFINEMENTS).map_err(of_model)?;
        let pictures = Pictures::new(&files.values, &plan.shape)?;
        let batches = plan.num.div_ceil(plan.batch_size);
        let progress = SampleProgress::new((batches * plan.sampler.steps()) as u64);
        let noise = encode::encoded(model, (&plan, encoding), pictures, &progress, &self.stop);
        progress.finish();
        let noise = noise?;
        let length = self.rows * plan.shape.iter().product::<usize>();
        Ok(Some(noise.iter().copied().cycle().take(length).collect()))
    }

    /// Where the noise of an end comes from.
    fn source<'n>(
        &self,
        end: usize,
        shape: &'n [usize],
        noise: Option<&'n [f32]>,
    ) -> Result<Box<dyn NoiseSource + 'n>> {
        Ok(match (&self.ends[end], noise) {
            (_, Some(values)) => Box::new(RecordedNoise::new(shape, values)?),
            (End::Seed { seed, first }, None) => Box::new(SeededNoise::new(*seed).starting_at(*first)),
            (End::Pictures(path), None) => anyhow::bail!("{} was not read", path.display()),
        })
    }

    fn draw<B: Backend>(&self, model: &Model<B>, plan: &SamplePlan<'_>) -> Result<Vec<f32>> {
        let parts = self.parts(plan);
        let batches: usize = parts.iter().map(|part| (part.num - part.first).div_ceil(part.batch_size)).sum();
        let progress = SampleProgress::new((batches * plan.sampler.steps()) as u64);
        let mut samples = Vec::new();
        let mut observe = |state: sfumato_model::Step<'_>| {
            progress.step(&format!("from picture {} of {}", state.first + 1, plan.num));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut keep = |batch: Vec<f32>| {
            samples.extend(batch);
            ControlFlow::Continue(())
        };
        let drawn = parts.iter().try_for_each(|part| model.draw(part, &mut observe, &mut keep));
        progress.finish();
        drawn.context("nothing was written")?;
        Ok(samples)
    }

    /// The whole, or each path where its class depends on the sample that it starts from: all its pictures are of this one.
    fn parts<'p>(&self, plan: &SamplePlan<'p>) -> Vec<SamplePlan<'p>> {
        let Classes::Cycle(classes) = plan.classes else { return vec![plan.clone()] };
        let frames = self.args.frames as usize;
        let path = |row: usize| SamplePlan {
            classes: self.classes_of(row, classes.max(1)),
            first: row * frames,
            num: (row + 1) * frames,
            ..plan.clone()
        };
        (0..self.rows).map(path).collect()
    }

    /// Of a path between samples that have classes in turn. Where the ends are of different ones, it leads from class to class.
    fn classes_of(&self, row: usize, classes: usize) -> Classes {
        let of = |end: &End| match end {
            End::Seed { first, .. } => Some(((first % classes as u64) as usize + row) % classes),
            End::Pictures(_) => None,
        };
        match [of(&self.ends[0]), of(&self.ends[1])] {
            [Some(from), Some(to)] if from != to => Classes::Path { from, to, frames: self.args.frames as usize },
            [from, to] => Classes::Only(from.or(to).unwrap_or(row % classes)),
        }
    }

    /// What decides the pictures.
    fn record(&self, plan: &SamplePlan<'_>, sampler: &str) -> Result<Value> {
        let end = |i: usize| match (&self.ends[i], &self.pictures[i]) {
            (End::Seed { seed, first }, _) => json!({ "seed": seed, "index": first }),
            (_, Some(files)) => json!({ "pictures_sha256": files.sha256 }),
            (_, None) => Value::Null,
        };
        let mut record = json!({
            "from": end(0),
            "to": end(1),
            "paths": self.rows,
            "frames": self.args.frames,
            "sampler": sampler,
            "steps": plan.sampler.steps(),
            "class": self.classes[0],
            "to_class": self.classes[1],
            "guidance": plan.guidance.map(|guidance| guidance.weight),
            "weights_sha256": self.model.weights_sha256()?,
        });
        environment::set_precision(&mut record, self.args.machine.precision());
        Ok(record)
    }

    fn write(&self, samples: &[f32], shape: &[usize], record: &Value) -> Result<()> {
        let (out, frames) = (&self.args.out, self.args.frames as usize);
        let mut written = Vec::new();
        let mut path = |name: &str| {
            written.push(out.join(name));
            out.join(name)
        };
        let all: Vec<usize> = [self.rows * frames].into_iter().chain(shape.iter().copied()).collect();
        sfumato_files::write_npy_f32(&path(SAMPLES), &all, samples)?;
        let texts = provenance::texts_of("paths", record);
        match (picture_kind(shape), shape) {
            (Picture::Grid, &[c, h, w]) => {
                write_picture(&path(GRID), shape, samples, frames, None, &texts)?;
                let size = c * h * w;
                let frame = |i: usize| {
                    let of_row = |row: usize| &samples[(row * frames + i) * size..][..size];
                    (0..self.rows).flat_map(of_row).copied().collect::<Vec<f32>>()
                };
                let all: Vec<Vec<f32>> = (0..frames).map(frame).collect();
                write_gif(&path(GIF), &all, [self.rows, c, h, w], GridLayout::default(), GIF_DELAY)?;
            }
            (Picture::Scatter, _) => drop(write_picture(&path(SCATTER), shape, samples, 0, None, &texts)?),
            _ => say!("note: samples of shape {shape:?} cannot be drawn, {SAMPLES} holds them"),
        }
        let text = serde_json::to_string_pretty(record).context("a record is JSON")? + "\n";
        sfumato_files::write_atomically(&path(RECORD), text.as_bytes())?;
        written.iter().try_for_each(|path| out!("{}", path.display()))
    }
}
