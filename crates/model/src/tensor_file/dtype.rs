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
    pub(crate) fn extend_f32(self, bytes: &[u8], out: &mut Vec<f32>) -> bool {
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

/// Precision in which weights are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as they are.
    #[default]
    F32,
    /// IEEE half precision: 11 significant bits, up to 65504.
    F16,
    /// Brain float: 8 significant bits, the range of `f32`.
    BF16,
}

impl Precision {
    /// The type's name in a header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    /// Size of one element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Appends `values`, rounded to nearest, to `bytes`; the first finite value that has no finite image is the error.
    pub(super) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
        match self {
            Self::F32 => values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes())),
            Self::F16 => {
                for &value in values {
                    let half = f16::from_f32(value);
                    if value.is_finite() && !half.is_finite() {
                        return Err(value);
                    }
                    bytes.extend_from_slice(&half.to_le_bytes());
                }
            }
            Self::BF16 => {
                for &value in values {
                    let half = bf16::from_f32(value);
                    if value.is_finite() && !half.is_finite() {
                        return Err(value);
                    }
                    bytes.extend_from_slice(&half.to_le_bytes());
                }
            }
        }
        Ok(())
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
