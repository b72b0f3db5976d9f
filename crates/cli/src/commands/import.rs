//! `sfumato import`

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Map;
use sfumato_kernels::Backend;
use sfumato_model::{
    openai::{Checkpoint, CheckpointError, OpenAiFlags},
    pipeline::Facts,
};

use crate::{
    args::{ImportArgs, MachineArgs, UsageError},
    backend::{Work, with_backend},
    output_dir::empty_dir,
};

pub(crate) fn run(args: ImportArgs) -> Result<()> {
    let flags = OpenAiFlags::parse(args.project.into(), &args.flags)
        .map_err(|error| UsageError(format!("--flags: {error}")))?;
    let checkpoint = Checkpoint::open(&args.file, &flags).map_err(|error| match error {
        // Names the file.
        CheckpointError::File(error) => error.into(),
        error => anyhow::Error::new(error).context(format!("cannot import {}", args.file.display())),
    })?;
    for note in &checkpoint.notes {
        say!("note: {}: {note}", args.file.display());
    }
    for note in &checkpoint.model.notes {
        say!("note: {note}");
    }
    if is_raw(&args) {
        say!("note: files called model*.pt hold the raw weights; ema_*.pt of the same run draws better samples");
    }
    empty_dir(&args.out)?;
    with_backend(&MachineArgs::default(), Importing { args, checkpoint })
}

/// Whether the file's name is that of raw weights: `model200000.pt`.
fn is_raw(args: &ImportArgs) -> bool {
    let name = args.file.file_stem().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("model")).is_some_and(|step| step.bytes().all(|byte| byte.is_ascii_digit()))
}

struct Importing {
    args: ImportArgs,
    checkpoint: Checkpoint,
}

impl Work for Importing {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { args, mut checkpoint } = self;
        let net = checkpoint.load::<B>(&device).context("--flags must be those the checkpoint was trained with")?;
        let file = args.file.file_name().unwrap_or(args.file.as_os_str()).to_string_lossy().into_owned();
        let project = args.project.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let provenance = [("imported_from", file), ("project", project), ("flags", args.flags.clone())];
        let provenance = provenance.map(|(key, value)| (key.to_owned(), value.into()));
        checkpoint.write(&args.out, &net, Facts { provenance: Map::from_iter(provenance), ..Facts::default() })?;
        out!("{}", args.out.display())
    }
}
