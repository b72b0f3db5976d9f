//! Paired differences: those of SciPy, and what must hold of any numbers.

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use sfumato_evaluate::{Paired, PairedBound, Side, Verdict};
use sfumato_process::bound::ExampleTerms;

/// `golden/make_paired.py`: `scipy.stats.ttest_rel`, `sem` and `pearsonr`, with the versions stored there.
fn golden() -> Value {
    serde_json::from_str(include_str!("golden/paired.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Whether two numbers agree, but for the rounding of values of about 2500.
fn close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} against {expected}");
}

#[test]
fn differences_are_those_of_scipy() {
    let golden = golden();
    let cases = golden["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 5);
    for (name, case) in cases {
        let paired = Paired::new(&numbers(&case["a"]), &numbers(&case["b"])).unwrap();
        let (mean, error) = (paired.difference.mean, paired.difference.standard_error.unwrap());
        let [low, high] = paired.interval().unwrap();
        for (key, found) in [
            ("mean_a", paired.a.mean),
            ("mean_b", paired.b.mean),
            ("mean", mean),
            ("standard_error", error),
            ("statistic", mean / error),
            ("unpaired_standard_error", paired.unpaired_standard_error().unwrap()),
            ("correlation", paired.correlation.unwrap()),
        ] {
            close(&format!("{name}, {key}"), found, &case[key]);
        }
        close(&format!("{name}, low"), low, &case["interval"][0]);
        close(&format!("{name}, high"), high, &case["interval"][1]);
        assert_eq!(paired.difference.count, case["degrees_of_freedom"].as_u64().unwrap() + 1);
        assert_eq!(paired.examples_needed(), case["examples_needed"].as_u64(), "{name}");
        let expected = if name == "few, clear" { Verdict::Better(Side::B) } else { Verdict::Unknown };
        assert_eq!(paired.verdict(), expected, "{name}");
    }
}

#[test]
fn nothing_one_and_equal_numbers_have_their_own_answers() {
    assert_eq!(Paired::new(&[], &[]), None);
    let one = Paired::new(&[3.0], &[2.0]).unwrap();
    assert_eq!((one.verdict(), one.interval(), one.examples_needed()), (Verdict::Unknown, None, None));
    assert_eq!((one.unpaired_standard_error(), one.correlation), (None, None));
    for same in [&[1.5][..], &[1.5, 0.1, 1e9]] {
        assert_eq!(Paired::new(same, same).unwrap().verdict(), Verdict::Equal);
    }
    // Differences that cancel are not the same as none.
    let cancelling = Paired::new(&[1.0, 2.0], &[2.0, 1.0]).unwrap();
    assert_eq!((cancelling.verdict(), cancelling.examples_needed()), (Verdict::Unknown, None));
    // One side without any spread.
    assert_eq!(Paired::new(&[1.0, 1.0], &[2.0, 1.0]).unwrap().correlation, None);
    // A difference that every pair has.
    let constant = Paired::new(&[1.0, 2.0, 5.0], &[0.5, 1.5, 4.5]).unwrap();
    assert_eq!((constant.verdict(), constant.examples_needed()), (Verdict::Better(Side::B), Some(2)));
}

#[test]
fn parts_of_a_bound_are_compared_each_and_add_up() {
    let terms = |example, prior, diffusion, decoder| ExampleTerms { example, prior, diffusion, decoder };
    let a = [terms(4, 0.5, 30.0, 7.0), terms(1, 0.25, 50.0, 9.0), terms(8, 0.5, 10.0, 8.0)];
    let b = [terms(4, 0.5, 28.0, 7.5), terms(1, 0.25, 49.0, 9.0), terms(8, 0.5, 9.0, 8.5)];
    let found = PairedBound::new(&a, &b).unwrap();
    assert_eq!(found.prior.verdict(), Verdict::Equal);
    assert_eq!((found.diffusion.difference.mean * 3.0, found.decoder.difference.mean * 3.0), (-4.0, 1.0));
    assert!((found.total.difference.mean - -1.0).abs() < 1e-12);
    let bits = found.total.bits_per_dim(10);
    assert!((bits.difference.mean - -0.1 / std::f64::consts::LN_2).abs() < 1e-12);
    assert_eq!((bits.verdict(), bits.correlation), (found.total.verdict(), found.total.correlation));
    assert_eq!(PairedBound::new(&[], &[]), None);
}

#[test]
#[should_panic(expected = "the examples are not the same")]
fn other_examples_are_not_compared() {
    let terms = |example| [ExampleTerms { example, prior: 0.0, diffusion: 1.0, decoder: 2.0 }];
    PairedBound::new(&terms(1), &terms(2));
}

/// Mean, standard error of the mean and correlation by the formulas, in two passes.
fn two_passes(a: &[f64], b: &[f64]) -> (f64, f64, f64) {
    let n = a.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let (x_mean, y_mean) = (mean(x), mean(y));
        x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum()
    };
    let error = (product(&d, &d) / (n - 1.0) / n).sqrt();
    (mean(&d), error, product(a, b) / (product(a, a) * product(b, b)).sqrt())
}

/// The differences of at least two examples of about a thousand nats, and the pairs.
fn pairs() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    vec((500.0..4000.0, -200.0..200.0), 2..60)
        .prop_map(|pairs: Vec<(f64, f64)>| pairs.into_iter().map(|(a, d)| (a, a + d)).unzip())
}

proptest! {
    #[test]
    fn exchanging_the_models_changes_the_sign_and_nothing_else((a, b) in pairs()) {
        let (there, back) = (Paired::new(&a, &b).unwrap(), Paired::new(&b, &a).unwrap());
        prop_assert_eq!((there.a, there.b), (back.b, back.a));
        prop_assert_eq!(there.difference.mean, -back.difference.mean);
        prop_assert_eq!(there.difference.standard_error, back.difference.standard_error);
        let ([low, high], [back_low, back_high]) = (there.interval().unwrap(), back.interval().unwrap());
        prop_assert_eq!((low, high), (-back_high, -back_low));
        let exchanged = match back.verdict() {
            Verdict::Better(Side::A) => Verdict::Better(Side::B),
            Verdict::Better(Side::B) => Verdict::Better(Side::A),
            other => other,
        };
        prop_assert_eq!(there.verdict(), exchanged);
        prop_assert_eq!(there.examples_needed(), back.examples_needed());
        prop_assert_eq!(there.unpaired_standard_error(), back.unpaired_standard_error());
    }

    #[test]
    fn the_order_of_the_examples_does_not_matter((a, b) in pairs(), shift in 1..59_usize) {
        let turned = |values: &[f64]| {
            let mut values: Vec<f64> = values.iter().rev().copied().collect();
            let by = shift % values.len();
            values.rotate_left(by);
            values
        };
        let (one, other) = (Paired::new(&a, &b).unwrap(), Paired::new(&turned(&a), &turned(&b)).unwrap());
        prop_assert!((one.difference.mean - other.difference.mean).abs() < 1e-9);
        let errors = (one.difference.standard_error.unwrap(), other.difference.standard_error.unwrap());
        prop_assert!((errors.0 - errors.1).abs() < 1e-9, "{:?}", errors);
        let correlations = (one.correlation.unwrap(), other.correlation.unwrap());
        prop_assert!((correlations.0 - correlations.1).abs() < 1e-9, "{:?}", correlations);
    }

    #[test]
    fn the_numbers_are_those_of_the_formulas((a, b) in pairs()) {
        let found = Paired::new(&a, &b).unwrap();
        let (mean, error, correlation) = two_passes(&a, &b);
        prop_assert!((found.difference.mean - mean).abs() < 1e-9);
        prop_assert!((found.difference.standard_error.unwrap() - error).abs() < 1e-9);
        prop_assert!((found.correlation.unwrap() - correlation).abs() < 1e-9);
        // The variance of a difference: what pairing saves is the covariance.
        let unpaired = found.unpaired_standard_error().unwrap();
        let (a, b) = (found.a.standard_error.unwrap(), found.b.standard_error.unwrap());
        let expected = unpaired.powi(2) - 2.0 * correlation * a * b;
        prop_assert!((found.difference.standard_error.unwrap().powi(2) - expected).abs() < 1e-6 * unpaired.powi(2));
    }

    /// With so many examples of the same spread the interval excludes 0, and with one less it does not.
    #[test]
    fn the_examples_needed_are_the_fewest((a, b) in pairs()) {
        let paired = Paired::new(&a, &b).unwrap();
        let Some(needed) = paired.examples_needed() else { return Ok(()) };
        let n = paired.difference.count as f64;
        let deviation = paired.difference.standard_error.unwrap() * n.sqrt();
        let with = |count: u64| {
            let standard_error = Some(deviation / (count as f64).sqrt());
            let mut other = paired;
            other.difference.count = count;
            other.difference.standard_error = standard_error;
            other.verdict()
        };
        prop_assert_ne!(with(needed), Verdict::Unknown);
        if needed > 2 {
            prop_assert_eq!(with(needed - 1), Verdict::Unknown);
        }
    }
}
