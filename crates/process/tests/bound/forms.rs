//! Exact, KL form and path-wise agree for Gaussian data.

use burn::{backend::Flex, tensor::Tensor};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, Parameterization, ReverseVariance, SeededNoise,
    bound::{Decoder, ExactBound, pathwise, prior_term, step_terms},
    forward::q_sample,
    noise::Purpose,
    oracle::{GaussianData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, probability::Gaussian};

use super::common::{Affine, betas, examples, mean, tensor};

const VARIANCES: [ReverseVariance; 2] = [ReverseVariance::FixedSmall, ReverseVariance::FixedLarge];

/// The KL form with its expectation taken exactly: each term is quadratic in `x_0` and in the noise, so two points for each, one
/// standard deviation to either side, are a Gauss-Hermite rule without error.
fn kl_form(chain: &Chain, denoiser: &dyn Denoiser<Flex, 2>, data: &Gaussian) -> ExactBound {
    let (low, high) = (data.mean() - data.std_dev(), data.mean() + data.std_dev());
    let x_0 = || tensor(vec![low, low, high, high], [4, 1]);
    let epsilon = || tensor(vec![-1.0, 1.0, -1.0, 1.0], [4, 1]);
    let term = |t: usize| {
        let x_t = q_sample(chain.schedule(), x_0(), &[t; 4], epsilon());
        mean(&step_terms(chain, denoiser, Decoder::Gaussian, x_0(), x_t, &[t; 4]).unwrap()).0
    };
    ExactBound {
        prior: 0.5 * (prior_term(chain, &[low]) + prior_term(chain, &[high])),
        steps: (2..=chain.steps()).map(term).collect(),
        decoder: term(1),
    }
}

fn assert_equal(a: &ExactBound, b: &ExactBound, tolerance: f64) {
    let close = |a: f64, b: f64, what: &str| {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} against {b}");
    };
    close(a.prior, b.prior, "prior");
    close(a.decoder, b.decoder, "decoder");
    assert_eq!(a.steps.len(), b.steps.len());
    for (i, (a, b)) in a.steps.iter().zip(&b.steps).enumerate() {
        close(*a, *b, &format!("step {}", i + 2));
    }
    close(a.total(), b.total(), "total");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_kl_form_is_the_exact_bound_for_any_affine_denoiser(
        betas in betas(12), m in -2.0..2.0f64, v in 0.01..4.0f64, slope in -1.0..2.0f64, shift in -1.0..1.0f64,
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let data = Gaussian::new(m, v).unwrap();
        let model = Affine::near_best(&schedule, &data, slope, shift);
        for variance in VARIANCES {
            let chain = Chain::new(&schedule, Parameterization::X0).with_variance(variance);
            assert_equal(&kl_form(&chain, &model, &data), &model.chain(&chain).bound(&schedule, &data), 1e-10);
        }
    }

    #[test]
    fn the_kl_form_of_the_oracle_is_exact_in_every_parameterization(betas in betas(12), m in -2.0..2.0f64, v in 0.01..4.0f64) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let data = Gaussian::new(m, v).unwrap();
        let best = Affine::near_best(&schedule, &data, 1.0, 0.0);
        for kind in [Parameterization::X0, Parameterization::Epsilon, Parameterization::V] {
            let oracle = Oracle::new(GaussianData::isotropic(vec![m], v).unwrap(), &schedule, kind);
            let chain = Chain::new(&schedule, kind);
            assert_equal(&kl_form(&chain, &oracle, &data), &best.chain(&chain).bound(&schedule, &data), 1e-10);
        }
    }

    /// The bound of the exact reverse chain exceeds the entropy by `KL(q(x_T) ‖ p(x_T))` and nothing else.
    #[test]
    fn the_exact_reverse_chain_reaches_the_ideal_equality(betas in betas(40), m in -2.0..2.0f64, v in 0.01..4.0f64) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        ideal_equality(&schedule, &Gaussian::new(m, v).unwrap());
    }
}

/// By closed forms, and again through tensors, where the variances enter as a table.
fn ideal_equality(schedule: &NoiseSchedule, data: &Gaussian) {
    let last = schedule.steps();
    let (alpha_bar, noise) = (schedule.alpha_bar(last), schedule.one_minus_alpha_bar(last));
    let end = Gaussian::new(alpha_bar.sqrt() * data.mean(), alpha_bar * data.variance() + noise).unwrap();
    let missing = end.kl(&Gaussian::new(0.0, 1.0).unwrap());
    let exact = sfumato_process::bound::AffineChain::exact(schedule, data);
    let gap = exact.bound(schedule, data).total() - data.entropy();
    assert!((gap - missing).abs() < 1e-9, "closed form: {gap} against {missing}");

    let log_variances = exact.steps().iter().map(|step| step.variance.ln()).collect();
    let chain = Chain::new(schedule, Parameterization::X0).with_log_variances(log_variances).unwrap();
    let source = GaussianData::isotropic(vec![data.mean()], data.variance()).unwrap();
    let gap = kl_form(&chain, &Oracle::new(source, schedule, Parameterization::X0), data).total() - data.entropy();
    assert!((gap - missing).abs() < 1e-9, "KL form: {gap} against {missing}");
}

#[test]
fn the_ideal_equality_holds_for_a_thousand_steps_of_every_family() {
    for name in ["linear", "cosine", "scaled-linear", "sigmoid", "quadratic", "notes-cosine"] {
        let schedule = name.parse::<ScheduleConfig>().unwrap().build().unwrap();
        ideal_equality(&schedule, &Gaussian::new(0.3, 0.2).unwrap());
    }
}

#[test]
fn the_forms_agree_on_the_default_schedule() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let data = Gaussian::new(-0.1, 0.25).unwrap();
    let model = Affine::near_best(&schedule, &data, 0.95, 0.01);
    for variance in VARIANCES {
        let chain = Chain::new(&schedule, Parameterization::X0).with_variance(variance);
        assert_equal(&kl_form(&chain, &model, &data), &model.chain(&chain).bound(&schedule, &data), 1e-10);
    }
}

/// Respacing gives another model: its bound is the exact bound of the shorter chain, and looser.
#[test]
fn a_respaced_chain_has_the_bound_of_its_own_steps() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let data = Gaussian::new(0.2, 0.5).unwrap();
    let kept: Vec<usize> = (1..=20).map(|i| i * 50).collect();
    let chain = Chain::respaced(&schedule, &kept, Parameterization::X0).unwrap();
    let oracle = Oracle::new(GaussianData::isotropic(vec![0.2], 0.5).unwrap(), &schedule, Parameterization::X0);
    let best = Affine::near_best(chain.schedule(), &data, 1.0, 0.0);
    let short = best.chain(&chain).bound(chain.schedule(), &data);
    assert_equal(&kl_form(&chain, &oracle, &data), &short, 1e-10);
    let full = Chain::new(&schedule, Parameterization::X0);
    let long = Affine::near_best(&schedule, &data, 1.0, 0.0).chain(&full).bound(&schedule, &data);
    assert!(long.total() < short.total());
}

#[test]
fn path_wise_means_are_within_four_standard_errors_of_the_exact_bound() {
    let schedule = NoiseSchedule::from_betas((1..=25).map(|t| 0.012 * t as f64).collect()).unwrap();
    let data = Gaussian::new(0.4, 0.3).unwrap();
    let x_0: Tensor<Flex, 2> = examples(&GaussianData::isotropic(vec![0.4], 0.3).unwrap().into(), 20_000, 1);
    let noise = SeededNoise::new(8).with_purpose(Purpose::Forward);
    for (slope, shift) in [(1.0, 0.0), (0.7, 0.1)] {
        let model = Affine::near_best(&schedule, &data, slope, shift);
        for variance in VARIANCES {
            let chain = Chain::new(&schedule, Parameterization::X0).with_variance(variance);
            let exact = model.chain(&chain).bound(&schedule, &data).total();
            let paths = pathwise(&chain, &model, Decoder::Gaussian, x_0.clone(), &noise).unwrap();
            let (found, error) = mean(&paths);
            assert!((found - exact).abs() < 4.0 * error, "{found} ± {error} against {exact}");
            assert!(error < 0.02 * exact.abs().max(1.0), "the test has no power: {error}");
        }
    }
}
