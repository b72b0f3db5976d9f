//! Words and values that the reports of several commands have in common.

use serde_json::{Value, json};
use sfumato_data::{ImageSize, Resizing};
use sfumato_process::bound::{Decoder, Mean};
use sfumato_schedule::probability::LikelihoodCdf;

/// What stands between prior and decoder.
pub(in crate::commands) fn steps_name(continuous: bool) -> &'static str {
    if continuous { "integral, continuous" } else { "steps, sum L_(t-1)" }
}

/// A mean of so many nats, in both units.
pub(in crate::commands) fn mean_json(mean: Mean, dimensions: usize) -> Value {
    let bits = mean.bits_per_dim(dimensions);
    json!({
        "nats": mean.mean,
        "nats_standard_error": mean.standard_error,
        "bits_per_dim": bits.mean,
        "bits_per_dim_standard_error": bits.standard_error,
        "count": mean.count,
    })
}

/// How pictures were brought to the model's size.
pub(super) fn resized(resizing: &Resizing) -> Value {
    let size = |size: ImageSize| json!([size.height, size.width]);
    json!({
        "resized_pictures": resizing.pictures,
        "of": resizing.of,
        "smallest": size(resizing.smallest),
        "largest": size(resizing.largest),
        "to": size(resizing.to),
        "method": resizing.method,
        "cut_pictures": resizing.cut,
        "largest_cut": resizing.largest_cut,
    })
}

pub(in crate::commands) fn row(name: &str, value: String) -> String {
    format!("{name:<10} {value}")
}

pub(in crate::commands) fn decoder_name(decoder: Decoder) -> &'static str {
    match decoder {
        Decoder::Discretized(LikelihoodCdf::Exact) => "discretised Gaussian on 256 levels, exact",
        Decoder::Discretized(LikelihoodCdf::Tanh) => {
            "discretised Gaussian on 256 levels, tanh approximation with floor 1e-12"
        }
        Decoder::Gaussian => "Gaussian density",
    }
}

/// An enum's name in configuration files.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
