//! Identities of Gaussian densities, against quadrature and against each other.

use proptest::prelude::*;
use sfumato_schedule::probability::{Gaussian, IsotropicGaussian, LinearGaussian, normal};

use crate::strategies::{cases, gaussian, log_uniform};

/// `∫ f` over `around` ± 14 standard deviations by the trapezoidal rule, which for these integrands is exact to rounding.
fn integrate(around: &Gaussian, f: impl Fn(f64) -> f64) -> f64 {
    let width = 14.0 * around.std_dev();
    let step = width / 400.0;
    (-400..=400).map(|i| f(around.mean() + f64::from(i) * step)).sum::<f64>() * step
}

fn isotropic(dimensions: usize) -> impl Strategy<Value = IsotropicGaussian> {
    (prop::collection::vec(-5.0..5.0, dimensions), log_uniform(1e-3, 1e3))
        .prop_map(|(mean, variance)| IsotropicGaussian::new(mean, variance).expect("in range"))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn moments_entropy_and_divergence_are_the_integrals_they_stand_for(p in gaussian(), q in gaussian()) {
        let expect = |f: &dyn Fn(f64) -> f64| integrate(&p, |x| p.density(x) * f(x));
        let close = |got: f64, expected: f64| (got - expected).abs() < 1e-10 * (1.0 + expected.abs());
        prop_assert!(close(expect(&|_| 1.0), 1.0));
        prop_assert!(close(expect(&|x| x), p.mean()));
        prop_assert!(close(expect(&|x| (x - p.mean()).powi(2)), p.variance()));
        prop_assert!(close(expect(&|x| -p.log_density(x)), p.entropy()));
        prop_assert!(close(expect(&|x| -q.log_density(x)), p.cross_entropy(&q)));
        prop_assert!(close(expect(&|x| p.log_density(x) - q.log_density(x)), p.kl(&q)));
    }

    #[test]
    fn the_divergence_is_positive_unless_the_distributions_are_equal(
        p in gaussian(), mean in -1e-6..1e-6, variance in -1e-6..1e-6, shrink in log_uniform(1e-9, 1.0),
    ) {
        prop_assert_eq!(p.kl(&p), 0.0);
        let (mean, variance) = (p.mean() + mean * shrink, p.variance() * (1.0 + variance * shrink));
        let near = Gaussian::new(mean, variance)?;
        prop_assert_eq!(p.kl(&near) == 0.0, p == near);
        prop_assert!(p.kl(&near) >= 0.0);
    }

    #[test]
    fn the_divergence_is_never_negative(p in gaussian(), q in gaussian(), by in log_uniform(1e-100, 1e100)) {
        prop_assert!(p.kl(&q) >= 0.0);
        let far = Gaussian::new(q.mean(), q.variance() * by)?;
        prop_assert!(p.kl(&far) >= 0.0 && far.kl(&p) >= 0.0);
    }

    /// Of densities, as `discrete.rs` has it of probabilities; the mixtures' divergence has no closed form.
    #[test]
    fn the_divergence_is_jointly_convex_in_the_densities(
        p_1 in gaussian(), p_2 in gaussian(), q_1 in gaussian(), q_2 in gaussian(), weight in 0.0..1.0_f64,
    ) {
        let log_mixture = |a: &Gaussian, b: &Gaussian, x: f64| {
            let (a, b) = (weight.ln() + a.log_density(x), (1.0 - weight).ln() + b.log_density(x));
            a.max(b) + (-(a - b).abs()).exp().ln_1p()
        };
        let integrand = |x: f64| log_mixture(&p_1, &p_2, x) - log_mixture(&q_1, &q_2, x);
        let under = |p: &Gaussian| integrate(p, |x| p.density(x) * integrand(x));
        let mixed = weight * under(&p_1) + (1.0 - weight) * under(&p_2);
        let separate = weight * p_1.kl(&q_1) + (1.0 - weight) * p_2.kl(&q_2);
        // The logarithms have corners where two components meet, of which the trapezoidal rule sees 1e-3 at most.
        prop_assert!(mixed >= -1e-3 && mixed <= separate + 1e-3 * (1.0 + separate), "{} and {}", mixed, separate);
    }

    #[test]
    fn the_divergence_does_not_change_under_affine_maps(p in gaussian(), q in gaussian(), scale in 0.1..10.0_f64, shift in -3.0..3.0) {
        let (p_mapped, q_mapped) = (p.affine(-scale, shift)?, q.affine(-scale, shift)?);
        prop_assert!((p_mapped.kl(&q_mapped) - p.kl(&q)).abs() < 1e-9 * (1.0 + p.kl(&q)));
        let x = 0.7;
        let density = p_mapped.log_density(-scale * x + shift) + scale.ln();
        prop_assert!((density - p.log_density(x)).abs() < 1e-8 * (1.0 + density.abs()));
    }

    #[test]
    fn the_density_of_a_sum_is_the_convolution(p in gaussian(), q in gaussian(), z in -3.0..3.0) {
        let sum = p.sum(&q)?;
        let x = sum.mean() + z * sum.std_dev();
        let narrow = if p.variance() < q.variance() { (p, q) } else { (q, p) };
        let convolution = integrate(&narrow.0, |y| narrow.0.density(y) * narrow.1.density(x - y));
        prop_assert!((convolution / sum.density(x) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_product_of_densities_is_a_scaled_density(p in gaussian(), q in gaussian(), z in -3.0..3.0) {
        let product = p.product(&q)?;
        let x = product.gaussian.mean() + z * product.gaussian.std_dev();
        let expected = p.log_density(x) + q.log_density(x);
        let got = product.log_scale + product.gaussian.log_density(x);
        prop_assert!((got - expected).abs() < 1e-10 * (1.0 + expected.abs()));
        let total = integrate(&product.gaussian, |x| (p.log_density(x) + q.log_density(x) - product.log_scale).exp());
        prop_assert!((total - 1.0).abs() < 1e-10);
    }

    #[test]
    fn a_linear_gaussian_pair_factors_both_ways(
        prior in gaussian(), gain in -3.0..3.0, offset in -3.0..3.0, noise in log_uniform(1e-3, 1e3), z in -3.0..3.0, e in -3.0..3.0,
    ) {
        let pair = LinearGaussian::new(prior, gain, offset, noise)?;
        let z = prior.mean() + z * prior.std_dev();
        let likelihood = pair.conditional(z)?;
        let x = likelihood.mean() + e * likelihood.std_dev();
        let forwards = prior.log_density(z) + likelihood.log_density(x);
        let backwards = pair.marginal().log_density(x) + pair.posterior(x)?.log_density(z);
        prop_assert!((forwards - backwards).abs() < 1e-8);
        prop_assert!((pair.joint_log_density(z, x) - forwards).abs() < 1e-8);
        let marginal = integrate(&pair.posterior(x)?, |z| pair.joint_log_density(z, x).exp());
        prop_assert!((marginal / pair.marginal().density(x) - 1.0).abs() < 1e-8);
        let slope = pair.posterior(x + 1.0)?.mean() - pair.posterior(x)?.mean();
        prop_assert!((slope - pair.covariance() / pair.marginal().variance()).abs() < 1e-10 * (1.0 + x.abs()));
    }

    #[test]
    fn an_isotropic_gaussian_is_the_product_of_its_coordinates(p in isotropic(3), q in isotropic(3), x in prop::collection::vec(-5.0..5.0, 3)) {
        let coordinates = |g: &IsotropicGaussian| (0..3).map(|i| g.coordinate(i).expect("three")).collect::<Vec<_>>();
        let (p_each, q_each) = (coordinates(&p), coordinates(&q));
        let sum = |f: &dyn Fn(usize) -> f64| (0..3).map(f).sum::<f64>();
        let close = |got: f64, expected: f64| (got - expected).abs() <= 1e-12 * (1.0 + expected.abs());
        prop_assert!(close(p.log_density(&x)?, sum(&|i| p_each[i].log_density(x[i]))));
        prop_assert!(close(p.entropy(), sum(&|i| p_each[i].entropy())));
        prop_assert!(close(p.cross_entropy(&q)?, sum(&|i| p_each[i].cross_entropy(&q_each[i]))));
        prop_assert!(close(p.kl(&q)?, sum(&|i| p_each[i].kl(&q_each[i]))));
        prop_assert!(p.kl(&q)? >= 0.0 && p.kl(&p)? == 0.0);
        let (product, log_scale) = p.product(&q)?;
        prop_assert!(close(log_scale, sum(&|i| p_each[i].product(&q_each[i]).expect("in range").log_scale)));
        for i in 0..3 {
            prop_assert_eq!(product.coordinate(i), Some(p_each[i].product(&q_each[i])?.gaussian));
            prop_assert_eq!(p.sum(&q)?.coordinate(i), Some(p_each[i].sum(&q_each[i])?));
            prop_assert_eq!(p.affine(-2.0, &x)?.coordinate(i), Some(p_each[i].affine(-2.0, x[i])?));
        }
        prop_assert!(p.log_density(&x[..2]).is_err() && p.affine(1.0, &[]).is_err());
    }

    #[test]
    fn the_distribution_function_and_its_complement_sum_to_one_and_never_fall(z in -40.0..40.0, step in log_uniform(1e-15, 10.0)) {
        prop_assert!((normal::cdf(z) + normal::survival(z) - 1.0).abs() <= f64::EPSILON);
        prop_assert!(normal::cdf(z + step) >= normal::cdf(z) * (1.0 - 1e-14));
        prop_assert!(normal::log_cdf(z + step) >= normal::log_cdf(z) * (1.0 + 1e-15));
        let direct = normal::cdf(z);
        if direct > 1e-300 {
            prop_assert!((normal::log_cdf(z) - direct.ln()).abs() <= 1e-14 * (1.0 + direct.ln().abs()));
        }
    }

    #[test]
    fn neighbouring_intervals_add_up(a in -45.0..45.0, first in log_uniform(1e-14, 30.0), second in log_uniform(1e-14, 30.0)) {
        let (b, c) = (a + first, a + first + second);
        let (left, right) = (normal::log_cdf_difference(a, b), normal::log_cdf_difference(b, c));
        prop_assume!(b > a && c > b);
        let whole = normal::log_cdf_difference(a, c);
        let largest = left.max(right);
        let sum = largest + ((left - largest).exp() + (right - largest).exp()).ln();
        // An end's rounding, 7e-15 at most, counts with the density: |z| up to 75 times.
        prop_assert!((sum - whole).abs() < 1e-12 * (1.0 + whole.abs() / 10.0), "{} and {}", sum, whole);
        let mirrored = normal::log_cdf_difference(-c, -a);
        prop_assert!((mirrored - whole).abs() < 1e-13 * (1.0 + whole.abs()));
    }
}
