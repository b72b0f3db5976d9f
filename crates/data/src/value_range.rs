//! Which numbers of an array are black and white.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DataError;

/// The numbers that stand for black and white, as in `0..1`, `0..255` or `-1..1`.
///
/// # Examples
/// ```
/// use sfumato_data::ValueRange;
///
/// let range: ValueRange = "0..1".parse()?;
/// assert_eq!((range.low, range.high, range.to_string()), (0.0, 1.0, "0..1".to_owned()));
/// # Ok::<(), sfumato_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueRange {
    /// Becomes -1.
    pub low: f64,
    /// Becomes 1; above `low`.
    pub high: f64,
}

impl ValueRange {
    /// As data is kept.
    pub const UNIT: ValueRange = ValueRange { low: -1.0, high: 1.0 };

    /// Whether a number lies in the range.
    pub(super) fn holds(self, x: f32) -> bool {
        (self.low..=self.high).contains(&f64::from(x))
    }
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.low, self.high)
    }
}

impl FromStr for ValueRange {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let range = text.split_once("..").and_then(|(low, high)| Some((number(low)?, number(high)?)));
        match range {
            Some((low, high)) if low < high && (high - low).is_finite() => Ok(ValueRange { low, high }),
            _ => Err(DataError::Range { value: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for ValueRange {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<ValueRange> for String {
    fn from(range: ValueRange) -> String {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["0..1", "-1..1", "0..255", "-0.5..0.5", "0..65535"] {
            assert_eq!(text.parse::<ValueRange>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1..0", "1..1", "a..b", "0..inf", "nan..1", "0,1"] {
            let message = text.parse::<ValueRange>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("0..255"), "{message}");
        }
    }
}
