//! The one-line form of a schedule: `name`, `name:steps`, `name:key=value,...`, `explicit:beta,beta,...`.

use std::fmt;
use std::str::FromStr;

use super::ScheduleConfig;
use crate::error::ScheduleError;
use crate::families::{Family, Parameter};

/// What a list of numbers expects, in words.
const LIST: &str = "a list of numbers";

impl FromStr for ScheduleConfig {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut config = Self::from_name(name.trim())?;
        let family = config.name();
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            set(family, config.family_mut(), setting)?;
        }
        Ok(config)
    }
}

impl fmt::Display for ScheduleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = changed(self);
        match settings.as_slice() {
            [] => f.write_str(self.name()),
            settings => write!(f, "{}:{}", self.name(), settings.join(",")),
        }
    }
}

/// Applies one `key=value`, a bare number of steps, or the next number of a list.
fn set(family: &'static str, parameters: &mut dyn Family, setting: &str) -> Result<(), ScheduleError> {
    let mut parameters = parameters.parameters();
    if let [(name, Parameter::List(list))] = parameters.as_mut_slice() {
        list.push(read(family, name, setting, LIST)?);
        return Ok(());
    }
    let (key, value) = setting.split_once('=').unwrap_or(("steps", setting));
    let (key, value) = (key.trim(), value.trim());
    let Some(index) = parameters.iter().position(|(name, _)| *name == key) else {
        let expected = parameters.iter().map(|(name, _)| *name).collect();
        return Err(ScheduleError::UnknownParameter { family, parameter: key.to_owned(), expected });
    };
    match &mut parameters[index] {
        (name, Parameter::Count(count)) => **count = read(family, name, value, "a whole number")?,
        (name, Parameter::Real(real)) => **real = read(family, name, value, "a number")?,
        (name, Parameter::Flag(flag)) => **flag = read(family, name, value, "true or false")?,
        (name, Parameter::List(list)) => list.push(read(family, name, value, LIST)?),
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

/// `key=value` of every parameter that differs from its default; the numbers of a list.
fn changed(config: &ScheduleConfig) -> Vec<String> {
    let values = written(config.clone());
    let default = ScheduleConfig::from_name(config.name()).map(written).unwrap_or_default();
    values.into_iter().filter(|value| !default.contains(value)).collect()
}

fn written(mut config: ScheduleConfig) -> Vec<String> {
    let parameters = config.family_mut().parameters();
    let written = parameters.iter().flat_map(|(name, parameter)| match parameter {
        Parameter::Count(count) => vec![format!("{name}={count}")],
        Parameter::Real(real) => vec![format!("{name}={real}")],
        Parameter::Flag(flag) => vec![format!("{name}={flag}")],
        Parameter::List(list) => list.iter().map(f64::to_string).collect(),
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
            "linear-log-snr:log_snr_first=8.5",
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
            format!(
                "no schedule is called `linaer`; did you mean `linear`? (expected one of {})",
                ScheduleConfig::NAMES.join(", ")
            )
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
