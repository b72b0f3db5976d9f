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

impl Recipe {
    /// The recipe whose runs it takes: its own, or the first one's if it changes nothing in the training.
    pub(super) fn trained_as(&self) -> &'static str {
        match self.then {
            Then::Nothing => self.name,
            Then::Fit | Then::Average(_) => RECIPES[0].name,
        }
    }
}

/// Training on small pictures that goes on with large ones, for as long as [`Recipe`]s without it take.
pub(super) struct SmallFirst {
    pub(super) side: usize,
    /// Steps on small pictures, which cost a third.
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

/// The first one is what the others are compared with.
pub(super) const RECIPES: [Recipe; 12] = [
    // Averages of two widths are kept beside, for the recipe that takes one: the training is the same without.
    recipe("base", "noise, linear schedule, simple", "--set averages.widths=[0.05,0.1]"),
    recipe("stratified", "stratified steps", "--set objective.density=stratified"),
    recipe("bound", "weight bound, stratified", "--weight bound --set objective.density=stratified"),
    recipe(
        "v-cosine",
        "v, cosine schedule",
        "--set diffusion.parameterization=v --set diffusion.schedule={kind=\"cosine\",steps=1000}",
    ),
    recipe(
        "steps-4000",
        "T = 4000, betas a quarter as large",
        "--set diffusion.schedule.steps=4000 --set diffusion.schedule.beta_start=2.5e-5 --set diffusion.schedule.beta_end=0.005",
    ),
    recipe("learned-range", "learned range, hybrid", "--variance learned-range"),
    recipe("rate", "twice the learning rate", "--learning-rate 2e-3"),
    recipe("muon", "Muon", "--set optimizer.method=muon"),
    recipe(
        "likelihood",
        "Muon, even steps in log SNR, learned range, stratified (the preset likelihood)",
        "--set optimizer.method=muon --schedule linear-log-snr --variance learned-range --set objective.density=stratified",
    ),
    Recipe { then: Then::Fit, ..recipe("fit", "variances fitted afterwards", "") },
    Recipe { then: Then::Average("0.1"), ..recipe("average", "average of width 0.1", "") },
    Recipe {
        small_first: Some(SmallFirst { side: 16, steps: 300, then: 202 }),
        ..recipe("small-first", "16×16 pictures for a third of the time", "")
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn recipes_have_names_of_their_own() {
        let names: HashSet<&str> = RECIPES.iter().flat_map(|recipe| [recipe.name, recipe.about]).collect();
        assert_eq!(names.len(), 2 * RECIPES.len());
    }

    #[test]
    fn small_pictures_take_no_more_time() {
        for small in RECIPES.iter().filter_map(|recipe| recipe.small_first.as_ref()) {
            assert!((small.side * small.side) as u64 * small.steps + 784 * small.then <= 784 * super::super::STEPS[1]);
        }
    }
}
