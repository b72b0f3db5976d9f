//! `sfumato schedule`

mod check;
mod compare;
mod plot;
mod show;
mod source;

use anyhow::Result;

use crate::args::{ScheduleArgs, ScheduleCommand};

pub(crate) fn run(args: ScheduleArgs) -> Result<()> {
    match args.command {
        ScheduleCommand::Show(args) => show::run(&args),
        ScheduleCommand::Plot(args) => plot::run(&args),
        ScheduleCommand::Compare(args) => compare::run(&args),
        ScheduleCommand::Check(args) => check::run(&args),
    }
}
