//! The record in a file, or why there is none.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use sfumato_model::picture::{PngFile, RECORD, read_png};

use super::{Provenance, safe};

/// Keywords of other texts that a message names.
const NAMED: usize = 5;

/// A PNG file with a record.
#[derive(Debug)]
pub(crate) struct Found {
    /// Size and texts.
    pub(crate) png: PngFile,
    /// The record as it stands there.
    pub(crate) record: Map<String, Value>,
}

/// The record in a PNG file, whatever it shows.
///
/// # Errors
/// That names the file: if it is no PNG, is damaged before its pixels, or has no record, or more than one.
pub(crate) fn record(path: &Path) -> Result<Found> {
    let png = read_png(path)?;
    let shown = path.display();
    let mut records = png.texts.iter().filter(|text| text.keyword == RECORD);
    let Some(text) = records.next() else {
        let damage = png.damage.as_ref().map_or_else(String::new, |damage| format!("; the file is damaged: {damage}"));
        bail!(
            "{shown} does not say how it was made: it has no text `{RECORD}` that can be read{}{damage}",
            others(&png)
        );
    };
    if records.next().is_some() {
        bail!("{shown} has several texts `{RECORD}`, so that none of them can be trusted");
    }
    let text = match &text.text {
        Ok(text) => text,
        Err(reason) => bail!("the text `{RECORD}` of {shown} cannot be read: {reason}"),
    };
    let wrong = || format!("the text `{RECORD}` of {shown} is not what this program writes");
    // An error of the parser may quote the text.
    let parsed = serde_json::from_str(text).map_err(|error| anyhow::anyhow!("{}", safe(&error.to_string())));
    match parsed.with_context(wrong)? {
        Value::Object(record) => Ok(Found { png, record }),
        _ => Err(anyhow::anyhow!("it is no JSON object")).with_context(wrong),
    }
}

/// The keywords of the texts that a file has instead.
fn others(png: &PngFile) -> String {
    let names: Vec<String> = png.texts.iter().take(NAMED).map(|text| format!("`{}`", safe(&text.keyword))).collect();
    match png.texts.len() {
        0 => String::new(),
        count if count > NAMED => format!(" (its texts are {} and {} more)", names.join(", "), count - NAMED),
        1 => format!(" (its one text is {})", names.join(", ")),
        _ => format!(" (its texts are {})", names.join(", ")),
    }
}

/// The provenance of samples in a file.
///
/// # Errors
/// As [`record`]; if the file shows something else than samples, or its record has what this program does not know.
pub(crate) fn read(path: &Path) -> Result<Provenance> {
    let Found { record, .. } = self::record(path)?;
    let shown = path.display();
    if let Some(picture) = record.get("picture").and_then(Value::as_str)
        && !["sample", "grid", "scatter"].contains(&picture)
    {
        bail!(
            "{shown} is a {}: only what `sample` has drawn can be drawn again; `sfumato info {shown}` says how it was made",
            safe(picture)
        );
    }
    let version = record
        .get("version")
        .and_then(Value::as_str)
        .map_or_else(String::new, |version| format!(" by version {}", safe(version)));
    let made: Provenance = serde_json::from_value(Value::Object(record.clone()))
        .map_err(|error| anyhow::anyhow!("{}", safe(&error.to_string())))
        .with_context(|| format!("the record in {shown}, written{version}, cannot be understood"))?;
    // What is not understood may decide the picture.
    let known = made.to_json();
    if let Some(key) = record.keys().find(|key| !known.contains_key(*key)) {
        bail!(
            "{shown} was drawn{version} with `{}`, which this program ({}) does not know",
            safe(key),
            env!("CARGO_PKG_VERSION")
        );
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfumato_model::picture::{Raster, Texts};

    use super::*;

    /// A record with something in every kind of field.
    const RECORD_OF_A_SAMPLE: &str = r#"{"picture":"sample","sampler":"ddim","steps":20,"spacing":"trailing","eta":0.5,"ddim":"consistent","image_size":[8,12],"class":3,"guidance":2.0,"seed":18446744073709551615,"weights_sha256":"ab","scheduler_sha256":"cd","network_sha256":"ef","index":7,"class_name":"coat","model":"m","files":{"noise":"n.npy"},"version":"0.1.0","revision":"r","backend":"flex"}"#;

    fn written(dir: &Path, record: &str) -> std::path::PathBuf {
        let path = dir.join("x.png");
        let picture = Raster::picture(&path, &[0.0; 4], [1, 2, 2]).unwrap();
        picture.write_png(&path, &Texts::none().with(RECORD, record)).unwrap();
        path
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let made = read(&written(dir.path(), RECORD_OF_A_SAMPLE)).unwrap();
        assert_eq!(serde_json::to_string(&made.to_json()).unwrap(), RECORD_OF_A_SAMPLE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_changed_record_is_read_or_refused_in_words_for_any_terminal(
            changes in prop::collection::vec((any::<prop::sample::Index>(), "\\PC|[\u{1b}\u{9b}\u{202e}\"{}\\[\\],:0-9]"), 1..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut record: Vec<char> = RECORD_OF_A_SAMPLE.chars().collect();
            for (place, more) in changes {
                let at = place.index(record.len());
                record.splice(at..=at, more.chars());
            }
            if let Some(place) = cut {
                record.truncate(place.index(record.len()));
            }
            let dir = tempfile::tempdir().unwrap();
            if let Err(error) = read(&written(dir.path(), &record.into_iter().collect::<String>())) {
                let said = format!("{error:#}");
                prop_assert!(said.contains("x.png"));
                prop_assert_eq!(safe(&said), said);
            }
        }
    }
}
