//! `sfumato schedule show`

use std::io::{Result as IoResult, Write};

use anyhow::Result;
use serde_json::{Map, Value};
use sfumato_schedule::NoiseSchedule;

use super::source::Source;
use crate::{
    args::{Format, ShowArgs},
    say,
};

/// Rows of a table if nothing is said: what fits a screen.
const TABLE_ROWS: usize = 20;

pub(super) fn run(args: &ShowArgs) -> Result<()> {
    let text = args.config.as_ref().map_or_else(|| args.schedule.clone(), |path| path.display().to_string());
    let source = Source::find(&text, args.steps)?;
    let schedule = source.build()?;
    let steps = schedule.steps();
    let every =
        args.every.map_or(if args.format == Format::Table { steps.div_ceil(TABLE_ROWS) } else { 1 }, |n| n as usize);
    let rows: Vec<usize> = (1..=steps).filter(|t| *t == 1 || *t == steps || t.is_multiple_of(every)).collect();
    say::result(|out| match args.format {
        Format::Table => table(out, &source.label, &schedule, &rows),
        Format::Csv => csv(out, &schedule, &rows),
        Format::Json => json(out, &schedule, &rows),
    })
}

/// Every coefficient of step `t` by its name, in the order of the columns; all but `t` are real numbers.
fn coefficients(schedule: &NoiseSchedule, t: usize) -> [(&'static str, f64); 12] {
    let c = schedule.coefficients(t);
    [
        ("beta", c.beta),
        ("alpha", c.alpha),
        ("alpha_bar", c.alpha_bar),
        ("one_minus_alpha_bar", c.one_minus_alpha_bar),
        ("snr", c.snr),
        ("log_snr", c.log_snr),
        ("posterior_variance", c.posterior_variance),
        ("posterior_log_variance", c.posterior_log_variance),
        ("posterior_mean_x_0", c.posterior_mean_x_0),
        ("posterior_mean_x_t", c.posterior_mean_x_t),
        ("x_0_error_weight", schedule.x_0_error_weight(t)),
        ("unit_variance_bound_term", schedule.unit_variance_bound_term(t)),
    ]
}

fn table(out: &mut impl Write, label: &str, schedule: &NoiseSchedule, rows: &[usize]) -> IoResult<()> {
    writeln!(out, "{label}: T = {}, alpha_bar_T = {:.3e}\n", schedule.steps(), schedule.alpha_bar(schedule.steps()))?;
    writeln!(
        out,
        "{:>6} {:>11} {:>11} {:>11} {:>8} {:>11} {:>11} {:>11}",
        "t", "beta", "alpha_bar", "snr", "log_snr", "beta_tilde", "mean: x_0", "mean: x_t"
    )?;
    for &t in rows {
        let c = schedule.coefficients(t);
        writeln!(
            out,
            "{t:>6} {:>11.4e} {:>11.4e} {:>11.4e} {:>8.3} {:>11.4e} {:>11.4e} {:>11.4e}",
            c.beta, c.alpha_bar, c.snr, c.log_snr, c.posterior_variance, c.posterior_mean_x_0, c.posterior_mean_x_t
        )?;
    }
    Ok(())
}

fn csv(out: &mut impl Write, schedule: &NoiseSchedule, rows: &[usize]) -> IoResult<()> {
    let names = coefficients(schedule, 1).map(|(name, _)| name);
    writeln!(out, "t,{}", names.join(","))?;
    for &t in rows {
        // `{:?}` prints the shortest digits that read back as the same number, and `inf`.
        let values = coefficients(schedule, t).map(|(_, value)| format!("{value:?}"));
        writeln!(out, "{t},{}", values.join(","))?;
    }
    Ok(())
}

/// JSON has no infinity, which becomes `null`.
fn json(out: &mut impl Write, schedule: &NoiseSchedule, rows: &[usize]) -> IoResult<()> {
    let object = |t: usize| {
        let numbers = coefficients(schedule, t).map(|(name, value)| (name.to_owned(), value.into()));
        Value::Object(std::iter::once(("t".to_owned(), t.into())).chain(numbers).collect::<Map<_, _>>())
    };
    let objects: Vec<Value> = rows.iter().map(|&t| object(t)).collect();
    serde_json::to_writer_pretty(&mut *out, &objects)?;
    writeln!(out)
}
