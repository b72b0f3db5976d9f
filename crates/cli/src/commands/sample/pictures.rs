//! Pictures in place of noise: `--image`, and `--inpaint` with `--mask`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use sfumato_data::Background;
use sfumato_model::sampling::{Origin, Pictures};
use sfumato_process::sampler::Resampling;

use super::origin::given;
use crate::{
    args::SampleArgs,
    picture_files::{self, PictureFiles},
    provenance::PictureSettings,
};

/// What the samples are made from.
#[derive(Debug)]
pub(super) enum FromPictures {
    /// Pictures that are changed.
    Changed { pictures: PictureFiles, background: Background, strength: f64 },
    /// Pictures of which a part is known.
    Inpainted {
        pictures: PictureFiles,
        background: Background,
        /// 1 where a value of a picture is known, else 0.
        keep: Vec<f32>,
        mask_sha256: String,
        resampling: Resampling,
    },
}

impl FromPictures {
    /// Reads the files that the call names, for samples of `shape`.
    ///
    /// # Errors
    /// If one cannot be read, or the masks do not fit the pictures.
    pub(super) fn read(args: &SampleArgs, shape: &[usize]) -> Result<Option<Self>> {
        let background = args.background;
        let read = |path: &Path| picture_files::read(path, args.model_dir(), shape, background);
        if let Some(path) = &args.image {
            return Ok(Some(Self::Changed { pictures: read(path)?, background, strength: args.strength }));
        }
        let (Some(path), Some(mask)) = (&args.inpaint, &args.mask) else { return Ok(None) };
        let pictures = read(path)?;
        let &[channels, height, width] = shape else { return Ok(None) }; // pictures were read, so that it has these
        let masks = picture_files::read(mask, args.model_dir(), &[1, height, width], under_mask(mask)?)?;
        if masks.count != 1 && masks.count != pictures.count {
            bail!(
                "{} holds {} masks, expected one, or one for each of the {} pictures",
                mask.display(),
                masks.count,
                pictures.count
            );
        }
        let grey = masks.values.iter().filter(|value| value.abs() < 1.0).count();
        if grey > 0 {
            say!(
                "note: {grey} pixels of {} are neither black nor white; from level 128 on they are drawn",
                mask.display()
            );
        }
        let known = |value: &f32| f32::from(u8::from(*value < 0.0));
        let planes = masks.values.chunks_exact(height * width);
        let keep: Vec<f32> =
            planes.flat_map(|plane| std::iter::repeat_n(plane, channels).flatten().map(known)).collect();
        if keep.iter().all(|keep| *keep == 1.0) {
            bail!("{} is black everywhere: nothing would be drawn (white is drawn, black is kept)", mask.display());
        }
        if keep.iter().all(|keep| *keep == 0.0) {
            say!("note: {} is white everywhere: nothing of the pictures is kept", mask.display());
        }
        let resampling = Resampling { jump: args.jump_length, times: args.resample };
        Ok(Some(Self::Inpainted { pictures, background, keep, mask_sha256: masks.sha256, resampling }))
    }

    fn pictures(&self) -> &PictureFiles {
        let (Self::Changed { pictures, .. } | Self::Inpainted { pictures, .. }) = self;
        pictures
    }

    /// Number of pictures.
    pub(super) fn count(&self) -> usize {
        self.pictures().count
    }

    /// For the sampler, whose samples have `shape`.
    pub(super) fn origin(&self, shape: &[usize]) -> Result<Origin<'_>> {
        let pictures = Pictures::new(&self.pictures().values, shape)?;
        Ok(match self {
            Self::Changed { strength, .. } => Origin::Picture { pictures, strength: *strength },
            Self::Inpainted { keep, resampling, .. } => {
                Origin::Known { pictures, keep: Pictures::new(keep, shape)?, resampling: *resampling }
            }
        })
    }

    /// For records.
    pub(super) fn settings(&self) -> PictureSettings {
        let image_sha256 = self.pictures().sha256.clone();
        let (Self::Changed { background, .. } | Self::Inpainted { background, .. }) = self;
        let background = Some(*background).filter(|background| *background != Background::default());
        match self {
            Self::Changed { strength, .. } => PictureSettings::Image { image_sha256, strength: *strength, background },
            Self::Inpainted { mask_sha256, resampling, .. } => PictureSettings::Inpaint {
                image_sha256,
                mask_sha256: mask_sha256.clone(),
                jump_length: resampling.jump,
                resample: resampling.times,
                background,
            },
        }
    }
}

/// What lies under a mask: where nothing is painted, the picture is kept. An array cannot be transparent.
fn under_mask(mask: &Path) -> Result<Background> {
    let is = |extension: &str| mask.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    Ok(if is("npy") || is("npz") { Background::default() } else { "black".parse()? })
}

/// The files of a call besides the model, by the names of their options, as they were given.
pub(super) fn files(args: &SampleArgs) -> BTreeMap<String, String> {
    let named = [("noise", &args.noise), ("image", &args.image), ("inpaint", &args.inpaint), ("mask", &args.mask)];
    let given = |(name, path): (&str, &Option<PathBuf>)| Some((name.to_owned(), given(path.as_deref()?)));
    named.into_iter().filter_map(given).collect()
}
