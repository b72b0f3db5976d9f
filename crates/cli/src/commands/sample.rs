//! `sfumato sample`

mod record;
mod results;
mod settings;

use std::{
    fs,
    ops::{ControlFlow, Range},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, bail};
use record::Destination;
use results::Results;
use sfumato_files::memory;
use sfumato_kernels::Backend;
use sfumato_model::{
    Model, ModelError, Step,
    pipeline::{AnyConfig, Pipeline},
    sampling::{LateStart, Noise, SampleOptions, SamplePlan, SamplerChoice, SamplerKind},
};
use sfumato_process::{
    RecordedNoise,
    sampler::{SampleError, SolverOrder},
};
use sfumato_train::{
    config::least_to_predict,
    ranks::{Ranks, Same},
};

use crate::{
    args::{SampleArgs, UsageError, of_model},
    backend::{Work, with_backend},
    class, group, loaded,
    progress::SampleProgress,
    signals,
};

/// Frames of the animation.
const GIF_FRAMES: usize = 50;

pub(crate) fn run(mut args: SampleArgs, ranks: &dyn Ranks) -> Result<()> {
    let machine = args.machine.clone();
    let prepare = || {
        let model = loaded::open_model_with(&args.model, args.null_class)?;
        args.class = args.class_name.as_deref().map(|text| class::resolve(text, &model)).transpose()?;
        let order = args.order.map(TryInto::try_into).transpose().map_err(UsageError)?;
        let scheduler = &model.spec.scheduler;
        if args.sampler.is_none() && scheduler.sampler().is_none() {
            say!(
                "note: the sampler of {} does not exist here; {} is used instead (--sampler chooses another)",
                scheduler.class_name,
                scheduler.nearest_sampler()
            );
        }
        options(&args, order, None)?.check(&model).map_err(of_model)?;
        let shape = model.example_shape(args.image_size.map(|size| size.0)).map_err(of_model)?;
        check_memory(&args, &model.spec.config, &shape)?;
        let noise = args.noise.as_deref().map(sfumato_files::read_npy_f32).transpose()?;
        Ok((args, model, order, shape, noise))
    };
    let (args, model, order, shape, noise) = group::together(ranks, prepare())?;
    let stop = signals::stop_flag_of(ranks)?;
    with_backend(&machine, Sampling { args, model, order, shape, noise, stop, ranks })
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
        noise,
        class: args.class,
        guidance: args.guidance,
        guidance_interval: args.guidance_interval,
        image_size: args.image_size.map(|size| size.0),
        batch_size: args.batch_size as usize,
        ..SampleOptions::new(args.num as usize)
    };
    if let Some(placement) = args.spacing {
        options.place(placement);
    }
    Ok(options)
}

/// Refuses batches that there is no memory for, which would end the program without a word about the cause.
fn check_memory(args: &SampleArgs, network: &AnyConfig, shape: &[usize]) -> Result<()> {
    let values = |count: u32| shape.iter().try_fold(count as usize, |product, &size| product.checked_mul(size));
    let bytes = values(args.num).and_then(|values| values.checked_mul(size_of::<f32>()));
    let has_room = |values: usize| Vec::<f32>::new().try_reserve_exact(values).is_ok();
    let batch = args.batch_size.min(args.num);
    let limit = memory::limit() as f64;
    // On another device the network has memory of its own.
    let predicted = if args.machine.backend.is_cpu() { least_to_predict(network, shape, batch as usize) } else { 0.0 };
    let fits = bytes.is_some_and(|bytes| bytes as f64 <= limit) && predicted <= limit;
    if fits && values(batch).is_some_and(has_room) {
        return Ok(());
    }
    bail!(
        "there is no memory for {} samples of shape {shape:?}, {} at a time: ask for fewer with --num or --batch-size, or for \
         smaller ones with --image-size or sample_size in {}",
        args.num,
        batch,
        args.model.join("unet/config.json").display()
    )
}

/// The work of the command, for whichever backend.
struct Sampling<'a> {
    args: SampleArgs,
    model: Pipeline,
    order: Option<SolverOrder>,
    /// Shape of one sample.
    shape: Vec<usize>,
    noise: Option<(Vec<usize>, Vec<f32>)>,
    stop: Arc<AtomicBool>,
    ranks: &'a dyn Ranks,
}

impl Work for Sampling<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let (num, out, ranks) = (self.args.num as usize, &self.args.out, self.ranks);
        let prepare = || {
            let options = options(&self.args, self.order, self.noise.as_ref())?;
            let choice = options.choice(&self.model);
            let plan = self.plan(&options)?;
            let settings = settings::of(&self.args, &self.model, &choice, &plan)?;
            Ok((choice, plan, settings))
        };
        let (choice, mut plan, settings) = group::together(ranks, prepare())?;
        if !ranks.is_alone() {
            let value = serde_json::to_string_pretty(&settings)?;
            group::check(ranks, self.args.machine.backend, vec![Same { what: "the model and the settings", value }])?;
        }
        let find = || {
            let destination = Destination::find(out, settings, num, &self.shape, self.args.overwrite)?;
            // Before the work, so that an unwritable place costs nothing.
            fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
            Ok(destination)
        };
        let found = ranks.leads().then(find).transpose();
        let mut destination = group::together(ranks, found)?;
        let done = destination.as_mut().map(|destination| std::mem::take(&mut destination.done)).unwrap_or_default();
        let size = self.shape.iter().product::<usize>();
        let first = ranks.broadcast(&((done.len() / size) as u64).to_le_bytes());
        plan.first = first.try_into().map_or(0, u64::from_le_bytes) as usize;
        announce(num, plan.first, plan.sampler.steps(), &choice.kind);
        let start = Instant::now();
        let drawn = if plan.first == num {
            Drawn { samples: done, ..Drawn::default() }
        } else {
            self.draw_together::<B>(&plan, done, &device)?
        };
        let Some(destination) = destination else { return Ok(()) };
        let seconds = start.elapsed().as_secs_f64();
        let Drawn { samples, frames } = &drawn;
        let lost = samples.iter().filter(|value| !value.is_finite()).count();
        if lost > 0 {
            say!("warning: the samples contain NaN: {lost} of {} values are NaN or infinite", samples.len());
        }
        let there = samples.len() / self.shape.iter().product::<usize>();
        destination.take(there)?;
        let results = Results { samples, shape: &self.shape, columns: plan.classes.columns(there), frames };
        let written = results.write(out)?;
        let new = there - plan.first;
        if new > 0 {
            let (steps, kind, rate) = (plan.sampler.steps(), choice.kind, new as f64 / seconds);
            let (new, steps) = (counted(new, "sample"), counted(steps, "step"));
            say!("{new}, {steps} of {kind} each, in {seconds:.1} s ({rate:.2} per second)");
        }
        if there < num {
            say!("stopped: {there} of {num} samples are drawn and written; the same command again draws the others");
        }
        written.iter().try_for_each(|path| out!("{path}"))
    }
}

/// Says what is about to be drawn: samples from number `first` on.
fn announce(num: usize, first: usize, steps: usize, kind: &dyn std::fmt::Display) {
    if first == num {
        say!("all {num} samples are there already, nothing was drawn; --overwrite draws them again");
        return;
    }
    if first > 0 {
        say!("note: {first} of {num} samples are there already, the others are drawn");
    }
    say!("drawing {}, {} of {kind} each", counted(num - first, "sample"), counted(steps, "step"));
}

/// What was drawn, with what was there before.
#[derive(Default)]
struct Drawn {
    samples: Vec<f32>,
    /// States of the first batch on the way, if an animation is wanted.
    frames: Vec<Vec<f32>>,
}

impl Sampling<'_> {
    /// Every step settled; what is probably a mistake is said.
    fn plan<'a>(&self, options: &SampleOptions<'a>) -> Result<SamplePlan<'a>> {
        let plan = options.plan(&self.model).map_err(|error| match error {
            ModelError::Noise(error) => anyhow::Error::new(error).context(noise_file(&self.args)),
            error => of_model(error),
        })?;
        let (choice, sampler) = (options.choice(&self.model), &plan.sampler);
        let schedule = sampler.chain().trained_schedule();
        // The best steps start at the last one.
        if !options.best_steps {
            let late = LateStart::find(&choice, &self.model.spec.scheduler, schedule);
            if let Some(late) = late.with_context(|| self.args.model.display().to_string())? {
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

    /// The samples in `done` and those after them, on rank 0. Every rank draws a run of the batches that one would draw, so that every sample has the same
    /// bits; what comes after a batch that is missing is left out.
    fn draw_together<B: Backend>(&self, plan: &SamplePlan<'_>, done: Vec<f32>, device: &B::Device) -> Result<Drawn> {
        let ranks = self.ranks;
        let batches = (plan.num - plan.first).div_ceil(plan.batch_size);
        if batches < ranks.size() {
            say!(
                "note: {} of {} samples for {} ranks: a smaller --batch-size gives each of them some",
                if batches == 1 { "one batch".to_owned() } else { format!("{batches} batches") },
                plan.batch_size,
                ranks.size()
            );
        }
        let own = run_of(batches, ranks.size(), ranks.rank());
        let place = |batch: usize| plan.num.min(plan.first + batch * plan.batch_size);
        let own = SamplePlan { first: place(own.start), num: place(own.end), ..plan.clone() };
        let drawn = if own.first == own.num {
            Ok(Drawn { samples: done, ..Drawn::default() })
        } else {
            Model::<B>::load(self.model.clone(), device)
                .map_err(Into::into)
                .and_then(|model| self.draw(&model, &own, &done))
        };
        let mut drawn = group::together(ranks, drawn)?;
        if ranks.is_alone() {
            return Ok(drawn);
        }
        let size = self.shape.iter().product::<usize>();
        let words: Vec<u8> = drawn.samples.iter().flat_map(|value| value.to_le_bytes()).collect();
        for (rank, words) in ranks.gather(&words).iter().enumerate() {
            if rank > 0 {
                let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                drawn.samples.extend(words.chunks_exact(4).map(value));
            }
            let end = place(run_of(batches, ranks.size(), rank).end);
            if drawn.samples.len() < end * size {
                break;
            }
        }
        anyhow::ensure!(
            !ranks.leads() || drawn.samples.len() > plan.first * size,
            "stopped before a batch was drawn: nothing was written"
        );
        Ok(drawn)
    }

    /// The samples in `done` and those after them; only some of these if it is asked to stop meanwhile.
    fn draw<B: Backend>(&self, model: &Model<B>, plan: &SamplePlan<'_>, done: &[f32]) -> Result<Drawn> {
        let batches = (plan.num - plan.first).div_ceil(plan.batch_size);
        let progress = SampleProgress::new((batches * plan.sampler.steps()) as u64);
        let mut frames = Vec::new();
        let every = plan.sampler.steps().div_ceil(GIF_FRAMES);
        let stop = |now: bool| if now { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = || self.stop.load(Ordering::SeqCst);
        let mut observe = |state: Step<'_>| {
            progress.step(&format!(
                "samples {}–{} of {}",
                state.first + 1,
                (state.first + plan.batch_size).min(plan.num),
                plan.num
            ));
            let wanted = state.done.is_multiple_of(every) || state.done == state.total;
            if self.args.gif && state.first == 0 && wanted {
                frames.push(state.state());
            }
            // A batch that is finished is kept.
            stop(stopped() && state.done < state.total)
        };
        let mut samples = done.to_vec();
        let mut keep = |batch: Vec<f32>| {
            samples.extend(batch);
            stop(stopped())
        };
        let result = model.draw(plan, &mut observe, &mut keep);
        progress.finish();
        match result {
            Err(ModelError::Sample(SampleError::Stopped { .. }))
                if samples.len() > done.len() || !self.ranks.is_alone() => {}
            result => result.context("nothing was written")?,
        }
        Ok(Drawn { samples, frames })
    }
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

/// Part `i` of so many things in `parts` consecutive parts.
fn run_of(count: usize, parts: usize, i: usize) -> Range<usize> {
    let start = |i: usize| i * (count / parts) + i.min(count % parts);
    start(i)..start(i + 1)
}

/// The file of recorded noise, for messages about it.
fn noise_file(args: &SampleArgs) -> String {
    args.noise.as_deref().map_or_else(String::new, |path| path.display().to_string())
}

/// A number with its noun: `1 step`, `2 steps`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
