//! `--like FILE.png`: the call that makes a picture again.
//!
//! The file's record fills in the options. Then the call is planned as any other, and refused if its settings, with all checksums, are not
//! those of the record. Afterwards the new file is held against the old one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value};
use sfumato_model::{fitted::UnknownPlacement, sampling::SamplerKind};

use super::record::{GRID, SCATTER, difference};
use crate::{
    args::{DdimName, ImageSize, Indices, OneOrMany, SampleArgs, UsageError, VarianceName},
    backend_name::BackendName,
    provenance::{self, ClassSetting, Kind, ModelSums, PictureSettings, Program, Provenance, Settings},
};

/// Options that may stand beside it: none of them changes a picture.
const BESIDE: [&str; 14] = [
    "like",
    "model",
    "out",
    "noise",
    "image",
    "inpaint",
    "mask",
    "background",
    "gif",
    "overwrite",
    "batch_size",
    "backend",
    "gpu",
    "threads",
];

/// A picture that is made again.
#[derive(Debug)]
pub(super) struct Like {
    file: PathBuf,
    bytes: Vec<u8>,
    pub(super) made: Provenance,
}

impl Like {
    /// Reads the file of `--like`, if there is one, and fills in the options.
    ///
    /// # Errors
    /// If the file does not say how it was made, or an option beside it would say something else.
    pub(super) fn read(args: &mut SampleArgs) -> Result<Option<Self>> {
        let Some(file) = args.like.clone() else { return Ok(None) };
        if let Some(option) = args.given.other_than(&BESIDE) {
            let option = option.replace("--class-name", "--class");
            return Err(UsageError(format!(
                "{option} cannot stand beside --like: {} says it; `sfumato info {0}` shows the options for a call of your own",
                file.display()
            ))
            .into());
        }
        let made = provenance::read(&file)?;
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let like = Self { file, bytes, made };
        like.fill(args).with_context(|| format!("the record in {}", like.file.display()))?;
        Ok(Some(like))
    }

    /// Takes every option from the record. What cannot be is an error here; what the model does not take is one as of any other call.
    fn fill(&self, args: &mut SampleArgs) -> Result<()> {
        let made = &self.made;
        let settings = &made.settings;
        if let Some(there) = made.stopped_after {
            bail!(
                "it shows the first {there} samples of a call that was stopped; the files of its samples can be drawn again"
            );
        }
        if args.model.is_none() {
            args.model = Some(named_path("model", &made.model)?);
        }
        args.sampler = Some(settings.sampler);
        args.steps = Some(settings.steps);
        let unknown = |error: UnknownPlacement| anyhow::anyhow!("{}", provenance::safe(&error.to_string()));
        args.spacing = Some(settings.spacing.parse().map_err(unknown)?);
        args.variance = settings.variance.as_deref().map(|name| named::<VarianceName>("variance", name)).transpose()?;
        args.eta = settings.eta.unwrap_or(0.0);
        let whose = settings.ddim.as_deref().filter(|_| settings.sampler == SamplerKind::Ddim);
        args.ddim = whose.map(|name| named::<DdimName>("ddim", name)).transpose()?;
        args.order = settings.order;
        args.karras = settings.karras;
        args.no_clip = settings.clip == Some(false);
        args.image_size = settings
            .image_size
            .map(|[height, width]| format!("{height}x{width}").parse::<ImageSize>())
            .transpose()
            .map_err(|error| anyhow::anyhow!("image_size: {error}"))?;
        args.class = match settings.class {
            Some(ClassSetting::One(class)) => Some(class),
            Some(ClassSetting::Turns(_)) | None => None,
        };
        args.guidance = listed("guidance", settings.guidance.clone())?.unwrap_or(OneOrMany::One(1.0));
        let interval = settings.guidance_interval.as_deref().map(str::parse).transpose();
        args.guidance_interval = interval.map_err(|error: String| anyhow::anyhow!("guidance_interval: {error}"))?;
        args.null_class = settings.null_class;
        args.machine.precision = settings.precision.map(Into::into);
        args.seeds = listed("seed", settings.seed.clone())?;
        args.num = self.indices()?;
        if settings.noise_sha256.is_some() && args.noise.is_none() {
            let Some(noise) = made.files.get("noise") else { bail!("it does not name the file of its noise") };
            let noise = named_path("noise", noise)?;
            if !noise.is_file() {
                bail!(
                    "the noise that it was drawn with, {}, is not there; --noise FILE.npy says where it is",
                    noise.display()
                );
            }
            args.noise = Some(noise);
        }
        self.fill_pictures(args)?;
        self.fill_backend(args);
        Ok(())
    }

    /// The files that the picture was made from, where they were or where the call says.
    fn fill_pictures(&self, args: &mut SampleArgs) -> Result<()> {
        let file = |option: &str, given: &mut Option<PathBuf>| -> Result<()> {
            if given.is_some() {
                return Ok(());
            }
            let Some(path) = self.made.files.get(option) else { bail!("it does not name the file of its --{option}") };
            let path = named_path(option, path)?;
            if !path.exists() {
                bail!("what it was made from, {}, is not there; --{option} says where it is", path.display());
            }
            *given = Some(path);
            Ok(())
        };
        let mut recorded = self.made.settings.pictures.clone();
        match recorded.as_mut().map(PictureSettings::background) {
            None if args.given.has("background") => {
                bail!("it was made from noise alone: --background has no place beside it")
            }
            Some(background) if !args.given.has("background") => args.background = background.unwrap_or_default(),
            _ => {}
        }
        match self.made.settings.pictures {
            None => match [("image", &args.image), ("inpaint", &args.inpaint), ("mask", &args.mask)] {
                all if all.iter().all(|(_, given)| given.is_none()) => Ok(()),
                _ => bail!("it was made from noise alone: --image, --inpaint and --mask have no place beside it"),
            },
            Some(PictureSettings::Image { strength, .. }) => {
                args.strength = strength;
                file("image", &mut args.image)
            }
            Some(PictureSettings::Inpaint { jump_length, resample, .. }) => {
                (args.jump_length, args.resample) = (jump_length, resample);
                file("inpaint", &mut args.inpaint)?;
                file("mask", &mut args.mask)
            }
        }
    }

    /// Which samples of each seed.
    fn indices(&self) -> Result<Indices> {
        let Provenance { picture, index, first, num, .. } = self.made;
        let (first, num) = match picture {
            Kind::Sample => (index, Some(1)),
            Kind::Grid | Kind::Scatter => (first, num),
        };
        let indices = first
            .zip(num)
            .filter(|(first, num)| *num > 0 && first.checked_add(*num).is_some_and(|end| u32::try_from(end).is_ok()));
        let (first, num) = indices.context("it does not say which samples it shows")?;
        Ok(Indices { first, num })
    }

    /// The backend of the record, unless --backend names another one or the program does not have it.
    fn fill_backend(&self, args: &mut SampleArgs) {
        let name = &self.made.program.backend;
        if !args.given.has("backend")
            && let Ok(backend) = BackendName::from_str(name, true)
            && backend.compiled()
        {
            args.machine.backend = backend;
        }
        if args.machine.backend.name() != *name {
            say!(
                "note: {} was drawn by the backend {}, and is drawn by {} now; the pixels may differ where numbers are rounded",
                self.file.display(),
                provenance::safe(name),
                args.machine.backend
            );
        }
    }

    /// An error of a call that nobody has typed: not one of usage.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<UsageError>() {
            Ok(UsageError(reason)) => anyhow::anyhow!("the record in {}: {reason}", self.file.display()),
            Err(other) => other,
        }
    }

    /// An error of a model that the record names, and perhaps of one that has moved.
    pub(super) fn explain_model(&self, error: anyhow::Error, dir: &Path) -> anyhow::Error {
        error.context(format!(
            "{} was drawn with the model in {}; --model DIR says where it is now",
            self.file.display(),
            dir.display()
        ))
    }

    /// Refuses another model than the one that has made the picture, by its checksums.
    ///
    /// # Errors
    /// With both checksums, and what to do.
    pub(super) fn check_model(&self, sums: &ModelSums, dir: &Path) -> Result<()> {
        let then = &self.made.settings.model;
        let list = |sums: &OneOrMany<String>| sums.all().join(", ");
        let found = [
            ("weights", list(&then.weights_sha256), list(&sums.weights_sha256)),
            ("scheduler_config.json", then.scheduler_sha256.clone(), sums.scheduler_sha256.clone()),
            ("unet/config.json", then.network_sha256.clone(), sums.network_sha256.clone()),
        ];
        let Some((what, then, now)) = found.iter().find(|(_, then, now)| then != now) else { return Ok(()) };
        let shown = dir.display();
        bail!(
            "{shown} is not the model that made {}: the SHA-256 of its {what} is {now}, and was {}; --model DIR names another \
             directory (of a run that went on, one of its checkpoints/)",
            self.file.display(),
            provenance::safe(then)
        )
    }

    /// Refuses a call that would not draw the same.
    ///
    /// # Errors
    /// With what differs.
    pub(super) fn check_settings(&self, now: &Settings) -> Result<()> {
        let (then, mut now) = (&self.made.settings, now.clone());
        let file = self.file.display();
        // The pixels decide, whose checksums stand beside it: an older record does not say what they were laid on.
        if let (Some(then), Some(now)) = (&mut then.pictures.clone(), &mut now.pictures) {
            *now.background() = *then.background();
        }
        if let (Some(then), Some(now)) = (&then.noise_sha256, &now.noise_sha256)
            && then != now
        {
            bail!(
                "the noise that {file} was drawn with has another SHA-256, {now}, and had {}; --noise FILE.npy names another file",
                provenance::safe(then)
            );
        }
        match difference(&map(then)?, &map(&now)?) {
            None => Ok(()),
            Some(difference) => bail!("{file} cannot be made again: {}", provenance::safe(&difference)),
        }
    }

    /// The model's directory as the record has it: the checksums say that the model is the same, wherever it is now.
    pub(super) fn model(&self) -> String {
        self.made.model.clone()
    }

    /// Says whether the new file in `out` is the old one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn compare(&self, out: &Path, file_name: &str, this: &Program) -> Result<()> {
        let new = out.join(match self.made.picture {
            Kind::Sample => file_name,
            Kind::Grid => GRID,
            Kind::Scatter => SCATTER,
        });
        let (new_name, old_name) = (new.display(), self.file.display());
        let bytes = fs::read(&new).with_context(|| format!("cannot read {new_name}"))?;
        if bytes == self.bytes {
            say!("{new_name} is {old_name} again, byte for byte");
            return Ok(());
        }
        let then = &self.made.program;
        let programs = if then == this {
            String::new()
        } else {
            let of = |program: &Program| {
                let Program { version, revision, backend } = program;
                provenance::safe(&format!("{version} ({revision}) on {backend}"))
            };
            format!(" (drawn by {}, then by {})", of(this), of(then))
        };
        let pixels =
            |bytes: &[u8]| image::load_from_memory(bytes).ok().map(|image| (image.color(), image.into_bytes()));
        match (pixels(&bytes), pixels(&self.bytes)) {
            (Some(new), Some(old)) if new == old => {
                say!(
                    "note: {new_name} has the pixels of {old_name}; the texts or the packing of the files differ{programs}"
                );
            }
            (Some((_, new)), Some((_, old))) if new.len() == old.len() => {
                let differences = new.iter().zip(&old).map(|(a, b)| a.abs_diff(*b));
                let (count, most) = (differences.clone().filter(|by| *by > 0).count(), differences.max().unwrap_or(0));
                say!(
                    "warning: {count} of {} values of {new_name} differ from {old_name}, by {most} levels at most{programs}",
                    new.len()
                );
            }
            _ => say!("warning: {new_name} is another picture than {old_name}, which was changed or damaged{programs}"),
        }
        Ok(())
    }
}

fn map(settings: &Settings) -> Result<Map<String, Value>> {
    match serde_json::to_value(settings)? {
        Value::Object(map) => Ok(map),
        _ => bail!("settings are an object"),
    }
}

/// The value of an option by its name.
fn named<E: ValueEnum>(option: &str, name: &str) -> Result<E> {
    E::from_str(name, false).map_err(|_| anyhow::anyhow!("no {option} is called `{}`", provenance::safe(name)))
}

/// A path that can be shown.
fn named_path(what: &str, path: &str) -> Result<PathBuf> {
    let shown = provenance::safe(path);
    if shown != path || path.is_empty() {
        bail!("it names no {what} but `{shown}`; --{what} says where it is");
    }
    Ok(PathBuf::from(path))
}

/// A list of at least one value.
fn listed<T>(what: &str, values: Option<OneOrMany<T>>) -> Result<Option<OneOrMany<T>>> {
    match &values {
        Some(list) if list.all().is_empty() => bail!("its list `{what}` is empty"),
        _ => Ok(values),
    }
}
