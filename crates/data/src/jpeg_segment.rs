//! The fields of a JPEG's segments, and what can be wrong with them.

/// Why a JPEG is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data ends before the picture does.
    Truncated,
    /// A segment or the data of a scan is not what the format allows.
    Damaged(&'static str),
    /// A coding that is hardly used and not read.
    Unsupported(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Truncated => f.write_str("the JPEG is truncated"),
            Fault::Damaged(what) => write!(f, "the JPEG is damaged: {what}"),
            Fault::Unsupported(what) => {
                write!(f, "the JPEG is {what}, which is not supported; save it as an ordinary JPEG or as PNG")
            }
        }
    }
}

/// Big-endian fields of a segment.
pub(super) struct Segment<'a>(pub(super) &'a [u8]);

impl<'a> Segment<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Fault::Damaged("a segment is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<usize, Fault> {
        let bytes = self.take(2)?;
        Ok(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }
}
