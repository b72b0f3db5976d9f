//! `sfumato sample`

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use sfumato_kernels::Backend;
use sfumato_nets::{
    Network,
    pipeline::{AnyConfig, Pipeline, SamplingDefaults},
};
use sfumato_process::{RecordedNoise, sampler::SamplerKind};
use sfumato_train::{
    Picture,
    output::{self, GridLayout},
    picture_kind,
    sampling::{Classes, Guidance, Noise, Progress, SamplePlan, SamplerChoice, draw},
    write_picture,
};

use crate::{
    args::{SampleArgs, UsageError},
    backend::{Work, with_backend},
    fit::{self, Labels},
    loaded,
    progress::SampleProgress,
    signals,
};

/// Samples and frames of the animation.
const GIF_SAMPLES: usize = 16;
const GIF_FRAMES: usize = 50;
const GIF_DELAY: Duration = Duration::from_millis(60);

pub(crate) fn run(args: SampleArgs) -> Result<()> {
    let model = loaded::open_model(&args.model)?;
    let sampler = sampler(&args, &model)?;
    check(&args, &model, &sampler)?;
    let shape = fit::example_shape(&model, args.image_size.map(|size| size.0))?;
    let noise = args.noise.as_deref().map(output::read_npy_f32).transpose()?;
    // Before the work, so that an unwritable place costs nothing.
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let machine = args.machine.clone();
    with_backend(&machine, Sampling { args, model, sampler, shape, noise, stop: signals::stop_flag()? })
}

/// The sampler that was asked for, or else the model's own.
fn sampler(args: &SampleArgs, model: &Pipeline) -> Result<SamplerChoice> {
    let scheduler = &model.spec.scheduler;
    let kind = args.sampler.map(SamplerKind::from).or(scheduler.sampler()).unwrap_or_else(|| {
        let nearest = scheduler.nearest_sampler();
        eprintln!(
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
    if args.karras.is_some() && matches!(kind, SamplerKind::Ddpm | SamplerKind::Ddim) {
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
        let plan = self.plan()?;
        let start = Instant::now();
        let (samples, frames) = match &self.model.spec.config {
            AnyConfig::UNet(_) => self.draw::<B, _, 4>(&self.model.load_unet(&device)?, &plan, &device),
            AnyConfig::Mlp(_) => self.draw::<B, _, 2>(&self.model.load_mlp(&device)?, &plan, &device),
        }?;
        let seconds = start.elapsed().as_secs_f64();
        let lost = samples.iter().filter(|value| !value.is_finite()).count();
        if lost > 0 {
            eprintln!("warning: {lost} of {} values are NaN or infinite, the network has lost its way", samples.len());
        }
        self.write(&samples, &frames)?;
        let rate = self.args.num as f64 / seconds;
        eprintln!(
            "{} samples, {} steps of {} each, in {seconds:.1} s ({rate:.2} a second)",
            self.args.num,
            plan.steps(),
            self.sampler.kind
        );
        println!("{}", self.args.out.display());
        Ok(())
    }
}

impl Sampling {
    fn plan(&self) -> Result<SamplePlan<'_>> {
        let args = &self.args;
        let scheduler = &self.model.spec.scheduler;
        let (chain, sampler) = self.sampler.resolve(scheduler).with_context(|| {
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
        let (num, batch_size) = (args.num as usize, args.batch_size as usize);
        let plan = SamplePlan { chain, sampler, noise, classes, guidance, num, batch_size };
        // Before the first step, not where the recording ends.
        plan.check_noise(&self.shape).with_context(|| noise_file(args))?;
        Ok(plan)
    }

    /// The samples, and the states of the first few on the way if an animation is wanted.
    fn draw<B: Backend, N: Network<B, D>, const D: usize>(
        &self,
        net: &N,
        plan: &SamplePlan<'_>,
        device: &B::Device,
    ) -> Result<(Vec<f32>, Vec<Vec<f32>>)> {
        let batches = plan.num.div_ceil(plan.batch_size);
        let progress = SampleProgress::new((batches * plan.steps()) as u64);
        let mut frames = Vec::new();
        let every = plan.steps().div_ceil(GIF_FRAMES);
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
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let samples = draw(net, plan, &self.shape, device, &mut observe);
        progress.finish();
        let samples = samples.context("nothing was written")?;
        Ok((samples, frames))
    }

    fn write(&self, samples: &[f32], frames: &[Vec<f32>]) -> Result<()> {
        let (out, shape) = (&self.args.out, &self.shape);
        let all: Vec<usize> = std::iter::once(self.args.num as usize).chain(shape.iter().copied()).collect();
        output::write_npy_f32(&out.join("samples.npy"), &all, samples)?;
        let name = match picture_kind(shape) {
            Picture::Grid => "grid.png",
            Picture::Scatter => "scatter.png",
            Picture::None => {
                eprintln!("note: samples of shape {shape:?} cannot be drawn, samples.npy holds them");
                return Ok(());
            }
        };
        write_picture(&out.join(name), shape, samples, None)?;
        let &[c, h, w] = &shape[..] else { return Ok(()) };
        for (i, sample) in samples.chunks_exact(c * h * w).enumerate() {
            output::write_png(&sample_path(out, i), sample, [c, h, w])?;
        }
        if !frames.is_empty() {
            let n = GIF_SAMPLES.min(self.args.num as usize).min(self.args.batch_size as usize);
            let frames: Vec<&[f32]> = frames.iter().map(|frame| &frame[..n * c * h * w]).collect();
            output::write_gif(&out.join("denoising.gif"), &frames, [n, c, h, w], GridLayout::default(), GIF_DELAY)?;
        }
        Ok(())
    }
}

/// The file of recorded noise, for messages about it.
fn noise_file(args: &SampleArgs) -> String {
    args.noise.as_deref().map_or_else(String::new, |path| path.display().to_string())
}

fn sample_path(out: &Path, i: usize) -> PathBuf {
    out.join(format!("sample-{i:05}.png"))
}

fn host<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f32> {
    x.to_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}
