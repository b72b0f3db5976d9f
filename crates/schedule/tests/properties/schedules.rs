//! Identities of the forward chain and its posterior, for schedules of every family.

use proptest::prelude::*;
use sfumato_schedule::probability::{Gaussian, LinearGaussian};
use sfumato_schedule::{ForwardKernel, NoiseSchedule, ScheduleConfig, forward_induction};

use crate::strategies::{cases, config, log_uniform, schedule, schedule_of_several_steps};

/// A step in `1..=T`, chosen by a number in [0, 1).
fn pick(schedule: &NoiseSchedule, fraction: f64) -> usize {
    1 + (fraction * schedule.steps() as f64) as usize
}

/// A step in `2..=T`, chosen by a number in [0, 1).
fn pick_later(schedule: &NoiseSchedule, fraction: f64) -> usize {
    2 + (fraction * (schedule.steps() - 1) as f64) as usize
}

fn relative(got: f64, expected: f64) -> f64 {
    ((got - expected) / expected).abs()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn one_step_kernels_compose_to_the_closed_form(schedule in schedule()) {
        let induction = forward_induction(schedule.betas());
        prop_assert_eq!(induction.len(), schedule.steps() + 1);
        for t in 1..=schedule.steps() {
            let (composed, closed) = (induction[t], schedule.marginal(t));
            prop_assert!(relative(composed.scale, closed.scale) < 1e-12, "scale at t = {}", t);
            prop_assert!(relative(composed.variance, closed.variance) < 1e-12, "variance at t = {}", t);
        }
        let steps = schedule.betas().iter().map(|beta| ForwardKernel::step(*beta));
        let composed = steps.fold(ForwardKernel::IDENTITY, ForwardKernel::then);
        let closed = schedule.marginal(schedule.steps());
        prop_assert!(relative(composed.scale, closed.scale) < 1e-12);
        prop_assert!(relative(composed.variance, closed.variance) < 1e-12);
    }

    #[test]
    fn transitions_compose(schedule in schedule(), a in 0.0..1.0, b in 0.0..1.0) {
        let (a, b) = (pick(&schedule, a), pick(&schedule, b));
        let (s, t) = (a.min(b), a.max(b));
        let composed = schedule.marginal(s).then(schedule.transition(s, t));
        prop_assert!(relative(composed.scale, schedule.marginal(t).scale) < 1e-14);
        prop_assert!(relative(composed.variance, schedule.marginal(t).variance) < 1e-14);
    }

    #[test]
    fn signal_and_snr_fall_at_every_step(schedule in schedule()) {
        for t in 1..=schedule.steps() {
            prop_assert!(schedule.alpha_bar(t) < schedule.alpha_bar(t - 1), "t = {}", t);
            prop_assert!(schedule.snr(t) < schedule.snr(t - 1), "t = {}", t);
            prop_assert!(schedule.one_minus_alpha_bar(t) >= schedule.one_minus_alpha_bar(t - 1), "t = {}", t);
            prop_assert!(schedule.log_snr(t) <= schedule.log_snr(t - 1) + 1e-12, "t = {}", t);
        }
    }

    #[test]
    fn every_coefficient_agrees_with_its_neighbours(schedule in schedule()) {
        for t in 1..=schedule.steps() {
            let row = schedule.coefficients(t);
            prop_assert!(row.beta > 0.0 && row.beta < 1.0);
            prop_assert!((row.alpha + row.beta - 1.0).abs() <= f64::EPSILON);
            prop_assert!((row.alpha_bar + row.one_minus_alpha_bar - 1.0).abs() <= f64::EPSILON);
            prop_assert!(relative(row.alpha_bar, schedule.alpha_bar(t - 1) * row.alpha) <= 2.0 * f64::EPSILON);
            prop_assert!((schedule.log_alpha_bar(t).exp() / row.alpha_bar - 1.0).abs() < 2e-13);
            prop_assert!((row.log_snr - row.snr.ln()).abs() < 1e-12);
            prop_assert!(row.posterior_log_variance.is_finite());
        }
    }

    #[test]
    fn the_posterior_variance_is_at_most_beta_and_zero_at_the_first_step(schedule in schedule()) {
        prop_assert_eq!(schedule.beta_tilde(1), 0.0);
        for t in 2..=schedule.steps() {
            let beta_tilde = schedule.beta_tilde(t);
            prop_assert!(beta_tilde > 0.0 && beta_tilde <= schedule.beta(t), "t = {}", t);
            prop_assert_eq!(schedule.posterior_log_variance(t), beta_tilde.ln());
        }
    }

    #[test]
    fn the_posterior_is_bayes_rule_for_a_linear_gaussian_pair(
        schedule in schedule_of_several_steps(), fraction in 0.0..1.0, x_0 in -1.0..1.0, x_t in -4.0..4.0,
    ) {
        let t = pick_later(&schedule, fraction);
        let prior = schedule.marginal(t - 1).given(x_0)?;
        let step = ForwardKernel::step(schedule.beta(t));
        let posterior = LinearGaussian::new(prior, step.scale, 0.0, step.variance)?.posterior(x_t)?;
        let weights = schedule.posterior_mean_coefficients(t);
        let terms = (weights.x_0 * x_0, weights.x_t * x_t);
        let scale = terms.0.abs() + terms.1.abs();
        prop_assert!((posterior.mean() - terms.0 - terms.1).abs() <= 1e-12 * scale);
        prop_assert!(relative(posterior.variance(), schedule.posterior_variance(t)) < 1e-12);
    }

    #[test]
    fn the_posterior_is_bayes_rule_on_log_densities(
        schedule in schedule_of_several_steps(), fraction in 0.0..1.0, x_0 in -1.0..1.0, noise in -3.0..3.0, offset in -3.0..3.0,
    ) {
        let t = pick_later(&schedule, fraction);
        // Below 1e-9 the squared distances in units of sqrt(beta) have lost more digits than are compared.
        prop_assume!(schedule.posterior_variance(t) > 1e-9);
        let (before, after) = (schedule.marginal(t - 1).given(x_0)?, schedule.marginal(t).given(x_0)?);
        let x_t = after.mean() + noise * after.std_dev();
        let weights = schedule.posterior_mean_coefficients(t);
        let closed = Gaussian::new(weights.x_0 * x_0 + weights.x_t * x_t, schedule.posterior_variance(t))?;
        let x_before = closed.mean() + offset * closed.std_dev();
        let step = ForwardKernel::step(schedule.beta(t)).given(x_before)?;
        let bayes = step.log_density(x_t) + before.log_density(x_before) - after.log_density(x_t);
        prop_assert!((bayes - closed.log_density(x_before)).abs() < 1e-9, "{} and {}", bayes, closed.log_density(x_before));
    }

    #[test]
    fn the_weight_of_the_error_is_half_the_fall_of_the_snr(schedule in schedule_of_several_steps(), fraction in 0.0..1.0) {
        let t = pick_later(&schedule, fraction);
        prop_assume!(schedule.snr(t - 1) * schedule.beta(t) > 1e-290); // no subnormal numbers
        let weight = schedule.x_0_error_weight(t);
        let weights = schedule.posterior_mean_coefficients(t);
        prop_assert!(relative(weight, weights.x_0.powi(2) / (2.0 * schedule.posterior_variance(t))) < 1e-14);
        let difference = 0.5 * (schedule.snr(t - 1) - schedule.snr(t));
        prop_assert!((weight - difference).abs() <= 1e-15 * schedule.snr(t - 1));
        prop_assert!(relative(schedule.unit_variance_bound_term(t), weight * schedule.one_minus_alpha_bar(t)) < 1e-14);
        prop_assert!(schedule.x_0_error_weight(1).is_infinite() && schedule.unit_variance_bound_term(1).is_infinite());
    }

    #[test]
    fn the_prior_term_is_the_divergence_from_the_standard_normal(schedule in schedule(), x_0 in -1.0..1.0) {
        let end = schedule.marginal(schedule.steps()).given(x_0)?;
        let kl = end.kl(&Gaussian::STANDARD);
        // The divergence sees alpha_bar only through 1 - alpha_bar and the mean.
        prop_assert!((schedule.prior_kl(x_0 * x_0) - kl).abs() <= 1e-12 * kl + 1e-17);
    }

    #[test]
    fn a_respaced_chain_has_the_signal_of_the_steps_it_keeps(
        schedule in schedule(), keep in prop::collection::vec(any::<bool>(), 4000),
    ) {
        let timesteps: Vec<usize> = (1..=schedule.steps()).filter(|t| keep[t - 1] || *t == 1).collect();
        let respaced = schedule.respace(&timesteps);
        // A leap whose beta rounds to 1 is refused; those of one or two steps here are not.
        prop_assume!(respaced.is_ok());
        let respaced = respaced?;
        prop_assert_eq!(respaced.original_steps(), &timesteps[..]);
        prop_assert_eq!(respaced.original_step(0), 0);
        for i in 1..=timesteps.len() {
            let (t, short) = (respaced.original_step(i), respaced.schedule());
            prop_assert!(relative(short.alpha_bar(i), schedule.alpha_bar(t)) <= f64::EPSILON);
            prop_assert!(relative(short.one_minus_alpha_bar(i), schedule.one_minus_alpha_bar(t)) <= f64::EPSILON);
            let leap = schedule.transition(respaced.original_step(i - 1), t);
            prop_assert_eq!(short.beta(i), leap.variance);
        }
    }

    #[test]
    fn configurations_survive_json_toml_and_the_command_line(config in config()) {
        prop_assert_eq!(&serde_json::from_str::<ScheduleConfig>(&serde_json::to_string(&config)?)?, &config);
        prop_assert_eq!(&toml::from_str::<ScheduleConfig>(&toml::to_string(&config)?)?, &config);
        prop_assert_eq!(&config.to_string().parse::<ScheduleConfig>()?, &config);
    }

    #[test]
    fn any_numbers_at_all_give_a_schedule_or_an_error(betas in prop::collection::vec(any::<f64>(), 0..5), scale in log_uniform(1e-300, 1.0)) {
        let _ = NoiseSchedule::from_betas(betas.clone());
        let _ = NoiseSchedule::from_betas(betas.iter().map(|beta| (beta * scale).abs()).collect());
    }
}

#[test]
fn the_cosine_of_the_notes_is_valid_at_every_length() {
    for steps in 1..=4000 {
        let config = ScheduleConfig::from(sfumato_schedule::NotesCosine { steps, ..Default::default() });
        config.build().unwrap_or_else(|error| panic!("T = {steps}: {error}"));
    }
}
