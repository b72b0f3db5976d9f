//! Noise of an estimate, addressed by (seed, example, step, draw).

use crate::{
    NoiseError, RecordedNoise,
    noise::{Purpose, fill_normal},
};

/// Where the noise of `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` comes from.
///
/// Draw `d` (from 0) of step `t` is entry `d S + t - 1`, where `S` is the number of steps: with one draw, entry `t - 1` is the
/// noise of step `t`.
#[derive(Clone, Debug)]
pub enum BoundNoise<'a> {
    /// A function of the seed and the address.
    Seeded(u64),
    /// Recorded numbers, `[entries, examples, …]`, for comparison with other implementations.
    Recorded(RecordedNoise<'a>),
}

impl BoundNoise<'_> {
    /// Fills `out` with the noise of one example.
    ///
    /// # Errors
    /// [`NoiseError`] if a recording does not hold it.
    pub fn fill(&self, example: usize, entry: usize, out: &mut [f32]) -> Result<(), NoiseError> {
        match self {
            Self::Seeded(seed) => fill_normal(*seed, Purpose::Forward, example as u64, entry as u64, out),
            Self::Recorded(noise) => {
                let values = noise.get(entry, example)?;
                if values.len() != out.len() {
                    let found = noise.shape().2.to_vec();
                    return Err(NoiseError::WrongShape { expected: vec![out.len()], found });
                }
                out.copy_from_slice(values);
            }
        }
        Ok(())
    }
}
