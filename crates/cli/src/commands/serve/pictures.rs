//! Samples as PNG files in memory.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use sfumato_model::Samples;

use super::job::Png;

/// What a picture says about itself in its text chunks: a keyword and a text each.
///
/// `settings` are those of the picture, as the API describes them; `index` is the picture's among those of its seed.
pub(super) fn provenance(settings: &Value, index: usize) -> Vec<(String, String)> {
    let mut record = Map::new();
    record.insert("picture".to_owned(), "sample".into());
    // How many there were does not matter to one of them.
    let own = settings.as_object().into_iter().flatten().filter(|(name, _)| *name != "num");
    record.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    record.insert("index".to_owned(), index.into());
    record.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    record.insert("revision".to_owned(), env!("SFUMATO_REVISION").into());
    let program = concat!("Sfumato ", env!("CARGO_PKG_VERSION")).to_owned();
    vec![("Software".to_owned(), program), ("sfumato".to_owned(), Value::Object(record).to_string())]
}

/// Every sample of a job as a file, with what made it: `settings_of` one of them.
///
/// # Errors
/// If one cannot be encoded.
pub(super) fn whole(values: Vec<f32>, shape: [usize; 3], settings_of: impl Fn(usize) -> Value) -> Result<Vec<Png>> {
    let samples = Samples::new(&shape, values);
    (0..samples.len()).map(|i| png(&samples.to_bytes(i)?, shape, &provenance(&settings_of(i), i), false)).collect()
}

/// Every sample as a small file to look at: pictures with a side above `most` pixels are made smaller by a whole factor.
///
/// # Errors
/// If one cannot be encoded.
pub(super) fn looks(values: &[f32], shape: [usize; 3], most: usize) -> Result<Arc<[Png]>> {
    let [channels, height, width] = shape;
    let factor = height.max(width).div_ceil(most);
    let small = [channels, height / factor, width / factor].map(|side| side.max(1));
    let means =
        values.chunks_exact(channels * height * width).flat_map(|picture| shrunk(picture, shape, small, factor));
    let samples = Samples::new(&small, if factor == 1 { values.to_vec() } else { means.collect() });
    (0..samples.len()).map(|i| png(&samples.to_bytes(i)?, small, &[], true)).collect()
}

/// The means of squares of `factor` pixels a side.
fn shrunk(picture: &[f32], [_, height, width]: [usize; 3], small: [usize; 3], factor: usize) -> Vec<f32> {
    let [channels, rows, columns] = small;
    let mut means = Vec::with_capacity(channels * rows * columns);
    for c in 0..channels {
        for row in 0..rows {
            for column in 0..columns {
                let (top, left) = (row * factor, column * factor);
                let (bottom, right) = ((top + factor).min(height), (left + factor).min(width));
                let line = |y: usize| &picture[(c * height + y) * width + left..(c * height + y) * width + right];
                let sum: f32 = (top..bottom).flat_map(line).sum();
                means.push(sum / ((bottom - top) * (right - left)) as f32);
            }
        }
    }
    means
}

fn png(pixels: &[u8], [channels, height, width]: [usize; 3], texts: &[(String, String)], fast: bool) -> Result<Png> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width.try_into()?, height.try_into()?);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_compression(if fast { png::Compression::Fast } else { png::Compression::Balanced });
    for (keyword, text) in texts {
        // Every program reads `tEXt`, which is Latin-1.
        match text.is_ascii() {
            true => encoder.add_text_chunk(keyword.clone(), text.clone())?,
            false => encoder.add_itxt_chunk(keyword.clone(), text.clone())?,
        }
    }
    let mut writer = encoder.write_header().context("cannot encode a picture")?;
    writer.write_image_data(pixels).context("cannot encode a picture")?;
    writer.finish().context("cannot encode a picture")?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_hold_the_pixels_and_what_made_them() {
        let settings = json!({ "num": 1, "seed": 7, "class_name": "Étoile" });
        let values = vec![-1.0, 1.0, 0.0, 0.5, -1.0, -1.0];
        let files = whole(values, [3, 1, 2], |_| settings.clone()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&files[0])).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 128, 0, 255, 191, 0]);
        let info = reader.info();
        let record = info.utf8_text.iter().find(|text| text.keyword == "sfumato").unwrap().get_text().unwrap();
        let record: Value = record.parse().unwrap();
        assert_eq!(
            (&record["seed"], &record["class_name"], &record["index"]),
            (&json!(7), &json!("Étoile"), &json!(0))
        );
        assert_eq!(record.get("num"), None);
        let software = &info.uncompressed_latin1_text[0];
        assert!(software.keyword == "Software" && software.text.starts_with("Sfumato "));
    }

    #[test]
    fn large_pictures_are_looked_at_in_small() {
        // Two grey pictures of 3×5: black, and white in its left half.
        let mut values = vec![-1.0; 15];
        values.extend((0..15).map(|i| if i % 5 < 2 { 1.0 } else { -1.0 }));
        let small = looks(&values, [1, 3, 5], 3).unwrap();
        let of = |file: &Png| image::load_from_memory(file).unwrap().into_luma8();
        assert_eq!((of(&small[0]).dimensions(), of(&small[0]).into_raw()), ((2, 1), vec![0, 0]));
        assert_eq!(of(&small[1]).into_raw(), [255, 0]);
        let same = looks(&values, [1, 3, 5], 5).unwrap();
        assert_eq!(of(&same[1]).dimensions(), (5, 3));
    }
}
