//! `sfumato interpolate`

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use sfumato_data::Background;

use super::{MachineArgs, values, walk::WalkArgs};

/// Draw paths between samples: from one noise to another, from picture to picture, from class to class
///
/// Noise is interpolated along the sphere (slerp), that of every step alike, so that the ends of a path are the very samples. Writes
/// grid.png (a row a path), interpolation.gif and samples.npy.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InterpolateArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Where paths begin: a seed (7), a sample of a seed (7:12), or pictures (a file, a folder, an array of them), which are encoded first
    #[arg(long, value_name = "SEED|SEED:INDEX|FILE")]
    pub(crate) from: End,
    /// Where they end [default: where they begin, for a path from class to class]
    #[arg(long, value_name = "SEED|SEED:INDEX|FILE")]
    pub(crate) to: Option<End>,
    /// Paths: path n leads from the n-th sample after the first one to the n-th after the second [default: 4, or one for each picture]
    #[arg(long, value_name = "N", value_parser = values::count::<u32>())]
    pub(crate) num: Option<u32>,
    /// Pictures on each path, both ends among them
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = values::count::<u32>())]
    pub(crate) frames: u32,
    /// Class of the samples, by number or name, for a class-conditional model
    #[arg(long = "class", value_name = "K|NAME", allow_hyphen_values = true)]
    pub(crate) class_name: Option<String>,
    /// Class at the end of each path: the predictions for the two classes are mixed on the way
    #[arg(long, value_name = "K|NAME", allow_hyphen_values = true, requires = "class_name")]
    pub(crate) to_class: Option<String>,
    /// Weight of classifier-free guidance: 1 is none
    #[arg(long, default_value_t = 1.0, value_name = "W", value_parser = values::not_negative())]
    pub(crate) guidance: f64,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one [default: what the model says]
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0))]
    pub(crate) null_class: Option<usize>,
    /// What transparent pictures are laid on
    #[arg(long, default_value_t = Background::default(), value_name = "white|black|grey|#rrggbb")]
    pub(crate) background: Background,
    /// Directory for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace the results of an earlier call in the directory
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) walk: WalkArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// An end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The samples of a seed, from an index on.
    Seed { seed: u64, first: u64 },
    /// Pictures.
    Pictures(PathBuf),
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().ok();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (seed, first) = text.split_once(':').unwrap_or((text, "0"));
        match (number(seed), number(first)) {
            (Some(seed), Some(first)) => Ok(Self::Seed { seed, first }),
            _ if digits(seed) && digits(first) => {
                Err("seeds and indices are whole numbers up to 18446744073709551615".into())
            }
            _ if text.is_empty() => Err("expected a seed, a seed with an index (7:12), or a file of pictures".into()),
            _ => Ok(Self::Pictures(text.into())),
        }
    }
}

const EXAMPLES: &str = "Examples:
  sfumato interpolate --model runs/fashion-mnist-mini/model --from 1 --to 2 --out between
  sfumato interpolate --model runs/fashion-mnist-mini/model --from coat.png --to 7:3 --num 1 --out from-a-picture
  sfumato interpolate --model runs/classes/model --from 1 --class 3 --to-class 7 --guidance 2 --out from-dress-to-sneaker

The sampler is the model's own; with pictures it is ddim with 200 steps, which is deterministic.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_seeds_or_files() {
        let end = |text: &str| text.parse::<End>();
        assert_eq!(end("7"), Ok(End::Seed { seed: 7, first: 0 }));
        assert_eq!(end("7:12"), Ok(End::Seed { seed: 7, first: 12 }));
        for file in ["7.png", "a/7", "7:a.png", "C:\\7.png", "-1"] {
            assert_eq!(end(file), Ok(End::Pictures(file.into())));
        }
        end("").unwrap_err();
        end("99999999999999999999").unwrap_err();
    }
}
