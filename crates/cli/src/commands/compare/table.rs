//! The result for people.

use sfumato_evaluate::{Paired, PairedBound};

use super::{Comparison, verdict};
use crate::commands::eval::words::{row, steps_name};

pub(super) fn table(compared: &Comparison, bound: &PairedBound) -> String {
    let parts = parts(bound, compared.continuous).map(|(name, _, part)| (name, part.bits_per_dim(compared.dimensions)));
    let total = bound.total.bits_per_dim(compared.dimensions);
    let mut lines = compared.rows.clone();
    lines.push(row("paired by", paired_by(compared).to_owned()));
    lines.push(String::new());
    lines.push(format!(
        "{:<20} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "bits/dim", "A", "B", "B - A", "±", "± unpaired", "correlation"
    ));
    // As many decimals as show two digits of the total's error, and never fewer than eval has.
    let digits = total.difference.standard_error.map_or(5, verdict::digits).clamp(5, 9);
    for (name, part) in parts {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        lines.push(format!(
            "{name:<20} {:>12.digits$} {:>12.digits$} {:>12.digits$} {:>12} {:>12} {:>12}",
            part.a.mean,
            part.b.mean,
            part.difference.mean,
            number(part.difference.standard_error),
            number(part.unpaired_standard_error()),
            part.correlation.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
        ));
    }
    lines.push(String::new());
    lines.push(format!("± is the standard error of the mean of B - A over {} examples.", total.difference.count));
    lines.extend(saved(&total));
    if !compared.discrete {
        lines.push("The data is continuous: these are bounds on a density.".to_owned());
    }
    lines.extend(
        compared
            .work
            .map(|(evaluations, seconds)| format!("{evaluations} evaluations of the networks in {seconds:.1} s.")),
    );
    lines.push(String::new());
    lines.push(verdict::sentence(&total, &compared.extent));
    lines.join("\n") + "\n"
}

/// The parts of the bound, with their names for people and for programs.
pub(super) fn parts(bound: &PairedBound, continuous: bool) -> [(&'static str, &'static str, Paired); 4] {
    [
        ("prior, L_T", "prior", bound.prior),
        (steps_name(continuous), "diffusion", bound.diffusion),
        ("decoder, L_0", "decoder_term", bound.decoder),
        ("total", "total", bound.total),
    ]
}

fn paired_by(compared: &Comparison) -> &'static str {
    if compared.same_steps && compared.continuous {
        "the same examples, noise levels and noise"
    } else if compared.same_steps {
        "the same examples, steps and noise"
    } else if compared.continuous {
        "the same examples; the noise levels are not the same, as the schedules have different ends"
    } else {
        "the same examples; the steps are not the same, as the chains have different numbers of them, nor is the noise"
    }
}

/// What pairing was good for.
fn saved(total: &Paired) -> Option<String> {
    let (paired, unpaired) = (total.difference.standard_error?, total.unpaired_standard_error()?);
    let times = (unpaired / paired).powi(2);
    if !times.is_finite() {
        return None;
    }
    Some(match times {
        2.0.. => {
            let about = verdict::rounded_up(times.round() as u64);
            format!(
                "If each model had examples of its own, about {about} times as many would be needed to know it so well."
            )
        }
        1.0.. => "If each model had examples of its own, not even twice as many would be needed to know it so well."
            .to_owned(),
        _ => "Pairing does not help here: what is hard for one model is not hard for the other.".to_owned(),
    })
}
