//! A mixture of two Gaussians in one dimension, its errors integrated numerically: steps matter, and the best ones are known.

use sfumato_process::{
    Chain, Parameterization, VarianceRule,
    fit::Fit,
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, evenly_spaced};

use super::common::{List, chains, fit, measured};

fn data() -> MixtureData {
    let component = |weight, mean| (weight, GaussianData::isotropic(vec![mean], 0.01).unwrap());
    MixtureData::new(vec![component(0.3, -0.7), component(0.7, 0.5)]).unwrap()
}

/// `E Var(x_0 | x_t)` by the trapezoidal rule, whose error on a density that has died away at both ends is that of rounding.
fn posterior(schedule: &NoiseSchedule, t: usize) -> f64 {
    let noised = data().noised(schedule, t);
    let (from, to, n) = (-9.0, 9.0, 60_000);
    let width = (to - from) / n as f64;
    let integrand = |i: usize| {
        let x = [from + width * i as f64];
        noised.log_density(&x).exp() * noised.variance_x_0(&x)
    };
    (0..=n).map(integrand).sum::<f64>() * width
}

fn mean_square() -> f64 {
    data().components().iter().map(|(weight, data)| weight * (data.mean()[0].powi(2) + data.spread()[0])).sum()
}

fn short() -> NoiseSchedule {
    NoiseSchedule::from_betas((1..=12).map(|t| 0.002 + 0.035 * t as f64).collect()).unwrap()
}

/// The best steps by measured numbers have, by the known ones, nearly the least bound of all chains.
#[test]
fn measured_best_steps_are_the_best_of_all_chains() {
    let schedule = short();
    let known = fit(&schedule, mean_square(), |t| posterior(&schedule, t));
    let oracle = Oracle::new(data(), &schedule, Parameterization::Epsilon);
    let examples = List::draw(&data(), 8000, 7);
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let found = Fit::new(measured(&chain, &oracle, &examples, 1, 1), &schedule).unwrap();
    for (t, node) in (1..).zip(&found.measured().nodes) {
        let off = (node.error - known.error(t)).abs() / node.error_se.unwrap();
        assert!(off < 4.5, "error at {t}: {} for {}", node.error, known.error(t));
        let off = (found.covariance(t) - known.covariance(t)).abs() * schedule.log_snr(t).exp();
        assert!(off < 4.5 * node.noise_norm_se.unwrap() + 1e-12, "covariance at {t}: {}", found.covariance(t));
    }
    let mut gains = 0;
    for rule in VarianceRule::ALL {
        for count in 1..=12 {
            let bound = |steps: &[usize]| known.bound(rule, steps).unwrap();
            let least = chains(12, count).iter().map(|steps| bound(steps)).fold(f64::INFINITY, f64::min);
            let best = bound(&found.best_chain(rule, count).unwrap());
            let even = bound(&evenly_spaced(12, count).unwrap());
            assert!(best >= least - 1e-12 && best <= least + 0.01, "{rule:?}, {count} steps: {best} for {least}");
            assert!(best <= even + 5e-3, "{rule:?}, {count} steps: {best} beside even {even}");
            gains += usize::from(best < even - 0.02);
        }
    }
    assert!(gains > 12, "steps matter: {gains}");
}

/// The optimal variance is the least of the bound, and the analytic one is the same for a perfect network.
#[test]
fn no_variance_has_a_lower_bound_than_the_optimal_one() {
    let schedule = short();
    let known = fit(&schedule, mean_square(), |t| posterior(&schedule, t));
    for count in [1, 3, 7, 12] {
        let steps = evenly_spaced(12, count).unwrap();
        let [small, large, analytic, optimal] = VarianceRule::ALL.map(|rule| known.bound(rule, &steps).unwrap());
        assert!((analytic - optimal).abs() < 1e-9, "{analytic} and {optimal}");
        assert!(optimal < small && optimal < large, "{optimal}, {small}, {large}");
        let of_oracle = known.log_variances(VarianceRule::Optimal, &(1..=12).collect::<Vec<_>>()).unwrap();
        for (t, log_variance) in (1..).zip(of_oracle) {
            let expected = data().noised(&schedule, t).optimal_reverse_variance(posterior(&schedule, t));
            assert!((log_variance.exp() / expected - 1.0).abs() < 1e-9, "step {t}");
        }
    }
}

/// A network that is wrong by a factor has larger errors than its noise says: only the optimal variance follows them.
#[test]
fn the_optimal_variance_follows_a_network_that_is_wrong() {
    let schedule = short();
    let mut measured = super::common::exact(&schedule, mean_square(), |t| posterior(&schedule, t));
    measured.nodes.iter_mut().for_each(|node| node.error *= 3.0);
    let fit = Fit::new(measured, &schedule).unwrap();
    for count in [3, 7, 12] {
        let steps = evenly_spaced(12, count).unwrap();
        let [small, large, analytic, optimal] = VarianceRule::ALL.map(|rule| fit.bound(rule, &steps).unwrap());
        assert!(optimal < analytic && optimal < small && optimal < large, "{optimal}, {analytic}, {small}, {large}");
    }
}
