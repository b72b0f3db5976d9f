//! The share that each step has of the axis of noise levels.

use sfumato_schedule::NoiseSchedule;

/// What `interval` gives for the part of the axis of `λ = ln SNR` that belongs to each step, from its lower to its upper end: parts end in
/// the middle between two steps, and the outermost reach as far out as they reach in.
pub(super) fn masses(schedule: &NoiseSchedule, interval: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let steps = schedule.steps();
    if steps == 1 {
        return vec![1.0];
    }
    let level = |t: usize| schedule.log_snr(t);
    let middle = |t: usize| 0.5 * (level(t) + level(t + 1));
    let end = |t: usize| match t {
        0 => 2.0 * level(1) - middle(1),
        t if t == steps => 2.0 * level(steps) - middle(steps - 1),
        t => middle(t),
    };
    (1..=steps).map(|t| interval(end(t), end(t - 1))).collect()
}
