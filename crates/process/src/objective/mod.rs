//! What a network is trained to make small, as a value: `L_simple`, the variational bound, or both.
//!
//! | [`Loss`] | for an example at step `t` | source |
//! | --- | --- | --- |
//! | `Simple` | `w_t ‖target - output‖²`, mean over the dimensions; `w_t` is 1, or that of another [`Weight`] | Ho et al. (2020), Eq. 14 |
//! | `Vlb` | `T L_{t-1}`, bits/dim | Ho et al. (2020), Eq. 5; Nichol & Dhariwal (2021), Eq. 4-7 |
//! | `Hybrid` | the first, plus 0.001 times the second in which the mean is not trained | Nichol & Dhariwal (2021), Eq. 16 |
//!
//! Averaged over uniform steps `t`, `Vlb` is the bound in bits/dim without its constant, the prior term: what
//! [`bound::estimate`](crate::bound::estimate()) computes. `L_0` is the decoder's, discretised or a density.
//!
//! In the first and the last the squared error counts what a [`Weight`] says. How often a step is visited is another matter, that of
//! [`Density`](crate::times::Density), and changes no expectation.
//!
//! # Example
//! The loss of a network that always answers 0, for data of one dimension, with its variance between `β̃` and `β`:
//! ```
//! use burn::{backend::Flex, tensor::{Tensor, backend::Backend}};
//! use sfumato_process::{
//!     Denoiser, DiffusionObjective, ModelVariance, Objective, Parameterization, bound::Decoder, objective::{Loss, Weight},
//! };
//! use sfumato_schedule::ScheduleConfig;
//!
//! struct Silent;
//! impl<B: Backend> Denoiser<B, 2> for Silent {
//!     fn predict(&self, x_t: Tensor<B, 2>, _: &[usize]) -> Tensor<B, 2> {
//!         Tensor::zeros([x_t.dims()[0], 2], &x_t.device()) // the noise, and where the variance lies
//!     }
//! }
//!
//! let schedule = ScheduleConfig::default().build()?;
//! let objective = DiffusionObjective {
//!     parameterization: Parameterization::Epsilon,
//!     variance: ModelVariance::LearnedRange,
//!     loss: Loss::Hybrid,
//!     weight: Weight::Simple,
//!     decoder: Decoder::Gaussian,
//! };
//! let device = Default::default();
//! let x = |value: f32| Tensor::<Flex, 2>::from_data([[value]], &device);
//! let losses = objective.losses(&schedule, &Silent, x(0.5), &[300], x(-2.0))?;
//! assert!(losses.into_scalar() > 4.0); // ε², and a little for the bound
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decoder;
mod error;
mod step_term;
mod stored;
mod terms;
mod weight;

pub use error::ObjectiveError;
pub use weight::Weight;

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use sfumato_schedule::NoiseSchedule;
use terms::StepTerms;

use crate::{
    Denoiser, ModelVariance, Parameterization,
    bound::Decoder,
    broadcast::{check_steps, coefficients},
    forward::q_sample,
    output::try_halves,
};

/// Weight of `L_vlb`, in bits/dim, beside `L_simple`: Nichol & Dhariwal (2021), §3.1.
const BOUND_WEIGHT: f64 = 0.001;

/// Which loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `L_simple`, with the objective's [`Weight`]. It says nothing about a learned variance.
    #[default]
    Simple,
    /// `L_simple + 0.001 L_vlb`, the first with the objective's [`Weight`], where `L_vlb` trains the variance alone.
    Hybrid,
    /// `L_vlb`, the variational bound.
    Vlb,
}

/// What a network is trained to make small. Anything that gives each example a loss is one.
pub trait Objective<B: Backend, const D: usize> {
    /// The loss of each example, differentiable in what `denoiser` says.
    ///
    /// # Shapes
    /// - `x_0`, `epsilon`: `[batch, channels, …]`
    /// - `t`: one step `1..=T` for each example
    /// - result: `[batch]`
    ///
    /// # Errors
    /// [`ObjectiveError`] if the denoiser or the data does not suit it.
    fn losses(
        &self,
        schedule: &NoiseSchedule,
        denoiser: &dyn Denoiser<B, D>,
        x_0: Tensor<B, D>,
        t: &[usize],
        epsilon: Tensor<B, D>,
    ) -> Result<Tensor<B, 1>, ObjectiveError>;
}

/// A loss of the literature with everything that it depends on but the schedule and the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiffusionObjective {
    /// What the network's output means.
    pub parameterization: Parameterization,
    /// The variance of the reverse steps.
    pub variance: ModelVariance,
    /// The loss.
    pub loss: Loss,
    /// What the squared error counts at each step, in `Simple` and `Hybrid`; `Vlb` has the bound's own weights, and takes `Simple` here.
    pub weight: Weight,
    /// What `L_0` is: [`Decoder::Discretized`] for 8-bit data (training takes the exact distribution function),
    /// [`Decoder::Gaussian`] for points and other continuous data.
    pub decoder: Decoder,
}

impl<B: Backend, const D: usize> Objective<B, D> for DiffusionObjective {
    /// The loss of each example. Predictions are not clipped.
    ///
    /// # Shapes
    /// - `x_0`, `epsilon`: `[batch, channels, …]`
    /// - `t`: one step `1..=T` for each example
    /// - the denoiser's output: as `x_0`, with twice the channels where the variance is learned
    /// - result: `[batch]`
    ///
    /// # Errors
    /// [`ObjectiveError::Untrained`] if `L_simple` alone would leave a learned variance untrained, [`ObjectiveError::TwoWeights`] if the
    /// bound, which has weights, is to have others, [`ObjectiveError::Output`] if the
    /// denoiser's output has another shape, [`ObjectiveError::NotALevel`] if the decoder is discretised and the data is not of 256
    /// levels, [`ObjectiveError::Device`].
    ///
    /// # Panics
    /// If the number of steps is not the batch size, or a step is outside `1..=T`.
    fn losses(
        &self,
        schedule: &NoiseSchedule,
        denoiser: &dyn Denoiser<B, D>,
        x_0: Tensor<B, D>,
        t: &[usize],
        epsilon: Tensor<B, D>,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        check_steps(&x_0, t);
        if self.loss == Loss::Simple && self.variance.learned().is_some() {
            return Err(ObjectiveError::Untrained);
        }
        if self.loss == Loss::Vlb && !self.weight.is_simple() {
            return Err(ObjectiveError::TwoWeights { weight: self.weight.name() });
        }
        let x_t = q_sample(schedule, x_0.clone(), t, epsilon.clone());
        let (output, word) = self.split(denoiser.predict(x_t.clone(), t), &x_t)?;
        let error = self.parameterization.target(schedule, x_0.clone(), epsilon, t) - output.clone();
        let square = error.square();
        let simple = self.weighted(schedule, t, mean_each(square.clone()));
        if self.loss == Loss::Simple {
            return Ok(simple);
        }
        let terms = StepTerms { schedule, objective: self, t };
        if self.loss == Loss::Vlb {
            return Ok(terms.bits_per_dim(square, word, output, x_t, x_0)? * schedule.steps() as f64);
        }
        // The mean is L_simple's alone.
        let bound = terms.bits_per_dim(square.detach(), word, output.detach(), x_t, x_0)?;
        Ok(simple + bound * (BOUND_WEIGHT * schedule.steps() as f64))
    }
}

impl DiffusionObjective {
    /// The squared errors of the output, `[batch]`, as they count.
    fn weighted<B: Backend>(&self, schedule: &NoiseSchedule, t: &[usize], errors: Tensor<B, 1>) -> Tensor<B, 1> {
        if self.weight.is_simple() {
            return errors;
        }
        let weights = t.iter().map(|&t| self.weight.at(schedule, self.parameterization, t));
        let weights = coefficients::<B, 1>(weights, (&errors.device(), errors.dtype()));
        errors * weights
    }

    /// The prediction, and the network's word on the variance where it is learned.
    fn split<B: Backend, const D: usize>(
        &self,
        output: Tensor<B, D>,
        x_t: &Tensor<B, D>,
    ) -> Result<(Tensor<B, D>, Option<Tensor<B, D>>), ObjectiveError> {
        let mut expected = x_t.dims();
        if self.variance.learned().is_some() {
            expected[1] *= 2;
        }
        let found = output.dims();
        let wrong = || ObjectiveError::Output { expected: expected.to_vec(), found: found.to_vec() };
        if found != expected {
            return Err(wrong());
        }
        try_halves(output, x_t.dims()).map_err(|_| wrong())
    }
}

/// The mean over the dimensions of each example, `[batch]`.
fn mean_each<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, 1> {
    let batch = x.dims()[0];
    x.reshape([batch as i32, -1]).mean_dim(1).reshape([batch])
}
