//! What the user typed, as close to the flags as possible. Each command turns its arguments into a plan.

mod average;
mod compare;
mod distances;
mod encode;
mod eval;
mod export;
mod flow;
mod given;
mod image_size;
mod import;
mod info;
mod interpolate;
mod names;
mod ranges;
mod report;
mod sample;
mod schedule;
mod score;
mod serve;
mod train;
pub(crate) mod values;
mod walk;

pub(crate) use average::{AverageArgs, Width};
pub(crate) use compare::CompareModelsArgs;
pub(crate) use distances::{FeaturesName, SampleSource};
pub(crate) use encode::EncodeArgs;
pub(crate) use eval::EvalArgs;
pub(crate) use export::{DtypeName, ExportArgs, WeightsName};
pub(crate) use flow::{DequantizationName, TraceName};
pub(crate) use import::ImportArgs;
pub(crate) use info::InfoArgs;
pub(crate) use interpolate::{End, InterpolateArgs};
pub(crate) use ranges::{Indices, OneOrMany};
pub(crate) use report::ReportArgs;
pub(crate) use sample::{DdimName, ImageSize, SampleArgs};
pub(crate) use schedule::{
    CheckArgs, CompareArgs, ConditionArgs, Format, LearnArgs, PlotArgs, PredictionName, Quantity, ScheduleArgs,
    ScheduleCommand, ShowArgs,
};
pub(crate) use score::{ScoreArgs, SplitName, VarianceName};
pub(crate) use serve::ServeArgs;
pub(crate) use train::{TrainArgs, name_of};
pub(crate) use walk::WalkArgs;

use std::{error::Error as _, process::ExitCode};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};
use sfumato_kernels::Precision;
use sfumato_model::ModelError;

use crate::{backend_name::BackendName, say};

/// Denoising diffusion models in Rust: train, sample, score and inspect.
#[derive(Debug, Parser)]
#[command(name = "sfumato", disable_version_flag = true, args_override_self = true, max_term_width = 100)]
#[command(after_help = "Examples:
  sfumato train                                   garments from the embedded images, 10 minutes on two cores
  sfumato train --dataset folder:photos --image-size 32 --out runs/photos
  sfumato sample --model runs/photos/model --num 64 --out samples
  sfumato eval --model runs/photos/model --dataset folder:held-out
  sfumato compare runs/photos/model runs/other/model --dataset folder:held-out
  sfumato info runs/photos/model
  sfumato sample --like samples/sample-00003.png --out again     the same picture, bit for bit
  sfumato serve --model runs/photos/model

Exit codes: 0 done (also: stopped on request with everything saved), 1 failed, 2 wrong usage;
130 and 143: ended at once by a second Ctrl-C or SIGTERM.
SFUMATO_LOG=debug shows more on stderr.")]
pub(crate) struct Cli {
    /// Print the version and exit; with --json also revision, backends and CPU features
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
    /// With --version: print JSON
    #[arg(long, requires = "version")]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

// What a command is for stands at its arguments: a comment at a variant would hide all but its first line.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(Box<TrainArgs>),
    Sample(Box<SampleArgs>),
    Encode(EncodeArgs),
    Interpolate(InterpolateArgs),
    Eval(EvalArgs),
    Compare(CompareModelsArgs),
    Schedule(ScheduleArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Average(AverageArgs),
    Info(InfoArgs),
    Report(ReportArgs),
    Serve(ServeArgs),
}

/// Other words for backends.
const BACKEND_WORDS: &[(&str, &str)] = &[
    ("cpu", "flex"),
    ("gpu", "cuda (NVIDIA), metal (Apple), rocm (AMD) or wgpu (any)"),
    ("nvidia", "cuda"),
    ("apple", "metal"),
    ("mps", "metal"),
    ("amd", "rocm"),
    ("hip", "rocm"),
    ("webgpu", "wgpu"),
];

/// Where the arithmetic happens.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineArgs {
    /// Backend; one that is not compiled in is refused with the way to get it
    #[arg(long, default_value_t = BackendName::compiled_default(), value_name = "NAME", value_parser = values::named::<BackendName>(BACKEND_WORDS))]
    pub(crate) backend: BackendName,
    /// Which GPU, counted from 0, for a backend that uses one [default: 0]
    #[arg(long, value_name = "N", value_parser = values::at_least::<usize>(0))]
    pub(crate) gpu: Option<usize>,
    /// CPU threads; all cores (or RAYON_NUM_THREADS) if not given
    #[arg(long, value_name = "N", value_parser = values::count::<u16>())]
    pub(crate) threads: Option<u16>,
    /// Numbers that convolutions and attention multiply; bf16 is faster on processors with AMX [default: f32]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) precision: Option<PrecisionArg>,
}

/// The names of [`Precision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 32 bits
    F32,
    /// 16 bits, about 3 digits; sums stay f32
    Bf16,
}

impl From<PrecisionArg> for Precision {
    fn from(name: PrecisionArg) -> Self {
        match name {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
        }
    }
}

impl From<Precision> for PrecisionArg {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl MachineArgs {
    /// What was asked for, f32 if nothing.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.map_or(Precision::F32, Precision::from)
    }
}

impl Default for MachineArgs {
    /// What is used when nothing is said.
    fn default() -> Self {
        Self { backend: BackendName::compiled_default(), gpu: None, threads: None, precision: None }
    }
}

/// A combination of arguments that clap cannot see to be wrong.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The error of a model in the words of the command line: its options are those of the commands.
pub(crate) fn of_model(error: ModelError) -> anyhow::Error {
    match error {
        ModelError::Value { option, value, reason } => UsageError(format!("--{option} {value}: {reason}")).into(),
        ModelError::Unfit { option, value, reason } => anyhow::anyhow!("--{option} {value}: {reason}"),
        other => other.into(),
    }
}

/// What was typed, and the command that it belongs to.
pub(crate) struct Invocation {
    pub(crate) cli: Cli,
    pub(crate) command: clap::Command,
}

impl Invocation {
    /// Reads the program's arguments; help and usage errors are printed, and the exit code is given.
    pub(crate) fn from_env() -> Result<Self, ExitCode> {
        let mut root = Cli::command();
        root.build();
        let words = values::tie_negative_numbers(std::env::args_os());
        let matches = root.clone().try_get_matches_from(words).map_err(|error| exit(error, &root))?;
        let (mut command, mut level) = (&root, &matches);
        while let Some((name, below)) = level.subcommand() {
            command = command.find_subcommand(name).unwrap_or(command);
            level = below;
        }
        let command = command.clone();
        let cli = Cli::from_arg_matches(&matches).map_err(|error| exit(error, &root))?;
        Ok(Self { cli, command })
    }
}

/// Prints what clap found, in plain words, and gives the exit code.
fn exit(error: Error, root: &clap::Command) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let is_help = !error.use_stderr();
    if say::is_mute() {
        return ExitCode::from(code);
    }
    let printed = plain(error, root).print();
    match say::delivered(printed) {
        Err(error) if is_help => {
            say!("error: {error:#}");
            ExitCode::FAILURE
        }
        _ => ExitCode::from(code),
    }
}

/// Numbers that Rust could not read, or that clap found out of range, get a sentence in place of "invalid digit found in string".
fn plain(error: Error, root: &clap::Command) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let found = text(ContextKind::InvalidValue);
    let Some(expected) = error.source().and_then(|cause| values::expectation(cause, found)) else { return error };
    let name = text(ContextKind::InvalidArg).split(' ').next().unwrap_or_default();
    let message = format!("{name} must be {expected} (found {found})");
    // The first words of the command line that name commands: their usage is the one to show.
    let mut command = root;
    for word in std::env::args().skip(1) {
        match command.find_subcommand(&word) {
            Some(below) => command = below,
            None => break,
        }
    }
    Error::raw(ErrorKind::ValueValidation, message).format(&mut command.clone())
}

/// Prints a usage error the way clap does, with the usage of the command that was called, and gives its exit code, 2.
pub(crate) fn usage(invocation: &mut clap::Command, message: &str) -> ExitCode {
    say::settle();
    let _ = invocation.error(ErrorKind::ValueValidation, message).print();
    ExitCode::from(2)
}
