//! Texts in PNG files: what a picture says of itself.
//!
//! A PNG holds texts under keywords (PNG specification, third edition, §11.3.3). This program writes `Software`, and its record of how the
//! picture was made as JSON under [`RECORD`]. Nothing in them depends on the time or the machine, so that the same picture is the same file.

use serde_json::{Map, Value};

/// The keyword of the record of how a picture was made: a JSON object.
pub const RECORD: &str = "sfumato";
/// The specification's keyword for the program that has made a picture.
pub const SOFTWARE: &str = "Software";

/// Texts for a PNG file, in the order in which they are written.
///
/// # Examples
/// ```
/// use sfumato_model::picture::Texts;
///
/// let texts = Texts::none().with("Title", "A grey square");
/// assert_eq!(texts.get("Title"), Some("A grey square"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Vec<(&'static str, String)>);

impl Texts {
    /// No text at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The name of this program, and a record of how the picture was made.
    pub fn record(record: &Map<String, Value>) -> Self {
        let json = serde_json::to_string(record).unwrap_or_default(); // a map with texts for keys is always JSON
        Self::none().with(SOFTWARE, concat!("Sfumato ", env!("CARGO_PKG_VERSION"))).with(RECORD, json)
    }

    /// The same with one text more. A NUL, which no PNG can hold, becomes U+FFFD.
    ///
    /// # Panics
    /// If the keyword is not 1 to 79 letters, digits, spaces or signs of ASCII.
    pub fn with(mut self, keyword: &'static str, text: impl Into<String>) -> Self {
        let fits = (1..=79).contains(&keyword.len()) && keyword.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(fits, "`{keyword}` is no keyword of a PNG");
        self.0.push((keyword, text.into().replace('\0', "\u{fffd}")));
        self
    }

    /// The first text under a keyword.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == keyword).map(|(_, text)| text.as_str())
    }

    /// Hands the texts to an encoder: as `tEXt`, which every program reads, or as `iTXt` where a text needs more than ASCII.
    pub(super) fn add_to<W: std::io::Write>(
        &self,
        encoder: &mut png::Encoder<'_, W>,
    ) -> Result<(), png::EncodingError> {
        self.0.iter().try_for_each(|(keyword, text)| match text.is_ascii() {
            true => encoder.add_text_chunk((*keyword).to_owned(), text.clone()),
            false => encoder.add_itxt_chunk((*keyword).to_owned(), text.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_compact_json_beside_the_name_of_the_program() {
        let record = json!({ "seed": 7, "model": "m" });
        let texts = Texts::record(record.as_object().unwrap());
        assert_eq!(texts.get(RECORD), Some(r#"{"seed":7,"model":"m"}"#));
        assert!(texts.get(SOFTWARE).unwrap().starts_with("Sfumato "));
        assert_eq!(texts.with("Title", "a\0b").get("Title"), Some("a\u{fffd}b"));
    }

    #[test]
    #[should_panic(expected = "is no keyword")]
    fn a_keyword_is_ascii() {
        drop(Texts::none().with("Größe", "1"));
    }
}
