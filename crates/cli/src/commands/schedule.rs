//! `sfumato schedule`

use std::io::{BufWriter, Write, stdout};

use anyhow::{Context, Result};
use sfumato_schedule::{Coefficients, NoiseSchedule, ScheduleConfig};
use sfumato_train::TrainConfig;

use crate::args::{Format, ScheduleArgs, ScheduleCommand, ShowArgs, UsageError};

/// Rows of a table if nothing is said: what fits a screen.
const TABLE_ROWS: usize = 20;

pub(crate) fn run(args: ScheduleArgs) -> Result<()> {
    match args.command {
        ScheduleCommand::Show(args) => show(&args),
    }
}

fn show(args: &ShowArgs) -> Result<()> {
    let config = config(args)?;
    let schedule = config.build().with_context(|| format!("schedule {}", config.name()))?;
    let steps = schedule.steps();
    let every =
        args.every.map_or(if args.format == Format::Table { steps.div_ceil(TABLE_ROWS) } else { 1 }, |n| n as usize);
    let rows: Vec<usize> = (1..=steps).filter(|t| *t == 1 || *t == steps || t.is_multiple_of(every)).collect();
    let mut out = BufWriter::new(stdout().lock());
    let written = match args.format {
        Format::Table => table(&mut out, &config, &schedule, &rows),
        Format::Csv => csv(&mut out, &schedule, &rows),
        Format::Json => json(&mut out, &schedule, &rows),
    };
    match written.and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the table"),
    }
}

fn config(args: &ShowArgs) -> Result<ScheduleConfig> {
    if let Some(path) = &args.config {
        return Ok(TrainConfig::read(path)?.diffusion.schedule);
    }
    let config: ScheduleConfig = args.name.parse().map_err(|error| UsageError(format!("{error}")))?;
    Ok(match args.steps {
        Some(steps) => config.with_steps(steps).map_err(|error| UsageError(error.to_string()))?,
        None => config,
    })
}

const COLUMNS: [&str; 8] =
    ["t", "beta", "alpha_bar", "snr", "log_snr", "posterior_variance", "posterior_mean_x_0", "posterior_mean_x_t"];

fn numbers(c: &Coefficients) -> [f64; 7] {
    [c.beta, c.alpha_bar, c.snr, c.log_snr, c.posterior_variance, c.posterior_mean_x_0, c.posterior_mean_x_t]
}

fn table(
    out: &mut impl Write,
    config: &ScheduleConfig,
    schedule: &NoiseSchedule,
    rows: &[usize],
) -> std::io::Result<()> {
    writeln!(out, "{config}: T = {}, alpha_bar_T = {:.3e}\n", schedule.steps(), schedule.alpha_bar(schedule.steps()))?;
    writeln!(
        out,
        "{:>6} {:>11} {:>11} {:>11} {:>8} {:>11} {:>11} {:>11}",
        "t", "beta", "alpha_bar", "snr", "log_snr", "beta_tilde", "mean: x_0", "mean: x_t"
    )?;
    for &t in rows {
        let [beta, alpha_bar, snr, log_snr, variance, x_0, x_t] = numbers(&schedule.coefficients(t));
        writeln!(
            out,
            "{t:>6} {beta:>11.4e} {alpha_bar:>11.4e} {snr:>11.4e} {log_snr:>8.3} {variance:>11.4e} {x_0:>11.4e} {x_t:>11.4e}"
        )?;
    }
    Ok(())
}

fn csv(out: &mut impl Write, schedule: &NoiseSchedule, rows: &[usize]) -> std::io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for &t in rows {
        // `{:?}` prints the shortest digits that read back as the same number.
        let values: Vec<String> = numbers(&schedule.coefficients(t)).iter().map(|value| format!("{value:?}")).collect();
        writeln!(out, "{t},{}", values.join(","))?;
    }
    Ok(())
}

fn json(out: &mut impl Write, schedule: &NoiseSchedule, rows: &[usize]) -> std::io::Result<()> {
    let objects: Vec<serde_json::Value> = rows
        .iter()
        .map(|&t| {
            let values = numbers(&schedule.coefficients(t));
            let names = COLUMNS[1..].iter().map(|name| (*name).to_owned());
            let object = std::iter::once(("t".to_owned(), t.into())).chain(names.zip(values.map(Into::into)));
            serde_json::Value::Object(object.collect())
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &objects)?;
    writeln!(out)
}
