//! `sfumato`: train, sample and inspect denoising diffusion models.

// They panic on a stream that is closed or full.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Not forbidden: an allocator is an unsafe trait.
#![deny(unsafe_code)]
#![recursion_limit = "256"]

#[macro_use]
mod say;

#[allow(unsafe_code)]
mod allocator;
mod args;
mod backend;
mod backend_name;
mod bar;
mod chart;
mod class;
mod commands;
mod environment;
mod group;
#[cfg(feature = "cubecl")]
mod kernel_settings;
mod loaded;
mod output_dir;
mod picture_files;
mod precision;
mod progress;
mod provenance;
mod regret_curves;
mod report;
mod signals;
mod tensorboard;

use std::process::ExitCode;

use sfumato_train::ranks::Ranks;

use crate::args::{Command, Invocation};

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    signals::survive_file_limit();
    let group = match group::start() {
        Ok(group) => group,
        Err(error) => {
            say::error(format_args!("error: {}", message(&error)));
            say::settle();
            return ExitCode::FAILURE;
        }
    };
    let code = called(&*group);
    say::settle();
    code
}

/// Does what the command line asks for, as one of `ranks`.
fn called(ranks: &dyn Ranks) -> ExitCode {
    let (cli, mut called) = match Invocation::from_env() {
        Ok(Invocation { cli, command }) => (cli, command),
        // Help, or a mistake that every rank has found.
        Err(code) => return code,
    };
    init_log();
    let result = match cli.command {
        _ if cli.version => environment::print_version(cli.json),
        Some(command) => group::guarded(ranks, || run(command, ranks)),
        None => return args::usage(&mut called, "a command is needed"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<group::Ended>() => {
            error.downcast_ref::<group::Ended>().map_or(ExitCode::FAILURE, |ended| ended.code())
        }
        Err(error) if !ranks.is_alone() => group::die(ranks, &message(&error)),
        Err(error) => match error.downcast_ref::<args::UsageError>() {
            Some(usage) => args::usage(&mut called, &usage.0),
            None => {
                say!("error: {}", message(&error));
                ExitCode::FAILURE
            }
        },
    }
}

/// The error and its causes in one line; what a message has quoted of its cause is not said twice.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        before if before.contains(&cause) => said,
        before => format!("{before}: {cause}"),
    })
}

fn run(command: Command, ranks: &dyn Ranks) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => commands::train::run(args, ranks),
        Command::Sample(args) => commands::sample::run(*args, ranks),
        Command::Eval(args) => commands::eval::run(args, ranks),
        // Rank 0 does the others by itself.
        _ if !ranks.leads() => Ok(()),
        Command::Encode(args) => commands::encode::run(&args),
        Command::Interpolate(args) => commands::interpolate::run(&args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Schedule(args) => commands::schedule::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Average(args) => commands::average::run(&args),
        Command::Info(args) => commands::info::run(args),
        Command::Report(args) => commands::report::run(&args),
        Command::Serve(args) => commands::serve::run(args),
    }
}

/// Warnings of the libraries go to stderr as plain lines; `SFUMATO_LOG=debug` shows more.
fn init_log() {
    let level = std::env::var("SFUMATO_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::WARN);
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| say::Stderr)
        .log_internal_errors(false) // else a closed stderr panics
        .without_time()
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
