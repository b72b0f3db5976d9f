//! The types of elements.

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpyType {
    /// `bool`, a byte that is 0 or 1.
    Bool,
    /// `uint8`.
    U8,
    /// Another integer type, of so many bytes.
    Int {
        /// 1, 2, 4 or 8.
        bytes: usize,
        /// Whether it has a sign.
        signed: bool,
    },
    /// `float16`, `float32` or `float64`, of so many bytes.
    Float {
        /// 2, 4 or 8.
        bytes: usize,
    },
}

impl NpyType {
    /// The type, and whether its bytes are in big-endian order, of NumPy's notation.
    pub(super) fn parse(dtype: &str) -> Option<(NpyType, bool)> {
        let big = dtype.starts_with('>');
        let kind = match dtype.trim_start_matches(['<', '>', '|', '=']) {
            "b1" | "?" => NpyType::Bool,
            "u1" => NpyType::U8,
            "i1" => NpyType::Int { bytes: 1, signed: true },
            "u2" => NpyType::Int { bytes: 2, signed: false },
            "i2" => NpyType::Int { bytes: 2, signed: true },
            "u4" => NpyType::Int { bytes: 4, signed: false },
            "i4" => NpyType::Int { bytes: 4, signed: true },
            "u8" => NpyType::Int { bytes: 8, signed: false },
            "i8" => NpyType::Int { bytes: 8, signed: true },
            "f2" => NpyType::Float { bytes: 2 },
            "f4" => NpyType::Float { bytes: 4 },
            "f8" => NpyType::Float { bytes: 8 },
            _ => return None,
        };
        Some((kind, big))
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            NpyType::Bool | NpyType::U8 => 1,
            NpyType::Int { bytes, .. } | NpyType::Float { bytes } => bytes,
        }
    }

    /// The number that the bytes of one element stand for.
    pub(super) fn number(self, bytes: &[u8], big: bool) -> f32 {
        let word = |from: &mut dyn Iterator<Item = &u8>| from.fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let word = if big { word(&mut bytes.iter()) } else { word(&mut bytes.iter().rev()) };
        match self {
            NpyType::Bool | NpyType::U8 | NpyType::Int { signed: false, .. } => word as f32,
            NpyType::Int { bytes, signed: true } => {
                let unused = 64 - 8 * bytes as u32;
                ((word << unused) as i64 >> unused) as f32
            }
            NpyType::Float { bytes: 2 } => half(word as u16),
            NpyType::Float { bytes: 4 } => f32::from_bits(word as u32),
            NpyType::Float { .. } => f64::from_bits(word) as f32,
        }
    }
}

/// IEEE 754 binary16 as `f32`, exactly.
pub(super) fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}
