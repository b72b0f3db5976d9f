//! A size of pictures on the command line.

use std::ffi::OsStr;

use clap::{Arg, Command, builder::TypedValueParser, error::Error};
use sfumato_data::ImageSize;

use super::values::wrong;

/// Parses `64` and `64x128` into a size that pictures can be made in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size;

impl TypedValueParser for Size {
    type Value = ImageSize;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<ImageSize, Error> {
        let size = value.to_string_lossy().parse::<ImageSize>().ok();
        size.filter(|size| size.is_possible())
            .ok_or_else(|| wrong(command, arg, "1 to 4096 pixels as in 64, or height x width as in 64x128", value))
    }
}
