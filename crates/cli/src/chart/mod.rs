//! Line charts as SVG or PNG.
//!
//! A [`Figure`] of panels becomes a [`Scene`](scene::Scene) of lines and texts with fractional coordinates. `svg` writes that as
//! text, whose letters the viewer sets in its own font. `png` hands it to `tiny-skia`, with an embedded font, so that none need be
//! installed. The same figure gives the same bytes on every machine.

mod axis;
mod figure;
mod png;
mod scene;
mod simplify;
mod svg;

pub(crate) use axis::Scale;
pub(crate) use figure::{Figure, Panel, Series};

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use sfumato_files::write_atomically;
use sfumato_model::picture::Texts;

use crate::{args::UsageError, provenance::texts_of};

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Png,
}

impl Format {
    /// The format that the file's name asks for.
    pub(crate) fn of(path: &Path) -> Result<Self, UsageError> {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(UsageError(format!("{}: expected a file name that ends in .svg or .png", path.display()))),
        }
    }
}

/// Draws the figure and writes it, in the format of the file's name. A PNG carries `about`, an object with what the curves were made of.
pub(crate) fn write(path: &Path, figure: &Figure, about: &Value) -> Result<()> {
    let scene = figure.scene();
    let bytes = match Format::of(path)? {
        Format::Svg => svg::render(&scene).into_bytes(),
        Format::Png => png::render(path, &scene, &texts(figure, about))?,
    };
    Ok(write_atomically(path, &bytes)?)
}

/// What a chart says of itself.
fn texts(figure: &Figure, about: &Value) -> Texts {
    let mut record = Map::from_iter([
        ("title".to_owned(), figure.title.clone().into()),
        ("curves".to_owned(), figure.names.clone().into()),
    ]);
    record.extend(about.as_object().cloned().unwrap_or_default());
    texts_of("chart", &Value::Object(record))
}
