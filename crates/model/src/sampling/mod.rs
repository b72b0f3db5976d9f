//! Many samples from a model, batch by batch.

mod choice;
mod start;

pub use choice::{DdimConvention, SamplerChoice, fewest_steps};
pub use start::LateStart;

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sfumato_kernels::Backend;
use sfumato_nets::{Call, Guided, Network};
use sfumato_process::{
    Chain, Denoiser, NoiseError, NoiseLevels, NoiseSource, RecordedNoise, SeededNoise,
    sampler::{
        self, Ancestral, Ddim, DdimSteps, DpmSolver, DpmSolverOptions, Euler, Heun, Leaps, Observer, SampleError, walk,
    },
};

/// Classes that get columns of their own in a grid: more make it too wide to look at.
const MOST_COLUMNS: usize = 32;

/// How the chain is walked. [`SamplerChoice::resolve`] makes one that fits a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Sampler {
    /// Ancestral sampling.
    Ddpm,
    /// DDIM.
    Ddim {
        /// Its options.
        options: Ddim,
        /// Where each step of the chain leads.
        leaps: Leaps,
    },
    /// DPM-Solver++.
    DpmSolver {
        /// The levels it visits.
        levels: NoiseLevels,
        /// Its options.
        options: DpmSolverOptions,
    },
    /// Euler's method over these levels.
    Euler(NoiseLevels),
    /// Heun's method over these levels.
    Heun(NoiseLevels),
}

impl Sampler {
    /// Number of steps, for the chain that goes with it.
    pub fn steps(&self, chain: &Chain) -> usize {
        match self {
            Self::Ddpm | Self::Ddim { .. } => chain.steps(),
            Self::DpmSolver { levels, .. } | Self::Euler(levels) | Self::Heun(levels) => levels.steps(),
        }
    }
}

/// Where the noise comes from.
#[derive(Clone, Debug)]
pub enum Noise<'a> {
    /// A function of (seed, sample index, draw).
    Seeded(u64),
    /// Recorded numbers.
    Recorded(RecordedNoise<'a>),
}

/// Which classes are drawn, for a class-conditional model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Classes {
    /// The model knows none.
    None,
    /// Sample `n` is of class `n mod classes`; of class 0 where there are no classes to choose among.
    Cycle(usize),
    /// All samples are of this class.
    Only(usize),
}

impl Classes {
    /// Columns of a grid of the samples in which every class has a column of its own; 0 where the classes say nothing about it.
    pub fn columns(self, num: usize) -> usize {
        match self {
            Self::Cycle(classes) if (2..=MOST_COLUMNS).contains(&classes) && num > classes => classes,
            Self::None | Self::Cycle(_) | Self::Only(_) => 0,
        }
    }
}

/// Guidance towards the class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// 1 is none.
    pub weight: f64,
    /// The class that stands for "any".
    pub null_class: usize,
}

/// What to draw, and how.
#[derive(Clone, Debug)]
pub struct SamplePlan<'a> {
    /// The reverse chain.
    pub chain: Chain,
    /// How it is walked.
    pub sampler: Sampler,
    /// Where the noise comes from.
    pub noise: Noise<'a>,
    /// Which classes are drawn.
    pub classes: Classes,
    /// Guidance, if any.
    pub guidance: Option<Guidance>,
    /// Index of the first sample that is drawn: those before it are there already.
    pub first: usize,
    /// Number of samples, with those that are there already.
    pub num: usize,
    /// Samples at a time; the samples do not depend on it.
    pub batch_size: usize,
}

impl SamplePlan<'_> {
    /// Steps of the sampler.
    pub fn steps(&self) -> usize {
        self.sampler.steps(&self.chain)
    }

    /// Draws of noise that the sampler takes: `x_T`, and one for each of its steps up to the last that adds noise.
    pub fn draws(&self) -> usize {
        let noisy = match &self.sampler {
            // The last step adds none.
            Sampler::Ddpm => self.chain.steps() - 1,
            Sampler::Ddim { options, leaps } if options.eta > 0.0 => {
                leaps.pairs().iter().rposition(|&(t, s)| 0 < s && s < t).map_or(0, |last| last + 1)
            }
            Sampler::Ddim { .. } | Sampler::DpmSolver { .. } | Sampler::Euler(_) | Sampler::Heun(_) => 0,
        };
        1 + noisy
    }

    /// Checks that recorded noise is enough for all samples, each of `shape` (without the batch).
    ///
    /// # Errors
    /// The [`NoiseError`] that [`draw`] would end in, perhaps after many steps.
    pub fn check_noise(&self, shape: &[usize]) -> Result<(), NoiseError> {
        let Noise::Recorded(noise) = &self.noise else { return Ok(()) };
        let (entries, samples, recorded) = noise.shape();
        if recorded != shape {
            return Err(NoiseError::WrongShape { expected: shape.to_vec(), found: recorded.to_vec() });
        }
        match (entries < self.draws(), samples < self.num) {
            (true, _) => Err(NoiseError::Exhausted { draw: self.draws() - 1, available: entries }),
            (_, true) => Err(NoiseError::TooFewSamples { sample: self.num - 1, available: samples }),
            _ => Ok(()),
        }
    }
}

/// What an observer of [`draw`] sees after each step of each batch.
#[derive(Debug)]
pub struct Progress<'a, B: Backend, const D: usize> {
    /// Index of the batch's first sample.
    pub first: usize,
    /// Steps done in this batch, `1..=total`.
    pub done: usize,
    /// Steps of the chain.
    pub total: usize,
    /// The state, `[batch, …]`.
    pub x: &'a Tensor<B, D>,
}

/// Draws the samples of `plan`, each of `shape` (without the batch), one after the other in the result.
///
/// # Errors
/// [`SampleError`] from the noise, or if `observe` stops the chain.
pub fn draw<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    shape: &[usize],
    device: &B::Device,
    observe: &mut dyn FnMut(Progress<'_, B, D>) -> ControlFlow<()>,
) -> Result<Vec<f32>, SampleError> {
    let mut samples = Vec::with_capacity((plan.num - plan.first) * shape.iter().product::<usize>());
    let mut keep = |batch: Vec<f32>| {
        samples.extend(batch);
        ControlFlow::Continue(())
    };
    draw_batches(net, plan, shape, device, observe, &mut keep)?;
    Ok(samples)
}

/// The same, batch by batch: each finished one goes to `keep`, in order, which may say that these are enough.
///
/// # Errors
/// As [`draw`]; the batches before were kept.
pub fn draw_batches<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    shape: &[usize],
    device: &B::Device,
    observe: &mut dyn FnMut(Progress<'_, B, D>) -> ControlFlow<()>,
    keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
) -> Result<(), SampleError> {
    let _kept = sfumato_kernels::KeptFilters::new();
    for first in (plan.first..plan.num).step_by(plan.batch_size) {
        let mut batch_shape = [plan.batch_size.min(plan.num - first); D];
        batch_shape[1..].copy_from_slice(shape);
        let classes: Option<Vec<usize>> = match plan.classes {
            Classes::None => None,
            Classes::Cycle(classes) => Some((first..first + batch_shape[0]).map(|n| n % classes.max(1)).collect()),
            Classes::Only(class) => Some(vec![class; batch_shape[0]]),
        };
        let mut observer = |state: sampler::State<'_, B, D>| {
            observe(Progress { first, done: state.done, total: state.total, x: state.x })
        };
        let x = match (plan.guidance, &classes) {
            (Some(Guidance { weight, null_class }), Some(classes)) => {
                batch(plan, &Guided { net, classes, null_class, weight }, first, batch_shape, device, &mut observer)
            }
            _ => batch(
                plan,
                &Call { net, classes: classes.as_deref(), dropout: None },
                first,
                batch_shape,
                device,
                &mut observer,
            ),
        }?;
        let x = x.into_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32");
        if keep(x).is_break() {
            break;
        }
    }
    Ok(())
}

fn batch<B: Backend, const D: usize>(
    plan: &SamplePlan<'_>,
    denoiser: &impl Denoiser<B, D>,
    first: usize,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    match &plan.noise {
        Noise::Seeded(seed) => {
            sample(plan, denoiser, &SeededNoise::new(*seed).starting_at(first as u64), shape, device, observer)
        }
        Noise::Recorded(noise) => sample(plan, denoiser, &noise.starting_at(first), shape, device, observer),
    }
}

fn sample<B: Backend, const D: usize>(
    plan: &SamplePlan<'_>,
    denoiser: &impl Denoiser<B, D>,
    noise: &impl NoiseSource,
    shape: [usize; D],
    device: &B::Device,
    observer: &mut Observer<'_, B, D>,
) -> Result<Tensor<B, D>, SampleError> {
    let chain = &plan.chain;
    match &plan.sampler {
        Sampler::Ddpm => walk(&mut Ancestral::new(chain), denoiser, noise, shape, device, observer),
        Sampler::Ddim { options, leaps } => {
            let mut ddim = DdimSteps::new(chain, *options).with_leaps(leaps.clone());
            walk(&mut ddim, denoiser, noise, shape, device, observer)
        }
        Sampler::DpmSolver { levels, options } => {
            walk(&mut DpmSolver::new(chain, levels, *options), denoiser, noise, shape, device, observer)
        }
        Sampler::Euler(levels) => walk(&mut Euler::new(chain, levels), denoiser, noise, shape, device, observer),
        Sampler::Heun(levels) => walk(&mut Heun::new(chain, levels), denoiser, noise, shape, device, observer),
    }
}
