//! Height and width that pictures are brought to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::DataError;

/// The longest side that is made.
const MAX_SIDE: usize = 4096;

/// Height and width in pixels. Written `64` for a square and `64x128` (height first) otherwise; a configuration holds
/// `64` or `[64, 128]`, and reads all three.
///
/// # Examples
/// ```
/// use sfumato_data::ImageSize;
///
/// assert_eq!("64x128".parse::<ImageSize>()?, ImageSize { height: 64, width: 128 });
/// assert_eq!("64".parse::<ImageSize>()?, ImageSize::square(64));
/// # Ok::<(), sfumato_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl ImageSize {
    /// A square.
    pub fn square(side: usize) -> ImageSize {
        ImageSize { height: side, width: side }
    }

    /// Whether pictures of this size are made: 1 to 4096 pixels a side.
    pub fn is_possible(self) -> bool {
        let fits = |side| (1..=MAX_SIDE).contains(&side);
        fits(self.height) && fits(self.width)
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

impl FromStr for ImageSize {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = || DataError::ImageSizeText { value: text.to_owned() };
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        match text.split_once(['x', 'X', '×']) {
            Some((height, width)) => Ok(ImageSize { height: number(height)?, width: number(width)? }),
            None => number(text).map(ImageSize::square),
        }
    }
}

impl Serialize for ImageSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width {
            self.height.serialize(serializer)
        } else {
            [self.height, self.width].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ImageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number of pixels, [height, width], or \"HEIGHTxWIDTH\"")]
        enum Form {
            Square(usize),
            Sides([usize; 2]),
            Text(String),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Square(side) => ImageSize::square(side),
            Form::Sides([height, width]) => ImageSize { height, width },
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let wide = ImageSize { height: 64, width: 128 };
        for (json, size) in
            [("64", ImageSize::square(64)), ("[64,128]", wide), ("\"64x128\"", wide), ("\"64 X 128\"", wide)]
        {
            assert_eq!(serde_json::from_str::<ImageSize>(json).unwrap(), size, "{json}");
        }
        assert_eq!(serde_json::to_string(&wide).unwrap(), "[64,128]");
        assert_eq!(serde_json::to_string(&ImageSize::square(9)).unwrap(), "9");
        for text in ["", "x", "64x", "64x64x64", "-3", "big", "6.5"] {
            let message = text.parse::<ImageSize>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("HEIGHTxWIDTH"), "{message}");
        }
        for json in ["-1", "[1]", "[1,2,3]", "true", "1.5"] {
            assert!(serde_json::from_str::<ImageSize>(json).is_err(), "{json}");
        }
    }
}
