//! Where the classes of pictures come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DataError;

/// Where the classes of a folder's or an archive's pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelsFrom {
    /// A file of labels beside the pictures if there is one, else the sub-folders.
    #[default]
    Auto,
    /// The sub-folders, whatever files of labels there are.
    Folders,
    /// The names of the files up to the first underscore: `cat_001.png` is of the class `cat`, as in improved-diffusion.
    FileNames,
    /// Nowhere: the pictures have no classes.
    None,
}

const NAMES: [(&str, LabelsFrom); 4] = [
    ("auto", LabelsFrom::Auto),
    ("folders", LabelsFrom::Folders),
    ("file-names", LabelsFrom::FileNames),
    ("none", LabelsFrom::None),
];

impl fmt::Display for LabelsFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, value)| value == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for LabelsFrom {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let found = NAMES.iter().find(|(name, _)| *name == text.to_lowercase().replace('_', "-"));
        found.map(|(_, value)| *value).ok_or_else(|| DataError::LabelsFrom { value: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (name, value) in NAMES {
            assert_eq!((name.parse::<LabelsFrom>().unwrap(), value.to_string()), (value, name.to_owned()));
        }
        assert_eq!("File_Names".parse::<LabelsFrom>().unwrap(), LabelsFrom::FileNames);
        assert!("csv".parse::<LabelsFrom>().unwrap_err().to_string().contains("file-names"));
    }
}
