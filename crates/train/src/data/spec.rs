//! How a data set is named on the command line and in a configuration file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DataError;

/// The forms that [`DatasetSpec`] understands, as shown in its parse errors and in `--help`.
pub const DATASET_FORMS: &str = "fashion-mnist-mini, fashion-mnist, mnist, cifar10, folder:PATH, npy:FILE.npy, \
     toy:swiss-roll, toy:two-moons, toy:eight-gaussians, toy:checkerboard";

/// The name of a data set: what stands behind `--dataset` and in the key `dataset` of a configuration.
///
/// `FromStr`, `Display` and serde use the same strings, so a spec survives a round trip through a configuration file.
///
/// # Examples
/// ```
/// use sfumato_train::data::{DatasetSpec, Toy};
///
/// let spec: DatasetSpec = "toy:swiss-roll".parse()?;
/// assert_eq!(spec, DatasetSpec::Toy(Toy::SwissRoll));
/// assert_eq!(spec.to_string(), "toy:swiss-roll");
/// assert!("fashion_mnist".parse::<DatasetSpec>().unwrap_err().to_string().contains("fashion-mnist"));
/// # Ok::<(), sfumato_train::data::DataError>(())
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
    /// `folder:PATH`: every PNG and JPEG below a folder.
    Folder(PathBuf),
    /// `npy:FILE.npy`: one array of images or of points.
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
            DatasetSpec::Npy(path) => write!(f, "npy:{}", path.display()),
            DatasetSpec::Toy(toy) => write!(f, "toy:{}", toy.name()),
        }
    }
}

impl FromStr for DatasetSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let unknown = |hint| DataError::UnknownSpec { spec: text.to_owned(), hint };
        match text {
            "fashion-mnist-mini" => return Ok(DatasetSpec::FashionMnistMini),
            "fashion-mnist" => return Ok(DatasetSpec::FashionMnist),
            "mnist" => return Ok(DatasetSpec::Mnist),
            "cifar10" => return Ok(DatasetSpec::Cifar10),
            _ => {}
        }
        match text.split_once(':') {
            Some(("folder", "")) => Err(unknown(", `folder:` needs a path behind the colon")),
            Some(("npy", "")) => Err(unknown(", `npy:` needs a file behind the colon")),
            Some(("folder", path)) => Ok(DatasetSpec::Folder(path.into())),
            Some(("npy", path)) => Ok(DatasetSpec::Npy(path.into())),
            Some(("toy", name)) => Toy::ALL
                .into_iter()
                .find(|toy| toy.name() == name)
                .map(DatasetSpec::Toy)
                .ok_or_else(|| unknown(", there is no toy of that name")),
            // A path alone is the likeliest slip: say how to spell it.
            _ if text.contains(['/', '\\']) && text.ends_with(".npy") => {
                Err(unknown(", to read an array write `npy:` in front of its path"))
            }
            _ if text.contains(['/', '\\']) => Err(unknown(", to read pictures write `folder:` in front of the path")),
            _ => Err(unknown("")),
        }
    }
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
    fn a_bad_spec_is_answered_with_the_list_of_forms_and_a_hint() {
        for (text, expected) in [
            ("cifar", "`cifar`"),
            ("", "``"),
            ("toy:spiral", "no toy of that name"),
            ("folder:", "needs a path"),
            ("npy:", "needs a file"),
            ("./pictures", "`folder:` in front"),
            ("data/x.npy", "`npy:` in front"),
            ("MNIST", "`MNIST`"),
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
