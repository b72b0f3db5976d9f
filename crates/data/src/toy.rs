//! Two-dimensional toy distributions, generated.
//!
//! Each is shifted and scaled by exact constants so that its mean is 0 and the average of its two variances is 1.

use std::f64::consts::{PI, SQRT_2};

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rand_distr::StandardNormal;
use sfumato_random::{chacha20, word};

use super::loaded::{LoadedDataset, Values};
use super::{DataError, DatasetSpec, LoadOptions, Split, Toy};

/// Point `index` of a toy distribution, with its class (0 where there are none): a pure function of the arguments.
///
/// # Formula
/// `u`, `w` are uniform on [0, 1), `n` is a standard normal 2-vector.
///
/// - `swiss-roll`: `θ = 3π/2·(1 + 2u)`, `p = θ·(cos θ, sin θ) + 0.3·n`
/// - `two-moons`: upper (class 0) `p = (cos πu, sin πu) + 0.08·n`, lower (class 1) `p = (1 - cos πu, 1/2 - sin πu) + 0.08·n`,
///   with equal probability
/// - `eight-gaussians`: class `k` uniform on 0..8, `p = (cos kπ/4, sin kπ/4) + n/8`
/// - `checkerboard`: a uniform point of the eight dark squares of the 4×4 board on [-2, 2]²
///
/// Then `x = (p - mean)/scale`, where `scale² = (Var p_1 + Var p_2)/2`.
///
/// # Examples
/// ```
/// use sfumato_data::{Split, Toy, toy_point};
///
/// let (point, class) = toy_point(Toy::EightGaussians, 0, Split::Train, 17);
/// assert!(class < 8 && point[0].hypot(point[1]) > 0.5);
/// assert_eq!((point, class), toy_point(Toy::EightGaussians, 0, Split::Train, 17));
/// ```
pub fn toy_point(toy: Toy, seed: u64, split: Split, index: u64) -> ([f32; 2], u32) {
    let mut rng = stream(seed, split, index);
    let mut normal = || -> f64 { rng.sample(StandardNormal) };
    let n = [normal(), normal()];
    let (u, w) = (rng.random::<f64>(), rng.random::<f64>());
    let (p, class) = match toy {
        Toy::SwissRoll => {
            let theta = 1.5 * PI * (1.0 + 2.0 * u);
            ([theta * theta.cos() + 0.3 * n[0], theta * theta.sin() + 0.3 * n[1]], 0)
        }
        Toy::TwoMoons => {
            let (sin, cos) = (PI * u).sin_cos();
            let (p, class) = if w < 0.5 { ([cos, sin], 0) } else { ([1.0 - cos, 0.5 - sin], 1) };
            ([p[0] + 0.08 * n[0], p[1] + 0.08 * n[1]], class)
        }
        Toy::EightGaussians => {
            let class = (8.0 * w) as u32;
            let (sin, cos) = (f64::from(class) * PI / 4.0).sin_cos();
            ([cos + n[0] / 8.0, sin + n[1] / 8.0], class)
        }
        Toy::Checkerboard => {
            // Column by u, then one of the two dark squares of the column by w.
            let x = 4.0 * u - 2.0;
            let v = 2.0 * w;
            let y = v.fract() + 2.0 * v.floor() - 2.0 + x.floor().rem_euclid(2.0);
            ([x, y], 0)
        }
    };
    let (mean, scale) = moments(toy);
    (std::array::from_fn(|axis| ((p[axis] - mean[axis]) / scale) as f32), class)
}

/// Mean, and square root of the average variance, of the raw points.
fn moments(toy: Toy) -> ([f64; 2], f64) {
    match toy {
        Toy::SwissRoll => {
            // Over θ in [a, b] = [3π/2, 9π/2]: E[θ cos θ] = 2, E[θ sin θ] = 2/(3π), E[θ²] = (b³ - a³)/(3(b - a)).
            let (a, b) = (1.5 * PI, 4.5 * PI);
            let mean = [2.0, 2.0 / (3.0 * PI)];
            let square = (b.powi(3) - a.powi(3)) / (3.0 * (b - a));
            (mean, ((square - mean[0].powi(2) - mean[1].powi(2)) / 2.0 + 0.3 * 0.3).sqrt())
        }
        // Mean (1/2, 1/4). E|p|² of the upper moon is 1, of the lower 1 + 1 + 1/4 - E[sin πu] = 9/4 - 2/π.
        Toy::TwoMoons => {
            let square = (1.0 + 2.25 - 2.0 / PI) / 2.0;
            ([0.5, 0.25], ((square - 0.25 - 0.0625) / 2.0 + 0.08 * 0.08).sqrt())
        }
        Toy::EightGaussians => ([0.0, 0.0], (0.5 + 1.0 / 64.0f64).sqrt()),
        // Both marginals are uniform on [-2, 2).
        Toy::Checkerboard => ([0.0, 0.0], 2.0 * SQRT_2 / 6.0f64.sqrt()),
    }
}

/// The random numbers of one point.
fn stream(seed: u64, split: Split, index: u64) -> ChaCha20Rng {
    let name = match split {
        Split::Train => b"toy train",
        Split::Test => b"toy  test",
    };
    chacha20([seed, word(name), word(&name[8..]), 0], index)
}

/// The first `toy_size` points.
pub(super) fn load(toy: Toy, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let name = DatasetSpec::Toy(toy).to_string();
    let reason = "its examples are points, not pictures";
    if let Some(size) = options.image_size {
        return Err(DataError::ImageSize { dataset: name, size, reason });
    }
    if let Some(channels) = options.channels {
        return Err(DataError::Channels { dataset: name, channels, reason });
    }
    if options.toy_size == 0 {
        return Err(DataError::EmptyToy);
    }
    let points: Vec<_> = (0..options.toy_size as u64).map(|i| toy_point(toy, options.seed, options.split, i)).collect();
    let values: Vec<f32> = points.iter().flat_map(|(point, _)| *point).collect();
    let class_names: Vec<String> = match toy {
        Toy::SwissRoll | Toy::Checkerboard => Vec::new(),
        Toy::TwoMoons => vec!["upper".into(), "lower".into()],
        Toy::EightGaussians => (0..8).map(|k| format!("{} degrees", 45 * k)).collect(),
    };
    let labels = (!class_names.is_empty()).then(|| points.iter().map(|(_, class)| *class).collect());
    Ok(LoadedDataset::new(name, options.split, vec![2], Values::F32(values.into()), labels, class_names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    fn points(toy: Toy, n: u64) -> Vec<([f64; 2], u32)> {
        (0..n).map(|i| toy_point(toy, 5, Split::Train, i)).map(|(p, class)| (p.map(f64::from), class)).collect()
    }

    #[test]
    fn every_toy_has_mean_0_and_average_variance_1() {
        let n = 40_000;
        for toy in Toy::ALL {
            let points = points(toy, n);
            let mut variance = 0.0;
            for axis in 0..2 {
                let mean = points.iter().map(|(p, _)| p[axis]).sum::<f64>() / n as f64;
                // Standard error 1/sqrt(n) = 0.005.
                assert!(mean.abs() < 0.025, "{toy:?} axis {axis}: mean {mean}");
                variance += points.iter().map(|(p, _)| (p[axis] - mean).powi(2)).sum::<f64>() / n as f64 / 2.0;
            }
            assert!((variance - 1.0).abs() < 0.025, "{toy:?}: variance {variance}");
        }
    }

    #[test]
    fn points_lie_where_the_formulas_put_them() {
        let unscale = |toy, p: [f64; 2]| {
            let (mean, scale) = moments(toy);
            [p[0] * scale + mean[0], p[1] * scale + mean[1]]
        };
        for (p, class) in points(Toy::Checkerboard, 4000) {
            let [x, y] = unscale(Toy::Checkerboard, p);
            assert!((-2.0..2.001).contains(&x) && (-2.0..2.001).contains(&y) && class == 0);
            // Skip points on an edge, where f32 rounding may decide.
            if (x - x.round()).abs() > 1e-5 && (y - y.round()).abs() > 1e-5 {
                assert_eq!((x.floor() + y.floor()).rem_euclid(2.0), 0.0, "({x}, {y}) is on a light square");
            }
        }
        let mut nearest = [0u32; 8];
        for (p, class) in points(Toy::EightGaussians, 8000) {
            let [x, y] = unscale(Toy::EightGaussians, p);
            let angle = (y.atan2(x) / (PI / 4.0)).round().rem_euclid(8.0) as u32;
            // A component reaches its neighbour at 0.38/0.125 = 3 deviations, one-sided twice.
            nearest[class as usize] += u32::from(angle == class);
        }
        assert!(nearest.iter().all(|&n| (850..1150).contains(&n)), "{nearest:?}");
        for (p, class) in points(Toy::TwoMoons, 4000) {
            let [x, y] = unscale(Toy::TwoMoons, p);
            let (centre, up) = if class == 0 { ([0.0, 0.0], y) } else { ([1.0, 0.5], 0.5 - y) };
            assert!(((x - centre[0]).hypot(y - centre[1]) - 1.0).abs() < 0.08 * 6.0);
            assert!(up > -0.08 * 6.0);
        }
        for (p, _) in points(Toy::SwissRoll, 4000) {
            let [x, y] = unscale(Toy::SwissRoll, p);
            // The radius grows by 2π a turn: it is the angle, up to whole turns and noise.
            let turns = (x.hypot(y) - y.atan2(x)) / (2.0 * PI);
            assert!((turns - turns.round()).abs() * 2.0 * PI < 0.3 * 7.0);
        }
    }

    #[test]
    fn the_splits_and_seeds_differ_and_a_longer_set_begins_with_the_shorter() {
        let spec = DatasetSpec::Toy(Toy::SwissRoll);
        let load = |split, seed, toy_size| {
            let options = LoadOptions { split, seed, toy_size, ..LoadOptions::default() };
            super::super::load(&spec, &options).unwrap()
        };
        let values = |data: &LoadedDataset| match data.values() {
            Values::F32(values) => values.to_vec(),
            Values::U8(_) => panic!("toys are f32"),
        };
        let short = load(Split::Train, 1, 10);
        assert_eq!((short.len(), short.shape(), short.classes()), (10, &[2usize][..], None));
        assert_eq!(values(&load(Split::Train, 1, 20))[..20], values(&short)[..]);
        assert_ne!(values(&load(Split::Test, 1, 10)), values(&short));
        assert_ne!(values(&load(Split::Train, 2, 10)), values(&short));
    }

    #[test]
    fn options_for_pictures_are_refused() {
        let options = LoadOptions { image_size: Some(crate::ImageSize::square(32)), ..LoadOptions::default() };
        assert!(load(Toy::TwoMoons, &options).unwrap_err().to_string().contains("points, not pictures"));
        let options = LoadOptions { channels: Some(3), ..LoadOptions::default() };
        assert!(matches!(load(Toy::TwoMoons, &options), Err(DataError::Channels { channels: 3, .. })));
        let options = LoadOptions { toy_size: 0, ..LoadOptions::default() };
        assert!(matches!(load(Toy::TwoMoons, &options), Err(DataError::EmptyToy)));
    }
}
