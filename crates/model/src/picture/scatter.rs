//! Scatter plots of points in the plane.

use std::path::Path;

use super::OutputError;
use super::raster::Raster;

/// Width and height of the plot, in pixels.
const SIDE: usize = 800;
/// Empty border around the range of the points, as a fraction of it.
const MARGIN: f64 = 0.08;

const PAPER: u8 = 255;
const UNIT_LINES: [f64; 3] = [236.0, 236.0, 240.0];
const AXES: [f64; 3] = [205.0, 205.0, 212.0];
const REFERENCE: [f64; 3] = [240.0, 170.0, 80.0];
const POINTS: [f64; 3] = [36.0, 76.0, 150.0];

/// Draws points as a PNG of 800×800 pixels: blue dots, over the amber dots of a reference (the data) where one is given.
///
/// Both axes have the same scale; lines stand at the whole numbers, darker at 0. The range is that of the reference, or
/// of the points without one, save for the outermost 0.2 % on each side; points outside it and points that are not
/// finite are not drawn.
///
/// # Errors
/// [`OutputError::Empty`] if no point of either set is finite; [`OutputError::File`].
pub fn write_scatter(path: &Path, points: &[[f32; 2]], reference: Option<&[[f32; 2]]>) -> Result<(), OutputError> {
    let reference = reference.unwrap_or(&[]);
    let view = View::around(reference)
        .or_else(|| View::around(points))
        .ok_or_else(|| OutputError::Empty { path: path.to_owned() })?;
    let mut raster = Raster::filled(SIDE, SIDE, 3, PAPER, path)?;
    draw_lines(&mut raster, &view);
    for (set, colour, opacity) in [(reference, REFERENCE, 0.45), (points, POINTS, 0.7)] {
        // Many points are drawn small and few large, so that either way the shape is seen.
        let radius = (120.0 / (set.len() as f64).sqrt()).clamp(1.3, 6.0);
        for point in set {
            if let Some((x, y)) = view.pixel(*point) {
                draw_dot(&mut raster, x, y, radius, colour, opacity);
            }
        }
    }
    raster.write_png(path)
}

/// The square of the plane that is shown.
struct View {
    centre: [f64; 2],
    half: f64,
}

impl View {
    fn around(points: &[[f32; 2]]) -> Option<View> {
        let mut finite: Vec<[f32; 2]> = points.iter().filter(|p| p.iter().all(|x| x.is_finite())).copied().collect();
        let last = finite.len().checked_sub(1)?;
        let cut = finite.len() / 500;
        let (mut centre, mut half) = ([0.0; 2], 0.0f64);
        for axis in 0..2 {
            finite.sort_unstable_by(|a, b| a[axis].total_cmp(&b[axis]));
            let (low, high) = (f64::from(finite[cut][axis]), f64::from(finite[last - cut][axis]));
            centre[axis] = (low + high) / 2.0;
            half = half.max((high - low) / 2.0);
        }
        // A single point, or all in one place: show a unit around it.
        let half = if half > 0.0 { half } else { 0.5 };
        Some(View { centre, half: half * (1.0 + 2.0 * MARGIN) })
    }

    /// Pixel coordinates, y downwards; `None` if the point is outside or not finite.
    fn pixel(&self, point: [f32; 2]) -> Option<(f64, f64)> {
        let relative = |axis: usize| (f64::from(point[axis]) - self.centre[axis]) / self.half;
        let (x, y) = (relative(0), relative(1));
        let inside = x.abs() <= 1.0 && y.abs() <= 1.0;
        inside.then_some(((x + 1.0) * SIDE as f64 / 2.0, (1.0 - y) * SIDE as f64 / 2.0))
    }
}

fn draw_lines(raster: &mut Raster, view: &View) {
    // Past a dozen lines whole numbers are too dense to help: only the axes then.
    let dense = view.half > 6.0;
    for axis in 0..2 {
        let (low, high) = (view.centre[axis] - view.half, view.centre[axis] + view.half);
        let candidates =
            if dense { vec![0.0] } else { (low.ceil() as i64..=high.floor() as i64).map(|k| k as f64).collect() };
        // Zero last, so that the axes lie over the other lines.
        for (value, colour) in candidates.iter().map(|&v| (v, UNIT_LINES)).chain([(0.0, AXES)]) {
            if value < low || value > high || (value == 0.0 && colour == UNIT_LINES) {
                continue;
            }
            let along = (value - low) / (high - low) * SIDE as f64;
            let position = if axis == 0 { along } else { SIDE as f64 - along };
            let position = (position as usize).min(SIDE - 1);
            for other in 0..SIDE {
                let (x, y) = if axis == 0 { (position, other) } else { (other, position) };
                blend(raster, x, y, colour, 1.0);
            }
        }
    }
}

/// A round dot whose edge fades over one pixel.
fn draw_dot(raster: &mut Raster, x: f64, y: f64, radius: f64, colour: [f64; 3], opacity: f64) {
    let range = |centre: f64| {
        let low = (centre - radius - 1.0).floor().max(0.0) as usize;
        let high = (centre + radius + 1.0).ceil().min(SIDE as f64) as usize;
        low..high
    };
    for py in range(y) {
        for px in range(x) {
            let distance = (px as f64 + 0.5 - x).hypot(py as f64 + 0.5 - y);
            let coverage = (radius + 0.5 - distance).clamp(0.0, 1.0);
            if coverage > 0.0 {
                blend(raster, px, py, colour, coverage * opacity);
            }
        }
    }
}

fn blend(raster: &mut Raster, x: usize, y: usize, colour: [f64; 3], opacity: f64) {
    let at = (y * raster.width + x) * 3;
    for (value, target) in raster.pixels[at..at + 3].iter_mut().zip(colour) {
        *value = (f64::from(*value) * (1.0 - opacity) + target * opacity).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn draw(points: &[[f32; 2]], reference: Option<&[[f32; 2]]>) -> image::RgbImage {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("x.png");
        write_scatter(&path, points, reference).unwrap();
        image::open(&path).unwrap().into_rgb8()
    }

    /// Whether a pixel is much more blue than red, as the dots are.
    fn blue(image: &image::RgbImage, x: u32, y: u32) -> bool {
        let [r, _, b] = image.get_pixel(x, y).0;
        i32::from(b) - i32::from(r) > 40
    }

    #[test]
    fn dots_are_where_the_points_are_with_y_upwards() {
        // The range is [-1, 1] and a margin of 8 % of 2 on each side: 1 is at 1/1.16 of the half width.
        let image = draw(&[[-1.0, -1.0], [1.0, 1.0]], None);
        let (low, high) = (55, 745);
        assert!(blue(&image, high, low) && blue(&image, low, high));
        assert!(!blue(&image, low, low) && !blue(&image, 400, 400));
        assert_eq!(image.get_pixel(200, 300).0, [255; 3]);
        // The axes.
        assert_eq!(image.get_pixel(400, 300).0, AXES.map(|v| v as u8));
        assert_eq!(image.get_pixel(300, 400).0, AXES.map(|v| v as u8));
    }

    #[test]
    fn the_reference_sets_the_range_and_outliers_and_nan_are_left_out() {
        let reference: Vec<[f32; 2]> = (0..100).map(|i| [(i as f32 / 10.0).sin(), (i as f32 / 10.0).cos()]).collect();
        let points = [[1000.0, 0.0], [f32::NAN, 0.0], [0.0, f32::INFINITY], [0.5, 0.0]];
        let image = draw(&points, Some(&reference));
        let count = (0..800).flat_map(|x| (0..800).map(move |y| (x, y))).filter(|&(x, y)| blue(&image, x, y)).count();
        // One dot of radius 6: about 113 pixels.
        assert!((90..150).contains(&count), "{count}");
        let amber = image.pixels().filter(|p| i32::from(p.0[0]) - i32::from(p.0[2]) > 40).count();
        assert!(amber > 2000, "{amber}");
    }

    #[test]
    fn one_point_is_drawn_in_the_middle_and_none_is_an_error() {
        assert!(blue(&draw(&[[3.0, 3.0]], None), 400, 400));
        let error = write_scatter(Path::new("x.png"), &[[f32::NAN, 0.0]], Some(&[])).unwrap_err();
        assert!(matches!(error, OutputError::Empty { .. }) && error.to_string().contains("x.png"));
    }

    #[test]
    fn huge_and_tiny_ranges_are_drawn() {
        for scale in [f32::MAX, 1e20, 1e-30] {
            let image = draw(&[[-scale, 0.0], [scale, 0.0]], None);
            assert!(blue(&image, 55, 400) && blue(&image, 745, 400), "{scale}");
        }
    }
}
