//! What a PNG file says of how it was made.
//!
//! The file may be anybody's: what it says is shown, control characters as escapes, and nothing of it is believed.

use std::{
    io::{Result as IoResult, Write},
    path::Path,
};

use anyhow::Result;
use serde_json::{Map, Value, json};
use sfumato_model::picture::{PngFile, RECORD, is_png};

use super::text::wrapped;
use crate::{
    provenance::{self, Found, safe, safe_json},
    say,
};

/// Whether a path is to be read as a picture, and not as a model.
pub(super) fn is_picture(path: &Path) -> bool {
    let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    (named && !path.is_dir()) || is_png(path)
}

pub(super) fn run(path: &Path, as_json: bool) -> Result<()> {
    let Found { png, record } = provenance::record(path)?;
    if let Some(damage) = &png.damage {
        say!("warning: {} is damaged behind its record: {damage}", path.display());
    }
    if as_json {
        let mut texts = Map::new();
        for text in png.texts.iter().filter(|text| text.keyword != RECORD) {
            texts.insert(text.keyword.clone(), text.text.as_deref().map_or(Value::Null, Value::from));
        }
        let value = json!({
            "file": path, "width": png.width, "height": png.height, "damage": png.damage, "texts": texts, RECORD: record,
        });
        return out!("{}", safe_json(&format!("{value:#}")));
    }
    say::result(|out| print(out, path, &png, &record))
}

fn print(out: &mut impl Write, path: &Path, png: &PngFile, record: &Map<String, Value>) -> IoResult<()> {
    let mut row = |name: &str, value: &str| writeln!(out, "{}", wrapped(&format!("{name:<16} "), value));
    row("file", &path.display().to_string())?;
    row("pixels", &format!("{} x {}", png.width, png.height))?;
    for (key, value) in record {
        row(&safe(key), &safe(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
    }
    for text in png.texts.iter().filter(|text| text.keyword != RECORD) {
        match &text.text {
            Ok(words) => row(&safe(&text.keyword), &safe(words))?,
            Err(reason) => row(&safe(&text.keyword), &format!("(cannot be read: {reason})"))?,
        }
    }
    let again = ["sample", "grid", "scatter"].map(Value::from);
    match record.get("picture").is_some_and(|picture| again.contains(picture)) {
        true => row("again", &format!("sfumato sample --like {} --out DIR", path.display())),
        false => Ok(()),
    }
}
