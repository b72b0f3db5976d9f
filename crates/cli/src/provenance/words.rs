//! The line that viewers of pictures show: names and order are those that other programs of the field write.

use super::{ClassSetting, Provenance};

/// The keyword of the line.
pub(super) const KEYWORD: &str = "parameters";
/// Letters of a checksum that are shown.
const SHOWN: usize = 10;

/// Such as `Steps: 50, Sampler: ddpm, CFG scale: 2, Seed: 7, Index: 3, Size: 28x28, Model hash: 0123456789, Version: Sfumato 0.1.0`;
/// `size` is height and width.
pub(super) fn parameters(made: &Provenance, size: Option<[usize; 2]>) -> String {
    let settings = &made.settings;
    let mut parts = vec![format!("Steps: {}", settings.steps), format!("Sampler: {}", settings.sampler)];
    let list = |values: Vec<String>| values.join(" ");
    if let Some(weights) = &settings.guidance {
        parts.push(format!("CFG scale: {}", list(weights.all().iter().map(f64::to_string).collect())));
    }
    if let Some(seeds) = &settings.seed {
        parts.push(format!("Seed: {}", list(seeds.all().iter().map(u64::to_string).collect())));
    }
    if let Some(index) = made.index {
        parts.push(format!("Index: {index}"));
    }
    match &settings.class {
        Some(ClassSetting::One(class)) => parts.push(format!("Class: {class}")),
        Some(ClassSetting::Turns(words)) => parts.push(format!("Class: {words}")),
        None => {}
    }
    if let Some([height, width]) = size {
        parts.push(format!("Size: {width}x{height}"));
    }
    parts.push(format!("Model hash: {}", settings.model.weights().get(..SHOWN).unwrap_or_default()));
    parts.push(format!("Version: Sfumato {}", made.program.version));
    parts.join(", ")
}
