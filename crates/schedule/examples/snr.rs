//! Plots the signal-to-noise ratio of a cosine schedule: `cargo run --example snr > snr.svg`.

use sfumato_schedule::{Cosine, ScheduleConfig, ScheduleError};

/// The curve of `log10 SNR`, from 4 at the top to -4 at the bottom, as an SVG picture.
pub(crate) fn plot(steps: usize) -> Result<String, ScheduleError> {
    let schedule = ScheduleConfig::from(Cosine { steps, ..Cosine::default() }).build()?;
    let point = |t: usize| {
        let x = 400.0 * t as f64 / steps as f64;
        format!("{x:.1},{:.1}", 100.0 - 25.0 * schedule.snr(t).log10().clamp(-4.0, 4.0))
    };
    let points: Vec<String> = (1..=schedule.steps()).map(point).collect();
    let curve = format!("<polyline fill='none' stroke='black' points='{}'/>", points.join(" "));
    Ok(format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 400 200'>{curve}</svg>"))
}

#[allow(dead_code)] // a test calls `plot`
fn main() -> Result<(), ScheduleError> {
    plot(1000).map(|picture| println!("{picture}"))
}
