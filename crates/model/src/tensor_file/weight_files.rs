//! The weights of a model under the names of its network: in one file or in several, of safetensors or of torch.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Dtype, TensorFile, TensorFileError, reader::EXPECTED, reader::opening, shards};
use crate::{
    disguise,
    state_names::{self, Selection},
    torch_file::{self, TorchFile, is_torch},
};

/// All tensors of a model, from one file, from the shards of a `*.index.json`, or from files that are numbered `-00001-of-00003`.
///
/// What a file is, is seen by its content: safetensors, or `torch.save`, which is read without executing anything. Names
/// that a wrapper has put before those of the network (`module.`, `unet.`, …) are taken off; of a checkpoint that holds weights
/// beside other things (`{"ema": …, "model": …}`) one dictionary is taken, the average where there is one.
/// [`notes`](Self::notes) says what was chosen.
#[derive(Debug)]
pub struct WeightFiles {
    path: PathBuf,
    /// Where each of `files` is.
    paths: Vec<PathBuf>,
    files: Vec<Source>,
    tensors: BTreeMap<String, StoredWeight>,
    notes: Vec<String>,
}

/// Type, shape and place of one tensor of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWeight {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, as in torch.
    pub shape: Vec<usize>,
    /// Its name in the file.
    pub stored: String,
    file: usize,
}

/// One file.
#[derive(Debug)]
enum Source {
    Safetensors(TensorFile),
    Torch(TorchFile),
}

impl WeightFiles {
    /// Opens `path`: an index if its name ends in `.json`, all shards if it is numbered as one of several, and a single file
    /// otherwise.
    ///
    /// # Errors
    /// [`TensorFileError`] if a file is missing or damaged, or the index points elsewhere than to its neighbours.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        Self::open_for(path, state_names::DIFFUSERS)
    }

    /// The files that [`open`](Self::open) reads: `path` alone, an index and its shards, or all that are numbered as it.
    ///
    /// # Errors
    /// [`TensorFileError`] if an index is damaged, or points elsewhere than to its neighbours.
    pub fn parts(path: &Path) -> Result<Vec<PathBuf>, TensorFileError> {
        if path.extension().is_some_and(|extension| extension == "json") {
            let mut shards = shards::of_index(path)?.files;
            shards.sort();
            return Ok([vec![path.to_owned()], shards].concat());
        }
        Ok(shards::of_numbers(path).unwrap_or_else(|| vec![path.to_owned()]))
    }

    /// The same for networks that have the tensors `anchors`.
    pub(crate) fn open_for(path: &Path, anchors: &[&str]) -> Result<Self, TensorFileError> {
        let shards = match path.extension() {
            Some(extension) if extension == "json" => Some(shards::of_index(path)?),
            _ => shards::of_numbers(path).map(|files| shards::Shards { files, map: BTreeMap::new() }),
        };
        let Some(shards) = shards else {
            return Ok(Self::select(path, vec![path.into()], vec![Source::open(path, anchors)?], anchors));
        };
        let of = shards.files.len();
        let open = |file: &PathBuf| match Source::open(file, anchors) {
            Err(TensorFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(TensorFileError::NoShard { path: file.clone(), of })
            }
            result => result,
        };
        let files: Vec<Source> = shards.files.iter().map(open).collect::<Result<_, _>>()?;
        for (tensor, &position) in &shards.map {
            if !files[position].names().any(|name| name == tensor) {
                let shard = shards.files[position].file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(TensorFileError::NotInShard { path: path.into(), tensor: tensor.clone(), shard });
            }
        }
        Ok(Self::select(path, shards.files, files, anchors))
    }

    /// Finds the network among the names of all files. A tensor that a shard holds but the index omits is not lost.
    fn select(path: &Path, paths: Vec<PathBuf>, files: Vec<Source>, anchors: &[&str]) -> Self {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (position, file) in files.iter().enumerate() {
            file.names().for_each(|name| {
                places.entry(name).or_insert(position);
            });
        }
        let Selection { names, notes: chosen } = state_names::select(places.keys().copied(), anchors);
        let tensors = names
            .into_iter()
            .filter_map(|(name, stored)| {
                let file = *places.get(stored.as_str())?;
                let (dtype, shape) = files[file].info(&stored)?;
                Some((name, StoredWeight { dtype, shape, stored, file }))
            })
            .collect();
        let mut notes: Vec<String> = files.iter().flat_map(Source::notes).cloned().collect();
        notes.extend(chosen);
        Self { path: path.into(), paths, files, tensors, notes }
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold the tensors: the path that was opened, or those that its index or its number stands for.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Names of all tensors, sorted: the network's own, without what wrappers put before them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&StoredWeight> {
        self.tensors.get(name)
    }

    /// Choices that were made among what the files hold, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Reads a tensor as `f32`.
    ///
    /// # Errors
    /// As [`TensorFile::read`] and [`TorchFile::read`].
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, TensorFileError> {
        let Some(StoredWeight { stored, file, .. }) = self.tensors.get(name) else {
            return Err(TensorFileError::NoSuchTensor { path: self.path.clone(), tensor: name.into() });
        };
        match &mut self.files[*file] {
            Source::Safetensors(file) => file.read(stored),
            Source::Torch(file) => Ok(file.read(stored)?),
        }
    }
}

impl Source {
    fn open(path: &Path, anchors: &[&str]) -> Result<Self, TensorFileError> {
        // A name that torch gives its files asks for torch's messages, too.
        let extension = path.extension().and_then(|extension| extension.to_str());
        let named = matches!(extension, Some("bin" | "pt" | "pth" | "ckpt"));
        let expected = if named { torch_file::EXPECTED } else { EXPECTED };
        let opened = disguise::open(path, expected).map_err(|error| opening(path, error))?;
        let named = named && !looks_like_safetensors(&opened.start);
        if is_torch(&opened.start) || named {
            return Ok(Self::Torch(TorchFile::from_opened(path, opened, anchors)?));
        }
        Ok(Self::Safetensors(TensorFile::from_opened(path, opened)?))
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Safetensors(file) => Box::new(file.tensors().keys().map(String::as_str)),
            Self::Torch(file) => Box::new(file.tensors().keys().map(String::as_str)),
        }
    }

    fn info(&self, name: &str) -> Option<(Dtype, Vec<usize>)> {
        match self {
            Self::Safetensors(file) => file.tensors().get(name).map(|info| (info.dtype, info.shape.clone())),
            Self::Torch(file) => file.tensors().get(name).map(|info| (info.dtype, info.shape.clone())),
        }
    }

    fn notes(&self) -> &[String] {
        match self {
            Self::Safetensors(_) => &[],
            Self::Torch(file) => file.notes(),
        }
    }
}

/// Whether a header of JSON follows a length.
fn looks_like_safetensors(start: &[u8]) -> bool {
    start.get(8) == Some(&b'{') && start.get(4..8) == Some(&[0; 4])
}
