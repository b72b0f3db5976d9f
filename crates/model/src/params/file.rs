//! Parameters from safetensors files.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use sfumato_nets::params::{Init, ParamSource};
use sfumato_nets::{NetError, SourceError};

use super::names::old_names;
use crate::tensor_file::{Dtype, TensorFileError, WeightFiles};

/// Reads parameters from [`WeightFiles`], one tensor at a time.
///
/// `F32`, `F16`, `BF16` and `F64` tensors are read as `f32`. Names of older files are understood (`query`, `key`, `value` and
/// `proj_attn` for attention, and others), and so are linear maps that are stored as convolutions of one pixel. Memory beyond the
/// returned values stays below a megabyte.
#[derive(Debug)]
pub struct FileParams {
    files: WeightFiles,
    used: BTreeSet<String>,
    mismatch: WeightsMismatch,
    failure: Option<TensorFileError>,
}

/// How the tensors of a file differ from those of the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightsMismatch {
    /// The weights file or index.
    pub path: PathBuf,
    /// Tensors that the network has and the file lacks.
    pub missing: Vec<String>,
    /// Tensors that the file has and the network lacks.
    pub unexpected: Vec<String>,
    /// Tensors of another shape.
    pub misshaped: Vec<Misshaped>,
    /// Tensors of a type that holds no floats.
    pub not_float: Vec<String>,
    /// Tensors with NaN or infinite values.
    pub not_finite: Vec<String>,
}

/// A tensor whose shape in the file is not the network's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshaped {
    /// Name of the tensor.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

impl FileParams {
    /// Opens `path` as [`WeightFiles::open`] does.
    ///
    /// # Errors
    /// [`TensorFileError`] if a file is missing, damaged or no file.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let files = WeightFiles::open(path)?;
        let mismatch = WeightsMismatch { path: path.into(), ..Default::default() };
        Ok(Self { files, used: BTreeSet::new(), mismatch, failure: None })
    }

    /// The values of `name`, or why there are none.
    fn find(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let candidates = [vec![name.to_owned()], old_names(name)];
        let Some(stored) = candidates.into_iter().flatten().find(|name| self.files.info(name).is_some()) else {
            self.mismatch.missing.push(name.into());
            return Vec::new();
        };
        self.used.insert(stored.clone());
        let info = self.files.info(&stored).expect("the name was just found");
        if !same_shape(&info.shape, shape) {
            let (expected, found) = (shape.to_vec(), info.shape.clone());
            self.mismatch.misshaped.push(Misshaped { name: stored, expected, found });
            return Vec::new();
        }
        if matches!(info.dtype, Dtype::Other(_)) {
            self.mismatch.not_float.push(stored);
            return Vec::new();
        }
        match self.files.read(&stored) {
            Ok(values) => {
                if !values.iter().all(|value| value.is_finite()) {
                    self.mismatch.not_finite.push(stored);
                }
                values
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                Vec::new()
            }
        }
    }
}

/// Whether a stored shape is the wanted one, or that of a matrix kept as a convolution of one pixel: `[C, C, 1, 1]` for `[C, C]`.
pub(super) fn same_shape(stored: &[usize], wanted: &[usize]) -> bool {
    match stored.split_at_checked(wanted.len()) {
        Some((same, rest)) => {
            same == wanted && (rest.is_empty() || wanted.len() == 2 && rest.iter().all(|&size| size == 1))
        }
        None => false,
    }
}

impl ParamSource for FileParams {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.find(name, shape)
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        let unused = self.files.names().filter(|&name| !self.used.contains(name));
        self.mismatch.unexpected = unused.map(str::to_owned).collect();
        if self.mismatch.is_empty() { Ok(()) } else { Err(self.mismatch.clone().into()) }
    }
}

impl WeightsMismatch {
    /// Whether file and network agree.
    pub fn is_empty(&self) -> bool {
        let Self { path: _, missing, unexpected, misshaped, not_float, not_finite } = self;
        missing.is_empty()
            && unexpected.is_empty()
            && misshaped.is_empty()
            && not_float.is_empty()
            && not_finite.is_empty()
    }
}

/// Names of one kind shown in a message; the fields hold all of them.
const SHOWN: usize = 40;

impl fmt::Display for WeightsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the tensors in {} are not those of the configured network", self.path.display())?;
        let shapes: Vec<String> = self.misshaped.iter().map(Misshaped::to_string).collect();
        for (title, names) in [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("of another shape", &shapes),
            ("not of a floating-point type", &self.not_float),
            ("not finite", &self.not_finite),
        ] {
            if !names.is_empty() {
                let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "; {} {title}: {shown}", names.len())?;
                if names.len() > SHOWN {
                    write!(f, " and {} more", names.len() - SHOWN)?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for WeightsMismatch {}

impl WeightsMismatch {
    /// The mismatch that kept a network from being built, if it was one.
    pub fn of(error: &NetError) -> Option<&Self> {
        match error {
            NetError::Source(source) => source.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Misshaped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (expected {:?}, found {:?})", self.name, self.expected, self.found)
    }
}
