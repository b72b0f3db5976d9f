//! What the formulas of several families have in common.

use crate::error::ScheduleError;

/// Number of steps in the papers' experiments.
pub(super) const STEPS: usize = 1000;
/// First variance of DDPM (Ho et al. 2020, Section 4).
pub(super) const BETA_START: f64 = 1e-4;
/// Last variance of DDPM (Ho et al. 2020, Section 4).
pub(super) const BETA_END: f64 = 0.02;
/// Cap on a step's variance where a formula gives 1 or more: with `beta = 1`, `alpha_bar` would be 0 and `x_0` could not
/// be recovered from `x_t`. The value is that of Nichol & Dhariwal (2021), Section 3.2.
pub(super) const MAX_BETA: f64 = 0.999;
/// Offset `s` of the cosine schedules (Nichol & Dhariwal 2021, Eq. 17): keeps `sqrt(beta_1)` just under one 8-bit pixel
/// bin, 1/127.5, at `T = 1000`.
pub(super) const OFFSET: f64 = 0.008;

/// `(t - 1) / (T - 1)` for `t = 1, ..., T`: from 0 to 1, and 0 for a single step (as numpy's `linspace` has it).
pub(super) fn fractions(steps: usize) -> impl Iterator<Item = f64> {
    let last = steps.saturating_sub(1).max(1) as f64;
    (0..steps).map(move |index| index as f64 / last)
}

/// `start + (end - start) fraction`, exact at both ends.
pub(super) fn interpolate(start: f64, end: f64, fraction: f64) -> f64 {
    if fraction == 1.0 { end } else { start + (end - start) * fraction }
}

/// `1 - cos²(angle + step) / cos²(angle)` without cancellation, as `sin(step) sin(2 angle + step) / cos²(angle)`.
pub(super) fn drop_of_squared_cosine(angle: f64, step: f64) -> f64 {
    step.sin() * (2.0 * angle + step).sin() / angle.cos().powi(2)
}

/// Refuses an offset or cap that gives no cosine schedule.
pub(super) fn check_cosine(family: &'static str, offset: f64, max_beta: f64) -> Result<(), ScheduleError> {
    if !(offset.is_finite() && (0.0..1.0).contains(&offset)) {
        let expected = "a number from 0 up to, not including, 1";
        return Err(ScheduleError::InvalidParameter { family, parameter: "offset", value: offset, expected });
    }
    if !(max_beta > 0.0 && max_beta < 1.0) {
        let expected = "a number strictly between 0 and 1";
        return Err(ScheduleError::InvalidParameter { family, parameter: "max_beta", value: max_beta, expected });
    }
    Ok(())
}
