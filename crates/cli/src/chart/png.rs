//! A scene as PNG: antialiased lines, and texts in an embedded font.

use std::io::Cursor;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::{
    scene::{Anchor, Colour, Item, Scene},
    simplify::distance,
};

/// Latin-1, Greek and the signs that charts need, out of DejaVu Sans; its licence lies beside it.
const FONT: &[u8] = include_bytes!("../../font/dejavu-sans-subset.ttf");
/// Pixels of the picture for each of the scene, so that it is sharp on dense screens and in print.
const DENSITY: f64 = 2.0;

pub(super) fn render(scene: &Scene) -> Result<Vec<u8>> {
    let font = FontRef::try_from_slice(FONT).context("the embedded font is damaged")?;
    let size = |length: f64| (length * DENSITY).ceil() as usize;
    let mut canvas = Canvas::new(size(scene.width), size(scene.height));
    for item in &scene.items {
        match item {
            Item::Line { points, colour, width } => canvas.line(points, *colour, *width),
            Item::Text { at, size, anchor, colour, text } => canvas.text(&font, *at, *size, *anchor, *colour, text),
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new(&mut bytes)
        .write_image(&canvas.pixels, canvas.width as u32, canvas.height as u32, ExtendedColorType::Rgb8)
        .context("cannot encode the picture")?;
    Ok(bytes.into_inner())
}

/// RGB pixels, row by row.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    /// How much of each pixel the line being drawn covers; all 0 between lines.
    coverage: Vec<f32>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; 3 * width * height], coverage: vec![0.0; width * height] }
    }

    /// A pixel is covered as far as its centre lies within the line's width, over one pixel of transition. The segments'
    /// coverages are joined by their maximum, so that joints are not darker than the line.
    fn line(&mut self, points: &[[f64; 2]], colour: Colour, width: f64) {
        let scaled: Vec<[f64; 2]> = points.iter().map(|[x, y]| [x * DENSITY, y * DENSITY]).collect();
        let radius = 0.5 * width * DENSITY;
        let mut touched = Vec::new();
        for pair in scaled.windows(2) {
            let (columns, rows) = (self.span(pair, 0, radius, self.width), self.span(pair, 1, radius, self.height));
            for y in rows {
                for x in columns.clone() {
                    let covered = radius + 0.5 - distance([x as f64 + 0.5, y as f64 + 0.5], pair[0], pair[1]);
                    let at = y * self.width + x;
                    let (covered, before) = (covered.min(1.0) as f32, self.coverage[at]);
                    if covered > before {
                        if before == 0.0 {
                            touched.push(at);
                        }
                        self.coverage[at] = covered;
                    }
                }
            }
        }
        for at in touched {
            let covered = std::mem::take(&mut self.coverage[at]);
            self.blend(at, colour, covered);
        }
    }

    /// The pixels along one dimension that a segment can touch.
    fn span(&self, pair: &[[f64; 2]], dimension: usize, radius: f64, size: usize) -> std::ops::Range<usize> {
        let (a, b) = (pair[0][dimension], pair[1][dimension]);
        let low = (a.min(b) - radius - 1.0).max(0.0) as usize;
        low..((a.max(b) + radius + 1.0).max(0.0) as usize + 1).min(size)
    }

    fn text(&mut self, font: &FontRef<'_>, at: [f64; 2], size: f64, anchor: Anchor, colour: Colour, text: &str) {
        // The crate's scale is the height from ascent to descent, a font size is that of the em square.
        let em = font.units_per_em().unwrap_or(2048.0);
        let scaled = font.as_scaled(PxScale::from((size * DENSITY) as f32 * font.height_unscaled() / em));
        let width: f32 = text.chars().map(|c| scaled.h_advance(font.glyph_id(c))).sum();
        let [x, y] = at.map(|x| (x * DENSITY) as f32);
        let mut x = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - 0.5 * width,
            Anchor::End => x - width,
        };
        for c in text.chars() {
            let id = font.glyph_id(c);
            if let Some(outline) = font.outline_glyph(id.with_scale_and_position(scaled.scale(), point(x, y))) {
                let corner = outline.px_bounds().min;
                outline.draw(|dx, dy, covered| {
                    let (px, py) = (corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy));
                    if (0..self.width as i64).contains(&px) && (0..self.height as i64).contains(&py) {
                        self.blend(py as usize * self.width + px as usize, colour, covered.min(1.0));
                    }
                });
            }
            x += scaled.h_advance(id);
        }
    }

    fn blend(&mut self, at: usize, colour: Colour, covered: f32) {
        for (pixel, target) in self.pixels[3 * at..3 * at + 3].iter_mut().zip(colour) {
            *pixel = (f32::from(*pixel) * (1.0 - covered) + f32::from(target) * covered).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene { width: 60.0, height: 30.0, items: Vec::new() }
    }

    fn draw(scene: &Scene) -> image::RgbImage {
        image::load_from_memory(&render(scene).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn a_line_is_as_wide_and_as_dark_as_asked_also_where_it_bends() {
        let mut scene = scene();
        scene.line(vec![[10.0, 10.0], [30.0, 10.0], [50.0, 10.0]], [255, 0, 0], 2.0);
        let image = draw(&scene);
        assert_eq!((image.width(), image.height()), (120, 60));
        // 2 wide at density 2: the four rows around y = 20.
        for x in [40, 60, 80] {
            assert_eq!([17, 18, 21, 22].map(|y| image.get_pixel(x, y).0[1]), [255, 0, 0, 255]);
        }
        assert_eq!(image.get_pixel(110, 20).0, [255; 3]);
    }

    #[test]
    fn texts_are_drawn_where_their_anchor_says_and_may_run_off_the_picture() {
        let dark_columns = |anchor| {
            let mut scene = scene();
            scene.text([30.0, 20.0], 10.0, anchor, [0; 3], "ᾱβ₁");
            let image = draw(&scene);
            let dark = |x: &u32| (0..60).any(|y| image.get_pixel(*x, y).0[0] < 100);
            let columns: Vec<u32> = (0..120).filter(dark).collect();
            (columns[0], *columns.last().unwrap())
        };
        assert!(dark_columns(Anchor::Start).0 >= 60 && dark_columns(Anchor::End).1 <= 60);
        let (left, right) = dark_columns(Anchor::Middle);
        assert!((left + right).abs_diff(120) <= 4, "{left} to {right}");
        let mut scene = scene();
        scene.text([-5.0, 2.0], 40.0, Anchor::Start, [0; 3], "WWWWWW");
        draw(&scene);
    }

    #[test]
    fn every_sign_that_charts_use_is_in_the_font() {
        let font = FontRef::try_from_slice(FONT).unwrap();
        for c in "0123456789.−⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᾱβγσ̃½√∞·×ₜ₀₁–…éß".chars().filter(|c| *c != '\u{303}')
        {
            assert_ne!(font.glyph_id(c).0, 0, "{c}");
        }
    }
}
