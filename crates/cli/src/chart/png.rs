//! A scene as PNG: `tiny-skia` fills and strokes paths, and texts are the outlines of an embedded font.

use std::path::Path as FilePath;

use anyhow::{Context, Result};
use sfumato_model::picture::{Raster, Texts};
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::scene::{Anchor, Colour, Item, Scene};

/// Latin-1, Greek and the signs that charts need, out of DejaVu Sans; its licence lies beside it.
const FONT: &[u8] = include_bytes!("../../font/dejavu-sans-subset.ttf");
/// Pixels of the picture for each of the scene, so that it is sharp on dense screens and in print.
const DENSITY: f32 = 2.0;

/// The file, with `texts` in it; `name` is what messages call it.
pub(super) fn render(name: &FilePath, scene: &Scene, texts: &Texts) -> Result<Vec<u8>> {
    let font = Face::parse(FONT, 0).context("the embedded font is damaged")?;
    let size = |length: f64| (length * f64::from(DENSITY)).ceil() as u32;
    let (width, height) = (size(scene.width), size(scene.height));
    let mut picture = Pixmap::new(width, height)
        .with_context(|| format!("a picture of {width} × {height} pixels cannot be drawn"))?;
    picture.fill(Color::WHITE);
    for item in &scene.items {
        match item {
            Item::Line { points, colour, width } => line(&mut picture, points, *colour, *width),
            Item::Text { at, size, anchor, colour, text: signs } => {
                text(&mut picture, &font, *at, *size, *anchor, *colour, signs);
            }
        }
    }
    encode(name, &picture, texts)
}

/// Everything is drawn on white, so that every pixel is opaque and three of its four bytes are its colour.
fn encode(name: &FilePath, picture: &Pixmap, texts: &Texts) -> Result<Vec<u8>> {
    let rgb: Vec<u8> = picture.data().as_chunks().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    let size = [picture.width(), picture.height()].map(|side| side as usize);
    Ok(Raster::rgb8(name, size, rgb)?.to_png(name, texts)?)
}

fn line(picture: &mut Pixmap, points: &[[f64; 2]], colour: Colour, width: f64) {
    let mut path = PathBuilder::new();
    for (n, [x, y]) in points.iter().map(|point| point.map(|x| x as f32)).enumerate() {
        if n == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    let stroke =
        Stroke { width: width as f32, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
    if let Some(path) = path.finish() {
        picture.stroke_path(&path, &paint(colour), &stroke, Transform::from_scale(DENSITY, DENSITY), None);
    }
}

fn text(picture: &mut Pixmap, font: &Face<'_>, at: [f64; 2], size: f64, anchor: Anchor, colour: Colour, text: &str) {
    let (outlines, width) = outlines(font, text);
    let scale = size as f32 / f32::from(font.units_per_em());
    let [x, y] = at.map(|x| x as f32);
    let x = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - 0.5 * scale * width,
        Anchor::End => x - scale * width,
    };
    // A font counts upwards.
    let place = Transform::from_row(scale, 0.0, 0.0, -scale, x, y).post_scale(DENSITY, DENSITY);
    if let Some(outlines) = outlines {
        picture.fill_path(&outlines, &paint(colour), FillRule::Winding, place, None);
    }
}

fn paint(colour: Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    let [r, g, b] = colour;
    paint.set_color_rgba8(r, g, b, u8::MAX);
    paint
}

/// The outlines of a line of text and its width, in units of the font; none if nothing of it is to be seen.
fn outlines(font: &Face<'_>, text: &str) -> (Option<Path>, f32) {
    let mut pen = Pen { path: PathBuilder::new(), at: 0.0 };
    for c in text.chars() {
        let glyph = font.glyph_index(c).unwrap_or(GlyphId(0));
        font.outline_glyph(glyph, &mut pen);
        pen.at += f32::from(font.glyph_hor_advance(glyph).unwrap_or(0));
    }
    (pen.path.finish(), pen.at)
}

/// Draws glyphs side by side.
struct Pen {
    path: PathBuilder,
    /// Where the glyph begins.
    at: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.at + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.at + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.at + x1, y1, self.at + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.cubic_to(self.at + x1, y1, self.at + x2, y2, self.at + x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene { width: 60.0, height: 30.0, items: Vec::new() }
    }

    fn draw(scene: &Scene) -> image::RgbImage {
        let file = render(FilePath::new("x.png"), scene, &Texts::none()).unwrap();
        image::load_from_memory(&file).unwrap().into_rgb8()
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
    fn a_line_that_ends_where_it_begins_is_a_dot() {
        let mut scene = scene();
        scene.line(vec![[30.0, 15.0], [30.0, 15.0]], [0; 3], 4.0);
        let image = draw(&scene);
        let dark = image.pixels().filter(|pixel| pixel.0[0] < 128).count();
        // A circle of 8 pixels across.
        assert!((44..=56).contains(&dark), "{dark}");
        assert_eq!(image.get_pixel(60, 30).0, [0; 3]);
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
        let font = Face::parse(FONT, 0).unwrap();
        for c in "0123456789.−⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᾱβγσ̃½√∞·×ₜ₀₁–…éß".chars().filter(|c| *c != '\u{303}')
        {
            assert!(font.glyph_index(c).is_some(), "{c}");
        }
    }
}
