//! What distances are measured between, and in what.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SampleSource {
    /// So many are drawn from the model.
    Drawn(usize),
    /// An array, or a directory with pictures or with the array that `sample` writes.
    Path(PathBuf),
}

impl FromStr for SampleSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Path(text.into()), Self::Drawn))
    }
}

/// A network whose features distances are measured in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeaturesName {
    /// The classifier that comes with the program.
    Grey28,
    /// Inception-v3 with the weights in a file.
    Inception(PathBuf),
}

impl FromStr for FeaturesName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("inception:")) {
            ("grey-28", _) => Ok(Self::Grey28),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Inception(path.into())),
            _ => {
                Err("possible are grey-28 and inception:FILE.pth, with pytorch-fid's weights in a file of yours"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_drawn_and_everything_else_is_a_path() {
        assert_eq!("200".parse(), Ok(SampleSource::Drawn(200)));
        assert_eq!("./200".parse(), Ok(SampleSource::Path("./200".into())));
        assert_eq!("inception:a.pth".parse(), Ok(FeaturesName::Inception("a.pth".into())));
        assert!("inception:".parse::<FeaturesName>().unwrap_err().contains("grey-28"));
    }
}
