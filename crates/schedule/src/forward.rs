//! The forward chain as Gaussian kernels, and the induction that leads from one step to the closed form.
//!
//! If `x_t | x_0 ~ N(μ_t, v_t I)`, one more step `x_{t+1} = sqrt(1 - β) x_t + sqrt(β) ε` gives `x_{t+1} | x_0 ~ N(sqrt(1 - β) μ_t,
//! (β + (1 - β) v_t) I)`; starting from `μ_0 = x_0`, `v_0 = 0`, every `x_t | x_0` is Gaussian.

use serde::Serialize;

use crate::probability::{Gaussian, ProbabilityError};
use crate::schedule::NoiseSchedule;

/// The Gaussian kernel `y | x ~ N(scale x, variance I)`: a step, several steps, or the whole forward chain.
///
/// # Examples
/// ```
/// use sfumato_schedule::{ForwardKernel, ScheduleConfig};
///
/// let schedule = ScheduleConfig::default().build()?;
/// let marginal = schedule.marginal(500); // q(x_500 | x_0)
/// assert_eq!(marginal.scale, schedule.alpha_bar(500).sqrt());
/// assert_eq!(marginal.variance, schedule.one_minus_alpha_bar(500));
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForwardKernel {
    /// Factor of the mean, in (0, 1]; no unit.
    pub scale: f64,
    /// Variance of the noise in every direction, in [0, 1]; squared data units (images in [-1, 1]).
    pub variance: f64,
}

impl ForwardKernel {
    /// No step at all: `y = x`, whose variance is 0 (a point, so it has no density).
    pub const IDENTITY: Self = Self { scale: 1.0, variance: 0.0 };

    /// One step of the forward chain.
    ///
    /// # Formula
    /// `q(x_t | x_{t-1}) = N(sqrt(1 - beta) x_{t-1}, beta I)`, `beta` in (0, 1); DDPM Eq. 2
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ForwardKernel;
    ///
    /// assert_eq!(ForwardKernel::step(0.75), ForwardKernel { scale: 0.5, variance: 0.75 });
    /// ```
    pub fn step(beta: f64) -> Self {
        Self { scale: (1.0 - beta).sqrt(), variance: beta }
    }

    /// This kernel followed by one more step: the induction.
    ///
    /// # Formula
    /// `μ' = sqrt(1 - beta) μ`, `v' = beta + (1 - beta) v`, `beta` in (0, 1)
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ForwardKernel;
    ///
    /// let two_steps = ForwardKernel::step(0.75).advance(0.5);
    /// assert_eq!(two_steps.variance, 0.5 + 0.5 * 0.75);
    /// assert_eq!(two_steps.scale, 0.5 * 0.5_f64.sqrt());
    /// ```
    pub fn advance(self, beta: f64) -> Self {
        let alpha = 1.0 - beta;
        Self { scale: alpha.sqrt() * self.scale, variance: beta + alpha * self.variance }
    }

    /// This kernel followed by another: the Chapman-Kolmogorov composition.
    ///
    /// # Formula
    /// `∫ N(z; s_2 y, v_2 I) N(y; s_1 x, v_1 I) dy = N(z; s_2 s_1 x, (s_2² v_1 + v_2) I)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ForwardKernel;
    ///
    /// let (a, b) = (ForwardKernel { scale: 0.5, variance: 0.75 }, ForwardKernel { scale: 0.25, variance: 0.5 });
    /// assert_eq!(a.then(b), ForwardKernel { scale: 0.125, variance: 0.0625 * 0.75 + 0.5 });
    /// ```
    pub fn then(self, next: Self) -> Self {
        Self { scale: next.scale * self.scale, variance: next.scale * next.scale * self.variance + next.variance }
    }

    /// Distribution of one coordinate of `y`, given that of `x`.
    ///
    /// # Formula
    /// `y | x ~ N(scale x, variance)`
    ///
    /// # Errors
    /// [`ProbabilityError::VarianceOutOfRange`] for a kernel without noise, which has no density;
    /// [`ProbabilityError::MeanNotFinite`] for an `x` that is not finite.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ForwardKernel;
    ///
    /// let noised = ForwardKernel::step(0.75).given(-1.0)?;
    /// assert_eq!((noised.mean(), noised.variance()), (-0.5, 0.75));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn given(self, x: f64) -> Result<Gaussian, ProbabilityError> {
        Gaussian::new(self.scale * x, self.variance)
    }
}

/// The kernels `q(x_t | x_0)` for `t = 0, ..., T`, by induction over the steps: index `t`, the first is the identity.
///
/// Equal, up to rounding, to the closed form [`NoiseSchedule::marginal`]; for a check of it, and for variances that are no
/// validated schedule.
///
/// # Formula
/// `μ_0 = x_0`, `v_0 = 0`; `μ_{t+1} = sqrt(1 - β_{t+1}) μ_t`, `v_{t+1} = β_{t+1} + (1 - β_{t+1}) v_t`, where `betas[t]` is `β_{t+1}`
///
/// # Examples
/// ```
/// use sfumato_schedule::{ScheduleConfig, forward_induction};
///
/// let schedule = ScheduleConfig::default().build()?;
/// let last = forward_induction(schedule.betas())[1000];
/// assert!((last.scale / schedule.marginal(1000).scale - 1.0).abs() < 1e-12);
/// assert!((last.variance / schedule.marginal(1000).variance - 1.0).abs() < 1e-12);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
pub fn forward_induction(betas: &[f64]) -> Vec<ForwardKernel> {
    let mut kernels = vec![ForwardKernel::IDENTITY];
    kernels.extend(betas.iter().scan(ForwardKernel::IDENTITY, |kernel, &beta| {
        *kernel = kernel.advance(beta);
        Some(*kernel)
    }));
    kernels
}

impl NoiseSchedule {
    /// The closed form `q(x_t | x_0)`; the identity at `t = 0`.
    ///
    /// # Formula
    /// `q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)`; DDPM Eq. 4
    ///
    /// # Panics
    /// If `t` is not in `0..=T`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{ForwardKernel, NoiseSchedule};
    ///
    /// let schedule = NoiseSchedule::from_betas(vec![0.75])?;
    /// assert_eq!(schedule.marginal(0), ForwardKernel::IDENTITY);
    /// assert_eq!(schedule.marginal(1), ForwardKernel::step(0.75));
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn marginal(&self, t: usize) -> ForwardKernel {
        ForwardKernel { scale: self.alpha_bar(t).sqrt(), variance: self.one_minus_alpha_bar(t) }
    }

    /// The kernel `q(x_to | x_from)` of the steps after `from` up to `to`.
    ///
    /// # Formula
    /// `q(x_t | x_s) = N(sqrt(alpha_bar_t / alpha_bar_s) x_s, (1 - alpha_bar_t / alpha_bar_s) I)`, the quotient taken as the product
    /// of the alphas between (so the cost is proportional to `t - s`)
    ///
    /// # Panics
    /// Unless `from <= to <= T`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{ForwardKernel, NoiseSchedule};
    ///
    /// let schedule = NoiseSchedule::from_betas(vec![0.5, 0.75, 0.75])?;
    /// assert_eq!(schedule.transition(1, 3), ForwardKernel { scale: 0.25, variance: 1.0 - 0.0625 });
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    #[track_caller]
    pub fn transition(&self, from: usize, to: usize) -> ForwardKernel {
        assert!(from <= to && to <= self.steps(), "steps {from} to {to} are not in order within 0..={}", self.steps());
        let alpha = self.alpha_between(from, to);
        ForwardKernel { scale: alpha.rounded().sqrt(), variance: alpha.complement() }
    }
}
