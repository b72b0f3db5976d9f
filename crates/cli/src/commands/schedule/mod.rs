//! `sfumato schedule`

mod check;
mod compare;
mod plot;
mod show;
mod source;

use std::io::{BufWriter, Error, ErrorKind, StdoutLock, Write, stdout};

use anyhow::{Context, Result};

use crate::args::{ScheduleArgs, ScheduleCommand};

pub(crate) fn run(args: ScheduleArgs) -> Result<()> {
    match args.command {
        ScheduleCommand::Show(args) => show::run(&args),
        ScheduleCommand::Plot(args) => plot::run(&args),
        ScheduleCommand::Compare(args) => compare::run(&args),
        ScheduleCommand::Check(args) => check::run(&args),
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn print(write: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> Result<(), Error>) -> Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
