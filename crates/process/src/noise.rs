//! Where random numbers come from: counter-based streams, and replay of recorded noise.
//!
//! A stream is addressed, never advanced: the numbers for (seed, purpose, sample, draw) are the same whatever was
//! drawn before, on whichever thread, in whichever batch. The generator is ChaCha with 8 rounds; (seed, purpose, draw)
//! fill its key and the sample index is its stream number, so that two addresses never share numbers.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What a stream of random numbers is for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Noise of the reverse chain while sampling.
    Sampling,
    /// Noise added to training examples.
    Training,
    /// The step `t` drawn for a training example.
    TrainingStep,
    /// Noise of the forward chain in evaluation and in trajectories.
    Forward,
    /// Choices about training data: class labels that are dropped for guidance.
    Labels,
    /// The step that stands for a stratum of steps in an estimate of the bound.
    Strata,
    /// The noise levels that are visited in an estimate of the bound in continuous time.
    Levels,
    /// The noise at these levels.
    LevelNoise,
    /// Noise that is laid on data where the flow of its likelihood begins.
    FlowStart,
    /// Directions along which the divergence of the flow is measured.
    Probes,
}

impl Purpose {
    /// The word that separates the key space; part of the reproducibility contract, never renumbered.
    fn tag(self) -> u64 {
        match self {
            Self::Sampling => 1,
            Self::Training => 2,
            Self::TrainingStep => 3,
            Self::Forward => 4,
            Self::Labels => 5,
            Self::Strata => 6,
            Self::Levels => 7,
            Self::LevelNoise => 8,
            Self::FlowStart => 21,
            Self::Probes => 22,
        }
    }
}

/// The generator at address (`seed`, `purpose`, `sample`, `draw`).
///
/// ```
/// use rand::Rng;
/// use sfumato_process::noise::{Purpose, stream};
/// let a = stream(7, Purpose::Sampling, 3, 0).next_u64();
/// assert_eq!(a, stream(7, Purpose::Sampling, 3, 0).next_u64());
/// assert_ne!(a, stream(7, Purpose::Sampling, 4, 0).next_u64());
/// ```
pub fn stream(seed: u64, purpose: Purpose, sample: u64, draw: u64) -> ChaCha8Rng {
    sfumato_random::chacha8([seed, purpose.tag(), draw, 0], sample)
}

/// Fills `out` with standard normal numbers of the stream at the given address.
pub fn fill_normal(seed: u64, purpose: Purpose, sample: u64, draw: u64, out: &mut [f32]) {
    let mut rng = stream(seed, purpose, sample, draw);
    for value in out {
        *value = StandardNormal.sample(&mut rng);
    }
}

/// Why noise could not be delivered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// The recording ends before the sampler does.
    #[error(
        "the recorded noise has {available} entries, but entry {draw} (counted from 0) is needed: record one for x_T and one for each stochastic step"
    )]
    Exhausted {
        /// Entry that was asked for, from 0.
        draw: usize,
        /// Entries in the recording.
        available: usize,
    },
    /// The recording holds fewer samples than are drawn.
    #[error("the recorded noise is for {available} samples, but sample {sample} (counted from 0) is needed")]
    TooFewSamples {
        /// Sample that was asked for, from 0.
        sample: usize,
        /// Samples in the recording.
        available: usize,
    },
    /// The recording is for data of another shape.
    #[error("the recorded noise is for samples of shape {found:?}, but the model draws {expected:?}")]
    WrongShape {
        /// Shape of one sample of the model.
        expected: Vec<usize>,
        /// Shape of one sample in the recording.
        found: Vec<usize>,
    },
    /// The number of values is not the product of the shape.
    #[error("recorded noise of shape {shape:?} needs {expected} values, {found} were given")]
    WrongLength {
        /// Shape `[entries, samples, …]`.
        shape: Vec<usize>,
        /// Product of the shape.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The recording holds something that is not a number.
    #[error("recorded noise must be finite, but value {index} is {value}")]
    NotFinite {
        /// Position in the flat recording.
        index: usize,
        /// The value there.
        value: f32,
    },
}

/// A source of standard normal noise, addressed by draw and sample.
///
/// It knows no tensors and no backend, so that a source can be boxed and used with any.
pub trait NoiseSource {
    /// Fills `out` with the noise of one sample, whose values have `shape` (without the batch), in row-major order.
    ///
    /// `draw` counts the uses within one chain: 0 is `x_T`, then one for each stochastic step in the order of use. `sample` counts
    /// from 0 within the batch.
    ///
    /// # Errors
    /// [`NoiseError`] if a recording does not hold what is asked for.
    fn fill(&self, draw: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError>;
}

/// The noise of `source` for a batch of `shape`, `[batch, …]`.
///
/// # Errors
/// As [`NoiseSource::fill`].
pub fn normal<B: Backend, const D: usize>(
    source: &dyn NoiseSource,
    draw: usize,
    shape: [usize; D],
    device: &B::Device,
) -> Result<Tensor<B, D>, NoiseError> {
    let size: usize = shape[1..].iter().product();
    let mut values = vec![0.0; shape[0] * size];
    for (sample, out) in values.chunks_exact_mut(size.max(1)).enumerate() {
        source.fill(draw, sample, &shape[1..], out)?;
    }
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// Counter-based noise: sample `n` of seed `s` is the same whatever the batch size, thread count or backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeededNoise {
    seed: u64,
    purpose: Purpose,
    first_sample: u64,
}

impl SeededNoise {
    /// Sampling noise of `seed`, from sample 0 on.
    pub fn new(seed: u64) -> Self {
        Self { seed, purpose: Purpose::Sampling, first_sample: 0 }
    }

    /// The same source for another purpose.
    pub fn with_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    /// The same source for a batch whose first example is sample `first` (`u64`, from 0).
    pub fn starting_at(self, first: u64) -> Self {
        Self { first_sample: first, ..self }
    }
}

impl NoiseSource for SeededNoise {
    fn fill(&self, draw: usize, sample: usize, _: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        fill_normal(self.seed, self.purpose, self.first_sample + sample as u64, draw as u64, out);
        Ok(())
    }
}

/// Recorded noise, for replaying a trajectory of another implementation: `[entries, samples, …]`.
///
/// Entry 0 is `x_T`; surplus entries and samples are ignored.
#[derive(Clone, Debug)]
pub struct RecordedNoise<'a> {
    shape: &'a [usize],
    values: &'a [f32],
    first_sample: usize,
}

impl<'a> RecordedNoise<'a> {
    /// Wraps `values` in row-major order.
    ///
    /// # Errors
    /// [`NoiseError::WrongLength`] if the product of `shape` is not the number of values, [`NoiseError::NotFinite`]
    /// for NaN or infinity.
    pub fn new(shape: &'a [usize], values: &'a [f32]) -> Result<Self, NoiseError> {
        let expected = shape.iter().product();
        if shape.len() < 3 || values.len() != expected {
            return Err(NoiseError::WrongLength { shape: shape.to_vec(), expected, found: values.len() });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(NoiseError::NotFinite { index, value: values[index] });
        }
        Ok(Self { shape, values, first_sample: 0 })
    }

    /// The same recording for a batch whose first example is sample `first`.
    pub fn starting_at(&self, first: usize) -> Self {
        Self { first_sample: first, ..self.clone() }
    }

    /// Number of entries, of samples, and the shape of one sample.
    pub fn shape(&self) -> (usize, usize, &'a [usize]) {
        (self.shape[0], self.shape[1], &self.shape[2..])
    }

    /// Entry `draw` of sample `sample`, both from 0, in row-major order.
    ///
    /// # Errors
    /// [`NoiseError::Exhausted`] or [`NoiseError::TooFewSamples`] if the recording ends before.
    pub fn get(&self, draw: usize, sample: usize) -> Result<&'a [f32], NoiseError> {
        let (entries, samples, shape) = self.shape();
        if draw >= entries {
            return Err(NoiseError::Exhausted { draw, available: entries });
        }
        let sample = self.first_sample + sample;
        if sample >= samples {
            return Err(NoiseError::TooFewSamples { sample, available: samples });
        }
        let size: usize = shape.iter().product();
        let start = (draw * samples + sample) * size;
        Ok(&self.values[start..start + size])
    }
}

impl NoiseSource for RecordedNoise<'_> {
    fn fill(&self, draw: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        let recorded = self.shape().2;
        if recorded != shape {
            return Err(NoiseError::WrongShape { expected: shape.to_vec(), found: recorded.to_vec() });
        }
        out.copy_from_slice(self.get(draw, sample)?);
        Ok(())
    }
}

/// The samples of another source from number `first` on: a batch in the middle of many.
#[derive(Clone, Copy)]
pub struct From<'a> {
    /// The source of all samples.
    pub noise: &'a dyn NoiseSource,
    /// Its sample that is sample 0 here.
    pub first: usize,
}

impl NoiseSource for From<'_> {
    fn fill(&self, draw: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        self.noise.fill(draw, self.first + sample, shape, out)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    fn draw(source: &dyn NoiseSource, draw: usize, batch: usize) -> Vec<f32> {
        normal::<Flex, 2>(source, draw, [batch, 5], &Default::default()).unwrap().into_data().into_vec().unwrap()
    }

    #[test]
    fn a_sample_has_the_same_noise_in_any_batch() {
        let noise = SeededNoise::new(3);
        let all = draw(&noise, 2, 7);
        for i in 0..7 {
            assert_eq!(all[i * 5..(i + 1) * 5], draw(&noise.starting_at(i as u64), 2, 1));
        }
    }

    #[test]
    fn seeds_purposes_samples_and_draws_are_independent_streams() {
        let base = draw(&SeededNoise::new(3), 0, 2);
        assert_ne!(base[..5], base[5..]);
        assert_ne!(base, draw(&SeededNoise::new(4), 0, 2));
        assert_ne!(base, draw(&SeededNoise::new(3), 1, 2));
        assert_ne!(base, draw(&SeededNoise::new(3).with_purpose(Purpose::Forward), 0, 2));
    }

    /// The first numbers of a stream are part of the reproducibility contract: a new version that changes them would
    /// change every sample of every seed.
    #[test]
    fn the_streams_do_not_change_between_versions() {
        let mut values = [0.0; 4];
        fill_normal(42, Purpose::Sampling, 17, 3, &mut values);
        assert_eq!(values.map(f32::to_bits), PINNED, "{values:?}");
    }
    const PINNED: [u32; 4] = [1_053_720_153, 1_060_839_749, 1_067_661_141, 3_196_143_166];

    #[test]
    fn noise_has_the_moments_of_a_standard_normal() {
        let mut values = vec![0.0; 200_000];
        fill_normal(1, Purpose::Training, 0, 0, &mut values);
        let n = values.len() as f64;
        let moment = |k: i32| values.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
        // Standard errors: 1/√n, √2/√n, √15/√n and √96/√n; five of them leave room for no real bias.
        for (k, expected, sd) in [(1, 0.0, 1.0), (2, 1.0, 2f64.sqrt()), (3, 0.0, 15f64.sqrt()), (4, 3.0, 96f64.sqrt())]
        {
            assert!((moment(k) - expected).abs() < 5.0 * sd / n.sqrt(), "moment {k}: {}", moment(k));
        }
    }

    #[test]
    fn a_recording_is_replayed_by_entry_and_sample_and_its_limits_are_errors() {
        let values: Vec<f32> = (0..2 * 3 * 5).map(|i| i as f32).collect();
        let noise = RecordedNoise::new(&[2, 3, 5], &values).unwrap();
        assert_eq!(draw(&noise.starting_at(1), 1, 2), values[20..30]);
        let device = Default::default();
        let get = |noise: &dyn NoiseSource, draw, shape| normal::<Flex, 2>(noise, draw, shape, &device).map(|_| ());
        assert_eq!(get(&noise, 2, [3, 5]), Err(NoiseError::Exhausted { draw: 2, available: 2 }));
        assert_eq!(get(&noise.starting_at(2), 0, [2, 5]), Err(NoiseError::TooFewSamples { sample: 3, available: 3 }));
        let expected = NoiseError::WrongShape { expected: vec![4], found: vec![5] };
        assert_eq!(get(&noise, 0, [3, 4]), Err(expected));
        assert!(matches!(RecordedNoise::new(&[2, 3, 6], &values), Err(NoiseError::WrongLength { expected: 36, .. })));
        let bad = [0.0, f32::NAN];
        assert!(matches!(RecordedNoise::new(&[1, 1, 2], &bad), Err(NoiseError::NotFinite { index: 1, .. })));
    }
}
