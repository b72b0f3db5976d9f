//! What samples are made from: noise, pictures that are changed, or pictures of which a part is known.

use std::{error::Error, fmt};

use sfumato_process::sampler::{Move, Resampling};

use super::Sampler;
use crate::ModelError;

/// Pictures that samples are made from. Sample `n` has picture `n mod count`.
#[derive(Clone, Copy, PartialEq)]
pub struct Pictures<'a> {
    values: &'a [f32],
    size: usize,
}

impl<'a> Pictures<'a> {
    /// Pictures one after the other, in [-1, 1], each of `shape`, as the samples have it.
    ///
    /// # Errors
    /// [`PicturesError`] if there are none, or the last one is not whole.
    pub fn new(values: &'a [f32], shape: &[usize]) -> Result<Self, PicturesError> {
        let size = shape.iter().product::<usize>().max(1);
        if values.is_empty() || !values.len().is_multiple_of(size) {
            return Err(PicturesError { values: values.len(), shape: shape.to_vec() });
        }
        Ok(Self { values, size })
    }

    /// Number of pictures, at least 1.
    pub fn count(self) -> usize {
        self.values.len() / self.size
    }

    /// Values of one picture.
    fn size(self) -> usize {
        self.size
    }

    /// Those of samples `first` to `first + count`, one after the other.
    pub(super) fn of_samples(self, first: usize, count: usize) -> Vec<f32> {
        let of = |n: usize| &self.values[(n % self.count()) * self.size..][..self.size];
        (first..first + count).flat_map(of).copied().collect()
    }
}

impl fmt::Debug for Pictures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pictures({})", self.count())
    }
}

/// Values that are no whole pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PicturesError {
    /// How many values.
    pub values: usize,
    /// Shape of one picture.
    pub shape: Vec<usize>,
}

impl fmt::Display for PicturesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { values, shape } = self;
        write!(f, "{values} values are not one or more pictures of shape {shape:?}")
    }
}

impl Error for PicturesError {}

/// What samples are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Origin<'a> {
    /// Noise alone.
    #[default]
    Noise,
    /// Pictures with so much noise that the last `strength` of the steps are left: SDEdit, Meng et al. (2022), arXiv:2108.01073.
    Picture {
        /// The pictures.
        pictures: Pictures<'a>,
        /// From a little above 0, which keeps the picture, to 1, which keeps next to nothing of it.
        strength: f64,
    },
    /// Pictures of which a part is known: RePaint, Lugmayr et al. (2022), arXiv:2201.09865.
    Known {
        /// The pictures.
        pictures: Pictures<'a>,
        /// 1 where a picture is known, 0 where it is drawn; as many as there are pictures, or one for all.
        keep: Pictures<'a>,
        /// How often stretches of the walk are gone over again.
        resampling: Resampling,
    },
}

impl Origin<'_> {
    /// Steps of a sampler of `total` that are left out at the beginning. Of the others there are as many whole ones as `strength` asks for,
    /// counted as diffusers' image-to-image pipelines count them, and at least one.
    pub fn skipped(self, total: usize) -> usize {
        match self {
            Self::Picture { strength, .. } => {
                // Cut off as Python's `int` does, so that 0.29 of 100 steps, which is 28.999999999999996, are 28 there and here.
                total - ((total as f64 * strength) as usize).clamp(1, total.max(1))
            }
            Self::Noise | Self::Known { .. } => 0,
        }
    }

    /// Moves of a walk: steps, and the jumps between them.
    pub fn moves(self, total: usize) -> usize {
        match self {
            Self::Known { resampling, .. } => resampling.moves(total).len(),
            _ => total - self.skipped(total),
        }
    }

    /// Draws of noise that `sampler` takes: the first state's, one for each stochastic step up to the last, and those of inpainting.
    pub fn draws(self, sampler: &Sampler) -> usize {
        let (draws, total) = (sampler.draws(), sampler.steps());
        let Self::Known { resampling, .. } = self else {
            return 1 + (draws - 1).saturating_sub(self.skipped(total));
        };
        let of = |one: &Move| match *one {
            Move::Down(step) => usize::from(step < draws) + usize::from(step < total),
            Move::Up { .. } => 1,
        };
        1 + resampling.moves(total).iter().map(of).sum::<usize>()
    }
}

/// Refuses pictures that are not of the samples' shape, and values without a meaning.
pub(super) fn check(origin: &Origin<'_>, shape: &[usize]) -> Result<(), ModelError> {
    let value = |option, value: String, reason: String| Err(ModelError::Value { option, value, reason });
    let (pictures, keep) = match *origin {
        Origin::Noise => return Ok(()),
        Origin::Picture { strength, .. } if !(strength > 0.0 && strength <= 1.0) => {
            return value("strength", strength.to_string(), "expected a number above 0, up to 1".into());
        }
        Origin::Picture { pictures, .. } => (pictures, pictures),
        Origin::Known { resampling, .. } if resampling.jump == 0 || resampling.times == 0 => {
            let found = format!("{} and {}", resampling.jump, resampling.times);
            return value("resampling", found, "expected a jump of at least 1 step, and at least 1 walk".into());
        }
        Origin::Known { pictures, keep, .. } => (pictures, keep),
    };
    let size = shape.iter().product::<usize>();
    if pictures.size() != size || keep.size() != size {
        let reason = format!("the samples have shape {shape:?}, {size} values each");
        return value("pictures", format!("{} values each", pictures.size()), reason);
    }
    if keep.count() != 1 && keep.count() != pictures.count() {
        let reason = format!("expected one mask, or one for each of the {} pictures", pictures.count());
        return value("masks", keep.count().to_string(), reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_take_pictures_in_turn() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let pictures = Pictures::new(&values, &[1, 1, 2]).unwrap();
        assert_eq!((pictures.count(), pictures.of_samples(2, 3)), (3, vec![5.0, 6.0, 1.0, 2.0, 3.0, 4.0]));
        assert!(Pictures::new(&values, &[4]).is_err() && Pictures::new(&[], &[1]).is_err());
    }

    #[test]
    fn strength_is_the_share_of_the_steps_that_are_left() {
        let values = [0.0];
        let pictures = Pictures::new(&values, &[1]).unwrap();
        // total - min(int(total * strength), total), as diffusers has it; of no steps one is left.
        for (strength, total, skipped) in [
            (1.0, 50, 0),
            (0.5, 50, 25),
            (0.7, 10, 3),
            (0.29, 100, 72),
            (0.99, 20, 1),
            (0.97, 20, 1),
            (0.5, 25, 13),
            (1e-9, 50, 49),
            (0.001, 1, 0),
        ] {
            assert_eq!(Origin::Picture { pictures, strength }.skipped(total), skipped, "{strength} of {total}");
        }
        assert_eq!(Origin::Noise.skipped(7), 0);
    }
}
