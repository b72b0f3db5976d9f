//! The weights of a model: one file, or several behind an index.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{TensorFile, TensorFileError, TensorInfo, header::UniqueMap};

/// Longest index that is read: a hundred bytes a tensor for more tensors than any model has.
const MAX_INDEX: u64 = 64 << 20;

/// All tensors of a model, from one safetensors file or from the shards of a `*.index.json`.
#[derive(Debug)]
pub struct WeightFiles {
    path: PathBuf,
    files: Vec<TensorFile>,
    /// Tensor name to position in `files`.
    places: BTreeMap<String, usize>,
}

/// The part of an index that matters; `metadata.total_size` is informative.
#[derive(Deserialize)]
struct Index {
    weight_map: UniqueMap<String>,
}

impl WeightFiles {
    /// Opens `path`: an index if its name ends in `.json`, a single safetensors file otherwise.
    ///
    /// # Errors
    /// [`TensorFileError`] if a file is missing or damaged, or the index points elsewhere than to its neighbours.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::open_index(path);
        }
        let file = TensorFile::open(path)?;
        let places = file.tensors().keys().map(|name| (name.clone(), 0)).collect();
        Ok(Self { path: path.into(), files: vec![file], places })
    }

    fn open_index(path: &Path) -> Result<Self, TensorFileError> {
        let io = |source| TensorFileError::Io { path: path.into(), action: "read", source };
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            return Err(TensorFileError::NotAFile { path: path.into() });
        }
        if metadata.len() > MAX_INDEX {
            return Err(TensorFileError::IndexTooLong { path: path.into(), bytes: metadata.len(), limit: MAX_INDEX });
        }
        let json = fs::read(path).map_err(io)?;
        let index: Index =
            serde_json::from_slice(&json).map_err(|source| TensorFileError::Index { path: path.into(), source })?;

        let mut shards: BTreeMap<String, usize> = BTreeMap::new();
        let mut files = Vec::new();
        let mut places = BTreeMap::new();
        for (tensor, shard) in index.weight_map.0 {
            let position = match shards.get(&shard) {
                Some(&position) => position,
                None => {
                    if !is_plain_file_name(&shard) {
                        return Err(TensorFileError::ShardName { path: path.into(), shard });
                    }
                    files.push(TensorFile::open(&path.with_file_name(&shard))?);
                    shards.insert(shard.clone(), files.len() - 1);
                    files.len() - 1
                }
            };
            if !files[position].tensors().contains_key(&tensor) {
                return Err(TensorFileError::NotInShard { path: path.into(), tensor, shard });
            }
            places.insert(tensor, position);
        }
        // A tensor that a shard holds but the index omits is reported as unexpected, not lost.
        for (position, file) in files.iter().enumerate() {
            for name in file.tensors().keys() {
                places.entry(name.clone()).or_insert(position);
            }
        }
        Ok(Self { path: path.into(), files, places })
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.places.get(name).and_then(|&place| self.files[place].tensors().get(name))
    }

    /// Reads a tensor as `f32`.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, TensorFileError> {
        match self.places.get(name) {
            Some(&place) => self.files[place].read(name),
            None => Err(TensorFileError::NoSuchTensor { path: self.path.clone(), tensor: name.into() }),
        }
    }
}

/// Whether `name` has one component that is neither `.`, `..` nor a root, on Unix and on Windows.
fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}
