//! The noise levels that a solver of the probability-flow ODE visits.
//!
//! The solvers measure noise by `σ = √((1 - ᾱ) / ᾱ)`, the standard deviation of the noise where the signal is not scaled
//! (Karras et al. 2022, arXiv:2206.00364, Eq. 1 with `s(t) = 1`). A chain has `T` such levels ([`Sigmas`]), one a step, and the solvers pick
//! among them, or in between. `log σ` is minus half the log-SNR. Any falling list of levels will do ([`NoiseLevels::new`]).
//!
//! # Examples
//! Ten levels after Karras et al. for the linear schedule, and four steps of the caller's own:
//! ```
//! use sfumato_process::{NoiseLevels, levels::{Sigmas, karras}};
//! use sfumato_schedule::ScheduleConfig;
//!
//! let sigmas = Sigmas::of(&ScheduleConfig::default().build()?);
//! let levels = karras(sigmas.at(1000.0), sigmas.at(1.0), 10).map(|sigma| sigmas.level_of(sigma)).collect();
//! assert_eq!(NoiseLevels::new(levels, None)?.steps(), 10);
//!
//! let own = NoiseLevels::new([1000.0, 600.0, 200.5, 3.0].map(|t| sigmas.level(t)).to_vec(), None)?;
//! assert!(own.levels()[2].sigma > own.levels()[3].sigma);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use sfumato_schedule::NoiseSchedule;

/// `ρ` of Karras et al. (2022), Eq. 5: how much shorter the steps near the data are.
pub const RHO: f64 = 7.0;
/// Smallest `ᾱ` that is given a `σ`, for schedules that end in pure noise, whose `σ_T` is infinite: the smallest f16, as in diffusers.
const LEAST_SIGNAL: f64 = 1.0 / 16_777_216.0;
/// Levels whose `log σ` differ by no more are one level: `f32` does not tell their states apart.
const SAME_LEVEL: f64 = 1e-7;
/// Largest `σ`: beyond it the data in a state is lost in `f32`, and some powers of ten later so is the state.
const MOST_NOISE: f64 = 1e18;

/// One noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    /// Noise over signal, `√((1 - ᾱ) / ᾱ)`; 0 is clean data.
    pub sigma: f64,
    /// The time that the network is told, in `1.0..=T`; a step of the trained chain, or between two of them.
    pub t: f64,
}

impl NoiseLevel {
    /// The level with the given log-SNR, `ln(ᾱ / (1 - ᾱ))` in nats, for which the network is told the time `t`.
    pub fn of_log_snr(log_snr: f64, t: f64) -> Self {
        Self { sigma: (-0.5 * log_snr).exp(), t }
    }

    /// `ln(ᾱ / (1 - ᾱ))` in nats: `-2 ln σ`.
    pub fn log_snr(self) -> f64 {
        -2.0 * self.sigma.ln()
    }

    /// Whether the two levels are one but for rounding.
    pub(crate) fn is_same(self, other: Self) -> bool {
        (self.sigma.ln() - other.sigma.ln()).abs() <= SAME_LEVEL
    }

    /// `√ᾱ`, the signal's share where variance is preserved: `1 / √(1 + σ²)`.
    pub fn signal(self) -> f64 {
        (1.0 + self.sigma * self.sigma).sqrt().recip()
    }

    /// `√(1 - ᾱ)`, the noise's share where variance is preserved: `σ / √(1 + σ²)`.
    pub fn noise(self) -> f64 {
        self.sigma * self.signal()
    }
}

/// The levels of a solver's steps, from noise to data.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseLevels {
    /// At least one, `σ` not rising; then the end, which is no step of its own and not above the last.
    levels: Vec<NoiseLevel>,
    end: Option<NoiseLevel>,
    start_scale: f64,
}

/// Why a list of levels cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelsError {
    /// No levels.
    #[error("no noise levels were given, expected at least one")]
    None,
    /// A `σ` that is not positive and finite, or a time that no step has.
    #[error(
        "noise level {index} (from 0) has sigma {sigma} and time {t}, expected a positive sigma and a time of at least 1"
    )]
    Value {
        /// Position in the list; the end comes after the last.
        index: usize,
        /// Its `σ`.
        sigma: f64,
        /// Its time.
        t: f64,
    },
    /// A level above the one before.
    #[error(
        "noise level {index} (from 0) has sigma {sigma}, above the {before} of the level before; expected a falling list"
    )]
    Rises {
        /// Position in the list; the end comes after the last.
        index: usize,
        /// Its `σ`.
        sigma: f64,
        /// `σ` of the level before.
        before: f64,
    },
}

impl NoiseLevels {
    /// The levels from which the steps start, `σ` falling from noise to data, and where the last step ends; none is clean data.
    ///
    /// # Errors
    /// [`LevelsError`] if there are none, one is not positive and finite, or one is above the level before.
    pub fn new(levels: Vec<NoiseLevel>, end: Option<NoiseLevel>) -> Result<Self, LevelsError> {
        let Some(first) = levels.first() else { return Err(LevelsError::None) };
        let mut before = f64::INFINITY;
        for (index, &NoiseLevel { sigma, t }) in levels.iter().chain(&end).enumerate() {
            if !(sigma > 0.0 && sigma.is_finite() && t >= 1.0 && t.is_finite()) {
                return Err(LevelsError::Value { index, sigma, t });
            }
            if sigma > before {
                return Err(LevelsError::Rises { index, sigma, before });
            }
            before = sigma;
        }
        Ok(Self { start_scale: first.sigma, levels, end })
    }

    /// The same levels, but solvers that do not scale the signal start from a state of this standard deviation, and not from the first
    /// level's `σ`. Where the first level still holds much of the data it may be worth to give its variance too: `√(σ² + 1)`.
    pub fn with_start_scale(self, start_scale: f64) -> Self {
        Self { start_scale, ..self }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.levels.len()
    }

    /// The levels from which the steps start, `σ` not rising.
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.levels
    }

    /// The level after `done` steps, in `0..=S`; none is clean data.
    ///
    /// # Panics
    /// If `done` is above the number of steps.
    pub fn after(&self, done: usize) -> Option<NoiseLevel> {
        assert!(done <= self.steps(), "{done} steps are more than {}", self.steps());
        self.levels.get(done).copied().or(self.end)
    }

    /// Draws of noise for a sampler that adds some in each step to another level, but none where the step leads to clean data: `x_T`, and
    /// one for each step up to the last such step.
    pub fn noisy_draws(&self) -> usize {
        let is_noisy = |&step: &usize| self.after(step).is_some_and(|to| !to.is_same(self.levels[step - 1]));
        1 + (1..=self.steps()).rev().find(is_noisy).unwrap_or(0)
    }

    /// Standard deviation of the first state, where the signal is not scaled.
    pub fn start_scale(&self) -> f64 {
        self.start_scale
    }
}

/// `σ` of a chain's steps, and between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sigmas(Vec<f64>);

impl Sigmas {
    /// Those of `schedule`. Where it ends in pure noise, `σ_T` is as large as f16 can say (4096) instead of infinite.
    pub fn of(schedule: &NoiseSchedule) -> Self {
        let sigma = |t: usize| schedule.snr(t).sqrt().recip().min(MOST_NOISE);
        let mut sigmas: Vec<f64> = (1..=schedule.steps()).map(sigma).collect();
        if schedule.has_zero_terminal_snr()
            && let Some(last) = sigmas.last_mut()
        {
            *last = ((1.0 - LEAST_SIGNAL) / LEAST_SIGNAL).sqrt();
        }
        Self(sigmas)
    }

    /// `σ` of every step; index `t - 1` holds step `t`.
    pub fn steps(&self) -> &[f64] {
        &self.0
    }

    /// `σ` at a time in `1..=T`, linear between steps; that of the nearest end outside.
    pub fn at(&self, t: f64) -> f64 {
        let low = (t.floor() as usize).clamp(1, self.0.len());
        let high = (low + 1).min(self.0.len());
        self.0[low - 1] + (t - low as f64) * (self.0[high - 1] - self.0[low - 1])
    }

    /// The time in `1..=T` with the given `σ`, where `log σ` is linear between steps.
    pub fn time_of(&self, sigma: f64) -> f64 {
        let sigmas = &self.0;
        if sigmas.len() == 1 {
            return 1.0;
        }
        let low = sigmas.partition_point(|&at| at <= sigma).clamp(1, sigmas.len() - 1);
        let (below, above) = (sigmas[low - 1].ln(), sigmas[low].ln());
        if below == above {
            return low as f64; // the two are one in f64
        }
        low as f64 + ((sigma.ln() - below) / (above - below)).clamp(0.0, 1.0)
    }

    /// The level at a time in `1..=T`.
    pub fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel { sigma: self.at(t), t }
    }

    /// The level with the given `σ`.
    pub fn level_of(&self, sigma: f64) -> NoiseLevel {
        NoiseLevel { sigma, t: self.time_of(sigma) }
    }
}

/// Karras et al. (2022), Eq. 5: `σ_i = (σ_max^{1/ρ} + i / (N - 1) · (σ_min^{1/ρ} - σ_max^{1/ρ}))^ρ`, with `ρ` = [`RHO`].
pub fn karras(max: f64, min: f64, count: usize) -> impl Iterator<Item = f64> {
    let (max, min) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(move |i| (max + i as f64 / last * (min - max)).powf(RHO))
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::ScheduleConfig;

    use super::*;

    fn sigmas() -> Sigmas {
        Sigmas::of(&ScheduleConfig::default().build().unwrap())
    }

    #[test]
    fn signal_and_noise_are_those_of_the_schedule() {
        let schedule = ScheduleConfig::default().build().unwrap();
        for t in [1, 17, 500, 1000] {
            let level = sigmas().level(t as f64);
            assert!((level.signal() - schedule.alpha_bar(t).sqrt()).abs() < 1e-12);
            assert!((level.noise() - schedule.one_minus_alpha_bar(t).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn times_and_levels_are_each_others_inverse_at_steps() {
        let sigmas = sigmas();
        for t in [1, 2, 77, 500, 999, 1000] {
            assert!((sigmas.time_of(sigmas.steps()[t - 1]) - t as f64).abs() < 1e-9);
            assert_eq!(sigmas.at(t as f64), sigmas.steps()[t - 1]);
        }
    }

    #[test]
    fn pure_noise_has_a_finite_level() {
        let schedule = ScheduleConfig::default().build().unwrap().with_zero_terminal_snr().unwrap();
        assert!((Sigmas::of(&schedule).at(1000.0) - 4096.0).abs() < 1.0);
    }

    #[test]
    fn lists_that_cannot_be_walked_are_refused() {
        let level = |sigma, t| NoiseLevel { sigma, t };
        assert_eq!(NoiseLevels::new(Vec::new(), None), Err(LevelsError::None));
        let rises = NoiseLevels::new(vec![level(2.0, 9.0), level(3.0, 8.0)], None);
        assert_eq!(rises, Err(LevelsError::Rises { index: 1, sigma: 3.0, before: 2.0 }));
        let above = NoiseLevels::new(vec![level(2.0, 9.0)], Some(level(2.5, 1.0)));
        assert_eq!(above, Err(LevelsError::Rises { index: 1, sigma: 2.5, before: 2.0 }));
        for (sigma, t) in [(0.0, 1.0), (-1.0, 1.0), (f64::INFINITY, 1.0), (1.0, 0.5)] {
            let refused = NoiseLevels::new(vec![level(sigma, t)], None);
            assert_eq!(refused, Err(LevelsError::Value { index: 0, sigma, t }));
        }
        assert!(matches!(NoiseLevels::new(vec![level(f64::NAN, 1.0)], None), Err(LevelsError::Value { index: 0, .. })));
        assert_eq!(NoiseLevels::new(vec![level(2.0, 9.0); 2], None).unwrap().start_scale(), 2.0);
    }

    #[test]
    fn noise_is_drawn_up_to_the_last_step_that_leads_to_another_level() {
        let level = |sigma, t| NoiseLevel { sigma, t };
        let down = vec![level(3.0, 9.0), level(2.0, 8.0), level(1.0, 7.0)];
        let draws = |levels: &[NoiseLevel], end| NoiseLevels::new(levels.to_vec(), end).unwrap().noisy_draws();
        assert_eq!(draws(&down, None), 3);
        assert_eq!(draws(&down, Some(level(0.5, 6.0))), 4);
        assert_eq!(draws(&down, Some(level(1.0, 7.0))), 3);
        assert_eq!(draws(&down[..1], None), 1);
        assert_eq!(draws(&[down[0], down[0], down[1], down[1]], None), 3);
    }
}
