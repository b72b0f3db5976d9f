//! The description of a schedule: a family and its parameters, for configuration files and the command line.

mod text;

use serde::{Deserialize, Serialize};

use crate::error::ScheduleError;
use crate::families::{Family, Linear, each_family};
use crate::schedule::NoiseSchedule;

/// The description of a schedule, made of the list of families.
macro_rules! schedule_config {
    ($($(#[$about:meta])+ $name:literal => $family:ident,)+) => {
        /// Which noise schedule to build. The default is DDPM's linear one with 1000 steps.
        ///
        /// In TOML and JSON a `kind` (kebab-case) chooses the family; parameters that are left out take the family's
        /// defaults, unknown ones are an error. On the command line it is `name`, `name:steps` or `name:key=value,...`; an
        /// explicit schedule is `explicit:` and its betas, separated by commas. [`Display`](std::fmt::Display) writes that
        /// form back, without the parameters that have their default value.
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
        #[serde(tag = "kind")]
        pub enum ScheduleConfig {
            $(
                $(#[$about])+
                #[serde(rename = $name)]
                $family($crate::families::$family),
            )+
        }

        impl ScheduleConfig {
            /// The families' names, as in `kind` and on the command line.
            pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];

            /// Every family with its default parameters, in the order of [`NAMES`](Self::NAMES).
            fn defaults() -> [Self; Self::NAMES.len()] {
                [$(Self::$family($crate::families::$family::default())),+]
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
                    $(Self::$family(_) => $name,)+
                }
            }

            fn family(&self) -> &dyn Family {
                match self {
                    $(Self::$family(family) => family,)+
                }
            }

            fn family_mut(&mut self) -> &mut dyn Family {
                match self {
                    $(Self::$family(family) => family,)+
                }
            }
        }

        $(impl From<$crate::families::$family> for ScheduleConfig {
            fn from(family: $crate::families::$family) -> Self {
                Self::$family(family)
            }
        })+
    };
}

each_family!(schedule_config);

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Linear(Linear::default())
    }
}

impl ScheduleConfig {
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
        let wanted = match name.to_lowercase().replace('_', "-") {
            diffusers if diffusers == "squaredcos-cap-v2" => "cosine".to_owned(),
            wanted => wanted,
        };
        let unknown = || ScheduleError::UnknownSchedule { name: name.to_owned(), expected: Self::NAMES.to_vec() };
        Self::defaults().into_iter().find(|family| family.name() == wanted).ok_or_else(unknown)
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
        self.family().steps()
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
        self.family_mut().set_steps(steps)?;
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
        self.family().betas()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{Explicit, Sigmoid};

    fn all() -> impl Iterator<Item = ScheduleConfig> {
        ScheduleConfig::defaults().into_iter().map(|config| match config {
            ScheduleConfig::Explicit(_) => Explicit { betas: vec![0.1, 1.0 / 3.0, 0.25] }.into(),
            other => other,
        })
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
        for name in ScheduleConfig::NAMES.iter().filter(|name| **name != "explicit") {
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
