//! The one-line form of a schedule: `name`, `name:steps`, `name:key=value,...`, `explicit:beta,beta,...`.

use std::fmt;
use std::str::FromStr;

use super::ScheduleConfig;
use crate::error::ScheduleError;
use crate::families::{Family, Parameter};

impl FromStr for ScheduleConfig {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut config = Self::from_name(name.trim())?;
        let family = config.name();
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            match &mut config {
                Self::Linear(parameters) => set(family, parameters, setting),
                Self::Quadratic(parameters) => set(family, parameters, setting),
                Self::ScaledLinear(parameters) => set(family, parameters, setting),
                Self::Cosine(parameters) => set(family, parameters, setting),
                Self::NotesCosine(parameters) => set(family, parameters, setting),
                Self::Sigmoid(parameters) => set(family, parameters, setting),
                Self::Constant(parameters) => set(family, parameters, setting),
                Self::JensenShannon(parameters) => set(family, parameters, setting),
                Self::Explicit(list) => {
                    read(family, "betas", setting, "a list of numbers").map(|beta| list.betas.push(beta))
                }
            }?;
        }
        Ok(config)
    }
}

impl fmt::Display for ScheduleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = match self {
            Self::Linear(parameters) => changed(parameters),
            Self::Quadratic(parameters) => changed(parameters),
            Self::ScaledLinear(parameters) => changed(parameters),
            Self::Cosine(parameters) => changed(parameters),
            Self::NotesCosine(parameters) => changed(parameters),
            Self::Sigmoid(parameters) => changed(parameters),
            Self::Constant(parameters) => changed(parameters),
            Self::JensenShannon(parameters) => changed(parameters),
            Self::Explicit(list) => list.betas.iter().map(f64::to_string).collect(),
        };
        match settings.as_slice() {
            [] => f.write_str(self.name()),
            settings => write!(f, "{}:{}", self.name(), settings.join(",")),
        }
    }
}

/// Applies one `key=value`, or a bare number of steps.
fn set<F: Family>(family: &'static str, parameters: &mut F, setting: &str) -> Result<(), ScheduleError> {
    let (key, value) = setting.split_once('=').unwrap_or(("steps", setting));
    let (key, value) = (key.trim(), value.trim());
    let mut parameters = parameters.parameters();
    let Some(index) = parameters.iter().position(|(name, _)| *name == key) else {
        let expected = parameters.iter().map(|(name, _)| *name).collect();
        return Err(ScheduleError::UnknownParameter { family, parameter: key.to_owned(), expected });
    };
    match &mut parameters[index] {
        (name, Parameter::Count(count)) => **count = read(family, name, value, "a whole number")?,
        (name, Parameter::Real(real)) => **real = read(family, name, value, "a number")?,
        (name, Parameter::Flag(flag)) => **flag = read(family, name, value, "true or false")?,
    }
    Ok(())
}

fn read<V: FromStr>(
    family: &'static str,
    parameter: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<V, ScheduleError> {
    let unreadable = |_| ScheduleError::UnreadableValue { family, parameter, value: value.to_owned(), expected };
    value.parse().map_err(unreadable)
}

/// `key=value` of every parameter that differs from its default.
fn changed<F: Family>(parameters: &F) -> Vec<String> {
    let values = written(parameters.clone());
    let defaults = written(F::default());
    values.into_iter().zip(defaults).filter(|(value, default)| value != default).map(|(value, _)| value).collect()
}

fn written<F: Family>(mut parameters: F) -> Vec<String> {
    let parameters = parameters.parameters();
    let written = parameters.iter().map(|(name, parameter)| match parameter {
        Parameter::Count(count) => format!("{name}={count}"),
        Parameter::Real(real) => format!("{name}={real}"),
        Parameter::Flag(flag) => format!("{name}={flag}"),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{Explicit, Linear};

    #[test]
    fn the_text_form_round_trips() {
        for text in [
            "linear",
            "linear:steps=50,beta_start=0.001,rescale=true",
            "scaled-linear:beta_end=0.012",
            "cosine:steps=4000",
            "notes-cosine:offset=0.01,max_beta=0.99",
            "sigmoid:range=3",
            "constant:steps=1,beta=0.3333333333333333",
            "jensen-shannon",
            "explicit:0.1,0.25",
        ] {
            let config: ScheduleConfig = text.parse().expect(text);
            assert_eq!(config.to_string(), text);
        }
    }

    #[test]
    fn a_bare_number_sets_the_steps_and_spaces_do_not_matter() {
        let expected = Linear { steps: 50, rescale: true, ..Linear::default() };
        assert_eq!(" linear : 50, rescale = true".parse::<ScheduleConfig>(), Ok(expected.into()));
        assert_eq!("explicit: 0.5, 1e-3".parse::<ScheduleConfig>(), Ok(Explicit { betas: vec![0.5, 1e-3] }.into()));
    }

    #[test]
    fn mistakes_are_named_with_the_way_out() {
        let message = |text: &str| text.parse::<ScheduleConfig>().expect_err(text).to_string();
        assert_eq!(
            message("linaer"),
            "no schedule is called `linaer`; did you mean `linear`? (expected one of linear, quadratic, scaled-linear, \
             cosine, notes-cosine, sigmoid, constant, jensen-shannon, explicit)"
        );
        assert_eq!(
            message("cosine:beta_start=3"),
            "the cosine schedule has no parameter `beta_start` (expected one of steps, offset, max_beta)"
        );
        assert_eq!(message("linear:ten"), "steps of the linear schedule is `ten`, expected a whole number");
        assert_eq!(message("linear:rescale=yes"), "rescale of the linear schedule is `yes`, expected true or false");
        assert_eq!(message("explicit:0.1,x"), "betas of the explicit schedule is `x`, expected a list of numbers");
    }
}
