//! The architecture as a table.

use serde_json::{Value, json};
use sfumato_nets::unet::{BlockSummary, Summary};

/// One row a block, and one for all of them.
pub(super) fn print(summary: &Summary) {
    let head = ["block", "size", "channels", "parameters", "weights", "activations", "multiply-adds"];
    let line = |cells: [&str; 7], contents: &str| {
        let [name, size, channels, parameters, weights, activations, products] = cells;
        println!(
            "{name:<16} {size:>9} {channels:>9} {parameters:>11} {weights:>10} {activations:>11} {products:>14}  {contents}"
        );
    };
    line(head, "contents");
    for BlockSummary { name, contents, resolution, channels, parameters, activations, multiply_adds } in &summary.blocks
    {
        let size = resolution.map_or_else(String::new, |[height, width]| format!("{height}x{width}"));
        let cells = [&channels.to_string(), &parameters.to_string(), &mib(4 * parameters), &mib(4 * activations)];
        let [channels, parameters, weights, activations] = cells.map(String::as_str);
        line([name, &size, channels, parameters, weights, activations, &count(*multiply_adds)], contents);
    }
    let (parameters, activations) = (summary.parameters(), summary.activations());
    let cells = [&parameters.to_string(), &mib(4 * parameters), &mib(4 * activations), &count(summary.multiply_adds())];
    let [parameters, weights, activations, products] = cells.map(String::as_str);
    line(["all", "", "", parameters, weights, activations, products], "for one image, in f32");
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
