//! Configurations that come with the program.

use sfumato_schedule::nearest;

use crate::TrainError;

/// A named configuration.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    /// What it sets; the rest keeps its default.
    pub toml: &'static str,
}

/// The preset that a bare `sfumato train` uses.
pub const DEFAULT_PRESET: &str = "fashion-mnist-mini";

const QUALITY: &str = include_str!("../../presets/quality.toml");

/// Every preset.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: DEFAULT_PRESET,
        about: "garments from the embedded images, in ten minutes on two cores; the same as quality",
        toml: QUALITY,
    },
    Preset { name: "quality", about: "the same, by what it is for: good pictures", toml: QUALITY },
    Preset {
        name: "likelihood",
        about: "the same network and time for the fewest bits/dim: log SNR in even steps, learned variances",
        toml: include_str!("../../presets/likelihood.toml"),
    },
    Preset {
        name: "fashion-mnist",
        about: "the same network on all 60,000 training images, for an hour or more",
        toml: include_str!("../../presets/fashion-mnist.toml"),
    },
    Preset {
        name: "swiss-roll",
        about: "a 2-D toy with an MLP, in under a minute",
        toml: include_str!("../../presets/swiss-roll.toml"),
    },
    Preset {
        name: "ddpm-cifar10",
        about: "the CIFAR-10 model of Ho et al. (2020): 35.7M parameters, for a GPU",
        toml: include_str!("../../presets/ddpm-cifar10.toml"),
    },
];

impl Preset {
    /// Looks a preset up by name.
    ///
    /// # Errors
    /// [`TrainError::UnknownPreset`] with the names there are.
    pub fn find(name: &str) -> Result<&'static Self, TrainError> {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| TrainError::UnknownPreset {
            name: name.to_owned(),
            hint: nearest(name, &names).map_or_else(|| ".".to_owned(), |name| format!(": did you mean '{name}'?")),
            known: names.join(", "),
        })
    }
}
