//! What to draw, and how.

use std::fmt;

use sfumato_process::{NoiseError, NoiseSource, RecordedNoise, levels::Sigmas};

use super::{Guidance, Origin, Sampler};

/// Classes that get columns of their own in a grid: more make it too wide to look at.
const MOST_COLUMNS: usize = 32;

/// Where the noise comes from.
#[derive(Clone)]
pub enum Noise<'a> {
    /// A function of (seed, sample index, draw).
    Seeded(u64),
    /// Recorded numbers.
    Recorded(RecordedNoise<'a>),
    /// The caller's own.
    Own(&'a dyn NoiseSource),
}

impl fmt::Debug for Noise<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeded(seed) => f.debug_tuple("Seeded").field(seed).finish(),
            Self::Recorded(noise) => f.debug_tuple("Recorded").field(&noise.shape()).finish(),
            Self::Own(_) => f.write_str("Own"),
        }
    }
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
    /// From one class to another, in so many samples a path: sample `n` has the weight `(n mod frames) / (frames - 1)` of the second.
    Path {
        /// The class of the first sample.
        from: usize,
        /// The class of the last.
        to: usize,
        /// Samples of a path, at least 1.
        frames: usize,
    },
}

impl Classes {
    /// Columns of a grid of the samples in which every class has a column of its own; 0 where the classes say nothing about it.
    pub fn columns(self, num: usize) -> usize {
        match self {
            Self::Cycle(classes) if (2..=MOST_COLUMNS).contains(&classes) && num > classes => classes,
            Self::Path { frames, .. } => frames,
            Self::None | Self::Cycle(_) | Self::Only(_) => 0,
        }
    }
}

/// What to draw, and how.
#[derive(Clone, Debug)]
pub struct SamplePlan<'a> {
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// The sampler, over the steps of the model's reverse chain.
    pub sampler: Sampler,
    /// Where the noise comes from.
    pub noise: Noise<'a>,
    /// What the samples are made from.
    pub origin: Origin<'a>,
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
    /// Where guidance is limited to an [interval](super::GuidanceInterval) of noise levels: the times in `1.0..=T` of the steps that start in
    /// it, from noise to data. None without such a limit.
    pub fn guided_times(&self) -> Option<Vec<f64>> {
        let interval = self.guidance?.interval?;
        let sigmas = Sigmas::of(self.sampler.chain().trained_schedule());
        Some(self.sampler.times().into_iter().filter(|&t| interval.contains(sigmas.at(t))).collect())
    }

    /// Checks that recorded noise is enough for all samples.
    ///
    /// # Errors
    /// The [`NoiseError`] that [`draw`](fn@super::draw) would end in, perhaps after many steps.
    pub fn check_noise(&self) -> Result<(), NoiseError> {
        let Noise::Recorded(noise) = &self.noise else { return Ok(()) };
        let (entries, samples, recorded) = noise.shape();
        if recorded != self.shape {
            return Err(NoiseError::WrongShape { expected: self.shape.clone(), found: recorded.to_vec() });
        }
        let draws = self.origin.draws(&self.sampler);
        match (entries < draws, samples < self.num) {
            (true, _) => Err(NoiseError::Exhausted { draw: draws - 1, available: entries }),
            (_, true) => Err(NoiseError::TooFewSamples { sample: self.num - 1, available: samples }),
            _ => Ok(()),
        }
    }
}
