//! `sfumato schedule`

mod check;
mod compare;
mod learn;
mod plot;
mod show;
pub(super) mod source;

use anyhow::Result;

use crate::args::{ScheduleArgs, ScheduleCommand};

pub(crate) fn run(args: ScheduleArgs) -> Result<()> {
    match args.command {
        ScheduleCommand::Show(args) => show::run(&args),
        ScheduleCommand::Plot(args) => plot::run(&args),
        ScheduleCommand::Compare(args) => compare::run(&args),
        ScheduleCommand::Check(args) => check::run(&args),
        ScheduleCommand::Learn(args) => learn::run(&args),
    }
}
