//! Weights in several files: which they are, by an index or by their numbers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::TensorFileError;
use crate::json;

/// More files than any model is in.
const MAX_SHARDS: usize = 10_000;

/// The files of one model.
#[derive(Debug)]
pub(super) struct Shards {
    pub(super) files: Vec<PathBuf>,
    /// In which file the index says that a tensor is.
    pub(super) map: BTreeMap<String, usize>,
}

/// The shards that an index names; `metadata.total_size` is informative.
pub(super) fn of_index(path: &Path) -> Result<Shards, TensorFileError> {
    let index = json::read(path)?;
    let fault = |fault| TensorFileError::Index { path: path.into(), fault };
    let entries = index.get("weight_map").ok_or_else(|| fault("it has no `weight_map`"))?;
    let entries = entries.as_object().ok_or_else(|| fault("its `weight_map` is no object of names and files"))?;
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shards = Shards { files: Vec::new(), map: BTreeMap::new() };
    for (tensor, shard) in entries {
        let shard =
            shard.as_str().ok_or_else(|| fault("its `weight_map` holds something other than names of files"))?;
        if !is_plain_file_name(shard) {
            return Err(TensorFileError::ShardName { path: path.into(), shard: shard.chars().take(200).collect() });
        }
        let position = *positions.entry(shard).or_insert_with(|| {
            shards.files.push(path.with_file_name(shard));
            shards.files.len() - 1
        });
        shards.map.insert(tensor.clone(), position);
    }
    if shards.files.is_empty() {
        return Err(fault("its `weight_map` is empty"));
    }
    Ok(shards)
}

/// All files of a set of which `path` is one: `NAME-00001-of-00003.safetensors`. None if its name has no such numbers.
pub(super) fn of_numbers(path: &Path) -> Option<Vec<PathBuf>> {
    let name = path.file_name()?.to_str()?;
    let (before, digits, of, after) = numbers(name)?;
    let count = of.parse::<usize>().ok().filter(|count| (1..=MAX_SHARDS).contains(count))?;
    let width = digits.len();
    Some((1..=count).map(|n| path.with_file_name(format!("{before}-{n:0width$}-of-{of}{after}"))).collect())
}

/// `NAME`, `00001`, `00003` and `.safetensors` of such a name.
pub(crate) fn numbers(name: &str) -> Option<(&str, &str, &str, &str)> {
    let at = name.find("-of-")?;
    let (before, rest) = (&name[..at], &name[at + 4..]);
    let (before, digits) = before.rsplit_once('-')?;
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (of, after) = rest.split_at(len);
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (are_digits(digits) && are_digits(of)).then_some((before, digits, of, after))
}

/// Whether `name` has one component that is neither `.`, `..` nor a root, on Unix and on Windows.
fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_the_whole_set() {
        let files = of_numbers(Path::new("unet/diffusion_pytorch_model-00002-of-00002.bin")).unwrap();
        assert_eq!(files[0], Path::new("unet/diffusion_pytorch_model-00001-of-00002.bin"));
        assert_eq!(files.len(), 2);
        for name in
            ["model.safetensors", "best-of-3.safetensors", "a-1-of-.bin", "a-1-of-0.bin", "a-1-of-99999999999.bin"]
        {
            assert_eq!(of_numbers(Path::new(name)), None, "{name}");
        }
    }
}
