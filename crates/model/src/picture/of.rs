//! A picture of many samples, whatever they are.

use std::path::Path;

use super::{GridLayout, OutputError, Texts, write_grid, write_scatter};

/// What [`write_picture`] drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A grid of images.
    Grid,
    /// A scatter plot.
    Scatter,
    /// Nothing: the samples are neither images nor points of a plane.
    None,
}

/// What can be drawn of samples of `shape` (without the batch).
pub fn picture_kind(shape: &[usize]) -> Picture {
    match shape {
        [1 | 3 | 4, _, _] => Picture::Grid,
        [2] => Picture::Scatter,
        _ => Picture::None,
    }
}

/// Draws `samples`, each of `shape`: a grid of images, or a scatter plot of points in the plane over those of `reference`.
///
/// `columns` of the grid; 0 for a square-ish one. `texts` go into the file.
///
/// # Errors
/// [`OutputError`] if the file cannot be written.
pub fn write_picture(
    path: &Path,
    shape: &[usize],
    samples: &[f32],
    columns: usize,
    reference: Option<&[f32]>,
    texts: &Texts,
) -> Result<Picture, OutputError> {
    let kind = picture_kind(shape);
    match (kind, shape) {
        (Picture::Grid, &[c, h, w]) => {
            let layout = GridLayout { columns, ..GridLayout::default() };
            write_grid(path, samples, [samples.len() / (c * h * w), c, h, w], layout, texts)?;
        }
        (Picture::Scatter, _) => {
            let points = |values: &[f32]| values.chunks_exact(2).map(|point| [point[0], point[1]]).collect::<Vec<_>>();
            let reference = reference.map(points);
            write_scatter(path, &points(samples), reference.as_deref(), texts)?;
        }
        _ => {}
    }
    Ok(kind)
}
