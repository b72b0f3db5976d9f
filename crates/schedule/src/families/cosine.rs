//! Cosine noise schedule: Nichol & Dhariwal (2021), arXiv:2102.09672, Eq. 17.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use super::family::family;
use super::formulas::{MAX_BETA, OFFSET, STEPS, check_cosine, drop_of_squared_cosine};
use crate::error::ScheduleError;
use crate::schedule::check_length;

/// `alpha_bar` falling along a squared cosine; keeps more signal through the middle of the chain than [`Linear`](super::Linear).
///
/// The notes' formula, which lacks the division by `1 + s`, is [`NotesCosine`](super::NotesCosine).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Number of steps `T`.
    pub steps: usize,
    /// Offset `s`, in [0, 1); 0.008 by default.
    pub offset: f64,
    /// Upper limit for `beta_t`, in (0, 1); 0.999 by default. Eq. 17 gives `alpha_bar_T = 0`, and then `x_0` cannot be
    /// recovered from `x_T`; with the cap, the last step (alone, at the default offset) keeps a thousandth of the signal.
    pub max_beta: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self { steps: STEPS, offset: OFFSET, max_beta: MAX_BETA }
    }
}

impl Cosine {
    /// The variances.
    ///
    /// # Formula
    /// `beta_t = min(1 - f(t) / f(t-1), max_beta)`, `f(t) = cos²((t/T + s) / (1 + s) · π/2)`, `alpha_bar_t = f(t) / f(0)` where
    /// the cap does not act. The difference of cosines is taken as a product of sines, so small betas keep their digits.
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`], [`ScheduleError::TooManySteps`] or [`ScheduleError::InvalidParameter`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::Cosine;
    ///
    /// let betas = Cosine::default().betas()?;
    /// assert!(betas[0] < 4.2e-5 && betas[999] == 0.999);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        check_length(self.steps)?;
        check_cosine("cosine", self.offset, self.max_beta)?;
        let scale = FRAC_PI_2 / (1.0 + self.offset);
        let stride = scale / self.steps as f64;
        let angle = |t: usize| (t as f64 / self.steps as f64 + self.offset) * scale;
        let betas = (1..=self.steps).map(|t| drop_of_squared_cosine(angle(t - 1), stride).min(self.max_beta));
        Ok(betas.collect())
    }
}

family!(Cosine, Real offset, Real max_beta);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    #[test]
    fn alpha_bar_is_the_squared_cosine_until_the_cap() {
        let cosine = Cosine::default();
        let schedule =
            NoiseSchedule::from_betas(cosine.betas().expect("default parameters")).expect("a valid schedule");
        let f = |t: f64| ((t / 1000.0 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
        for t in 1..1000 {
            let expected = f(t as f64) / f(0.0);
            assert!((schedule.alpha_bar(t) / expected - 1.0).abs() < 1e-10, "t = {t}");
        }
        assert_eq!(schedule.beta(1000), 0.999);
        assert!(schedule.beta(999) < 0.999);
    }

    #[test]
    fn bad_parameters_are_named() {
        let error = Cosine { offset: -0.5, ..Cosine::default() }.betas().expect_err("a negative offset");
        assert!(error.to_string().starts_with("offset of the cosine schedule is -0.5"), "{error}");
        assert!(Cosine { max_beta: 1.0, ..Cosine::default() }.betas().is_err());
        assert!(Cosine { offset: f64::NAN, ..Cosine::default() }.betas().is_err());
    }
}
