//! Pictures that the user names, in the shape of a model's samples.

use std::path::Path;

use anyhow::{Result, bail};
use sfumato_data::{Background, Dataset, LoadOptions, load_pictures};

use crate::loaded;

/// Pictures as a model sees them.
#[derive(Debug)]
pub(crate) struct PictureFiles {
    /// One after the other, in [-1, 1].
    pub(crate) values: Vec<f32>,
    pub(crate) count: usize,
    /// Of the pixels, in this size.
    pub(crate) sha256: String,
}

/// Reads a file, a folder, an archive or an array of pictures for a model in `model`, whose samples have `shape`. It decodes on Rayon's threads.
///
/// # Errors
/// If the model is not one of pictures, or a picture cannot be read.
pub(crate) fn read(path: &Path, model: &Path, shape: &[usize], background: Background) -> Result<PictureFiles> {
    let shape = match *shape {
        [channels @ (1 | 3), height, width] => [channels, height, width],
        [channels, _, _] => bail!(
            "{} makes pictures of {channels} channels, which no file of pictures has (1 is grey, 3 is RGB)",
            model.display()
        ),
        _ => bail!("{} is a model of points, not of pictures", model.display()),
    };
    let data = load_pictures(path, shape, &LoadOptions { background, ..LoadOptions::default() })?;
    loaded::tell(&data);
    let size = shape.iter().product::<usize>();
    let mut values = vec![0.0; data.len() * size];
    for (i, out) in values.chunks_exact_mut(size).enumerate() {
        data.write(i, out);
    }
    Ok(PictureFiles { values, count: data.len(), sha256: data.sha256().to_owned() })
}
