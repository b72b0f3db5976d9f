//! The recipes that are compared.

/// A way to train the default network.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// What it changes.
    pub(super) about: &'static str,
    /// Arguments of `sfumato train`.
    pub(super) settings: &'static str,
    /// What is trained on smaller pictures before.
    pub(super) small_first: Option<SmallFirst>,
    /// What is done with the trained model before it is scored.
    pub(super) then: Then,
}

/// Training on small pictures that goes on with large ones, for as long as [`Recipe`]s without it take.
pub(super) struct SmallFirst {
    pub(super) side: usize,
    /// Steps on small pictures, which cost a quarter.
    pub(super) steps: u64,
    /// Steps after them.
    pub(super) then: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    Nothing,
    /// The variances are fitted.
    Fit,
    /// Weights averaged with this width take the place of its own.
    Average(&'static str),
}

const fn recipe(name: &'static str, about: &'static str, settings: &'static str) -> Recipe {
    Recipe { name, about, settings, small_first: None, then: Then::Nothing }
}

/// Steps and ends of the linear schedule with four times as many steps.
const T_4000: &str = "--set diffusion.schedule.steps=4000 --set diffusion.schedule.beta_start=2.5e-5 --set diffusion.schedule.beta_end=0.005";

/// The first one is what the others are compared with.
pub(super) const RECIPES: &[Recipe] = &[
    recipe("base", "linear schedule, noise, simple", ""),
];
