//! The probability-flow ODE in log-SNR, from what the network says.

use sfumato_schedule::NoiseSchedule;

use crate::{NoiseLevel, Parameterization, levels::Sigmas};

/// `dx/ds` as a function of the network's raw output, with `s = -λ` the negative log-SNR: `output · f(x) + state · x`.
///
/// # Formula
/// Variance is preserved, `x = a x_0 + n ε` with `a² + n² = 1`, and `λ = ln(a²/n²)`. The probability-flow ODE (Song et al. 2021,
/// arXiv:2011.13456, Eq. 13) with the score `-ε̂/n` is then `dx/ds = ½ n (ε̂ - n x)`, which with the other readings of the output is `½ n a v̂` and
/// `½ a (a x - x̂_0)`. None of them divides by `a` or `n`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drift {
    output: f64,
    state: f64,
}

impl Drift {
    /// The drift at a noise level.
    pub(super) fn at(parameterization: Parameterization, level: NoiseLevel) -> Self {
        let (a, n) = (level.signal(), level.noise());
        match parameterization {
            Parameterization::Epsilon => Self { output: 0.5 * n, state: -0.5 * n * n },
            Parameterization::V => Self { output: 0.5 * n * a, state: 0.0 },
            Parameterization::X0 => Self { output: -0.5 * a, state: 0.5 * a * a },
        }
    }

    /// `dx/ds`.
    pub(super) fn slope(self, output: f64, x: f64) -> f64 {
        self.output * output + self.state * x
    }

    /// The divergence of `dx/ds` over `dimensions` numbers, where the output's Jacobian has this trace.
    pub(super) fn divergence(self, trace: f64, dimensions: usize) -> f64 {
        self.output * trace + self.state * dimensions as f64
    }
}

/// The score `-ε̂/n` from the slope: `-x - 2/n² dx/ds`, where `n² = 1/(1 + e^{-s})`.
pub(super) fn score(s: f64, x: f64, slope: f64) -> f64 {
    -x - 2.0 * (1.0 + (-s).exp()) * slope
}

/// The noise levels between the first step of a chain and its last.
#[derive(Clone, Debug)]
pub(super) struct Span {
    sigmas: Sigmas,
    /// `s` at step 1 and at step `T`.
    pub(super) ends: [f64; 2],
}

impl Span {
    /// That of `schedule`. A schedule that ends in pure noise ends at the level that [`Sigmas`] give it.
    pub(super) fn of(schedule: &NoiseSchedule) -> Self {
        let sigmas = Sigmas::of(schedule);
        let ends = [1, schedule.steps()].map(|t| 2.0 * sigmas.steps()[t - 1].ln());
        Self { sigmas, ends }
    }

    /// The level at `s = 2 ln σ`, and the time that the network is told there.
    pub(super) fn level(&self, s: f64) -> NoiseLevel {
        self.sigmas.level_of((0.5 * s).exp())
    }
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::ScheduleConfig;

    use super::*;

    #[test]
    fn the_three_readings_are_one_drift() {
        let schedule = ScheduleConfig::default().build().unwrap();
        for t in [1, 30, 500, 1000] {
            let level = Sigmas::of(&schedule).level(f64::from(t));
            let (a, n) = (level.signal(), level.noise());
            let (x_0, epsilon) = (0.3, -1.2);
            let x = a * x_0 + n * epsilon;
            let slope = |reading, output| Drift::at(reading, level).slope(output, x);
            let expected = slope(Parameterization::Epsilon, epsilon);
            assert!((slope(Parameterization::V, a * epsilon - n * x_0) - expected).abs() < 1e-14);
            assert!((slope(Parameterization::X0, x_0) - expected).abs() < 1e-14);
            let s = 2.0 * level.sigma.ln();
            assert!((score(s, x, expected) + epsilon / n).abs() < 1e-9 / n);
        }
    }

    #[test]
    fn the_drift_is_the_change_of_a_point_whose_noise_stays() {
        // With x_0 and ε held fixed, dx/ds is that of a x_0 + n ε.
        let at = |s: f64| NoiseLevel::of_log_snr(-s, 1.0);
        let (x_0, epsilon) = (-0.7, 0.4);
        let x = |s: f64| at(s).signal() * x_0 + at(s).noise() * epsilon;
        for s in [-9.0, -1.0, 0.5, 7.0] {
            let difference = (x(s + 1e-5) - x(s - 1e-5)) / 2e-5;
            let slope = Drift::at(Parameterization::Epsilon, at(s)).slope(epsilon, x(s));
            assert!((slope - difference).abs() < 1e-9, "{slope} and {difference} at {s}");
        }
    }
}
