//! Gaussian data: every leap's reverse transition is a Gaussian, so that with the right variances no choice of steps is worse than another.

use std::f64::consts::TAU;

use proptest::prelude::*;
use sfumato_process::{
    Chain, Parameterization, VarianceRule,
    bound::AffineChain,
    fit::Fit,
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, evenly_spaced, probability::Gaussian};

use super::common::{List, chains, fit, measured};

/// `Var(x_0 | x_t)` for data of this variance.
fn posterior(schedule: &NoiseSchedule, variance: f64, t: usize) -> f64 {
    let noise = schedule.one_minus_alpha_bar(t);
    variance * noise / (schedule.alpha_bar(t) * variance + noise)
}

fn gaussian(schedule: &NoiseSchedule, variance: f64) -> Fit {
    fit(schedule, variance, |t| posterior(schedule, variance, t))
}

fn subset() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 24)
}

proptest! {
    /// With exact `m_t`, the analytic variance of any chain is that of the exact reverse chain.
    #[test]
    fn the_analytic_variance_is_that_of_the_exact_reverse_chain(
        betas in prop::collection::vec(1e-3..0.3_f64, 25),
        variance in 0.01..0.99_f64,
        visited in subset(),
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let fit = gaussian(&schedule, variance);
        let steps: Vec<usize> = (1..25).filter(|t| visited[t - 1]).chain([25]).collect();
        let respaced = schedule.respace(&steps).unwrap().schedule().clone();
        let exact = AffineChain::exact(&respaced, &Gaussian::new(0.0, variance).unwrap());
        for rule in [VarianceRule::Analytic, VarianceRule::Optimal] {
            let found = fit.log_variances(rule, &steps).unwrap();
            for (found, exact) in found.iter().zip(exact.steps()) {
                prop_assert!((found.exp() / exact.variance - 1.0).abs() < 1e-10, "{} for {}", found.exp(), exact.variance);
            }
        }
    }

    /// Then every chain has the bound of the exact one: the entropy and what the end of the chain lacks of pure noise.
    #[test]
    fn with_exact_variances_every_chain_has_the_same_bound(
        betas in prop::collection::vec(1e-3..0.3_f64, 25),
        variance in 0.01..0.99_f64,
        visited in subset(),
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let fit = gaussian(&schedule, variance);
        let last = schedule.alpha_bar(25) * variance + schedule.one_minus_alpha_bar(25);
        let expected = 0.5 * (TAU * variance).ln() + 0.5 + 0.5 * (last - 1.0 - last.ln());
        let steps: Vec<usize> = (1..25).filter(|t| visited[t - 1]).chain([25]).collect();
        for rule in [VarianceRule::Analytic, VarianceRule::Optimal] {
            let found = fit.bound(rule, &steps).unwrap();
            prop_assert!((found - expected).abs() < 1e-10, "{found} for {expected}");
            let best = fit.best_steps(rule, 25).unwrap();
            for count in 1..=25 {
                let cost = fit.bound(rule, &best.steps(count).unwrap()).unwrap();
                prop_assert!((cost - expected).abs() < 1e-10);
            }
        }
        for rule in [VarianceRule::FixedSmall, VarianceRule::FixedLarge] {
            prop_assert!(fit.bound(rule, &steps).unwrap() > expected - 1e-12);
        }
    }

    /// The bound of any chain by the measured terms is the exact bound of that chain, and no chain beats the best.
    #[test]
    fn fixed_variances_have_the_exact_bound_and_the_best_steps_of_all(
        betas in prop::collection::vec(1e-3..0.5_f64, 2..9),
        variance in 0.01..0.99_f64,
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let (total, fit) = (schedule.steps(), gaussian(&schedule, variance));
        let data = Gaussian::new(0.0, variance).unwrap();
        for rule in VarianceRule::ALL {
            let best = fit.best_steps(rule, total).unwrap();
            for count in 1..=total {
                let mut least = f64::INFINITY;
                for steps in chains(total, count) {
                    let chain = Chain::respaced(&schedule, &steps, Parameterization::X0).unwrap();
                    let chain = chain.with_log_variances(fit.log_variances(rule, &steps).unwrap()).unwrap();
                    let gain = |i: usize| {
                        let t = steps[i - 1];
                        let signal = schedule.alpha_bar(t);
                        (signal.sqrt() * variance / (signal * variance + schedule.one_minus_alpha_bar(t)), 0.0)
                    };
                    let exact = AffineChain::of_predictions(&chain, gain).unwrap().bound(chain.schedule(), &data).total();
                    let found = fit.bound(rule, &steps).unwrap();
                    prop_assert!((found - exact).abs() < 1e-9 * (1.0 + exact.abs()), "{found} for {exact}");
                    if let Some(own) = rule.fixed() {
                        let same = (1..=count).all(|i| {
                            let [a, b] = [chain.clone().with_variance(own), chain.clone()].map(|chain| chain.log_variance(i).unwrap());
                            (a - b).abs() < 1e-9
                        });
                        prop_assert!(same, "{rule:?} is not the chain's own");
                    }
                    least = least.min(found);
                }
                let found = fit.bound(rule, &best.steps(count).unwrap()).unwrap();
                prop_assert!((found - least).abs() < 1e-11 * (1.0 + least.abs()));
            }
        }
    }
}

/// With the small variance the bound of the default schedule falls with every step, and few steps are best near the data.
#[test]
fn best_steps_of_the_default_schedule_are_never_worse_than_even_ones() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let fit = gaussian(&schedule, 0.25);
    for rule in VarianceRule::ALL {
        let best = fit.best_steps(rule, 50).unwrap();
        for count in 2..=50 {
            let even = fit.bound(rule, &evenly_spaced(1000, count).unwrap()).unwrap();
            let found = fit.bound(rule, &best.steps(count).unwrap()).unwrap();
            assert!(found <= even + 1e-12, "{rule:?}, {count} steps: {found} for {even}");
        }
        let gain = |count: usize| {
            let even = fit.bound(rule, &evenly_spaced(1000, count).unwrap()).unwrap();
            even - fit.bound(rule, &best.steps(count).unwrap()).unwrap()
        };
        match rule.fixed() {
            Some(_) => assert!(gain(10) > 0.05, "{rule:?}: {}", gain(10)),
            None => assert!(gain(10) < 1e-10, "{rule:?}: {}", gain(10)),
        }
    }
}

/// What is measured is what is known, within its standard error, for every parameterisation.
#[test]
fn measured_numbers_are_the_known_ones() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let data = MixtureData::from(GaussianData::diagonal(vec![0.0; 3], vec![0.25; 3]).unwrap());
    let examples = List::draw(&data, 1500, 4);
    for parameterization in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        let oracle = Oracle::new(data.clone(), &schedule, parameterization);
        let measured = measured(&Chain::new(&schedule, parameterization), &oracle, &examples, 100, 1);
        assert_eq!((measured.examples, measured.nodes.len()), (1500, 33));
        for node in &measured.nodes {
            let known = posterior(&schedule, 0.25, node.t);
            let off = (node.error - known).abs() / node.error_se.unwrap();
            assert!(off < 4.5, "{parameterization:?}: error at {} is {} for {known}", node.t, node.error);
            let m = 1.0 - known * schedule.log_snr(node.t).exp();
            let off = (node.noise_norm - m).abs() / node.noise_norm_se.unwrap();
            assert!(off < 4.5, "{parameterization:?}: m at {} is {} for {m}", node.t, node.noise_norm);
            assert_eq!(node.noise_norm, node.raw_noise_norm, "nothing is clipped");
        }
        // Near pure noise 1 - m is 1e-5 and still known; a mean of ‖ε̂‖² over so many examples has an error of 2e-2.
        assert!(measured.nodes[32].noise_norm_se.unwrap() < 2e-4);
        let fit = Fit::new(measured, &schedule).unwrap();
        for t in [1, 9, 33, 200, 555, 990] {
            let known = posterior(&schedule, 0.25, t);
            assert!((fit.error(t) / known - 1.0).abs() < 0.1, "interpolated at {t}: {} for {known}", fit.error(t));
        }
    }
}

/// Steps between those that are measured are interpolated to a ten-thousandth.
#[test]
fn a_hundred_measured_steps_stand_for_all() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let all = super::common::exact(&schedule, 0.25, |t| posterior(&schedule, 0.25, t));
    let some = sfumato_process::fit::measured_steps(1000, 10);
    assert!(some.len() < 125, "{}", some.len());
    let nodes = all.nodes.iter().filter(|node| some.contains(&node.t)).cloned().collect();
    let (all, some) = (
        Fit::new(all.clone(), &schedule).unwrap(),
        Fit::new(sfumato_process::fit::Measured { nodes, ..all }, &schedule).unwrap(),
    );
    for t in 1..=1000 {
        let ratio = some.error(t) / all.error(t) - 1.0;
        assert!(ratio.abs() < 1e-4, "error at {t}: {ratio}");
        let ratio = some.covariance(t) / all.covariance(t) - 1.0;
        assert!(ratio.abs() < 1e-2, "covariance at {t}: {ratio}");
    }
}
