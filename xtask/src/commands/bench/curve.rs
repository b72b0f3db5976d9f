//! `--curve`: a run of the trainer with the fast kernels follows the same run in double precision, for which Burn's own
//! operations are composed.

use std::process::{Command, ExitCode};

use anyhow::ensure;

use super::measured::read;

/// Steps over which losses are averaged: one batch's loss varies by tens of percent.
const WINDOW: usize = 20;

/// Largest relative difference of the averages.
const TOLERANCE: f64 = 1e-3;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let program = super::build(&[])?;
    let fast = read(Command::new(&program).arg("curve"))?.numbers("loss");
    let composed = read(Command::new(&program).args(["curve", "--composed"]))?.numbers("loss");
    ensure!(
        fast.len() == composed.len() && fast.len() >= WINDOW,
        "the runs were cut short: {} and {} steps",
        fast.len(),
        composed.len()
    );
    let (a, b) = (smooth(&fast), smooth(&composed));
    println!("| step | fast kernels, f32 | composed, f64 | relative difference |\n| ---: | ---: | ---: | ---: |");
    for step in (0..a.len()).rev().step_by(WINDOW).collect::<Vec<_>>().into_iter().rev() {
        println!("| {} | {:.6} | {:.6} | {:.1e} |", step + WINDOW, a[step], b[step], difference(a[step], b[step]));
    }
    let worst = a.iter().zip(&b).map(|(&a, &b)| difference(a, b)).fold(0.0, f64::max);
    println!(
        "\nLargest relative difference of the loss averaged over {WINDOW} steps: {worst:.1e} (at most {TOLERANCE:.0e})"
    );
    Ok(if worst <= TOLERANCE { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Means over every [`WINDOW`] steps in a row.
fn smooth(losses: &[f64]) -> Vec<f64> {
    losses.windows(WINDOW).map(|window| window.iter().sum::<f64>() / WINDOW as f64).collect()
}

fn difference(a: f64, b: f64) -> f64 {
    ((a - b) / b).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_run_over_the_window() {
        let losses: Vec<f64> = (1..=22).map(f64::from).collect();
        assert_eq!(smooth(&losses), [10.5, 11.5, 12.5]);
        assert!((difference(1.01, 1.0) - 0.01).abs() < 1e-12);
    }
}
