//! Files of labels beside pictures: `dataset.json` as EDM and StyleGAN write it, `labels.csv`, and the `metadata` files of
//! image folders in Hugging Face's data sets.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::DataError;
use super::guard::guarded;
use super::kind::picture_extension;
use super::listing::{Item, LABEL_FILES, Listing, extension};
use super::store::{MAX_LABELS, Store};

/// Headings of the column with the files, and of the one with the labels.
const FILE_HEADINGS: [&str; 18] = [
    "file_name",
    "filename",
    "file",
    "path",
    "image",
    "image_path",
    "filepath",
    "filenames",
    "filepaths",
    "fname",
    "img",
    "image_id",
    "image_name",
    "img_id",
    "picture",
    "photo",
    "name",
    "id",
];
const LABEL_HEADINGS: [&str; 7] = ["label", "labels", "class", "class_name", "category", "target", "breed"];

/// A file that was read.
pub(super) struct LabelFile {
    /// Its path from the root.
    pub(super) path: PathBuf,
    /// Whether it says what the classes are even where it says that there are none: the folders of EDM's archives are no classes.
    pub(super) decides: bool,
    /// Labels by the path below the file's folder.
    labels: HashMap<String, String>,
}

impl LabelFile {
    /// The file of labels in the folder that is read, or else at the root.
    pub(super) fn beside(listing: &Listing, store: &Store, place: &Path) -> Result<Option<LabelFile>, DataError> {
        // A wrapping folder can hold it too.
        let folders: Vec<&Path> = place.ancestors().collect();
        for folder in folders {
            for name in LABEL_FILES {
                let wanted = folder.join(name);
                if let Some((path, entry)) = listing.label_files.iter().find(|(path, _)| *path == wanted) {
                    return LabelFile::read(path, *entry, store);
                }
            }
        }
        Ok(None)
    }

    fn read(path: &Path, entry: usize, store: &Store) -> Result<Option<LabelFile>, DataError> {
        let bad = |reason: String| DataError::LabelFile { path: store.shown(path), reason };
        let bytes = store.read(path, entry, MAX_LABELS).map_err(bad)?;
        let text = String::from_utf8(bytes).map_err(|_| bad("it is not text in UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}');
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let pairs = guarded(|| match name.as_str() {
            "dataset.json" => from_json(text),
            "metadata.jsonl" => from_jsonl(text),
            _ => from_csv(text),
        });
        let pairs = pairs.map_err(bad)?;
        let mut labels = HashMap::new();
        for (file, label) in pairs.unwrap_or_default() {
            let file = file.replace('\\', "/").trim_start_matches("./").to_owned();
            if let Some(other) = labels.insert(file.clone(), label.clone()).filter(|other| *other != label) {
                return Err(bad(format!("it gives {file} two labels, {other} and {label}")));
            }
        }
        Ok(Some(LabelFile { path: path.to_owned(), decides: name == "dataset.json", labels }))
    }

    /// The label of every picture; none if it names none of them.
    pub(super) fn classes(&self, items: &[Item], store: &Store) -> Result<Option<Vec<String>>, DataError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        // Kaggle's files leave out the extension.
        let label = |item: &Item| {
            let below = item.full.strip_prefix(folder).unwrap_or(&item.full);
            let key = |path: &Path| {
                path.components()
                    .map(|part| part.as_os_str().to_string_lossy().into_owned())
                    .collect::<Vec<_>>()
                    .join("/")
            };
            self.labels.get(&key(below)).or_else(|| self.labels.get(&key(&below.with_extension(""))))
        };
        let labels: Vec<Option<&String>> = items.iter().map(label).collect();
        if labels.iter().all(Option::is_none) {
            return Ok(None);
        }
        match labels.iter().position(Option::is_none) {
            None => Ok(Some(labels.into_iter().flatten().cloned().collect())),
            Some(missing) => Err(DataError::NoLabel {
                path: store.shown(&self.path),
                count: labels.iter().filter(|label| label.is_none()).count(),
                of: items.len(),
                picture: items[missing].full.clone(),
            }),
        }
    }
}

type Pairs = Option<Vec<(String, String)>>;

/// A number or a name as the name of a class.
fn class_name(value: &Value) -> Result<String, String> {
    match value {
        Value::String(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Value::Number(number) => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 9e15 => Ok(format!("{whole:.0}")),
            _ => Err(format!("the label {number} is no whole number")),
        },
        Value::Bool(value) => Ok(value.to_string()),
        other => {
            let shown: String = other.to_string().chars().take(60).collect();
            Err(format!("the label {shown} is neither a number nor a name; only one class for each picture is read"))
        }
    }
}

/// `{"labels": [["00000/img.png", 3], …]}`, `{"labels": {"img.png": 3}}`, or no labels: `{"labels": null}`.
fn from_json(text: &str) -> Result<Pairs, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let pair = |entry: &Value| match entry.as_array().map(Vec::as_slice) {
        Some([Value::String(file), label]) => Ok((file.clone(), class_name(label)?)),
        _ => Err(format!("the entry {entry} is not [\"FILE\", LABEL]")),
    };
    match value.get("labels") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(entries)) => entries.iter().map(pair).collect::<Result<_, _>>().map(Some),
        Some(Value::Object(map)) => {
            let pairs = map.iter().map(|(file, label)| Ok((file.clone(), class_name(label)?)));
            pairs.collect::<Result<_, String>>().map(Some)
        }
        Some(_) => Err("its `labels` are neither a list nor an object".to_owned()),
    }
}

/// One object a line, with `file_name` and `label`.
fn from_jsonl(text: &str) -> Result<Pairs, String> {
    let mut pairs = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("line {number} is no JSON: {error}"))?;
        let file = FILE_HEADINGS.iter().find_map(|heading| value.get(heading)?.as_str());
        let label = LABEL_HEADINGS.iter().find_map(|heading| value.get(heading));
        if let (Some(file), Some(label)) = (file, label) {
            pairs.push((file.to_owned(), class_name(label).map_err(|reason| format!("line {number}: {reason}"))?));
        }
    }
    Ok(Some(pairs))
}

/// Lines `FILE,LABEL`, with or without a heading; semicolons and tabs do too. Lines before the first row that begin with `#`
/// are comments; behind it they are files with such a name.
fn from_csv(text: &str) -> Result<Pairs, String> {
    let rows = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let mut rows = rows.skip_while(|(line, _)| line.trim_start().starts_with('#')).peekable();
    let Some((first, _)) = rows.peek() else { return Ok(Some(Vec::new())) };
    // The last of those that are as frequent: a comma, unless another is more so.
    let separator = ['\t', ';', ','].into_iter().max_by_key(|c| first.matches(*c).count()).unwrap_or(',');
    let Some(Columns { file, label, heading }) = columns(&cells(first, separator))? else { return Ok(None) };
    let mut pairs = Vec::new();
    for (line, number) in rows.skip(usize::from(heading)) {
        let row = cells(line, separator);
        let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        if !heading && filled > 2 {
            return Err(format!(
                "line {number} has {filled} columns; expected FILE{separator}LABEL, or a heading with file_name and label"
            ));
        }
        match (row.get(file), row.get(label)) {
            (Some(file), Some(label)) if !file.is_empty() && !label.is_empty() => {
                pairs.push((file.clone(), label.clone()));
            }
            _ => return Err(format!("line {number} has no file or no label; expected FILE{separator}LABEL")),
        }
    }
    Ok(Some(pairs))
}

/// Where the files and the labels of a table stand, and whether its first row says so.
struct Columns {
    file: usize,
    label: usize,
    heading: bool,
}

/// Finds the columns by the first row; none where it is a heading without labels.
fn columns(first: &[String]) -> Result<Option<Columns>, String> {
    let headings: Vec<String> = first.iter().map(|cell| cell.to_lowercase()).collect();
    // A class can be called like a heading, but no heading is called like a picture.
    let row = headings.iter().any(|cell| picture_extension(&extension(Path::new(cell))));
    let place = |known: &[&str]| known.iter().find_map(|name| headings.iter().position(|heading| heading == name));
    let (file, label) = if row { (None, None) } else { (place(&FILE_HEADINGS), place(&LABEL_HEADINGS)) };
    match (file, label, headings.len()) {
        (Some(file), Some(label), _) => Ok(Some(Columns { file, label, heading: true })),
        // A heading without labels: captions, sizes, boxes.
        (Some(_), None, _) => Ok(None),
        // Of two columns the other one holds the files.
        (None, Some(label), 2) => Ok(Some(Columns { file: 1 - label, label, heading: true })),
        (None, Some(_), 3..) => Err(format!(
            "of its headings {} none is known to be that of the files; call that column file_name",
            first.join(", ")
        )),
        (None, ..) => Ok(Some(Columns { file: 0, label: 1, heading: false })),
    }
}

/// The cells of a line; quotes keep separators, doubled quotes are one.
fn cells(line: &str, separator: char) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = characters.next() {
        let cell = cells.last_mut().expect("there is a first cell");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_and_without_a_heading() {
        let expected = Some(vec![("a.png".to_owned(), "cat".to_owned()), ("b,1.png".to_owned(), "2".to_owned())]);
        for text in [
            "a.png,cat\n\"b,1.png\",2\n",
            "filename,label\r\na.png,cat\r\n\"b,1.png\", 2\r\n\r\n",
            "label;file\ncat;a.png\n2;b,1.png",
            "ID\tsize\tclass\na.png\t3\tcat\nb,1.png\t4\t2",
        ] {
            assert_eq!(from_csv(text).unwrap(), expected, "{text}");
        }
        assert_eq!(from_csv("file_name,text\na.png,a cat\n").unwrap(), None);
        assert!(from_csv("a.png,cat\nb.png\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn columns_are_never_guessed() {
        let pairs = || Some(vec![("a.png".to_owned(), "cat".to_owned())]);
        for text in [
            "image_id,width,label\na.png,3,cat",
            "shot,label\na.png,cat",
            "LABEL;shot\ncat;a.png",
            "filenames\tlabels\na.png\tcat",
            "a.png,cat,\n",
        ] {
            assert_eq!(from_csv(text).unwrap(), pairs(), "{text}");
        }
        // A class called like a heading.
        assert_eq!(from_csv("a.png,label\n").unwrap(), Some(vec![("a.png".to_owned(), "label".to_owned())]));
        let message = from_csv("shot,width,label\na.png,3,cat").unwrap_err();
        assert!(message.contains("shot, width, label") && message.contains("file_name"), "{message}");
        for (text, line) in [("shot,width,kind\na.png,3,cat", "line 1"), ("a.png,cat\nb,1.png,cat", "line 2")] {
            let message = from_csv(text).unwrap_err();
            assert!(
                message.contains(line) && message.contains("3 columns") && message.contains("FILE,LABEL"),
                "{message}"
            );
        }
    }

    #[test]
    fn comments_stand_before_the_first_row_and_commas_win() {
        let pairs = |file: &str| Some(vec![(file.to_owned(), "cat".to_owned())]);
        assert_eq!(from_csv("# labels\n\n#; by hand\na.png,cat\n").unwrap(), pairs("a.png"));
        assert_eq!(from_csv("# labels\n").unwrap(), Some(Vec::new()));
        assert_eq!(from_csv("file,label\n#1.png,cat\n").unwrap(), pairs("#1.png"));
        // As many commas as tabs.
        assert_eq!(from_csv("a;b\t.png,cat\n").unwrap(), pairs("a;b\t.png"));
        assert!(from_csv("labels\na.png,cat\n").unwrap_err().contains("FILE,LABEL"));
    }

    #[test]
    fn json_is_read_as_edm_and_hugging_face_write_it() {
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>())
        };
        assert_eq!(
            from_json(r#"{"labels": [["0/a.png", 3], ["0/b.png", 12.0]]}"#).unwrap(),
            pairs(&[("0/a.png", "3"), ("0/b.png", "12")])
        );
        assert_eq!(from_json(r#"{"labels": {"a.png": "cat"}}"#).unwrap(), pairs(&[("a.png", "cat")]));
        assert_eq!(from_json(r#"{"labels": null}"#).unwrap(), None);
        for (text, reason) in [
            (r#"{"labels": [["a.png", [0, 1]]]}"#, "only one class"),
            (r#"{"labels": [["a.png", 0.5]]}"#, "no whole number"),
            (r#"{"labels": [3]}"#, "is not [\"FILE\", LABEL]"),
            (r#"{"labels": 3}"#, "neither a list"),
            ("{", "no JSON"),
        ] {
            assert!(from_json(text).unwrap_err().contains(reason), "{text}");
        }
        assert_eq!(from_jsonl("{\"file_name\": \"a.png\", \"label\": 1}\n\n").unwrap(), pairs(&[("a.png", "1")]));
        assert!(from_jsonl("{\"file_name\": \"a.png\", \"label\": 1}\n{").unwrap_err().contains("line 2"));
    }
}
