//! Histograms of classes.

use super::Estimate;

/// Total variation distance of the classes of two sets, `½ Σ |p_c - q_c|`: the share of one set that would have to change its class.
///
/// The standard error is that of the linear terms: `(var_p(s) / n + var_q(s) / m) / 4` with the signs `s` of the differences. The value is
/// never below 0, so that two sets of one distribution have a small positive one: see the floor.
///
/// # Panics
/// If a class is not below `classes`, or a set is empty.
pub fn class_distance(a: &[usize], b: &[usize], classes: usize) -> Estimate {
    let (p, q) = (class_shares(a, classes), class_shares(b, classes));
    let value = 0.5 * p.iter().zip(&q).map(|(p, q)| (p - q).abs()).sum::<f64>();
    let variance = |own: &[f64], count: usize| {
        let signs = || p.iter().zip(&q).map(|(p, q)| if p == q { 0.0 } else { (p - q).signum() });
        let mean: f64 = own.iter().zip(signs()).map(|(share, sign)| share * sign).sum();
        own.iter().zip(signs()).map(|(share, sign)| share * (sign - mean).powi(2)).sum::<f64>() / count as f64
    };
    let error = 0.5 * (variance(&p, a.len()) + variance(&q, b.len())).sqrt();
    Estimate::new(value, error).within(0.0, 1.0)
}

/// The share of each class.
///
/// # Panics
/// If a class is not below `classes`, or there are no pictures.
pub fn class_shares(of: &[usize], classes: usize) -> Vec<f64> {
    assert!(!of.is_empty(), "a histogram of no pictures");
    let mut shares = vec![0.0; classes];
    of.iter().for_each(|&class| shares[class] += 1.0 / of.len() as f64);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_share_that_differs() {
        let (a, b) = ([vec![0; 50], vec![1; 50]].concat(), [vec![0; 80], vec![1; 20]].concat());
        let found = class_distance(&a, &b, 3);
        assert!((found.value - 0.3).abs() < 1e-12);
        // Of two classes it is the difference of two shares.
        let error = (0.5f64 * 0.5 / 100.0 + 0.8 * 0.2 / 100.0).sqrt();
        assert!((found.standard_error - error).abs() < 1e-12);
        assert_eq!(class_distance(&a, &a, 2).value, 0.0);
    }
}
