//! `npy:FILE.npz`: NumPy's archives of arrays, as Keras, improved-diffusion and MedMNIST publish data.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sfumato_files::{NpyError, NpyReader, NpyType};
use zip::ZipArchive;

use super::guard::guarded_or;
use super::idx::MAX_EXPANSION;
use super::passes::Source;
use super::store::regular;
use super::{DataError, LoadOptions, LoadedDataset, Split, npy};

type Archive = ZipArchive<BufReader<File>>;

/// Whether a file is a zip archive, by its first bytes.
pub(super) fn is_zip(path: &Path) -> Result<bool, DataError> {
    let mut head = Vec::new();
    regular(path)?.take(4).read_to_end(&mut head).map_err(DataError::io("read", path))?;
    Ok(head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"))
}

/// One array of an archive.
struct Member {
    name: String,
    entry: usize,
    shape: Vec<u64>,
    integers: bool,
}

/// Names of the array of examples, where there are no parts.
const EXAMPLES: [&str; 8] = ["arr_0", "images", "image", "x", "data", "samples", "imgs", "pictures"];

impl Member {
    /// Whether the name is one of labels.
    fn is_labels(&self) -> bool {
        let name = self.name.to_lowercase();
        let words = ["label", "target", "class", "arr_1"];
        name == "y" || name.starts_with("y_") || name.ends_with("_y") || words.iter().any(|word| name.contains(word))
    }

    /// `train`, `test` or `val`, if the name has it.
    fn part(&self) -> Option<&'static str> {
        let name = self.name.to_lowercase();
        ["train", "test", "val"].into_iter().find(|part| name.contains(part))
    }

    fn shown(&self) -> String {
        format!("{} {:?}", self.name, self.shape)
    }
}

/// Reads the array `name`, or the one that the archive's names make out to be the split's examples, with its labels.
pub(super) fn load(
    file: &Path,
    name: Option<&str>,
    spec: &Path,
    options: &LoadOptions,
) -> Result<LoadedDataset, DataError> {
    let damaged = |reason| DataError::Zip { path: file.to_owned(), reason };
    guarded_or(|| read(file, name, spec, options), damaged)
}

fn read(file: &Path, name: Option<&str>, spec: &Path, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    let bad = |reason: String| DataError::Zip { path: file.to_owned(), reason };
    let mut archive = ZipArchive::new(BufReader::new(regular(file)?)).map_err(|error| bad(error.to_string()))?;
    let members = members(&mut archive, file)?;
    let arrays = || members.iter().map(Member::shown).collect::<Vec<_>>().join(", ");
    let choice = |reason: String| DataError::NpzChoice { path: file.to_owned(), reason, arrays: arrays() };
    if members.is_empty() {
        return Err(bad("it holds no arrays (a zip archive of pictures is read with zip:FILE)".to_owned()));
    }
    let mut notes = Vec::new();
    let examples = match name {
        Some(name) => members
            .iter()
            .find(|member| member.name == name)
            .ok_or_else(|| choice(format!("there is no array {name}")))?,
        None => choose(&members, file, options.split, &mut notes).map_err(|fault| match fault {
            Fault::Split(error) => *error,
            Fault::Unclear => choice("it cannot be told which array holds the examples".to_owned()),
        })?,
    };
    let labels = members.iter().find(|member| member.is_labels() && member.part() == examples.part());
    let class_of = match labels.filter(|labels| labels.name != examples.name) {
        Some(labels) => {
            let count = examples.shape.first().copied().unwrap_or(0);
            let one_each = labels.shape == [count] || labels.shape == [count, 1];
            if one_each && labels.integers {
                notes.push(format!("the classes are those of {} in {}", labels.name, file.display()));
                Some(read_labels(&mut archive, labels, file)?)
            } else {
                notes.push(format!(
                    "the labels {} in {} are not used: expected one integer for each of the {count} examples",
                    labels.shown(),
                    file.display()
                ));
                None
            }
        }
        None => None,
    };
    let mut source = Entry { archive: &mut archive, member: examples, file };
    let mut data = npy::assemble(&mut source, class_of, spec, options)?;
    notes.append(&mut data.notes);
    data.notes = notes;
    data.unsplit = name.is_some() || examples.part().is_none();
    Ok(data)
}

/// An array of an archive, unpacked as often as it is read.
struct Entry<'a> {
    archive: &'a mut Archive,
    member: &'a Member,
    file: &'a Path,
}

impl Source for Entry<'_> {
    fn open(&mut self) -> Result<NpyReader<'_>, DataError> {
        open(self.archive, self.member, self.file)
    }
}

enum Fault {
    Split(Box<DataError>),
    Unclear,
}

/// The array of the split's examples.
fn choose<'a>(members: &'a [Member], file: &Path, split: Split, notes: &mut Vec<String>) -> Result<&'a Member, Fault> {
    let examples: Vec<&Member> =
        members.iter().filter(|member| !member.is_labels() && member.shape.len() > 1).collect();
    let only = |part: Option<&str>| {
        let of_part: Vec<&&Member> = examples.iter().filter(|member| member.part() == part).collect();
        let named =
            || EXAMPLES.iter().find_map(|name| of_part.iter().find(|m| m.name.to_lowercase().starts_with(name)));
        match of_part[..] {
            [] => None,
            [one] => Some(Ok(*one)),
            _ => Some(named().map(|member| **member).ok_or(Fault::Unclear)),
        }
    };
    if examples.iter().all(|member| member.part().is_none()) {
        if split == Split::Test {
            notes.push(format!(
                "{} has no arrays called train and test: all of it is used as the test split",
                file.display()
            ));
        }
        return only(None).unwrap_or(Err(Fault::Unclear));
    }
    let found = match split {
        Split::Train => only(Some("train")),
        Split::Test => only(Some("test")).or_else(|| only(Some("val"))),
    };
    let member = found.unwrap_or_else(|| {
        let names = examples.iter().map(|member| member.name.clone()).collect::<Vec<_>>().join(", ");
        let path = file.to_owned();
        Err(Fault::Split(Box::new(match split {
            Split::Train => DataError::NoTrainSplit { path, held: names },
            Split::Test => DataError::NoTestSplit { path, train: names },
        })))
    })?;
    notes.push(format!("the {split} split is {} in {}", member.name, file.display()));
    Ok(member)
}

/// The arrays of an archive by their headers.
fn members(archive: &mut Archive, file: &Path) -> Result<Vec<Member>, DataError> {
    let mut members = Vec::new();
    for entry in 0..archive.len() {
        let path = archive.by_index_raw(entry).map(|file| file.name().to_owned());
        let path = path.map_err(|error| DataError::Zip { path: file.to_owned(), reason: error.to_string() })?;
        let Some(name) = path.strip_suffix(".npy").map(str::to_owned) else { continue };
        let mut member = Member { name, entry, shape: Vec::new(), integers: false };
        let reader = open(archive, &member, file)?;
        let integers = matches!(reader.npy_type(), Some(NpyType::U8 | NpyType::Int { .. }));
        (member.shape, member.integers) = (reader.shape().to_vec(), integers);
        members.push(member);
    }
    Ok(members)
}

fn open<'a>(archive: &'a mut Archive, member: &Member, file: &Path) -> Result<NpyReader<'a>, DataError> {
    let bad = |reason: String| DataError::Zip { path: file.to_owned(), reason };
    let entry = archive.by_index(member.entry).map_err(|error| bad(format!("{}: {error}", member.name)))?;
    let (length, stored) = (entry.size(), entry.compressed_size());
    if length > stored.saturating_mul(MAX_EXPANSION).saturating_add(MAX_EXPANSION) {
        let name = &member.name;
        return Err(bad(format!(
            "{name} announces {length} bytes, which its {stored} bytes in the archive cannot hold"
        )));
    }
    Ok(NpyReader::new(Box::new(entry), length, &file.join(format!("{}.npy", member.name)))?)
}

/// One class for each example, by its number as a name.
fn read_labels(archive: &mut Archive, labels: &Member, file: &Path) -> Result<Vec<String>, DataError> {
    let numbers = open(archive, labels, file)?.read_numbers().map_err(|error: NpyError| error)?;
    Ok(numbers.iter().map(|number| format!("{number:.0}")).collect())
}
