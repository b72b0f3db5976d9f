//! Both factorisations of a path's probability.

use sfumato_process::{
    Chain, Parameterization, SeededNoise,
    bound::{BoundError, Decoder, Path, pathwise},
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, probability::Gaussian};

use super::common::{Affine, examples, tensor};

fn schedule() -> NoiseSchedule {
    NoiseSchedule::from_betas((1..=12).map(|t| 0.03 * t as f64).collect()).unwrap()
}

fn mixture() -> MixtureData {
    MixtureData::new(vec![
        (0.3, GaussianData::full(vec![-1.0, 0.5], &[0.2, 0.1, 0.1, 0.3]).unwrap()),
        (0.5, GaussianData::diagonal(vec![1.0, 0.0], vec![0.05, 0.4]).unwrap()),
        (0.2, GaussianData::isotropic(vec![0.0, -1.5], 0.1).unwrap()),
    ])
    .unwrap()
}

fn host(path: &Path<burn::backend::Flex, 2>) -> Vec<Vec<f64>> {
    path.states().iter().map(|state| state.to_data().iter::<f64>().collect()).collect()
}

/// `q(x_0) Π q(x_t | x_{t-1}) = q(x_T) Π q(x_{t-1} | x_t)`: the same joint density, read from either end.
#[test]
fn the_forward_path_has_the_same_probability_backwards() {
    let (schedule, data) = (schedule(), mixture());
    let n = 50;
    let path = Path::sample(&schedule, examples(&data, n, 4), &SeededNoise::new(2)).unwrap();
    let forwards = path.log_q_joint(&schedule, |x| data.log_density(x)).unwrap();
    let states = host(&path);
    for (i, forwards) in forwards.iter().enumerate() {
        let at = |t: usize| &states[t][2 * i..2 * i + 2];
        let last = schedule.steps();
        let mut backwards = data.noised(&schedule, last).log_density(at(last));
        for t in 1..=last {
            backwards += data.noised(&schedule, t).reverse(at(t)).log_density(at(t - 1));
        }
        assert!((forwards - backwards).abs() < 1e-9, "example {i}: {forwards} against {backwards}");
    }
}

/// Every factor by the scalar densities of the probability module.
#[test]
fn both_factorisations_are_the_products_of_their_kernels() {
    let schedule = schedule();
    let data = Gaussian::new(0.2, 0.5).unwrap();
    let model = Affine::near_best(&schedule, &data, 0.8, 0.1);
    let chain = Chain::new(&schedule, Parameterization::X0);
    let path = Path::sample(&schedule, tensor(vec![0.7, -0.4], [1, 2]), &SeededNoise::new(5)).unwrap();
    let states = host(&path);
    let (mut log_q, mut log_p) = (0.0, 0.0);
    let last = schedule.steps();
    for j in 0..2 {
        log_p += Gaussian::new(0.0, 1.0).unwrap().log_density(states[last][j]);
        for t in 1..=last {
            let (previous, x_t) = (states[t - 1][j], states[t][j]);
            let kernel = Gaussian::new(schedule.alpha(t).sqrt() * previous, schedule.beta(t)).unwrap();
            log_q += kernel.log_density(x_t);
            let (gain, offset) = model.predictions[t - 1];
            let weights = schedule.posterior_mean_coefficients(t);
            let mean = weights.x_0 * (gain * x_t + offset) + weights.x_t * x_t;
            let reverse = Gaussian::new(mean, schedule.posterior_log_variance(t).exp()).unwrap();
            log_p += reverse.log_density(previous);
        }
    }
    let close = |found: Vec<f64>, expected: f64| {
        assert!((found[0] - expected).abs() < 1e-10 * expected.abs(), "{found:?} against {expected}");
    };
    close(path.log_q(&schedule).unwrap(), log_q);
    close(path.log_p(&chain, &model, Decoder::Gaussian).unwrap(), log_p);
}

#[test]
fn the_path_wise_bound_is_the_ratio_of_the_factorisations() {
    let (schedule, data) = (schedule(), mixture());
    let oracle = Oracle::new(data.clone(), &schedule, Parameterization::Epsilon);
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let (x_0, noise) = (examples(&data, 6, 1), SeededNoise::new(3));
    let path = Path::sample(&schedule, x_0.clone(), &noise).unwrap();
    let log_q = path.log_q(&schedule).unwrap();
    let log_p = path.log_p(&chain, &oracle, Decoder::Gaussian).unwrap();
    let bound = pathwise(&chain, &oracle, Decoder::Gaussian, x_0, &noise).unwrap();
    for ((log_q, log_p), bound) in log_q.iter().zip(&log_p).zip(&bound) {
        assert!((log_q - log_p - bound).abs() < 1e-10 * bound.abs().max(1.0));
    }
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let state = |n: usize| tensor(vec![0.0; n], [1, n]);
    let expected = BoundError::Trajectory { expected: 2, found: 1, index: 1 };
    assert_eq!(Path::new(vec![state(2)]).unwrap_err(), expected);
    let expected = BoundError::Trajectory { expected: 3, found: 3, index: 2 };
    assert_eq!(Path::new(vec![state(2), state(2), state(3)]).unwrap_err(), expected);
    let short = Path::new(vec![state(2), state(2)]).unwrap();
    let expected = BoundError::Trajectory { expected: 13, found: 2, index: 2 };
    assert_eq!(short.log_q(&schedule()).unwrap_err(), expected);
}
