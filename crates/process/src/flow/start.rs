//! Where the flow of an example begins.

use std::f64::consts::TAU;

use rand::RngExt;
use sfumato_schedule::NoiseSchedule;

use super::{FlowError, FlowPlan, Start, field::FirstStep};
use crate::{
    Chain,
    flow::Field,
    noise::{Purpose, fill_normal, stream},
};

/// Levels of 8-bit data are `1/127.5` apart.
const LEVELS: f64 = 127.5;

/// The state of one path at step 1, and what that start adds to `-ln p_1(x_1)`, but for `L_0`; nats.
pub(super) fn start(
    plan: &FlowPlan,
    schedule: &NoiseSchedule,
    x_0: &[f32],
    example: usize,
    draw: usize,
) -> (Vec<f64>, f64) {
    let d = x_0.len() as f64;
    let (alpha_bar, variance) = (schedule.alpha_bar(1), schedule.one_minus_alpha_bar(1));
    let signal = alpha_bar.sqrt();
    let scaled = -0.5 * d * alpha_bar.ln();
    let (example, draw) = (example as u64, draw as u64);
    match plan.start {
        Start::Density => (x_0.iter().map(|&x| signal * f64::from(x)).collect(), scaled),
        Start::Uniform => {
            let mut rng = stream(plan.seed, Purpose::FlowStart, example, draw);
            let mut noisy = |&x: &f32| signal * (f64::from(x) + (rng.random::<f64>() - 0.5) / LEVELS);
            (x_0.iter().map(&mut noisy).collect(), scaled + d * LEVELS.ln())
        }
        Start::FirstStep(_) => {
            let mut epsilon = vec![0.0; x_0.len()];
            fill_normal(plan.seed, Purpose::FlowStart, example, draw, &mut epsilon);
            let noise = variance.sqrt();
            let x_1 = x_0.iter().zip(&epsilon).map(|(&x, &e)| signal * f64::from(x) + noise * f64::from(e)).collect();
            let squares: f64 = epsilon.iter().map(|&e| f64::from(e).powi(2)).sum();
            // ln q(x_1 | x_0)
            (x_1, -0.5 * (d * (TAU * variance).ln() + squares))
        }
    }
}

/// `L_0` of each path, where it is part of the likelihood; nats. The examples and the states lie row after row.
pub(super) fn decoded(
    plan: &FlowPlan,
    chain: &Chain,
    field: &dyn Field,
    (x_0, x_1): (&[f32], &[f64]),
    examples: &[usize],
) -> Result<Vec<f64>, FlowError> {
    match plan.start {
        Start::FirstStep(decoder) if !examples.is_empty() => {
            field.decode(&FirstStep { chain, decoder, x_0, x_1, examples })
        }
        _ => Ok(vec![0.0; examples.len()]),
    }
}
