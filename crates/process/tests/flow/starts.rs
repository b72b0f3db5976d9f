//! What is laid on the data, and what it adds.

use burn::tensor::{DType, Tensor, TensorData};
use rand::RngExt;
use sfumato_process::{
    Parameterization,
    bound::{Decoder, step_terms},
    flow::{FlowPlan, Start},
    noise::{Purpose, fill_normal, stream},
};

use crate::common::{Case, DEVICE, Grad, PLAN, Points, mixture};

/// Values of 256 levels.
fn levels(case: &Case, count: usize) -> Points {
    let mut examples = case.examples(count);
    examples.values.iter_mut().for_each(|x| *x = ((*x * 127.5 + 127.5).round().clamp(0.0, 255.0)) / 127.5 - 1.0);
    examples
}

/// The total of each example from the exact density of noisy states, by this formula of one draw.
fn compare(case: &Case, plan: &FlowPlan, examples: &Points, one: impl Fn(usize, usize) -> f64) {
    let found = case.estimate(plan, examples);
    for (i, example) in found.each.iter().enumerate() {
        assert_eq!(example.example, examples.first_id + i);
        let expected = (0..plan.draws).map(|draw| one(i, draw)).sum::<f64>() / plan.draws as f64;
        let off = (example.total() - expected).abs();
        assert!(off < example.solver_error + 1e-6, "{} for {expected}", example.total());
    }
}

#[test]
fn uniform_noise_is_one_level_wide_and_adds_the_levels_width() {
    let case = mixture(2, "linear:200", Parameterization::Epsilon);
    let examples = Points { first_id: 40, ..levels(&case, 3) };
    let plan = FlowPlan { start: Start::Uniform, draws: 2, ..PLAN };
    compare(&case, &plan, &examples, |i, draw| {
        let mut rng = stream(plan.seed, Purpose::FlowStart, 40 + i as u64, draw as u64);
        let noisy: Vec<f64> = examples.exact(i).iter().map(|x| x + (rng.random::<f64>() - 0.5) * 2.0 / 255.0).collect();
        // A probability of a level is a density times its width.
        case.truth(&noisy) - 2.0 * (2.0_f64 / 255.0).ln()
    });
    // In the mean it is above the code length of the cells, and by little.
    let found = case.estimate(&FlowPlan { draws: 64, ..plan }, &examples);
    let fine = |x: &[f64]| {
        let cells = (0..400).map(|k| {
            let u = |k: usize| (k as f64 + 0.5) / 20.0 - 0.5;
            let at = [x[0] + u(k / 20) / 127.5, x[1] + u(k % 20) / 127.5];
            (case.data().log_density(&at) - 2.0 * 127.5_f64.ln()).exp()
        });
        -(cells.sum::<f64>() / 400.0).ln()
    };
    let expected: f64 = (0..3).map(|i| fine(&examples.exact(i))).sum::<f64>() / 3.0;
    assert!((found.total.mean - expected).abs() < 2e-3 + 4.0 * found.draw_error.unwrap(), "{expected}, {found:?}");
    assert!(found.start.is_discrete());
}

#[test]
fn the_first_step_adds_the_decoder_and_the_noises_density() {
    for decoder in [Decoder::Discretized(Default::default()), Decoder::Gaussian] {
        let case = mixture(3, "linear:50", Parameterization::X0);
        let examples = levels(&case, 4);
        let plan = FlowPlan { start: Start::FirstStep(decoder), draws: 2, ..PLAN };
        let (alpha_bar, variance) = (case.schedule.alpha_bar(1), case.schedule.one_minus_alpha_bar(1));
        compare(&case, &plan, &examples, |i, draw| {
            let mut epsilon = vec![0.0_f32; 3];
            fill_normal(plan.seed, Purpose::FlowStart, i as u64, draw as u64, &mut epsilon);
            let noisy = |(x, &e): (f64, &f32)| alpha_bar.sqrt() * x + variance.sqrt() * f64::from(e);
            let x_1: Vec<f64> = examples.exact(i).into_iter().zip(&epsilon).map(noisy).collect();
            let log_q: f64 =
                epsilon.iter().map(|&e| -0.5 * ((std::f64::consts::TAU * variance).ln() + f64::from(e).powi(2))).sum();
            let tensor = |x: Vec<f64>| Tensor::<Grad, 2>::from_data(TensorData::new(x, [1, 3]), (&DEVICE, DType::F64));
            let (x_0, at) = (tensor(examples.exact(i)), tensor(x_1.clone()));
            let nats = step_terms(&case.chain(), &case.oracle(), decoder, x_0, at, &[1]).unwrap();
            // The truth is about x_0 = x_1/√ᾱ_1, whose density is √ᾱ_1 times as large for each dimension.
            let unscaled: Vec<f64> = x_1.iter().map(|x| x / alpha_bar.sqrt()).collect();
            nats[0] + log_q + case.truth(&unscaled) + 1.5 * alpha_bar.ln()
        });
    }
}
