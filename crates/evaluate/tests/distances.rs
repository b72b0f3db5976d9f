//! The distances agree with other implementations, and tell apart what they should.

use serde_json::Value;
use sfumato_evaluate::distances::{
    Estimate, Rows, class_distance, copies, data_copying, frechet, frechet_value, kid, manifolds, nearest,
};

/// As `uniform` of golden/make_distances.py: multiplication modulo 2^31 - 1.
fn uniform(count: usize) -> Vec<f64> {
    let modulus = (1u64 << 31) - 1;
    let next = |state: &mut u64| {
        *state = *state * 48271 % modulus;
        Some(*state as f64 / modulus as f64)
    };
    (0..count).scan(12345, |state, _| next(state)).collect()
}

/// As `features` of golden/make_distances.py: `rank` independent numbers mixed into `dims`.
fn features(count: usize, dims: usize, rank: usize, [shift, scale]: [f64; 2], skip: usize) -> Rows {
    let (u, mix) = (uniform(skip + count * rank), uniform(rank * dims));
    let mut values = Vec::new();
    for row in u[skip..].chunks_exact(rank) {
        values.extend((0..dims).map(|j| {
            let mixed: f64 = row.iter().enumerate().map(|(i, u)| u * mix[i * dims + j]).sum();
            scale * mixed + shift * j as f64 / dims as f64
        }));
    }
    Rows::new(dims, values).unwrap()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/distances.json")).unwrap()
}

/// Whether two numbers agree to `tolerance` of the larger of the wanted one and 1.
fn close(what: &str, found: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    let difference = (found - wanted).abs() / wanted.abs().max(1.0);
    println!("{what}: {found} against {wanted}, difference {difference:.1e}");
    assert!(difference <= tolerance, "{what}: {found} against {wanted}");
}

#[test]
fn values_agree_with_other_implementations() {
    for (name, case) in golden()["cases"].as_object().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let rank = case["rank"].as_u64().unwrap() as usize;
        let a = features(700, 16, rank, [0.0, 1.0], 0);
        let b = features(600, 16, rank, [number("shift"), number("scale")], 700 * rank);
        // Roots of eigenvalues that are zero but for rounding add up to about 1e-7 in either implementation.
        let tolerance = if name == "singular" { 1e-6 } else { 1e-10 };
        close(&format!("{name}: Fréchet distance"), frechet_value(&a, &b).unwrap(), &case["frechet"], tolerance);
        close(&format!("{name}: the other way"), frechet_value(&b, &a).unwrap(), &case["frechet"], tolerance);
        close(&format!("{name}: KID"), kid(&a.select(0..600), &b).unwrap().value, &case["kid"], 1e-10);
        let found = manifolds(&b, &a).unwrap();
        for (key, estimate) in [
            ("precision", found.precision),
            ("recall", found.recall),
            ("density", found.density),
            ("coverage", found.coverage),
        ] {
            close(&format!("{name}: {key}"), estimate.value, &case[key], 1e-12);
        }
        let near = |places: std::ops::Range<usize>| nearest(&a.select(places), &b).unwrap();
        let (samples, test) = (near(0..200), near(200..450));
        let mean = |of: fn(&sfumato_evaluate::distances::Nearest) -> f64| samples.iter().map(of).sum::<f64>() / 200.0;
        close(&format!("{name}: nearest"), mean(|near| near.first), &case["first_mean"], 1e-10);
        close(&format!("{name}: ratio"), mean(|near| near.ratio()), &case["ratio_mean"], 1e-10);
        // Rounded, so that there are ties.
        let placed = |near: &[sfumato_evaluate::distances::Nearest]| -> Vec<(f64, usize)> {
            near.iter().map(|near| ((near.first * 100.0).round() / 100.0, 0)).collect()
        };
        let copying = data_copying(&placed(&samples), &placed(&test)).unwrap();
        close(&format!("{name}: Mann-Whitney"), copying.value, &case["mann_whitney"], 1e-10);
    }
}

/// `count` rows of 8 independent numbers around `shift`; sets of different `skip` are different draws of one distribution.
fn cloud(count: usize, shift: f64, skip: usize) -> Rows {
    let sums = uniform((skip + count) * 8 * 4);
    let values = sums[skip * 32..].chunks_exact(4).map(|four| four.iter().sum::<f64>() - 2.0 + shift).collect();
    Rows::new(8, values).unwrap()
}

#[test]
fn two_draws_of_one_distribution_are_inside_each_others_intervals_and_another_is_not() {
    let real = cloud(1500, 0.0, 0);
    let (one, two, other) = (cloud(1000, 0.0, 2000), cloud(1000, 0.0, 4000), cloud(1000, 0.4, 6000));
    let figures = |samples: &Rows| -> Vec<(&str, Estimate)> {
        let found = manifolds(&real, samples).unwrap();
        vec![
            ("Fréchet", frechet(samples, &real, 0).unwrap()),
            ("KID", kid(samples, &real).unwrap()),
            ("precision", found.precision),
            ("recall", found.recall),
            ("density", found.density),
            ("coverage", found.coverage),
        ]
    };
    for (((name, a), (_, b)), (_, c)) in figures(&one).into_iter().zip(figures(&two)).zip(figures(&other)) {
        println!("{name}: {a:?} {b:?} {c:?}");
        assert!(a.low <= b.value && b.value <= a.high && b.low <= a.value && a.value <= b.high, "{name}: {a:?} {b:?}");
        assert!(!c.meets(&a), "{name}: {c:?} {a:?}");
    }
}

/// The standard errors are those that repeated draws have.
#[test]
fn standard_errors_are_those_of_repeated_draws() {
    let repeated: Vec<[Estimate; 4]> = (0..24)
        .map(|i| {
            let (real, samples) = (cloud(300, 0.0, 1000 * i), cloud(300, 0.25, 1000 * i + 500));
            let found = manifolds(&real, &samples).unwrap();
            [frechet(&samples, &real, 1).unwrap(), kid(&samples, &real).unwrap(), found.precision, found.coverage]
        })
        .collect();
    for (which, name) in ["Fréchet", "KID", "precision", "coverage"].into_iter().enumerate() {
        let values: Vec<f64> = repeated.iter().map(|figures| figures[which].value).collect();
        let mean = values.iter().sum::<f64>() / 24.0;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 23.0).sqrt();
        let said = repeated.iter().map(|figures| figures[which].standard_error).sum::<f64>() / 24.0;
        println!("{name}: said {said:.5}, seen {spread:.5}");
        // The spread of 24 draws is known to about 15 %.
        assert!((0.6..1.7).contains(&(said / spread)), "{name}: said {said}, seen {spread}");
    }
}

#[test]
fn copies_of_the_training_set_are_found() {
    let (train, test) = (cloud(1500, 0.0, 0), cloud(600, 0.0, 3000));
    let far = |near: &[sfumato_evaluate::distances::Nearest]| -> Vec<(f64, usize)> {
        near.iter().map(|near| (near.first, near.index % 3)).collect()
    };
    let held_out = nearest(&test, &train).unwrap();
    let copied = nearest(&train.select(100..700), &train).unwrap();
    assert_eq!(copies(&copied).value, 1.0);
    assert!(copied.iter().enumerate().all(|(i, near)| near.index == 100 + i && near.first == 0.0));
    assert!(copies(&held_out).value < 0.05);
    assert!(data_copying(&far(&copied), &far(&held_out)).unwrap().high < -10.0);
    let fresh = nearest(&cloud(600, 0.0, 6000), &train).unwrap();
    let fresh = data_copying(&far(&fresh), &far(&held_out)).unwrap();
    assert!(fresh.low < 0.0 && fresh.high > 0.0, "{fresh:?}");
    assert_eq!(data_copying(&[(1.0, 0)], &[(1.0, 0)]), None, "cells are too small");
}

#[test]
fn the_same_seed_gives_the_same_bits_whatever_the_threads() {
    let (a, b) = (cloud(400, 0.0, 0), cloud(300, 0.1, 2000));
    let all = || (frechet(&a, &b, 7).unwrap(), kid(&a, &b).unwrap(), manifolds(&b, &a).unwrap());
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(all);
    let four = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap().install(all);
    assert_eq!(alone, four);
    assert_ne!(frechet(&a, &b, 8).unwrap().standard_error, alone.0.standard_error);
}

/// Products of few features go another way through nalgebra; each is compared with a sum over pairs.
#[test]
fn few_features_and_few_pictures_are_no_special_case() {
    for dims in 1..8 {
        for count in [2, 3, 7, 131, 520] {
            let values = uniform(2 * count * dims);
            let [a, b] =
                [&values[..count * dims], &values[count * dims..]].map(|v| Rows::new(dims, v.to_vec()).unwrap());
            let distance = |i: usize, j: usize| -> f64 {
                a.row(i).iter().zip(b.row(j)).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
            };
            for (i, found) in nearest(&a, &b).unwrap().iter().enumerate() {
                let mut all: Vec<f64> = (0..count).map(|j| distance(i, j)).collect();
                all.sort_by(f64::total_cmp);
                let close = (found.first - all[0]).abs() < 2e-5 && (found.second - all[1]).abs() < 2e-5;
                assert!(close, "{dims} features, {count} pictures, row {i}: {found:?}, wanted {:?}", &all[..2]);
            }
            assert!(kid(&a, &b).unwrap().value.is_finite());
        }
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let a = cloud(10, 0.0, 0);
    let says = |error: sfumato_evaluate::distances::RowsError| error.to_string();
    assert!(says(Rows::new(3, vec![0.0; 7]).unwrap_err()).contains("7 values are no rows of 3"));
    assert!(says(Rows::new(2, vec![0.0, 1.0, f64::NAN, 0.0]).unwrap_err()).contains("feature 0 of row 1"));
    let wide = Rows::new(16, vec![0.0; 160]).unwrap();
    assert!(says(frechet(&a, &wide, 0).unwrap_err()).contains("8 features a picture and the other 16"));
    assert!(says(manifolds(&a, &a.select(0..5)).unwrap_err()).contains("at least 6"));
    assert!(says(kid(&a, &a.select(0..1)).unwrap_err()).contains("at least 2"));
    assert_eq!(class_distance(&[0, 1], &[1, 0], 2).value, 0.0);
}
