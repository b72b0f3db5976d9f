//! The data set as a distribution: every example with the same weight, and nothing else.

use rayon::prelude::*;
use sfumato_data::{Dataset, mirror};

use super::RegretError;

/// The distribution that has each example of a data set, or of a part of it, with the same probability.
///
/// A network that denoises it perfectly has learned the examples by heart.
#[derive(Debug)]
pub struct EmpiricalMixture<'a> {
    data: &'a dyn Dataset,
    /// Which examples, if not all.
    part: Option<Vec<usize>>,
    /// Whether each is there mirrored too.
    mirrored: bool,
    /// `½ |x_i|²`.
    half_squares: Vec<f64>,
    /// The largest `|x_i|`.
    largest: f64,
}

/// A noisy example: which of the examples given, which of the noises, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// Index of the example, from 0.
    pub example: usize,
    /// Index of the noise, from 0.
    pub noise: usize,
    /// `ᾱ/(1 - ᾱ)`, positive and finite.
    pub snr: f64,
}

impl<'a> EmpiricalMixture<'a> {
    /// The mixture of all examples of `data`, or of those in `part`; with each of them mirrored left to right too if `mirrored`.
    ///
    /// # Errors
    /// [`RegretError::NoExamples`], [`RegretError::NotANumber`].
    pub fn new(data: &'a dyn Dataset, part: Option<Vec<usize>>, mirrored: bool) -> Result<Self, RegretError> {
        let mut mixture = Self { data, part, mirrored, half_squares: Vec::new(), largest: 0.0 };
        let squares = |i: usize, x: &mut Vec<f32>| {
            mixture.write(i, x);
            x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
        };
        let squares: Vec<f64> = (0..mixture.len())
            .into_par_iter()
            .with_min_len(64)
            .map_init(|| vec![0.0; data.example_len()], |x, i| squares(i, x))
            .collect();
        if squares.is_empty() {
            return Err(RegretError::NoExamples);
        }
        if let Some(i) = squares.iter().position(|square| !square.is_finite()) {
            return Err(RegretError::NotANumber { example: mixture.example(i) });
        }
        mixture.largest = squares.iter().copied().fold(0.0, f64::max).sqrt();
        mixture.half_squares = squares.into_iter().map(|square| 0.5 * square).collect();
        Ok(mixture)
    }

    /// Number of points; mirrored ones count.
    pub fn len(&self) -> usize {
        self.examples() * if self.mirrored { 2 } else { 1 }
    }

    /// Whether there are none. A mixture always has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of an example.
    pub fn dims(&self) -> usize {
        self.data.example_len()
    }

    /// Examples without the mirrored ones.
    fn examples(&self) -> usize {
        self.part.as_ref().map_or(self.data.len(), Vec::len)
    }

    /// The example in the data set that point `i` is.
    fn example(&self, i: usize) -> usize {
        let place = i % self.examples();
        self.part.as_ref().map_or(place, |part| part[place])
    }

    /// Writes point `i`.
    pub(super) fn write(&self, i: usize, out: &mut [f32]) {
        self.data.write(self.example(i), out);
        if i >= self.examples() {
            mirror(self.data.shape(), out);
        }
    }

    /// `½ |x_i|²` of every point.
    pub(super) fn half_squares(&self) -> &[f64] {
        &self.half_squares
    }

    /// The largest `|x_i|`.
    pub(super) fn largest(&self) -> f64 {
        self.largest
    }
}
