//! What the squared error at a step counts.

use std::fmt;

use sfumato_schedule::NoiseSchedule;

use crate::{
    Parameterization,
    named::{ParameterError, check},
};

/// What the squared error at step `t` counts, when steps are uniform.
///
/// All but `Simple` are weights `w_t` of the error of the noise, `‖ε - ε̂‖²`, whatever the network predicts: the error of its output is
/// turned into that of the noise. With `λ = ln SNR`:
///
/// | weight | `w_t` | source |
/// | --- | --- | --- |
/// | `Simple` | 1 for the error of the output itself | Ho et al. (2020), Eq. 14 |
/// | `Bound` | `½ (SNR_{t-1} - SNR_t) / SNR_t`, the bound's for the variance `β̃`, in nats / T | Ho et al. (2020), Eq. 12; Kingma et al. (2021), arXiv:2107.00630, the discrete-time loss |
/// | `MinSnr` | `min(SNR_t, γ) / SNR_t` | Hang et al. (2023), arXiv:2303.09556, Min-SNR-γ |
/// | `P2` | `1 / (k + SNR_t)^γ` | Choi et al. (2022), arXiv:2204.00227, the P2 weighting |
/// | `Sigmoid` | `sigmoid(k - λ_t)` times that of `Bound` | Kingma & Gao (2023), arXiv:2303.00848, the sigmoidal weighting |
///
/// The last is what `w(λ) = sigmoid(k - λ)` is in a discrete chain, since `w(λ) = 1` is the bound: with many steps `Bound` is
/// `-½ dλ/dt`, and with a large `k` `Sigmoid` is `Bound`.
///
/// At `t = 1` the bound has no divergence but the decoder, and `SNR_0` is infinite. There `Bound` is that of a Gaussian decoder whose variance is
/// `β̃_2`, the one that DDPM takes there: `w_1 = ½ / (SNR_1 β̃_2)`. [`Loss::Vlb`](super::Loss::Vlb) has the exact decoder.
///
/// # Examples
/// ```
/// use sfumato_process::{Parameterization, objective::Weight};
/// use sfumato_schedule::ScheduleConfig;
///
/// let schedule = ScheduleConfig::default().build()?;
/// let weight = Weight::MinSnr { gamma: 5.0 };
/// let (snr, v) = (schedule.snr(10), Parameterization::V);
/// assert!(snr > 5.0 && (weight.at(&schedule, v, 10) - 5.0 / (snr + 1.0)).abs() < 1e-12);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weight {
    /// 1 for what the network predicts.
    #[default]
    Simple,
    /// The variational bound's.
    Bound,
    /// Steps with little noise count less than their signal-to-noise ratio says.
    MinSnr {
        /// `γ`, the ratio at which the weight of `x_0`'s error is cut off.
        gamma: f64,
    },
    /// Steps with little noise, which only clean up, count less.
    P2 {
        /// `γ`, how strongly; 0 is 1 for the noise, whatever is predicted.
        gamma: f64,
        /// `k`, which bounds the weight.
        k: f64,
    },
    /// The bound without the steps that nobody sees.
    Sigmoid {
        /// `k`, the log signal-to-noise ratio above which errors count less.
        k: f64,
    },
}

impl Weight {
    /// With the `γ` that Hang et al. (2023) recommend.
    pub const MIN_SNR: Self = Self::MinSnr { gamma: 5.0 };
    /// With a `k` and a `γ` of Choi et al. (2022).
    pub const P2: Self = Self::P2 { gamma: 1.0, k: 1.0 };
    /// With the `k` of Kingma & Gao (2023).
    pub const SIGMOID: Self = Self::Sigmoid { k: 2.0 };

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Bound => "bound",
            Self::MinSnr { .. } => "min-snr",
            Self::P2 { .. } => "p2",
            Self::Sigmoid { .. } => "sigmoid",
        }
    }

    /// Whether it is 1 for what the network predicts, at every step.
    pub fn is_simple(&self) -> bool {
        *self == Self::Simple
    }

    /// What the squared error of the output of a network that predicts `parameterization` counts at step `t`.
    ///
    /// # Panics
    /// If `t` is not in `1..=T`.
    #[track_caller]
    pub fn at(self, schedule: &NoiseSchedule, parameterization: Parameterization, t: usize) -> f64 {
        let (signal, noise, snr) = (schedule.alpha_bar(t), schedule.one_minus_alpha_bar(t), schedule.snr(t));
        // The square of the noise's error over that of the output, and the same of x_0.
        let (epsilon, x_0) = match parameterization {
            Parameterization::Epsilon => (1.0, 1.0 / snr),
            Parameterization::X0 => (snr, 1.0),
            Parameterization::V => (signal, noise),
        };
        match self {
            Self::Simple => 1.0,
            Self::Bound => x_0 * bound(schedule, t),
            Self::MinSnr { gamma } => epsilon * (gamma / snr).min(1.0),
            Self::P2 { gamma, k } => epsilon * (k + snr).powf(-gamma),
            Self::Sigmoid { k } => x_0 * bound(schedule, t) / (1.0 + (schedule.log_snr(t) - k).exp()),
        }
    }

    /// Checks the parameters against their ranges.
    ///
    /// # Errors
    /// [`ParameterError`] with the first that is out of range.
    pub fn check(self) -> Result<(), ParameterError> {
        match self {
            Self::Simple | Self::Bound => Ok(()),
            Self::MinSnr { gamma } => check("gamma", gamma, gamma > 0.0, "a number above 0"),
            Self::P2 { gamma, k } => {
                check("gamma", gamma, gamma >= 0.0, "0 or a number above it")?;
                check("k", k, k > 0.0, "a number above 0")
            }
            Self::Sigmoid { k } => check("k", k, true, "a number"),
        }
    }
}

/// The weight of `x_0`'s squared error in `L_{t-1}` for the variance `β̃_t`, nats; at `t = 1` in a Gaussian decoder with `β̃_2`.
fn bound(schedule: &NoiseSchedule, t: usize) -> f64 {
    match t {
        1 => 0.5 * (-schedule.posterior_log_variance(1)).exp(),
        _ => schedule.x_0_error_weight(t),
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Simple | Self::Bound => Ok(()),
            Self::MinSnr { gamma } => write!(f, " (gamma {gamma})"),
            Self::P2 { gamma, k } => write!(f, " (gamma {gamma}, k {k})"),
            Self::Sigmoid { k } => write!(f, " (k {k})"),
        }
    }
}
