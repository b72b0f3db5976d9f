//! The architecture as two tables: what there is, and what it costs.

use std::io::{Result as IoResult, Write};

use serde_json::{Value, json};
use sfumato_nets::unet::{BlockSummary, Summary};

/// One row a block in each table, and one for all of them.
pub(super) fn print(out: &mut impl Write, summary: &Summary) -> IoResult<()> {
    writeln!(out, "{:<16} {:>11} {:>8}  contents", "block", "size", "channels")?;
    for BlockSummary { name, contents, resolution, channels, .. } in &summary.blocks {
        let size = resolution.map_or_else(String::new, |[height, width]| format!("{height}x{width}"));
        writeln!(out, "{name:<16} {size:>11} {channels:>8}  {contents}")?;
    }
    writeln!(out, "\nfor one image, in f32:")?;
    let head = ["parameters", "weights", "activations", "multiply-adds"];
    writeln!(out, "{:<16} {:>12} {:>10} {:>11} {:>14}", "block", head[0], head[1], head[2], head[3])?;
    let mut line = |name: &str, parameters: u64, activations: u64, multiply_adds: u64| {
        let (weights, kept) = (mib(4 * parameters), mib(4 * activations));
        writeln!(out, "{name:<16} {parameters:>12} {weights:>10} {kept:>11} {:>14}", count(multiply_adds))
    };
    for block in &summary.blocks {
        line(&block.name, block.parameters, block.activations, block.multiply_adds)?;
    }
    line("all", summary.parameters(), summary.activations(), summary.multiply_adds())
}

pub(super) fn block_json(block: &BlockSummary) -> Value {
    json!({
        "name": block.name,
        "contents": block.contents,
        "resolution": block.resolution,
        "channels": block.channels,
        "parameters": block.parameters,
        "activations": block.activations,
        "multiply_adds": block.multiply_adds,
    })
}

/// Bytes in units of 2^20.
pub(super) fn mib(bytes: u64) -> String {
    let value = bytes as f64 / f64::from(1 << 20);
    if value < 10.0 { format!("{value:.2} MiB") } else { format!("{value:.0} MiB") }
}

/// A number in thousands, millions or billions.
fn count(n: u64) -> String {
    let value = n as f64;
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1} k", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value / 1e6),
        _ => format!("{:.2} G", value / 1e9),
    }
}
