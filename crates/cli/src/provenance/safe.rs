//! Texts of strangers for a terminal: control characters could move its cursor, set its title, or hide what is there.

/// Whether a terminal might do something other than show it: control characters, and the marks that turn the direction of writing.
fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text in which such characters are written as Rust and JSON write them.
pub(crate) fn safe(text: &str) -> String {
    text.chars().flat_map(|c| if acts(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// JSON with its line breaks, in which such characters, which can only be in its strings, are escaped.
pub(crate) fn safe_json(json: &str) -> String {
    let escaped = |c: char| if acts(c) && c != '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        let text = "a\u{1b}[2J\u{9b}31m\u{202e}b\r\n\u{7}größe 日本";
        let said = safe(text);
        assert!(!said.chars().any(acts), "{said:?}");
        assert_eq!(said, "a\\u{1b}[2J\\u{9b}31m\\u{202e}b\\r\\n\\u{7}größe 日本");
        let json = serde_json::json!({ "a": text });
        let shown = safe_json(&format!("{json:#}"));
        assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
    }
}
