//! The files that `sample` leaves.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use sfumato_model::picture::{self, GridLayout, Picture, picture_kind, write_picture};

use super::{
    origin::Origin,
    record::{GIF, GRID, SAMPLES, SCATTER},
};

/// Samples in the animation.
pub(super) const GIF_SAMPLES: usize = 16;
const GIF_DELAY: Duration = Duration::from_millis(60);
/// Between the pictures of a grid there is white, and where a row has no picture.
const BLANK: f32 = 1.0;

/// What there is to write.
pub(super) struct Results<'a> {
    /// One sample after the other.
    pub(super) samples: &'a [f32],
    /// Shape of one.
    pub(super) shape: &'a [usize],
    /// States of the first batch on the way, if an animation is wanted and they were seen.
    pub(super) frames: &'a [Vec<f32>],
    /// What the files say of themselves.
    pub(super) origin: &'a Origin<'a>,
}

impl Results<'_> {
    fn count(&self) -> usize {
        self.samples.len() / self.size()
    }

    /// Values of one sample.
    fn size(&self) -> usize {
        self.shape.iter().product()
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
        let kind = picture_kind(shape);
        let name = match kind {
            Picture::Grid => GRID,
            Picture::Scatter => SCATTER,
            Picture::None => {
                say!("note: samples of shape {shape:?} cannot be drawn, {SAMPLES} holds them");
                return Ok(written);
            }
        };
        let columns = self.origin.columns(self.count());
        let texts = self.origin.of_all(kind, self.count());
        write_picture(&path(name), shape, &self.cells(columns), columns, None, &texts)?;
        let &[c, h, w] = shape else { return Ok(written) };
        if let Some(first) = self.frames.first() {
            let n = GIF_SAMPLES.min(first.len() / (c * h * w));
            let layout = GridLayout { columns: if n > columns { columns } else { 0 }, ..GridLayout::default() };
            let frames: Vec<&[f32]> = self.frames.iter().map(|frame| &frame[..n * c * h * w]).collect();
            picture::write_gif(&path(GIF), &frames, [n, c, h, w], layout, GIF_DELAY)?;
        }
        for (i, sample) in samples.chunks_exact(c * h * w).enumerate() {
            picture::write_png(&dir.join(self.origin.file_name(i)), sample, [c, h, w], &self.origin.of_one(i))?;
        }
        let single = |i: usize| dir.join(self.origin.file_name(i)).display().to_string();
        written.push(match self.count() - 1 {
            0 => single(0),
            last => format!("{} to {}", single(0), self.origin.file_name(last)),
        });
        Ok(written)
    }

    /// What the grid shows: the samples, and nothing where a seed or a weight begins a new row before the last one is full.
    fn cells(&self, columns: usize) -> Cow<'_, [f32]> {
        let (size, num) = (self.size(), self.origin.set.indices.num);
        if self.shape.len() != 3 || !self.origin.set.is_several() || num.is_multiple_of(columns) {
            return self.samples.into();
        }
        let row_of = |series: &[f32]| {
            let mut row = series.to_vec();
            row.resize(num.next_multiple_of(columns) * size, BLANK);
            row
        };
        self.samples.chunks(num * size).flat_map(row_of).collect()
    }
}
