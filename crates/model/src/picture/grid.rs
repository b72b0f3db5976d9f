//! PNG files: one picture, or a grid of many.

use std::path::Path;

use super::raster::check;
use super::{OutputError, Raster, Texts};

/// Level of the lines between the pictures of a grid.
const LINES: u8 = 255;

/// How pictures are arranged. The default is a square-ish grid with pictures large enough to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridLayout {
    /// Pictures in a row; 0 for the square root of their number, rounded up.
    pub columns: usize,
    /// Pixels of the grid to a pixel of a picture, along each side; 0 for the largest at which a picture is at most 96
    /// pixels and the grid at most 4096 pixels wide.
    pub scale: usize,
    /// Width of the lines around the pictures, in pixels.
    pub padding: usize,
}

impl Default for GridLayout {
    fn default() -> Self {
        GridLayout { columns: 0, scale: 0, padding: 2 }
    }
}

impl GridLayout {
    /// The layout with its automatic values filled in, for `[N, C, H, W]` pictures.
    fn resolve(self, [n, _, h, w]: [usize; 4]) -> GridLayout {
        let columns = if self.columns == 0 { (n as f64).sqrt().ceil() as usize } else { self.columns };
        let columns = columns.clamp(1, n);
        let automatic = (96 / h.max(w)).min(4096 / (columns * w)).max(1);
        GridLayout { columns, scale: if self.scale == 0 { automatic } else { self.scale }, ..self }
    }
}

/// Writes one C×H×W picture with values in [-1, 1] as a PNG of H×W pixels; C is 1 (grey), 3 (RGB) or 4 (RGBA).
///
/// Values outside are clamped, and not-a-number is drawn as 0. `texts` go into the file, for what the picture says of itself.
///
/// # Errors
/// [`OutputError`] for another number of channels, no pixels, a slice that does not fit the shape, or a file that cannot
/// be written.
pub fn write_png(path: &Path, chw: &[f32], shape: [usize; 3], texts: &Texts) -> Result<(), OutputError> {
    Raster::picture(path, chw, shape)?.write_png(path, texts)
}

/// Writes N×C×H×W pictures as one PNG, row by row, with lines between them and each pixel enlarged to a square.
///
/// # Errors
/// As [`write_png`], and [`OutputError::TooLarge`].
pub fn write_grid(
    path: &Path,
    nchw: &[f32],
    shape: [usize; 4],
    layout: GridLayout,
    texts: &Texts,
) -> Result<(), OutputError> {
    grid(path, nchw, shape, layout)?.write_png(path, texts)
}

/// The raster of a grid.
pub(super) fn grid(path: &Path, nchw: &[f32], shape: [usize; 4], layout: GridLayout) -> Result<Raster, OutputError> {
    check(path, nchw.len(), shape)?;
    let [n, c, h, w] = shape;
    let GridLayout { columns, scale, padding } = layout.resolve(shape);
    let side = |cells: usize, cell: usize| {
        cell.checked_mul(scale)
            .and_then(|cell| cell.checked_add(padding))
            .and_then(|cell| cell.checked_mul(cells))
            .and_then(|total| total.checked_add(padding))
            .unwrap_or(usize::MAX)
    };
    let mut raster = Raster::filled(side(columns, w), side(n.div_ceil(columns), h), c, LINES, path)?;
    for (i, picture) in nchw.chunks_exact(c * h * w).enumerate() {
        let left = padding + (i % columns) * (w * scale + padding);
        let top = padding + (i / columns) * (h * scale + padding);
        raster.draw(picture, [c, h, w], left, top, scale);
    }
    Ok(raster)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn target() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        (dir, path)
    }

    #[test]
    fn every_level_of_every_channel_survives_in_the_png() {
        let (_dir, path) = target();
        for (c, w) in [(1, 256), (3, 256), (4, 256)] {
            let levels: Vec<u8> = (0..c).flat_map(|channel| (0..w).map(move |x| (x + 85 * channel) as u8)).collect();
            let values: Vec<f32> = levels.iter().map(|&k| (f64::from(k) / 127.5 - 1.0) as f32).collect();
            write_png(&path, &values, [c, 1, w], &Texts::none()).unwrap();
            let read = image::open(&path).unwrap();
            assert_eq!((read.width(), read.height(), usize::from(read.color().channel_count())), (256, 1, c));
            let expected: Vec<u8> = (0..w).flat_map(|x| (0..c).map(move |channel| (x + 85 * channel) as u8)).collect();
            assert_eq!(read.into_bytes(), expected);
        }
    }

    #[test]
    fn a_grid_has_lines_rows_and_enlarged_pixels() {
        let (_dir, path) = target();
        // Three pictures of 1×2 pixels: black and mid-grey.
        let values = [-1.0, 0.0].repeat(3);
        let layout = GridLayout { columns: 2, scale: 2, padding: 1 };
        write_grid(&path, &values, [3, 1, 1, 2], layout, &Texts::none()).unwrap();
        let read = image::open(&path).unwrap().into_luma8();
        assert_eq!((read.width(), read.height()), (11, 7));
        let rows: Vec<&[u8]> = read.chunks(11).collect();
        let (line, full) = ([255; 11], [255, 0, 0, 128, 128, 255, 0, 0, 128, 128, 255]);
        let half = [255, 0, 0, 128, 128, 255, 255, 255, 255, 255, 255];
        assert_eq!(rows, [&line[..], &full, &full, &line, &half, &half, &line]);
    }

    #[test]
    fn the_automatic_layout_is_square_and_comfortable() {
        let layout = |shape| {
            let layout = GridLayout::default().resolve(shape);
            (layout.columns, layout.scale)
        };
        assert_eq!(layout([64, 1, 28, 28]), (8, 3));
        assert_eq!(layout([1, 3, 32, 32]), (1, 3));
        assert_eq!(layout([10, 3, 64, 64]), (4, 1));
        assert_eq!(layout([2500, 1, 28, 28]), (50, 2));
        assert_eq!(layout([4, 3, 512, 512]), (2, 1));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_by_name() {
        let (_dir, path) = target();
        let texts = Texts::none();
        let grid =
            |n: usize, shape| write_grid(&path, &vec![0.0; n], shape, GridLayout::default(), &texts).unwrap_err();
        assert!(grid(8, [1, 2, 2, 2]).to_string().contains("2 channels"));
        assert!(matches!(grid(0, [0, 1, 2, 2]), OutputError::Empty { .. }));
        assert!(matches!(grid(7, [1, 1, 2, 2]), OutputError::Shape { values: 7, .. }));
        let huge = GridLayout { scale: 1 << 20, ..GridLayout::default() };
        let error = write_grid(&path, &[0.0; 4], [1, 1, 2, 2], huge, &texts).unwrap_err();
        assert!(matches!(error, OutputError::TooLarge { .. }) && error.to_string().contains("x.png"));
        let missing = path.with_file_name("no").join("x.png");
        assert!(write_png(&missing, &[0.0], [1, 1, 1], &texts).unwrap_err().to_string().contains("cannot write"));
        assert!(!path.exists());
    }
}
