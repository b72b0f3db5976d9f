//! Scatter plots of points in the plane.

use std::path::Path;

use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Rect, Transform};

use super::{OutputError, Raster, Texts};

/// Width and height of the plot, in pixels.
const SIDE: u32 = 800;
/// Empty border around the range of the points, as a fraction of it.
const MARGIN: f64 = 0.08;

/// Red, green, blue and opacity.
type Colour = [u8; 4];

const UNIT_LINES: Colour = [236, 236, 240, 255];
const AXES: Colour = [205, 205, 212, 255];
const REFERENCE: Colour = [240, 170, 80, 115];
const POINTS: Colour = [36, 76, 150, 179];

/// Draws points as a PNG of 800×800 pixels: blue dots, over the amber dots of a reference (the data) where one is given.
///
/// Both axes have the same scale; lines stand at the whole numbers, darker at 0. The range is that of the reference, or
/// of the points without one, save for the outermost 0.2 % on each side; points outside it and points that are not
/// finite are not drawn.
///
/// # Errors
/// [`OutputError::Empty`] if no point of either set is finite; [`OutputError::File`].
pub fn write_scatter(
    path: &Path,
    points: &[[f32; 2]],
    reference: Option<&[[f32; 2]]>,
    texts: &Texts,
) -> Result<(), OutputError> {
    let reference = reference.unwrap_or(&[]);
    let view = View::around(reference)
        .or_else(|| View::around(points))
        .ok_or_else(|| OutputError::Empty { path: path.to_owned() })?;
    let mut picture = Pixmap::new(SIDE, SIDE).ok_or_else(|| OutputError::Empty { path: path.to_owned() })?;
    picture.fill(Color::WHITE);
    draw_lines(&mut picture, &view);
    for (set, colour) in [(reference, REFERENCE), (points, POINTS)] {
        // Many points are drawn small and few large, so that either way the shape is seen.
        let radius = (120.0 / (set.len() as f64).sqrt()).clamp(1.3, 6.0);
        let dot = PathBuilder::from_circle(0.0, 0.0, radius as f32);
        for (dot, (x, y)) in
            dot.iter().flat_map(|dot| set.iter().filter_map(|p| view.pixel(*p)).map(move |at| (dot, at)))
        {
            let place = Transform::from_translate(x as f32, y as f32);
            picture.fill_path(dot, &paint(colour), FillRule::Winding, place, None);
        }
    }
    // The paper is opaque, and so is everything on it.
    let pixels = picture.data().as_chunks().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    Raster::rgb8(path, [SIDE as usize; 2], pixels)?.write_png(path, texts)
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
        inside.then_some(((x + 1.0) * f64::from(SIDE) / 2.0, (1.0 - y) * f64::from(SIDE) / 2.0))
    }
}

fn draw_lines(picture: &mut Pixmap, view: &View) {
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
            let along = (value - low) / (high - low) * f64::from(SIDE);
            let position = if axis == 0 { along } else { f64::from(SIDE) - along };
            // Whole pixels, so that the line is sharp.
            let (position, side) = (position.floor().min(f64::from(SIDE - 1)) as f32, SIDE as f32);
            let line = if axis == 0 { [position, 0.0, 1.0, side] } else { [0.0, position, side, 1.0] };
            let [x, y, width, height] = line;
            if let Some(line) = Rect::from_xywh(x, y, width, height) {
                picture.fill_rect(line, &paint(colour), Transform::identity(), None);
            }
        }
    }
}

fn paint([r, g, b, opacity]: Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, opacity);
    paint
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn draw(points: &[[f32; 2]], reference: Option<&[[f32; 2]]>) -> image::RgbImage {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("x.png");
        write_scatter(&path, points, reference, &Texts::none()).unwrap();
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
        assert_eq!(image.get_pixel(400, 300).0, AXES[..3]);
        assert_eq!(image.get_pixel(300, 400).0, AXES[..3]);
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
        let error = write_scatter(Path::new("x.png"), &[[f32::NAN, 0.0]], Some(&[]), &Texts::none()).unwrap_err();
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
