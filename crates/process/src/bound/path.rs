//! A whole trajectory and its probability, factorised forwards and backwards.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use super::{BoundError, Decoder, host, predicted::Predicted};
use crate::{Chain, Denoiser, NoiseSource, forward::q_trajectory};

/// The states `x_0, x_1, …, x_T` of one trajectory for each example of a batch, each `[batch, …]`.
///
/// All states are held at once; [`pathwise`](super::pathwise) walks without doing so.
#[derive(Clone, Debug)]
pub struct Path<B: Backend, const D: usize> {
    states: Vec<Tensor<B, D>>,
}

impl<B: Backend, const D: usize> Path<B, D> {
    /// The trajectory through `states`, `x_0` first.
    ///
    /// # Errors
    /// [`BoundError::Trajectory`] if there are fewer than two states, or their shapes differ.
    pub fn new(states: Vec<Tensor<B, D>>) -> Result<Self, BoundError> {
        let wrong = |index| BoundError::Trajectory { expected: states.len().max(2), found: states.len(), index };
        if states.len() < 2 {
            return Err(wrong(states.len()));
        }
        match states.iter().position(|state| state.dims() != states[0].dims()) {
            Some(index) => Err(wrong(index)),
            None => Ok(Self { states }),
        }
    }

    /// A draw of `q(x_{1:T} | x_0)`: draw `t - 1` of `noise` is the noise of step `t`.
    ///
    /// # Errors
    /// [`BoundError::Noise`].
    pub fn sample(schedule: &NoiseSchedule, x_0: Tensor<B, D>, noise: &dyn NoiseSource) -> Result<Self, BoundError> {
        let mut states = vec![x_0.clone()];
        for x_t in q_trajectory(schedule, x_0, noise) {
            states.push(x_t?);
        }
        Ok(Self { states })
    }

    /// The states, `x_0` first.
    pub fn states(&self) -> &[Tensor<B, D>] {
        &self.states
    }

    /// `ln q(x_{1:T} | x_0) = Σ ln q(x_t | x_{t-1})` for each example, nats.
    ///
    /// # Errors
    /// [`BoundError::Trajectory`] if the schedule has another number of steps.
    pub fn log_q(&self, schedule: &NoiseSchedule) -> Result<Vec<f64>, BoundError> {
        self.check(schedule)?;
        let mut sums = vec![0.0; self.states[0].dims()[0]];
        self.walk(|t, previous, x_t, size| {
            add(&mut sums, log_q_step(schedule, previous, x_t, t, size));
            Ok(())
        })?;
        Ok(sums)
    }

    /// `ln q(x_{0:T}) = ln q(x_0) + Σ ln q(x_t | x_{t-1})` for each example, nats, where `log_density` is the data's own
    /// `ln q(x_0)`, such as [`MixtureData::log_density`](crate::oracle::MixtureData::log_density).
    ///
    /// # Errors
    /// As [`log_q`](Self::log_q).
    pub fn log_q_joint(
        &self,
        schedule: &NoiseSchedule,
        log_density: impl Fn(&[f64]) -> f64,
    ) -> Result<Vec<f64>, BoundError> {
        let mut sums = self.log_q(schedule)?;
        let x_0 = host::read(self.states[0].clone())?;
        let size = x_0.len() / sums.len();
        add(&mut sums, x_0.chunks_exact(size).map(log_density));
        Ok(sums)
    }

    /// `ln p_θ(x_{0:T}) = ln p(x_T) + Σ ln p_θ(x_{t-1} | x_t)` for each example, nats, with `decoder` for `p_θ(x_0 | x_1)` and
    /// `p(x_T) = N(0, I)`.
    ///
    /// # Errors
    /// [`BoundError::Trajectory`] if the chain has another number of steps; as [`step_terms`](super::step_terms).
    pub fn log_p(
        &self,
        chain: &Chain,
        denoiser: &dyn Denoiser<B, D>,
        decoder: Decoder,
    ) -> Result<Vec<f64>, BoundError> {
        self.check(chain.schedule())?;
        let last = host::read(self.states[self.states.len() - 1].clone())?;
        let batch = self.states[0].dims()[0];
        let mut sums: Vec<f64> = last.chunks_exact(last.len() / batch).map(log_prior).collect();
        self.walk(|t, previous, x_t, size| {
            let state = self.states[t].clone();
            let predicted = Predicted::at(chain, denoiser, state, &vec![t; batch])?;
            add(&mut sums, log_p_step(chain, decoder, previous, x_t, &predicted, t, size)?.into_iter());
            Ok(())
        })?;
        Ok(sums)
    }

    fn check(&self, schedule: &NoiseSchedule) -> Result<(), BoundError> {
        let (expected, found) = (schedule.steps() + 1, self.states.len());
        if expected == found {
            Ok(())
        } else {
            Err(BoundError::Trajectory { expected, found, index: expected.min(found) })
        }
    }

    /// Calls `step(t, x_{t-1}, x_t, values in an example)` for every step.
    fn walk(
        &self,
        mut step: impl FnMut(usize, &[f64], &[f64], usize) -> Result<(), BoundError>,
    ) -> Result<(), BoundError> {
        let size = self.states[0].dims()[1..].iter().product();
        let mut previous = host::read(self.states[0].clone())?;
        for (t, state) in self.states.iter().enumerate().skip(1) {
            let x_t = host::read(state.clone())?;
            step(t, &previous, &x_t, size)?;
            previous = x_t;
        }
        Ok(())
    }
}

/// `ln N(x; 0, I)`.
pub(super) fn log_prior(x: &[f64]) -> f64 {
    -0.5 * x.iter().map(|x| TAU.ln() + x * x).sum::<f64>()
}

/// `ln q(x_t | x_{t-1})` for each example.
pub(super) fn log_q_step(
    schedule: &NoiseSchedule,
    previous: &[f64],
    x_t: &[f64],
    t: usize,
    size: usize,
) -> impl Iterator<Item = f64> {
    let (beta, retained) = (schedule.beta(t), schedule.alpha(t).sqrt());
    previous.chunks_exact(size).zip(x_t.chunks_exact(size)).map(move |(previous, x_t)| {
        let distance = host::squared_distance(x_t, previous.iter().map(|x| retained * x));
        -0.5 * (size as f64 * (TAU * beta).ln() + distance / beta)
    })
}

/// `ln p_θ(x_{t-1} | x_t)` for each example, given what the model says about `x_t`.
pub(super) fn log_p_step(
    chain: &Chain,
    decoder: Decoder,
    previous: &[f64],
    x_t: &[f64],
    predicted: &Predicted,
    t: usize,
    size: usize,
) -> Result<Vec<f64>, BoundError> {
    let weights = chain.schedule().posterior_mean_coefficients(t);
    let rows = previous.chunks_exact(size).zip(x_t.chunks_exact(size));
    rows.enumerate()
        .map(|(example, (previous, x_t))| {
            let row = predicted.row(chain, example, t);
            let nats = if t == 1 {
                row.decoder(decoder, previous).map_err(|value| BoundError::NotALevel { example, value })?
            } else {
                let term = |(j, (x, (x_0, x_t))): (usize, (&f64, (&f64, &f64)))| {
                    let mean = weights.x_0 * x_0 + weights.x_t * x_t;
                    let log_variance = row.log_variance(j);
                    0.5 * (TAU.ln() + log_variance + (x - mean).powi(2) * (-log_variance).exp())
                };
                previous.iter().zip(row.x_0.iter().zip(x_t)).enumerate().map(term).sum()
            };
            if nats.is_finite() { Ok(-nats) } else { Err(BoundError::NotFinite { example, step: t, nats }) }
        })
        .collect()
}

fn add(sums: &mut [f64], terms: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}
