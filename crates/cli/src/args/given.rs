//! Which options the user typed, for commands where not every option means something.

use clap::{ArgMatches, Args, Command, FromArgMatches, error::Error, parser::ValueSource};

/// The options that stand on the command line, defaults not among them. It has to be the first field of a command's arguments: what
/// other fields read is taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given(Vec<String>);

impl Given {
    /// Whether an option, by the name of its field, is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|given| given == name)
    }

    /// The first option, as it is typed, that is none of `known`.
    pub(crate) fn other_than(&self, known: &[&str]) -> Option<String> {
        let other = self.0.iter().find(|name| !known.contains(&name.as_str()))?;
        Some(format!("--{}", other.replace('_', "-")))
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        // Arguments are named like the fields; groups are named like the types.
        let is_argument = |id: &&str| id.starts_with(|c: char| c.is_ascii_lowercase());
        Ok(Self(matches.ids().map(clap::Id::as_str).filter(is_argument).filter(typed).map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        given: Given,
        file: String,
        #[arg(long, default_value_t = 3)]
        batch_size: u32,
        #[arg(long)]
        strict: bool,
        #[arg(long)]
        json: Option<String>,
    }

    #[test]
    fn defaults_are_not_given_and_what_is_typed_is() {
        let other = |words: &str| {
            let Line { given, file, batch_size, strict, json } =
                Line::try_parse_from(words.split(' ')).unwrap_or_else(|error| panic!("{error}"));
            assert!(file == "x" && batch_size == 3 && strict == words.contains("strict") && json.is_none());
            given.other_than(&["file", "json"])
        };
        assert_eq!(other("program x"), None);
        // Also where it is the default.
        assert_eq!(other("program x --batch-size 3"), Some("--batch-size".to_owned()));
        assert_eq!(other("program --strict x"), Some("--strict".to_owned()));
    }
}
