//! The files that `sample` leaves.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use sfumato_model::picture::{self, GridLayout, Picture, picture_kind, write_picture};

use super::record::{GIF, GRID, SAMPLES, SCATTER, picture_name};

/// Samples in the animation.
pub(super) const GIF_SAMPLES: usize = 16;
const GIF_DELAY: Duration = Duration::from_millis(60);

/// What there is to write.
pub(super) struct Results<'a> {
    /// One sample after the other.
    pub(super) samples: &'a [f32],
    /// Shape of one.
    pub(super) shape: &'a [usize],
    /// Columns of the grid; 0 for a square-ish one.
    pub(super) columns: usize,
    /// States of the first batch on the way, if an animation is wanted and they were seen.
    pub(super) frames: &'a [Vec<f32>],
}

impl Results<'_> {
    fn count(&self) -> usize {
        self.samples.len() / self.shape.iter().product::<usize>()
    }

    /// Writes everything to `dir`, and gives what was written: each file, and the single pictures in a line.
    pub(super) fn write(&self, dir: &Path) -> Result<Vec<String>> {
        let (samples, shape) = (self.samples, self.shape);
        let all: Vec<usize> = std::iter::once(self.count()).chain(shape.iter().copied()).collect();
        let mut written = Vec::new();
        let mut path = |name: &str| -> PathBuf {
            let path = dir.join(name);
            written.push(path.display().to_string());
            path
        };
        sfumato_files::write_npy_f32(&path(SAMPLES), &all, samples)?;
        let name = match picture_kind(shape) {
            Picture::Grid => GRID,
            Picture::Scatter => SCATTER,
            Picture::None => {
                say!("note: samples of shape {shape:?} cannot be drawn, {SAMPLES} holds them");
                return Ok(written);
            }
        };
        write_picture(&path(name), shape, samples, self.columns, None)?;
        let &[c, h, w] = shape else { return Ok(written) };
        if let Some(first) = self.frames.first() {
            let n = GIF_SAMPLES.min(first.len() / (c * h * w));
            let layout =
                GridLayout { columns: if n > self.columns { self.columns } else { 0 }, ..GridLayout::default() };
            let frames: Vec<&[f32]> = self.frames.iter().map(|frame| &frame[..n * c * h * w]).collect();
            picture::write_gif(&path(GIF), &frames, [n, c, h, w], layout, GIF_DELAY)?;
        }
        for (i, sample) in samples.chunks_exact(c * h * w).enumerate() {
            picture::write_png(&dir.join(picture_name(i)), sample, [c, h, w])?;
        }
        let single = |i: usize| dir.join(picture_name(i)).display().to_string();
        written.push(match self.count() - 1 {
            0 => single(0),
            last => format!("{} to {}", single(0), picture_name(last)),
        });
        Ok(written)
    }
}
