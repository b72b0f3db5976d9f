//! What the network's output means, and the conversions between the three readings.
//!
//! With `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` and `v = √ᾱ_t ε - √(1 - ᾱ_t) x_0` (Salimans & Ho 2022, arXiv:2202.00512,
//! Appendix D), `x_t` and any one of (ε, x_0, v) give the other two.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use sfumato_schedule::NoiseSchedule;

use crate::{
    broadcast::{check_shapes, check_steps, coefficients},
    levels::NoiseLevel,
};

/// How a [`Denoiser`](crate::Denoiser)'s output is read, and what it is trained towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameterization {
    /// The noise `ε` (Ho et al. 2020, Eq. 14).
    #[default]
    Epsilon,
    /// The clean data `x_0`.
    X0,
    /// `v = √ᾱ_t ε - √(1 - ᾱ_t) x_0`.
    V,
}

impl Parameterization {
    /// The name in the mathematics: `epsilon`, `x_0` or `v`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::X0 => "x_0",
            Self::V => "v",
        }
    }

    /// What the network should answer for `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε`.
    ///
    /// # Shapes
    /// `x_0`, `epsilon` and the result: `[batch, …]`; `t`: one step `1..=T` for each example.
    ///
    /// # Panics
    /// If the number of steps is not the batch size, a step is outside `1..=T`, or the two tensors differ in shape.
    pub fn target<B: Backend, const D: usize>(
        self,
        schedule: &NoiseSchedule,
        x_0: Tensor<B, D>,
        epsilon: Tensor<B, D>,
        t: &[usize],
    ) -> Tensor<B, D> {
        check_shapes(("x_0", &x_0), ("epsilon", &epsilon));
        match self {
            Self::Epsilon => epsilon,
            Self::X0 => x_0,
            Self::V => {
                let Scales { signal, noise } = Scales::at(schedule, t, &x_0);
                epsilon * signal - x_0 * noise
            }
        }
    }

    /// `x_0` from the network's `output` at `x_t`.
    ///
    /// For epsilon this divides by `√ᾱ_t`: at very small `ᾱ_t` an error of the network is amplified by its inverse.
    ///
    /// # Panics
    /// As [`target`](Self::target).
    pub fn to_x_0<B: Backend, const D: usize>(
        self,
        schedule: &NoiseSchedule,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        t: &[usize],
    ) -> Tensor<B, D> {
        self.to_x_0_by(output, x_t, |x_t| Scales::at(schedule, t, x_t))
    }

    /// The same at a noise level for each example, which need not be one of a step's.
    pub(crate) fn to_x_0_between<B: Backend, const D: usize>(
        self,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        levels: &[NoiseLevel],
    ) -> Tensor<B, D> {
        self.to_x_0_by(output, x_t, |x_t| Scales::between(levels, x_t))
    }

    fn to_x_0_by<B: Backend, const D: usize>(
        self,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        scales: impl Fn(&Tensor<B, D>) -> Scales<B, D>,
    ) -> Tensor<B, D> {
        check_shapes(("the output", &output), ("x_t", &x_t));
        match self {
            Self::X0 => output,
            Self::Epsilon => {
                let Scales { signal, noise } = scales(&x_t);
                (x_t - output * noise) / signal
            }
            Self::V => {
                let Scales { signal, noise } = scales(&x_t);
                x_t * signal - output * noise
            }
        }
    }

    /// `ε` from the network's `output` at `x_t`.
    ///
    /// # Panics
    /// As [`target`](Self::target).
    pub fn to_epsilon<B: Backend, const D: usize>(
        self,
        schedule: &NoiseSchedule,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        t: &[usize],
    ) -> Tensor<B, D> {
        check_shapes(("the output", &output), ("x_t", &x_t));
        match self {
            Self::Epsilon => output,
            Self::X0 => {
                let Scales { signal, noise } = Scales::at(schedule, t, &x_t);
                (x_t - output * signal) / noise
            }
            Self::V => {
                let Scales { signal, noise } = Scales::at(schedule, t, &x_t);
                x_t * noise + output * signal
            }
        }
    }

    /// `v` from the network's `output` at `x_t`.
    ///
    /// # Panics
    /// As [`target`](Self::target).
    pub fn to_v<B: Backend, const D: usize>(
        self,
        schedule: &NoiseSchedule,
        output: Tensor<B, D>,
        x_t: Tensor<B, D>,
        t: &[usize],
    ) -> Tensor<B, D> {
        check_shapes(("the output", &output), ("x_t", &x_t));
        match self {
            Self::V => output,
            // v = (√ᾱ x_t - x_0) / √(1 - ᾱ), and with x_0 from ε: v = (ε - √(1 - ᾱ) x_t) / √ᾱ.
            Self::X0 => {
                let Scales { signal, noise } = Scales::at(schedule, t, &x_t);
                (x_t * signal - output) / noise
            }
            Self::Epsilon => {
                let Scales { signal, noise } = Scales::at(schedule, t, &x_t);
                (output - x_t * noise) / signal
            }
        }
    }
}

/// `√ᾱ_t` and `√(1 - ᾱ_t)` for a batch, each `[batch, 1, …, 1]`.
pub(crate) struct Scales<B: Backend, const D: usize> {
    pub(crate) signal: Tensor<B, D>,
    pub(crate) noise: Tensor<B, D>,
}

impl<B: Backend, const D: usize> Scales<B, D> {
    /// The scales at steps `t` for the batch `x`.
    #[track_caller]
    pub(crate) fn at(schedule: &NoiseSchedule, t: &[usize], x: &Tensor<B, D>) -> Self {
        check_steps(x, t);
        let like = (&x.device(), x.dtype());
        Self {
            signal: coefficients(t.iter().map(|&t| schedule.alpha_bar(t).sqrt()), like),
            noise: coefficients(t.iter().map(|&t| schedule.one_minus_alpha_bar(t).sqrt()), like),
        }
    }

    /// The scales at a noise level for each example of the batch `x`.
    #[track_caller]
    pub(crate) fn between(levels: &[NoiseLevel], x: &Tensor<B, D>) -> Self {
        let batch = x.dims()[0];
        assert_eq!(levels.len(), batch, "one noise level is needed for each of the {batch} examples");
        let like = (&x.device(), x.dtype());
        Self {
            signal: coefficients(levels.iter().map(|level| level.signal()), like),
            noise: coefficients(levels.iter().map(|level| level.noise()), like),
        }
    }
}
