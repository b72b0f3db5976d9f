//! Smooth curves through measured points.

/// The cubic through the four points nearest to `x` (two on each side where there are so many), at `x`; beyond the ends it goes on as the
/// straight line through the last two. `xs` rise strictly.
///
/// With points `h` apart the error is of the order of `h⁴`. Fewer points give a polynomial of a lower degree, one point a constant.
pub(super) fn cubic(xs: &[f64], y: impl Fn(usize) -> f64, x: f64) -> f64 {
    let n = xs.len();
    let right = xs.partition_point(|&known| known < x);
    let (first, count) = match right {
        _ if n == 1 => (0, 1),
        0 => (0, 2),
        right if right == n => (n - 2, 2),
        right => {
            let count = n.min(4);
            (right.saturating_sub(2).min(n - count), count)
        }
    };
    let places = first..first + count;
    let weight = |i: usize| {
        let others = places.clone().filter(|&j| j != i);
        others.map(|j| (x - xs[j]) / (xs[i] - xs[j])).product::<f64>()
    };
    places.clone().map(|i| weight(i) * y(i)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubics_are_met_exactly_and_what_was_measured_always() {
        let xs = [-2.0, -1.5, 0.0, 0.25, 1.0, 3.0];
        let f = |x: f64| 2.0 - x + 0.5 * x * x * x;
        for x in [-2.0, -1.7, -0.3, 0.1, 0.25, 0.9, 2.0, 3.0] {
            assert!((cubic(&xs, |i| f(xs[i]), x) - f(x)).abs() < 1e-12, "{x}");
        }
        assert!((cubic(&xs, |i| f(xs[i]), 5.0) - (f(3.0) + (f(3.0) - f(1.0)))).abs() < 1e-12);
        assert_eq!(cubic(&[1.0], |_| 7.0, 9.0), 7.0);
        assert_eq!(cubic(&[1.0, 2.0], |i| i as f64, 1.5), 0.5);
        let errors = [0.1, 0.05].map(|h| {
            let grid: Vec<f64> = (0..40).map(|i| i as f64 * h).collect();
            (cubic(&grid, |i| grid[i].sin(), 10.5 * h) - (10.5 * h).sin()).abs()
        });
        assert!(errors[1] < errors[0] / 8.0, "{errors:?}");
    }
}
