//! The experiments, one file each.

mod adam;
mod bits_per_dim;
mod bound_convergence;
mod conformance;
mod diffusers_round_trip;
mod guidance;
mod likelihood;
mod objectives;
mod overfitting;
mod peer;
mod precision;
mod reference;
mod rows;
mod seeds;
mod torture;

use super::figures::Figures;
use super::nearest::nearest;
use super::work::Work;
use crate::commands::Usage;

/// Something that is measured, and whose numbers are kept.
#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) about: &'static str,
    /// About how long it takes, on two cores.
    pub(super) takes: &'static str,
    pub(super) run: fn(&Work, &mut Figures) -> anyhow::Result<()>,
}

/// Every experiment.
pub(super) static EXPERIMENTS: [Experiment; 14] = [
    Experiment {
        name: "bits-per-dim",
        about: "the bound of the default model, by strata and decoder, and beside an independent computation",
        takes: "20 min",
        run: bits_per_dim::run,
    },
    Experiment {
        name: "bound-convergence",
        about: "the bound of a perfect denoiser against the truth",
        takes: "2 min",
        run: bound_convergence::run,
    },
    Experiment {
        name: "conformance",
        about: "the largest differences from diffusers (needs Python)",
        takes: "2 min",
        run: conformance::run,
    },
    Experiment {
        name: "diffusers-round-trip",
        about: "models trained here, drawn by diffusers (needs Python)",
        takes: "8 min",
        run: diffusers_round_trip::run,
    },
    Experiment { name: "torture", about: "runs that are killed, cut and crashed", takes: "3 min", run: torture::run },
    Experiment {
        name: "reference",
        about: "the default preset: bits/dim, distances of its samples, and a grid of them",
        takes: "25 min",
        run: reference::run,
    },
    Experiment {
        name: "adam",
        about: "the recipe of the default preset before Muon and strata, for as many steps",
        takes: "25 min",
        run: adam::run,
    },
    Experiment {
        name: "likelihood",
        about: "the preset `likelihood` after the steps of ten minutes, and of an hour",
        takes: "90 min",
        run: likelihood::run,
    },
    Experiment {
        name: "guidance",
        about: "the same network with classes, and guidance from 1 to 4",
        takes: "35 min",
        run: guidance::run,
    },
    Experiment {
        name: "seeds",
        about: "which figures tell models apart: two seeds, a model after 200 steps, and copies",
        takes: "40 min",
        run: seeds::run,
    },
    Experiment {
        name: "overfitting",
        about: "500 pictures and a long training: held-out figures and the best checkpoint",
        takes: "25 min",
        run: overfitting::run,
    },
    Experiment {
        name: "objectives",
        about: "one budget of steps, twelve recipes, two seeds of each",
        takes: "1 h",
        run: objectives::run,
    },
    Experiment {
        name: "precision",
        about: "the default preset trained in f32 and in bf16 (needs a processor with AMX)",
        takes: "45 min",
        run: precision::run,
    },
    Experiment {
        name: "peer",
        about: "the default preset beside PyTorch and diffusers, in the same time (needs Python)",
        takes: "45 min",
        run: peer::run,
    },
];

/// Those that `cargo xtask ci` runs in small: they need no Python, and no program that is not built yet.
pub(super) const SHORT: [&str; 4] = ["reference", "guidance", "seeds", "overfitting"];

/// The names of all.
pub(super) fn names() -> Vec<&'static str> {
    EXPERIMENTS.iter().map(|experiment| experiment.name).collect()
}

/// An experiment by its name; a usage error with the names that somebody may have meant.
pub(super) fn find(name: &str) -> anyhow::Result<&'static Experiment> {
    if let Some(found) = EXPERIMENTS.iter().find(|experiment| experiment.name == name) {
        return Ok(found);
    }
    let near: Vec<String> = nearest(name, &names()).iter().map(|name| format!("`{name}`")).collect();
    let hint = if near.is_empty() { ".".to_owned() } else { format!("; did you mean {}?", near.join(" or ")) };
    let all = names().join(", ");
    Err(Usage(format!("there is no experiment `{name}`{hint} There are {all}.")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_the_short_ones_exist() {
        let mut names = names();
        assert!(SHORT.iter().all(|name| names.contains(name)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EXPERIMENTS.len());
    }
}
