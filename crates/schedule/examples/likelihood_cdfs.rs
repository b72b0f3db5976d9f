//! Where the exact discretised likelihood and DDPM's tanh approximation differ.
//!
//! Prints a Markdown table; `cargo xtask evidence bits-per-dim` takes its numbers.

use sfumato_schedule::{
    ScheduleConfig, ScheduleError,
    probability::{LikelihoodCdf, discretized_log_likelihood, level_value, nats_to_bits},
};

/// A level in the middle of the scale, so that neither end plays a part.
const LEVEL: u8 = 128;

fn main() -> Result<(), ScheduleError> {
    let schedule = ScheduleConfig::default().build()?;
    let sigma = (0.5 * schedule.posterior_log_variance(1)).exp();
    println!(
        "Bits for one pixel, σ = {sigma:.5} = {:.2} levels (the default schedule's last step), by the distance of the mean:\n",
        127.5 * sigma
    );
    println!("| levels off | σ off | exact | tanh | tanh - exact |");
    println!("|---:|---:|---:|---:|---:|");
    for levels in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0, 16.0, 32.0] {
        let distance = levels / 127.5;
        let bits =
            |cdf| -nats_to_bits(discretized_log_likelihood(LEVEL, level_value(LEVEL) - distance, sigma.ln(), cdf));
        let (exact, tanh) = (bits(LikelihoodCdf::Exact), bits(LikelihoodCdf::Tanh));
        println!("| {levels} | {:.2} | {exact:.4} | {tanh:.4} | {:+.4} |", distance / sigma, tanh - exact);
    }
    Ok(())
}
