//! One file a command.

pub(crate) mod bench;
pub(crate) mod book;
pub(crate) mod ci;
pub(crate) mod conformance;
pub(crate) mod dataset;
pub(crate) mod evidence;
pub(crate) mod gpu;
mod long_files;
pub(crate) mod memcheck;
pub(crate) mod miri;
mod nightly;
mod one_build;
mod outside;
pub(crate) mod program;
mod python;
mod ranks;
pub(crate) mod report_check;
pub(crate) mod serve_check;
mod sources;
pub(crate) mod test;
pub(crate) mod torture;
mod tree;
mod unsafe_code;
mod unused;

/// Arguments that make no sense: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The value of an option: the rest of `--name=value`, or the next argument.
pub(crate) fn option_value(
    argument: &str,
    name: &str,
    rest: &mut impl Iterator<Item = String>,
) -> anyhow::Result<Option<String>> {
    if argument == name {
        let missing = || Usage(format!("{name} needs a value"));
        return Ok(Some(rest.next().ok_or_else(missing)?));
    }
    Ok(argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned))
}
