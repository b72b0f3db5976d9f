//! `sfumato sample`

mod record;
mod results;
mod settings;

use std::{
    fs,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use record::Destination;
use results::Results;
use sfumato_files::memory;
use sfumato_kernels::Backend;
use sfumato_model::pipeline::{AnyConfig, Pipeline, SamplingDefaults};
use sfumato_model::sampling::SamplerKind;
use sfumato_model::sampling::{Classes, Guidance, LateStart, Noise, Progress, SamplePlan, SamplerChoice, draw_batches};
use sfumato_nets::Network;
use sfumato_process::{RecordedNoise, sampler::SampleError};
use sfumato_train::config::least_to_predict;

use crate::{
    args::{SampleArgs, UsageError},
    backend::{Work, with_backend},
    class,
    fit::{self, Labels},
    loaded,
    progress::SampleProgress,
    signals,
};

/// Frames of the animation.
const GIF_FRAMES: usize = 50;

pub(crate) fn run(mut args: SampleArgs) -> Result<()> {
    let model = loaded::open_model(&args.model)?;
    args.class = args.class_name.as_deref().map(|text| class::resolve(text, &model)).transpose()?;
    let sampler = sampler(&args, &model)?;
    check(&args, &model, &sampler)?;
    let shape = fit::example_shape(&model, args.image_size.map(|size| size.0))?;
    check_memory(&args, &model.spec.config, &shape)?;
    let noise = args.noise.as_deref().map(sfumato_files::read_npy_f32).transpose()?;
    let machine = args.machine.clone();
    with_backend(&machine, Sampling { args, model, sampler, shape, noise, stop: signals::stop_flag()? })
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

/// The sampler that was asked for, or else the model's own.
fn sampler(args: &SampleArgs, model: &Pipeline) -> Result<SamplerChoice> {
    let scheduler = &model.spec.scheduler;
    let kind = args.sampler.or(scheduler.sampler()).unwrap_or_else(|| {
        let nearest = scheduler.nearest_sampler();
        say!(
            "note: the sampler of {} does not exist here; {nearest} is used instead (--sampler chooses another)",
            scheduler.class_name
        );
        nearest
    });
    let order = args.order.map(TryInto::try_into).transpose().map_err(UsageError)?;
    let (steps, spacing, eta, ddim, karras) =
        (args.steps, args.spacing, args.eta, args.ddim.map(Into::into), args.karras);
    Ok(SamplerChoice { kind, steps, spacing, eta, ddim, order, karras })
}

/// Compares the arguments with the model; what is wrong is said before anything is loaded.
fn check(args: &SampleArgs, model: &Pipeline, sampler: &SamplerChoice) -> Result<()> {
    let usage = |text: String| Err(UsageError(text).into());
    let kind = sampler.kind;
    let total = model.spec.scheduler.schedule.steps();
    if let Some(steps) = args.steps.filter(|steps| !(1..=total).contains(steps)) {
        return usage(format!("--steps {steps}: the model's schedule has {total} steps, so 1 to {total} are possible"));
    }
    if !(0.0..=1.0).contains(&args.eta) {
        return usage(format!("--eta {}: expected a number from 0 to 1", args.eta));
    }
    if args.eta > 0.0 && kind != SamplerKind::Ddim {
        return usage(format!("--eta {}: only ddim has it, and the sampler is {kind}", args.eta));
    }
    if args.ddim.is_some() && kind != SamplerKind::Ddim {
        return usage(format!("--ddim: the sampler is {kind}"));
    }
    if let Some(order) = args.order.filter(|_| kind != SamplerKind::DpmSolver) {
        return usage(format!("--order {order}: only dpm-solver++ has it, and the sampler is {kind}"));
    }
    if args.karras.is_some() && !kind.info().visits_levels {
        return usage(format!("--karras: only dpm-solver++, euler and heun have it, and the sampler is {kind}"));
    }
    fit::check_channels(model)?;
    if !args.guidance.is_finite() {
        return usage(format!("--guidance {}: expected a finite number", args.guidance));
    }
    match (args.class, fit::labels(model)?) {
        (Some(class), Labels::None) => bail!("--class {class}: {} is not class-conditional", args.model.display()),
        (None, Labels::Any) => bail!(
            "{}: the model knows any number as a class (class_embed_type timestep); say which with --class",
            args.model.display()
        ),
        (Some(class), Labels::Below(classes)) if class >= classes => {
            bail!("--class {class}: the model in {} knows the classes 0 to {}", args.model.display(), classes - 1)
        }
        _ => {}
    }
    if args.guidance != 1.0 && model.spec.facts.null_class.is_none() {
        bail!("--guidance {}: {} was not trained for guidance", args.guidance, args.model.display());
    }
    Ok(())
}

/// The work of the command, for whichever backend.
struct Sampling {
    args: SampleArgs,
    model: Pipeline,
    sampler: SamplerChoice,
    /// Shape of one sample.
    shape: Vec<usize>,
    noise: Option<(Vec<usize>, Vec<f32>)>,
    stop: Arc<AtomicBool>,
}

impl Work for Sampling {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let (num, out) = (self.args.num as usize, &self.args.out);
        let mut plan = self.plan()?;
        let settings = settings::of(&self.args, &self.model, &self.sampler, &plan)?;
        let destination = Destination::find(out, settings, num, &self.shape, self.args.overwrite)?;
        // Before the work, so that an unwritable place costs nothing.
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        plan.first = destination.done.len() / self.shape.iter().product::<usize>();
        if plan.first == num {
            say!("all {num} samples are there already, nothing was drawn; --overwrite draws them again");
        } else if plan.first > 0 {
            say!("note: {} of {num} samples are there already, the others are drawn", plan.first);
        }
        if plan.first < num {
            say!(
                "drawing {}, {} of {} each",
                counted(num - plan.first, "sample"),
                counted(plan.sampler.steps(), "step"),
                self.sampler.kind
            );
        }
        let start = Instant::now();
        let drawn = match &self.model.spec.config {
            _ if plan.first == num => Drawn { samples: destination.done.clone(), ..Drawn::default() },
            AnyConfig::UNet(_) => {
                self.draw::<B, _, 4>(&self.model.load_unet(&device)?, &plan, &destination.done, &device)?
            }
            AnyConfig::Mlp(_) => {
                self.draw::<B, _, 2>(&self.model.load_mlp(&device)?, &plan, &destination.done, &device)?
            }
        };
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
            let (steps, kind, rate) = (plan.sampler.steps(), self.sampler.kind, new as f64 / seconds);
            let (new, steps) = (counted(new, "sample"), counted(steps, "step"));
            say!("{new}, {steps} of {kind} each, in {seconds:.1} s ({rate:.2} per second)");
        }
        if there < num {
            say!("stopped: {there} of {num} samples are drawn and written; the same command again draws the others");
        }
        written.iter().try_for_each(|path| out!("{path}"))
    }
}

/// What was drawn, with what was there before.
#[derive(Default)]
struct Drawn {
    samples: Vec<f32>,
    /// States of the first batch on the way, if an animation is wanted.
    frames: Vec<Vec<f32>>,
}

impl Sampling {
    fn plan(&self) -> Result<SamplePlan<'_>> {
        let args = &self.args;
        let scheduler = &self.model.spec.scheduler;
        let sampler = self.sampler.resolve(scheduler).with_context(|| {
            let SamplingDefaults { steps_offset, lambda_min, .. } = scheduler.sampling;
            let lambda_min =
                if lambda_min.is_finite() { format!(", lambda_min_clipped {lambda_min}") } else { String::new() };
            format!(
                "{}: no such steps with the scheduler's steps_offset {steps_offset}{lambda_min}",
                args.model.display()
            )
        })?;
        let noise = match (&self.noise, &args.noise) {
            (Some((shape, values)), Some(path)) => {
                Noise::Recorded(RecordedNoise::new(shape, values).with_context(|| path.display().to_string())?)
            }
            _ => Noise::Seeded(args.seed),
        };
        let classes = match (args.class, fit::labels(&self.model)?) {
            (Some(class), _) => Classes::Only(class),
            (None, Labels::Below(classes)) => Classes::Cycle(classes),
            (None, _) => Classes::None,
        };
        let guidance =
            self.model.spec.facts.null_class.map(|null_class| Guidance { weight: args.guidance, null_class });
        let late = LateStart::find(&self.sampler, scheduler, sampler.chain().trained_schedule());
        if let Some(late) = late.with_context(|| args.model.display().to_string())? {
            say!("warning: {late}");
        }
        let (steps, kind) = (sampler.steps(), self.sampler.kind);
        let (fewest, total) = (kind.info().fewest_steps, sampler.chain().trained_schedule().steps());
        if steps < fewest.min(total) {
            let (steps, verb) = (counted(steps, "step"), if steps == 1 { "draws" } else { "draw" });
            say!("note: {steps} of {kind} {verb} blurred pictures or holes; take {fewest} or more");
        }
        let (num, batch_size) = (args.num as usize, args.batch_size as usize);
        let plan = SamplePlan { sampler, noise, classes, guidance, first: 0, num, batch_size };
        // Before the first step, not where the recording ends.
        plan.check_noise(&self.shape).with_context(|| noise_file(args))?;
        Ok(plan)
    }

    /// The samples in `done` and those after them; only some of these if it is asked to stop meanwhile.
    fn draw<B: Backend, N: Network<B, D>, const D: usize>(
        &self,
        net: &N,
        plan: &SamplePlan<'_>,
        done: &[f32],
        device: &B::Device,
    ) -> Result<Drawn> {
        let batches = (plan.num - plan.first).div_ceil(plan.batch_size);
        let progress = SampleProgress::new((batches * plan.sampler.steps()) as u64);
        let mut frames = Vec::new();
        let every = plan.sampler.steps().div_ceil(GIF_FRAMES);
        let stop = |now: bool| if now { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = || self.stop.load(Ordering::SeqCst);
        let mut observe = |state: Progress<'_, B, D>| {
            progress.step(&format!(
                "samples {}–{} of {}",
                state.first + 1,
                (state.first + plan.batch_size).min(plan.num),
                plan.num
            ));
            let wanted = state.done.is_multiple_of(every) || state.done == state.total;
            if self.args.gif && state.first == 0 && wanted {
                frames.push(host(state.x));
            }
            // A batch that is finished is kept.
            stop(stopped() && state.done < state.total)
        };
        let mut samples = done.to_vec();
        let mut keep = |batch: Vec<f32>| {
            samples.extend(batch);
            stop(stopped())
        };
        let result = draw_batches(net, plan, &self.shape, device, &mut observe, &mut keep);
        progress.finish();
        match result {
            Err(SampleError::Stopped { .. }) if samples.len() > done.len() => {}
            result => result.context("nothing was written")?,
        }
        Ok(Drawn { samples, frames })
    }
}

/// The file of recorded noise, for messages about it.
fn noise_file(args: &SampleArgs) -> String {
    args.noise.as_deref().map_or_else(String::new, |path| path.display().to_string())
}

fn host<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f32> {
    x.to_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}

/// A number with its noun: `1 step`, `2 steps`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
