//! Curves of thousands of points drawn with the few that can be told apart.

/// Points per pixel of width that are looked at: more than a line can show.
const RESOLUTION: f64 = 4.0;

/// A part of the points, in pixels, such that the line through them is nowhere further than `tolerance` from the others.
pub(super) fn simplify(points: Vec<[f64; 2]>, tolerance: f64) -> Vec<[f64; 2]> {
    let points = thin(points);
    if points.len() < 3 {
        return points;
    }
    // Ramer-Douglas-Peucker, with a stack of its own instead of the program's.
    let mut keep = vec![false; points.len()];
    let last = points.len() - 1;
    (keep[0], keep[last]) = (true, true);
    let mut pending = vec![(0, last)];
    while let Some((from, to)) = pending.pop() {
        let distances = (from + 1..to).map(|i| (i, distance(points[i], points[from], points[to])));
        let Some((worst, far)) = distances.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        if far > tolerance {
            keep[worst] = true;
            pending.extend([(from, worst), (worst, to)]);
        }
    }
    points.into_iter().zip(keep).filter_map(|(point, keep)| keep.then_some(point)).collect()
}

/// At most four points for each fraction of a pixel: the first, the lowest, the highest and the last.
fn thin(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let bucket = |point: &[f64; 2]| (point[0] * RESOLUTION).floor();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| bucket(a) == bucket(b)) {
        let extreme =
            |sign: f64| (0..group.len()).max_by(|&a, &b| (sign * group[a][1]).total_cmp(&(sign * group[b][1])));
        let mut chosen = [Some(0), extreme(1.0), extreme(-1.0), group.len().checked_sub(1)];
        chosen.sort();
        let mut chosen: Vec<usize> = chosen.into_iter().flatten().collect();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| group[i]));
    }
    kept
}

/// Distance of `p` from the segment from `a` to `b`.
fn distance(p: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length = along[0] * along[0] + along[1] * along[1];
    let share = if length > 0.0 { ((to[0] * along[0] + to[1] * along[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    (to[0] - share * along[0]).hypot(to[1] - share * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_lines_keep_their_ends_and_corners_stay() {
        let line: Vec<[f64; 2]> = (0..=1000).map(|i| [f64::from(i), 0.5 * f64::from(i)]).collect();
        assert_eq!(simplify(line, 0.1), [[0.0, 0.0], [1000.0, 500.0]]);
        let spike: Vec<[f64; 2]> =
            (0..=10_000).map(|i| [f64::from(i) / 100.0, if i == 5000 { 9.0 } else { 0.0 }]).collect();
        assert!(simplify(spike, 0.1).contains(&[50.0, 9.0]));
    }

    #[test]
    fn no_point_is_further_away_than_the_tolerance() {
        let curve: Vec<[f64; 2]> =
            (0..4000).map(|i| f64::from(i) / 10.0).map(|x| [x, 50.0 * (x / 30.0).sin()]).collect();
        let few = simplify(curve.clone(), 0.1);
        assert!(few.len() < 200, "{}", few.len());
        for point in curve {
            let near = few.windows(2).map(|pair| distance(point, pair[0], pair[1])).fold(f64::INFINITY, f64::min);
            assert!(near <= 0.11, "{point:?} is {near} away");
        }
    }

    #[test]
    fn a_million_points_are_few_soon() {
        let points = (0..1_000_000).map(|i| [f64::from(i) / 2500.0, f64::from(i % 7)]).collect();
        assert!(simplify(points, 0.1).len() <= 8000);
    }
}
