//! Numbers computed elsewhere: `tests/reference.py`, with mpmath 1.3.0 and numpy 2.4.6.

use sfumato_schedule::ScheduleConfig;
use sfumato_schedule::probability::{LikelihoodCdf, discretized_log_likelihood, normal};

#[rustfmt::skip]
const CDF: [(f64, f64); 13] = [
    (-37.5, 4.605353009581955e-308),
    (-37.0, 5.725571222524577e-300),
    (-30.0, 4.906713927148187e-198),
    (-20.25, 1.77619986494957e-91),
    (-10.0, 7.619853024160525e-24),
    (-9.999, 7.697185013083595e-24),
    (-5.3, 5.790134039964594e-08),
    (-1.5, 0.06680720126885807),
    (-1.4, 0.08075665923377107),
    (-0.3, 0.3820885778110474),
    (0.7, 0.758036347776927),
    (3.0, 0.9986501019683699),
    (8.0, 0.9999999999999993),
];

#[rustfmt::skip]
const LOG_CDF: [(f64, f64); 19] = [
    (-37.5, -707.6689893175072),
    (-37.0, -689.0305855768906),
    (-30.0, -454.3212439563432),
    (-20.25, -208.96076728764925),
    (-10.0, -53.23128515051247),
    (-9.999, -53.22118755255553),
    (-5.3, -16.664525302382472),
    (-1.5, -2.7059444008238898),
    (-1.4, -2.516314852988329),
    (-0.3, -0.9621028181688507),
    (0.7, -0.2770239422771313),
    (3.0, -0.0013508099647481938),
    (8.0, -6.220960574271786e-16),
    (-40.0, -804.6084420137538),
    (-100.0, -5005.524208694205),
    (-1234.5, -762003.1623604982),
    (10.0, -7.619853024160525e-24),
    (20.0, -2.7536241186062337e-89),
    (37.0, -5.725571222524577e-300),
];

#[rustfmt::skip]
const LOG_CDF_DIFFERENCE: [(f64, f64, f64); 13] = [
    (-1.0, 1.0, -0.38171514630212605),
    (0.5, 0.5000000001, -24.06978938042976),
    (-8.25, -8.2499999, -51.06828377774044),
    (30.0, 31.0, -454.32124395634327),
    (37.25, 37.2500001, -710.8182860349764),
    (-50.0, -49.0, -1205.3111748916654),
    (-60.0, -59.999, -1807.7965439858606),
    (2.0, 3.5, -3.7934623668879905),
    (-0.4, 0.55, -1.0098817395416737),
    (-100.0, 0.25, -0.5129840754094305),
    (0.0, 0.0009765625, -7.850410497749835),
    (-3.0, 2.0, -0.024395187554887347),
    (-100000.000001, -100000.0, -5000000014.7840395),
];

/// Level, mean, logarithm of the scale, log-likelihood.
#[rustfmt::skip]
const EXACT: [(u8, f64, f64, f64); 13] = [
    (0, -0.9, -3.0, -3.61873325392258),
    (255, 0.2, -1.0, -4.184258503944909),
    (128, 0.1, -2.0, -4.019123845176681),
    (3, 0.5, -3.2, -657.0282090510806),
    (200, -1.0, -3.0, -498.23289006173),
    (250, -0.99, -2.95, -696.3357360929816),
    (77, -0.4, -5.5, -0.7496805468141112),
    (77, -0.4, 10.0, -15.767054897803176),
    (128, 0.001, -7.0, -0.14664661464109802),
    (10, 30.0, 1.0, -71.4669797176056),
    (255, -1.0, -2.925, -696.2838685681767),
    (0, 1.0, -2.925, -696.2838685681767),
    (254, -1.0, -2.925, -690.8588789288876),
];

#[rustfmt::skip]
const TANH: [(u8, f64, f64, f64); 13] = [
    (0, -0.9, -3.0, -3.619460947742823),
    (255, 0.2, -1.0, -4.191488620255154),
    (128, 0.1, -2.0, -4.0199484268465735),
    (3, 0.5, -3.2, -27.631021115928547),
    (200, -1.0, -3.0, -27.631021115928547),
    (250, -0.99, -2.95, -27.631021115928547),
    (77, -0.4, -5.5, -0.749648921747422),
    (77, -0.4, 10.0, -15.767054897803176),
    (128, 0.001, -7.0, -0.1468422232426375),
    (10, 30.0, 1.0, -27.631021115928547),
    (255, -1.0, -2.925, -27.631021115928547),
    (0, 1.0, -2.925, -27.631021115928547),
    (254, -1.0, -2.925, -27.631021115928547),
];

/// Family, `alpha_bar` at 1, 500 and 1000, and `1 - alpha_bar` at 1.
#[rustfmt::skip]
const FAMILIES: [(&str, f64, f64, f64, f64); 9] = [
    ("linear", 0.9999, 0.07858724288177824, 4.0358297653756835e-05, 0.0001),
    ("quadratic", 0.9999, 0.4149233447603519, 0.0011392658640276482, 0.0001),
    ("scaled-linear", 0.9999, 0.3331877673562998, 0.0007334124595808149, 0.0001),
    ("cosine", 0.9999587157751783, 0.4938435904406377, 2.4287669070344683e-09, 4.1284224821777805e-05),
    ("notes-cosine", 0.9999580525597527, 0.48751193302481544, 2.466960730189078e-09, 4.194744024730612e-05),
    ("sigmoid", 0.9998507947991829, 0.3019310566021951, 3.968181990533208e-05, 0.00014920520081703202),
    ("constant", 0.99, 0.006570483042414633, 4.317124741065825e-05, 0.01),
    ("jensen-shannon", 0.999, 0.5, 1e-06, 0.001),
    ("linear-log-snr", 0.999899975962818, 0.40482866704278403, 4.5397868702434395e-05, 0.00010002403718209397),
];

fn relative(got: f64, expected: f64) -> f64 {
    ((got - expected) / expected).abs()
}

#[test]
fn the_distribution_function_is_accurate_down_to_the_smallest_numbers() {
    for (z, expected) in CDF {
        assert!(relative(normal::cdf(z), expected) < 2e-15, "{z}: {:e}", normal::cdf(z));
    }
}

#[test]
fn its_logarithm_is_accurate_in_both_tails() {
    for (z, expected) in LOG_CDF {
        assert!(relative(normal::log_cdf(z), expected) < 2e-15, "{z}: {:e}", normal::log_cdf(z));
    }
    assert!(relative(normal::log_cdf(-1e100), -5e199) < 1e-15);
    assert_eq!(normal::log_cdf(f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert_eq!((normal::log_cdf(f64::INFINITY), normal::cdf(f64::INFINITY)), (0.0, 1.0));
    assert_eq!(normal::cdf(f64::NEG_INFINITY), 0.0);
    assert!(normal::log_cdf(f64::NAN).is_nan() && normal::cdf(f64::NAN).is_nan());
}

#[test]
fn differences_are_accurate_in_narrow_intervals_and_far_tails() {
    for (a, b, expected) in LOG_CDF_DIFFERENCE {
        assert!(relative(normal::log_cdf_difference(a, b), expected) < 1e-14, "{a} to {b}");
    }
    assert_eq!(normal::log_cdf_difference(f64::NEG_INFINITY, f64::INFINITY), 0.0);
    assert_eq!(normal::log_cdf_difference(f64::NEG_INFINITY, -3.0), normal::log_cdf(-3.0));
    assert_eq!(normal::log_cdf_difference(2.0, 2.0), f64::NEG_INFINITY);
    assert!(normal::log_cdf_difference(2.0, 1.0).is_nan() && normal::log_cdf_difference(f64::NAN, 1.0).is_nan());
}

#[test]
fn the_exact_likelihood_agrees_down_to_probabilities_of_1e_300() {
    for (level, mean, log_scale, expected) in EXACT {
        let got = discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Exact);
        assert!(relative(got, expected) < 1e-14, "{level} {mean} {log_scale}: {got}");
    }
}

#[test]
fn the_tanh_likelihood_agrees_with_its_formula_and_floor() {
    for (level, mean, log_scale, expected) in TANH {
        let got = discretized_log_likelihood(level, mean, log_scale, LikelihoodCdf::Tanh);
        // Its difference of two numbers near 1/2 cancels: 1e-16 of a probability of 1e-7 at the widest scale here.
        assert!(relative(got, expected) < 1e-10, "{level} {mean} {log_scale}: {got}");
    }
}

#[test]
fn every_family_agrees_with_its_formula() {
    for (name, first, middle, last, first_noise) in FAMILIES {
        let schedule = name.parse::<ScheduleConfig>().and_then(|config| config.build()).expect(name);
        assert!(relative(schedule.alpha_bar(1), first) < 2e-16, "{name}");
        assert!(relative(schedule.one_minus_alpha_bar(1), first_noise) < 1e-15, "{name}");
        assert!(relative(schedule.alpha_bar(500), middle) < 1e-14, "{name}");
        // The cosine's last angles are known to an ulp of pi/2, which is 1e-13 of their distance from it.
        assert!(relative(schedule.alpha_bar(1000), last) < 5e-12, "{name}: {:e}", schedule.alpha_bar(1000));
    }
}
