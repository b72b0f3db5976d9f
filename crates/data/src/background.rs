//! The colour that lies under transparent pictures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DataError;

/// What transparent pictures are laid on: `white` (the default), `black`, `grey`, or a colour `#rrggbb`.
///
/// # Examples
/// ```
/// use sfumato_data::Background;
///
/// let colour: Background = "#ff8000".parse()?;
/// assert_eq!((colour.rgb(), colour.to_string()), ([255, 128, 0], "#ff8000".to_owned()));
/// assert_eq!("black".parse::<Background>()?.rgb(), [0; 3]);
/// # Ok::<(), sfumato_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Background([u8; 3]);

const NAMES: [(&str, [u8; 3]); 3] = [("white", [255; 3]), ("black", [0; 3]), ("grey", [128; 3])];

impl Background {
    /// Red, green and blue.
    pub fn rgb(self) -> [u8; 3] {
        self.0
    }
}

impl Default for Background {
    /// White.
    fn default() -> Self {
        Self([255; 3])
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, rgb)| *rgb == self.0), self.0) {
            (Some((name, _)), _) => f.write_str(name),
            (None, [r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

impl FromStr for Background {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = || DataError::Background { value: text.to_owned() };
        let lower = text.trim().to_lowercase();
        let name = if lower == "gray" { "grey" } else { &lower };
        if let Some((_, rgb)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*rgb));
        }
        let digits = lower.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits: String = match digits.ok_or_else(wrong)? {
            short if short.len() == 3 => short.chars().flat_map(|digit| [digit, digit]).collect(),
            long if long.len() == 6 => long.to_owned(),
            _ => return Err(wrong()),
        };
        let value = u32::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        let [_, r, g, b] = value.to_be_bytes();
        Ok(Self([r, g, b]))
    }
}

impl TryFrom<String> for Background {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<Background> for String {
    fn from(background: Background) -> String {
        background.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_written() {
        for (text, shown) in
            [("White", "white"), ("gray", "grey"), ("#000", "black"), ("#1a2B3c", "#1a2b3c"), ("#fff", "white")]
        {
            assert_eq!(text.parse::<Background>().unwrap().to_string(), shown);
        }
        for text in ["", "#12", "#gggggg", "transparent", "255,0,0", "#+1+1+1"] {
            let message = text.parse::<Background>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("#rrggbb"), "{message}");
        }
    }
}
