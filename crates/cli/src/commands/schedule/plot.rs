//! `sfumato schedule plot`

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;
use sfumato_schedule::{NoiseSchedule, probability::nats_to_bits};

use super::source::Source;
use crate::{
    args::{PlotArgs, Quantity},
    chart::{self, Figure, Panel, Scale, Series},
};

pub(super) fn run(args: &PlotArgs) -> Result<()> {
    chart::Format::of(&args.out)?; // before any work
    let sources = Source::find_all(&args.schedules, args.steps)?;
    let quantities = if args.quantity.is_empty() { Quantity::value_variants() } else { &args.quantity };
    draw(&args.out, &sources, quantities)?;
    out!("{}", args.out.display())
}

/// Draws the schedules over each other, with a panel for each quantity.
pub(super) fn draw(path: &Path, sources: &[Source], quantities: &[Quantity]) -> Result<()> {
    let schedules = sources.iter().map(Source::build).collect::<Result<Vec<_>>>()?;
    let steps = schedules[0].steps();
    // Chains of different lengths meet at their ends.
    let relative = schedules.iter().any(|schedule| schedule.steps() != steps);
    let panel = |quantity: &Quantity| Panel {
        title: title(*quantity).to_owned(),
        x_label: if relative { "t / T" } else { "step t" }.to_owned(),
        y_scale: scale(*quantity),
        series: schedules.iter().map(|schedule| series(schedule, *quantity, relative)).collect(),
    };
    let length = if relative { String::new() } else { format!(", T = {steps}") };
    let figure = Figure {
        title: format!("Noise schedule{}{length}", if sources.len() == 1 { "" } else { "s" }),
        names: sources.iter().map(|source| source.label.clone()).collect(),
        panels: quantities.iter().map(panel).collect(),
    };
    chart::write(path, &figure, &json!({ "schedules": figure.names, "steps": steps }))
}

fn series(schedule: &NoiseSchedule, quantity: Quantity, relative: bool) -> Series {
    let steps = schedule.steps();
    let x = |t: usize| if relative { t as f64 / steps as f64 } else { t as f64 };
    Series::line((1..=steps).map(|t| [x(t), value(schedule, quantity, t)]).collect())
}

/// The quantity at step `t`; 0 or infinite where it is not defined at the first step, which is then not drawn.
fn value(schedule: &NoiseSchedule, quantity: Quantity, t: usize) -> f64 {
    match quantity {
        Quantity::AlphaBar => schedule.alpha_bar(t),
        Quantity::Beta => schedule.beta(t),
        Quantity::LogSnr => schedule.log_snr(t),
        Quantity::PosteriorVariance => schedule.posterior_variance(t),
        Quantity::Bound => nats_to_bits(schedule.unit_variance_bound_term(t)),
    }
}

fn title(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::AlphaBar => "ᾱ, signal power",
        Quantity::Beta => "β, variance added by a step",
        Quantity::LogSnr => "ln SNR, nats",
        Quantity::PosteriorVariance => "posterior variance, βₜ (1 − ᾱₜ₋₁) / (1 − ᾱₜ)",
        Quantity::Bound => "share of the bound, bits/dim (unit variance)",
    }
}

fn scale(quantity: Quantity) -> Scale {
    match quantity {
        Quantity::AlphaBar | Quantity::LogSnr => Scale::Linear,
        Quantity::Beta | Quantity::PosteriorVariance | Quantity::Bound => Scale::Log,
    }
}
