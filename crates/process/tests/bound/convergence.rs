//! With more steps the bound of a perfect denoiser approaches the likelihood.

use burn::{backend::Flex, tensor::Tensor};
use sfumato_process::{
    Chain, Parameterization, ReverseVariance, SeededNoise,
    bound::{Decoder, prior_term, step_terms},
    forward::q_sample,
    noise,
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{Cosine, ScheduleConfig};

use super::common::{DEVICE, examples, mean};

fn data() -> MixtureData {
    MixtureData::new(vec![
        (0.4, GaussianData::full(vec![-0.8, 0.4], &[0.10, 0.06, 0.06, 0.08]).unwrap()),
        (0.6, GaussianData::diagonal(vec![0.7, -0.3], vec![0.04, 0.2]).unwrap()),
    ])
    .unwrap()
}

/// The bound less `-log q(x_0)`, by example, with its standard error.
fn gap(steps: usize, variance: Option<ReverseVariance>) -> (f64, f64) {
    const N: usize = 4000;
    let schedule = ScheduleConfig::from(Cosine { steps, ..Cosine::default() }).build().unwrap();
    let oracle = Oracle::new(data(), &schedule, Parameterization::X0);
    let chain = Chain::new(&schedule, Parameterization::X0);
    let chain = match variance {
        Some(variance) => chain.with_variance(variance),
        None => chain.with_log_variances(oracle.optimal_log_variances(2, 1000)).unwrap(),
    };
    let x_0 = examples(&data(), N, 7);
    let values: Vec<f64> = x_0.to_data().iter::<f64>().collect();
    let mut gaps: Vec<f64> = values.chunks_exact(2).map(|x| prior_term(&chain, x) + data().log_density(x)).collect();
    for t in 1..=steps {
        let epsilon: Tensor<Flex, 2> = noise::normal(&SeededNoise::new(3), t, [N, 2], &DEVICE).unwrap();
        let x_t = q_sample(&schedule, x_0.clone(), &[t; N], epsilon.cast(x_0.dtype()));
        let terms = step_terms(&chain, &oracle, Decoder::Gaussian, x_0.clone(), x_t, &[t; N]).unwrap();
        gaps.iter_mut().zip(terms).for_each(|(gap, term)| *gap += term);
    }
    mean(&gaps)
}

/// With the best variance for each step the gap closes. With a fixed one it does not: near the data the exact reverse variance is β,
/// and at `t = 1` both use `β̃_2`, about half of it, which costs ½(1 - ln 2) a dimension.
#[test]
fn the_gap_closes_with_the_optimal_variance_and_not_with_a_fixed_one() {
    let [(coarse, coarse_error), (fine, fine_error)] = [10, 300].map(|steps| gap(steps, None));
    assert!(coarse > 0.15 && (coarse - 0.23).abs() < 4.0 * coarse_error, "{coarse} ± {coarse_error}");
    assert!(fine.abs() < 4.0 * fine_error && fine_error < 0.03, "{fine} ± {fine_error}");
    let (large, error) = gap(300, Some(ReverseVariance::FixedLarge));
    assert!(large > fine + 4.0 * error, "{large} ± {error}");
    let (small, error) = gap(300, Some(ReverseVariance::FixedSmall));
    assert!(small > large + 4.0 * error, "{small} ± {error}");
}
