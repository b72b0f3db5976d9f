//! Ancestral sampling with the oracle draws from the data.

use burn::backend::{Flex, flex::FlexDevice};
use sfumato_process::{
    Chain, Parameterization, SeededNoise,
    noise::{Purpose, stream},
    oracle::{GaussianData, MixtureData, Oracle},
    sampler,
};
use sfumato_schedule::ScheduleConfig;

/// Samples of each kind.
const N: usize = 100_000;
/// Directions along which samples are compared: by the theorem of Cramér and Wold, all of them would suffice for equality.
const DIRECTIONS: usize = 12;
/// Largest distance of two empirical distribution functions of `N` numbers that is exceeded along one of the directions with a
/// probability of 1e-4: `2 exp(-N D²) = 1e-4/12` (Smirnov's limit).
const CRITICAL: f64 = 0.011_13;

fn mixture(weight: f64) -> MixtureData {
    MixtureData::new(vec![
        (weight, GaussianData::full(vec![-0.8, 0.4], &[0.10, 0.06, 0.06, 0.08]).unwrap()),
        (1.0 - weight, GaussianData::diagonal(vec![0.7, -0.3], vec![0.04, 0.2]).unwrap()),
    ])
    .unwrap()
}

/// The largest Kolmogorov-Smirnov distance over the directions.
fn distance(a: &[[f64; 2]], b: &[[f64; 2]]) -> f64 {
    let along = |points: &[[f64; 2]], angle: f64| {
        let (sin, cos) = angle.sin_cos();
        let mut values: Vec<f64> = points.iter().map(|p| cos * p[0] + sin * p[1]).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let mut largest = 0.0f64;
    for direction in 0..DIRECTIONS {
        let angle = std::f64::consts::PI * direction as f64 / DIRECTIONS as f64;
        let (a, b) = (along(a, angle), along(b, angle));
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            if a[i] <= b[j] {
                i += 1
            } else {
                j += 1
            }
            largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
        }
    }
    largest
}

fn truth(weight: f64, seed: u64) -> Vec<[f64; 2]> {
    let data = mixture(weight);
    let mut rng = stream(seed, Purpose::Training, 0, 0);
    (0..N).map(|_| data.sample(&mut rng)).map(|x| [x[0], x[1]]).collect()
}

#[test]
fn a_hundred_thousand_ancestral_samples_pass_a_two_sample_test() {
    let schedule = "cosine".parse::<ScheduleConfig>().unwrap().with_steps(100).unwrap().build().unwrap();
    let oracle = Oracle::new(mixture(0.4), &schedule, Parameterization::Epsilon);
    let log_variances = oracle.optimal_log_variances(1, 2000);
    let chain = Chain::new(&schedule, Parameterization::Epsilon).with_log_variances(log_variances).unwrap();
    let x =
        sampler::ancestral::<Flex, 2>(&chain, &oracle, &SeededNoise::new(6), [N, 2], &FlexDevice, &mut sampler::ignore)
            .unwrap();
    let values: Vec<f64> = x.into_data().iter::<f64>().collect();
    let samples: Vec<[f64; 2]> = values.chunks_exact(2).map(|x| [x[0], x[1]]).collect();
    let found = distance(&samples, &truth(0.4, 1));
    assert!(found < CRITICAL, "{found}");
    // The test sees what it should: another draw of the truth passes, a mixture with slightly different weights does not.
    assert!(distance(&truth(0.4, 2), &truth(0.4, 1)) < CRITICAL);
    assert!(distance(&truth(0.42, 2), &truth(0.4, 1)) > CRITICAL);
}
