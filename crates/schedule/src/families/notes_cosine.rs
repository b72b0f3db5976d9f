//! The cosine schedule as lecture notes often print it, without the division by `1 + s`, kept valid.
//!
//! The formula `alpha_bar_t = cos²(π/2 (t/T + s)) / cos²(s π/2)` resembles Nichol & Dhariwal (2021), Eq. 17, but their angle is
//! `(t/T + s) / (1 + s) · π/2`. Without the division the angle passes π/2 at `t/T = 1 - s` and `alpha_bar` *rises* again, so that
//! `beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}` is no variance: negative at `t = T = 100` (-15), and from `t = 993` on at
//! `T = 1000` (-6.6e26 at first).

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{MAX_BETA, OFFSET, STEPS, check_cosine, drop_of_squared_cosine};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// The notes' cosine schedule: their formula wherever it gives a variance in (0, `max_beta`], and the nearest valid value
/// elsewhere. For new work take [`Cosine`](super::Cosine).
///
/// What is changed, and why: a beta above `max_beta` becomes `max_beta`, as in Eq. 17 of Nichol & Dhariwal (2021). Where the
/// formula's `alpha_bar` rises (the last `0.8 %` of the steps, if `T` is large enough to have any there) beta would be
/// negative; it becomes `beta_1`, the smallest variance that the formula itself uses, so that `alpha_bar` keeps falling as
/// little as any step of this schedule lets it. At the default parameters and `T = 10` or 50 nothing is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotesCosine {
    /// Number of steps `T`.
    pub steps: usize,
    /// Offset `s`, in [0, 1); 0.008 by default.
    pub offset: f64,
    /// Upper limit for `beta_t`, in (0, 1); 0.999 by default.
    pub max_beta: f64,
}

impl Default for NotesCosine {
    fn default() -> Self {
        Self { steps: STEPS, offset: OFFSET, max_beta: MAX_BETA }
    }
}

impl NotesCosine {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = min(1 - f(t) / f(t-1), max_beta)`, `f(t) = cos²(π/2 (t/T + s))`; `beta_1` where that is not positive.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`], [`ScheduleError::TooManySteps`] or [`ScheduleError::InvalidParameter`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::NotesCosine;
    ///
    /// let betas = NotesCosine::default().betas()?;
    /// assert_eq!((betas[991], betas[992]), (0.999, betas[0])); // the printed formula turns at t = 993
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        check_cosine("notes-cosine", self.offset, self.max_beta)?;
        let stride = FRAC_PI_2 / self.steps as f64;
        let angle = |t: usize| (t as f64 / self.steps as f64 + self.offset) * FRAC_PI_2;
        let formula = |t: usize| drop_of_squared_cosine(angle(t - 1), stride);
        // Below zero only if even the first step passes the pole: a large offset with very few steps.
        let smallest = if formula(1) > 0.0 { formula(1).min(self.max_beta) } else { self.max_beta };
        let betas = (1..=self.steps).map(formula);
        Ok(betas.map(|beta| if beta > 0.0 { beta.min(self.max_beta) } else { smallest }).collect())
    }
}

family!(NotesCosine, Real offset, Real max_beta);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    /// The formula as printed, evaluated naively.
    fn printed(t: usize, steps: usize) -> f64 {
        let f = |t: usize| ((t as f64 / steps as f64 + 0.008) * FRAC_PI_2).cos().powi(2);
        1.0 - f(t) / f(t - 1)
    }

    #[test]
    fn every_length_gives_a_valid_schedule() {
        for steps in [1, 2, 10, 50, 100, 125, 993, 1000, 4000] {
            let betas = NotesCosine { steps, ..NotesCosine::default() }.betas().expect("valid parameters");
            assert!(betas.iter().all(|beta| *beta > 0.0 && *beta <= 0.999), "T = {steps}");
            let schedule = NoiseSchedule::from_betas(betas).expect("a valid schedule");
            assert!(schedule.alpha_bars().windows(2).all(|pair| pair[1] < pair[0]), "T = {steps}");
            assert!(schedule.alpha_bar(steps) > 1e-13, "T = {steps}: {:e}", schedule.alpha_bar(steps));
        }
    }

    #[test]
    fn the_printed_formula_is_used_wherever_it_is_a_variance() {
        for (steps, changed) in [(10, 0), (50, 0), (100, 1), (1000, 9), (4000, 33)] {
            let betas = NotesCosine { steps, ..NotesCosine::default() }.betas().expect("valid parameters");
            let differing = (1..=steps).filter(|&t| (betas[t - 1] - printed(t, steps)).abs() > 1e-9);
            assert_eq!(differing.count(), changed, "T = {steps}");
        }
    }

    #[test]
    fn the_printed_formula_alone_is_no_schedule() {
        assert!(printed(100, 100) < -14.0);
        assert!((1..=1000).filter(|&t| printed(t, 1000) < 0.0).eq(993..=1000));
    }
}
