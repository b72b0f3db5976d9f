//! Round trips between the three readings of a network's output, for schedules of every family and length.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::Tensor,
};
use proptest::prelude::*;
use sfumato_process::{
    Parameterization::{Epsilon, V, X0},
    SeededNoise, forward, noise,
};
use sfumato_schedule::{Constant, Explicit, Linear, NoiseSchedule, ScheduleConfig};

/// Rounding of f32, with room for the handful of operations of a conversion and for values up to 5.
const ROUNDING: f64 = 20.0 * f32::EPSILON as f64;

/// Every family with `T` from 1 to 4000, and betas from 1e-9 to almost 1.
fn schedule() -> impl Strategy<Value = NoiseSchedule> {
    let steps = prop_oneof![4 => (0.0..8.3_f64).prop_map(|log| log.exp() as usize), 1 => Just(1), 1 => Just(4000)];
    let beta = (-9.0..-0.01_f64).prop_map(|log| 10_f64.powf(log));
    (0..ScheduleConfig::NAMES.len(), steps, beta).prop_map(|(family, steps, beta)| {
        let (name, steps) = (ScheduleConfig::NAMES[family], steps.clamp(1, 4000));
        // At most 600 nats of signal are spent, so that alpha_bar stays a number.
        let most = -(-600.0 / steps as f64).exp_m1();
        let config: ScheduleConfig = match name {
            "constant" => Constant { steps, beta: beta.min(most) }.into(),
            "explicit" => Explicit { betas: vec![beta.min(most); steps] }.into(),
            "linear" => {
                Linear { steps, beta_start: beta.min(most), beta_end: (beta / 2.0).min(most), rescale: false }.into()
            }
            _ => ScheduleConfig::from_name(name).unwrap().with_steps(steps).unwrap(),
        };
        config.build().unwrap()
    })
}

fn largest_error(a: Tensor<Flex, 2>, b: Tensor<Flex, 2>) -> f64 {
    (a - b).into_data().iter::<f64>().fold(0.0, |worst, error| worst.max(error.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// `ε` divides by `√ᾱ_t` and `x_0` by `√(1 - ᾱ_t)`, so their rounding errors count that much more; `v` divides by
    /// nothing on the way to the other two, and keeps the accuracy of f32 at every step of every schedule.
    #[test]
    fn every_reading_gives_back_the_other_two(schedule in schedule(), fraction in 0.0..1.0, seed: u64) {
        let t = vec![1 + (fraction * schedule.steps() as f64) as usize; 2];
        let normal = |draw| noise::normal::<Flex, 2>(&SeededNoise::new(seed), draw, [2, 8], &FlexDevice).unwrap();
        let (x_0, epsilon) = (normal(0).clamp(-1.0, 1.0), normal(1));
        let x_t = forward::q_sample(&schedule, x_0.clone(), &t, epsilon.clone());
        let v = V.target(&schedule, x_0.clone(), epsilon.clone(), &t);
        for kind in [Epsilon, X0, V] {
            let amplification = match kind {
                Epsilon => schedule.alpha_bar(t[0]).sqrt().recip(),
                X0 => schedule.one_minus_alpha_bar(t[0]).sqrt().recip(),
                V => 1.0,
            };
            // Past this f32 holds no digit of the answer: the schedule's linter warns of it, and v is the remedy.
            if amplification > 1e5 {
                continue;
            }
            let output = kind.target(&schedule, x_0.clone(), epsilon.clone(), &t);
            let tolerance = ROUNDING * amplification;
            let (o, x) = (output, &x_t);
            let to_x_0 = kind.to_x_0(&schedule, o.clone(), x.clone(), &t);
            let to_epsilon = kind.to_epsilon(&schedule, o.clone(), x.clone(), &t);
            let to_v = kind.to_v(&schedule, o, x.clone(), &t);
            let errors = [
                largest_error(to_x_0, x_0.clone()),
                largest_error(to_epsilon, epsilon.clone()),
                largest_error(to_v, v.clone()),
            ];
            prop_assert!(errors.iter().all(|error| *error <= tolerance), "{:?} at {} of {:?}: {:?} > {}", kind, t[0], schedule, errors, tolerance);
        }
    }
}
