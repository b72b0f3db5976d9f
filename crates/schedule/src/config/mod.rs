//! The description of a schedule: a family and its parameters, for configuration files and the command line.

mod text;

use serde::{Deserialize, Serialize};

use crate::error::ScheduleError;
use crate::families::{
    Constant, Cosine, Explicit, JensenShannon, Linear, NotesCosine, Quadratic, ScaledLinear, Sigmoid,
};
use crate::schedule::NoiseSchedule;

/// Which noise schedule to build. The default is DDPM's linear one with 1000 steps.
///
/// In TOML and JSON a `kind` (kebab-case) chooses the family; parameters that are left out take the family's defaults,
/// unknown ones are an error. On the command line it is `name`, `name:steps` or `name:key=value,...`; an explicit schedule
/// is `explicit:` and its betas, separated by commas. [`Display`](std::fmt::Display) writes that form back, without the parameters that have
/// their default value.
///
/// # Examples
/// ```
/// use sfumato_schedule::ScheduleConfig;
///
/// let config: ScheduleConfig = serde_json::from_str(r#"{ "kind": "cosine", "steps": 4000 }"#).unwrap();
/// assert_eq!(config, "cosine:4000".parse()?);
/// assert_eq!(config.to_string(), "cosine:steps=4000");
/// assert_eq!(config.name(), "cosine");
/// assert_eq!(config.build()?.steps(), 4000);
///
/// let error = "sine".parse::<ScheduleConfig>().unwrap_err();
/// assert!(error.to_string().contains("expected one of linear, quadratic"));
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// Beta linear in the step.
    Linear(Linear),
    /// Beta linear in the square of the step.
    Quadratic(Quadratic),
    /// Square root of beta linear in the step.
    ScaledLinear(ScaledLinear),
    /// Nichol & Dhariwal's squared cosine.
    Cosine(Cosine),
    /// The squared cosine without the division by `1 + s`, kept valid.
    NotesCosine(NotesCosine),
    /// Beta on a logistic curve.
    Sigmoid(Sigmoid),
    /// The same beta everywhere.
    Constant(Constant),
    /// Beta `1 / (T - t + 1)`.
    JensenShannon(JensenShannon),
    /// A list of betas.
    Explicit(Explicit),
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Linear(Linear::default())
    }
}

impl ScheduleConfig {
    /// The families' names, as in `kind` and on the command line.
    pub const NAMES: [&'static str; 9] = [
        "linear",
        "quadratic",
        "scaled-linear",
        "cosine",
        "notes-cosine",
        "sigmoid",
        "constant",
        "jensen-shannon",
        "explicit",
    ];

    /// The family of the given name with its default parameters (`explicit`: no betas yet). Case does not matter, nor whether words
    /// are joined by a dash or an underscore; diffusers' `squaredcos_cap_v2` is `cosine`.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownSchedule`], which lists the names.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{Cosine, ScheduleConfig};
    ///
    /// assert_eq!(ScheduleConfig::from_name("cosine")?, Cosine::default().into());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self, ScheduleError> {
        Ok(match name.to_lowercase().replace('_', "-").as_str() {
            "linear" => Linear::default().into(),
            "quadratic" => Quadratic::default().into(),
            "scaled-linear" => ScaledLinear::default().into(),
            "cosine" | "squaredcos-cap-v2" => Cosine::default().into(),
            "notes-cosine" => NotesCosine::default().into(),
            "sigmoid" => Sigmoid::default().into(),
            "constant" => Constant::default().into(),
            "jensen-shannon" => JensenShannon::default().into(),
            "explicit" => Explicit::default().into(),
            _ => return Err(ScheduleError::UnknownSchedule { name: name.to_owned() }),
        })
    }

    /// The family's name, as in `kind`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ScheduleConfig;
    ///
    /// assert_eq!(ScheduleConfig::default().name(), "linear");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Quadratic(_) => "quadratic",
            Self::ScaledLinear(_) => "scaled-linear",
            Self::Cosine(_) => "cosine",
            Self::NotesCosine(_) => "notes-cosine",
            Self::Sigmoid(_) => "sigmoid",
            Self::Constant(_) => "constant",
            Self::JensenShannon(_) => "jensen-shannon",
            Self::Explicit(_) => "explicit",
        }
    }

    /// Number of steps `T` that [`build`](Self::build) will give.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ScheduleConfig;
    ///
    /// assert_eq!(ScheduleConfig::default().steps(), 1000);
    /// ```
    pub fn steps(&self) -> usize {
        match self {
            Self::Linear(family) => family.steps,
            Self::Quadratic(family) => family.steps,
            Self::ScaledLinear(family) => family.steps,
            Self::Cosine(family) => family.steps,
            Self::NotesCosine(family) => family.steps,
            Self::Sigmoid(family) => family.steps,
            Self::Constant(family) => family.steps,
            Self::JensenShannon(family) => family.steps,
            Self::Explicit(family) => family.betas.len(),
        }
    }

    /// The same family and parameters with another number of steps.
    ///
    /// # Errors
    /// [`ScheduleError::FixedLength`] for an explicit schedule of another length.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::ScheduleConfig;
    ///
    /// assert_eq!(ScheduleConfig::default().with_steps(50)?.build()?.steps(), 50);
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn with_steps(mut self, steps: usize) -> Result<Self, ScheduleError> {
        match &mut self {
            Self::Linear(family) => family.steps = steps,
            Self::Quadratic(family) => family.steps = steps,
            Self::ScaledLinear(family) => family.steps = steps,
            Self::Cosine(family) => family.steps = steps,
            Self::NotesCosine(family) => family.steps = steps,
            Self::Sigmoid(family) => family.steps = steps,
            Self::Constant(family) => family.steps = steps,
            Self::JensenShannon(family) => family.steps = steps,
            Self::Explicit(family) if family.betas.len() == steps => {}
            Self::Explicit(family) => return Err(ScheduleError::FixedLength { betas: family.betas.len(), steps }),
        }
        Ok(self)
    }

    /// The variances that the family's formula gives, not yet validated; index `t - 1` holds `beta_t`.
    ///
    /// # Errors
    /// Those of the family's `betas`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{Explicit, ScheduleConfig};
    ///
    /// // No schedule: the second step leaves no signal.
    /// let config = ScheduleConfig::from(Explicit { betas: vec![0.5, 1.0] });
    /// assert_eq!(config.betas()?, [0.5, 1.0]);
    /// assert!(config.build().is_err());
    /// # Ok::<(), sfumato_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> Result<Vec<f64>, ScheduleError> {
        match self {
            Self::Linear(family) => family.betas(),
            Self::Quadratic(family) => family.betas(),
            Self::ScaledLinear(family) => family.betas(),
            Self::Cosine(family) => family.betas(),
            Self::NotesCosine(family) => family.betas(),
            Self::Sigmoid(family) => family.betas(),
            Self::Constant(family) => family.betas(),
            Self::JensenShannon(family) => family.betas(),
            Self::Explicit(family) => Ok(family.betas.clone()),
        }
    }

    /// Evaluates the family's formula and validates the result.
    ///
    /// # Errors
    /// Those of the family's `betas` and of [`NoiseSchedule::from_betas`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::{Constant, ScheduleConfig};
    ///
    /// let config = ScheduleConfig::from(Constant { steps: 10, beta: 1.5 });
    /// let message = config.build().unwrap_err().to_string();
    /// assert!(message.starts_with("beta at step 1 is 1.5, but every beta must lie strictly between 0 and 1"));
    /// ```
    pub fn build(&self) -> Result<NoiseSchedule, ScheduleError> {
        NoiseSchedule::from_betas(self.betas()?)
    }
}

/// `From<Family> for ScheduleConfig`, for each family.
macro_rules! from_family {
    ($($family:ident),*) => {
        $(impl From<$family> for ScheduleConfig {
            fn from(family: $family) -> Self {
                Self::$family(family)
            }
        })*
    };
}

from_family!(Linear, Quadratic, ScaledLinear, Cosine, NotesCosine, Sigmoid, Constant, JensenShannon, Explicit);

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = ScheduleConfig> {
        let listed = Explicit { betas: vec![0.1, 1.0 / 3.0, 0.25] };
        let families =
            ScheduleConfig::NAMES[..8].iter().map(|name| ScheduleConfig::from_name(name).expect("a known name"));
        families.chain([listed.into()])
    }

    #[test]
    fn every_name_gives_its_family_and_a_valid_schedule() {
        for (config, name) in all().zip(ScheduleConfig::NAMES) {
            assert_eq!(config.name(), name);
            assert_eq!(config.build().expect("default parameters").steps(), config.steps());
        }
    }

    #[test]
    fn every_family_has_a_schedule_of_one_step() {
        for config in all().filter(|config| config.name() != "explicit") {
            let schedule = config.with_steps(1).and_then(|config| config.build()).expect("one step");
            assert!(schedule.posterior_log_variance(1).is_finite() && schedule.posterior_variance(1) == 0.0);
        }
    }

    #[test]
    fn json_and_toml_round_trip() {
        for config in all() {
            let json = serde_json::to_string(&config).expect("serialises");
            assert_eq!(serde_json::from_str::<ScheduleConfig>(&json).expect("parses"), config, "{json}");
            assert!(json.starts_with(&format!(r#"{{"kind":"{}""#, config.name())), "{json}");
            let text = toml::to_string(&config).expect("serialises");
            assert_eq!(toml::from_str::<ScheduleConfig>(&text).expect("parses"), config, "{text}");
        }
    }

    #[test]
    fn left_out_parameters_take_defaults_and_unknown_ones_are_refused() {
        for name in &ScheduleConfig::NAMES[..8] {
            let config: ScheduleConfig = toml::from_str(&format!("kind = \"{name}\"")).expect("a kind alone");
            assert_eq!(Ok(config), ScheduleConfig::from_name(name));
            let error =
                toml::from_str::<ScheduleConfig>(&format!("kind = \"{name}\"\nstep = 3")).expect_err("no such key");
            assert!(error.to_string().contains("unknown field `step`"), "{error}");
        }
        assert!(toml::from_str::<ScheduleConfig>("kind = \"explicit\"").is_err());
        assert!(toml::from_str::<ScheduleConfig>("kind = \"explicit\"\nbetas = [0.5]\nsteps = 1").is_err());
        assert!(toml::from_str::<ScheduleConfig>("steps = 10").is_err());
    }

    #[test]
    fn integers_in_files_are_read_as_real_parameters() {
        let config: ScheduleConfig = toml::from_str("kind = \"sigmoid\"\nrange = 5").expect("an integer range");
        assert_eq!(config, Sigmoid { range: 5.0, ..Sigmoid::default() }.into());
    }

    #[test]
    fn steps_can_be_replaced_but_not_those_of_a_list() {
        for config in all() {
            match config.clone().with_steps(37) {
                Ok(changed) => assert_eq!(changed.steps(), 37),
                Err(error) => assert_eq!(error, ScheduleError::FixedLength { betas: 3, steps: 37 }),
            }
            assert_eq!(config.clone().with_steps(config.steps()), Ok(config));
        }
    }

    #[test]
    fn rescaling_ten_steps_is_refused_with_the_step_and_the_value() {
        let config: ScheduleConfig = Linear { steps: 10, rescale: true, ..Linear::default() }.into();
        let error = config.build().expect_err("1000 / 10 * 0.02 = 2");
        assert!(error.to_string().starts_with("beta at step 6 is 1.1"), "{error}");
    }
}
