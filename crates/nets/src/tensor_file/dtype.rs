//! Element types of stored tensors.

use half::{bf16, f16};

/// Element type of a stored tensor.
///
/// All floating-point types are widened (or, for `F64`, narrowed) to `f32` when read; integer types occur in files of
/// other programs and are recognised only so that they can be named in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an `f32`.
    BF16,
    /// Any type that holds no model weights, with its size in bytes.
    Other(usize),
}

impl Dtype {
    /// The type named `name` in a header, if the format knows it.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::BF16,
            "I64" | "U64" | "C64" => Self::Other(8),
            "I32" | "U32" => Self::Other(4),
            "I16" | "U16" => Self::Other(2),
            "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Self::Other(1),
            _ => return None,
        })
    }

    /// Size of one element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Other(size) => size,
        }
    }

    /// Appends the elements stored in `bytes` (a whole number of them) to `out`; `false` if the type holds no floats.
    pub(super) fn extend_f32(self, bytes: &[u8], out: &mut Vec<f32>) -> bool {
        match self {
            Self::F32 => out.extend(elements(bytes).map(f32::from_le_bytes)),
            Self::F16 => out.extend(elements(bytes).map(|b| f16::from_le_bytes(b).to_f32())),
            Self::BF16 => out.extend(elements(bytes).map(|b| bf16::from_le_bytes(b).to_f32())),
            Self::F64 => out.extend(elements(bytes).map(|b| f64::from_le_bytes(b) as f32)),
            Self::Other(_) => return false,
        }
        true
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
