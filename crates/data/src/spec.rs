//! How a data set is named on the command line and in a configuration file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DataError;

/// The forms that [`DatasetSpec`] understands, as shown in its parse errors and in `--help`.
pub const DATASET_FORMS: &str = "fashion-mnist-mini, fashion-mnist, mnist, cifar10, folder:PATH, zip:FILE.zip, npy:FILE.npy, \
     npy:FILE.npz, toy:swiss-roll, toy:two-moons, toy:eight-gaussians, toy:checkerboard";

/// The name of a data set: what stands behind `--dataset` and in the key `dataset` of a configuration.
///
/// `FromStr`, `Display` and serde use the same strings, so a spec survives a round trip through a configuration file. The path of
/// something that exists will do by itself: `./pictures`, `scans.zip`. A tilde at the start of a path is the home directory.
///
/// # Examples
/// ```
/// use sfumato_data::{DatasetSpec, Toy};
///
/// let spec: DatasetSpec = "toy:swiss-roll".parse()?;
/// assert_eq!(spec, DatasetSpec::Toy(Toy::SwissRoll));
/// assert_eq!(spec.to_string(), "toy:swiss-roll");
/// assert!("fashion_mnist".parse::<DatasetSpec>().unwrap_err().to_string().contains("fashion-mnist"));
/// # Ok::<(), sfumato_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DatasetSpec {
    /// `fashion-mnist-mini`: the first 10,000 training images of Fashion-MNIST, inside the program.
    FashionMnistMini,
    /// `fashion-mnist`: Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747; 60,000 + 10,000 grey 28×28 images in 10 classes.
    FashionMnist,
    /// `mnist`: LeCun, Cortes & Burges; 60,000 + 10,000 grey 28×28 digits.
    Mnist,
    /// `cifar10`: Krizhevsky (2009); 50,000 + 10,000 RGB 32×32 images in 10 classes.
    Cifar10,
    /// `folder:PATH`: every picture below a folder.
    Folder(PathBuf),
    /// `zip:FILE.zip`: every picture in an archive.
    Zip(PathBuf),
    /// `npy:FILE.npy`: one array of images or of points; `npy:FILE.npz` an archive of arrays, `npy:FILE.npz#NAME` one of them.
    Npy(PathBuf),
    /// `toy:NAME`: two-dimensional points, generated.
    Toy(Toy),
}

/// The two-dimensional toy distributions; the formulas stand at [`toy_point`](super::toy_point).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Toy {
    /// `swiss-roll`: a spiral.
    SwissRoll,
    /// `two-moons`: two interleaved half circles; the class is the moon.
    TwoMoons,
    /// `eight-gaussians`: a ring of eight Gaussians; the class is the component.
    EightGaussians,
    /// `checkerboard`: the dark squares of a 4×4 board.
    Checkerboard,
}

impl Toy {
    /// Every toy, in the order of the documentation.
    pub const ALL: [Toy; 4] = [Toy::SwissRoll, Toy::TwoMoons, Toy::EightGaussians, Toy::Checkerboard];

    /// The name that follows `toy:`.
    pub fn name(self) -> &'static str {
        match self {
            Toy::SwissRoll => "swiss-roll",
            Toy::TwoMoons => "two-moons",
            Toy::EightGaussians => "eight-gaussians",
            Toy::Checkerboard => "checkerboard",
        }
    }
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatasetSpec::FashionMnistMini => f.write_str("fashion-mnist-mini"),
            DatasetSpec::FashionMnist => f.write_str("fashion-mnist"),
            DatasetSpec::Mnist => f.write_str("mnist"),
            DatasetSpec::Cifar10 => f.write_str("cifar10"),
            DatasetSpec::Folder(path) => write!(f, "folder:{}", path.display()),
            DatasetSpec::Zip(path) => write!(f, "zip:{}", path.display()),
            DatasetSpec::Npy(path) => write!(f, "npy:{}", path.display()),
            DatasetSpec::Toy(toy) => write!(f, "toy:{}", toy.name()),
        }
    }
}

impl FromStr for DatasetSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let unknown = |hint: String| DataError::UnknownSpec { spec: text.to_owned(), hint };
        match text {
            "fashion-mnist-mini" => return Ok(DatasetSpec::FashionMnistMini),
            "fashion-mnist" => return Ok(DatasetSpec::FashionMnist),
            "mnist" => return Ok(DatasetSpec::Mnist),
            "cifar10" => return Ok(DatasetSpec::Cifar10),
            _ => {}
        }
        let path = |kind: &str, path: &str| match clean(path) {
            path if path.as_os_str().is_empty() => Err(unknown(format!(
                ", `{kind}:` needs the path of a {} behind the colon",
                if kind == "folder" { kind } else { "file" }
            ))),
            path => Ok(path),
        };
        match text.split_once(':') {
            Some(("folder", rest)) => path("folder", rest).map(|path| match path.extension() {
                // What is no folder but an archive of one is read as such.
                Some(extension) if extension.eq_ignore_ascii_case("zip") && path.is_file() => DatasetSpec::Zip(path),
                _ => DatasetSpec::Folder(path),
            }),
            Some(("zip", rest)) => path("zip", rest).map(DatasetSpec::Zip),
            Some(("npy" | "npz", rest)) => path("npy", rest).map(DatasetSpec::Npy),
            Some(("toy", name)) => Toy::ALL
                .into_iter()
                .find(|toy| toy.name() == name)
                .map(DatasetSpec::Toy)
                .ok_or_else(|| unknown(", there is no toy of that name".to_owned())),
            _ => bare(text).ok_or_else(|| unknown(hint(text))),
        }
    }
}

/// A path as people write it: a tilde is the home directory, quotes around it are the shell's, a slash at the end says nothing.
fn clean(text: &str) -> PathBuf {
    let mut text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            && !Path::new(text).exists()
        {
            text = inner;
        }
    }
    let home = || std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).filter(|home| !home.is_empty());
    let path = match (text.strip_prefix('~'), home()) {
        (Some(""), Some(home)) => home.into(),
        (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => Path::new(&home).join(&rest[1..]),
        _ => PathBuf::from(text),
    };
    // Joined from its components, a path has no slash at its end.
    path.components().collect()
}

/// What the path of something that is there stands for.
fn bare(text: &str) -> Option<DatasetSpec> {
    let path = clean(text);
    if path.is_dir() {
        return Some(DatasetSpec::Folder(path));
    }
    let extension = path.extension()?.to_string_lossy().to_lowercase();
    match extension.as_str() {
        _ if !path.is_file() => None,
        "zip" => Some(DatasetSpec::Zip(path)),
        "npy" | "npz" => Some(DatasetSpec::Npy(path)),
        _ => None,
    }
}

/// What was probably meant by a text that is no data set.
fn hint(text: &str) -> String {
    let path = clean(text);
    let lower = text.to_lowercase();
    if path.is_file() {
        return format!(", and the file {} is no folder, no .zip, no .npy and no .npz", path.display());
    }
    let names = ["fashion-mnist-mini", "fashion-mnist", "mnist", "cifar10"];
    let same = lower.replace(['_', ' '], "-").replace("cifar-10", "cifar10");
    let near = names.iter().find(|name| **name == same || name.replace('-', "") == same.replace('-', ""));
    if let Some(name) = near.or_else(|| (lower == "cifar").then_some(&"cifar10")) {
        return format!(", did you mean {name}?");
    }
    if text.contains(['/', '\\', '~']) || [".npy", ".npz", ".zip"].iter().any(|end| lower.ends_with(end)) {
        return format!(", and there is no file or folder {}", path.display());
    }
    String::new()
}

impl TryFrom<String> for DatasetSpec {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<DatasetSpec> for String {
    fn from(spec: DatasetSpec) -> String {
        spec.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips_through_its_string_and_through_json() {
        let forms = [
            "fashion-mnist-mini",
            "fashion-mnist",
            "mnist",
            "cifar10",
            "folder:a/b c/ö",
            "folder:C:\\pictures",
            "npy:x/y.npy",
            "npy:x/y.npz#arr_0",
            "zip:x/y.zip",
            "toy:swiss-roll",
            "toy:two-moons",
            "toy:eight-gaussians",
            "toy:checkerboard",
        ];
        for form in forms {
            let spec: DatasetSpec = form.parse().unwrap();
            assert_eq!(spec.to_string(), form);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(json, serde_json::to_string(form).unwrap());
            assert_eq!(serde_json::from_str::<DatasetSpec>(&json).unwrap(), spec);
        }
    }

    #[test]
    fn paths_are_taken_as_people_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("my pictures")).unwrap();
        for name in ["x.npy", "X.NPZ", "a.zip", "notes.txt"] {
            std::fs::write(at(name), b"").unwrap();
        }
        let text = |name: &str| at(name).display().to_string();
        for (spec, expected) in [
            (text("my pictures"), DatasetSpec::Folder(at("my pictures"))),
            (text("my pictures") + "/", DatasetSpec::Folder(at("my pictures"))),
            (text("x.npy"), DatasetSpec::Npy(at("x.npy"))),
            (text("X.NPZ"), DatasetSpec::Npy(at("X.NPZ"))),
            (text("a.zip"), DatasetSpec::Zip(at("a.zip"))),
            (format!("folder:{}", text("a.zip")), DatasetSpec::Zip(at("a.zip"))),
            (format!("folder:'{}'", text("my pictures")), DatasetSpec::Folder(at("my pictures"))),
            (format!("npy:\"{}\"", text("x.npy")), DatasetSpec::Npy(at("x.npy"))),
        ] {
            assert_eq!(spec.parse::<DatasetSpec>().unwrap(), expected, "{spec}");
        }
        let message = text("notes.txt").parse::<DatasetSpec>().unwrap_err().to_string();
        assert!(message.contains("notes.txt is no folder"), "{message}");
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        for (spec, path) in
            [("folder:~/a/b", "a/b"), ("zip:~/a.zip", "a.zip"), ("npy:~/x.npy", "x.npy"), ("folder:~", "")]
        {
            let spec = spec.parse::<DatasetSpec>().unwrap();
            let (DatasetSpec::Folder(found) | DatasetSpec::Zip(found) | DatasetSpec::Npy(found)) = spec else {
                panic!()
            };
            assert_eq!(found, home.join(path).components().collect::<PathBuf>());
        }
        assert_eq!("folder:~x".parse::<DatasetSpec>().unwrap(), DatasetSpec::Folder("~x".into()));
    }

    #[test]
    fn a_bad_spec_is_answered_with_the_list_of_forms_and_a_hint() {
        for (text, expected) in [
            ("cifar", "`cifar`"),
            ("", "``"),
            ("toy:spiral", "no toy of that name"),
            ("folder:", "needs the path of a folder"),
            ("npy:", "needs the path of a file"),
            ("zip:", "needs the path of a file"),
            ("./pictures", "no file or folder ./pictures"),
            ("data/x.npy", "no file or folder data/x.npy"),
            ("x.zip", "no file or folder x.zip"),
            ("MNIST", "did you mean mnist?"),
            ("Fashion_MNIST", "did you mean fashion-mnist?"),
            ("cifar-10", "did you mean cifar10?"),
        ] {
            let message = text.parse::<DatasetSpec>().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            for form in DATASET_FORMS.split(", ") {
                assert!(message.contains(form), "{message} lacks {form}");
            }
        }
        let error = serde_json::from_str::<DatasetSpec>("\"nope\"").unwrap_err().to_string();
        assert!(error.contains("toy:swiss-roll"), "{error}");
    }
}
