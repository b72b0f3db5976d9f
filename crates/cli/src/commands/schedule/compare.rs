//! `sfumato schedule compare`

use std::io::{Result as IoResult, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use sfumato_schedule::{Finding, NoiseSchedule, probability::nats_to_bits};

use super::{check::Conditions, plot, source::Source};
use crate::{
    args::{CompareArgs, Format, Quantity},
    chart, say,
};

/// What tells a schedule apart, in a row.
#[derive(Clone, Debug, Serialize)]
struct Row {
    schedule: String,
    steps: usize,
    #[serde(rename = "beta_1")]
    beta_first: f64,
    #[serde(rename = "beta_T")]
    beta_last: f64,
    #[serde(rename = "alpha_bar_T")]
    alpha_bar_last: f64,
    /// First step at which there is more noise than signal, over `T`; none if there always is more signal.
    half_way: Option<f64>,
    /// `L_T` for the data.
    prior_bits_per_dim: f64,
    /// The sum over steps from 2 on for data of unit variance and a perfect denoiser.
    unit_variance_bits_per_dim: f64,
    findings: Vec<Finding>,
}

impl Row {
    fn of(source: &Source, schedule: &NoiseSchedule, conditions: &Conditions) -> Self {
        let steps = schedule.steps();
        let bound: f64 = (2..=steps).map(|t| schedule.unit_variance_bound_term(t)).sum();
        Self {
            schedule: source.label.clone(),
            steps,
            beta_first: schedule.beta(1),
            beta_last: schedule.beta(steps),
            alpha_bar_last: schedule.alpha_bar(steps),
            half_way: (1..=steps).find(|t| schedule.snr(*t) < 1.0).map(|t| t as f64 / steps as f64),
            prior_bits_per_dim: nats_to_bits(schedule.prior_kl(conditions.mean_square())),
            unit_variance_bits_per_dim: nats_to_bits(bound),
            findings: schedule.check(&conditions.for_source(source).0),
        }
    }
}

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    args.plot.as_deref().map(chart::Format::of).transpose()?; // before any work
    let sources = Source::find_all(&args.schedules, args.steps)?;
    let conditions = Conditions::of(&args.conditions)?;
    let rows =
        sources.iter().map(|source| Ok(Row::of(source, &source.build()?, &conditions))).collect::<Result<Vec<_>>>()?;
    if let Some(path) = &args.plot {
        plot::draw(path, &sources, Quantity::value_variants())?;
    }
    say::result(|out| match args.format {
        Format::Table => table(out, &rows, &conditions),
        Format::Csv => csv(out, &rows),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        }
    })
}

fn table(out: &mut impl Write, rows: &[Row], conditions: &Conditions) -> IoResult<()> {
    let width = rows.iter().map(|row| row.schedule.chars().count()).max().unwrap_or(0).max("schedule".len());
    writeln!(
        out,
        "{:<width$} {:>6} {:>10} {:>10} {:>11} {:>9} {:>10} {:>10} {:>9}",
        "schedule", "T", "beta_1", "beta_T", "alpha_bar_T", "SNR = 1", "L_T", "L_1..T-1", "findings"
    )?;
    for row in rows {
        let half_way = row.half_way.map_or_else(|| "never".to_owned(), |share| format!("{share:.3} T"));
        writeln!(
            out,
            "{:<width$} {:>6} {:>10.3e} {:>10.3e} {:>11.3e} {half_way:>9} {:>10.3e} {:>10.4} {:>9}",
            row.schedule,
            row.steps,
            row.beta_first,
            row.beta_last,
            row.alpha_bar_last,
            row.prior_bits_per_dim,
            row.unit_variance_bits_per_dim,
            row.findings.len()
        )?;
    }
    writeln!(
        out,
        "\nL_T: what x_T still tells about data of mean square {:.4}; L_1..T-1: the sum over the steps for data of unit variance \
         and a perfect denoiser; both in bits/dim.",
        conditions.mean_square()
    )?;
    for row in rows {
        for finding in &row.findings {
            writeln!(out, "{}: {finding}", row.schedule)?;
        }
    }
    Ok(())
}

fn csv(out: &mut impl Write, rows: &[Row]) -> IoResult<()> {
    writeln!(
        out,
        "schedule,steps,beta_1,beta_T,alpha_bar_T,half_way,prior_bits_per_dim,unit_variance_bits_per_dim,findings"
    )?;
    for row in rows {
        writeln!(
            out,
            "\"{}\",{},{:?},{:?},{:?},{},{:?},{:?},{}",
            row.schedule.replace('"', "\"\""),
            row.steps,
            row.beta_first,
            row.beta_last,
            row.alpha_bar_last,
            row.half_way.map_or_else(String::new, |share| format!("{share:?}")),
            row.prior_bits_per_dim,
            row.unit_variance_bits_per_dim,
            row.findings.len()
        )?;
    }
    Ok(())
}
