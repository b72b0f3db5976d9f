//! How far an output is from the right one.

/// Largest difference over largest value of `right`.
pub(crate) fn distance(ours: &[f32], right: &[f32]) -> f32 {
    assert_eq!(ours.len(), right.len());
    let largest = right.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    let difference = ours.iter().zip(right).fold(0.0f32, |max, (a, b)| {
        // A comparison with NaN would be lost in `max`.
        if a.is_finite() { max.max((a - b).abs()) } else { f32::INFINITY }
    });
    difference / largest
}
