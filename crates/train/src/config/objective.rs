//! What is trained towards, and how often each noise level is visited.

use serde::{Deserialize, Serialize};
use sfumato_process::{
    Loss, ParameterError,
    objective::Weight,
    times::{Density, TimeSampler, TimesError},
};
use sfumato_schedule::NoiseSchedule;

use super::{DiffusionConfig, check};
use crate::TrainError;

/// What is trained towards.
///
/// `density` and `weight` are each a name, or a table of the name (`kind`) and its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// The loss; left out, `simple` for a fixed variance and `hybrid` for a learned one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// How often each noise level is visited: `uniform`, `stratified`, `importance`, `log-normal`, `laplace`. Once called `times`.
    #[serde(alias = "times")]
    pub density: Density,
    /// What the squared error counts at each noise level: `simple`, `bound`, `min-snr`, `p2`, `sigmoid`.
    #[serde(skip_serializing_if = "Weight::is_simple")]
    pub weight: Weight,
}

impl ObjectiveConfig {
    /// The loss, as set or usual.
    pub fn loss(&self, diffusion: &DiffusionConfig) -> Loss {
        let usual = if diffusion.variance.learned().is_some() { Loss::Hybrid } else { Loss::Simple };
        self.loss.unwrap_or(usual)
    }

    /// In a line, for people: what is minimised, and which steps are visited.
    pub fn describe(&self, diffusion: &DiffusionConfig) -> String {
        let loss = match self.loss(diffusion) {
            Loss::Simple => "simple",
            Loss::Hybrid => "hybrid",
            Loss::Vlb => "vlb",
        };
        let weight = if self.weight.is_simple() { String::new() } else { format!(", weight {}", self.weight) };
        format!("{loss}{weight}; steps {}", self.density)
    }

    /// What the loss of a run is, where it is not the mean square of the prediction's error: in a few words.
    pub fn other_loss(&self, diffusion: &DiffusionConfig) -> Option<String> {
        let parts = [
            match self.loss(diffusion) {
                Loss::Simple => None,
                Loss::Hybrid => Some("hybrid".to_owned()),
                Loss::Vlb => Some("vlb, bits/dim".to_owned()),
            },
            (!self.weight.is_simple()).then(|| format!("weight {}", self.weight)),
            (!self.density.is_unbiased()).then(|| format!("density {}", self.density.name())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    pub(super) fn validate(&self, diffusion: &DiffusionConfig, schedule: &NoiseSchedule) -> Result<(), TrainError> {
        let loss = self.loss(diffusion);
        let untrained = loss == Loss::Simple && diffusion.variance.learned().is_some();
        check(
            "objective.loss",
            "\"simple\"",
            !untrained,
            &format!("\"hybrid\" or \"vlb\", as nothing else trains the variance {}", diffusion.variance.name()),
        )?;
        self.weight.check().map_err(|error| parameter(WEIGHT, &error))?;
        check(
            "objective.weight",
            format!("\"{}\"", self.weight.name()),
            loss != Loss::Vlb || self.weight.is_simple(),
            "left out with the loss \"vlb\", which has the bound's own weights; \"simple\" and \"hybrid\" take others",
        )?;
        check(
            "objective.density.unbiased",
            self.density.is_unbiased(),
            loss != Loss::Vlb || self.density.is_unbiased(),
            "true with the loss \"vlb\": with the density as a weight it would not be the bound",
        )?;
        self.times(schedule).map(drop)
    }

    /// What draws the steps of a run's batches.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] for a parameter out of range, or a density that is nowhere near the noise levels of `schedule`.
    pub(crate) fn times(&self, schedule: &NoiseSchedule) -> Result<TimeSampler, TrainError> {
        TimeSampler::new(self.density, schedule).map_err(|error| match error {
            TimesError::Parameter(error) => parameter(DENSITY, &error),
            error => {
                let [first, last] = [1, schedule.steps()].map(|t| schedule.log_snr(t));
                let expected =
                    format!("one within the schedule's noise levels, log SNR {last:.1} to {first:.1} ({error})");
                TrainError::ConfigValue { key: "objective.density", value: self.density.to_string(), expected }
            }
        })
    }
}

const WEIGHT: [&str; 2] = ["objective.weight.gamma", "objective.weight.k"];
const DENSITY: [&str; 4] = [
    "objective.density.mean",
    "objective.density.deviation",
    "objective.density.scale",
    "objective.density.uniform_share",
];

/// The error for a parameter, whose key is one of `keys`.
fn parameter<const N: usize>(keys: [&'static str; N], error: &ParameterError) -> TrainError {
    let own = |key: &&str| key.rsplit('.').next() == Some(error.parameter);
    TrainError::ConfigValue {
        key: keys.into_iter().find(own).unwrap_or("objective"),
        value: error.value.to_string(),
        expected: error.expected.to_owned(),
    }
}

/// Brings `[objective]` of a layer to one form, so that layers can be laid over each other: `times` is `density`, and a name is a table
/// of it.
pub(super) fn unify(layer: &mut toml::Table) {
    let Some(toml::Value::Table(objective)) = layer.get_mut("objective") else { return };
    if !objective.contains_key("density")
        && let Some(times) = objective.remove("times")
    {
        objective.insert("density".to_owned(), times);
    }
    for key in ["density", "weight"] {
        if let Some(value) = objective.get_mut(key)
            && value.is_str()
        {
            let name = std::mem::replace(value, toml::Value::Boolean(false));
            *value = toml::Table::from_iter([("kind".to_owned(), name)]).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use sfumato_process::times::LevelOptions;

    use super::*;
    use crate::TrainConfig;

    fn read(text: &str, set: &[(&str, &str)]) -> Result<TrainConfig, TrainError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        let value = |text: &str| format!("x = {text}").parse::<toml::Table>().unwrap()["x"].clone();
        let keys = |key: &str| key.split('.').map(str::to_owned).collect();
        let overrides: Vec<_> = set.iter().map(|(key, text)| (keys(key), value(text))).collect();
        let config = TrainConfig::layered(None, Some(&path), &overrides)?;
        config.validate()?;
        Ok(config)
    }

    #[test]
    fn names_and_tables_are_read_and_written_to_the_same() {
        for (text, expected) in [
            ("", ObjectiveConfig::default()),
            ("times = \"uniform\"", ObjectiveConfig::default()),
            ("times = \"importance\"", ObjectiveConfig { density: Density::IMPORTANCE, ..Default::default() }),
            ("density = \"stratified\"", ObjectiveConfig { density: Density::Stratified, ..Default::default() }),
            ("weight = \"bound\"", ObjectiveConfig { weight: Weight::Bound, ..Default::default() }),
            (
                "weight = { kind = \"min-snr\", gamma = 3 }\ndensity = \"laplace\"",
                ObjectiveConfig {
                    weight: Weight::MinSnr { gamma: 3.0 },
                    density: Density::LAPLACE,
                    ..Default::default()
                },
            ),
            (
                "density = { kind = \"log-normal\", deviation = 2.5, unbiased = false, strata = true }\nweight = \"sigmoid\"",
                ObjectiveConfig {
                    weight: Weight::SIGMOID,
                    density: Density::LogNormal {
                        mean: -1.2,
                        deviation: 2.5,
                        options: LevelOptions { strata: true, unbiased: false, ..LevelOptions::USUAL },
                    },
                    loss: None,
                },
            ),
            (
                "density = { kind = \"importance\", strata = true }\nweight = { kind = \"p2\", k = 2 }",
                ObjectiveConfig {
                    weight: Weight::P2 { gamma: 1.0, k: 2.0 },
                    density: Density::Importance { strata: true },
                    loss: None,
                },
            ),
        ] {
            let config = read(&format!("[objective]\n{text}"), &[]).unwrap();
            assert_eq!(config.objective, expected, "{text}");
            assert_eq!(read(&config.to_toml(), &[]).unwrap(), config, "{}", config.to_toml());
        }
        assert!(!TrainConfig::default().to_toml().contains("\nweight ="));
    }

    #[test]
    fn single_values_are_laid_over_names() {
        let weights = |text: &str, set: &[(&str, &str)]| read(text, set).unwrap().objective;
        let named = "[objective]\nweight = \"min-snr\"\ntimes = \"importance\"";
        assert_eq!(weights(named, &[("objective.weight.gamma", "2")]).weight, Weight::MinSnr { gamma: 2.0 });
        assert_eq!(weights(named, &[("objective.weight", "\"p2\"")]).weight, Weight::P2);
        assert_eq!(weights(named, &[("objective.times", "\"uniform\"")]).density, Density::Uniform);
        assert_eq!(weights(named, &[("objective.density", "\"stratified\"")]).density, Density::Stratified);
        let both = [("objective.weight.kind", "\"sigmoid\""), ("objective.weight.k", "1")];
        assert_eq!(weights(named, &both).weight, Weight::Sigmoid { k: 1.0 });
        let old = [("objective.density", "\"laplace\""), ("objective.times.scale", "2")];
        assert!(matches!(weights("", &old).density, Density::Laplace { scale: 2.0, .. }));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (text, expected) in [
            (
                "weight = \"min-srn\"",
                "objective.weight must be one of simple, bound, min-snr, p2, sigmoid (found min-srn): did you mean 'min-snr'?",
            ),
            ("density = \"lognormal\"", "(found lognormal): did you mean 'log-normal'?"),
            ("weight = 5", "objective.weight must be a name, or a table with a name as its `kind` (found 5)"),
            ("weight = { gamma = 5 }", "missing field `kind`"),
            ("weight = { kind = \"sigmoid\", gamma = 5 }", "`gamma` is no parameter of sigmoid, which has k"),
            ("weight = { kind = \"bound\", k = 5 }", "`k` is no parameter of bound, which has none"),
            (
                "density = { kind = \"laplace\", deviation = 5 }",
                "`deviation` is no parameter of laplace, which has mean, scale",
            ),
            ("density = { kind = \"laplace\", scal = 5 }", "did you mean objective.density.scale?"),
            ("weight = { kind = \"min-snr\", gamma = 0 }", "objective.weight.gamma must be a number above 0 (found 0)"),
            (
                "density = { kind = \"laplace\", scale = -1 }",
                "objective.density.scale must be a number above 0 (found -1)",
            ),
            (
                "density = { kind = \"laplace\", uniform_share = 0 }",
                "objective.density.uniform_share must be a number above 0, up to 1 (found 0)",
            ),
            ("density = { kind = \"log-normal\", mean = 90.0 }", "log SNR -10.1 to 9.2"),
            ("loss = \"vlb\"\nweight = \"p2\"", "the bound's own weights"),
            ("loss = \"vlb\"\ndensity = { kind = \"laplace\", unbiased = false }", "it would not be the bound"),
        ] {
            let error = read(&format!("[objective]\n{text}"), &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_run_says_what_it_minimises() {
        let config = read("[objective]\nweight = \"min-snr\"\ndensity = \"log-normal\"", &[]).unwrap();
        let (objective, diffusion) = (config.objective, &config.diffusion);
        assert_eq!(
            objective.describe(diffusion),
            "simple, weight min-snr (gamma 5); steps log-normal (mean -1.2, deviation 1.2)"
        );
        assert_eq!(objective.other_loss(diffusion).unwrap(), "weight min-snr (gamma 5)");
        let simple = TrainConfig::default();
        assert_eq!(simple.objective.describe(&simple.diffusion), "simple; steps uniform");
        assert_eq!(simple.objective.other_loss(&simple.diffusion), None);
    }
}
