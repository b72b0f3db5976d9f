//! Curves of any length as curves of a few hundred points.

use serde::Serialize;

/// A curve that a page holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Thin {
    /// Steps.
    pub(super) x: Vec<f64>,
    /// Values; where several lines became one point, their mean.
    pub(super) y: Vec<f32>,
    /// The smallest of the values that became one point; empty where every line is a point.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) low: Vec<f32>,
    /// The largest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) high: Vec<f32>,
}

/// At most `most` points. Neighbours that become one keep their mean, their smallest and their largest value, at the last of their steps.
pub(super) fn thin(points: &[[f64; 2]], most: usize) -> Thin {
    let most = most.max(1);
    let size = points.len().div_ceil(most).max(1);
    let mut thin = Thin::default();
    for group in points.chunks(size) {
        let values = group.iter().map(|point| point[1]);
        thin.x.push(group[group.len() - 1][0]);
        thin.y.push((values.clone().sum::<f64>() / group.len() as f64) as f32);
        if size > 1 {
            thin.low.push(values.clone().fold(f64::INFINITY, f64::min) as f32);
            thin.high.push(values.fold(f64::NEG_INFINITY, f64::max) as f32);
        }
    }
    thin
}

/// At most `most` of `count` things, as evenly spread as they can be, with the first and the last.
pub(super) fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let last = most.max(2) - 1;
    (0..=last).map(|i| i * (count - 1) / last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_curves_stay_and_long_ones_keep_mean_and_extremes() {
        let points: Vec<[f64; 2]> = (1..=5).map(|i| [f64::from(i), f64::from(i % 2)]).collect();
        let whole = thin(&points, 5);
        assert_eq!(
            (whole.x, whole.y, whole.low.len()),
            (vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![1.0, 0.0, 1.0, 0.0, 1.0], 0)
        );
        let few = thin(&points, 3);
        assert_eq!((few.x, few.y), (vec![2.0, 4.0, 5.0], vec![0.5, 0.5, 1.0]));
        assert_eq!((few.low, few.high), (vec![0.0, 0.0, 1.0], vec![1.0, 1.0, 1.0]));
        assert_eq!(thin(&[], 3), Thin::default());
    }

    #[test]
    fn a_spike_among_a_hundred_thousand_lines_is_still_seen() {
        let points: Vec<[f64; 2]> = (0..100_000).map(|i| [f64::from(i), if i == 777 { 9.0 } else { 0.5 }]).collect();
        let thin = thin(&points, 500);
        assert_eq!(thin.y.len(), 500);
        assert!(thin.high.contains(&9.0));
    }

    #[test]
    fn what_is_chosen_is_spread_evenly_with_both_ends() {
        assert_eq!(spread(3, 5), [0, 1, 2]);
        assert_eq!(spread(9, 5), [0, 2, 4, 6, 8]);
        let some = spread(200, 24);
        assert_eq!((some.len(), some[0], some[23]), (24, 0, 199));
        assert_eq!(spread(0, 5), [0; 0]);
    }
}
