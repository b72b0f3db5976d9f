//! What can be wrong with a weights file.

use std::{io, path::PathBuf};

use crate::{disguise::WrongFile, json::JsonError, torch_file::TorchFileError};

/// Why a weights file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: "open", "read", "write", ….
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is something other than weights.
    #[error(transparent)]
    Wrong(#[from] WrongFile),
    /// A file of `torch.save` is damaged or holds something other than weights.
    #[error(transparent)]
    Torch(#[from] TorchFileError),
    /// The header is damaged or describes something other than the file.
    #[error("{} is not a valid safetensors file: {fault}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: HeaderFault,
    },
    /// A shard index (`*.index.json`) is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A shard index does not say which tensor is in which file.
    #[error("{} is not a valid shard index: {fault}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A shard is not there.
    #[error("{} is missing: it is one of the {of} files of these weights; download it too", path.display())]
    NoShard {
        /// The file that is not there.
        path: PathBuf,
        /// How many files there should be.
        of: usize,
    },
    /// A shard index points out of its own directory.
    #[error("{} names the shard `{shard}`, expected a plain file name in the same directory", path.display())]
    ShardName {
        /// The index file.
        path: PathBuf,
        /// The offending entry.
        shard: String,
    },
    /// A shard index promises a tensor that its shard lacks.
    #[error("{} says that tensor `{tensor}` is in {shard}, but it is not there", path.display())]
    NotInShard {
        /// The index file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Name of the shard.
        shard: String,
    },
    /// No tensor of that name.
    #[error("{} has no tensor `{tensor}`", path.display())]
    NoSuchTensor {
        /// The file.
        path: PathBuf,
        /// Name asked for.
        tensor: String,
    },
    /// The tensor holds integers or another type that is no weight.
    #[error("tensor `{tensor}` in {} is not of a floating-point type, expected F32, F16, BF16 or F64", path.display())]
    NotFloat {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// Values and shape of a tensor to be written disagree, or its name occurs twice.
    #[error("cannot write tensor `{tensor}` of shape {shape:?} with {values} values to {}: names must differ and values must fill the shape", path.display())]
    BadTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Number of values given.
        values: usize,
    },
}

/// What is wrong with a safetensors header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Shorter than the eight bytes of the header length.
    #[error("it has {len} bytes, too few for a header")]
    TooShort {
        /// Length of the file.
        len: u64,
    },
    /// The header length is larger than the file or than the format allows.
    #[error(
        "its header claims {claimed} bytes, but at most {available} are possible (the file is truncated or of another format)"
    )]
    HeaderLength {
        /// Length that the first eight bytes claim.
        claimed: u64,
        /// The most it could be.
        available: u64,
    },
    /// The header is no JSON of the right form, or a key occurs twice.
    #[error("its header is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// A tensor has a type that the format does not know.
    #[error("tensor `{tensor}` has the unknown type `{dtype}`")]
    Dtype {
        /// Name of the tensor.
        tensor: String,
        /// The type's name.
        dtype: String,
    },
    /// A tensor's shape does not fit the space it occupies.
    #[error("tensor `{tensor}` of shape {shape:?} does not fill its {bytes} bytes")]
    Size {
        /// Name of the tensor.
        tensor: String,
        /// Shape in the header.
        shape: Vec<u64>,
        /// Bytes between its offsets.
        bytes: u64,
    },
    /// A tensor ends before it begins.
    #[error("tensor `{tensor}` is at bytes {begin}..{end} of the data")]
    Offsets {
        /// Name of the tensor.
        tensor: String,
        /// First byte.
        begin: u64,
        /// One past the last byte.
        end: u64,
    },
    /// The file ends before its last tensor does.
    #[error("it is truncated: {len} of {expected} bytes are there; download or copy it again")]
    Truncated {
        /// Length of the file.
        len: u64,
        /// Length that its header asks for.
        expected: u64,
    },
    /// The file ends within its header.
    #[error("it is truncated: {len} of at least {expected} bytes are there; download or copy it again")]
    TruncatedHeader {
        /// Length of the file.
        len: u64,
        /// Length of the header with what is before it.
        expected: u64,
    },
    /// Tensors overlap or leave a gap.
    #[error("tensor `{tensor}` starts at byte {begin} of the data, expected {expected}")]
    NotContiguous {
        /// Name of the tensor.
        tensor: String,
        /// First byte.
        begin: u64,
        /// Where the tensor before it ends.
        expected: u64,
    },
    /// There is data that no tensor describes.
    #[error("{bytes} bytes at its end belong to no tensor")]
    Trailing {
        /// How many.
        bytes: u64,
    },
}
