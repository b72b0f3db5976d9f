//! `sfumato sample`

mod drawing;
mod like;
mod origin;
mod pictures;
mod record;
mod results;
mod set;
mod settings;

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use drawing::Drawn;
use like::Like;
use origin::Origin;
use pictures::FromPictures;
use record::{Call, Destination};
use results::Results;
use set::Set;
use sfumato_files::memory;
use sfumato_kernels::Backend;
use sfumato_model::{
    ModelError,
    pipeline::{AnyConfig, Pipeline},
    sampling::{self, LateStart, Noise, SampleOptions, SamplePlan, SamplerChoice, SamplerKind},
};
use sfumato_process::{RecordedNoise, sampler::SolverOrder};
use sfumato_train::{
    config::least_to_predict,
    ranks::{Ranks, Same},
};

use crate::{
    args::{SampleArgs, UsageError, of_model},
    backend::{Work, init_threads, with_backend},
    class, group, loaded,
    provenance::{ModelSums, Program, Settings, Source},
    signals,
};

pub(crate) fn run(mut args: SampleArgs, ranks: &dyn Ranks) -> Result<()> {
    let prepare = || {
        let like = Like::read(&mut args)?;
        let opened = loaded::open_model_with(args.model_dir(), args.null_class);
        let model = match (&like, args.given.has("model")) {
            (Some(like), false) => opened.map_err(|error| like.explain_model(error, args.model_dir()))?,
            _ => opened?,
        };
        let explained = |error| match &like {
            Some(like) => like.explain(error),
            None => error,
        };
        let sums = ModelSums::of(&model)?;
        like.iter().try_for_each(|like| like.check_model(&sums, args.model_dir()))?;
        if let Some(text) = &args.class_name {
            args.class = Some(class::resolve(text, &model)?);
        }
        let order = args.order.map(TryInto::try_into).transpose();
        let order = order.map_err(|reason| explained(UsageError(reason).into()))?;
        let scheduler = &model.spec.scheduler;
        if args.sampler.is_none() && scheduler.sampler().is_none() {
            say!(
                "note: the sampler of {} does not exist here; {} is used instead (--sampler chooses another)",
                scheduler.class_name,
                scheduler.nearest_sampler()
            );
        }
        for &guidance in args.guidance.all() {
            let checked = SampleOptions { guidance, ..options(&args, order, None)? }.check(&model);
            checked.map_err(|error| explained(of_model(error)))?;
        }
        let shape = model.example_shape(args.image_size.map(|size| size.0));
        let shape = shape.map_err(|error| explained(of_model(error)))?;
        init_threads(args.machine.threads)?;
        let pictures = FromPictures::read(&args, &shape)?;
        if let Some(pictures) = pictures.as_ref().filter(|_| !args.given.has("num") && like.is_none()) {
            args.num.num = pictures.count();
        }
        let set = Set { seeds: args.all_seeds(), weights: args.guidance.clone(), indices: args.num };
        check_memory(&args, &set, &model.spec.config, &shape)?;
        let noise = args.noise.as_deref().map(sfumato_files::read_npy_f32).transpose()?;
        Ok((args, like, model, sums, order, set, shape, noise, pictures))
    };
    let (args, like, model, sums, order, set, shape, noise, pictures) = group::together(ranks, prepare())?;
    let stop = signals::stop_flag_of(ranks)?;
    let machine = args.machine.clone();
    with_backend(&machine, Sampling { args, like, model, sums, order, set, shape, noise, pictures, stop, ranks })
}

/// What is asked for; `recorded` is the noise of `--noise`, once it has been read.
fn options<'a>(
    args: &SampleArgs,
    order: Option<SolverOrder>,
    recorded: Option<&'a (Vec<usize>, Vec<f32>)>,
) -> Result<SampleOptions<'a>> {
    let noise = match recorded {
        Some((shape, values)) => Noise::Recorded(RecordedNoise::new(shape, values).with_context(|| noise_file(args))?),
        None => Noise::Seeded(args.seed),
    };
    let choice = SamplerChoice {
        steps: args.steps,
        eta: args.eta,
        ddim: args.ddim.map(Into::into),
        order,
        karras: args.karras,
        ..SamplerChoice::new(SamplerKind::Ddpm)
    };
    let mut options = SampleOptions {
        sampler: args.sampler,
        choice,
        variance: args.variance.map(Into::into),
        clip: !args.no_clip,
        noise,
        class: args.class,
        guidance: args.guidance.all()[0],
        guidance_interval: args.guidance_interval,
        image_size: args.image_size.map(|size| size.0),
        batch_size: args.batch_size as usize,
        first: args.num.first,
        ..SampleOptions::new(args.num.num)
    };
    if let Some(placement) = args.spacing {
        options.place(placement);
    }
    Ok(options)
}

/// Refuses batches that there is no memory for, which would end the program without a word about the cause.
fn check_memory(args: &SampleArgs, set: &Set, network: &AnyConfig, shape: &[usize]) -> Result<()> {
    let values = |count: usize| shape.iter().try_fold(count, |product, &size| product.checked_mul(size));
    let bytes = values(set.len()).and_then(|values| values.checked_mul(size_of::<f32>()));
    let has_room = |values: usize| Vec::<f32>::new().try_reserve_exact(values).is_ok();
    let batch = (args.batch_size as usize).min(set.indices.num);
    let limit = memory::limit() as f64;
    // On another device the network has memory of its own.
    let predicted = if args.machine.backend.is_cpu() { least_to_predict(network, shape, batch) } else { 0.0 };
    let fits = bytes.is_some_and(|bytes| bytes as f64 <= limit) && predicted <= limit;
    if fits && values(batch).is_some_and(has_room) {
        return Ok(());
    }
    bail!(
        "there is no memory for {} samples of shape {shape:?}, {} at a time: ask for fewer with --num or --batch-size, or for \
         smaller ones with --image-size or sample_size in {}",
        set.len(),
        batch,
        args.model_dir().join("unet/config.json").display()
    )
}

/// The work of the command, for whichever backend.
struct Sampling<'a> {
    args: SampleArgs,
    /// The picture that is made again.
    like: Option<Like>,
    model: Pipeline,
    sums: ModelSums,
    order: Option<SolverOrder>,
    set: Set,
    /// Shape of one sample.
    shape: Vec<usize>,
    noise: Option<(Vec<usize>, Vec<f32>)>,
    pictures: Option<FromPictures>,
    stop: Arc<AtomicBool>,
    ranks: &'a dyn Ranks,
}

impl Work for Sampling<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let (out, ranks) = (&self.args.out, self.ranks);
        let prepare = || {
            let mut options = options(&self.args, self.order, self.noise.as_ref())?;
            if let Some(pictures) = &self.pictures {
                options.origin = pictures.origin(&self.shape)?;
            }
            let choice = options.choice(&self.model);
            let plan = self.plan(&options)?;
            let pictures = self.pictures.as_ref().map(FromPictures::settings);
            let settings = Settings { pictures, ..settings::of(&self.args, &self.model, &self.sums, &choice, &plan)? };
            self.like.iter().try_for_each(|like| like.check_settings(&settings))?;
            Ok((choice, plan, settings))
        };
        let (choice, plan, settings) = group::together(ranks, prepare())?;
        let call = Call::new(&settings, self.set.clone(), self.args.gif)?;
        if !ranks.is_alone() {
            let value = serde_json::to_string_pretty(&call.settings)?;
            group::check(ranks, self.args.machine.backend, vec![Same { what: "the model and the settings", value }])?;
        }
        let find = || {
            let destination = Destination::find(out, &call, &self.shape, self.args.overwrite)?;
            // Before the work, so that an unwritable place costs nothing.
            fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
            Ok(destination)
        };
        let found = ranks.leads().then(find).transpose();
        let mut destination = group::together(ranks, found)?;
        let done = destination.as_mut().map(|destination| std::mem::take(&mut destination.done)).unwrap_or_default();
        let size = self.shape.iter().product::<usize>();
        let there = ranks.broadcast(&((done.len() / size) as u64).to_le_bytes());
        let there = there.try_into().map_or(0, u64::from_le_bytes) as usize;
        self.announce(there, plan.origin.moves(plan.sampler.steps()), &choice.kind);
        let start = Instant::now();
        let drawn = if there == self.set.len() {
            Drawn { samples: done, ..Drawn::default() }
        } else {
            self.draw_together::<B>(&plan, done, there, &device)?
        };
        let Some(destination) = destination else { return Ok(()) };
        let seconds = start.elapsed().as_secs_f64();
        destination.take(drawn.samples.len() / size)?;
        let written = self.write(&drawn, &plan, &settings)?;
        self.report(drawn.samples.len() / size, there, &plan, &choice.kind, seconds);
        if let Some(like) = self.like.as_ref().filter(|_| drawn.samples.len() == self.set.len() * size) {
            like.compare(out, &self.set.file_name(0), &Program::this(self.args.machine.backend))?;
        }
        written.iter().try_for_each(|path| out!("{path}"))?;
        refuse_lost(&drawn.samples)
    }
}

impl Sampling<'_> {
    /// Says what is about to be drawn, where so many samples are there already.
    fn announce(&self, there: usize, steps: usize, kind: &dyn std::fmt::Display) {
        let num = self.set.len();
        if there == num {
            say!("all {num} samples are there already, nothing was drawn; --overwrite draws them again");
            return;
        }
        if there > 0 {
            say!("note: {there} of {num} samples are there already, the others are drawn");
        }
        let rows = match self.set.series().len() {
            1 => String::new(),
            _ => {
                let (seeds, weights) = (self.set.seeds.all().len(), self.set.weights.all().len());
                let each = counted(self.set.indices.num, "sample");
                let rows = match (seeds, weights) {
                    (seeds, 1) => counted(seeds, "seed"),
                    (1, weights) => counted(weights, "weight"),
                    _ => format!("{} under {}", counted(seeds, "seed"), counted(weights, "weight")),
                };
                format!(" ({each} of {rows}, each a row of the grid)")
            }
        };
        say!("drawing {}{rows}, {} of {kind} each", counted(num - there, "sample"), counted(steps, "step"));
    }

    /// Writes all files, and gives what was written.
    fn write(&self, drawn: &Drawn, plan: &SamplePlan<'_>, settings: &Settings) -> Result<Vec<String>> {
        let Drawn { samples, frames } = drawn;
        let lost = samples.iter().filter(|value| !value.is_finite()).count();
        // Where nothing else is there, it is an error in the end.
        if (1..samples.len()).contains(&lost) {
            say!("warning: the samples contain NaN: {lost} of {} values are NaN or infinite", samples.len());
        }
        let origin = Origin {
            settings,
            set: &self.set,
            classes: plan.classes,
            source: Source {
                model: self.like.as_ref().map_or_else(|| origin::given(self.args.model_dir()), Like::model),
                class_names: self.model.spec.facts.class_names.clone(),
                files: self.like.as_ref().map_or_else(|| pictures::files(&self.args), |like| like.made.files.clone()),
                program: Program::this(self.args.machine.backend),
            },
            size: <[usize; 3]>::try_from(&self.shape[..]).ok().map(|[_, height, width]| [height, width]),
        };
        Results { samples, shape: &self.shape, frames, origin: &origin }.write(&self.args.out)
    }

    /// Says what was drawn: all samples up to `now`, of which so many were there before.
    fn report(&self, now: usize, there: usize, plan: &SamplePlan<'_>, kind: &dyn std::fmt::Display, seconds: f64) {
        let (new, num) = (now - there, self.set.len());
        if new > 0 {
            let (steps, rate) = (plan.origin.moves(plan.sampler.steps()), new as f64 / seconds);
            let (new, steps) = (counted(new, "sample"), counted(steps, "step"));
            say!("{new}, {steps} of {kind} each, in {seconds:.1} s ({rate:.2} per second)");
        }
        if now < num {
            say!("stopped: {now} of {num} samples are drawn and written; the same command again draws the others");
        }
    }

    /// Every step settled; what is probably a mistake is said.
    fn plan<'a>(&self, options: &SampleOptions<'a>) -> Result<SamplePlan<'a>> {
        let plan = options.plan(&self.model).map_err(|error| match error {
            ModelError::Noise(error) => anyhow::Error::new(error).context(noise_file(&self.args)),
            error => of_model(error),
        })?;
        let (choice, sampler) = (options.choice(&self.model), &plan.sampler);
        let schedule = sampler.chain().trained_schedule();
        // The best steps start at the last one.
        if !options.best_steps && !matches!(options.origin, sampling::Origin::Picture { .. }) {
            let late = LateStart::find(&choice, &self.model.spec.scheduler, schedule);
            if let Some(late) = late.with_context(|| self.args.model_dir().display().to_string())? {
                say!("warning: {late}");
            }
        }
        let (steps, fewest) = (sampler.steps(), choice.kind.info().fewest_steps);
        if steps < fewest.min(schedule.steps()) {
            let (steps, verb) = (counted(steps, "step"), if steps == 1 { "draws" } else { "draw" });
            say!("note: {steps} of {} {verb} blurred pictures or holes; take {fewest} or more", choice.kind);
        }
        if let Some(times) = plan.guided_times() {
            say!("{}", guided(&times, steps));
        }
        Ok(plan)
    }
}

/// Refuses samples of which nothing is left; they are written all the same, as those are of which a part is.
fn refuse_lost(samples: &[f32]) -> Result<()> {
    if samples.iter().any(|value| value.is_finite()) || samples.is_empty() {
        return Ok(());
    }
    bail!("the samples are NaN or infinite throughout: so are the model's predictions, or its weights")
}

/// Which of the steps are guided, by the times at which they start.
fn guided(times: &[f64], steps: usize) -> String {
    match times {
        [] => format!("note: none of {} starts in the interval, so that there is no guidance", counted(steps, "step")),
        [only] => format!("guidance at 1 of {}: that at t = {only:.0}", counted(steps, "step")),
        [first, .., last] => {
            format!("guidance at {} of {}: t = {first:.0} to {last:.0}", times.len(), counted(steps, "step"))
        }
    }
}

/// The file of recorded noise, for messages about it.
fn noise_file(args: &SampleArgs) -> String {
    args.noise.as_deref().map_or_else(String::new, |path| path.display().to_string())
}

/// A number with its noun: `1 step`, `2 steps`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
