//! Pictures in the size and the channels that the network wants.

/// Height and width of the network's pictures.
pub const INCEPTION_SIDE: usize = 299;

/// A picture of `[channels, height, width]` in [-1, 1] as the network sees it: `[3, 299, 299]`, resized as
/// `torch.nn.functional.interpolate` does (bilinear, without aligned corners and without anti-aliasing). Grey is repeated; of more than three
/// channels the first three are taken.
///
/// # Panics
/// If the picture has no pixels, or not those of its shape.
pub fn to_inception(picture: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    assert_eq!(picture.len(), channels * height * width, "a picture of {channels}×{height}×{width}");
    let (rows, columns) = (places(height), places(width));
    let mut out = Vec::with_capacity(3 * INCEPTION_SIDE * INCEPTION_SIDE);
    for channel in 0..3 {
        let channel = if channels < 3 { 0 } else { channel };
        let plane = &picture[channel * height * width..(channel + 1) * height * width];
        for &(above, below, down) in &rows {
            let row = |y: usize| &plane[y * width..(y + 1) * width];
            let (above, below) = (row(above), row(below));
            out.extend(columns.iter().map(|&(left, right, along)| {
                let mix = |row: &[f32]| row[left] * (1.0 - along) + row[right] * along;
                mix(above) * (1.0 - down) + mix(below) * down
            }));
        }
    }
    out
}

/// For each new pixel the two old ones beside it, and the weight of the second.
fn places(size: usize) -> Vec<(usize, usize, f32)> {
    let scale = size as f64 / INCEPTION_SIDE as f64;
    let place = |new: usize| {
        let at = ((new as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(size - 1);
        (first, (first + 1).min(size - 1), (at - first as f64) as f32)
    };
    (0..INCEPTION_SIDE).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_pictures_stay_flat_and_corners_stay_in_their_corners() {
        assert!(to_inception(&[0.25; 12], [3, 2, 2]).iter().all(|&x| x == 0.25));
        let grey = to_inception(&[0.0, 1.0, 2.0, 3.0], [1, 2, 2]);
        let last = INCEPTION_SIDE * INCEPTION_SIDE;
        assert_eq!(
            [grey[0], grey[INCEPTION_SIDE - 1], grey[last - INCEPTION_SIDE], grey[last - 1]],
            [0.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(grey[..last], grey[2 * last..]);
        assert!((grey[last / 2] - 1.5).abs() < 1e-6);
    }
}
